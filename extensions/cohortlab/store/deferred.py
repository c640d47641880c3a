"""Pixel data that stay in their file until they are asked for, so that a series of many gigabytes is held as its headers.

pydicom takes a buffered object for the value of a pixel element and reads from it, one frame at a time. `PixelFile` is one: it knows
where in which file the value lies, opens the file when it is read, and does not read another file than the one that was checked: one
that was replaced, written to or cut since is refused, by inode, size, and times of change.
"""

import atexit
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from cohortlab.errors import InvalidInputError

_PIXEL_DATA: Final = 0x7FE00010
_BLOCK: Final = 1 << 20

type _Identity = tuple[int, int, int, int, int]


def _identity(file: BinaryIO) -> _Identity:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _Newest:
    """The file that was read last stays open, for the frames of one instance are read one after the other; `release` closes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        with self._lock:
            if self._path != path or self._file is None:
                self._close()
                self._file, self._path = path.open("rb"), path
            yield self._file

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path = None


_newest = _Newest()


def release() -> None:
    """Close the file that was read last; whoever has done with a series says so, and a disc can be taken out."""
    _newest.close()


atexit.register(release)


class PixelFile(io.BufferedIOBase):
    """The `length` bytes at `offset` of a DICOM file, as the value of its Pixel Data. Read-only; costs no file handle while it waits.

    Reading raises `InvalidInputError` when the file is not the one that it was.
    """

    def __init__(self, path: Path, offset: int, length: int, identity: _Identity) -> None:
        super().__init__()
        self.path = path
        self._offset, self._length, self._identity = offset, length, identity
        self._at = 0

    def __len__(self) -> int:
        return self._length

    def __reduce__(self) -> tuple[type[Self], tuple[Path, int, int, _Identity]]:
        return type(self), (self.path, self._offset, self._length, self._identity)

    def __deepcopy__(self, _memo: object) -> Self:
        return type(self)(self.path, self._offset, self._length, self._identity)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Place in the value."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move in the value."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, or all that are left."""
        left = max(0, self._length - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._read(self._at, wanted)
        self._at += len(data)
        return data

    def read1(self, size: int = -1) -> bytes:
        """As `read`."""
        return self.read(size)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the value."""
        digest = hashlib.sha256()
        for start in range(0, self._length, _BLOCK):
            digest.update(self._read(start, min(_BLOCK, self._length - start)))
        return digest.hexdigest()

    def _read(self, start: int, size: int) -> bytes:
        try:
            with _newest.open(self.path) as file:
                same = _identity(file) == self._identity and self.path.stat().st_ino == self._identity[1]
                file.seek(self._offset + start)
                data = file.read(size) if same else b""
        except OSError:
            release()
            raise InvalidInputError("A file that was there is gone or can no longer be read.", hint="Run it again.") from None
        if not same:
            release()
            raise InvalidInputError("A file was changed while it was brought in.", hint="Leave the source alone and run it again.")
        if len(data) != size:
            release()
            raise InvalidInputError("A file was cut short while it was brought in.", hint="Leave the source alone and run it again.")
        return data


def defer(dataset: Dataset, file: BinaryIO, path: Path) -> bool:
    """Give `dataset`, read from `file` up to its Pixel Data, that element as a `PixelFile`; whether it could.

    It can when Pixel Data come next, native or encapsulated, and end where the file ends; the file's structure was checked before.
    Otherwise the dataset stays without and is to be read whole.
    """
    start = file.tell()
    explicit = not dataset.original_encoding[0]
    order: Literal["little", "big"] = "little" if dataset.original_encoding[1] else "big"
    header = file.read(12 if explicit else 8)
    if len(header) < (12 if explicit else 8):
        return False
    group, element = int.from_bytes(header[:2], order), int.from_bytes(header[2:4], order)
    vr = header[4:6].decode("ascii", "replace") if explicit else "OW"
    length = int.from_bytes(header[-4:], order)
    if (group << 16 | element) != _PIXEL_DATA or vr not in {"OB", "OW"}:
        return False
    offset, end = start + len(header), os.fstat(file.fileno()).st_size
    if length == 0xFFFFFFFF:  # noqa: PLR2004 - undefined: items up to a sequence delimiter
        file.seek(end - 8)
        if file.read(8) != b"\xfe\xff\xdd\xe0\0\0\0\0":
            return False
        length = end - 8 - offset
    if length < 0 or offset + length + (8 if end - offset - length == 8 else 0) != end:  # noqa: PLR2004 - the delimiter
        return False
    dataset.add(DataElement(_PIXEL_DATA, vr, PixelFile(path, offset, length, _identity(file))))
    return True


def pixel_sha256(dataset: Dataset) -> str:
    """SHA-256 of the encoded pixels of an instance, of nothing when it has none."""
    value = dataset.get("PixelData")
    return value.sha256 if isinstance(value, PixelFile) else hashlib.sha256(value or b"").hexdigest()


def rewind(dataset: Dataset) -> None:
    """Pixel data that stay in their file are read from their beginning again."""
    value = dataset.get("PixelData")
    if isinstance(value, PixelFile):
        value.seek(0)
