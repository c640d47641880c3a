"""Stores over HTTP and S3: where they lie, how their bytes are asked for, and which errors that can end in.

Credentials come from the environment alone (``AWS_ACCESS_KEY_ID`` and the other variables of the AWS tools; ``AWS_ENDPOINT_URL`` for
other S3 servers), never from an address: one that carries any is refused, and no error repeats what a server answered.

What is not in the signed manifest does not exist here: it is not even asked for. Whole objects are compared to their signed digest;
of a part of an object the length is. So a server can refuse or break off, but not serve other metadata than was signed.

A round trip costs more than bytes do, so up to `IN_FLIGHT` requests run at once, near parts are fetched in one, and shard indices
are kept. All of it belongs to our arrays: zarr's own configuration stays as it is.
"""

import asyncio
import hashlib
import ipaddress
import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import lru_cache
from itertools import batched
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import obstore
import zarr
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import HTTPStore, S3Store
from zarr.abc.store import ByteGetter, ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, BufferPrototype, NDBuffer
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.common import concurrent_map
from zarr.registry import register_pipeline
from zarr.storage import ObjectStore

from cohortlab.errors import CohortlabError, IntegrityError, InvalidInputError, NotFoundError, RefusedError, StorageError, UnavailableError
from cohortlab.store.places import Signed, array_of, pipeline

if TYPE_CHECKING:
    import xarray as xr
    from obstore.store import ClientConfig, RetryConfig

IN_FLIGHT: Final = 64
"""Requests at once, for all arrays of a store together."""

_GAP = 1 << 17  # bytes between two parts that are rather read than asked for apart: about what 1 Gbit/s brings in a millisecond
_MERGED = 16 << 20  # bytes of one request at the most, so that a large read uses several connections
_KEPT = 64 << 20  # bytes of shard indices and metadata that are kept
_THREAD = 1 << 20  # bytes from which a digest is computed beside the event loop
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
_CLIENT: "ClientConfig" = {"connect_timeout": timedelta(seconds=5), "read_timeout": timedelta(seconds=30), "timeout": timedelta(minutes=10)}
_RETRY: "RetryConfig" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}


def check_address(text: str) -> str:
    """A store's address without a slash at its end. Raises `InvalidInputError`, which does not repeat it, for one that cannot be used."""
    try:
        parts = urlsplit(text)
        loopback = _is_loopback(parts.hostname or "")
        _ = parts.port  # raises on one that is no number
    except ValueError:
        raise InvalidInputError("This is not a URL.") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInputError(
            "A store's URL has no user, password, query or fragment.",
            hint="Credentials are taken from the environment, see AWS_ACCESS_KEY_ID.",
        )
    if parts.scheme not in {"https", "http", "s3"} or not parts.netloc:
        raise InvalidInputError("A store's URL begins with https:// or s3://.")
    if parts.scheme == "http" and not loopback:
        raise InvalidInputError("Images are not read over a connection that others can read and change.", hint="Use https://.")
    if parts.scheme == "s3" and not _BUCKET.fullmatch(parts.netloc):
        raise InvalidInputError("An s3:// URL is s3://bucket/dataset/version.")
    if any(step in {".", ".."} for step in unquote(parts.path).split("/")):
        raise InvalidInputError("A store's URL has no . or .. in its path.")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=32)
def _client(address: str) -> HTTPStore | S3Store:
    """The client of a store's root; one for each store, so that connections are used again."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "s3":
            anonymous = not any(os.environ.get(name) for name in _CREDENTIALS)
            return S3Store(
                parts.netloc,
                prefix=unquote(parts.path).strip("/") or None,
                client_options={**_CLIENT, "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"}},
                retry_config=_RETRY,
                config={"skip_signature": True} if anonymous else None,  # else it would ask the machine's metadata service for some
            )
        options: ClientConfig = {**_CLIENT, "allow_http": parts.scheme == "http"}
        return HTTPStore.from_url(address, client_options=options, retry_config=_RETRY)
    except (BaseError, ValueError):
        raise InvalidInputError("The store's URL, or what the environment says on S3, cannot be used.") from None


class _Room:
    """The newest small answers, by what was asked, up to `_KEPT` bytes."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, int, int]) -> bytes | None:
        """An answer that is still known."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, key: tuple[str, int, int], value: bytes) -> None:
        """Keep an answer and forget the oldest."""
        if key not in self._known:
            self._bytes += len(value)
        self._known[key] = value
        while self._bytes > _KEPT:
            self._bytes -= len(self._known.popitem(last=False)[1])


class RemotePlace:
    """The root of a store at `address`, ``https://…`` or ``s3://…``."""

    def __init__(self, address: str) -> None:
        self.address = check_address(address)
        self._store = _client(self.address)
        self._room = _Room()

    def __str__(self) -> str:
        return self.address

    def read(self, name: str, limit: int) -> bytes:
        """A whole small object of at most `limit` bytes. Raises as `failure` does."""
        try:
            answer = obstore.get(self._store, name)
            if answer.meta["size"] > limit:
                raise IntegrityError(f"{name} of {self.address} is larger than it can be.")
            content = bytes(answer.bytes())
        except (OSError, BaseError, ValueError) as error:
            raise failure(error, self.address) from None
        self._room.put((name, 0, len(content)), content)  # zarr asks for it again
        return content

    def array(self, name: str, metadata: bytes, signed: Signed, *, plain: bool) -> "zarr.Array[Any]":
        """An array, made of signed objects only. Raises as `RemoteStore.get` when it is read."""
        del plain  # there is no other here
        return array_of(self._objects(name, signed), metadata, PIPELINE)

    def dataset(self, name: str, signed: Signed, *, plain: bool) -> "xr.Dataset":
        """A group, made of signed objects only. Raises as `RemoteStore.get`, also later when it is read."""
        import xarray as xr  # noqa: PLC0415 - as in `places`

        del plain
        with pipeline(PIPELINE):
            group: xr.Dataset = xr.open_zarr(
                self._objects(name, signed), chunks=None, consolidated=True, zarr_format=3, mask_and_scale=False
            )
        return group

    def _objects(self, name: str, signed: Signed) -> "RemoteStore":
        return RemoteStore(self.address, name, signed, self._room)


def failure(error: BaseException, where: str) -> CohortlabError:
    """The error of ours for one of a client's. Its text is left out: servers put requests, and so keys and signatures, into theirs.

    A 404 is `NotFoundError`, 401 and 403 are `RefusedError`; whatever broke on the way is `UnavailableError`.
    """
    if isinstance(error, CohortlabError):
        return error
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"There is no store at {where}.", hint="Give the folder that holds dataset.json, or a series in it.")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of an account that may read it." if where.startswith("s3:") else ""
        return RefusedError(f"The server does not let this account read {where}.", hint=hint)
    return UnavailableError(f"The server of {where} cannot be reached, or broke off its answer.", hint="Try again later.")


class RemoteStore(ObjectStore[Any]):
    """Signed objects below `base` in the store at `address`, as a zarr store; read-only.

    `signed` has paths from the store's root. Its pickle holds the address and digests, no credentials: each process has its own.
    """

    def __init__(self, address: str, base: str, signed: Signed, room: _Room | None = None) -> None:
        super().__init__(_client(address), read_only=True)
        self._address, self._base, self._signed, self._room = address, base, signed, room or _Room()
        self._free = asyncio.Semaphore(IN_FLIGHT)

    def __reduce__(self) -> tuple[Callable[..., "RemoteStore"], tuple[Any, ...]]:
        return RemoteStore, (self._address, self._base, dict(self._signed))

    def with_read_only(self, read_only: bool = False) -> "RemoteStore":
        """This store itself: no other kind is to be had. Raises `StorageError` for a writable one."""
        if not read_only:
            raise StorageError("A store is never written over the network.")
        return self

    def __str__(self) -> str:
        return f"{self._address}/{self._base}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStore) and self.__reduce__() == other.__reduce__()

    __hash__ = None  # type: ignore[assignment]  # as in the base class, whose __eq__ takes it away

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """An object or a part of it; None for what is not signed. Raises as `failure`; `StorageError` when it is gone, `IntegrityError`."""
        key = f"{self._base}/{key}"
        if key not in self._signed:
            return None
        size, digest = self._signed[key]
        start, stop = _bounds(byte_range, size)
        small = byte_range is None or isinstance(byte_range, SuffixByteRequest)
        data = self._room.get((key, start, stop)) if small else None
        if data is None:
            data = await self._fetch(key, start, stop)
            if len(data) != stop - start:
                raise IntegrityError(f"{key} of {self._address} is shorter than what was signed.")
            if small and len(data) <= _THREAD:
                self._room.put((key, start, stop), data)
        if byte_range is None and await _digest(data) != digest:
            raise IntegrityError(f"{key} of {self._address} is not what was signed.", hint="Ask the data steward for a sound copy.")
        return prototype.buffer.from_bytes(data)

    async def _fetch(self, key: str, start: int, stop: int) -> bytes:
        if start == stop:
            return b""
        async with self._request(key):
            return bytes(await obstore.get_range_async(self.store, key, start=start, end=stop))

    @asynccontextmanager
    async def _request(self, key: str) -> AsyncIterator[None]:
        """A place among the requests in flight; what the client raises becomes an error of ours."""
        try:
            async with self._free:
                yield
        except FileNotFoundError:
            raise StorageError(f"{key} of {self._address} is gone.", hint="Ask the data steward for a sound copy.") from None
        except (OSError, BaseError, ValueError) as error:
            raise failure(error, self._address) from None

    async def get_ranges(
        self,
        key: str,
        byte_ranges: Sequence[ByteRequest | None],
        *,
        prototype: BufferPrototype,
        max_concurrency: int = IN_FLIGHT,
        max_gap_bytes: int = _GAP,
        max_coalesced_bytes: int = _MERGED,
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Many parts of an object, near ones in one request. The limits are ours, whatever zarr's configuration says for disks."""
        del max_concurrency, max_gap_bytes, max_coalesced_bytes
        limits = {"max_concurrency": IN_FLIGHT, "max_gap_bytes": _GAP, "max_coalesced_bytes": _MERGED}
        try:
            async for found in super().get_ranges(key, byte_ranges, prototype=prototype, **limits):
                yield found
        except BaseExceptionGroup as group:
            ours, other = group.split(CohortlabError)
            if ours is None or other is not None:
                raise
            raise _first(ours) from None

    async def exists(self, key: str) -> bool:
        """Whether the manifest names it."""
        return f"{self._base}/{key}" in self._signed


def _bounds(byte_range: ByteRequest | None, size: int) -> tuple[int, int]:
    """First byte, and the one behind the last, of a part of an object of `size` bytes. Raises `IntegrityError` when it reaches beyond."""
    match byte_range:
        case None:
            return 0, size
        case RangeByteRequest(start=start, end=end):
            found = start, end
        case OffsetByteRequest(offset=offset):
            found = offset, size
        case SuffixByteRequest(suffix=suffix):
            found = size - suffix, size
    if not 0 <= found[0] <= found[1] <= size:
        raise IntegrityError("A shard's index points outside of the shard.", hint="Run `cohortlab verify` where the store lies.")
    return found


async def _digest(data: bytes) -> str:
    if len(data) < _THREAD:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first error in a group of errors, whatever its depth."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


class RemotePipeline(BatchedCodecPipeline):
    """Zarr's own pipeline, with `IN_FLIGHT` chunks read at once instead of the ten that its configuration gives to all arrays."""

    async def read(
        self,
        batch_info: Iterable[tuple[ByteGetter, ArraySpec, Any, Any, bool]],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> Any:
        """Read chunks into `out`."""
        each = [(batch, out, drop_axes) for batch in batched(batch_info, 1)]
        return tuple(result for results in await concurrent_map(each, self.read_batch, IN_FLIGHT) for result in results)


register_pipeline(RemotePipeline)
PIPELINE: Final = {"codec_pipeline.path": f"{RemotePipeline.__module__}.{RemotePipeline.__qualname__}"}
