"""Kinds of series that no folder of real data holds: made from real pixels, stored, compared to what independent readers say."""

import copy
import json
import math
from contextlib import closing

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    PositronEmissionTomographyImageStorage,
)
from store_helpers import write

from cohortlab.store import Store, verify_store
from cohortlab.store.suv import suv_of
from dicom_samples import enhanced, instance


def stored(tmp_path, key, datasets, name="made"):
    store = Store.open(write(tmp_path, name, datasets, key), [key.public])
    assert verify_store(store.path, [key.public]).ok
    return store


@pytest.fixture(scope="module")
def anatomy() -> np.ndarray:
    """Real pixels, (64, 64): an MR of pydicom's."""
    return pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array.astype(np.uint16)


def pet(pixels, **elements) -> list[Dataset]:
    """Six slices, each with a slope of its own, of an FDG scan an hour after injection."""
    made = []
    for n in range(6):
        dataset = instance(n + 1, position=(-50.0, -40.0, 3.27 * n), spacing=(4.0, 4.0), pixels=np.roll(pixels, n, axis=0), modality="PT")
        dataset.SOPClassUID = PositronEmissionTomographyImageStorage
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{0.5 + 0.13 * n:.6g}", "0"
        dataset.Units, dataset.DecayCorrection, dataset.CorrectedImage = "BQML", "START", ["NORM", "DTIM", "ATTN", "SCAT", "DECY"]
        dataset.PatientWeight = 70
        dataset.SeriesDate = dataset.AcquisitionDate = "20300105"
        dataset.SeriesTime, dataset.AcquisitionTime = "110000", f"1100{n:02d}"
        drug = Dataset()
        drug.RadionuclideTotalDose, drug.RadionuclideHalfLife, drug.RadiopharmaceuticalStartTime = 350e6, 6586.2, "100000"
        dataset.RadiopharmaceuticalInformationSequence = [drug]
        made.append(dataset)
    for dataset in made:
        for keyword, value in elements.items():
            target = dataset.RadiopharmaceuticalInformationSequence[0] if keyword.startswith("Radio") else dataset
            if value is None:
                delattr(target, keyword)
            else:
                setattr(target, keyword, value)
    return made


def test_pet_opens_in_becquerels_as_simpleitk_reads_it(anatomy, tmp_path, key):
    datasets = pet(anatomy)
    ref = stored(tmp_path, key, datasets[::-1])[0]
    folder = tmp_path / "dicom"
    folder.mkdir()
    for dataset in datasets:
        dataset.save_as(folder / f"{dataset.InstanceNumber}.dcm", enforce_file_format=True)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(folder / f"{n}.dcm") for n in range(1, 7)])
    theirs = reader.Execute()
    image = ref.open()
    assert image.attrs["units"] == "BQML"
    assert image.dtype == np.float32
    assert np.allclose(image.values, SimpleITK.GetArrayFromImage(theirs), rtol=1e-6)
    assert (ref.array()[:] == np.stack([d.pixel_array for d in datasets])).all()  # stored as they came
    for corner in np.ndindex(2, 2, 2):
        z, y, x = (c * (n - 1) for c, n in zip(corner, image.shape, strict=True))
        assert np.abs((ref.affine() @ [z, y, x, 1])[:3] - theirs.TransformIndexToPhysicalPoint((x, y, z))).max() < 1e-6


def test_pet_is_rescaled_as_it_is_read(anatomy, tmp_path, key):
    ref = stored(tmp_path, key, pet(anatomy))[0]
    image = ref.open()
    whole = image.values
    assert (image[2:4, 5, ::3].values == whole[2:4, 5, ::3]).all()
    assert (image.isel(z=[4, 0], x=[1, 7, 9]).values == whole[[4, 0]][:, :, [1, 7, 9]]).all()
    assert float(image[3, 8, 9]) == whole[3, 8, 9]
    assert (ref.open(chunks="shards").compute().values == whole).all()


def test_slices_with_a_slope_of_their_own_are_not_averaged_with_each_other(anatomy, tmp_path, key):
    big = np.tile(anatomy, (4, 4))
    datasets = pet(big)
    ref = stored(tmp_path, key, datasets)[0]
    assert [level[0] for level in ref.levels] == [6, 6]
    small = ref.open(1).values
    assert np.abs(small.mean(axis=(1, 2)) / ref.open().values.mean(axis=(1, 2)) - 1).max() < 0.01


def test_the_suv_factor_is_that_of_the_formula(anatomy, tmp_path, key):
    suv = stored(tmp_path, key, pet(anatomy))[0].attributes.suv
    assert suv.bw == pytest.approx(70 * 1000 / (350e6 * math.exp(-math.log(2) * 3600 / 6586.2)), rel=1e-12)


CASES = [
    ({"DecayCorrection": "ADMIN"}, 70e3 / 350e6),
    ({"Units": "GML"}, 1.0),
    (
        {"RadiopharmaceuticalStartTime": "235900", "SeriesTime": "000100", "AcquisitionTime": "000200"},
        70e3 / (350e6 * 0.5 ** (120 / 6586.2)),
    ),
    (
        {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20300105100000.00"},
        70e3 / (350e6 * 0.5 ** (3600 / 6586.2)),
    ),
]
"""What differs, the factor: corrected to administration; in SUV already; over midnight; with a date."""


@pytest.mark.parametrize(("elements", "factor"), CASES)
def test_suv_factors(anatomy, elements, factor):
    assert suv_of(pet(anatomy, **elements)).bw == pytest.approx(factor, rel=1e-9)


def test_a_series_time_of_later_processing_is_not_taken_for_the_scan(anatomy):
    """The frames' own times give the moment back to which they are corrected, here the start of the scan at 11:00:00."""
    datasets = pet(anatomy, SeriesTime="153000", ActualFrameDuration=120000)
    decay = math.log(2) / 6586.2
    average = math.log(decay * 120 / (1 - math.exp(-decay * 120))) / decay
    for n, dataset in enumerate(datasets):
        dataset.AcquisitionTime = f"11{n * 2:02d}00"
        dataset.FrameReferenceTime = (n * 120 + average) * 1000
    assert suv_of(datasets).bw == pytest.approx(70e3 / (350e6 * 0.5 ** (3600 / 6586.2)), rel=1e-6)


REASONS = [
    ({"PatientWeight": None}, "PatientWeight"),
    ({"PatientWeight": 0}, "PatientWeight"),
    ({"Units": "CNTS"}, "CNTS"),
    ({"CorrectedImage": ["ATTN"]}, "DECY"),
    ({"DecayCorrection": "NONE"}, "DecayCorrection"),
    ({"RadionuclideTotalDose": None}, "RadionuclideTotalDose"),
    ({"RadionuclideHalfLife": None}, "RadionuclideHalfLife"),
    ({"RadiopharmaceuticalStartTime": None}, "RadiopharmaceuticalStart"),
    ({"SeriesTime": "153000"}, "FrameReferenceTime"),
    ({"AcquisitionTime": None}, "AcquisitionTime"),
]


@pytest.mark.parametrize(("elements", "named"), REASONS)
def test_without_what_it_needs_there_is_no_suv_but_the_reason(anatomy, elements, named):
    suv = suv_of(pet(anatomy, **elements))
    assert suv.bw is None
    assert named in suv.reason


def test_a_tomosynthesis_is_a_volume_where_highdicom_puts_it(anatomy, tmp_path, key):
    slices = [
        instance(n + 1, position=(10.0 + n, -60.5, 20.0), orientation=(0, 1, 0, 0, 0, -1), spacing=(0.085, 0.085), pixels=anatomy)
        for n in range(7)
    ]
    for dataset in slices:
        dataset.Modality, dataset.SOPClassUID = "MG", BreastTomosynthesisImageStorage
        del dataset.RescaleSlope, dataset.RescaleIntercept
    made = enhanced(slices, BreastTomosynthesisImageStorage)
    made.ImageLaterality = "L"
    ref = stored(tmp_path, key, [made])[0]
    assert ref.attributes.regular
    assert ref.attributes.spacing == pytest.approx((1.0, 0.085, 0.085))
    assert ref.attributes.laterality == "L"
    assert_same_places(ref, made)


def assert_same_places(ref, dataset):
    """Every corner is where highdicom's own geometry of the multi-frame instance has it, in whichever order it counts the slices."""
    made = highdicom.Image.from_dataset(dataset)
    with closing(made._db_con):  # its own index, which it leaves open
        geometry = made.get_volume_geometry()
    z, y, x = geometry.spatial_shape
    assert (z, y, x) == ref.attributes.shape[-3:]
    corners = np.array([[c * (n - 1) for c, n in zip(corner, (z, y, x), strict=True)] for corner in np.ndindex(2, 2, 2)])
    theirs = geometry.map_indices_to_reference(corners)
    ours = (ref.affine() @ np.c_[corners, np.ones(8)].T)[:3].T
    if np.abs(ours[0] - theirs[0]).max() > 1e-3:
        corners[:, 0] = z - 1 - corners[:, 0]
        ours = (ref.affine() @ np.c_[corners, np.ones(8)].T)[:3].T
    assert np.abs(ours - theirs).max() < 1e-6


def test_two_stacks_of_one_enhanced_instance_are_two_volumes(anatomy, tmp_path, key):
    axial = [instance(n + 1, position=(0, 0, 3.0 * n), pixels=anatomy + n, modality="MR") for n in range(4)]
    sagittal = [
        instance(n + 5, position=(4.0 * n, 0, 0), orientation=(0, 1, 0, 0, 0, -1), pixels=anatomy + 50 + n, modality="MR") for n in range(5)
    ]
    made = enhanced([*axial, *sagittal], EnhancedMRImageStorage)
    del made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for item, frame in zip(made.PerFrameFunctionalGroupsSequence, [*axial, *sagittal], strict=True):
        item.PlaneOrientationSequence = [Dataset()]
        item.PlaneOrientationSequence[0].ImageOrientationPatient = frame.ImageOrientationPatient
    store = stored(tmp_path, key, [made])
    assert sorted(ref.attributes.shape[0] for ref in store) == [4, 5]
    assert all(ref.attributes.regular for ref in store)
    for ref, frames in zip(
        sorted(store, key=lambda r: r.attributes.shape[0]), (axial, sagittal[::-1]), strict=True
    ):  # along the normal, to the right
        assert (ref.array()[:] == np.stack([f.pixel_array for f in frames])).all()


def test_parallel_stacks_are_told_apart_by_their_ids(anatomy, tmp_path, key):
    """Both breasts in sagittal slices: one orientation, two volumes."""
    frames = [
        instance(n + 1, position=(x, 0, 0), orientation=(0, 1, 0, 0, 0, -1), pixels=anatomy + n, modality="MR")
        for n, x in enumerate((-80.0, -76.0, -72.0, 60.0, 64.0, 68.0))
    ]
    made = enhanced(frames, EnhancedMRImageStorage)
    for n, item in enumerate(made.PerFrameFunctionalGroupsSequence):
        item.FrameContentSequence = [Dataset()]
        item.FrameContentSequence[0].StackID = "1" if n < 3 else "2"
    store = stored(tmp_path, key, [made])
    assert [ref.attributes.shape for ref in store] == [(3, 64, 64)] * 2
    assert all(ref.attributes.regular for ref in store)


@pytest.mark.parametrize("kind", ["time", "echo"])
def test_an_enhanced_series_in_time_or_echoes_has_that_axis(anatomy, tmp_path, key, kind):
    frames = [
        instance(1 + n + 4 * t, position=(0, 0, 3.0 * n), pixels=anatomy + 10 * t + n, modality="MR") for t in range(3) for n in range(4)
    ]
    made = enhanced(frames, EnhancedMRImageStorage)
    for n, item in enumerate(made.PerFrameFunctionalGroupsSequence):
        holder, keyword, value = (
            ("FrameContentSequence", "TemporalPositionIndex", n // 4 + 1)
            if kind == "time"
            else ("MREchoSequence", "EffectiveEchoTime", 10.0 + n // 4)
        )
        setattr(item, holder, [Dataset()])
        setattr(getattr(item, holder)[0], keyword, value)
    ref = stored(tmp_path, key, [made])[0]
    image = ref.open()
    assert image.dims == ("temporal_position" if kind == "time" else "echo_time", "z", "y", "x")
    assert (image[1, 2].values == anatomy + 12).all()


def test_a_mammogram_has_the_detectors_spacing_and_no_place(anatomy, tmp_path, key):
    made = instance(1, position=None, pixels=anatomy, modality="MG", SOPClassUID=DigitalMammographyXRayImageStorageForPresentation)
    made.ImagerPixelSpacing, made.ImageLaterality, made.ViewPosition = [0.07, 0.07], "R", "MLO"
    other = copy.deepcopy(made)
    other.SOPInstanceUID, other.ViewPosition = "2.25.99", "CC"
    store = stored(tmp_path, key, [made, other])
    assert sorted(ref.attributes.view for ref in store) == ["CC", "MLO"]
    for ref in store:
        assert ref.attributes.dims == ("y", "x")
        assert ref.affine() is None
        assert float(ref.open().x[1]) == pytest.approx(0.07)


def test_a_real_radiograph(test_data, tmp_path, key):
    dataset = pydicom.dcmread(test_data / "small" / "dx_image.dcm")
    ref = stored(tmp_path, key, [dataset])[0]
    assert (ref.array()[:] == dataset.pixel_array).all()
    assert ref.attributes.photometric == "MONOCHROME1"
    assert ref.attributes.spacing == tuple(float(v) for v in dataset.PixelSpacing)


def test_colour_is_written_for_ome_readers_as_colour(tmp_path, key):
    dataset = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm"))
    ref = stored(tmp_path, key, [dataset])[0]
    assert (np.moveaxis(ref.open().values, 0, -1) == dataset.pixel_array).all()
    ome = json.loads((ref.path / "zarr.json").read_text())["attributes"]["ome"]
    assert [c["color"] for c in ome["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]
