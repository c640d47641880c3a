"""Stored values to physical ones, as they are read.

A rescale that differs from slice to slice, or that has fractions, is kept beside the stored values and applied to what a reader
asks for, so that nothing was rounded and reading stays lazy.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from cohortlab.store.contracts import Rescale, SeriesAttributes

_LINEAR = 2  # slope and intercept


def rescaled(image: xr.DataArray, attributes: SeriesAttributes) -> xr.DataArray:
    """`image` in the units of `attributes`, float32, read lazily; `image` itself when it holds them already.

    image: dimensions as in ``attributes.dims``, any level, with its lazy Zarr data.
    """
    rescale = attributes.rescale
    if rescale is None or rescale.applied or _changes_nothing(rescale):
        return image
    factors = _factors(rescale, attributes, image.shape)
    data = indexing.LazilyIndexedArray(_Rescaled(image, *factors))
    return xr.DataArray(xr.Variable(image.dims, data, image.attrs), coords=image.coords, name=image.name)


def _changes_nothing(rescale: Rescale) -> bool:
    pairs = rescale.per_slice or ((rescale.slope, rescale.intercept),)
    return set(pairs) == {(1.0, 0.0)}


def _factors(rescale: Rescale, attributes: SeriesAttributes, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and intercept, each with as many dimensions as the image, 1 long where they do not change."""
    if rescale.per_slice is None:
        flat = np.ones((1,) * len(shape))
        return flat * rescale.slope, flat * rescale.intercept
    table = np.asarray(rescale.per_slice, dtype=np.float64)
    lead = [size if dim not in "yx" else 1 for size, dim in zip(shape, attributes.dims, strict=True)]
    return tuple(np.ascontiguousarray(table[:, i]).reshape(lead) for i in range(_LINEAR))  # type: ignore[return-value]  # two of them


class _Rescaled(BackendArray):
    """What xarray asks for values: it reads the stored ones of the same selection and rescales them."""

    def __init__(self, image: xr.DataArray, slope: NDArray[np.float64], intercept: NDArray[np.float64]) -> None:
        self._image, self._slope, self._intercept = image.variable, slope, intercept
        self.shape, self.dtype = image.shape, np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        stored = np.asarray(self._image[key].values)
        # a dimension that a factor is 1 long in has only index 0; one that was taken away by an integer is taken from both
        slope, intercept = (self._select(factor, key) for factor in (self._slope, self._intercept))
        return np.asarray(stored * slope + intercept, dtype=np.float32)

    @staticmethod
    def _select(factor: NDArray[np.float64], key: tuple[Any, ...]) -> NDArray[np.float64]:
        for axis in reversed(range(factor.ndim)):
            step = key[axis]
            if factor.shape[axis] == 1:
                factor = np.take(factor, 0, axis=axis) if isinstance(step, int | np.integer) else factor
            else:
                factor = factor[(slice(None),) * axis + (step,)]
        return factor
