"""Contours of an RT structure set (PS3.3 A.19) as a label array on the grid of the image that they were drawn on.

A pixel is inside a region when its centre is inside an odd number of the region's closed contours on that slice (even-odd rule), so
that a contour within another is a hole, as is one joined to it by a keyhole. A centre that lies on a contour belongs to the side of
growing index. A contour lies on a slice when all its points are within a twentieth of the gap between slices; nothing is made up
between slices. What lies beside the image is cut off. Points and open lines enclose nothing and are left out.

The image is the one whose series the structure set refers to, or else shares its frame of reference. Without an image that has a
slice for each contour it is refused.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from pydicom import Dataset

from cohortlab.errors import InvalidInputError
from cohortlab.store.codes import code_of
from cohortlab.store.contracts import Segment, SeriesAttributes
from cohortlab.store.grid import Grid, grid_of
from cohortlab.store.segment import Labels, empty, label_attributes, label_type
from cohortlab.store.series import SeriesGroup

_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_FEWEST: Final = 3  # points of a contour that encloses something
_OFF: Final = 0.05  # of the gap between slices
_ALONE: Final = 0.05  # mm, from a slice that is the only one
_DIGITS: Final = 6  # of an index; what is finer is rounding noise of the geometry
_LARGEST: Final = 65535

type Points = NDArray[np.float64]


def build_contours(group: SeriesGroup, images: Sequence[SeriesAttributes], deidentification: dict[str, JsonValue]) -> Labels:
    """Labels of a structure set on the grid of one of `images`. Raises `InvalidInputError` when none has it, or nothing is enclosed."""
    dataset = group.datasets[0]
    contours = _contours(dataset)
    segments = _segments(dataset, contours)
    grid, placed = _match(dataset, contours, images)
    dtype = label_type(segments)
    flat, overlap = empty(grid.shape, dtype), False
    for segment, number in zip(segments, contours, strict=True):
        for plane, polygons in placed[number].items():
            inside = fill(polygons, (grid.shape[-2], grid.shape[-1]))
            overlap = overlap or bool((inside & (flat[plane] != 0)).any())
            flat[plane][inside] = segment.number
    values = flat
    if overlap:
        values = empty((len(segments), *grid.shape), dtype)
        for layer, (segment, number) in zip(values, zip(segments, contours, strict=True), strict=True):
            for plane, polygons in placed[number].items():
                layer[plane][fill(polygons, (grid.shape[-2], grid.shape[-1]))] = segment.number
    digest = hashlib.sha256()
    for number, polygons in contours.items():
        digest.update(f"{number} {len(polygons)}\n".encode())
        for polygon in polygons:
            digest.update(np.ascontiguousarray(polygon, dtype="<f8").data)
    return Labels(label_attributes(group, grid, segments, values, deidentification, stacked=overlap), values, digest.hexdigest())


def _contours(dataset: Dataset) -> dict[int, list[Points]]:
    """Closed contours, each (points, 3) in mm, by ROINumber, in the order of the ROIs; those without any are left out."""
    found: dict[int, list[Points]] = {}
    for roi in dataset.get("ROIContourSequence") or []:
        polygons = []
        for item in roi.get("ContourSequence") or []:
            if str(item.get("ContourGeometricType", "")) not in _CLOSED:
                continue
            try:
                values = np.asarray([float(v) for v in item.ContourData], dtype=np.float64)
                points = values.reshape(-1, 3)
            except (AttributeError, TypeError, ValueError):
                raise InvalidInputError("A contour has points that cannot be read as numbers.") from None
            if not np.isfinite(points).all():
                raise InvalidInputError("A contour has points that cannot be read as numbers.")
            if len(points) >= _FEWEST:
                polygons.append(points)
        if polygons:
            found.setdefault(int(roi.ReferencedROINumber), []).extend(polygons)
    if not found:
        raise InvalidInputError("A structure set has no contour that encloses anything.")
    return found


def _segments(dataset: Dataset, contours: dict[int, list[Points]]) -> list[Segment]:
    """A segment for each ROI with contours: its number where numbers serve as labels, else counted; named by its code, else its name."""
    about = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or []}
    observed = {int(item.ReferencedROINumber): item for item in dataset.get("RTROIObservationsSequence") or []}
    colours = {int(i.ReferencedROINumber): i.get("ROIDisplayColor") for i in dataset.get("ROIContourSequence") or []}
    fit = all(0 < number <= _LARGEST for number in contours)
    found = []
    for count, number in enumerate(contours, 1):
        roi, observation, colour = about.get(number, Dataset()), observed.get(number, Dataset()), colours.get(number)
        code = code_of((observation.get("RTROIIdentificationCodeSequence") or [None])[0])
        name = code.meaning if code else str(roi.get("ROIName") or "").strip()
        found.append(
            Segment(
                number=number if fit else count,
                label=name or f"ROI {number}",
                color=_rgb(colour),
                codes={"type": code} if code else {},
                algorithm=str(roi.get("ROIGenerationAlgorithm") or "") or None,
            )
        )
    return found


def _rgb(colour: Any) -> tuple[int, int, int] | None:
    """ROIDisplayColor (PS3.3 C.8.8.6) when it is one."""
    values = [int(v) for v in colour or ()]
    if len(values) != 3 or not all(0 <= v <= 255 for v in values):  # noqa: PLR2004 - three bytes
        return None
    return values[0], values[1], values[2]


def _references(dataset: Dataset) -> tuple[set[str], set[str]]:
    """Series and frames of reference that the structure set names."""
    series: set[str] = set()
    spaces = {str(item.get("ReferencedFrameOfReferenceUID", "")) for item in dataset.get("StructureSetROISequence") or []}
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        spaces.add(str(frame.get("FrameOfReferenceUID", "")))
        for study in frame.get("RTReferencedStudySequence") or []:
            series |= {str(item.get("SeriesInstanceUID", "")) for item in study.get("RTReferencedSeriesSequence") or []}
    return series, spaces - {""}


def _match(
    dataset: Dataset, contours: dict[int, list[Points]], images: Sequence[SeriesAttributes]
) -> tuple[Grid, dict[int, dict[int, list[Points]]]]:
    """The grid that the contours lie on, and each ROI's polygons (points, 2) of indices (y, x) by slice."""
    series, spaces = _references(dataset)
    candidates = [i for i in images if i.series_uid in series]
    candidates += [i for i in images if i not in candidates and i.frame_of_reference_uid in spaces]
    for image in candidates:
        if "z" not in image.dims:
            continue
        planes = list(_planes(image))
        if not planes:
            continue
        placed = {number: _place(polygons, planes) for number, polygons in contours.items()}
        if all(found is not None for found in placed.values()):
            return grid_of(image), {number: found for number, found in placed.items() if found is not None}
    raise InvalidInputError(
        f"No image here has a slice for each contour of a structure set ({len(candidates)} compared).",
        hint="Ingest it together with the series that it was drawn on.",
    )


type Plane = tuple[Points, Points, float]
"""A slice: its first pixel's centre; what takes mm from there to (mm off the slice, index y, index x); how far off a point may lie."""


def _planes(image: SeriesAttributes) -> Iterator[Plane]:
    """The slices of an image in their order."""
    if image.affine is not None:
        matrix = np.asarray(image.affine)
        count = image.shape[image.dims.index("z")]
        places = [(matrix[:3, 3] + z * matrix[:3, 0], matrix[:3, 1], matrix[:3, 2]) for z in range(count)]
    else:
        places = []
        for slice_ in image.slices or ():
            cosines = np.asarray(slice_.orientation)
            places.append((np.asarray(slice_.position), cosines[3:] * slice_.spacing[0], cosines[:3] * slice_.spacing[1]))
    along = np.asarray(image.positions)
    gap = float(np.diff(np.unique(along)).min()) if len(np.unique(along)) > 1 else math.inf
    for origin, down, across in places:
        normal = np.cross(across, down)
        normal /= np.linalg.norm(normal)
        inverse = np.linalg.inv(np.column_stack([normal, down, across]))
        yield origin, inverse, _OFF * gap if gap < math.inf else _ALONE


def _place(polygons: Sequence[Points], planes: Sequence[Plane]) -> dict[int, list[Points]] | None:
    """Polygons by slice, as indices (y, x); None when one lies on no slice."""
    found: dict[int, list[Points]] = defaultdict(list)
    for polygon in polygons:
        for number, (origin, inverse, near) in enumerate(planes):
            index = (polygon - origin) @ inverse.T
            if np.abs(index[:, 0]).max() <= near:
                found[number].append(index[:, 1:])
                break
        else:
            return None
    return found


def fill(polygons: Sequence[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixel centres lie inside an odd number of `polygons`, each (points, 2) of indices (y, x), closed by itself."""
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), dtype=np.int32)
    for polygon in polygons:
        start = np.round(polygon, _DIGITS)
        stop = np.roll(start, -1, axis=0)
        low, high = np.minimum(start[:, 0], stop[:, 0]), np.maximum(start[:, 0], stop[:, 0])
        # rows y with low <= y < high: an edge holds its upper end only, so that a corner is met once
        first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
        count = np.clip(np.ceil(high), 0, rows).astype(np.int64) - first
        edge = np.repeat(np.arange(len(start)), count)
        y = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        y0, x0, y1, x1 = start[edge, 0], start[edge, 1], stop[edge, 0], stop[edge, 1]
        at = np.round(x0 + (y - y0) * (x1 - x0) / (y1 - y0), _DIGITS)
        np.add.at(crossings, (y, np.clip(np.ceil(at), 0, columns).astype(np.int64)), 1)
    return np.asarray(np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1)
