"""Write generated patients as DICOM: an axial CT, an oblique MR, and a DICOM SEG of organ and lesion for each.

Everything follows from the seed: pixels, UIDs, dates. The files say that they are synthetic and carry no PS3.15 codes, so they take
the same way into a store as a hospital's: `cohortlab ingest --deidentify`.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DA, TM, DSfloat

from cohortlab.errors import InvalidInputError, StorageError
from cohortlab.samples.phantom import LESION, ORGAN, Phantom, abdomen, pelvis

DEFAULT_SIZE: Final = (64, 192, 192)
SMALLEST: Final = 16
_NAMESPACE: Final = uuid.UUID("6d0f1a53-9d0b-5c1e-8a52-6a5b0b7f2c11")
_ANGLES: Final = (17.0, -9.0)
"""By how many degrees the MR is turned about the patient's left-right and head-foot axes: an oblique prostate protocol."""


@dataclass(frozen=True)
class Patient:
    """One generated patient: `number` from 1, and the seed of the cohort."""

    number: int
    seed: int

    @property
    def id(self) -> str:
        """The PatientID; it is plainly no person's."""
        return f"SYNTH-{self.seed:04d}-{self.number:04d}"

    def uid(self, what: str) -> UID:
        """A UID under 2.25, always the same for the same thing."""
        return UID(f"2.25.{uuid.uuid5(_NAMESPACE, f'{self.seed}/{self.number}/{what}').int}")

    def random(self, what: str) -> np.random.Generator:
        """The random generator of one thing of this patient."""
        return np.random.default_rng([self.seed, self.number, len(what), *what.encode()])


@dataclass(frozen=True)
class _Kind:
    """What tells a CT from an MR here."""

    modality: str
    sop_class: str
    phantom: Callable[[tuple[int, int, int], np.random.Generator, float], Phantom]
    field_of_view: float
    slice_gap: float
    turns: tuple[float, float]
    organ: Code
    lesion: Code
    body_part: str
    description: str
    window: tuple[float, float]
    offset: int


_CT: Final = _Kind(
    modality="CT",
    sop_class=CTImageStorage,
    phantom=abdomen,
    field_of_view=360.0,
    slice_gap=3.0,
    turns=(0.0, 0.0),
    organ=codes.SCT.Liver,
    lesion=codes.SCT.Neoplasm,
    body_part="ABDOMEN",
    description="CT abdomen portal venous",
    window=(50, 350),
    offset=1024,
)
_MR: Final = _Kind(
    modality="MR",
    sop_class=MRImageStorage,
    phantom=pelvis,
    field_of_view=260.0,
    slice_gap=3.0,
    turns=_ANGLES,
    organ=codes.SCT.Prostate,
    lesion=codes.SCT.Neoplasm,
    body_part="PROSTATE",
    description="T2 tse tra oblique",
    window=(420, 840),
    offset=0,
)


def write_ct(folder: Path, patient: Patient, size: tuple[int, int, int] = DEFAULT_SIZE) -> list[Path]:
    """Write an axial CT-like series and its SEG into `folder`; `size` is (slices, rows, columns). Returns the files, the SEG last.

    Raises `InvalidInputError` for a size below 16 voxels an axis, `StorageError` when the disk is full or cannot be written.
    """
    return _write(folder, patient, size, _CT)


def write_mr(folder: Path, patient: Patient, size: tuple[int, int, int] = DEFAULT_SIZE) -> list[Path]:
    """As `write_ct`: a T2-like MR series of a pelvis, its slices turned about two axes, and its SEG."""
    return _write(folder, patient, size, _MR)


def write_cohort(
    folder: Path, patients: int, seed: int, size: tuple[int, int, int] = DEFAULT_SIZE, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write `patients` patients with a CT and an MR each; `progress` is called with (series done, series in all). Raises as `write_ct`."""
    written: list[Path] = []
    for number in range(1, patients + 1):
        patient = Patient(number, seed)
        for step, (name, write) in enumerate((("ct", write_ct), ("mr", write_mr)), 1):
            written += write(folder / f"patient-{number:03d}" / name, patient, size)
            if progress:
                progress(2 * (number - 1) + step, 2 * patients)
    return written


def _write(folder: Path, patient: Patient, size: tuple[int, int, int], kind: _Kind) -> list[Path]:
    if min(size) < SMALLEST:
        raise InvalidInputError("The size is too small.", hint=f"Give at least {SMALLEST} slices, rows and columns.")
    phantom = kind.phantom(size, patient.random(kind.modality), size[0] * kind.slice_gap / kind.field_of_view)
    images = _images(patient, kind, phantom)
    segmentation = _segmentation(patient, kind, images, phantom)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, image in enumerate((*images, segmentation), 1):
            name = "segmentation.dcm" if number > len(images) else f"{number:04d}.dcm"
            image.save_as(folder / name, enforce_file_format=True)
            paths.append(folder / name)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}.") from None
    return paths


def _orientation(turns: tuple[float, float]) -> NDArray[np.float64]:
    """Rows: the directions of the image's x (columns), y (rows) and slice axes in the patient, each of unit length."""
    a, b = np.deg2rad(turns)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return np.asarray((about_z @ about_x).T)


def _images(patient: Patient, kind: _Kind, phantom: Phantom) -> list[Dataset]:
    slices, rows, columns = phantom.image.shape
    spacing = kind.field_of_view / max(rows, columns)
    axes = _orientation(kind.turns)
    middle = np.array([columns - 1, rows - 1, slices - 1]) / 2 * [spacing, spacing, kind.slice_gap]
    origin = np.array([0.0, 0.0, -40.0]) - middle @ axes
    stored = np.clip(np.rint(phantom.image) + kind.offset, 0, 4095).astype("<u2")
    images = []
    for index in range(slices):
        image = _header(patient, kind)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = patient.uid(f"{kind.modality}/{index}")
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = _ds(origin + index * kind.slice_gap * axes[2])
        image.ImageOrientationPatient = _ds(axes[:2].ravel())
        image.PixelSpacing = _ds([spacing, spacing])
        image.Rows, image.Columns = rows, columns
        image.PixelData = stored[index].tobytes()
        images.append(image)
    return images


def _ds(values: Sequence[float] | NDArray[np.float64]) -> list[DSfloat]:
    return [DSfloat(float(value), auto_format=True) for value in values]


def _header(patient: Patient, kind: _Kind) -> Dataset:
    """What all slices of a series have in common."""
    image = Dataset()
    meta = FileMetaDataset()
    image.SOPClassUID = meta.MediaStorageSOPClassUID = UID(kind.sop_class)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta = meta
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"] if kind.modality == "CT" else ["DERIVED", "SECONDARY", "M"]
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20200102"
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "101500"
    image.AccessionNumber = ""
    image.Modality = kind.modality
    image.Manufacturer = "Cohortlab"
    image.ManufacturerModelName = "Cohortlab phantom"
    image.ReferringPhysicianName = ""
    image.StudyDescription = "Synthetic phantom"
    image.SeriesDescription = f"{kind.description} synthetic"
    image.PatientID = patient.id
    image.PatientName = f"{patient.id}^"  # one component, said plainly
    image.PatientBirthDate = ""
    image.PatientSex = "O"
    image.PatientAge = "060Y"
    image.BodyPartExamined = kind.body_part
    image.SliceThickness = str(kind.slice_gap)
    image.PatientPosition = "HFS"
    if kind.modality == "CT":
        image.KVP = "120"
        image.RescaleIntercept, image.RescaleSlope, image.RescaleType = str(-kind.offset), "1", "HU"
    else:
        image.ScanningSequence, image.SequenceVariant, image.ScanOptions, image.MRAcquisitionType = "SE", "SK", "", "2D"
        image.RepetitionTime, image.EchoTime, image.MagneticFieldStrength, image.FlipAngle = "4500", "102", "3", "120"
        image.EchoTrainLength = 1
    image.StudyInstanceUID = patient.uid(f"{kind.modality} study")
    image.SeriesInstanceUID = patient.uid(f"{kind.modality} series")
    image.FrameOfReferenceUID = patient.uid(f"{kind.modality} frame")
    image.PositionReferenceIndicator = ""
    image.StudyID, image.SeriesNumber, image.AcquisitionNumber = "1", 1, 1
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.WindowCenter, image.WindowWidth = (str(value) for value in kind.window)
    return image


def _segmentation(patient: Patient, kind: _Kind, images: list[Dataset], phantom: Phantom) -> Dataset:
    """A binary DICOM SEG (PS3.3 A.51) of the organ and of the lesion in it."""
    what = f"{kind.modality} segmentation"
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=category,
            segmented_property_type=kind_of,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            tracking_uid=patient.uid(f"{what}/{number}"),
            tracking_id=f"{number}",
        )
        for number, label, category, kind_of in (
            (ORGAN, kind.organ.meaning, codes.SCT.Organ, kind.organ),
            (LESION, "Lesion", codes.SCT.MorphologicallyAbnormalStructure, kind.lesion),
        )
    ]
    segmentation = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=phantom.labels,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=patient.uid(f"{what} series"),
        series_number=2,
        sop_instance_uid=patient.uid(what),
        instance_number=1,
        manufacturer="Cohortlab",
        manufacturer_model_name="Cohortlab phantom",
        software_versions="1",
        device_serial_number="0",
        series_description="Lesion segmentation synthetic",
        content_label="LESION",
    )
    segmentation.ContentDate = segmentation.SeriesDate = segmentation.InstanceCreationDate = DA("20200102")
    segmentation.ContentTime = segmentation.SeriesTime = segmentation.InstanceCreationTime = TM("101500")
    organisation = patient.uid(f"{what} dimensions")
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    plain = Dataset(segmentation)
    plain.file_meta = segmentation.file_meta
    segmentation._db_con.close()  # noqa: SLF001  highdicom indexes frames in SQLite and has no public way to close it
    return plain
