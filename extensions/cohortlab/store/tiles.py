"""Tiles in shards: where they lie on the disk, and the digest over them. What a reader needs without knowing DICOM."""

import hashlib
import math
from pathlib import Path
from typing import Any, Final

import google_crc32c  # comes with zarr, whose shards end with this checksum
import numpy as np
import zarr

from cohortlab.store.contracts import SeriesAttributes
from cohortlab.store.jpeg import JpegCodec
from cohortlab.store.layout import image_path

EMPTY: Final = 2**64 - 1
"""Offset and length of a tile that is not there, in the index of a shard (Zarr v3, sharding_indexed)."""

type Place = tuple[int, int, int]
"""Channel, row, column, in tiles or in shards."""


def sealed(index: bytes) -> bytes:
    """The index of a shard with its checksum, as it ends the shard."""
    checksum: int = google_crc32c.value(index)
    return index + checksum.to_bytes(4, "little")


def shard_file(path: Path, level: int, shard: Place) -> Path:
    """The file of a shard in the group at `path` (Zarr v3's default chunk keys)."""
    channel, row, column = shard
    return path / image_path(level) / "c" / str(channel) / str(row) / str(column)


def tile_digest(path: Path, attributes: SeriesAttributes) -> str:
    """SHA-256 over all tiles of the slide in the group at `path`: by level, then shard by shard in C order of the shards.

    Of JPEG tiles their bytes, in C order in the shard; of decoded ones the shard's part of the array. Raises `OSError` and `ValueError`
    when something cannot be read.
    """
    digest = hashlib.sha256()
    for number in range(len(attributes.levels)):
        image = zarr.open_array(path / image_path(number), mode="r", zarr_format=3)
        kept = isinstance(image.serializer, JpegCodec)
        edges = image.shards or image.chunks
        for shard in np.ndindex(*(math.ceil(s / e) for s, e in zip(image.shape, edges, strict=True))):
            if kept:
                file = shard_file(path, number, (shard[0], shard[1], shard[2]))
                _hash_tiles(digest, file.read_bytes() if file.exists() else b"", math.prod(edges) // math.prod(image.chunks))
            else:
                where = tuple(slice(i * e, min((i + 1) * e, s)) for i, e, s in zip(shard, edges, image.shape, strict=True))
                digest.update(np.ascontiguousarray(image[where], dtype=image.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _hash_tiles(digest: Any, data: bytes, count: int) -> None:
    """The tiles of a shard in their order, without its index."""
    if not data:
        return
    size = count * 16
    raw = data[-4 - size : -4]
    if len(raw) != size or sealed(raw) != data[-4 - size :]:
        raise ValueError("the index of a shard is broken")
    for offset, length in np.frombuffer(raw, dtype="<u8").reshape(-1, 2).tolist():
        if offset != EMPTY:
            digest.update(data[offset : offset + length])
