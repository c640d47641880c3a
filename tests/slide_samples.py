"""Whole-slide images made on the spot: real pixels cut into tiles, compressed as scanners do."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

ORIGIN, SPACING = (20.5, 31.25), 0.0005


def jpeg(tile: np.ndarray, *, comment: bytes = b"") -> bytes:
    """A tile as baseline JPEG: YBR 4:2:2 in colour."""
    out = io.BytesIO()
    Image.fromarray(tile).save(out, "JPEG", quality=90, subsampling="4:2:2", comment=comment)
    return out.getvalue()


def cut(pixels: np.ndarray, tile: int) -> list[np.ndarray]:
    """Tiles of an image, row by row, the last ones filled up with white."""
    rows, columns = (-(-n // tile) for n in pixels.shape[:2])
    whole = np.full((rows * tile, columns * tile, *pixels.shape[2:]), 255, dtype=pixels.dtype)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    return [whole[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r in range(rows) for c in range(columns)]


def slide(
    pixels: np.ndarray,
    number: int,
    *,
    tile: int = 64,
    factor: int = 1,
    compress: bool = True,
    keep: Sequence[int] | None = None,
    comment: bytes = b"",
) -> Dataset:
    """One level of a slide as instance `number`: `pixels` (rows, columns, 3), each spanning `factor` of the first level's.

    keep: which tiles a sparse instance has; None for TILED_FULL.
    """
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if compress else ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, f"2.25.7.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "2.25.5", "2.25.7", "2.25.6"
    made.PatientID, made.Modality, made.InstanceNumber = "P1", "SM", number
    made.ImageType = ["ORIGINAL" if factor == 1 else "DERIVED", "PRIMARY", "VOLUME", "NONE" if factor == 1 else "RESAMPLED"]
    made.Rows = made.Columns = tile
    made.TotalPixelMatrixRows, made.TotalPixelMatrixColumns = pixels.shape[:2]
    made.TotalPixelMatrixFocalPlanes, made.NumberOfOpticalPaths = 1, 1
    made.SamplesPerPixel, made.PlanarConfiguration = 3, 0
    made.PhotometricInterpretation = "YBR_FULL_422" if compress else "RGB"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = Dataset()
    shift = SPACING * (factor - 1) / 2  # the centre of the first pixel moves inwards; both axes point to smaller X and Y
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = ORIGIN[0] - shift, ORIGIN[1] - shift
    made.TotalPixelMatrixOriginSequence = [origin]
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    made.OpticalPathSequence = [path]
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = [SPACING * factor] * 2, 0.001
    made.SharedFunctionalGroupsSequence = [Dataset()]
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [measures]
    tiles = cut(pixels, tile)
    made.DimensionOrganizationType = "TILED_FULL" if keep is None else "TILED_SPARSE"
    if keep is not None:
        across = -(-pixels.shape[1] // tile)
        made.PerFrameFunctionalGroupsSequence = [_place(index // across * tile, index % across * tile) for index in keep]
        tiles = [tiles[index] for index in keep]
    made.NumberOfFrames = len(tiles)
    encoded = [jpeg(t, comment=comment) for t in tiles] if compress else [t.tobytes() for t in tiles]
    made.PixelData = encapsulate(encoded) if compress else b"".join(encoded)
    made["PixelData"].VR = "OB"
    return made


def _place(row: int, column: int) -> Dataset:
    item, position = Dataset(), Dataset()
    position.RowPositionInTotalImagePixelMatrix, position.ColumnPositionInTotalImagePixelMatrix = row + 1, column + 1
    item.PlanePositionSlideSequence = [position]
    return item
