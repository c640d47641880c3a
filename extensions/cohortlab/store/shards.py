"""Shard files of Zarr v3, written chunk by chunk as the pixels come, so that memory does not grow with the shard.

Zarr's own writer wants a whole shard at once, a quarter of a gigabyte and more, and lays its chunks in Morton order. This one appends
chunks in C order as they are given, so that an axial slab is one piece of the file, which over a network is one request.
What is in a file is the standard's: chunks as the array's codecs encode them, then the index, 64-bit offset and length of each chunk
in C order, and its CRC-32C (Zarr v3 "sharding_indexed", index at the end). A chunk of zeros is left out, as zarr leaves it out.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from cohortlab.store.tiles import EMPTY, sealed

_CODEC: Final = Blosc(cname="zstd", clevel=5, shuffle=Blosc.SHUFFLE)


def compressor() -> BloscCodec:
    """What the metadata of an array says about how its chunks are encoded here."""
    return BloscCodec(cname="zstd", clevel=5, shuffle="shuffle")


def encode(chunk: NDArray[Any], shape: tuple[int, ...]) -> bytes | None:
    """A chunk as it stands in a shard: filled up with zeros to `shape`, little endian, C order, compressed; None when all zero."""
    if not chunk.any():
        return None
    whole = chunk
    if chunk.shape != shape:
        whole = np.zeros(shape, dtype=chunk.dtype)
        whole[tuple(slice(0, n) for n in chunk.shape)] = chunk
    little = np.ascontiguousarray(whole, dtype=whole.dtype.newbyteorder("<"))
    return bytes(_CODEC.encode(little))


class _Shard:
    """One file, while it is written."""

    def __init__(self, path: Path, chunks: tuple[int, ...], expected: int) -> None:
        self._path, self._left, self._end = path, expected, 0
        self._index = np.full((*chunks, 2), EMPTY, dtype="<u8")
        self._file: BinaryIO | None = None

    def add(self, at: tuple[int, ...], data: bytes | None) -> bool:
        """Append a chunk, by its place among the shard's; whether it was the last."""
        if data is not None:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("xb")
            self._file.write(data)
            self._index[at] = self._end, len(data)
            self._end += len(data)
        self._left -= 1
        if self._left == 0 and self._file is not None:
            self._file.write(sealed(self._index.tobytes()))
            self.close()
        return self._left == 0

    def close(self) -> None:
        """Close the file, finished or not."""
        if self._file is not None:
            self._file.close()


class ShardWriter:
    """Writes the shards of an array at `folder`, of `shape`, `shards` and inner `chunks`; each chunk is added once, in any order."""

    def __init__(self, folder: Path, shape: Sequence[int], shards: Sequence[int], chunks: Sequence[int]) -> None:
        self._folder, self._shape = folder, tuple(shape)
        self._shards, self._chunks = tuple(shards), tuple(chunks)
        self._open: dict[tuple[int, ...], _Shard] = {}

    def add(self, at: tuple[int, ...], data: bytes | None) -> None:
        """Put an encoded chunk, or None for zeros, at place `at` of the array's grid of chunks."""
        inside = tuple(s // c for s, c in zip(self._shards, self._chunks, strict=True))
        place = tuple(i // n for i, n in zip(at, inside, strict=True))
        shard = self._open.get(place)
        if shard is None:
            path = self._folder.joinpath("c", *map(str, place))
            shard = self._open[place] = _Shard(path, inside, self._count(place))
        if shard.add(tuple(i % n for i, n in zip(at, inside, strict=True)), data):
            del self._open[place]

    def _count(self, place: tuple[int, ...]) -> int:
        """How many of a shard's chunks lie inside the array."""
        spans = (min(size - p * s, s) for p, s, size in zip(place, self._shards, self._shape, strict=True))
        return math.prod(math.ceil(span / c) for span, c in zip(spans, self._chunks, strict=True))

    def close(self) -> None:
        """Close what is open, after an error; a shard that is not whole has no index and cannot be taken for one."""
        for shard in self._open.values():
            shard.close()
