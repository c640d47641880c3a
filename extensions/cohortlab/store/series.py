"""From instances to series: which belong together, in which order, and whether a fourth axis runs through them.

A series becomes one group, except that images of different size or sort in it become groups of their own, and so does each
projection or clip (mammography, X-ray, ultrasound), which has no place in a stack, and each stack of an enhanced multi-frame instance
(PS3.3 C.7.6.16.2.2: by StackID, else by orientation). Where every position along the normal holds the same number of images, the first
of `_AXES` that tells them apart at every position names the fourth axis. The frames of a clip are its time axis.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom import Dataset

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import Axis
from cohortlab.store.frames import Frame, clip_times, frames_of, functional_group, geometry_of, is_multi_frame, iterate_times, number_of
from cohortlab.store.geometry import Layout, lay_out, same_position

SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""SOP classes that become label arrays: Segmentation Storage, Label Map Segmentation Storage."""

# what may tell images at one position apart: keyword, axis name, unit; exact values, the same at every position
_AXES = (
    ("DiffusionBValue", "b_value", "s/mm2"),
    ("EchoTime", "echo_time", "ms"),
    ("TemporalPositionIndex", "temporal_position", ""),
    ("TriggerTime", "time", "ms"),
    ("AcquisitionNumber", "acquisition", ""),
)
_TIME_AXES = frozenset({"time", "temporal_position"})
_SAME_ORIENTATION = 1e-3  # frames of one stack that says so by nothing else


_NO_STACKS = frozenset({*SEGMENTATIONS, "1.2.840.10008.5.1.4.1.1.77.1.6"})  # their frames are placed otherwise
RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


class DuplicateInstanceError(InvalidInputError):
    """Two different instances have one identifier."""

    code = "duplicate-instance"


@dataclass(frozen=True)
class SeriesGroup:
    """Instances that make one image or one segmentation of the store.

    frames: ``frames[t][z]``, in the order of the array; one row when there is no fourth axis. layout: None for a projection,
    a clip or whatever else does not say where it lies in the patient; such a group has regular slices only if it has one.
    """

    id: str
    kind: str
    modality: str
    datasets: tuple[Dataset, ...]
    frames: tuple[tuple[Frame, ...], ...]
    layout: Layout | None
    axis: Axis | None = None

    @property
    def contours(self) -> bool:
        """Whether it is an RT structure set."""
        return str(self.datasets[0].get("SOPClassUID", "")) == RT_STRUCTURE_SET

    @property
    def slide(self) -> bool:
        """Whether it is a whole-slide image, whose tiles `cohortlab.store.slide` places."""
        return str(self.datasets[0].get("SOPClassUID", "")) == WHOLE_SLIDE

    @property
    def axis_letter(self) -> Literal["t", "c"] | None:
        """``t`` or ``c``, the fourth dimension's name in the array, None without one."""
        if self.axis is None:
            return None
        return "t" if self.axis.name in _TIME_AXES else "c"


def series_id(modality: str, series_uid: str, part: str = "") -> str:
    """``<modality>-<12 hex of SHA-256 of the series UID>``, with ``-<8 hex>`` for a part of a series that had to be split."""
    word = "".join(c for c in modality.lower() if c.isalnum())[:16] or "ot"
    digest = hashlib.sha256(series_uid.encode()).hexdigest()[:12]
    return f"{word}-{digest}" + (f"-{hashlib.sha256(part.encode()).hexdigest()[:8]}" if part else "")


def group(datasets: Sequence[Dataset]) -> list[SeriesGroup]:
    """Group instances into series, images first. The order does not depend on that of the input.

    Raises `InvalidInputError` when an instance has no SOPInstanceUID or SeriesInstanceUID or when a header's geometry is impossible,
    `DuplicateInstanceError` when two different instances share a SOPInstanceUID.
    """
    by_series: dict[str, list[Dataset]] = defaultdict(list)
    for dataset in _unique(datasets):
        by_series[str(dataset.SeriesInstanceUID)].append(dataset)
    groups: list[SeriesGroup] = []
    for uid in sorted(by_series):
        stacks = [(part, stack) for part, datasets_ in sorted(_parts(by_series[uid]).items()) for stack in _stacks(datasets_)]
        for number, (part, stack) in enumerate(stacks):
            name = "" if len(stacks) == 1 else part if stack.whole else f"{part} {number}"
            groups.append(_group(uid, stack, name))
    return sorted(groups, key=lambda g: (g.kind != "image", g.id))


def _unique(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Each instance once, by SOPInstanceUID in order; the same file given twice is one instance."""
    seen: dict[str, Dataset] = {}
    for dataset in datasets:
        uid, series = dataset.get("SOPInstanceUID"), dataset.get("SeriesInstanceUID")
        if not uid or not series:
            raise InvalidInputError("An instance has no SOPInstanceUID or SeriesInstanceUID.")
        other = seen.setdefault(str(uid), dataset)
        if other is not dataset and other != dataset:
            raise DuplicateInstanceError(
                "Two different instances have the same SOPInstanceUID.", hint="Keep the right one and ingest again."
            )
    return [seen[uid] for uid in sorted(seen)]


def _parts(datasets: Sequence[Dataset]) -> dict[str, list[Dataset]]:
    """Split a series where its images cannot share an array: each SEG, each projection, each size and sort of pixel."""
    parts: dict[str, list[Dataset]] = defaultdict(list)
    for dataset in datasets:
        sop_class = str(dataset.get("SOPClassUID", ""))
        if sop_class in SEGMENTATIONS or sop_class == RT_STRUCTURE_SET:
            key = f"seg {dataset.SOPInstanceUID}"
        elif sop_class == WHOLE_SLIDE:
            key = "slide"
        elif geometry_of(dataset) is None:
            key = f"projection {dataset.SOPInstanceUID}"
        else:
            sort = (
                dataset.get(k)
                for k in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PixelRepresentation", "PhotometricInterpretation")
            )
            key = " ".join([sop_class, *(str(v) for v in sort)])
        parts[key].append(dataset)
    return parts


@dataclass(frozen=True)
class _Stack:
    """Frames that may share an array, of these instances. whole: they are all frames of them."""

    datasets: list[Dataset]
    frames: list[Frame]
    whole: bool = True


def _stacks(datasets: list[Dataset]) -> list[_Stack]:
    """The stacks of enhanced multi-frame instances, in the order of their first frames; one for all others."""
    frames = [frame for dataset in datasets for frame in frames_of(dataset)]
    enhanced = str(datasets[0].get("SOPClassUID", "")) not in _NO_STACKS and all(is_multi_frame(d) for d in datasets)
    found: dict[tuple[str, tuple[float, ...]], list[Frame]] = defaultdict(list)
    for frame in frames:
        if not enhanced or frame.geometry is None:
            return [_Stack(datasets, frames)]
        stack = str(functional_group(frame.dataset, frame.number, "FrameContentSequence").get("StackID") or "")
        known = (key for key in found if key[0] == stack and np.allclose(key[1], frame.geometry.orientation, atol=_SAME_ORIENTATION))
        found[next(known, (stack, frame.geometry.orientation))].append(frame)
    if len(found) == 1:
        return [_Stack(datasets, frames)]
    return [_Stack([d for d in datasets if any(f.dataset is d for f in stack)], stack, whole=False) for stack in found.values()]


def _group(uid: str, stack: _Stack, part: str) -> SeriesGroup:
    datasets, frames = stack.datasets, stack.frames
    first = datasets[0]
    modality = str(first.get("Modality") or "OT")
    kind = "segmentation" if str(first.get("SOPClassUID", "")) in {*SEGMENTATIONS, RT_STRUCTURE_SET} else "image"
    name = series_id(modality, uid, part)
    placed = [f.geometry for f in frames if f.geometry is not None]
    if kind == "segmentation" or not placed:
        clip = clip_times(first) if kind == "image" and len(frames) > 1 and str(first.get("SOPClassUID", "")) != WHOLE_SLIDE else None
        if clip is not None:
            return SeriesGroup(name, kind, modality, tuple(datasets), tuple((f,) for f in frames), None, clip)
        return SeriesGroup(name, kind, modality, tuple(datasets), (tuple(frames),), None)
    if len(placed) != len(frames):
        raise InvalidInputError("Some images of a series say where they lie in the patient and some do not.")
    layout = lay_out(placed)
    if layout.reason == "duplicates" and (split := _split(frames)) is not None:
        volumes, axis = split
        layout = lay_out([f.geometry for f in volumes[0] if f.geometry is not None])
        ordered = tuple(tuple(volume[i] for i in layout.order) for volume in volumes)
        return SeriesGroup(name, kind, modality, tuple(datasets), ordered, layout, axis)
    return SeriesGroup(name, kind, modality, tuple(datasets), (tuple(frames[i] for i in layout.order),), layout)


def _split(frames: list[Frame]) -> tuple[list[list[Frame]], Axis] | None:
    """Take apart volumes that lie at the same positions: ``volumes[t][position]`` and what t means, or None."""
    places = same_position([f.geometry for f in frames if f.geometry is not None])
    count = len(places[0])
    if count < 2 or any(len(place) != count for place in places):  # noqa: PLR2004 - one image a place needs no axis
        return None
    for keyword, name, unit in _AXES:
        keys = {index: number_of(frames[index].dataset, frames[index].number, keyword) for place in places for index in place}
        values = sorted({v for v in keys.values() if v is not None})
        if len(values) == count and all(sorted(keys[i] or 0.0 for i in place) == values for place in places):
            volumes = [[next(frames[i] for i in place if keys[i] == value) for place in places] for value in values]
            return volumes, Axis.model_validate({"name": name, "values": tuple(values), "unit": unit})
    return _split_by_time(frames, places)


def _split_by_time(frames: list[Frame], places: list[list[int]]) -> tuple[list[list[Frame]], Axis] | None:
    """Volumes in the order of their images' times, when no two images at a place have the same; t is seconds since the first."""
    moments = {i: next(iterate_times(frames[i].dataset), None) for place in places for i in place}
    if any(m is None for m in moments.values()) or any(len({moments[i] for i in place}) != len(place) for place in places):
        return None
    ordered = [sorted(place, key=lambda i: moments[i] or 0.0) for place in places]
    rows = [[place[t] for place in ordered] for t in range(len(places[0]))]
    starts = [min(moments[i] or 0.0 for i in row) for row in rows]
    if starts != sorted(set(starts)):
        return None
    axis = Axis(name="time", values=tuple(round(s - starts[0], 6) for s in starts), unit="s")
    return [[frames[i] for i in row] for row in rows], axis
