"""Real series through the store: geometry against SimpleITK, pixels against pydicom, labels on the image's grid."""

import copy
import hashlib
import json
import re
from collections import defaultdict

import numpy as np
import pydicom
import pytest
import SimpleITK
import xarray as xr
import zarr
from pydicom.pixels import apply_modality_lut
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage
from store_helpers import write

from cohortlab.errors import InvalidInputError
from cohortlab.store import Store, group, verify_store
from dicom_samples import enhanced


def by_series(datasets):
    found = defaultdict(list)
    for dataset in datasets:
        found[str(dataset.SeriesInstanceUID)].append(dataset)
    return found


def itk(files):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(f) for f in files])
    return reader.Execute()


@pytest.mark.parametrize("name", ["prostatex", "ct-head-phantom", "ct-liver-seg"])
def test_every_voxel_centre_is_where_simpleitk_puts_it(made, name):
    datasets, store = made(name)
    files = by_series(datasets)
    compared = 0
    for ref in store:
        series = sorted(files[ref.attributes.series_uid], key=lambda d: d.InstanceNumber)
        if ref.attributes.axis is not None:
            series = [d for d in series if "*ep_b50t" in str(d.SequenceName)]
        axis = np.cross(np.array(series[0].ImageOrientationPatient[:3], float), np.array(series[0].ImageOrientationPatient[3:], float))
        series.sort(key=lambda d: float(np.array(d.ImagePositionPatient, float) @ axis))
        image = itk([d.filename for d in series])
        affine = ref.affine()
        size = image.GetSize()
        for corner in np.ndindex(2, 2, 2):
            x, y, z = (c * (n - 1) for c, n in zip(corner, size, strict=True))
            ours = (affine @ [z, y, x, 1])[:3]
            assert np.abs(ours - image.TransformIndexToPhysicalPoint((x, y, z))).max() < 1e-6
        pixels = ref.array()[0] if ref.attributes.axis is not None else ref.array()[:]
        assert (pixels == SimpleITK.GetArrayFromImage(image)).all()
        compared += 1
    assert compared == len(store) > 0


def test_coordinates_are_distances_along_the_images_own_axes(made):
    _, store = made("prostatex")
    for ref in store:
        image = ref.open()
        affine = image.attrs["affine"]
        n = [(image.sizes[d] - 1) for d in "zyx"]
        row, column = (affine[:3, i] / np.linalg.norm(affine[:3, i]) for i in (2, 1))
        normal = np.cross(row, column)
        point = float(image.x[-1]) * row + float(image.y[-1]) * column + float(image.z[-1]) * normal
        assert np.abs(point - (affine @ [*n, 1])[:3]).max() < 1e-4


def test_the_b_value_series_is_four_dimensional(made):
    _, store = made("prostatex")
    (ref,) = [r for r in store if r.attributes.axis is not None]
    assert ref.attributes.instances == 57
    assert ref.attributes.shape == (3, 19, 128, 84)
    image = ref.open()
    assert image.dims == ("b_value", "z", "y", "x")
    assert image.b_value.values.tolist() == [50, 400, 800]
    assert float(image.sel(b_value=50).mean()) > float(image.sel(b_value=800).mean())  # signal decays with diffusion weighting


@pytest.mark.parametrize("name", ["prostatex", "ct-head-phantom", "ct-head-tilted", "prostatex-missing-slice", "ct-liver-seg"])
def test_pixel_digests_are_those_of_the_decoded_dicom(made, name):
    datasets, store = made(name)
    files = {str(d.SOPInstanceUID): d for d in datasets}
    for ref in store:
        rows = ref.headers()
        stored, values = hashlib.sha256(), hashlib.sha256()
        for row in rows:
            dataset = files[row["sop_instance_uid"]]
            pixels = dataset.pixel_array
            stored.update(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes())
            assert row["pixel_sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
            result = apply_modality_lut(pixels, dataset) if ref.modality == "CT" else pixels
            assert (result == result.astype(ref.attributes.dtype)).all()
            values.update(result.astype(ref.attributes.dtype).tobytes())
        assert stored.hexdigest() == ref.attributes.digests.source
        assert values.hexdigest() == ref.attributes.digests.pixels
        assert hashlib.sha256(ref.array()[:].tobytes()).hexdigest() == ref.attributes.digests.pixels


@pytest.mark.parametrize(("name", "reason"), [("prostatex-missing-slice", "missing slice: 1 missing"), ("ct-head-tilted", "uneven gaps")])
def test_a_series_that_is_no_volume_keeps_its_true_slices_and_no_spacing(made, name, reason):
    datasets, store = made(name)
    (ref,) = store
    attributes = ref.attributes
    assert not attributes.regular
    assert attributes.irregular_reason.startswith(reason)
    assert attributes.affine is None
    assert ref.affine() is None
    assert attributes.spacing[0] is None
    assert {s.position for s in attributes.slices} == {tuple(float(v) for v in d.ImagePositionPatient) for d in datasets}
    assert ref.open().z.values.tolist() == list(attributes.positions)
    ome = json.loads((ref.path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert "unit" not in ome["axes"][0]  # an index, no length


def test_ct_is_in_hounsfield_units(made):
    _, store = made("ct-head-phantom")
    image = store[0].open()
    assert image.attrs["units"] == "HU"
    assert image.dtype == np.int16
    assert -1024 <= int(image[70].min()) < -900  # air around the phantom


def test_levels_halve_and_keep_their_place(made):
    _, store = made("ct-head-phantom")
    ref = store[0]
    assert ref.levels == [(140, 512, 512), (140, 256, 256), (70, 128, 128)]
    full = ref.open()
    for level in (1, 2):
        small = ref.open(level)
        assert small.shape == ref.levels[level]
        at = (small.attrs["affine"] @ [0, 0, 0, 1])[:3]
        assert at == pytest.approx([float(small.x[0]), float(small.y[0]), float(small.z[0])])  # axial: coordinates are L, P, S
        assert abs(float(small.mean()) - float(full.mean())) < 1


@pytest.mark.parametrize("number", [0, 1])
def test_a_liver_segmentation_lies_on_the_images_grid(made, number):
    datasets, store = made("ct-liver-seg")
    (image,) = store
    ref = image.segmentations[number]
    assert ref.source_series == image.id
    assert ref.attributes.shape[-3:] == image.attributes.shape
    assert np.array_equal(ref.affine(), image.affine())
    dicom = next(d for d in datasets if str(d.SeriesInstanceUID) == ref.attributes.series_uid)
    assert [s.number for s in ref.attributes.segments] == [s.SegmentNumber for s in dicom.SegmentSequence]
    labels = ref.open()
    pixels = dicom.pixel_array
    for frame, item in zip(pixels, dicom.PerFrameFunctionalGroupsSequence, strict=True):
        segment = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        height = float(item.PlanePositionSequence[0].ImagePositionPatient[2])
        plane = labels.sel(z=height, method="nearest")
        assert abs(float(plane.z) - height) < 1e-5  # its header has fewer digits than the image's
        plane = plane.sel(segment=segment) if "segment" in plane.dims else plane
        assert ((plane.values == segment) == (frame > 0)).all()
    assert int(sum((labels == s.number).sum() for s in ref.attributes.segments)) == int((pixels > 0).sum())


def test_overlapping_segments_have_a_plane_each(made):
    _, store = made("ct-liver-seg")
    overlapping = [r for r in store.segmentations if "segment" in r.open().dims]
    assert len(overlapping) == 1
    labels = overlapping[0].open()
    assert int(((labels > 0).sum("segment") > 1).sum()) > 0
    assert overlapping[0].attributes.segments[0].codes["type"].meaning
    assert overlapping[0].attributes.segments[0].color is not None


def test_a_store_opens_with_plain_zarr_and_xarray(made):
    _, store = made("prostatex")
    for ref in store:
        plain = xr.open_zarr(ref.path / "scale0", chunks=None)
        assert (plain["image"].values == ref.array()[:]).all()
        assert zarr.open_group(ref.path, mode="r")["scale0/image"].shape == ref.levels[0]


def test_reading_leaves_zarrs_configuration_as_it_was(made):
    before = zarr.config.get("codec_pipeline.path")
    array = made("prostatex")[1][0].array()
    assert "zarrs" in type(array._async_array.codec_pipeline).__module__
    assert zarr.config.get("codec_pipeline.path") == before


def test_headers_are_enough_to_find_the_instances_again(made):
    datasets, store = made("prostatex")
    for ref in store:
        rows = ref.headers()
        assert len(rows) == ref.attributes.instances
        first = pydicom.Dataset.from_json(rows[0]["header"])
        assert "PixelData" not in first
        source = next(d for d in datasets if d.SOPInstanceUID == first.SOPInstanceUID)
        assert first.ImagePositionPatient == source.ImagePositionPatient
        assert first.StudyInstanceUID == source.StudyInstanceUID


def test_what_is_written_verifies_and_reading_writes_nothing(made, key):
    _, store = made("ct-liver-seg")
    before = {p: p.stat().st_mtime_ns for p in store.path.rglob("*")}
    report = verify_store(store.path, [key.public])
    assert report.ok, report.findings
    for ref in [*store, *store.segmentations]:
        ref.open().values  # noqa: B018 - read it all
        ref.headers()
    assert {p: p.stat().st_mtime_ns for p in store.path.rglob("*")} == before


def test_a_segmentation_without_its_image_is_refused(made, tmp_path, key):
    datasets, _ = made("ct-liver-seg")
    with pytest.raises(InvalidInputError, match="grid"):
        write(tmp_path, "alone", [d for d in datasets if d.Modality == "SEG"], key)
    other = made("ct-head-phantom")[0][:5]
    with pytest.raises(InvalidInputError, match="grid"):
        write(tmp_path, "alone", [d for d in datasets if d.Modality == "SEG"] + other, key)
    assert not (tmp_path / "alone" / "1.0.0").exists()


def test_the_order_of_files_does_not_matter(made):
    datasets, _ = made("prostatex")
    forward = [(g.id, [[f.uid for f in v] for v in g.frames]) for g in group(datasets)]
    assert forward == [(g.id, [[f.uid for f in v] for v in g.frames]) for g in group(datasets[::-1])]


def test_an_enhanced_multi_frame_ct_is_the_same_as_its_slices(made, tmp_path, key):
    slices = [d for d in made("ct-liver-seg")[0] if d.Modality == "CT"]
    store = Store.open(write(tmp_path, "enhanced", [enhanced(slices[::-1], EnhancedCTImageStorage)], key), [key.public])
    ours, classic = store[0], made("ct-liver-seg")[1][0]
    assert ours.attributes.instances == 1
    assert np.array_equal(ours.affine(), classic.affine())
    assert ours.attributes.digests == classic.attributes.digests
    assert ours.attributes.units == "HU"


def test_an_enhanced_mr_with_three_b_values_is_four_dimensional(made, tmp_path, key):
    slices = [d for d in made("prostatex")[0] if str(d.SeriesDescription) == "ep2d_diff_tra_DYNDIST"]
    assert len(slices) == 57
    copies = [copy.deepcopy(d) for d in slices]
    for dataset in copies:
        dataset.DiffusionBValue = float(re.search(r"ep_b(\d+)", str(dataset.SequenceName)).group(1))
        del dataset.SequenceName
    store = Store.open(write(tmp_path, "enhanced", [enhanced(copies, EnhancedMRImageStorage)], key), [key.public])
    (classic,) = [r for r in made("prostatex")[1] if r.attributes.axis is not None]
    assert store[0].attributes.axis == classic.attributes.axis
    assert store[0].attributes.digests == classic.attributes.digests
    assert np.array_equal(store[0].affine(), classic.affine())
