"""Writing one series as an OME-Zarr 0.5 group: all levels, coordinates, metadata.

Levels are written shard by shard, each shard once; a level is made from the one below it, read back in slabs, so that
memory stays at about two shards whatever the series' size. Zarr's own pipeline writes: it is as fast as zarrs here and says
"no space left" as the `OSError` that it is.
"""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec
from zarr.errors import ZarrUserWarning

from cohortlab.store.layout import Level, chunk_shape, image_path, shard_shape
from cohortlab.store.pixels import Source
from cohortlab.store.pyramid import halve_mean, halve_mode

_SLAB = 32  # slices read at once to make the next level
_COLOURS = {"red": "FF0000", "green": "00FF00", "blue": "0000FF"}
_UNITS = {"s": "second", "ms": "millisecond"}


@dataclass(frozen=True)
class Coordinates:
    """1-D coordinates of level 0 by dimension, with their units ("" for plain numbers)."""

    values: Mapping[str, NDArray[np.float64]]
    units: Mapping[str, str]


def level_coordinates(values: NDArray[np.float64], factor: int, length: int) -> NDArray[np.float64]:
    """Centres of voxels that each span `factor` level-0 voxels; the last one may reach beyond the image."""
    if factor == 1:
        return values
    step = float(values[1] - values[0]) if len(values) > 1 else 0.0
    return np.asarray(values[0] + step * ((factor - 1) / 2 + factor * np.arange(length)))


def write_series(
    path: Path, source: Source, dims: Sequence[str], levels: Sequence[Level], coordinates: Coordinates, *, labels: bool
) -> None:
    """Write all levels and coordinates of a series into a new Zarr group at `path`; attributes come later by `write_attributes`."""
    zarr.create_group(path, zarr_format=3)
    below: zarr.Array[Any] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="cohortlab-store") as pool:
        for number, level in enumerate(levels):
            group = zarr.create_group(path / f"scale{number}", zarr_format=3)
            chunks = chunk_shape(level.shape, dims)
            image = group.create_array(
                "image",
                shape=level.shape,
                dtype=source.dtype,
                chunks=chunks,
                shards=shard_shape(level.shape, chunks),
                compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"),
                fill_value=0,
                dimension_names=tuple(dims),
            )
            _write_coordinates(group, dims, level, coordinates)
            reader: Source = source if below is None else _Halved(below, levels[number - 1], level, labels=labels)
            _write_level(image, reader, pool)
            below = image


def _write_coordinates(group: zarr.Group, dims: Sequence[str], level: Level, coordinates: Coordinates) -> None:
    for dim, length, factor in zip(dims, level.shape, level.factors, strict=True):
        values = level_coordinates(coordinates.values[dim], factor, length)
        unit = coordinates.units[dim]
        array = group.create_array(
            dim,
            shape=(length,),
            dtype="<f8",
            chunks=(length,),
            compressors=None,
            dimension_names=(dim,),
            attributes={"units": unit} if unit else {},
        )
        array[:] = values


def _write_level(image: "zarr.Array[Any]", source: Source, pool: ThreadPoolExecutor) -> None:
    """Write shard by shard in C order of the slices, so that a hashing source sees them in order."""
    planes = len(image.shape) == 2  # noqa: PLR2004 - a plane: y, x
    spatial = (1, *image.shape) if planes else image.shape[-3:]
    step = spatial[0] if planes or image.shards is None else image.shards[-3]
    lead_shards = () if image.shards is None or planes else image.shards[:-3]
    lead_ranges = [range(0, size, shard) for size, shard in zip(image.shape[: len(lead_shards)], lead_shards, strict=True)]
    for lead in itertools.product(*lead_ranges):
        stops = [min(start + shard, size) for start, shard, size in zip(lead, lead_shards, image.shape, strict=False)]
        inner = list(itertools.product(*(range(a, b) for a, b in zip(lead, stops, strict=True))))
        for start in range(0, spatial[0], step):
            stop = min(start + step, spatial[0])
            if len(inner) == 1:
                block = source.read(inner[0], start, stop)[None]  # a view: a shard is a quarter of a gigabyte
            else:
                block = np.stack([source.read(index, start, stop) for index in inner])
            block = block.reshape(tuple(b - a for a, b in zip(lead, stops, strict=True)) + block.shape[1:])
            where = (*(slice(a, b) for a, b in zip(lead, stops, strict=True)), *(() if planes else (slice(start, stop),)))
            _complete(pool, image, where, block[0] if planes else block)


def _complete(pool: ThreadPoolExecutor, image: "zarr.Array[Any]", where: tuple[slice, ...], block: NDArray[Any]) -> None:
    """Write a block in a thread and see it through: after Ctrl-C no write goes on behind the back of the clean-up."""
    future: Future[None] = pool.submit(image.__setitem__, where, block)
    try:
        future.result()
    finally:
        wait([future])


class _Halved:
    """A level read as the halves of the one below it."""

    def __init__(self, below: "zarr.Array[Any]", last: Level, level: Level, *, labels: bool) -> None:
        self._below, self._halve = below, halve_mode if labels else halve_mean
        self.shape, self.dtype = level.shape, below.dtype
        self._ratio = tuple(b // a for a, b in zip(last.factors, level.factors, strict=True))

    def read(self, lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        """Slices [start, stop) of this level, made from twice as many below when z is halved too."""
        below, ratio = self._below, self._ratio
        planes = len(self.shape) == 2  # noqa: PLR2004 - a plane: y, x
        axes = tuple(i for i, r in enumerate((1, *ratio) if planes else ratio[-3:]) if r > 1)
        if planes:
            return np.asarray(self._halve(np.asarray(below[...])[None], axes))
        depth = below.shape[-3]
        out = np.empty((stop - start, *self.shape[-2:]), dtype=self.dtype)
        for first in range(start, stop, _SLAB):
            last = min(first + _SLAB, stop)
            where: tuple[int | slice, ...] = (*lead, slice(first * ratio[-3], min(last * ratio[-3], depth)))
            slab = np.asarray(below[where])
            out[first - start : last - start] = self._halve(slab, axes)
        return out


def write_attributes(
    path: Path, dims: Sequence[str], levels: Sequence[Level], coordinates: Coordinates, attributes: Mapping[str, Any]
) -> None:
    """Write the group's OME-Zarr 0.5 multiscales and the ``cohortlab`` attribute; then consolidate."""
    write_metadata(path, _multiscale(str(attributes["id"]), dims, levels, coordinates), attributes)


def write_metadata(path: Path, multiscale: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    """Write one multiscale image (OME-Zarr 0.5, 3.4) and the ``cohortlab`` attribute to the group at `path`; then consolidate."""
    metadata: dict[str, Any] = {"version": "0.5", "multiscales": [dict(multiscale)]}
    if attributes["samples"]:
        most = int(np.iinfo(attributes["dtype"]).max)
        window = {"min": 0, "max": most, "start": 0, "end": most}
        channels = [{"label": name, "color": _COLOURS[name], "active": True, "window": window} for name in attributes["samples"]]
        metadata["omero"] = {"channels": channels}
    zarr.open_group(path, mode="r+", zarr_format=3).attrs.put({"ome": metadata, "cohortlab": dict(attributes)})
    with warnings.catch_warnings():
        # not yet in Zarr's specification, but what xarray reads first: one file instead of five for each level
        warnings.simplefilter("ignore", ZarrUserWarning)
        for number in range(len(multiscale["datasets"])):
            zarr.consolidate_metadata(path / f"scale{number}", zarr_format=3)
        zarr.consolidate_metadata(path, zarr_format=3)


def _multiscale(name: str, dims: Sequence[str], levels: Sequence[Level], coordinates: Coordinates) -> dict[str, Any]:
    """One multiscale image (OME-Zarr 0.5, 3.4). An axis without even steps, such as irregular slices, counts 0, 1, 2 and has no unit."""
    axes: list[dict[str, str]] = []
    base: list[tuple[float, float]] = []
    for dim in dims:
        values, unit = coordinates.values[dim], coordinates.units[dim]
        steps = np.diff(values)
        even = len(steps) > 0 and np.allclose(steps, steps[0], rtol=0.05, atol=0) and unit != ""
        axis = {"name": dim, "type": {"t": "time", "c": "channel"}.get(dim, "space")}
        if even and dim != "c":
            axis["unit"] = "millimeter" if unit == "mm" else _UNITS.get(unit, unit)
        axes.append(axis)
        scale = float((values[-1] - values[0]) / (len(values) - 1)) if even else 1.0
        base.append((scale, float(values[0]) if even else 0.0))
    datasets = []
    for number, level in enumerate(levels):
        scales = [s * f for (s, _), f in zip(base, level.factors, strict=True)]
        shift = [o + s * (f - 1) / 2 for (s, o), f in zip(base, level.factors, strict=True)]
        transformations = [{"type": "scale", "scale": scales}, {"type": "translation", "translation": shift}]
        datasets.append({"path": image_path(number), "coordinateTransformations": transformations})
    return {"name": name, "axes": axes, "datasets": datasets}
