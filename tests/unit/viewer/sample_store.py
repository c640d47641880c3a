"""A small store with real StoreWriter output for the viewer's tests: an oblique CT, its segmentation, a 4-D MR, a mammogram."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, MRImageStorage

from cohortlab.keys import PrivateKey, create_key
from cohortlab.store import ManifestFields, StoreWriter

DATASET = "viewer-sample"
CT_SHAPE = (12, 96, 80)
LESION = (slice(4, 8), slice(30, 50), slice(20, 44))
_ROOT = "1.2.826.0.1.3680043.8.498."


@dataclass(frozen=True)
class Sample:
    """The mount folder, the key that it verifies against, and the ids of its series."""

    folder: Path
    key: str
    ct: str
    seg: str
    mr: str
    mammogram: str

    def environment(self) -> dict[str, str]:
        """What a session's environment says."""
        return {"COHORTLAB_DATASETS": str(self.folder), "COHORTLAB_TRUSTED_KEYS": self.key}


def ct_values() -> np.ndarray:
    """HU of the CT, (z, y, x): every voxel tells its place, within what a soft tissue window shows."""
    z, y, x = np.indices(CT_SHAPE)
    return (z * 12 + (y * 2) - (x * 3) - 60 + 40 * ((x // 8 + y // 8) % 2)).astype(np.int16)


def instance(sop_class: str, series: int, number: int, pixels: np.ndarray, modality: str) -> pydicom.Dataset:
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = sop_class
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"{_ROOT}9.{series}.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"{_ROOT}1", f"{_ROOT}2.{series}"
    made.FrameOfReferenceUID = f"{_ROOT}3"
    made.PatientID, made.PatientName, made.PatientBirthDate, made.PatientSex = "VIEWER-1", "VIEWER^1", "", ""
    made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
    made.Modality, made.SeriesNumber, made.InstanceNumber = modality, series, number
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit = 15
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    return made


def _volume(sop_class: str, series: int, values: np.ndarray, modality: str, *, tilt: float, first: int = 1) -> list[pydicom.Dataset]:
    """One instance a slice; the stack is turned by `tilt` degrees about the patient's left-right axis."""
    angle = np.radians(tilt)
    column = np.array([0, np.cos(angle), -np.sin(angle)])
    normal = np.cross([1, 0, 0], column)
    made = []
    for z, pixels in enumerate(values):
        one = instance(sop_class, series, first + z, pixels, modality)
        one.ImageOrientationPatient = [1, 0, 0, 0, float(round(column[1], 6)), float(round(column[2], 6))]
        one.ImagePositionPatient = [float(round(value, 6)) for value in np.array([-20.0, -30.0, 5.0]) + normal * z * 2.5]
        one.PixelSpacing, one.SliceThickness = [0.5, 0.75], 2.5
        made.append(one)
    return made


def ct_series() -> list[pydicom.Dataset]:
    made = _volume(CTImageStorage, 1, ct_values(), "CT", tilt=20)
    for one in made:
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, 0, "HU"
        one.WindowCenter, one.WindowWidth = 40, 400
        one.SeriesDescription = "Oblique chest"
        one.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    return made


def _seg(ct: list[pydicom.Dataset]) -> pydicom.Dataset:
    mask = np.zeros(CT_SHAPE, dtype=np.uint8)
    mask[LESION] = 1
    lesion = SegmentDescription(
        segment_number=1,
        segment_label="Lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name="sample", version="1", family=CodedConcept("123109", "DCM", "Manual Processing")
        ),
    )
    made = Segmentation(
        source_images=ct,
        pixel_array=mask,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[lesion],
        series_instance_uid=f"{_ROOT}2.9",
        series_number=9,
        sop_instance_uid=f"{_ROOT}9.9.1",
        instance_number=1,
        manufacturer="Cohortlab",
        manufacturer_model_name="sample",
        software_versions="1",
        device_serial_number="1",
    )
    file = BytesIO()  # as read from a file: highdicom's own values are not all those that pydicom reads
    made.save_as(file)
    made._db_con.close()  # highdicom leaves its in-memory index open, which warns when it is collected
    file.seek(0)
    return pydicom.dcmread(file)


def _mr() -> list[pydicom.Dataset]:
    made = []
    z, y, x = np.indices((4, 32, 40))
    for frame, b_value in enumerate((50.0, 800.0)):
        volume = _volume(MRImageStorage, 2, (z * 100 + y + x + frame * 1000).astype(np.uint16), "MR", tilt=0, first=1 + 10 * frame)
        for one in volume:
            one.DiffusionBValue = b_value
            one.SeriesDescription = "Diffusion"
            one.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION"]
        made.extend(volume)
    return made


def _mammogram() -> list[pydicom.Dataset]:
    y, x = np.indices((1400, 1100))
    one = instance(DigitalMammographyXRayImageStorageForPresentation, 3, 1, (y + x).astype(np.uint16), "MG")
    one.PhotometricInterpretation = "MONOCHROME1"
    one.ImagerPixelSpacing = [0.1, 0.1]
    one.ImageLaterality, one.ViewPosition, one.BodyPartExamined = "L", "CC", "BREAST"
    one.WindowCenter, one.WindowWidth = 1200, 2400
    del one.FrameOfReferenceUID
    return [one]


def write_sample(folder: Path) -> Sample:
    """Write the store into ``folder/root`` and mount it as a session would under ``folder/datasets``."""
    key = create_key(folder / "gate.key")
    mount = folder / "datasets"
    mount.mkdir()
    ids = write_store(folder / "root", DATASET, key)
    (mount / DATASET).symlink_to(folder / "root" / DATASET / "1.0.0")
    return Sample(mount, key.public.text, *ids)


def write_store(root: Path, dataset: str, key: PrivateKey) -> tuple[str, str, str, str]:
    """Write version 1.0.0 of `dataset` under `root`; gives the ids of CT, segmentation, MR and mammogram."""
    ct = ct_series()
    with StoreWriter(root, dataset, "1.0.0") as writer:
        ids = (
            writer.add_series(ct, {}).id,
            writer.add_segmentation(_seg(ct), {}).id,
            writer.add_series(_mr(), {}).id,
            writer.add_series(_mammogram(), {}).id,
        )
        writer.finish(
            ManifestFields(title="The viewer's sample", deidentification={}, gate="test", verdict="accepted", synthetic=True), key
        )
    return ids
