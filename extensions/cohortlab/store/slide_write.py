"""Writing the levels of a whole-slide image: JPEG tiles as they are, others decoded.

Tiles of JPEG baseline stay the bytes they are, but for comments and application segments (`jpeg.plain`), and are read by the codec
``cohortlab.jpeg``. They go into Zarr shards of about 4,096 pixels a side, so that a slide is some hundred files. Tiles of any other
transfer syntax are decoded and compressed as the other images of a store are.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import JsonValue
from pydicom.encaps import generate_frames
from zarr.codecs import BloscCodec, TransposeCodec

from cohortlab.errors import InvalidInputError
from cohortlab.store.arrays import write_metadata
from cohortlab.store.colour import GREY, SAMPLES, rgb_pixels
from cohortlab.store.contracts import Axis, SeriesAttributes, SeriesDigests, Tiles
from cohortlab.store.deferred import rewind
from cohortlab.store.describe import NO_DIGESTS, identity_of, text
from cohortlab.store.frames import Frame, frame_count, stored_pixels
from cohortlab.store.jpeg import BrokenJpegError, JpegCodec, decode, plain
from cohortlab.store.layout import image_path
from cohortlab.store.series import SeriesGroup
from cohortlab.store.slide import SlideLevel
from cohortlab.store.tiles import EMPTY, Place, sealed, shard_file

_WHITE: Final = 255


@dataclass
class SlideWriter:
    """Writes the levels of a slide under `path`, and digests what it writes and reads. `on_slice` is called for each tile."""

    path: Path
    levels: Sequence[SlideLevel]
    on_slice: Callable[[], None]

    def __post_init__(self) -> None:
        self._pixels, self._source = hashlib.sha256(), hashlib.sha256()

    @property
    def pixels(self) -> str:
        """As `tile_digest` of what was written."""
        return self._pixels.hexdigest()

    @property
    def stored(self) -> str:
        """SHA-256 of the tiles as they came: JPEG tiles encoded, others decoded, in the order in which they were written."""
        return self._source.hexdigest()

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Of all levels."""
        first = self.levels[0]
        return np.dtype("<u1") if first.keeps_jpeg else self._decoded(next(iter(first.frames.values()))).dtype

    def write(self) -> None:
        """Write all levels. Raises `InvalidInputError` for tiles that cannot be read."""
        zarr.create_group(self.path, zarr_format=3)
        dtype = self.dtype
        for number, level in enumerate(self.levels):
            zarr.create_group(self.path / f"scale{number}", zarr_format=3)
            image = self._create(number, level, dtype)
            tiles = _Encapsulated() if level.keeps_jpeg else None
            for shard in level.shards():
                if tiles is not None:
                    self._write_jpeg(number, level, shard, tiles)
                else:
                    self._write_decoded(image, level, shard)

    def _create(self, number: int, level: SlideLevel, dtype: "np.dtype[Any]") -> "zarr.Array[Any]":
        chunk = (level.samples, *level.tile)
        shard = (level.samples, *(t * s for t, s in zip(level.tile, level.shard, strict=True)))
        how: dict[str, Any] = {"compressors": BloscCodec(cname="zstd", clevel=5, shuffle="shuffle")}
        if level.keeps_jpeg:
            codec = JpegCodec(photometric=str(level.first.PhotometricInterpretation))
            how = {"filters": [TransposeCodec(order=(1, 2, 0))], "serializer": codec, "compressors": None}
        return zarr.create_array(
            self.path / image_path(number),
            shape=(level.channels * level.samples, *level.shape),
            dtype=dtype,
            chunks=chunk,
            shards=shard,
            fill_value=_WHITE if level.samples > 1 else 0,
            dimension_names=("c", "y", "x"),
            zarr_format=3,
            **how,
        )

    def _write_jpeg(self, number: int, level: SlideLevel, shard: Place, tiles: "_Encapsulated") -> None:
        """A shard by Zarr's own format (sharding_indexed, index at the end): the tiles, their offsets and lengths, a checksum."""
        index = np.full((*level.shard, 2), EMPTY, dtype="<u8")
        parts, offset = [], 0
        for place, inner in _inside(level, shard):
            frame = level.frames.get(place)
            if frame is None:
                continue
            encoded = tiles.get(frame)
            try:
                kept = plain(encoded)
                shape = decode(kept, str(level.first.PhotometricInterpretation)).shape
            except BrokenJpegError as error:
                raise InvalidInputError(f"A tile of a slide {error}.") from None
            if shape != (*level.tile, level.samples)[: len(shape)]:
                raise InvalidInputError("A tile of a slide is not of the size that its header says.")
            self._source.update(encoded)
            self._pixels.update(kept)
            index[inner] = offset, len(kept)
            parts.append(kept)
            offset += len(kept)
            self.on_slice()
        if parts:
            file = shard_file(self.path, number, shard)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"".join([*parts, sealed(index.tobytes())]))

    def _write_decoded(self, image: "zarr.Array[Any]", level: SlideLevel, shard: Place) -> None:
        block = np.full(
            (level.samples, *(t * s for t, s in zip(level.tile, level.shard, strict=True))), image.fill_value, dtype=image.dtype
        )
        for place, (i, j) in _inside(level, shard):
            frame = level.frames.get(place)
            if frame is not None:
                pixels = self._decoded(frame)
                self._source.update(np.ascontiguousarray(pixels).data)
                rows, columns = level.tile
                block[:, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] = pixels.transpose(2, 0, 1)
                self.on_slice()
        where = _region(image.shape, level, shard)
        values = np.ascontiguousarray(block[:, : where[1].stop - where[1].start, : where[2].stop - where[2].start])
        self._pixels.update(values.data)
        image[where] = values

    @staticmethod
    def _decoded(frame: Frame) -> NDArray[Any]:
        """A tile as (rows, columns, samples), little endian."""
        grey = str(frame.dataset.get("PhotometricInterpretation", "")) in GREY
        pixels = stored_pixels(frame)[..., None] if grey else rgb_pixels(frame)
        return np.asarray(pixels, dtype=pixels.dtype.newbyteorder("<"))


class _Encapsulated:
    """The encoded frames of instances, taken apart once each."""

    def __init__(self) -> None:
        self._known: dict[int, list[bytes]] = {}

    def get(self, frame: Frame) -> bytes:
        dataset = frame.dataset
        if id(dataset) not in self._known:
            offsets, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
            extended = (offsets, lengths) if offsets and lengths else None
            count = frame_count(dataset)
            rewind(dataset)
            try:
                frames = list(generate_frames(dataset.PixelData, number_of_frames=count, extended_offsets=extended))
            except (AttributeError, ValueError, EOFError, IndexError) as error:  # what pydicom raises on fragments that do not add up
                raise InvalidInputError(f"The tiles of a slide cannot be taken apart ({type(error).__name__}).") from None
            if len(frames) != count:
                raise InvalidInputError("An image of a slide does not hold as many tiles as it says.")
            self._known[id(dataset)] = frames
        return self._known[id(dataset)][frame.number]


def _inside(level: SlideLevel, shard: Place) -> Iterator[tuple[Place, tuple[int, int]]]:
    """Tiles of a shard: their place in the level, and in the shard."""
    channel, row, column = shard
    down, across = level.shard
    for i in range(down):
        for j in range(across):
            yield (channel, row * down + i, column * across + j), (i, j)


def _region(shape: Sequence[int], level: SlideLevel, shard: Place) -> tuple[slice, slice, slice]:
    """Where a shard lies in the array, cut at the array's edge."""
    channel, row, column = shard
    rows, columns = (t * s for t, s in zip(level.tile, level.shard, strict=True))
    first = channel * level.samples
    return (
        slice(first, first + level.samples),
        slice(row * rows, min((row + 1) * rows, shape[1])),
        slice(column * columns, min((column + 1) * columns, shape[2])),
    )


def describe_slide(
    group: SeriesGroup, levels: Sequence[SlideLevel], dtype: "np.dtype[Any]", record: dict[str, JsonValue]
) -> SeriesAttributes:
    """Attributes of a slide before its tiles are written: digests are still to come. `record`: of its de-identification."""
    first = levels[0]
    colour = first.samples > 1
    axis = Axis(name="optical_path", values=tuple(float(n) for n in range(1, first.channels + 1)))
    shapes = tuple((level.channels * level.samples, *level.shape) for level in levels)
    return SeriesAttributes(
        id=group.id,
        kind="image",
        modality=group.modality,
        dims=("c", "y", "x"),
        shape=shapes[0],
        dtype=dtype.newbyteorder("=").name,
        levels=shapes,
        affine=first.affine,
        spacing=first.spacing,
        regular=True,
        axis=None if colour else axis,
        photometric="RGB" if colour else text(first.first, "PhotometricInterpretation"),
        samples=SAMPLES if colour else (),
        space="slide",
        level_affines=tuple(level.affine for level in levels),
        tiles=Tiles(encoding="jpeg" if any(level.keeps_jpeg for level in levels) else "array", rows=first.tile[0], columns=first.tile[1]),
        instances=len(group.datasets),
        deidentification=record,
        digests=NO_DIGESTS,
        **identity_of(first.first),
    )


def write_slide(
    path: Path, group: SeriesGroup, levels: Sequence[SlideLevel], record: dict[str, JsonValue], on_slice: Callable[[], None]
) -> SeriesAttributes:
    """Write a slide into a new group at `path`: tiles, coordinates, metadata. Raises `InvalidInputError` for tiles that cannot be read."""
    writer = SlideWriter(path, levels, on_slice)
    draft = describe_slide(group, levels, writer.dtype, record)
    writer.write()
    digests = SeriesDigests(pixels=writer.pixels, source=writer.stored)
    attributes = draft.model_copy(update={"digests": digests})
    datasets = [_place(path, number, level) for number, level in enumerate(levels)]
    axes = [{"name": "c", "type": "channel"}, *({"name": d, "type": "space", "unit": "millimeter"} for d in "yx")]
    write_metadata(path, {"name": group.id, "axes": axes, "datasets": datasets}, attributes.to_json())
    return attributes


def _place(path: Path, number: int, level: SlideLevel) -> dict[str, Any]:
    """Write a level's coordinates, and give its entry of the multiscale: y and x in mm along the image's own axes."""
    group = zarr.open_group(path / f"scale{number}", mode="r+", zarr_format=3)
    matrix = np.asarray(level.affine)
    starts = [float(matrix[:3, 3] @ matrix[:3, axis]) / gap for axis, gap in zip((1, 2), level.spacing, strict=True)]
    for dim, length, start, gap in zip("yx", level.shape, starts, level.spacing, strict=True):
        _coordinate(group, dim, start + gap * np.arange(length, dtype=np.float64), "mm")
    _coordinate(group, "c", np.arange(level.channels * level.samples, dtype=np.float64), "")
    scale = {"type": "scale", "scale": [1.0, *level.spacing]}
    return {"path": image_path(number), "coordinateTransformations": [scale, {"type": "translation", "translation": [0.0, *starts]}]}


def _coordinate(group: zarr.Group, dim: str, values: NDArray[np.float64], unit: str) -> None:
    array = group.create_array(
        dim, shape=values.shape, dtype="<f8", chunks=values.shape, dimension_names=(dim,), attributes={"units": unit} if unit else {}
    )
    array[:] = values
