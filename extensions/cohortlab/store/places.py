"""Where a store lies, and how zarr reads it there: folders, disks and mounts here, HTTP and S3 by `cohortlab.store.remote`.

Each place has its own codec pipeline: `zarrs` on disks and mounts, zarr's own over the network, where `zarrs` is many times slower.
Zarr binds a pipeline to an array when it opens it and takes it from a process-wide configuration, so that is changed only for the
moment of opening, under a lock.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import xarray as xr
import zarr

from cohortlab.errors import InvalidInputError, StorageError

DISK_PIPELINE: Final = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}
_opening = threading.RLock()

type Signed = Mapping[str, tuple[int, str]]
"""What the manifest says of objects: path in the store -> size, SHA-256."""


@contextmanager
def pipeline(setting: Mapping[str, Any]) -> Iterator[None]:
    """Arrays opened inside read with this pipeline; the setting before is back afterwards."""
    with _opening, zarr.config.set(dict(setting)):
        yield


class Place(Protocol):
    """The root of a store. Names are paths below it, with ``/``."""

    def read(self, name: str, limit: int) -> bytes:
        """A whole small object of at most `limit` bytes."""
        ...

    def array(self, name: str, signed: Signed, *, plain: bool) -> "zarr.Array[Any]":
        """An array, of whose objects `signed` is what the manifest says. `plain`: with zarr's own pipeline wherever it lies."""
        ...

    def dataset(self, name: str, signed: Signed, *, plain: bool) -> xr.Dataset:
        """A group with consolidated metadata, pixels unread. `plain` as for `array`."""
        ...


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

    def array(self, name: str, signed: Signed, *, plain: bool) -> "zarr.Array[Any]":
        """An array, read with `zarrs`. Raises `StorageError` when a shard is not there: zarr would take it for one full of zeros."""
        self._complete(name, signed)
        with pipeline({} if plain else DISK_PIPELINE):
            return zarr.open_array(self.path / name, mode="r", zarr_format=3)

    def dataset(self, name: str, signed: Signed, *, plain: bool) -> xr.Dataset:
        """A group, read with `zarrs`. Raises `StorageError` as `array` does."""
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
