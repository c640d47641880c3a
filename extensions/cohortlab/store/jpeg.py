"""The Zarr v3 codec ``cohortlab.jpeg``: a chunk is one JPEG image, as the scanner of a whole slide compressed it.

An array of such tiles has the codecs ``[transpose (1, 2, 0), cohortlab.jpeg]`` inside ``sharding_indexed``: a chunk ``(c, y, x)`` is
turned to (rows, columns, samples), which is what a JPEG holds. `photometric` is the instance's PhotometricInterpretation; it says
whether the samples are YCbCr, whatever markers the file has or lacks. The codec only reads: tiles are put into shards as they are.

zarr-python finds it by the entry point ``zarr.codecs`` wherever this package is installed. Others need no more than a JPEG decoder.
"""

import asyncio
import io
import struct
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.registry import register_codec

from cohortlab.store.layout import JPEG_CODEC

YBR: Final = frozenset({"YBR_FULL", "YBR_FULL_422"})
PHOTOMETRIC: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "RGB"}) | YBR
_START, _END, _SCAN, _APP0, _APP14, _COMMENT = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE, 0xFE
_RESTARTS: Final = range(0xD0, 0xD8)
_APPLICATION: Final = range(0xE0, 0xF0)
_ADOBE: Final = b"Adobe\0\x64\0\0\0\0"
_JFIF_BYTES: Final = 16  # a JFIF header without a thumbnail


class BrokenJpegError(ValueError):
    """Bytes that are no JPEG image."""


def plain(data: bytes) -> bytes:
    """A JPEG image without what is no picture: comments, application segments but JFIF's and Adobe's, thumbnails, bytes after its end.

    The compressed pixels and their tables stay as they are. Raises `BrokenJpegError` when the segments do not add up (ITU-T T.81 B).
    """
    parts: list[bytes] = []
    for marker, begin, end in _segments(data):
        part = data[begin:end]
        jfif = marker == _APP0 and part[4:9] == b"JFIF\0" and len(part) == _JFIF_BYTES + 2
        adobe = marker == _APP14 and part[4:9] == b"Adobe"
        if (marker in _APPLICATION or marker == _COMMENT) and not (jfif or adobe):
            continue
        parts.append(part)
    return b"".join(parts)


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """(marker, begin, end) of each segment; one of a scan holds its compressed data too."""
    if data[:2] != bytes((0xFF, _START)):
        raise BrokenJpegError("does not begin as JPEG")
    found = [(_START, 0, 2)]
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:  # noqa: PLR2004 - begins every marker
            raise BrokenJpegError("no marker where one must be")
        marker = data[position + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            position += 1
            continue
        end = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
        if marker == _SCAN:
            end = _scan_end(data, end)
        found.append((marker, position, end))
        if data[end : end + 2] == bytes((0xFF, _END)):
            return [*found, (_END, end, end + 2)]
        position = end
    raise BrokenJpegError("has no end")


def _scan_end(data: bytes, position: int) -> int:
    """Where compressed data end: at the next marker that is neither a stuffed byte nor a restart."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise BrokenJpegError("has no end")
        follows = data[position + 1]
        if follows and follows not in _RESTARTS and follows != 0xFF:  # noqa: PLR2004 - as above
            return position
        position += 2 if follows != 0xFF else 1  # noqa: PLR2004 - as above


def decode(data: bytes, photometric: str) -> NDArray[np.uint8]:
    """A JPEG image as (rows, columns) or (rows, columns, 3) red, green, blue. Raises `BrokenJpegError`."""
    kept = [(m, b, e) for m, b, e in _segments(data) if m != _APP14]
    if photometric in YBR or photometric == "RGB":
        # the standard leaves it to the data set whether samples are YCbCr; decoders look for Adobe's marker, so it is made to say so
        marker = bytes((0xFF, _APP14)) + struct.pack(">H", len(_ADOBE) + 3) + _ADOBE + bytes((photometric != "RGB",))
        kept = [part for part in kept if part[0] != _APP0]
        data = data[:2] + marker + b"".join(data[b:e] for _, b, e in kept[1:])
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return np.asarray(image.convert("RGB") if image.mode == "YCbCr" else image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow raises on damaged files
        raise BrokenJpegError(f"cannot be decoded ({type(error).__name__})") from None


@dataclass(frozen=True)
class JpegCodec(ArrayBytesCodec):
    """A chunk (rows, columns, samples) of bytes as one JPEG image."""

    is_fixed_size = False
    photometric: str = "YBR_FULL_422"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From ``{"name": "cohortlab.jpeg", "configuration": {"photometric": …}}``. Raises `ValueError`."""
        configuration = data.get("configuration") or {}
        photometric = configuration.get("photometric", "")
        if data.get("name") != JPEG_CODEC or photometric not in PHOTOMETRIC or len(configuration) != 1:
            raise ValueError(f"{JPEG_CODEC} is configured by photometric, one of {', '.join(sorted(PHOTOMETRIC))}")
        return cls(photometric=photometric)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in ``zarr.json``."""
        return {"name": JPEG_CODEC, "configuration": {"photometric": self.photometric}}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """How large a tile is cannot be told from its shape. Raises `NotImplementedError`, as Zarr asks."""
        raise NotImplementedError

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        pixels = decode(chunk_bytes.to_bytes(), self.photometric)
        if pixels.size != np.prod(chunk_spec.shape) or pixels.shape[:2] != chunk_spec.shape[:2]:
            raise BrokenJpegError("is not of the size of its chunk")
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(pixels.reshape(chunk_spec.shape))

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    def _encode_sync(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        del chunk_array, chunk_spec
        raise TypeError(f"{JPEG_CODEC} only reads: to compress again would change the pixels")

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        return self._encode_sync(chunk_data, chunk_spec)


register_codec(JPEG_CODEC, JpegCodec)
