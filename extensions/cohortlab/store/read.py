"""Reading a store: its series as Zarr arrays and as xarray with coordinates in mm.

A `Store` exists only after its manifest's signature verified against a trusted key. The metadata of a series is checked against
the manifest's digests when it is first used; pixels are checked by `verify_store`, not on every read.

A store lies in a folder, on a disk or mount, or at an address, over HTTP or S3; `cohortlab.store.places` tells how each is read.
"""

import hashlib
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import zarr
from numpy.typing import NDArray

from cohortlab.errors import CohortlabError, IntegrityError, InvalidInputError, NotFoundError, StorageError
from cohortlab.keys import PublicKey
from cohortlab.store.contracts import Manifest, ManifestSeries, SeriesAttributes
from cohortlab.store.layout import JPEG_CODEC, MANIFEST, image_path
from cohortlab.store.manifest import LARGEST, parse_manifest, read_manifest
from cohortlab.store.places import Folder, Place, Signed, place_of
from cohortlab.store.sidecar import read_headers

if TYPE_CHECKING:
    import xarray as xr

type Kind = Literal["image", "segmentation"]


class SeriesRef:
    """One series of a store: what it is, and its pixels when asked for."""

    def __init__(self, store: "Store", entry: ManifestSeries) -> None:
        self.store = store
        self.id: str = entry.id
        self.kind: Kind = entry.kind
        self.modality: str = entry.modality
        self.description: str | None = entry.description
        self.source_series: str | None = entry.source_series
        self.name: str = entry.path
        """Where its ``.zarr`` lies in the store."""

    @property
    def path(self) -> Path:
        """Where its ``.zarr`` lies on this machine. Raises `StorageError` when the store lies elsewhere."""
        return self.store.path / self.name

    @property
    def dataset(self) -> str:
        """Id of the dataset that the series belongs to."""
        return self.store.id

    @cached_property
    def attributes(self) -> SeriesAttributes:
        """The series' own attributes. Raises `IntegrityError` when they are not those that were signed."""
        with self._understood():
            found = json.loads(self._checked(f"{self.name}/zarr.json"))["attributes"]["cohortlab"]
        if not isinstance(found, dict):
            raise IntegrityError(f"Series {self.id} has no attributes of ours.")
        attributes = SeriesAttributes.from_json(found, f"The attributes of series {self.id}")
        if attributes.id != self.id or attributes.kind != self.kind:
            raise IntegrityError(f"Series {self.id} holds the attributes of another.")
        return attributes

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Metadata that was signed and is none all the same raises `IntegrityError`, whatever the libraries raise on it."""
        try:
            yield
        except CohortlabError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError, RuntimeError) as error:
            raise IntegrityError(
                f"Series {self.id} of {self.dataset} cannot be understood ({type(error).__name__}).",
                hint="Run `cohortlab verify` on the store; it may be of a newer Cohortlab.",
            ) from None

    def _checked(self, name: str) -> bytes:
        """A small object of the series, which is as it was signed."""
        signed = self.store.digests.get(name)
        content = self.store.place.read(name, _LARGEST)
        if signed is None or hashlib.sha256(content).hexdigest() != signed:
            raise IntegrityError(f"Series {self.id} of {self.dataset} is not what was signed.", hint="Run `cohortlab verify` on the store.")
        return content

    @property
    def _signed(self) -> Signed:
        """What the manifest says of the objects of this series, its headers left out."""
        return self.store.manifest.by_series[self.name]

    def _below(self, name: str) -> Signed:
        """The same of the objects below one of its groups or arrays."""
        return {path: said for path, said in self._signed.items() if path.startswith(f"{name}/")}

    @property
    def levels(self) -> list[tuple[int, ...]]:
        """Shapes of all levels of the pyramid, full size first."""
        return list(self.attributes.levels)

    @property
    def segmentations(self) -> list["SeriesRef"]:
        """Segmentations on this image's grid."""
        return [s for s in self.store.segmentations if s.source_series == self.id]

    def _level(self, level: int) -> None:
        if not 0 <= level < len(self.levels):
            raise NotFoundError(f"Series {self.id} has no level {level}.", hint=f"It has levels 0 to {len(self.levels) - 1}.")

    @property
    def _jpeg(self) -> bool:
        """Whether its tiles stayed JPEG, which zarr's own pipeline reads: it finds their codec by its entry point."""
        tiles = self.attributes.tiles
        return tiles is not None and tiles.encoding != "array"

    def array(self, level: int = 0) -> "zarr.Array[Any]":
        """The pixels of a level as a Zarr array with the dimensions of `attributes.dims`; slicing reads only the chunks it needs."""
        name = f"{self.name}/{image_path(level)}"
        if f"{name}/zarr.json" not in self.store.digests:
            self._level(level)
        metadata = self._checked(f"{name}/zarr.json")
        with self._understood():  # without the attributes, which take as long to read and check as all the rest
            return self.store.place.array(name, metadata, self._below(name), plain=JPEG_CODEC.encode() in metadata)

    def affine(self, level: int = 0) -> NDArray[np.float64] | None:
        """4 x 4: index (z, y, x, 1) of a level -> patient (L, P, S, 1) in mm; None for projections and irregular series."""
        self._level(level)
        if self.attributes.level_affines is not None:
            return np.asarray(self.attributes.level_affines[level])
        base = self.attributes.affine
        if base is None:
            return None
        factors = _factors(self.attributes.shape[-3:], self.levels[level][-3:])
        factors = [1] * (3 - len(factors)) + factors  # a plane has no z
        step = np.diag([*map(float, factors), 1.0])
        step[:3, 3] = [(f - 1) / 2 for f in factors]
        return np.asarray(np.asarray(base) @ step)

    def open(self, level: int = 0, chunks: Any = None) -> "xr.DataArray":
        """The series as an `xarray.DataArray` with coordinates in mm; pixels are read when they are used.

        Dimensions are z, y, x, before them the fourth axis under its own name (``b_value``, ``segment``, …), in colour ``sample``. Values
        are in ``attrs["units"]``: a rescale that the array does not hold yet (PET, slice by slice; fractional segments) is applied as they
        are read, as float32; `array` gives what is stored. ``attrs["affine"]`` is `affine(level)`, ``attrs["cohortlab"]`` what the
        store knows of the series. `chunks`: None reads with NumPy, "shard" or "auto" makes a Dask array with a chunk for each shard;
        any chunking of xarray's goes too.
        """
        from cohortlab.store.physical import rescaled  # noqa: PLC0415 - xarray, as in `places`

        self._level(level)
        attributes = self.attributes
        name = f"{self.name}/scale{level}"
        with self._understood():
            metadata = json.loads(self._checked(f"{name}/zarr.json"))  # its consolidated metadata is what xarray reads
            group = self.store.place.dataset(name, self._below(name), plain=self._jpeg)
            image: xr.DataArray = rescaled(group["image"], attributes)
        if chunks is not None:
            image = image.chunk(_shards(metadata, image.sizes) if chunks in ("shard", "shards", "auto") else chunks)
        if attributes.axis is not None:
            image = image.rename({attributes.dims[0]: attributes.axis.name})
        if attributes.samples:
            image = image.rename({"c": "sample"}).assign_coords(sample=list(attributes.samples))
        known = attributes.to_json() | {"dataset": self.dataset, "version": self.store.version, "series": self.id, "level": level}
        if not isinstance(self.store.place, Folder):
            known["location"] = str(self.store.place)
        image.attrs = {"units": attributes.units, "affine": self.affine(level), "cohortlab": known}
        image.name = self.id
        return image

    def headers(self) -> list[dict[str, Any]]:
        """One row an image, in the array's order: instance UIDs, place in the array, header as DICOM JSON text."""
        with self._understood():  # Arrow's errors are ValueErrors, but for bytes that it cannot unpack
            table = io.BytesIO(self._checked(f"{self.name.removesuffix('.zarr')}.headers.parquet"))
            try:
                return read_headers(table)
            except OSError:  # of unpacking: no disk is read here
                raise ValueError("not a table") from None

    def __repr__(self) -> str:
        size = " x ".join(f"{d} {n}" for d, n in zip(self.attributes.dims, self.attributes.shape, strict=True))
        return f"<SeriesRef {self.dataset}/{self.id}: {self.modality}, {self.description or 'no description'}, {size}>"

    def _repr_html_(self) -> str:
        return _table([self], f"{self.dataset} / {self.id}")


def _shards(metadata: Mapping[str, Any], sizes: Mapping[Any, int]) -> dict[str, int]:
    """Shard length by dimension of the image in a level's consolidated metadata: the best Dask chunks."""
    image = metadata["consolidated_metadata"]["metadata"]["image"]
    shape = image["chunk_grid"]["configuration"]["chunk_shape"]
    return {dim: min(n, sizes[dim]) for dim, n in zip(image["dimension_names"], shape, strict=True)}


def _factors(full: Sequence[int], level: Sequence[int]) -> list[int]:
    """How many level-0 voxels one voxel of a level spans, per dimension: levels are made by halving, rounded up."""
    found = []
    for size, reduced in zip(full, level, strict=True):
        factor, current = 1, size
        while current > reduced:
            factor, current = factor * 2, -(-current // 2)
        found.append(factor)
    return found


class Store(Sequence[SeriesRef]):
    """One dataset version: a sequence of its image series. Get one with `Store.open`."""

    def __init__(self, place: Path | Place, manifest: Manifest) -> None:
        self.place: Place = Folder(place) if isinstance(place, Path) else place
        self.manifest = manifest
        self._all = [SeriesRef(self, entry) for entry in manifest.series]
        self._images = [s for s in self._all if s.kind == "image"]

    @classmethod
    def open(cls, path: str | Path, trusted: Sequence[PublicKey]) -> "Store":
        """Open the store at `path`, a folder, or the text of an ``https://`` or ``s3://`` URL, after checking its manifest's signature.

        Raises `NotFoundError` when there is none, `IntegrityError` when none of `trusted` signed it; over the network `RefusedError`
        when the server does not let this account in, `UnavailableError` when it does not answer.
        """
        place = place_of(path)
        if isinstance(place, Folder):
            return cls(place, read_manifest(place.path, trusted))
        return cls(place, parse_manifest(place.read(MANIFEST, LARGEST), str(place), trusted))

    @property
    def path(self) -> Path:
        """The store's folder on this machine. Raises `StorageError` when it lies elsewhere."""
        if not isinstance(self.place, Folder):
            raise StorageError(f"{self.place} is not on this machine.", hint="Use `open` of its series, which reads from anywhere.")
        return self.place.path

    @property
    def id(self) -> str:
        """The dataset's id."""
        return self.manifest.id

    @property
    def version(self) -> str:
        """The dataset's version."""
        return self.manifest.version

    @property
    def title(self) -> str:
        """The dataset's title."""
        return self.manifest.title

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of every object, by path."""
        return self.manifest.digests

    @property
    def segmentations(self) -> list[SeriesRef]:
        """All segmentations."""
        return [s for s in self._all if s.kind == "segmentation"]

    @overload
    def __getitem__(self, key: int | str) -> SeriesRef: ...
    @overload
    def __getitem__(self, key: slice) -> list[SeriesRef]: ...
    def __getitem__(self, key: int | str | slice) -> SeriesRef | list[SeriesRef]:
        if isinstance(key, str):
            for ref in self._all:
                if ref.id == key:
                    return ref
            raise NotFoundError(f"{self.id} has no series {key!r}.", hint=f"It has: {_some([s.id for s in self._all])}.")
        if isinstance(key, int) and not -len(self._images) <= key < len(self._images):
            raise IndexError(f"{self.id} has {len(self._images)} image series")
        return self._images[key]

    def __len__(self) -> int:
        return len(self._images)

    def __repr__(self) -> str:
        return f"<Store {self.id} {self.version}: {len(self._images)} image series, {len(self.segmentations)} segmentations>"

    def _repr_html_(self) -> str:
        return _table(self._all, f"{self.title} · {self.id} {self.version}")


_LARGEST = 1 << 30  # bytes of metadata or of a header sidecar


def _some(names: Sequence[str], most: int = 12) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _table(series: Sequence[SeriesRef], title: str) -> str:
    """An HTML table of series."""
    head = "".join(f"<th style='text-align:left'>{h}</th>" for h in ("series", "modality", "description", "size", "voxel (mm)", "volume"))
    rows = []
    for ref in series:
        a = ref.attributes
        size = " × ".join(map(str, a.shape))  # noqa: RUF001 - the sign that sizes are written with
        voxel = " × ".join("?" if s is None else f"{s:.3g}" for s in a.spacing)  # noqa: RUF001 - as above
        regular = "yes" if a.regular else html.escape(a.irregular_reason or "no")
        cells = (f"<code>{ref.id}</code>", html.escape(a.modality), html.escape(a.description or ""), size, voxel, regular)
        rows.append("<tr>" + "".join(f"<td style='text-align:left'>{c}</td>" for c in cells) + "</tr>")
    return f"<div><strong>{html.escape(title)}</strong><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def store_of(path: str | Path, trusted: Sequence[PublicKey]) -> tuple[Store, SeriesRef | None]:
    """The store that `path` is or lies in, and the series when it is the ``.zarr`` of one; a text is a URL. Raises as `Store.open`."""
    if isinstance(path, str):
        root, *inside = path.rstrip("/").rsplit("/", 2)
        if not path.rstrip("/").endswith(".zarr"):
            return Store.open(path.rstrip("/"), trusted), None
        store = Store.open(root, trusted)
        ref = store[inside[-1].removesuffix(".zarr")]
        if ref.name != "/".join(inside):
            raise InvalidInputError("This is not where its store keeps that series.")
        return store, ref
    if path.suffix == ".zarr":
        store = Store.open(path.parent.parent, trusted)
        ref = store[path.name.removesuffix(".zarr")]
        if ref.path != path.absolute():
            raise InvalidInputError(f"{path} is not where its store keeps that series.")
        return store, ref
    return Store.open(path, trusted), None
