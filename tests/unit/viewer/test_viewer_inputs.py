"""What can be shown beside series of datasets: each kind of array arrives voxel for voxel, and lies where its library says."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import dask.array
import numpy as np
import pydicom
import pytest
import SimpleITK
import xarray as xr
import zarr
from sample_store import CT_SHAPE, DATASET, ct_series, ct_values

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cohortlab.errors import InvalidInputError, RefusedError
from cohortlab.store import Store
from cohortlab.store.session import session_keys
from cohortlab.viewer import arrays, assets, view
from cohortlab.viewer.answers import ArrayGoneError, SliceRequest, TooLargeError
from cohortlab.viewer.arrays import ARRAYS, Arrays, Register, coarse_shape, new_id
from cohortlab.viewer.gateway import planes_of
from cohortlab.viewer.inputs import given, show
from cohortlab.viewer.shown import kernel_gateway
from http_files import serve


@pytest.fixture(autouse=True)
def kernel(session, tmp_path, monkeypatch):
    """A kernel whose server gave it a folder; bundles as a build writes them."""
    folder = tmp_path / "arrays"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv(arrays.FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(arrays, "_register", None)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "manifest.json").write_text('{"viewer": "viewer.0123456789ab.js", "gallery": "gallery.0123456789ab.js"}')
    monkeypatch.setattr(assets, "STATIC_FOLDER", tmp_path / "static")
    before = len(arrays._held)
    yield session
    while len(arrays._held) > before:
        os.close(arrays._held.pop())


def volume(what, frame=0, **more):
    """All voxels of something as the viewer gets them, and its attributes."""
    shown = view(what, **more)
    dataset, series = shown.series.split("/")
    assert dataset == ARRAYS
    answer = kernel_gateway().volume(dataset, series, level=0, frame=frame)
    shape = tuple(map(int, answer.headers["X-Cohortlab-Shape"].split(",")))
    return np.frombuffer(answer.body, answer.headers["X-Cohortlab-Type"]).reshape(shape), shown.source.attributes


class MetaTensor(np.ndarray):
    """What MONAI's MetaTensor is to us: channels first, x y z, an affine to RAS, and the ways of a tensor."""

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return np.asarray(self)


def meta_tensor(values, affine, **meta):
    made = np.asarray(values).view(MetaTensor)
    made.affine, made.meta = np.asarray(affine), meta
    return made


VALUES = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 50


@pytest.mark.parametrize(
    "what",
    [VALUES, VALUES.astype(">i2"), VALUES[::-1][::-1], np.asfortranarray(VALUES), xr.DataArray(VALUES, dims=("z", "y", "x")),
     xr.DataArray(np.moveaxis(VALUES, 0, 2), dims=("y", "x", "z")), dask.array.from_array(VALUES, chunks=2)],
)  # fmt: skip
def test_arrays_of_all_libraries_arrive_voxel_for_voxel(what):
    found, attributes = volume(what)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, VALUES)
    assert attributes.affine is None


def test_a_zarr_array_is_read_slab_by_slab(tmp_path):
    made = zarr.create_array(tmp_path / "a.zarr", shape=VALUES.shape, dtype="int16", chunks=(2, 3, 3))
    made[:] = VALUES
    np.testing.assert_array_equal(volume(made)[0], VALUES)


@pytest.mark.parametrize(
    ("stored", "sent"), [("bool", "uint8"), ("uint8", "uint8"), ("uint16", "uint16"), ("int64", "float32"), ("float64", "float32")]
)
def test_types_become_those_that_a_browser_draws(stored, sent):
    values = (VALUES % 2).astype(stored)
    found, _ = volume(values)
    assert found.dtype == sent
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("shape", [(5, 6), (1, 5, 6), (3, 4, 5, 6)])
def test_planes_single_slices_and_time(shape):
    values = np.random.default_rng(1).integers(-500, 500, shape).astype(np.int16)
    for frame in range(shape[0] if len(shape) == 4 else 1):
        found, attributes = volume(values, frame)
        np.testing.assert_array_equal(found, values[frame] if len(shape) == 4 else values.reshape((-1, *shape[-2:])))
    assert (attributes.axis is not None) == (len(shape) == 4)


@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 5, 6, 4)])
def test_bytes_by_threes_and_fours_are_colour(shape):
    values = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    found, attributes = volume(values)
    assert attributes.samples == ("red", "green", "blue")
    np.testing.assert_array_equal(found, values[..., :3].reshape((-1, *shape[-3:-1], 3)))


def test_an_array_without_a_place_has_three_planes_and_no_letters():
    shown = view(VALUES, spacing=(3, 1, 0.5))
    assert shown.planes == ("z", "y", "x")
    planes = kernel_gateway().describe(*shown.series.split("/"))["planes"]
    assert [plane["spacing"] for plane in planes] == [3, 1, 0.5]
    assert all(plane[side]["direction"] is None for plane in planes for side in ("right", "down"))


def test_a_meta_tensor_lies_where_monai_says():
    affine = np.array([[0, 2.0, 0, 10], [-3, 0, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])  # x, y, z to R, A, S
    values = np.moveaxis(VALUES, (0, 1, 2), (2, 1, 0))[None].astype(np.float32)
    for meta, sign in (({}, -1), ({"space": "SpaceKeys.RAS"}, -1), ({"space": "LPS"}, 1)):
        found, attributes = volume(meta_tensor(values, affine, **meta))
        np.testing.assert_array_equal(found, VALUES)
        for index in ((0, 0, 0), (3, 4, 5), (1, 0, 2)):
            z, y, x = index
            theirs = (affine @ [x, y, z, 1])[:3] * [sign, sign, 1]
            np.testing.assert_allclose((np.asarray(attributes.affine) @ [*index, 1])[:3], theirs)


def test_an_image_of_simpleitk_lies_where_simpleitk_says():
    image = SimpleITK.GetImageFromArray(VALUES)
    image.SetSpacing((0.5, 0.75, 2.5))
    image.SetOrigin((-20, -30, 5))
    angle = 0.35
    image.SetDirection((1, 0, 0, 0, np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle)))
    found, attributes = volume(image)
    np.testing.assert_array_equal(found, VALUES)
    for index in ((0, 0, 0), (3, 4, 5), (1, 0, 2)):
        theirs = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose((np.asarray(attributes.affine) @ [*index, 1])[:3], theirs)
    assert planes_of(ARRAYS, attributes)[0].name == "axial"


def test_pydicom_datasets_are_read_as_the_store_reads_them(kernel):
    found, attributes = volume(ct_series()[::-1])
    np.testing.assert_array_equal(found, ct_values())
    stored = Store.open(kernel.folder / DATASET, session_keys())[kernel.ct].attributes
    np.testing.assert_allclose(attributes.affine, stored.affine)
    assert (attributes.modality, attributes.units, attributes.window) == ("CT", "HU", (40, 400))
    assert attributes.patient_id == attributes.study_uid == ""


def test_an_irregular_pydicom_series_is_shown_slice_by_slice_and_says_why():
    gap = [one for number, one in enumerate(ct_series()) if number != 5]
    shown = view(gap)
    meta = kernel_gateway().describe(*shown.series.split("/"))
    assert shown.planes == ("image",)
    assert "missing slice" in meta["irregular_reason"]


def test_datasets_of_two_series_are_not_one():
    other = [pydicom.Dataset(one) for one in ct_series()]
    for one in other:
        one.file_meta = ct_series()[0].file_meta
        one.SeriesInstanceUID, one.SOPInstanceUID = one.SeriesInstanceUID + ".1", one.SOPInstanceUID + ".1"
    with pytest.raises(InvalidInputError, match="2 series"):
        view(ct_series() + other)


def test_what_was_computed_from_a_series_is_shown_and_not_the_series(kernel):
    ref = Store.open(kernel.folder / DATASET, session_keys())[kernel.ct]
    image = ref.open()
    assert view(image).series == f"{DATASET}/{kernel.ct}"
    for made, values in (
        (image * 2, ct_values() * 2),
        (image[3:9, ::2, 10:50], ct_values()[3:9, ::2, 10:50]),
        (image[::-1], ct_values()[::-1]),
        (image.load(), ct_values()),
    ):
        found, attributes = volume(made)
        np.testing.assert_array_equal(found, values)
        # and it lies where it lay
        for index in ((0, 0, 0), (2, 1, 3)):
            place = (np.asarray(attributes.affine) @ [*index, 1])[:3]
            whole = np.argwhere(ct_values() == -(10**9))
            assert whole.size == 0
            coordinates = [float(made[name][at]) for name, at in zip("zyx", index, strict=True)]
            source = [int(np.argmin(np.abs(ref.open()[name].values - at))) for name, at in zip("zyx", coordinates, strict=True)]
            np.testing.assert_allclose(place, (ref.affine() @ [*source, 1])[:3], atol=1e-3)
    assert attributes.window == (40, 400)


def test_a_series_of_a_store_over_the_network_is_brought_here(kernel):
    with serve((kernel.folder / DATASET).resolve()) as files:
        ref = Store.open(files.address, session_keys())[kernel.ct]
        for what in (ref, ref.open()):
            found, attributes = volume(what)
            np.testing.assert_array_equal(found, ct_values())
            np.testing.assert_allclose(attributes.affine, ref.affine(), atol=1e-6)
            assert (attributes.modality, attributes.window) == ("CT", (40, 400))


def test_a_mask_of_a_series_is_an_image_and_a_label(kernel):
    image = Store.open(kernel.folder / DATASET, session_keys())[kernel.ct].open()
    found, attributes = volume(image > 0)
    np.testing.assert_array_equal(found, ct_values() > 0)
    assert attributes.window is None
    shown = view(f"{DATASET}/{kernel.ct}", label_image=image > 0)
    np.testing.assert_array_equal(shown.segmentation, ct_values() > 0)


def test_labels_as_an_array_lie_over_a_stored_series(kernel):
    mask = np.zeros(CT_SHAPE, dtype=np.int64)
    mask[2:5, 10:20, 30:40] = 3
    shown = view(f"{DATASET}/{kernel.ct}", label_image=mask)
    dataset, series = shown.label.split("/")
    request = SliceRequest("coronal", 12, on=f"{DATASET}/{kernel.ct}")
    answer = kernel_gateway().slice(dataset, series, request)
    np.testing.assert_array_equal(np.frombuffer(answer.body, np.uint16).reshape(CT_SHAPE[0], CT_SHAPE[2]), mask[:, 12])
    assert [segment["number"] for segment in kernel_gateway().describe(dataset, series)["segments"]] == [3]
    np.testing.assert_array_equal(shown.segmentation, mask)


@pytest.mark.parametrize("labels", [np.full(CT_SHAPE, 0.5), np.full(CT_SHAPE, -1), np.ones((3, 3, 3)), np.full(CT_SHAPE, 70_000)])
def test_what_is_no_label_array_is_refused_and_leaves_nothing(kernel, labels):
    with pytest.raises(InvalidInputError):
        view(f"{DATASET}/{kernel.ct}", label_image=labels)
    assert [path for path in arrays.register().owned.iterdir() if path.name != "lock"] == []


@pytest.mark.parametrize(
    "what", [np.zeros((0, 3)), np.zeros(3), np.zeros((2, 2, 2, 2, 2)), np.zeros((3, 3), complex), np.array(["a"]), object()]
)
def test_what_is_no_image_is_refused(what):
    with pytest.raises(InvalidInputError):
        view(what)


@pytest.mark.parametrize("more", [{"affine": np.eye(3)}, {"affine": np.zeros((4, 4))}, {"spacing": (1, 2)}, {"spacing": (0, 1, 1)}])
def test_a_place_that_does_not_fit_is_refused(more):
    with pytest.raises(InvalidInputError):
        view(VALUES, **more)


def test_an_affine_gives_an_array_its_place():
    affine = np.diag([2.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    shown = view(VALUES, affine=affine)
    assert shown.planes == ("axial", "coronal", "sagittal")


def test_a_large_array_has_a_coarse_level_that_lies_where_the_fine_one_does():
    values = np.arange(300, dtype=np.int16)[:, None, None] + np.zeros((300, 130, 40), np.int16)
    shown = view(values, affine=np.eye(4))
    answer = kernel_gateway().volume(*shown.series.split("/"), level=1)
    assert coarse_shape(values.shape) == (75, 65, 40)
    coarse = np.frombuffer(answer.body, np.int16).reshape(75, 65, 40)
    place = shown.source.affine(1)
    for z in (0, 1, 40, 73):
        assert coarse[z, 0, 0] == (place @ [z, 0, 0, 1])[0]


def test_a_volume_of_four_gigabytes_is_shown_in_bounded_memory(tmp_path):
    """A lazily read array of 4 GiB, of which nothing is kept: only its slabs pass through memory."""
    code = f"""
import resource, os
os.environ["COHORTLAB_ARRAYS"] = {str(tmp_path / "arrays")!r}
import numpy as np
from cohortlab.viewer import arrays, inputs

class Lazy:
    shape, dtype, asked = (2048, 1024, 1024), np.dtype("int16"), 0
    def __getitem__(self, where):
        first, last, _ = where[-1].indices(self.shape[0])
        Lazy.asked += last - first
        return np.full((last - first, *self.shape[1:]), 7, np.int16)

class Nowhere:
    def write(self, data): self.size = getattr(self, "size", 0) + len(memoryview(data).cast("B")); return len(data)
    def close(self): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
arrays._new = lambda path: Nowhere() if path.suffix == ".npy" else open(path, "wb")
arrays.shutil.disk_usage = lambda path: type("Free", (), {{"free": 64 * 2**30}})
inputs.show(inputs.given(Lazy()))
assert Lazy.asked == 2048
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_only_the_user_can_enter_and_other_folders_are_not_used(tmp_path, monkeypatch):
    view(VALUES)
    register = arrays.register()
    for path in (register.folder, register.owned):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in register.owned.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(register.folder)
    for folder in (open_to_all, link, tmp_path / "absent"):
        with pytest.raises(RefusedError):
            Register(folder)
        monkeypatch.setenv(arrays.FOLDER_VARIABLE, str(folder))
        assert Arrays.from_environment() is None


@pytest.mark.parametrize("series", ["", "..", "../x", "array-000000000000-0000000000000000", "array-ABCDEF", "lock"])
def test_an_unknown_array_is_gone(series):
    view(VALUES)
    with pytest.raises(ArrayGoneError):
        kernel_gateway().meta(ARRAYS, series)


def test_an_array_goes_with_its_view():
    shown = view(VALUES)
    name = shown.series.split("/")[1]
    kernel_gateway().meta(ARRAYS, name)
    shown.close()
    with pytest.raises(ArrayGoneError):
        kernel_gateway().slice(ARRAYS, name, SliceRequest("z", 0))


def test_what_a_killed_kernel_left_is_not_served_and_is_swept():
    folder = arrays.register().folder
    code = """
import os, signal, numpy as np
from cohortlab.viewer.inputs import given, show
print(show(given(np.zeros((2, 3, 4), np.int16))), flush=True)
signal.pause()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    series = process.stdout.readline().strip()
    here = Arrays(folder)
    assert here.series(series).attributes.shape == (2, 3, 4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(ArrayGoneError):
        here.series(series)
    here.sweep()
    assert [path.name for path in folder.iterdir()] == [arrays.register().owned.name]


def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path, monkeypatch):
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    code = "import signal\nfrom cohortlab.viewer.arrays import make_folder\nprint(make_folder(), flush=True)\nsignal.pause()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    theirs = process.stdout.readline().strip()
    first = arrays.make_folder()
    assert sorted(map(str, runtime.iterdir())) == sorted([theirs, str(first)])
    process.kill()
    process.wait()
    process.stdout.close()
    second = arrays.make_folder()
    assert sorted(runtime.iterdir()) == sorted([first, second])


def test_a_kernel_that_ends_takes_its_arrays_along():
    folder = arrays.register().folder
    code = "import numpy as np\nfrom cohortlab.viewer.inputs import given, show\nshow(given(np.zeros((2, 3, 4))))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert [path.name for path in folder.iterdir()] == [arrays.register().owned.name]


def test_the_oldest_arrays_make_room_and_one_that_is_too_large_is_refused(monkeypatch):
    register = arrays.register()
    monkeypatch.setattr(register, "most", 600)
    first, second, third = (show(given(np.zeros((2, 10, 5), np.int16))) for _ in range(3))
    fourth = show(given(np.zeros((2, 10, 5), np.int16)))
    for series in (second, third, fourth):
        Arrays(register.folder).series(series)
    with pytest.raises(ArrayGoneError):
        Arrays(register.folder).series(first)
    with pytest.raises(TooLargeError) as refused:
        show(given(np.zeros((10, 10, 10), np.int16)))
    assert refused.value.hint


@pytest.mark.timeout(30)
def test_a_viewer_that_ends_while_an_array_is_written_lets_its_own_go(monkeypatch):
    """The garbage collector may end one at any moment, in the thread that writes."""
    register = arrays.register()
    first = show(given(VALUES))
    write = arrays._write

    def ended_meanwhile(*given):
        register.release(first)
        write(*given)

    monkeypatch.setattr(arrays, "_write", ended_meanwhile)
    second = show(given(VALUES))
    assert Arrays(register.folder).series(second).attributes.shape == VALUES.shape
    with pytest.raises(ArrayGoneError):
        Arrays(register.folder).series(first)


def test_a_full_disk_is_said_and_leaves_nothing(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    register = arrays.register()
    monkeypatch.setattr(arrays, "_write", full)
    with pytest.raises(OSError, match="No space left") as refused:
        show(given(VALUES))
    assert refused.value.code == "storage"
    assert [path.name for path in register.owned.iterdir()] == ["lock"]


def test_without_a_server_a_kernel_has_a_folder_of_its_own(monkeypatch):
    monkeypatch.delenv(arrays.FOLDER_VARIABLE)
    shown = view(VALUES)
    assert kernel_gateway().series(*shown.series.split("/")).attributes.shape == VALUES.shape
    assert arrays.private(arrays.register().folder)


def test_ids_cannot_be_guessed():
    assert len({new_id() for _ in range(1000)}) == 1000


def test_the_values_of_a_view_can_change_without_its_picture():
    mine = VALUES.copy()
    found, _ = volume(mine)
    mine[:] = 0
    gc.collect()
    np.testing.assert_array_equal(found, VALUES)


def test_a_duck_is_no_image():
    with pytest.raises(InvalidInputError, match=r"cl\.open"):
        view(SimpleNamespace(affine=1))
