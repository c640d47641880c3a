"""Small DICOM instances made on the spot, for tests that need a geometry or a defect that no real sample has."""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, SecondaryCaptureImageStorage

_PER_FRAME = frozenset(
    {"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept", "PixelData", "DiffusionBValue"}
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def instance(
    number: int,
    *,
    position: Sequence[float] | None = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.5, 0.5),
    pixels: np.ndarray | None = None,
    modality: str = "CT",
    series: str = "2.25.1",
    **elements: object,
) -> Dataset:
    """One image: instance `number` of a series, with the geometry and pixels given. `position` None makes a projection."""
    values = np.full((8, 10), number, dtype=np.uint16) if pixels is None else pixels
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = {"CT": CTImageStorage, "MR": MRImageStorage}.get(modality, SecondaryCaptureImageStorage)
    dataset.SOPInstanceUID = f"{series}.{number}"
    dataset.StudyInstanceUID = "2.25.9"
    dataset.SeriesInstanceUID = series
    dataset.FrameOfReferenceUID = "2.25.8"
    dataset.PatientID = "P1"
    dataset.Modality = modality
    dataset.SeriesDescription = "made for a test"
    dataset.InstanceNumber = number
    if position is not None:
        dataset.ImagePositionPatient = list(position)
        dataset.ImageOrientationPatient = list(orientation)
        dataset.PixelSpacing = list(spacing)
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = values.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    if modality == "CT":
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def enhanced(frames: Sequence[Dataset], sop_class: str) -> Dataset:
    """Classic single-frame instances as one enhanced multi-frame instance: places and rescale in functional groups."""
    made = Dataset()
    made.update({e.tag: e for e in frames[0] if e.keyword not in _PER_FRAME})
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = sop_class
    made.NumberOfFrames = len(frames)
    made.SharedFunctionalGroupsSequence = [Dataset()]
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [Dataset()], [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = frames[0].ImageOrientationPatient
    shared.PixelMeasuresSequence[0].PixelSpacing = frames[0].PixelSpacing
    shared.PixelMeasuresSequence[0].SliceThickness = 99  # must have no say
    if "RescaleSlope" in frames[0]:
        shared.PixelValueTransformationSequence = [Dataset()]
        for keyword in ("RescaleSlope", "RescaleIntercept"):
            setattr(shared.PixelValueTransformationSequence[0], keyword, frames[0].get(keyword))
    made.PerFrameFunctionalGroupsSequence = [Dataset() for _ in frames]
    for item, frame in zip(made.PerFrameFunctionalGroupsSequence, frames, strict=True):
        item.PlanePositionSequence = [Dataset()]
        item.PlanePositionSequence[0].ImagePositionPatient = frame.ImagePositionPatient
        if "DiffusionBValue" in frame:
            item.MRDiffusionSequence = [Dataset()]
            item.MRDiffusionSequence[0].DiffusionBValue = frame.DiffusionBValue
    made.PixelData = b"".join(frame.PixelData for frame in frames)
    return made


def volume(count: int = 5, gap: float = 2.0, **elements: object) -> list[Dataset]:
    """An axial series of `count` slices, `gap` mm apart, each filled with its number."""
    return [instance(n + 1, position=(0.0, 0.0, gap * n), **elements) for n in range(count)]
