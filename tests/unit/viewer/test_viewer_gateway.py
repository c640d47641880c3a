"""The gateway: exact values, labels on an image's grid, and nothing that was not asked for rightly."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from sample_store import CT_SHAPE, DATASET, LESION, ct_values, write_store

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError, StorageError
from cohortlab.keys import PublicKey, create_key
from cohortlab.viewer import slices
from cohortlab.viewer.answers import SliceRequest, TooLargeError
from cohortlab.viewer.gateway import Gateway
from cohortlab.viewer.slices import read_label_slice, read_slice


def values_of(answer):
    rows, columns = map(int, answer.headers["X-Cohortlab-Shape"].split(","))
    return np.frombuffer(answer.body, answer.headers["X-Cohortlab-Type"]).reshape(rows, columns)


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
@pytest.mark.parametrize("index", [0, 5, -1])
def test_a_slice_is_the_arrays_slice(gateway, sample, plane, axis, index):
    index %= CT_SHAPE[axis]
    answer = gateway.slice(DATASET, sample.ct, SliceRequest(plane, index))
    assert answer.headers["X-Cohortlab-Type"] == "int16"
    np.testing.assert_array_equal(values_of(answer), np.take(ct_values(), index, axis))


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
def test_labels_lie_on_the_image(gateway, sample, plane, axis):
    mask = np.zeros(CT_SHAPE, dtype=np.uint16)
    mask[LESION] = 1
    for index in range(CT_SHAPE[axis]):
        answer = gateway.slice(DATASET, sample.seg, SliceRequest(plane, index, on=sample.ct))
        np.testing.assert_array_equal(values_of(answer), np.take(mask, index, axis))


def test_a_frame_of_the_fourth_axis(gateway, sample):
    first, second = (values_of(gateway.slice(DATASET, sample.mr, SliceRequest("axial", 1, frame=frame))) for frame in (0, 1))
    np.testing.assert_array_equal(second, first + 1000)


def test_levels_of_a_projection(gateway, sample):
    levels = gateway.describe(DATASET, sample.mammogram)["levels"]
    assert len(levels) > 1
    for level, shape in enumerate(levels):
        assert values_of(gateway.slice(DATASET, sample.mammogram, SliceRequest("image", 0, level))).shape == tuple(shape)


def test_meta_tells_a_viewer_what_it_needs_and_nothing_of_the_patient(gateway, sample):
    answer = gateway.meta(DATASET, sample.ct)
    meta = json.loads(answer.body)
    assert meta["window"] == [40, 400]
    assert meta["units"] == "HU"
    assert [plane["name"] for plane in meta["planes"]] == ["axial", "coronal", "sagittal"]
    assert b"VIEWER-1" not in answer.body
    assert "patient_id" not in meta
    assert "study_uid" not in meta


def test_a_series_without_a_window_gets_one_from_its_values(gateway, sample):
    center, width = gateway.describe(DATASET, sample.mr)["window"]
    values = gateway.series(DATASET, sample.mr).array()[0]
    assert values.min() < center - width / 2 < center + width / 2 < values.max()


def test_a_slice_is_kept_for_ever_only_under_its_pixels_name(gateway, sample):
    version = gateway.describe(DATASET, sample.ct)["version"]
    kept = gateway.slice(DATASET, sample.ct, SliceRequest("axial", 0, version=version))
    assert "immutable" in kept.headers["Cache-Control"]
    for other in ("", "0" * 16):
        answer = gateway.slice(DATASET, sample.ct, SliceRequest("axial", 0, version=other))
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert answer.etag == kept.etag
    assert gateway.slice(DATASET, sample.ct, SliceRequest("axial", 1)).etag != kept.etag


@pytest.mark.parametrize(
    "request_",
    [
        SliceRequest("axial", 12),
        SliceRequest("oblique", 0),
        SliceRequest("axial", 0, level=7),
        SliceRequest("axial", 0, frame=1),
    ],
)
def test_what_lies_outside_the_series_is_refused(gateway, sample, request_):
    with pytest.raises(InvalidInputError):
        gateway.slice(DATASET, sample.ct, request_)


def test_an_image_is_not_laid_on_an_image(gateway, sample):
    with pytest.raises(InvalidInputError, match="segmentation"):
        gateway.slice(DATASET, sample.mr, SliceRequest("axial", 0, on=sample.ct))


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"plane": "axial"},
        {"plane": "axial", "index": "-1"},
        {"plane": "axial", "index": "1.5"},
        {"plane": "axial", "index": "٣"},
        {"plane": "axial", "index": "9" * 30},
        {"plane": "axial", "index": "1", "level": "x"},
        {"plane": "axial", "index": "1", "path": "/etc/passwd"},
    ],
)
def test_a_query_is_read_strictly(query):
    with pytest.raises(InvalidInputError):
        SliceRequest.from_query(query)


@pytest.mark.parametrize(
    "dataset", ["..", ".", "", "../viewer-sample", "viewer-sample/../viewer-sample", "VIEWER-SAMPLE", "nothing", "a\0b"]
)
def test_a_dataset_is_named_by_its_id_only(gateway, sample, dataset):
    with pytest.raises(NotFoundError):
        gateway.series(dataset, sample.ct)


@pytest.mark.parametrize("series", ["..", "", "0", "ct-000000000000", "../images/ct", "/etc/passwd"])
def test_a_series_is_named_by_its_id_only(gateway, series):
    with pytest.raises(NotFoundError):
        gateway.series(DATASET, series)


def test_a_store_of_another_gate_is_named_with_the_reason_but_not_served(tmp_path, sample):
    stranger = Gateway(sample.folder, (create_key(tmp_path / "other.key").public,))
    with pytest.raises(IntegrityError):
        stranger.meta(DATASET, sample.ct)
    (listed,) = json.loads(stranger.datasets().body)["datasets"]
    assert listed["id"] == DATASET
    assert "series" not in listed
    assert listed["error"]


def test_a_dataset_under_another_ones_name_is_not_served(tmp_path, sample):
    (tmp_path / "other").symlink_to(sample.folder / DATASET)
    with pytest.raises(IntegrityError, match="another dataset"):
        Gateway(tmp_path, (PublicKey(sample.key),)).store("other")


def test_a_manifest_that_changes_is_verified_again(tmp_path, sample):
    shutil.copytree(sample.folder / DATASET, tmp_path / DATASET)
    gateway = Gateway(tmp_path, (PublicKey(sample.key),))
    gateway.meta(DATASET, sample.ct)
    manifest = tmp_path / DATASET / "dataset.json"
    manifest.write_text(manifest.read_text().replace("The viewer's sample", "Something else"))
    with pytest.raises(IntegrityError):
        gateway.meta(DATASET, sample.ct)


def test_a_store_that_vanishes_is_not_found(tmp_path, sample):
    shutil.copytree(sample.folder / DATASET, tmp_path / DATASET)
    gateway = Gateway(tmp_path, (PublicKey(sample.key),))
    gateway.meta(DATASET, sample.ct)
    shutil.rmtree(tmp_path / DATASET)
    with pytest.raises(NotFoundError):
        gateway.slice(DATASET, sample.ct, SliceRequest("axial", 0))


def test_a_broken_chunk_is_a_storage_error(tmp_path, sample):
    shutil.copytree(sample.folder / DATASET, tmp_path / DATASET)
    for chunk in (tmp_path / DATASET / "images" / f"{sample.ct}.zarr" / "scale0" / "image" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"\0" * chunk.stat().st_size)
    with pytest.raises(StorageError):
        Gateway(tmp_path, (PublicKey(sample.key),)).slice(DATASET, sample.ct, SliceRequest("axial", 0))


def test_no_folder_is_no_dataset(tmp_path):
    assert json.loads(Gateway(tmp_path / "absent", ()).datasets().body) == {"datasets": []}


def test_a_folder_that_is_no_dataset_is_left_out(tmp_path, sample):
    (tmp_path / "notes").mkdir()
    (tmp_path / DATASET).symlink_to(sample.folder / DATASET)
    listed = json.loads(Gateway(tmp_path, (PublicKey(sample.key),)).datasets().body)["datasets"]
    assert [dataset["id"] for dataset in listed] == [DATASET]


def test_a_slice_above_the_limit_is_refused_before_it_is_read(gateway, sample, monkeypatch):
    monkeypatch.setattr(slices, "MAX_SLICE_BYTES", 1000)
    for request in (SliceRequest("axial", 0), SliceRequest("axial", 0, on=sample.ct)):
        with pytest.raises(TooLargeError):
            gateway.slice(DATASET, sample.seg if request.on else sample.ct, request)


class InMemory:
    """A series whose voxels are a NumPy array."""

    id = "memory"

    def __init__(self, values, affine, *, axis=None, frame=None):
        levels = (values.shape,)
        self.values, self.matrix = values, affine
        self.attributes = SimpleNamespace(
            shape=values.shape,
            levels=levels,
            dims=("c", "z", "y", "x")[-values.ndim :],
            affine=affine,
            axis=axis,
            frame_of_reference_uid=frame,
            samples=(),
            segments=(),
            fractional=None,
        )

    def array(self, level=0):
        assert level == 0
        return self.values

    def affine(self, level=0):
        assert level == 0
        return self.matrix


@pytest.mark.parametrize(
    ("stored", "sent"),
    [("int16", "int16"), ("uint16", "uint16"), (">i2", "int16"), ("int8", "int8"), ("uint8", "uint8"), ("bool", "uint8"),
     ("int32", "float32"), ("float64", "float32"), ("float32", "float32")],
)  # fmt: skip
def test_every_type_arrives_as_one_that_a_browser_can_draw(stored, sent):
    values = (np.arange(24).reshape(2, 3, 4) % 2).astype(stored)
    found = read_slice(InMemory(values, None), "z", 1)
    assert found.dtype == np.dtype(sent).newbyteorder("<")
    np.testing.assert_array_equal(found, values[1])


def test_labels_on_another_grid_are_looked_up_at_each_voxels_place():
    # the image is twice as fine as the labels, which begin 4 mm further on and cover less
    labels = np.zeros((3, 4, 5), dtype=np.uint8)
    labels[1, 2, 3] = 7
    label_affine, image_affine = np.diag([2.0, 2.0, 2.0, 1.0]), np.eye(4)
    label_affine[:3, 3] = 4.5  # voxel centres of the coarse grid lie between those of the fine one
    image = InMemory(np.zeros((16, 16, 16), dtype=np.int16), image_affine)
    found = np.stack([read_label_slice(InMemory(labels, label_affine), image, "z", z) for z in range(16)])
    assert set(np.unique(found)) == {0, 7}
    # in the affine's columns z, y, x the label's centre is 4.5 + 2 * (1, 2, 3), and it covers one mm to each side
    np.testing.assert_array_equal(np.argwhere(found == 7).min(axis=0), (6, 8, 10))
    np.testing.assert_array_equal(np.argwhere(found == 7).max(axis=0), (7, 9, 11))


def test_of_overlapping_segments_the_highest_number_shows():
    stack = np.zeros((2, 2, 3, 3), dtype=np.uint8)
    stack[0, :, :2], stack[1, :, 1:] = 1, 2
    label = InMemory(stack, np.eye(4), axis=SimpleNamespace(name="segment", values=(1.0, 2.0)))
    found = read_label_slice(label, InMemory(np.zeros((2, 3, 3), dtype=np.int16), np.eye(4)), "z", 0)
    assert found[:, 0].tolist() == [1, 2, 2]


def test_labels_of_another_frame_of_reference_are_refused():
    image = InMemory(np.zeros((2, 3, 3), dtype=np.int16), np.eye(4), frame="1.2")
    label = InMemory(np.zeros((2, 3, 3), dtype=np.uint8), np.eye(4), frame="1.3")
    with pytest.raises(InvalidInputError, match="frame of reference"):
        read_label_slice(label, image, "z", 0)


def test_labels_without_geometry_need_the_same_grid():
    image = InMemory(np.zeros((8, 8), dtype=np.int16), None)
    same = InMemory(np.eye(8, dtype=np.uint8), None)
    np.testing.assert_array_equal(read_label_slice(same, image, "z", 0), np.eye(8))
    with pytest.raises(InvalidInputError, match="not known"):
        read_label_slice(InMemory(np.zeros((4, 4), dtype=np.uint8), None), image, "z", 0)


def test_two_datasets_do_not_mix(tmp_path):
    key = create_key(tmp_path / "key")
    for name in ("one", "two"):
        write_store(tmp_path / "root", name, key)
        (tmp_path / "mounts").mkdir(exist_ok=True)
        (tmp_path / "mounts" / name).symlink_to(tmp_path / "root" / name / "1.0.0")
    gateway = Gateway(tmp_path / "mounts", (key.public,))
    ids = [gateway.store(name)[0].id for name in ("one", "two")]
    assert gateway.describe("one", ids[0])["dataset"] == "one"
    assert gateway.describe("two", ids[1])["dataset"] == "two"
