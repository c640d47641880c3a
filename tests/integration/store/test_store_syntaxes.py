"""Real files of every transfer syntax that pydicom brings: stored, they hold what pydicom decodes; lossless ones what their twins hold."""

import contextlib
import warnings
from pathlib import Path

import data_store
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, apply_modality_lut
from store_helpers import write

from cohortlab.errors import InvalidInputError
from cohortlab.store import Store, verify_store

LOCAL = Path(get_testdata_file("CT_small.dcm")).parent
FOLDERS = (LOCAL, Path(data_store.__file__).parent)
NO_IMAGE = {"RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR", "ECG"}
CUT_SHORT = {"MR_truncated.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm", "GDCMJ2K_TextGBR.dcm"}
"""Damaged: less pixel data than they say, or a colour transform that they deny."""


def read(path: Path) -> pydicom.Dataset:
    """A file as the gate would hand it on: with the identifiers that a store needs, whatever this sample left out."""
    dataset = pydicom.dcmread(path)
    for number, keyword in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), 1):
        if not dataset.get(keyword):
            setattr(dataset, keyword, f"2.25.{number}")
    dataset.PatientID = "P1"
    dataset.SOPClassUID = dataset.get("SOPClassUID") or pydicom.uid.SecondaryCaptureImageStorage
    return dataset


def images() -> list[Path]:
    found = []
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*.dcm")):
            with contextlib.suppress(pydicom.errors.InvalidDicomError, AttributeError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(path, stop_before_pixels=True)
                if "Rows" in header and str(header.get("Modality")) not in NO_IMAGE and header.file_meta.get("TransferSyntaxUID"):
                    found.append(path)
    return found


IMAGES = images()
TWINS = [
    ("693_UNCR.dcm", "693_J2KR.dcm"),
    ("MR2_UNCR.dcm", "MR2_J2KR.dcm"),
    ("RG1_UNCR.dcm", "RG1_J2KR.dcm"),
    ("US1_UNCR.dcm", "US1_J2KR.dcm"),
    ("MR_small.dcm", "MR_small_RLE.dcm"),
    ("MR_small.dcm", "MR_small_bigendian.dcm"),
    ("MR_small.dcm", "MR_small_jp2klossless.dcm"),
    ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    ("emri_small.dcm", "emri_small_RLE.dcm"),
    ("emri_small.dcm", "emri_small_big_endian.dcm"),
    ("emri_small.dcm", "emri_small_jpeg_2k_lossless.dcm"),
    ("emri_small.dcm", "emri_small_jpeg_ls_lossless.dcm"),
    ("OBXXXX1A.dcm", "OBXXXX1A_rle.dcm"),
    ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
    ("OBXXXX1A_2frame.dcm", "OBXXXX1A_expb_2frame.dcm"),
    ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
    ("SC_rgb_16bit.dcm", "SC_rgb_rle_16bit.dcm"),
    ("color-pl.dcm", "color-px.dcm"),
]


def find(name: str) -> Path:
    return next(p for p in IMAGES if p.name == name)


def store_of(tmp_path, key, path, name="one") -> Store:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some samples are there to break the standard's rules on values
        return Store.open(write(tmp_path, name, [read(path)], key), [key.public])


def hounsfield(dataset):
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        return apply_modality_lut(dataset.pixel_array, dataset)
    orientation = np.array(dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    normal = np.cross(orientation[:3], orientation[3:])
    frames = []
    for pixels, item in zip(dataset.pixel_array, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        (rule,) = item.get("PixelValueTransformationSequence") or dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        height = float(np.array(item.PlanePositionSequence[0].ImagePositionPatient, dtype=float) @ normal)
        frames.append((height, pixels * float(rule.RescaleSlope) + float(rule.RescaleIntercept)))
    return np.stack([pixels for _, pixels in sorted(frames, key=lambda f: f[0])])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("path", [p for p in IMAGES if p.name not in CUT_SHORT], ids=lambda p: p.stem)
def test_the_store_holds_what_pydicom_decodes(tmp_path, key, path):
    dataset = read(path)
    try:
        expected = dataset.pixel_array
    except (RuntimeError, AttributeError):  # no plug-in here decodes it, such as JPEG of 12 bits, or it is damaged
        with pytest.raises(InvalidInputError):
            store_of(tmp_path, key, path)
        return
    (ref,) = store = store_of(tmp_path, key, path)
    attributes = ref.attributes
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        expected = apply_color_lut(expected, dataset) if "_expb" not in path.stem and "_big" not in path.stem else None
    if attributes.rescale is not None and attributes.rescale.applied:
        expected = hounsfield(dataset)
    ours = ref.array()[:]
    if attributes.samples:
        ours = np.moveaxis(ours, attributes.dims.index("c"), -1)
        assert attributes.photometric == "RGB"
    if expected is not None:  # pydicom takes a palette in big endian for one in little endian; the twins below tell those
        assert (ours.squeeze() == expected.squeeze()).all()
    assert verify_store(store.path, [key.public]).ok


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("plain", "packed"), TWINS)
def test_lossless_twins_hold_the_same(tmp_path, key, plain, packed):
    one, other = (store_of(tmp_path, key, find(name), f"n{i}")[0].attributes for i, name in enumerate((plain, packed)))
    assert one.digests == other.digests
    assert one.shape == other.shape


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", sorted(CUT_SHORT - {"GDCMJ2K_TextGBR.dcm"}))
def test_a_file_that_is_cut_short_is_refused(tmp_path, key, name):
    with pytest.raises(InvalidInputError):
        store_of(tmp_path, key, find(name))
    assert not (tmp_path / "one" / "1.0.0").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_ultrasound_clip_is_colour_in_time(tmp_path, key):
    path = find("color3d_jpeg_baseline.dcm")
    (ref,) = store_of(tmp_path, key, path)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    clip = ref.open()
    assert clip.dims == ("time", "sample", "y", "x")
    assert clip.shape == (120, 3, 480, 640)
    assert np.diff(clip.time.values) == pytest.approx(float(header.FrameTime), rel=1e-4)
    assert ref.attributes.axis.unit == "ms"
    assert ref.attributes.regular
    (region,) = header.SequenceOfUltrasoundRegions[:1]
    assert ref.attributes.spacing[0] is None or ref.attributes.spacing[0] == pytest.approx(region.PhysicalDeltaY * 10)
