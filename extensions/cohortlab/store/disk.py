"""The disk under a store being written: lock, shared objects, sync, the rename that makes a version visible, errors in words."""

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cohortlab.errors import CohortlabError, NotFoundError, RefusedError, StorageError
from cohortlab.store.contracts import StoreObject
from cohortlab.store.manifest import file_digest


def take_lock(path: Path) -> int:
    """An exclusive lock on a file at `path`, freed by the system when the process ends, however it ends."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RefusedError("Another process is writing this version.", hint="Wait until it is done.") from None
        try:
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass  # its last holder removed it between open and lock: take a new one
        os.close(descriptor)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(root: Path) -> None:
    """Bring a tree to the disk, files read-only, folders after what is in them."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder) / name
            path.chmod(0o444)
            sync(path)
        sync(Path(folder))


def publish(partial: Path, place: Path) -> None:
    """Make a finished folder visible at `place`, whole or not at all. Raises `RefusedError` when a version is there already."""
    try:
        os.rename(partial, place)  # noqa: PTH104 - the system call itself: it fails on a version that exists
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise RefusedError(f"Version {place.name} of {place.parent.name} was written by another meanwhile.") from None
        raise
    sync(place.parent)


def share(new: Path, item: StoreObject, earlier: Mapping[str, Path]) -> None:
    """Let an object be one file with that of an earlier version when its bytes are the same; versions never change, so it may.

    earlier: digest -> file. The earlier file is digested again: a version that was damaged meanwhile lends nothing.
    """
    old = earlier.get(item.sha256)
    if old is None:
        return
    link = new.with_name(f".{new.name}.link")
    try:
        if file_digest(old) != (item.size, item.sha256):
            return
        os.link(old, link)
    except OSError:  # gone, another file system, or one without links: it keeps its own copy
        return
    link.replace(new)


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn what the disk says into `StorageError`, in words."""
    try:
        yield
    except CohortlabError:
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(f"{place.parent} is gone while it was being written.") from None
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = (
            "Free some space and run it again; nothing half-written is left."
            if full
            else "Check the folder's permissions and run it again."
        )
        raise StorageError(
            f"The store cannot be written at {place}: {(error.strerror or 'input/output error').lower()}.", hint=hint
        ) from None
