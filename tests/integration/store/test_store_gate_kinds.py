"""Every kind of series through the gate into a store: what geometry, SUV, codes and references need survives, and still fits together."""

import copy

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import BreastTomosynthesisImageStorage, EnhancedMRImageStorage, UltrasoundMultiFrameImageStorage
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
