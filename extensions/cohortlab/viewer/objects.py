"""The objects of a series' Zarr group as they are stored: found by the signed manifest, read by ranges.

A key is looked up among the paths of the manifest, so that no path that a request makes up ever meets the disk.
"""

import hashlib
import os
import re
from pathlib import Path

from cohortlab.errors import IntegrityError, NotFoundError, StorageError
from cohortlab.store.contracts import StoreObject
from cohortlab.viewer.answers import Answer, RangeError, TooLargeError

MAX_OBJECT_BYTES = 64 * 2**20
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last of a ``Range`` header (RFC 9110, 14.2); None for the whole object.

    Several ranges, other units and what cannot be read are ignored, as the standard allows. Raises `RangeError` outside.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size or start >= stop:
        raise RangeError("The object has no such range.", hint=f"It is {size} bytes long.")
    return start, stop


def read_object(root: Path, item: StoreObject, wanted: tuple[int, int] | None) -> bytes:
    """Bytes of a store's object, which must be there in its signed size.

    Whole metadata is compared to its digest. Raises `StorageError` when it cannot be read, `IntegrityError` when metadata is not
    as it was signed, `TooLargeError` above `MAX_OBJECT_BYTES`.
    """
    start, stop = wanted or (0, item.size)
    if stop - start > MAX_OBJECT_BYTES:
        raise TooLargeError("This object is larger than the viewer sends at once.", hint="Ask for ranges of it.")
    try:
        descriptor = os.open(root / item.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            whole = os.fstat(descriptor).st_size == item.size
            body = os.pread(descriptor, stop - start, start) if whole else b""
        finally:
            os.close(descriptor)
    except OSError:
        whole, body = False, b""
    if not whole or len(body) != stop - start:
        raise StorageError("A part of this series is missing or cut short.", hint="Tell the data steward, who can run `cohortlab verify`.")
    if wanted is None and item.path.endswith(".json") and hashlib.sha256(body).hexdigest() != item.sha256:
        raise IntegrityError("The metadata of this series are not what was signed.", hint="Tell the data steward.")
    return body


def object_answer(root: Path, item: StoreObject | None, header: str | None, cache: str, *, head: bool) -> Answer:
    """An object, or the range of it that `header` asks for; with `head` only what would be said of it. Raises `NotFoundError` for None."""
    if item is None:
        raise NotFoundError("The series has no such object.")
    wanted = None if head else byte_range(header, item.size)
    headers = {"Cache-Control": cache, "Accept-Ranges": "bytes"}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {wanted[0]}-{wanted[1] - 1}/{item.size}"
    if head:
        headers["Content-Length"] = str(item.size)
    body = b"" if head else read_object(root, item, wanted)
    kind = "application/json" if item.path.endswith(".json") else "application/octet-stream"
    return Answer(body, kind, item.sha256, headers, 200 if wanted is None else 206)
