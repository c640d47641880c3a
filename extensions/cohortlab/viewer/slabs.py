"""Decoded slabs, kept for the next slice: a chunk is decoded whole for any slice through it, so its other slices come for nothing.

A slab is as many slices of a level as a chunk is deep along the plane's axis: 64 across the acquisition. The newest are kept, up to a
number of bytes; what several askers want at once is read once.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

KEPT_BYTES = 128 * 2**20
LARGEST_SLAB = 48 * 2**20
"""Slabs that are larger are not made: their slices are read one by one."""

SHALLOW = 32
"""Of chunks less deep a slice is decoded in part, which is faster than a slab: 11 ms against 70 for 512 x 512, 16 deep, when measured."""


class Slabs:
    """The newest slabs, by what they are of."""

    def __init__(self, kept: int = KEPT_BYTES) -> None:
        self._kept = kept
        self._bytes = 0
        self._slabs: OrderedDict[Hashable, Future[npt.NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The slab of `key`, read when it is not here. Raises what `read` raises, and forgets it."""
        with self._lock:
            known = self._slabs.get(key)
            if known is None:
                mine: Future[npt.NDArray[Any]] = Future()
                self._slabs[key] = mine
            else:
                self._slabs.move_to_end(key)
        if known is not None:
            return known.result()
        try:
            values = read()
        except BaseException as error:
            with self._lock:
                self._slabs.pop(key, None)
            mine.set_exception(error)
            raise
        values.flags.writeable = False
        mine.set_result(values)
        self._trim(key, values.nbytes)
        return values

    def _trim(self, key: Hashable, size: int) -> None:
        with self._lock:
            if key in self._slabs:
                self._bytes += size
            for oldest in list(self._slabs):
                if self._bytes <= self._kept:
                    return
                if self._slabs[oldest].done():  # one that is being read is not counted yet
                    self._bytes -= self._slabs.pop(oldest).result().nbytes


class SlabArray:
    """A Zarr array of `dims` whose whole slices are cut from `slabs`; all else is read as ever."""

    def __init__(self, array: Any, dims: tuple[str, ...], slabs: Slabs, name: Hashable) -> None:
        self._array, self._dims, self._slabs, self._name = array, dims, slabs, name
        self.dtype, self.shape = array.dtype, array.shape

    def __getitem__(self, where: Any) -> Any:
        axis = self._across(where)
        if axis is None:
            return self._array[where]
        index, depth = where[axis], self._array.chunks[axis]
        first = index // depth * depth
        wide = list(where)
        wide[axis] = slice(first, min(first + depth, self.shape[axis]))
        # the selection without the axis's own index names the slab: frame and samples before it, whole sides beside it
        key = (self._name, axis, first, tuple(part if isinstance(part, int) else None for part in (*where[:axis], *where[axis + 1 :])))
        slab = self._slabs.get(key, lambda: np.asarray(self._array[tuple(wide)]))
        dropped = sum(isinstance(part, int) for part in where[:axis])
        return slab[(slice(None),) * (axis - dropped) + (index - first,)]

    def _across(self, where: Any) -> int | None:
        """The dimension that a whole slice lies across; None when the selection is no whole slice, or its slab would be too large."""
        if not isinstance(where, tuple) or len(where) != len(self._dims):
            return None
        found, size = None, self.dtype.itemsize
        for dimension, (name, part) in enumerate(zip(self._dims, where, strict=True)):
            length = self.shape[dimension]
            if isinstance(part, slice):
                if part.indices(length) != (0, length, 1):
                    return None
                size *= length
            elif name in "zyx":
                found = dimension
        if found is None or self._array.chunks[found] < SHALLOW or size * self._array.chunks[found] > LARGEST_SLAB:
            return None
        return found
