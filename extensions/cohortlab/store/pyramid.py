"""Halving an array: means of blocks for images, the most frequent label for segmentations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHORT = 2  # bytes of values of which eight add up in 32 bits


def _even(values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Repeat the last layer along each axis of odd length, so that all blocks are whole."""
    width = [(0, values.shape[i] % 2 if i in axes else 0) for i in range(values.ndim)]
    return np.pad(values, width, mode="edge") if any(w[1] for w in width) else values


def _corners(values: NDArray[Any], axes: tuple[int, ...]) -> list[NDArray[Any]]:
    """The 2^n voxels of every block, as views of the array, one per corner."""
    views = [values]
    for axis in axes:
        cut = [slice(None)] * values.ndim
        halves: list[NDArray[Any]] = []
        for start in (0, 1):
            cut[axis] = slice(start, None, 2)
            halves.extend(view[tuple(cut)] for view in views)
        views = halves
    return views


def halve_mean(values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Mean of each block of two along `axes`, rounded to the nearest for integers; same dtype."""
    corners = _corners(_even(values, axes), axes)
    wide = np.float64 if values.dtype.kind == "f" else np.int32 if values.dtype.itemsize <= _SHORT else np.int64
    total = np.zeros(corners[0].shape, dtype=wide)
    for corner in corners:
        total += corner
    if values.dtype.kind == "f":
        return np.asarray(total / len(corners), dtype=values.dtype)
    return np.asarray((total + len(corners) // 2) // len(corners), dtype=values.dtype)


def halve_mode(values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """The most frequent label of each block of two along `axes`; the greatest where several are, so that thin parts stay seen."""
    corners = _corners(_even(values, axes), axes)
    best = np.zeros(corners[0].shape, dtype=values.dtype)
    count = np.zeros(corners[0].shape, dtype=np.uint8)
    for label in np.unique(values):
        here = np.zeros(count.shape, dtype=np.uint8)
        for corner in corners:
            here += corner == label
        wins = here >= np.maximum(count, 1)
        best[wins] = label
        count[wins] = here[wins]
    return best
