"""Find DICOM files and read them with limits: structure first, without trusting any length, values only after that.

The structure check follows PS3.10 chapter 7 and PS3.5 chapter 7 over the bytes as they lie on the disk. So a file that ends too early,
carries something behind its end or claims a length that it does not have is found before a library allocates anything for it.
"""

import logging
import mmap
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import config, dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import _at_pixel_data, _read_file_meta_info, read_dataset, read_preamble

from cohortlab.deidentify.report import Reason
from cohortlab.errors import InvalidInputError, NotFoundError, StorageError
from cohortlab.store.deferred import defer

_PREAMBLE, _MAGIC = 128, b"DICM"
_SHORT_LENGTH: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_LENGTH: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS: Final = 0x7FE00010
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_MAX_DEPTH, _MAX_ELEMENTS, _MAX_INFLATED = 32, 5_000_000, 2**28
_STEP: Final = 2**20
_LONGEST: Final = 1024  # bytes of a value to sort by

SORTED_BY: Final[dict[int, str]] = {
    0x00080016: "SOPClassUID",
    0x00080060: "Modality",
    0x00100020: "PatientID",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
}
"""What tells files of different series apart: tag -> keyword."""

READ_ERRORS: Final = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on files that are not what they say; each becomes a reason code."""


class BrokenFileError(InvalidInputError):
    """A file that cannot be taken: `reason` says why."""

    code = "broken-file"

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def quiet() -> Iterator[None]:
    """Read and write values without pydicom's warnings: what is wrong with a value is the verifier's to say, without printing it."""
    reading, writing = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    log = logging.getLogger("pydicom")
    level = log.level
    config.settings.reading_validation_mode = config.settings.writing_validation_mode = config.IGNORE
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            yield
    finally:
        log.setLevel(level)
        config.settings.reading_validation_mode, config.settings.writing_validation_mode = reading, writing


def find(sources: Sequence[Path], limit: int) -> list[Path]:
    """All regular files of `sources` (files and folders), each once, in order of their paths. Links to folders are not followed.

    Raises `NotFoundError` for a source that is not there, `InvalidInputError` for more than `limit` files.
    """
    found: dict[Path, None] = {}
    for source in sources:
        if source.is_file():
            found[source] = None
        elif source.is_dir():
            for folder, folders, names in os.walk(source, onerror=_unreadable):
                folders.sort()
                found.update((path, None) for name in sorted(names) if (path := Path(folder, name)).is_file())
                if len(found) > limit:
                    raise InvalidInputError(
                        f"There are more than {limit} files.", hint="Ingest them in parts, each as a dataset of its own."
                    )
        else:
            raise NotFoundError(f"There is nothing at {source}.", hint="Give DICOM files or folders that hold them.")
    return list(found)


def _unreadable(error: OSError) -> None:
    raise StorageError(f"The folder {error.filename} cannot be read: {error.strerror}.") from None


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICM mark after its preamble, or is named like a DICOM file and so ought to have it."""
    try:
        with path.open("rb") as file:
            head = file.read(_PREAMBLE + len(_MAGIC))
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from None
    return head[_PREAMBLE:] == _MAGIC or path.suffix.lower() in {".dcm", ".dicom"}


def check(path: Path, max_bytes: int) -> dict[str, str]:
    """Check a file's structure; the values of `SORTED_BY` by keyword, empty where there is none or several.

    Raises `BrokenFileError` when the file is too large, ends too early, is followed by something or is no DICOM.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise BrokenFileError(Reason.TOO_LARGE, f"{path} is larger than {max_bytes} bytes.")
        if size < _PREAMBLE + len(_MAGIC):
            raise BrokenFileError(Reason.TRUNCATED, f"{path} is too short for a DICOM file.")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Structure(data, path).check()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from None


def read(path: Path, only: Sequence[str] = ()) -> FileDataset:
    """Read a data set, whole or `only` some attributes of those before the pixels, by keyword. Raises `BrokenFileError`.

    Pixel data at the end of a file stay there until they are asked for (`PixelFile`).
    """
    try:
        with path.open("rb") as file:
            preamble = read_preamble(file, False)
            meta = _read_file_meta_info(file)
            syntax = str(meta.get("TransferSyntaxUID", ""))
            if syntax == _DEFLATED:
                _bounded(file, path)
            elif syntax and not only:
                implicit, little = syntax == _IMPLICIT, syntax != _BIG_ENDIAN
                head = read_dataset(file, implicit, little, stop_when=_at_pixel_data)
                found = FileDataset(file, head, preamble, meta, implicit, little)
                found.set_original_encoding(implicit, little, head.original_character_set)
                if not file.peek(1) or defer(found, file, path):
                    return found
            file.seek(0)
            return dcmread(file, stop_before_pixels=bool(only), specific_tags=list(only) or None)
    except BrokenFileError:
        raise
    except READ_ERRORS:
        raise BrokenFileError(Reason.UNREADABLE, f"{path} is no readable DICOM file.") from None
    except OSError as error:
        if is_of_content(error):
            raise BrokenFileError(Reason.UNREADABLE, f"{path} is no readable DICOM file.") from None
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from None


def is_of_content(error: OSError) -> bool:
    """Whether pydicom raised this on what a file holds, such as a sequence that does not end; the system's own errors have a number."""
    return error.errno is None


def _bounded(file: BinaryIO, path: Path) -> None:
    """Refuse what unpacks to too much before the library unpacks it, which has no bound. `file` is behind its file meta information.

    That is read as the library reads it, for it may understand a broken one otherwise than `_Structure` does.
    """
    unpack, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    data = file.read(_STEP)
    while data and not unpack.eof:
        size += len(unpack.decompress(data, _STEP))
        if size > _MAX_INFLATED:
            raise BrokenFileError(Reason.TOO_LARGE, f"{path} unpacks to too much.")
        data = unpack.unconsumed_tail or file.read(_STEP)


class _Structure:
    """One pass over the elements of a file, by their lengths only."""

    def __init__(self, data: mmap.mmap | bytes, path: Path) -> None:
        self._data, self._path, self._end = data, path, len(data)
        self._implicit, self._count = False, 0
        self._orders("<")

    def _orders(self, order: str) -> None:
        """Read numbers in this byte order."""
        self._element = struct.Struct(order + "HH2sH").unpack_from
        self._plain = struct.Struct(order + "HHI").unpack_from
        self._long = struct.Struct(order + "I").unpack_from

    def _broken(self, reason: Reason) -> BrokenFileError:
        said = {
            Reason.TRUNCATED: "ends too early",
            Reason.TRAILING_DATA: "has something behind its end",
            Reason.UNREADABLE: "has a broken structure",
            Reason.MEDIA_DIRECTORY: "is the index of a disc",
            Reason.TOO_LARGE: "unpacks to too much",
        }
        return BrokenFileError(reason, f"{self._path} {said[reason]}.")

    def check(self) -> dict[str, str]:
        """Raises `BrokenFileError`; else the values of `SORTED_BY`."""
        if self._data[_PREAMBLE : _PREAMBLE + 4] != _MAGIC:
            raise self._broken(Reason.UNREADABLE)
        position, syntax, storage = self._meta(_PREAMBLE + 4)
        if storage == _DIRECTORY:
            raise self._broken(Reason.MEDIA_DIRECTORY)
        if syntax == _DEFLATED:
            self._data, position = self._inflate(position), 0
            self._end = len(self._data)
        self._implicit = syntax == _IMPLICIT
        self._orders(">" if syntax == _BIG_ENDIAN else "<")
        return self._top(position)

    def _inflate(self, position: int) -> bytes:
        unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpack.decompress(self._data[position:], _MAX_INFLATED)
        except zlib.error:
            raise self._broken(Reason.UNREADABLE) from None
        if unpack.unconsumed_tail:
            raise self._broken(Reason.TOO_LARGE)
        if not unpack.eof:
            raise self._broken(Reason.TRUNCATED)
        if len(unpack.unused_data) > 1:  # one byte pads to an even length
            raise self._broken(Reason.TRAILING_DATA)
        return data

    def _meta(self, position: int) -> tuple[int, str, str]:
        """The end of the file meta information (group 0002, always explicit little endian), transfer syntax, media storage class."""
        syntax = storage = ""
        while position + 2 <= self._end and self._data[position : position + 2] == b"\2\0":
            tag, length, start = self._header(position)
            if length == _UNDEFINED or start + length > self._end:
                raise self._broken(Reason.TRUNCATED)
            value = bytes(self._data[start : start + min(length, 64)]).rstrip(b"\0 ").decode("ascii", "replace")
            syntax = value if tag == 0x00020010 else syntax  # noqa: PLR2004  Transfer Syntax UID
            storage = value if tag == 0x00020002 else storage  # noqa: PLR2004  Media Storage SOP Class UID
            position = start + length
        if not syntax:
            raise self._broken(Reason.UNREADABLE)
        return position, syntax, storage

    def _header(self, position: int) -> tuple[int, int, int]:
        """Tag, length and start of the value of the element at `position`."""
        if position + 8 > self._end:
            raise self._broken(Reason.TRUNCATED)
        self._count += 1
        if self._count > _MAX_ELEMENTS:
            raise self._broken(Reason.TOO_LARGE)
        group, element, kind, length = self._element(self._data, position)
        tag = group << 16 | element
        if self._implicit or group == 0xFFFE:  # noqa: PLR2004  items and delimiters have no VR
            return tag, self._plain(self._data, position)[2], position + 8
        if kind in _SHORT_LENGTH:
            return tag, length, position + 8
        if kind not in _LONG_LENGTH:
            raise self._broken(Reason.UNREADABLE)
        if position + 12 > self._end:
            raise self._broken(Reason.TRUNCATED)
        return tag, self._long(self._data, position + 8)[0], position + 12

    def _top(self, position: int) -> dict[str, str]:
        """The data set itself: tags ascend, and the last element ends where the file ends."""
        last = 0
        values: dict[str, str] = {}
        while position < self._end:
            try:
                tag, length, start = self._header(position)
            except BrokenFileError as error:
                raise self._broken(Reason.TRAILING_DATA if last >= _PIXELS else error.reason) from None
            if tag <= last:
                raise self._broken(Reason.TRAILING_DATA if last >= _PIXELS else Reason.UNREADABLE)
            last = tag
            position = self._undefined(start, tag, 1) if length == _UNDEFINED else start + length
            if position > self._end:
                raise self._broken(Reason.TRUNCATED)
            if tag in SORTED_BY:
                values[SORTED_BY[tag]] = _one_text(bytes(self._data[start : min(position, start + _LONGEST)]))
        if last == 0:
            raise self._broken(Reason.TRUNCATED)
        return values

    def _undefined(self, position: int, parent: int, depth: int) -> int:
        """The end of a sequence of undefined length, or of encapsulated pixel data."""
        if depth > _MAX_DEPTH:
            raise self._broken(Reason.UNREADABLE)
        while True:
            tag, length, start = self._header(position)
            if tag == _SEQUENCE_END:
                return start
            if tag != _ITEM or (parent == _PIXELS and length == _UNDEFINED):
                raise self._broken(Reason.UNREADABLE)
            position = self._item(start, depth) if length == _UNDEFINED else start + length
            if position > self._end:
                raise self._broken(Reason.TRUNCATED)

    def _item(self, position: int, depth: int) -> int:
        """The end of an item of undefined length."""
        while True:
            tag, length, start = self._header(position)
            if tag == _ITEM_END:
                return start
            position = self._undefined(start, tag, depth + 1) if length == _UNDEFINED else start + length
            if position > self._end:
                raise self._broken(Reason.TRUNCATED)


def _one_text(value: bytes) -> str:
    """A value as text, to compare and to sort by; empty when there are several."""
    text = value.decode("latin-1").strip(" \0")
    return "" if "\\" in text else text
