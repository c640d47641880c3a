"""Writing one series as an OME-Zarr 0.5 group: all levels, coordinates, metadata.

A level is written in slabs a chunk deep, by `cohortlab.store.shards`; it is made from the one below it, read back in slabs, so that
memory stays at a few slabs whatever the series' size. Zarr writes the metadata.
"""

import asyncio
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync
from zarr.errors import ZarrUserWarning

from cohortlab.store.layout import Level, chunk_shape, image_path, shard_shape
from cohortlab.store.pixels import Source
from cohortlab.store.places import DISK_PIPELINE, pipeline
from cohortlab.store.pyramid import halve_mean, halve_mode
from cohortlab.store.shards import ShardWriter, compressor, encode

_SLAB = 16  # slices made at once of the next level
_PATIENCE = 30  # seconds for a disk to come to an end
_SPACE = 3  # dimensions that are space: z, y, x
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
    path: Path, source: Source, dims: Sequence[str], levels: Sequence[Level], coordinates: Coordinates, *, labels: bool, threads: int
) -> None:
    """Write all levels and coordinates of a series into a new Zarr group at `path`; attributes come later by `write_attributes`.

    Chunks are encoded in as many `threads`, beside the one that reads `source`.
    """
    zarr.create_group(path, zarr_format=3)
    below: zarr.Array[Any] | None = None
    with ThreadPoolExecutor(threads, thread_name_prefix="cohortlab-store") as pool:
        for number, level in enumerate(levels):
            group = zarr.create_group(path / f"scale{number}", zarr_format=3)
            chunks = chunk_shape(level.shape, dims)
            image = group.create_array(
                "image",
                shape=level.shape,
                dtype=source.dtype,
                chunks=chunks,
                shards=shard_shape(level.shape, chunks),
                compressors=compressor(),
                fill_value=0,
                dimension_names=tuple(dims),
            )
            _write_coordinates(group, dims, level, coordinates)
            reader: Source = source if below is None else _Halved(below, levels[number - 1], level, labels=labels)
            folder = path / image_path(number)
            _write_level(image, folder, reader, pool)
            if number + 1 < len(levels):
                with pipeline(DISK_PIPELINE):
                    below = zarr.open_array(folder, mode="r", zarr_format=3)


def let_writes_end() -> None:
    """Wait for what zarr still writes behind a failed call: it makes folders as it needs them, also those just cleared away."""

    async def all_done() -> None:
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=_PATIENCE)

    sync(all_done())


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


def _write_level(image: "zarr.Array[Any]", folder: Path, source: Source, pool: ThreadPoolExecutor) -> None:
    """Write a level slab by slab in C order of the slices, so that a hashing source sees them in order.

    A slab is about 16 slices. While its chunks are encoded in threads the next one is read, so there are never more than two.
    """
    shape, chunks = image.shape, image.chunks
    lead_count = max(0, len(shape) - _SPACE)
    writer = ShardWriter(folder, shape, image.shards or chunks, chunks)
    waiting: list[tuple[tuple[int, ...], Future[bytes | None]]] = []
    lead_starts = itertools.product(*(range(0, n, c) for n, c in zip(shape[:lead_count], chunks[:lead_count], strict=True)))
    try:
        for lead in lead_starts:
            for block, start in _slabs(source, shape, chunks, lead):
                encoding = [(place, pool.submit(encode, part, chunks)) for place, part in _parts(block, chunks, (*lead, *start))]
                _drain(writer, waiting)
                waiting = encoding
        _drain(writer, waiting)
    finally:
        wait([future for _, future in waiting])  # after Ctrl-C nothing goes on behind the back of the clean-up
        writer.close()


def _slabs(
    source: Source, shape: tuple[int, ...], chunks: tuple[int, ...], lead: tuple[int, ...]
) -> Iterator[tuple[NDArray[Any], tuple[int, ...]]]:
    """Blocks some whole chunks deep, with the dimensions of the array, and where they begin in the first of the last three."""
    stops = [min(begin + c, size) for begin, c, size in zip(lead, chunks, shape, strict=False)]
    inner = list(itertools.product(*(range(a, b) for a, b in zip(lead, stops, strict=True))))
    if len(shape) < _SPACE:
        yield source.read((), 0, 1)[0], (0, 0)
        return
    depth = -(-_SLAB // chunks[-3]) * chunks[-3]
    for start in range(0, shape[-3], depth):
        stop = min(start + depth, shape[-3])
        read = [source.read(index, start, stop) for index in inner]
        block = read[0] if not lead else np.stack(read).reshape(*(b - a for a, b in zip(lead, stops, strict=True)), *read[0].shape)
        yield block, (start, 0, 0)


def _parts(block: NDArray[Any], chunks: tuple[int, ...], start: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """The chunks of a block that begins at voxel `start`, by their place in the array's grid of chunks."""
    for part in itertools.product(*(range(-(-size // c)) for size, c in zip(block.shape, chunks, strict=True))):
        cut = tuple(slice(i * c, (i + 1) * c) for i, c in zip(part, chunks, strict=True))
        yield tuple(begin // c + i for begin, c, i in zip(start, chunks, part, strict=True)), block[cut]


def _drain(writer: ShardWriter, encoding: list[tuple[tuple[int, ...], "Future[bytes | None]"]]) -> None:
    for at, future in encoding:
        writer.add(at, future.result())


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
