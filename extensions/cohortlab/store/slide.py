"""Whole-slide microscopy (PS3.3 A.32.8): the instances of one series as the levels of a pyramid, one tile a chunk.

An instance, or a concatenation of several, is one level; the largest is the first. TILED_FULL instances list their tiles row by row
(C.7.6.17.3), TILED_SPARSE ones say where each lies; what a scanner left out has no chunk and reads as white, in grey images as 0.

How tiles are kept is told in `slide_write`. The affine leads to the slide's own coordinates (C.8.12.2.1): X, Y, Z in mm of the
centre of a pixel.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from cohortlab.errors import InvalidInputError
from cohortlab.store.colour import GREY, SAMPLES
from cohortlab.store.contracts import Affine
from cohortlab.store.frames import Frame, frame_count, functional_group, is_multi_frame
from cohortlab.store.geometry import is_orientation
from cohortlab.store.jpeg import PHOTOMETRIC
from cohortlab.store.tiles import Place

_SHARD_PIXELS: Final = 4096
_PICTURES_OF_THE_GLASS: Final = frozenset({"LABEL", "OVERVIEW"})
_ALIKE: Final = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation")
_BYTE: Final = 8


@dataclass(frozen=True)
class SlideLevel:
    """One level: `shape` of the total pixel matrix, `tile` its tiles', both (rows, columns), and frames by place (channel, row, column).

    `affine` maps index (z, y, x, 1) of the level to the slide (X, Y, Z, 1) in mm, z being always 0; `spacing` is (y, x) in mm.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    frames: Mapping[Place, Frame]
    channels: int
    affine: Affine
    spacing: tuple[float, float]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return math.ceil(self.shape[0] / self.tile[0]), math.ceil(self.shape[1] / self.tile[1])

    @property
    def shard(self) -> tuple[int, int]:
        """Rows and columns of tiles in a shard."""
        down, across = (max(1, min(_SHARD_PIXELS // t, g)) for t, g in zip(self.tile, self.grid, strict=True))
        return down, across

    @cached_property
    def first(self) -> Dataset:
        """Any of its instances, for what all say alike."""
        return next(iter(self.frames.values())).dataset

    @property
    def samples(self) -> int:
        """Samples a pixel: 1 or 3."""
        return 1 if str(self.first.get("PhotometricInterpretation", "")) in GREY else len(SAMPLES)

    @cached_property
    def keeps_jpeg(self) -> bool:
        """Whether the tiles stay as they were compressed."""
        first = self.first
        return (
            all(f.dataset.file_meta.TransferSyntaxUID in {JPEGBaseline8Bit, JPEGExtended12Bit} for f in self.frames.values())
            and first.get("BitsAllocated") == first.get("BitsStored") == _BYTE
            and str(first.get("PhotometricInterpretation", "")) in PHOTOMETRIC
        )

    def shards(self) -> Iterator[Place]:
        """Shards in the order in which they are written and digested: channel, row, column."""
        down, across = (math.ceil(g / s) for g, s in zip(self.grid, self.shard, strict=True))
        return ((c, i, j) for c in range(self.channels) for i in range(down) for j in range(across))


def slide_levels(datasets: Sequence[Dataset]) -> tuple[SlideLevel, ...]:
    """The levels of a slide, largest first.

    Raises `InvalidInputError` for labels and overviews (they show writing), several focal planes, tiles that are on no grid, and
    instances that do not make a pyramid.
    """
    by_size: dict[tuple[int, int], list[Dataset]] = defaultdict(list)
    for dataset in datasets:
        if _PICTURES_OF_THE_GLASS & {str(value) for value in dataset.get("ImageType") or ()}:
            raise InvalidInputError("A label or overview of a slide is no image to store.", hint="Ingest the slide's volume images only.")
        if int(dataset.get("TotalPixelMatrixFocalPlanes") or 1) != 1:
            raise InvalidInputError("A slide has several focal planes, which the store does not take.")
        by_size[total_size(dataset)].append(dataset)
    levels = tuple(_level(by_size[size]) for size in sorted(by_size, reverse=True))
    head = levels[0]
    for level in levels[1:]:
        if (level.samples, level.channels) != (head.samples, head.channels) or level.shape[1] > head.shape[1]:
            raise InvalidInputError("The images of a slide do not make one pyramid.")
    return levels


def total_size(dataset: Dataset) -> tuple[int, int]:
    """Rows and columns of the total pixel matrix. Raises `InvalidInputError` without them."""
    try:
        rows, columns = int(dataset.TotalPixelMatrixRows), int(dataset.TotalPixelMatrixColumns)
    except (AttributeError, TypeError, ValueError):
        raise InvalidInputError("An image of a slide does not say how large the whole is.") from None
    if rows < 1 or columns < 1:
        raise InvalidInputError("An image of a slide says that the whole is empty.")
    return rows, columns


def _level(datasets: Sequence[Dataset]) -> SlideLevel:
    """One level of instances that have its size: one, the parts of a concatenation, or one for each optical path."""
    first = datasets[0]
    tile = (int(first.Rows), int(first.Columns))
    channels = sorted({path for dataset in datasets for path in optical_paths(dataset)})
    frames: dict[Place, Frame] = {}
    for dataset in datasets:
        same = all(dataset.get(keyword) == first.get(keyword) for keyword in _ALIKE)
        if not same:
            raise InvalidInputError("The images of one level of a slide differ in size or sort of pixel.")
        paths = optical_paths(dataset)
        for number, (path, row, column) in enumerate(tile_places(dataset, len(paths))):
            place = (channels.index(paths[path]), row, column)
            if place in frames:
                raise InvalidInputError("Two images of a slide lie at the same place.")
            frames[place] = Frame(dataset, number, None)
    if len(channels) > 1 and int(first.get("SamplesPerPixel", 1)) > 1:
        raise InvalidInputError("A slide has several optical paths in colour, which the store does not take.")
    spacing = slide_spacing(first)
    return SlideLevel(total_size(first), tile, frames, len(channels), slide_affine(first, spacing), spacing)


def optical_paths(dataset: Dataset) -> list[str]:
    """Identifiers of the optical paths of an instance, in their order; one at least."""
    items = dataset.get("OpticalPathSequence") or []
    return [str(item.get("OpticalPathIdentifier") or number) for number, item in enumerate(items, 1)] or ["1"]


def tile_places(dataset: Dataset, layers: int = 1) -> list[Place]:
    """(layer, row, column) in the grid of tiles of each frame. Raises `InvalidInputError` for tiles beside it, and as `tile_offsets`."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    offsets = tile_offsets(dataset, layers)
    if any(row % rows or column % columns for _, row, column in offsets):
        raise InvalidInputError("A tile of a slide does not lie on the grid of its tiles, which the store does not take.")
    return [(layer, row // rows, column // columns) for layer, row, column in offsets]


def tile_offsets(dataset: Dataset, layers: int = 1) -> list[Place]:
    """(layer, row, column) in the total pixel matrix of the first pixel of each frame.

    Layers: the optical paths of an image, or the segments of a segmentation tiled in full; of a sparse one the layer is 0.
    Raises `InvalidInputError` for a TILED_FULL instance without as many frames as it has tiles, and for tiles without a place.
    """
    count, tile, total = frame_count(dataset), (int(dataset.Rows), int(dataset.Columns)), total_size(dataset)
    down, across = (math.ceil(t / s) for t, s in zip(total, tile, strict=True))
    if str(dataset.get("DimensionOrganizationType", "")) == "TILED_FULL" or (count == 1 and down * across == 1):
        skipped = int(dataset.get("ConcatenationFrameOffsetNumber") or 0)
        part = skipped or int(dataset.get("InConcatenationTotalNumber") or 1) > 1
        if (not part and count != down * across * layers) or skipped + count > down * across * layers:
            raise InvalidInputError("A slide that is tiled in full does not have a frame for each tile.")
        found = np.unravel_index(np.arange(skipped, skipped + count), (layers, down, across))
        return [(int(a), int(b) * tile[0], int(c) * tile[1]) for a, b, c in zip(*found, strict=True)]
    paths = optical_paths(dataset)
    places = []
    for number in range(count):
        item = functional_group(dataset, number, "PlanePositionSlideSequence")
        try:
            row = int(item.RowPositionInTotalImagePixelMatrix) - 1
            column = int(item.ColumnPositionInTotalImagePixelMatrix) - 1
        except (AttributeError, TypeError, ValueError):
            raise InvalidInputError("A tile of a slide does not say where it lies.") from None
        if not (0 <= row < total[0] and 0 <= column < total[1]):
            raise InvalidInputError("A tile of a slide lies outside the slide.")
        name = str(functional_group(dataset, number, "OpticalPathIdentificationSequence").get("OpticalPathIdentifier") or paths[0])
        if name not in paths:
            raise InvalidInputError("A tile of a slide names an optical path that is not described.")
        places.append((paths.index(name), row, column))
    return places


def slide_spacing(dataset: Dataset) -> tuple[float, float]:
    """Row and column gap in mm. Raises `InvalidInputError` without one above 0."""
    value = functional_group(dataset, 0, "PixelMeasuresSequence").get("PixelSpacing") if is_multi_frame(dataset) else None
    try:
        row, column = (float(v) for v in value or ())
    except (TypeError, ValueError):
        row = column = 0.0
    if not (0 < row < math.inf and 0 < column < math.inf):
        raise InvalidInputError("An image of a slide has no PixelSpacing above 0.")
    return row, column


def slide_affine(dataset: Dataset, spacing: tuple[float, float]) -> Affine:
    """Index (z, y, x, 1) of the total pixel matrix -> slide (X, Y, Z, 1) in mm (C.8.12.4.1.1). Raises `InvalidInputError` without one."""
    origin = (dataset.get("TotalPixelMatrixOriginSequence") or [Dataset()])[0]
    cosines = [float(v) for v in dataset.get("ImageOrientationSlide") or ()]
    try:
        offset = [float(origin.get(f"{axis}OffsetInSlideCoordinateSystem", 0 if axis == "Z" else None)) for axis in "XYZ"]
    except (TypeError, ValueError):
        offset = []
    if not is_orientation(cosines) or len(offset) != 3 or not np.isfinite(offset).all():  # noqa: PLR2004 - X, Y, Z
        raise InvalidInputError("An image of a slide does not say where it lies on the slide.")
    matrix = np.eye(4)
    matrix[:3, 0] = np.cross(cosines[:3], cosines[3:])
    matrix[:3, 1] = np.asarray(cosines[3:]) * spacing[0]
    matrix[:3, 2] = np.asarray(cosines[:3]) * spacing[1]
    matrix[:3, 3] = offset
    return tuple(tuple(float(v) for v in row) for row in matrix)  # type: ignore[return-value]  # four of four
