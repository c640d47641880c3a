"""Small DICOM instances made on the spot, for tests that need a geometry or a defect that no real sample has."""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, SecondaryCaptureImageStorage

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


def volume(count: int = 5, gap: float = 2.0, **elements: object) -> list[Dataset]:
    """An axial series of `count` slices, `gap` mm apart, each filled with its number."""
    return [instance(n + 1, position=(0.0, 0.0, gap * n), **elements) for n in range(count)]
