"""The histogram's computation: cells of voxel values, streamed chunk by chunk and merged without loss.

A table has ``bins + 2`` cells: below the range, the bins, above it. A cell keeps count, mean and sum of squared deviations,
merged pairwise after Chan, Golub and LeVeque (1983), so that neither order nor size of the chunks matters beyond rounding.
Values that are not finite are not counted. Arrays are 1-D unless said otherwise.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cohortlab.federation.tasks.histogram_model import HistogramParameters, RawCell, RawHistogram

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_SMALL = 2
"""Integers of up to this many bytes are counted value by value first: exact, and some times faster."""


@dataclass(frozen=True)
class Cells:
    """Count, mean and sum of squared deviations of each cell, all of shape ``(bins + 2,)``."""

    count: Ints
    mean: Floats
    m2: Floats


def empty(parameters: HistogramParameters) -> Cells:
    """Cells with nothing in them."""
    size = parameters.bins + 2
    return Cells(np.zeros(size, np.int64), np.zeros(size), np.zeros(size))


def merge(a: Cells, b: Cells) -> Cells:
    """The cells of both samples together."""
    count = a.count + b.count
    some = np.maximum(count, 1)
    delta = b.mean - a.mean
    mean = np.where(a.count == 0, b.mean, a.mean + delta * (b.count / some))
    m2 = a.m2 + b.m2 + delta**2 * a.count * (b.count / some)
    return Cells(count, mean, m2)


def edges(parameters: HistogramParameters) -> Floats:
    """The ``bins + 1`` edges, those of `numpy.histogram`."""
    return np.linspace(parameters.low, parameters.high, parameters.bins + 1)


def place(values: Floats, parameters: HistogramParameters) -> npt.NDArray[np.intp]:
    """The cell of each value: 0 below, ``1 … bins`` in a bin (the last one closed), ``bins + 1`` above."""
    index = np.searchsorted(edges(parameters), values, side="right")
    index[values == parameters.high] = parameters.bins
    return index


def cells_of(values: npt.NDArray[Any], parameters: HistogramParameters) -> Cells:
    """The cells of a sample of numbers, of any real dtype and any shape."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.kind in "iu" and flat.dtype.itemsize <= _SMALL and flat.dtype.isnative:
        tally = np.bincount(flat.view(f"u{flat.dtype.itemsize}"))
        seen = np.flatnonzero(tally)
        numbers = seen.astype(f"u{flat.dtype.itemsize}").view(flat.dtype).astype(np.float64)
        return _cells(numbers, tally[seen].astype(np.int64), parameters)
    numbers = flat.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return _cells(numbers, None, parameters)


def _cells(values: Floats, weights: Ints | None, parameters: HistogramParameters) -> Cells:
    size = parameters.bins + 2
    index = place(values, parameters)
    weight = np.ones(1) if weights is None else weights.astype(np.float64)
    # Weighted bincounts are float64: exact below 2**53, and a chunk holds far fewer voxels.
    count = np.bincount(index, weights if weights is None else weight, minlength=size)
    some = np.maximum(count, 1)
    mean = np.bincount(index, weight * values, minlength=size) / some
    m2 = np.bincount(index, weight * (values - mean[index]) ** 2, minlength=size)
    return Cells(count.astype(np.int64), mean, m2)


def histogram(series: Iterable[tuple[Hashable, Iterable[npt.NDArray[Any]]]], parameters: HistogramParameters) -> RawHistogram:
    """The raw table over `series`: pairs of a subject and that series' chunks of values. One chunk is held at a time."""
    total = empty(parameters)
    subjects: dict[Hashable, npt.NDArray[np.bool_]] = {}
    number = 0
    for subject, chunks in series:
        number += 1
        mine = empty(parameters)
        for chunk in chunks:
            mine = merge(mine, cells_of(chunk, parameters))
        total = merge(total, mine)
        has = subjects.setdefault(subject, np.zeros(parameters.bins + 2, np.bool_))
        has |= mine.count > 0
    contributing = np.sum(list(subjects.values()), axis=0) if subjects else np.zeros(parameters.bins + 2)
    cells = zip(total.count, total.mean, total.m2, contributing, strict=True)
    return RawHistogram(
        parameters=parameters,
        cells=tuple(RawCell(count=int(n), mean=float(m), m2=max(float(v), 0.0), subjects=int(s)) for n, m, v, s in cells),
        subjects=len(subjects),
        series=number,
    )
