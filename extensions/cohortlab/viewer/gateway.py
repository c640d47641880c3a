"""The pixel gateway: answers a viewer's questions about series, whoever serves it. It knows no web framework.

THE CONTRACT. One set of routes is served in two places, by the same code (`cohortlab.viewer.api`):

- in a session by the Jupyter server, below ``<base>cohortlab/api/`` (JupyterHub's or Jupyter's sign-in and XSRF check; the session's
  leases, which the hub decides again every few seconds: `cohortlab.viewer.hub`);
- at the hub, for people without a session, below ``<prefix>services/cohortlab/api/v1/pixels/`` (token in the Authorization header;
  each request is decided by the person's grants: what needs DOWNLOAD and what IN_SITU_PROCESSING is in `cohortlab_hub.pixels.rules`).

All are GET (``chunk`` also HEAD). ``{dataset}`` is a dataset's id, or ``_arrays`` in a session: arrays that the kernel registered.
``{series}`` is a series' id. An unknown parameter is an error, but ``_xsrf`` and ``v``. ``v`` is the series' ``version`` (meta): an
answer to a request that names the right one is ``private, max-age=31536000, immutable``, any other ``private, no-cache``. With ``on`` it
is ``<version>-<version of the image>``. Every answer has a strong ``ETag``; ``If-None-Match`` gives 304.

``datasets``
    ``{"datasets": [{"id", "version", "title", "public", "series": [{"id", "kind", "modality", "description", "source_series"}]}
    | {"id", "error", "code"}]}``. At the hub only what the caller may see.
``series/{dataset}/{series}/meta``
    What a viewer must know before it shows a slice: ``dataset, series, version, kind, modality, dims, shape, levels, dtype, affine,
    spacing, regular, irregular_reason, axis, samples, fractional, tiles, space, units, rescale, suv, photometric, body_part, description,
    laterality, view, segments, source_series, segmentations`` (ids of those on this image), ``frame`` (short name of the frame of
    reference, null when not known: series with the same one share millimetres), ``window`` ([centre, width] in the array's values or
    null), ``planes`` (see `planes.py`; an irregular series has one plane, ``image``, and ``irregular_reason`` says why; an array without
    a place in the patient has the planes ``z``, ``y``, ``x``, whose sides have no direction).
``series/{dataset}/{series}/slice?plane=&index=[&level=][&t=][&region=][&format=][&center=&width=][&on=][&segment=][&v=]``
    One slice in the array's own order: rows are the first, columns the second of the two axes of space that are left. ``index`` counts in
    the voxels of ``level`` (0: full size). ``t``: index on the axis before z (`axis`), 0 without. ``region=row,column,rows,columns`` in
    the level's voxels cuts a part out (slides, mammograms), clipped to the slice.

    ``format=raw`` (default): little-endian values. ``X-Cohortlab-Type`` is int16, uint16, int8, uint8 or float32, ``X-Cohortlab-Shape``
    is ``rows,columns`` or, in colour, ``rows,columns,3`` (red, green, blue side by side). ``X-Cohortlab-Meaning`` is ``values``,
    ``colour``,
    ``labels`` or ``fraction``.

    ``format=webp``: ``image/webp``, 8 bits, lossy, after the window ``center``, ``width`` (PS3.3 C.11.2.1.2.1; the series' own without),
    dark and bright exchanged for MONOCHROME1; for browsers that draw on no canvas, and for slides. Not of labels. Neither turned nor
    flipped.

    Segmentations: plain, their own voxels; with ``on={image}`` or ``on={dataset}/{image}`` laid on that image's grid, nearest neighbour,
    ``plane``, ``index`` and ``level`` being the image's. Meaning ``labels``: segment numbers, 0 outside, the highest where segments
    overlap; of a fractional one each voxel has the segment of the greatest value of at least a half. With ``segment=<number>`` only that
    segment:
    ``labels`` holds 0 and the number; a fractional one gives ``fraction``: stored values, times ``rescale.slope`` a fraction.
``series/{dataset}/{series}/volume[?level=][&t=][&v=]``
    A whole level in one answer, raw as above, shape ``z,y,x`` or ``z,y,x,3``. Without ``level`` the finest of at most 8 MiB, else the
    coarsest. ``X-Cohortlab-Level`` says which it is. More than 64 MiB is 413.
``series/{dataset}/{series}/thumbnail[?size=][&v=]``
    ``image/webp`` of the middle slice as it hangs on the screen, square pixels, the longer side ``size`` (16 to 512, default 128).
``series/{dataset}/{series}/chunk/{key}[?v=]``
    An object of the series' Zarr group as it is stored: ``zarr.json``, ``scale0/image/zarr.json``, ``scale0/image/c/0/0/0`` … The ETag is
    its signed SHA-256. ``Range: bytes=a-b``, ``a-`` or ``-n`` gives 206 with ``Content-Range``, 416 outside. More than 64 MiB at once is
    413: ask for ranges. An object that is in the manifest and not on the disk is 503, one that is not in the manifest 404. Arrays
    (``_arrays``) have none.

ERRORS are RFC 9457 problem JSON (``application/problem+json``): ``type, title, status, code, detail`` and, where there is something to
do, ``hint``.

====== ==================== =========================================================================================
status code                 when
====== ==================== =========================================================================================
400    invalid-input        plane, index, level … outside the series, a parameter that is unknown or malformed
401    unauthenticated      hub: no token, or one that is not valid any more
403    unauthenticated      a session's server does not know who asks, such as one that was started again under an open page: whoever opens
                            ``<base>cohortlab/signed-in`` goes through its sign-in
403    refused              no grant, one that ended or was revoked, in words: at the hub, and of a session's leases (`hub.py`); not
                            allowed by the grant's condition. ``meta`` of a session's lease that ended says ``Clear-Site-Data: "cache"``
404    not-found            no such dataset or series here: never was, or is not mounted any more
404    array-gone           ``_arrays``: the kernel that showed the array has ended, or let it go to make room: run the cell again
409    integrity            the store is not what its signature says
413    too-large            larger than the gateway sends: take a coarser level, a region or ranges
416    invalid-range        a range outside the object
429    busy                 hub: too many requests of one person at once: wait for answers
503    storage              the disk cannot be read, an object is missing or a chunk corrupt: worth trying again, once
503    unavailable          who may see this cannot be said now: the hub's records, or for a session the hub, do not answer
====== ==================== =========================================================================================

A client that goes away stops the work: what waits is dropped, what reads stops before its next part. All methods here block on the disk:
a server calls them off its event loop. A dataset is answered for only when its manifest's signature verifies against a trusted key; ids
are matched against their pattern before they meet a path.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from cohortlab.errors import CohortlabError, IntegrityError, InvalidInputError, NotFoundError, StorageError
from cohortlab.keys import PublicKey
from cohortlab.store import AccessCondition, Manifest, SeriesAttributes, Store
from cohortlab.store.contracts import AccessRight, StoreObject, check_dataset_id
from cohortlab.store.layout import image_path
from cohortlab.store.session import session_folder, session_keys
from cohortlab.viewer import pictures, slices
from cohortlab.viewer.answers import NEVER, Answer, ArrayGoneError, SliceRequest, Stop, cache_control, digest, json_answer, version_of
from cohortlab.viewer.arrays import ARRAYS, Arrays
from cohortlab.viewer.objects import object_answer
from cohortlab.viewer.planes import Plane, plane_named, planes
from cohortlab.viewer.slabs import SlabArray, Slabs
from cohortlab.viewer.slices import Series

_AUTO_WINDOW_PERCENTILES = (1, 99)
_MAX_SAMPLED = 2_000_000  # values that an automatic window is made from
_DESCRIPTIONS = 4096  # kept, of a few kB each
_THUMBNAILS = 1024  # kept, of a few kB each
_OPENED = 256  # arrays kept open
_LOOKED_AT = 16  # objects of a level that are looked for before each read; of more, zarr's own reading must tell
_FIRST_VOLUME = 8 * 2**20  # bytes of a level that is sent when none is named
THUMBNAIL_SIZES = range(16, 513)


@dataclass(frozen=True)
class _Mounted:
    """A store that verified: the state of its manifest's file then, and its objects by path."""

    state: tuple[int, int, int]
    store: Store
    objects: Mapping[str, StoreObject]


class Gateway:
    """Answers for the datasets under `folder` whose manifests verify against one of `trusted`, and for a kernel's `arrays`."""

    def __init__(self, folder: Path, trusted: tuple[PublicKey, ...], arrays: Arrays | None = None) -> None:
        self.folder = folder
        self.trusted = trusted
        self.arrays = arrays
        self._stores: dict[str, _Mounted] = {}
        self._meta: dict[str, dict[str, Any]] = {}
        self._thumbnails: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._opened: OrderedDict[tuple[str, tuple[int, int, int], str, int], Any] = OrderedDict()
        self._slabs = Slabs()
        self._lock = threading.Lock()

    @classmethod
    def from_environment(cls) -> "Gateway":
        """For this session's datasets, keys and arrays. Without a key there is a gateway, but no dataset that it serves."""
        keys = tuple(session_keys()) if os.environ.get("COHORTLAB_TRUSTED_KEYS", "").strip() else ()
        return cls(session_folder(), keys, Arrays.from_environment())

    def place(self, dataset: str) -> Path | None:
        """The folder of a dataset's store; None when there is none such. `dataset` is a dataset's id in its form."""
        return self.folder / dataset

    def names(self) -> list[str]:
        """What may be datasets. Raises `StorageError` when the folder cannot be read."""
        try:
            return sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"The datasets folder cannot be read ({error.strerror}).") from error

    def store(self, dataset: str) -> Store:
        """The dataset's store, verified again whenever its manifest's file changed.

        Raises:
            NotFoundError: no such dataset is mounted here.
            IntegrityError: its manifest is not signed by a trusted key, or is another dataset's.
        """
        return self._mounted(dataset).store

    def _mounted(self, dataset: str) -> _Mounted:
        try:
            path = self.place(check_dataset_id(dataset))
            status = (path / "dataset.json").stat() if path is not None else None
        except (InvalidInputError, OSError):
            path = status = None
        if path is None or status is None:
            raise NotFoundError("There is no such dataset here, or not any more.", hint="cl.datasets() lists those there are.")
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            known = self._stores.get(dataset)
        if known is not None and known.state == state and known.store.path == path:
            return known
        store = Store.open(path, trusted=self.trusted)
        if store.id != dataset:
            raise IntegrityError(f"The folder {dataset} holds another dataset.", hint="Mount each dataset under its own id.")
        made = _Mounted(state, store, {item.path: item for item in store.manifest.objects})
        with self._lock:
            self._stores[dataset] = made
        return made

    def series(self, dataset: str, series: str) -> Series:
        """One series by its id. Raises `NotFoundError`, and `IntegrityError` as `store` does."""
        if dataset == ARRAYS:
            if self.arrays is None:
                raise ArrayGoneError("There are no arrays here.")
            return self.arrays.series(series)
        return self.store(dataset)[series]

    def datasets(self, visible: Collection[str] | None = None) -> Answer:
        """The mounted datasets that verify, with their series; others are named with the reason why they are not served.

        Only those in `visible`, where it is given.
        """
        found: list[dict[str, Any]] = []
        for name in self.names():
            if visible is not None and name not in visible:
                continue
            try:
                manifest = self.store(name).manifest
            except NotFoundError:
                continue  # a folder that is no dataset
            except CohortlabError as error:
                found.append({"id": name, "error": error.message, "code": error.code})
                continue
            listed = [entry.model_dump(mode="json") for entry in manifest.series]
            found.append(
                {"id": name, "version": manifest.version, "title": manifest.title, "public": is_public(manifest), "series": listed}
            )
        return json_answer({"datasets": found})

    def meta(self, dataset: str, series: str) -> Answer:
        """What a viewer must know of a series before it shows a slice."""
        return json_answer(self.describe(dataset, series))

    def describe(self, dataset: str, series: str) -> dict[str, Any]:
        """The same as a dictionary of plain JSON values."""
        ref = self.series(dataset, series)
        key = f"{dataset}/{series}/{ref.attributes.digests.pixels}"
        with self._lock:
            known = self._meta.get(key)
        if known is None:
            known = self._describe(dataset, ref)
            with self._lock:
                if len(self._meta) >= _DESCRIPTIONS:
                    self._meta.clear()
                self._meta[key] = known
        return known

    def slice(self, dataset: str, series: str, request: SliceRequest, stop: Stop = NEVER) -> Answer:
        """One slice, raw or as a picture, as the contract says.

        Raises:
            NotFoundError, InvalidInputError, TooLargeError, StorageError: as their texts say.
        """
        ref = self.series(dataset, series)
        attributes, identity = ref.attributes, [ref.attributes.digests.pixels]
        picks: dict[str, Any] = {"level": request.level, "frame": request.frame, "region": request.region, "stop": stop}
        meaning = _meaning(attributes, request.segment)
        if request.on or request.segment is not None:
            if attributes.kind != "segmentation":
                raise InvalidInputError("Only a segmentation has segments and can be laid on an image.")
            image_dataset, _, image_series = request.on.rpartition("/")
            image = self.series(image_dataset or dataset, image_series) if request.on else ref
            if request.on:
                identity.append(image.attributes.digests.pixels)
            plane = plane_named(planes_of(image_dataset or dataset, image.attributes), request.plane)
            ready, shown = self._ready(dataset, ref, 0), self._ready(image_dataset or dataset, image, request.level)
            values = slices.read_label_slice(ready, shown, plane.axis, request.index, segment=request.segment, **picks)
        else:
            plane = plane_named(planes_of(dataset, attributes), request.plane)
            values = slices.read_slice(self._ready(dataset, ref, request.level), plane.axis, request.index, **picks)
        named = digest(f"{identity}/{replace(request, version='')!r}".encode())
        headers = {"Cache-Control": cache_control(request.version, *identity), "X-Cohortlab-Meaning": meaning}
        if request.picture:
            if attributes.kind == "segmentation":
                raise InvalidInputError("Labels are no picture: ask for them with format=raw.")
            stop.check()
            window = request.window or tuple(self.describe(dataset, series)["window"] or (0.5, 1.0))
            shown_as = pictures.windowed(values, (window[0], window[1]), inverted=attributes.photometric == "MONOCHROME1")
            return Answer(pictures.webp(shown_as), "image/webp", named, headers)
        return Answer(values.tobytes(), "application/octet-stream", named, headers | _form(values))

    def volume(
        self, dataset: str, series: str, *, level: int | None = None, frame: int = 0, version: str = "", stop: Stop = NEVER
    ) -> Answer:
        """A whole level; without `level` the finest of at most 8 MiB, else the coarsest. Raises as `slice`."""
        ref = self.series(dataset, series)
        if level is None:
            last = len(ref.attributes.levels) - 1
            level = next((n for n in range(last) if slices.volume_bytes(ref, n) <= _FIRST_VOLUME), last)
        values = slices.read_volume(self._ready(dataset, ref, level), level, frame=frame, stop=stop)
        pixels = ref.attributes.digests.pixels
        headers = {
            "Cache-Control": cache_control(version, pixels),
            "X-Cohortlab-Level": str(level),
            "X-Cohortlab-Meaning": _meaning(ref.attributes, None),
        }
        return Answer(values.tobytes(), "application/octet-stream", digest(f"{pixels}/{level}/{frame}".encode()), headers | _form(values))

    def thumbnail(self, dataset: str, series: str, *, size: int = 128, version: str = "", stop: Stop = NEVER) -> Answer:
        """The middle slice of the acquisition's plane as WebP, hung as on the screen, the longer side `size`. Raises as `slice`."""
        if size not in THUMBNAIL_SIZES:
            raise InvalidInputError(f"A thumbnail has {THUMBNAIL_SIZES[0]} to {THUMBNAIL_SIZES[-1]} pixels.")
        ref = self.series(dataset, series)
        pixels = ref.attributes.digests.pixels
        key = (f"{dataset}/{series}/{pixels}", size)
        with self._lock:
            body = self._thumbnails.get(key)
        if body is None:
            body = pictures.encoded(self.picture(dataset, series, size, stop=stop), "webp")
            with self._lock:
                self._thumbnails[key] = body
                while len(self._thumbnails) > _THUMBNAILS:
                    self._thumbnails.popitem(last=False)
        return Answer(body, "image/webp", digest(f"{pixels}/{size}".encode()), {"Cache-Control": cache_control(version, pixels)})

    def picture(
        self,
        dataset: str,
        series: str,
        size: int,
        *,
        where: tuple[str, int, int] | None = None,
        window: tuple[float, float] | None = None,
        stop: Stop = NEVER,
    ) -> Image:
        """A slice as it hangs on the screen, the longer side `size`; `where` is (plane, index in level 0, frame), the middle without."""
        ref = self.series(dataset, series)
        attributes = ref.attributes
        found = planes_of(dataset, attributes)
        plane = found[0] if where is None else plane_named(found, where[0])
        index, frame = (plane.count // 2, 0) if where is None else where[1:]
        level = _level_for(attributes, plane, size)
        depth = slices.volume_shape(attributes, level)["zyx".index(plane.axis)]
        at = min(index * depth // plane.count, depth - 1)
        values = slices.read_slice(self._ready(dataset, ref, level), plane.axis, at, level=level, frame=frame, stop=stop)
        if attributes.kind == "segmentation":
            grey = np.where(values > 0, 255, 0).astype(np.uint8)
        else:
            center, width = window or self.describe(dataset, series)["window"] or (0.5, 1.0)
            grey = pictures.windowed(values, (center, width), inverted=attributes.photometric == "MONOCHROME1")
        return pictures.scaled(pictures.hung(grey, plane), plane, size)

    def object(self, dataset: str, series: str, key: str, wanted: str | None = None, version: str = "", *, head: bool = False) -> Answer:
        """An object of the series' Zarr group as it is stored, or the range `wanted` of it, a ``Range`` header. Raises as its texts say."""
        if dataset == ARRAYS:
            raise NotFoundError("Arrays of a kernel are not stored as Zarr.", hint="Ask for slices.")
        mounted = self._mounted(dataset)
        ref = mounted.store[series]
        item = mounted.objects.get(f"{ref.name}/{key}")
        cache = cache_control(version, ref.attributes.digests.pixels)
        return object_answer(mounted.store.path, item, wanted, cache, head=head)

    def case(self, dataset: str, series: str) -> str:
        """A name of the series' patient that tells nothing, to count cases by."""
        patient = "" if dataset == ARRAYS else self.series(dataset, series).attributes.patient_id
        return digest(f"{dataset}/{patient}".encode())

    def _ready(self, dataset: str, ref: Series, level: int) -> Series:
        """The series with the array of `level` kept open; raises `StorageError` when objects of that level have vanished meanwhile."""
        slices.level_shape(ref.attributes, level)
        if dataset == ARRAYS:
            return ref
        mounted = self._mounted(dataset)
        stored = mounted.store[ref.id]
        below = f"{stored.name}/{image_path(level)}/c/"
        _present(mounted, below)
        key = (dataset, mounted.state, ref.id, level)
        with self._lock:
            array = self._opened.get(key)
        if array is None:
            array = SlabArray(stored.array(level), ref.attributes.dims, self._slabs, key)
            with self._lock:
                self._opened[key] = array
                while len(self._opened) > _OPENED:
                    self._opened.popitem(last=False)
        return _Open(ref, level, array)

    def _describe(self, dataset: str, ref: Series) -> dict[str, Any]:
        attributes = ref.attributes
        plain = attributes.model_dump(
            mode="json",
            include={
                "kind", "modality", "dims", "shape", "levels", "dtype", "affine", "spacing", "regular", "irregular_reason", "axis",
                "samples", "fractional", "tiles", "space", "units", "rescale", "suv", "photometric", "body_part", "description",
                "laterality", "view",
                "segments", "source_series",
            },
        )  # fmt: skip
        window = attributes.window
        if window is None and attributes.kind == "image" and not attributes.samples:
            window = _automatic_window(self._ready(dataset, ref, len(attributes.levels) - 1))
        frame = attributes.frame_of_reference_uid
        labels = [] if dataset == ARRAYS else [one.id for one in self.store(dataset).segmentations if one.source_series == ref.id]
        return {
            "dataset": dataset,
            "series": ref.id,
            "version": version_of(attributes.digests.pixels),
            **plain,
            "frame": None if frame is None or attributes.affine is None else digest(frame.encode())[:12],
            "segmentations": labels,
            "window": None if window is None else [float(value) for value in window],
            "planes": [plane.to_json() for plane in planes_of(dataset, attributes)],
        }


@dataclass(frozen=True)
class _Open:
    """A series one of whose arrays is open."""

    ref: Series
    level: int
    opened: Any

    @property
    def id(self) -> str:
        return self.ref.id

    @property
    def attributes(self) -> SeriesAttributes:
        return self.ref.attributes

    def array(self, level: int = 0) -> Any:
        return self.opened if level == self.level else self.ref.array(level)

    def affine(self, level: int = 0) -> Any:
        return self.ref.affine(level)


def _present(mounted: _Mounted, below: str) -> None:
    """See that the objects under `below` are there in full: zarr takes one that vanished after it was opened for zeros."""
    items = [item for path, item in mounted.objects.items() if path.startswith(below)]
    for item in items if len(items) <= _LOOKED_AT else ():
        try:
            size = (mounted.store.path / item.path).stat().st_size
        except OSError:
            size = -1
        if size != item.size:
            raise StorageError(
                "A part of this series is missing or cut short.", hint="Tell the data steward, who can run `cohortlab verify`."
            )


def is_public(manifest: Manifest) -> bool:
    """Whether anybody may see the dataset: it may be downloaded, its access right (dct:accessRights) is PUBLIC, and it shows no face."""
    right = manifest.dcat.get("accessRights", manifest.dcat.get("dct:accessRights", ""))
    public = isinstance(right, str) and right.rsplit("/", 1)[-1] == AccessRight.PUBLIC
    return public and manifest.access_condition is AccessCondition.DOWNLOAD and manifest.deidentification.get("recognisable") is not True


def planes_of(dataset: str, attributes: SeriesAttributes) -> tuple[Plane, ...]:
    """The planes of a series of `dataset`, the acquisition's first."""
    orientation = attributes.slices[0].orientation if attributes.slices else None
    space = tuple(size for name, size in zip(attributes.dims, attributes.shape, strict=True) if name in "zyx")
    return planes(space, attributes.affine, attributes.spacing, orientation, unplaced=dataset == ARRAYS and attributes.regular)


def _meaning(attributes: SeriesAttributes, segment: int | None) -> str:
    if attributes.kind == "segmentation":
        return "fraction" if slices.is_fraction(attributes, segment) else "labels"
    return "colour" if attributes.samples else "values"


def _form(values: Any) -> dict[str, str]:
    return {"X-Cohortlab-Shape": ",".join(map(str, values.shape)), "X-Cohortlab-Type": values.dtype.name}


def _level_for(attributes: SeriesAttributes, plane: Plane, size: int) -> int:
    """The coarsest level that still has `size` voxels along the longer side of `plane`; the finest where none has."""
    for level in range(len(attributes.levels) - 1, 0, -1):
        extents = dict(zip("zyx", slices.volume_shape(attributes, level), strict=True))
        if max(extents[plane.right.axis], extents[plane.down.axis]) >= size:
            return level
    return 0


def _automatic_window(ref: Series) -> tuple[float, float]:
    """Centre and width that show all but the extremes of the coarsest level."""
    level = len(ref.attributes.levels) - 1
    if slices.volume_bytes(ref, level) <= slices.MAX_SLICE_BYTES:
        values = slices.read_volume(ref, level)
    else:
        values = slices.read_slice(ref, "z", slices.volume_shape(ref.attributes, level)[0] // 2, level=level)
    values = values.ravel()[:: max(1, values.size // _MAX_SAMPLED)]
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.5, 1.0
    low, high = np.percentile(finite, _AUTO_WINDOW_PERCENTILES)
    return float(low + high) / 2, max(float(high - low), 1.0 if values.dtype.kind in "iu" else 1e-6)
