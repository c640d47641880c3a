"""Every kind of series through the gate into a store: what geometry, SUV, codes and references need survives, and still fits together."""

import copy

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    EnhancedMRImageStorage,
    JPEG2000Lossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)
from test_store_kinds import pet
from test_store_segments import square, structure_set
from test_store_standards import fractional

from cohortlab.deidentify.gate import ingest
from cohortlab.deidentify.report import Options
from cohortlab.keys import create_key
from cohortlab.store import Store, verify_store
from cohortlab.store.suv import suv_of
from dicom_samples import enhanced, instance, volume
from slide_samples import slide


@pytest.fixture
def gate(tmp_path):
    """A function: instances -> the store that the gate makes of them. Their pixels are computed, so nobody has to look at them."""
    key = create_key(tmp_path / "gate.key")

    def let_in(datasets) -> Store:
        folder = tmp_path / "source"
        folder.mkdir()
        for number, dataset in enumerate(datasets):
            named = copy.deepcopy(dataset)
            named.PatientName = "Mustermann^Erika"
            named.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        report = ingest([folder], "kinds", tmp_path / "stores", Options(key=tmp_path / "gate.key", deidentify=True, synthetic=True))
        assert not report.refused, [outcome.findings for outcome in report.outcomes]
        assert verify_store(report.path, [key.public]).ok
        assert not any(b"Mustermann" in file.read_bytes() for file in report.path.rglob("*") if file.is_file())
        return Store.open(report.path, [key.public])

    return let_in


@pytest.fixture(scope="module")
def anatomy() -> np.ndarray:
    return pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array.astype(np.uint16)


def test_pet_keeps_its_suv_factor(gate, anatomy):
    datasets = pet(anatomy)
    (ref,) = gate(datasets)
    assert ref.attributes.suv.bw == pytest.approx(suv_of(datasets).bw, rel=1e-9)
    assert ref.open().attrs["units"] == "BQML"
    assert np.allclose(ref.open()[3], datasets[3].pixel_array * float(datasets[3].RescaleSlope), rtol=1e-6)


def test_a_structure_set_still_belongs_to_its_image(gate):
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "41216001", "SCT", "Prostate"
    rtss = structure_set({1: ("Prostata Mustermann", [square(0, 2, 4.0)]), 2: ("Mustermann links", [square(2.2, 3.3, 4.0)])})
    rtss.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence = [code]
    store = gate([*volume(5), rtss])
    (ref,) = store.segmentations
    assert ref.source_series == store[0].id
    coded, other = ref.attributes.segments
    assert coded.codes["type"].value == "41216001"
    assert coded.label == coded.codes["type"].meaning
    assert other.label == "ROI 2"
    assert int((ref.array()[:] == 1).sum()) == 16


def test_a_fractional_seg_still_belongs_to_its_image(gate):
    store = gate(fractional())
    (ref,) = store.segmentations
    assert float(ref.open().max()) == pytest.approx(0.4, abs=1 / 255)


def test_a_slide_keeps_its_tiles_and_its_place(gate):
    pixels = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm")).pixel_array[:130, :170].copy()
    first = slide(pixels, 1)
    (ref,) = gate([first, slide(pixels[::2, ::2].copy(), 2, factor=2, keep=[0, 2])])
    assert ref.levels == [(3, 130, 170), (3, 65, 85)]
    assert ref.attributes.tiles.encoding == "jpeg"
    assert ref.affine()[:3, 3].tolist() == [20.5, 31.25, 0]
    assert np.abs(np.moveaxis(ref.array()[:], 0, -1)[:64, :64].astype(int) - first.pixel_array[0]).max() <= 2


@pytest.fixture
def judged(tmp_path):
    """A function: instances -> the gate's report on them."""
    create_key(tmp_path / "gate.key")

    def judge(datasets, **options):
        folder = tmp_path / f"source-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for number, dataset in enumerate(datasets):
            dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        chosen = Options(key=tmp_path / "gate.key", deidentify=True, synthetic=True, quarantine=tmp_path / "quarantine", **options)
        return ingest([folder], folder.name, tmp_path / "stores", chosen)

    return judge


def test_pictures_of_a_slides_label_stay_outside_and_the_slide_comes_in(judged):
    pixels = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm")).pixel_array[:130, :170].copy()
    label, overview, other = (slide(pixels[:64, :64].copy(), number) for number in (2, 3, 4))
    label.ImageType = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    overview.ImageType = ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"]
    other.SpecimenLabelInImage = "YES"
    report = judged([slide(pixels, 1), label, overview, other])
    (accepted,), (refused,) = report.accepted, report.refused
    assert (accepted.files, accepted.shape) == (1, (3, 130, 170))
    assert refused.files == 3
    assert [(f.reason.value, f.instances) for f in refused.findings] == [("slide-label", 3)]
    assert len(list(refused.quarantine.iterdir())) == 3
    alone = judged([label, overview])
    assert alone.path is None
    assert [f.reason.value for f in alone.refused[0].findings] == ["slide-label"]


def with_hidden_bits(syntax, *, precision):
    """Images of 12 bits stored, compressed with something in the bits above; `precision`: bits stored, as the encoder is told."""
    pixels = np.full((64, 64), 100, dtype=np.uint16)
    pixels[0, 0] = 0x1ABC
    datasets = [instance(n + 1, position=(0, 0, n), pixels=pixels) for n in range(3)]
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = precision, precision - 1
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.BitsStored, dataset.HighBit = 12, 11
    return datasets


def test_bits_beside_the_stored_ones_of_compressed_pixels_are_masked(judged):
    report = judged(with_hidden_bits(RLELossless, precision=12))
    (series,) = Store.open(report.path, [create_key(report.path.parents[2] / "gate.key").public])
    assert series.array()[0, 0, 0] + 1024 == 0x0ABC


def test_compressed_pixels_of_more_bits_than_their_header_says_are_refused(judged):
    report = judged(with_hidden_bits(JPEG2000Lossless, precision=16))
    assert [f.reason.value for o in report.refused for f in o.findings] == ["hidden-bits"]
    assert report.path is None


def test_a_clip_keeps_its_times(gate):
    clip = pydicom.dcmread(get_testdata_file("SC_rgb_rle_2frame.dcm"))
    clip.SOPClassUID, clip.Modality, clip.FrameTime = UltrasoundMultiFrameImageStorage, "US", 40
    clip.file_meta.MediaStorageSOPClassUID = clip.SOPClassUID
    (ref,) = gate([clip])
    assert ref.open().dims == ("time", "sample", "y", "x")
    assert ref.open().time.values.tolist() == [0, 40]


def test_a_tomosynthesis_keeps_its_geometry(gate, anatomy):
    slices = [instance(n + 1, position=(10.0 + n, -60.5, 20.0), orientation=(0, 1, 0, 0, 0, -1), pixels=anatomy) for n in range(4)]
    for dataset in slices:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    made = enhanced(slices, BreastTomosynthesisImageStorage)
    made.Modality, made.SeriesDescription = "MG", "tomosynthesis"
    (ref,) = gate([made])
    assert ref.attributes.regular
    assert ref.attributes.spacing == (1.0, 0.5, 0.5)


def test_parallel_stacks_of_an_enhanced_mr_stay_apart(gate, anatomy):
    frames = [
        instance(n + 1, position=(x, 0, 0), orientation=(0, 1, 0, 0, 0, -1), pixels=anatomy + n, modality="MR")
        for n, x in enumerate((-80.0, -76.0, -72.0, 60.0, 64.0, 68.0))
    ]
    made = enhanced(frames, EnhancedMRImageStorage)
    for n, item in enumerate(made.PerFrameFunctionalGroupsSequence):
        item.FrameContentSequence = [pydicom.Dataset()]
        item.FrameContentSequence[0].StackID = "1" if n < 3 else "2"
    assert [ref.attributes.shape for ref in gate([made])] == [(3, 64, 64)] * 2
