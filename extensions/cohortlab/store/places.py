"""Where a store lies, and how zarr reads it there: folders, disks and mounts here, HTTP and S3 by `cohortlab.store.remote`.

Each place has its own codec pipeline: `zarrs` on disks and mounts, zarr's own over the network, where `zarrs` is many times slower.
Zarr binds a pipeline to an array when it opens it and takes it from a process-wide configuration, so that is changed only for the
moment of opening, under a lock.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import zarr
from zarr.abc.store import Store as ZarrStore
from zarr.storage import LocalStore, StorePath

from cohortlab.errors import InvalidInputError, StorageError

if TYPE_CHECKING:
    import xarray as xr

DISK_PIPELINE: Final = {
    "codec_pipeline.path": "zarrs.ZarrsCodecPipeline",
    # Shards one after the other, each by all cores. A volume has few shards of unlike size, and with a core for each of them, as is
    # zarrs' way with up to four, the last core works alone while the others wait: a third of the speed of a sagittal slice.
    "codec_pipeline.chunk_concurrent_minimum": 1,
}
_ARRAYS: Final = 256  # that are kept open, some kilobytes each; no file is held
_opening = threading.RLock()

type Signed = Mapping[str, tuple[int, str]]
"""What the manifest says of objects: path in the store -> size, SHA-256."""


@contextmanager
def pipeline(setting: Mapping[str, Any]) -> Iterator[None]:
    """Arrays opened inside read with this pipeline; the setting before is back afterwards."""
    with _opening, zarr.config.set(dict(setting)):
        yield


def array_of(store: ZarrStore, metadata: bytes, setting: Mapping[str, Any]) -> "zarr.Array[Any]":
    """The array at the root of `store` whose ``zarr.json`` holds `metadata`, which is not read again: it is as it was checked."""
    with pipeline(setting):
        return zarr.Array.from_dict(StorePath(store), json.loads(metadata))


class Place(Protocol):
    """The root of a store. Names are paths below it, with ``/``."""

    def read(self, name: str, limit: int) -> bytes:
        """A whole small object of at most `limit` bytes."""
        ...

    def array(self, name: str, metadata: bytes, signed: Signed, *, plain: bool) -> "zarr.Array[Any]":
        """An array: its ``zarr.json``, which was read and checked, and what the manifest says of all its objects.

        `plain`: with zarr's own pipeline wherever it lies.
        """
        ...

    def dataset(self, name: str, signed: Signed, *, plain: bool) -> "xr.Dataset":
        """A group with consolidated metadata, pixels unread. `plain` as for `array`."""
        ...


@lru_cache(_ARRAYS)
def _opened(path: Path, metadata: bytes, plain: bool) -> "zarr.Array[Any]":
    """A read-only array of a folder; one that was opened before with the same metadata is given again.

    Making it, and the Rust part of its pipeline at the first read, takes a fifth of the time of an axial slice.
    """
    return array_of(LocalStore(path, read_only=True), metadata, {} if plain else DISK_PIPELINE)


class Folder:
    """A store on a disk or mount."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: set[str] = set()

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str, limit: int) -> bytes:
        """A whole small file. Raises `StorageError` when it cannot be read or is larger than `limit` bytes."""
        try:
            with (self.path / name).open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise StorageError(f"{name} of {self} cannot be read: {(error.strerror or 'input/output error').lower()}.") from None
        if len(data) > limit:
            raise StorageError(f"{name} of {self} is larger than it can be.")
        return data

    def array(self, name: str, metadata: bytes, signed: Signed, *, plain: bool) -> "zarr.Array[Any]":
        """An array, read with `zarrs`. Raises `StorageError` when a shard is not there: zarr would take it for one full of zeros."""
        self._complete(name, signed)
        return _opened(self.path / name, metadata, plain)

    def dataset(self, name: str, signed: Signed, *, plain: bool) -> "xr.Dataset":
        """A group, read with `zarrs`. Raises `StorageError` as `array` does."""
        import xarray as xr  # noqa: PLC0415 - takes half a second to load, which a gate, a site or a viewer does without

        self._complete(name, signed)
        with pipeline({} if plain else DISK_PIPELINE):
            group: xr.Dataset = xr.open_zarr(self.path / name, chunks=None, consolidated=True, zarr_format=3, mask_and_scale=False)
        return group

    def _complete(self, name: str, signed: Signed) -> None:
        """See that the objects of a group are there in their full size, when it is first opened."""
        if name in self._seen:
            return
        for path, (size, _) in signed.items():
            try:
                found = (self.path / path).stat().st_size
            except OSError:
                found = -1
            if found != size:
                raise StorageError(f"{path} of {self} is missing or cut short.", hint="Run `cohortlab verify` on the store.")
        self._seen.add(name)


def place_of(where: str | Path) -> Place:
    """The place that a path or address stands for. Raises `InvalidInputError` for an address that cannot be used."""
    if isinstance(where, str) and "://" in where:
        try:
            from cohortlab.store.remote import RemotePlace  # noqa: PLC0415 - only here is obstore needed
        except ModuleNotFoundError as error:
            raise InvalidInputError(f"Stores over the network need the Python package {error.name}.") from None
        return RemotePlace(where)
    return Folder(Path(where).absolute())
