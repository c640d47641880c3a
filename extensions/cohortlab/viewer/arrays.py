"""Arrays that a kernel shows: how they get from its memory to the server that draws them, without a word in the notebook.

The kernel writes each array into a file of a folder that only its user can enter, and the server of the same session maps that file. A
channel to the kernel would be simpler to clean up, but its answers would wait while the kernel computes; traits would put pixels
into notebooks and onto the screen's line again for every view.

The folder is made by the server (``mkdtemp``, mode 0700, of a name nobody can guess, in ``XDG_RUNTIME_DIR`` or the temporary folder) and
told to its kernels by the environment (``COHORTLAB_ARRAYS``); a kernel without such a server makes one of its own. Neither side enters a
folder that is a link, of another owner or open to others. In it each kernel has a folder of its own, with a file that it holds locked as
long as it lives, however it ends; what is not locked is removed by whoever comes by next, and all of it with the server.

A file is written whole, under another name first, and never changed or cut short: a mapped file cannot vanish under its reader. Beside it
lies every nth voxel of it as a second level, so that the first picture of a large array is there at once.
"""

import atexit
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cohortlab.errors import CohortlabError, RefusedError, StorageError
from cohortlab.store.contracts import SeriesAttributes
from cohortlab.viewer.answers import ArrayGoneError, TooLargeError

ARRAYS = "_arrays"
"""What stands in the place of a dataset's id; no dataset can be called so."""

FOLDER_VARIABLE = "COHORTLAB_ARRAYS"
MOST_BYTES = 8 * 2**30
"""What the arrays of one kernel take at most; above it the oldest are let go."""

_ID = re.compile(r"array-[0-9a-f]{12}-[0-9a-f]{16}")
_LOCK = "lock"
_NAME = "cohortlab-arrays-"
_SLAB_BYTES = 32 * 2**20
_SMALL = 128  # voxels a side of the coarse level
_SPACE = 3
_HINT = "Run its cell again."


def new_id() -> str:
    """A series id that nobody can guess."""
    token = secrets.token_hex(14)
    return f"array-{token[:12]}-{token[12:]}"


def digest_of(series: str) -> str:
    """What stands for the digest of an array's pixels: an array never changes, and its id is never used again."""
    return hashlib.sha256(series.encode()).hexdigest()


def private(folder: Path) -> bool:
    """Whether `folder` is a folder of this user that nobody else can enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def make_folder() -> Path:
    """A new private folder, locked as long as this process lives and removed when it ends; what killed ones left is removed."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    new = Path(tempfile.mkdtemp(prefix=".cohortlab-new-", dir=runtime if runtime.is_absolute() and private(runtime) else None))
    _hold(new)
    folder = new.with_name(_NAME + secrets.token_hex(8))
    new.rename(folder)  # seen by others only once it is locked
    _removed_at_exit(folder)
    for left in folder.parent.glob(f"{_NAME}*"):
        if private(left) and not _alive(left) and not any(_alive(owned) for owned in Arrays(left).owned()):
            shutil.rmtree(left, ignore_errors=True)
    return folder


_held: list[int] = []  # descriptors whose locks last as long as the process


def _hold(folder: Path) -> None:
    """Lock a new folder for the life of this process."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    _held.append(descriptor)


def _removed_at_exit(folder: Path) -> None:
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not in a forked child
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


class Arrays:
    """The arrays under `folder`, for those who draw them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def from_environment(cls) -> "Arrays | None":
        """Those of the session's folder; None when there is none, or one that is not private."""
        named = os.environ.get(FOLDER_VARIABLE, "")
        return cls(Path(named)) if named and private(Path(named)) else None

    def series(self, series: str) -> "ArraySeries":
        """An array by its id. Raises `ArrayGoneError` when there is none such, or its kernel has ended."""
        if _ID.fullmatch(series) and private(self.folder):
            for owned in self.owned():
                described = owned / f"{series}.json"
                if described.is_file() and _alive(owned):
                    try:
                        attributes = SeriesAttributes.from_json(json.loads(described.read_bytes()), "An array")
                    except OSError:
                        break
                    return ArraySeries(owned, attributes)
        raise ArrayGoneError("This array is not there any more: its kernel has ended, or let it go to make room.", hint=_HINT)

    def sweep(self) -> None:
        """Remove what ended kernels left."""
        for owned in self.owned():
            if not _alive(owned):
                shutil.rmtree(owned, ignore_errors=True)

    def owned(self) -> Iterator[Path]:
        """The kernels' folders."""
        try:
            found = [entry for entry in self.folder.iterdir() if private(entry)]
        except OSError:
            return
        yield from found


def _alive(owned: Path) -> bool:
    """Whether a kernel holds the lock of its folder."""
    try:
        descriptor = os.open(owned / _LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@dataclass(frozen=True)
class ArraySeries:
    """A registered array as a series; see `cohortlab.viewer.slices.Series`."""

    folder: Path
    attributes: SeriesAttributes

    @property
    def id(self) -> str:
        """Its id."""
        return self.attributes.id

    def array(self, level: int = 0) -> Any:
        """One level, mapped from its file. Raises `ArrayGoneError` when that is not there."""
        try:
            return np.load(self.folder / f"{self.id}.{level}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            raise ArrayGoneError("This array is not there any more.", hint=_HINT) from None

    def affine(self, level: int = 0) -> npt.NDArray[np.float64] | None:
        """4x4: index (z, y, x, 1) of a level to patient (L, P, S, 1) in mm; None where nobody told."""
        if self.attributes.affine is None:
            return None
        steps = thinning(self.attributes.shape)[-_SPACE:] if level else (1,) * _SPACE
        scale = np.diag([*map(float, steps), 1.0])
        scale[:_SPACE, _SPACE] = [step // 2 for step in steps]
        return np.asarray(np.asarray(self.attributes.affine) @ scale)


def thinning(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Every how manyth voxel along each dimension the coarse level has: a power of two, 1 before z, y, x."""
    found = []
    for position, size in enumerate(shape):
        step = 1
        while position >= len(shape) - _SPACE and -(-size // step) > _SMALL:
            step *= 2
        found.append(step)
    return tuple(found)


def coarse_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the coarse level."""
    return tuple(-(-size // step) for size, step in zip(shape, thinning(shape), strict=True))


@dataclass
class Register:
    """The arrays of this process: `add` writes one, `release` takes it away; all go when the process ends."""

    folder: Path
    most: int = MOST_BYTES
    owned: Path = field(init=False)
    _sizes: dict[str, int] = field(init=False, default_factory=dict)
    # Entered again by its own thread where the garbage collector, in the middle of `add`, ends a viewer that lets its array go.
    _lock: threading.RLock = field(init=False, default_factory=threading.RLock)

    def __post_init__(self) -> None:
        if not private(self.folder):
            raise RefusedError("The folder for arrays is not private to you.", hint=f"Unset {FOLDER_VARIABLE}, or restart the session.")
        Arrays(self.folder).sweep()
        self.owned = self.folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        partial = self.folder / f".{self.owned.name}"
        partial.mkdir(mode=0o700)
        _hold(partial)
        partial.rename(self.owned)  # seen by others only once it is locked
        _removed_at_exit(self.owned)

    def add(
        self,
        attributes: SeriesAttributes,
        slabs: Iterator[npt.NDArray[Any]],
        described: Callable[[], SeriesAttributes] | None = None,
    ) -> None:
        """Write an array, given in C order in parts along its third axis from the end, each of one index of those before it.

        described: what it is, when that is known only after all of it was read.

        Raises:
            TooLargeError: it is larger than all arrays may be together.
            StorageError: the disk is full or cannot be written.
        """
        shape, dtype = attributes.shape, np.dtype(attributes.dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        with self._lock:
            self._make_room(size)
            paths = [self.owned / f"{attributes.id}.{level}.npy" for level in range(len(attributes.levels))]
            try:
                _write(paths, shape, dtype, slabs)
                words = json.dumps((described() if described is not None else attributes).to_json())
                partial = self.owned / f"{attributes.id}.partial"
                with _new(partial) as file:
                    file.write(words.encode())
                partial.rename(self.owned / f"{attributes.id}.json")
            except BaseException as error:
                self._remove(attributes.id)
                if isinstance(error, OSError) and not isinstance(error, CohortlabError):
                    raise StorageError(
                        f"The array cannot be kept for the viewer ({error.strerror}).",
                        hint="Close earlier views with v.close(), or show less.",
                    ) from None
                raise
            self._sizes[attributes.id] = size

    def release(self, series: str) -> None:
        """Take an array away."""
        with self._lock:
            self._remove(series)

    def _make_room(self, size: int) -> None:
        try:
            free = shutil.disk_usage(self.owned).free
        except OSError:
            raise StorageError("The folder for arrays is gone.", hint="Restart the kernel.") from None
        held = sum(self._sizes.values())
        most = min(self.most, (free + held) // 2)
        if size > most:
            raise TooLargeError(
                f"This array has {size / 2**30:.1f} GiB; {most / 2**30:.1f} GiB can be shown here.",
                hint="Show a part of it, such as x[::2, ::2, ::2].",
            )
        for oldest in list(self._sizes):
            if held + size <= most:
                break
            held -= self._sizes.get(oldest, 0)
            self._remove(oldest)

    def _remove(self, series: str) -> None:
        self._sizes.pop(series, None)
        for path in self.owned.glob(f"{series}.*"):
            path.unlink(missing_ok=True)


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb")


def _write(paths: list[Path], shape: tuple[int, ...], dtype: "np.dtype[Any]", slabs: Iterator[npt.NDArray[Any]]) -> None:
    """Write the levels slab by slab; memory stays at one slab."""
    shapes = [shape, coarse_shape(shape)][: len(paths)]
    files = [_new(path) for path in paths]
    try:
        for file, one in zip(files, shapes, strict=True):
            header = {"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": one}
            np.lib.format.write_array_header_1_0(file, header)
        depth = shape[-_SPACE] if len(shape) >= _SPACE else 1
        steps = (1,) * max(0, _SPACE - len(shape)) + thinning(shape)[-_SPACE:]
        picked = [
            np.minimum(np.arange(0, size, step) + step // 2, size - 1) for size, step in zip((depth, *shape[-2:]), steps, strict=True)
        ]
        at = 0
        for slab in slabs:
            part = np.ascontiguousarray(slab, dtype=dtype.newbyteorder("<"))
            files[0].write(part.data)
            if len(files) > 1:
                here = picked[0][(picked[0] >= at) & (picked[0] < at + len(part))] - at
                files[1].write(np.ascontiguousarray(part[np.ix_(here, picked[1], picked[2])]).data)
            at = (at + len(part)) % depth
    finally:
        for file in files:
            file.close()


def slab_depth(shape: tuple[int, ...], itemsize: int) -> int:
    """How many slices are read and written at once."""
    return max(1, _SLAB_BYTES // max(1, int(np.prod(shape[-2:])) * itemsize))


_register: Register | None = None
_own: Path | None = None
_making = threading.RLock()  # entered again as a register's lock is


def register() -> Register:
    """The register of this process, made when it is first needed; a forked child makes its own."""
    global _register, _own  # noqa: PLW0603 - one for each process is the point
    with _making:
        if _register is None or not _register.owned.name.startswith(f"{os.getpid()}-") or not _register.owned.is_dir():
            known = Arrays.from_environment()
            if known is None and (_own is None or not private(_own)):
                _own = make_folder()
            _register = Register(known.folder if known is not None else _own or make_folder())
        return _register


def registered() -> bool:
    """Whether this process has registered an array."""
    return _register is not None


def kernels_own() -> Arrays:
    """The arrays of this process, for its own gateway."""
    return Arrays(register().folder)
