"""The pixel gateway: answers a viewer's questions about series, whoever serves it. It knows no web framework.

THE CONTRACT. One set of routes is served in two places, by the same code (`cohortlab.viewer.api`):

- in a session by the Jupyter server, below ``<base>cohortlab/api/`` (JupyterHub's or Jupyter's sign-in and XSRF check);
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
    dark and bright exchanged for MONOCHROME1; for readers without WebGL or with a slow line. Not of labels. Neither turned nor flipped.

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
403    refused              hub: no grant, one that ended or was revoked, in words; not allowed by the grant's condition
404    not-found            no such dataset or series here: never was, or is not mounted any more
404    array-gone           ``_arrays``: the kernel that showed the array has ended, or let it go to make room: run the cell again
409    integrity            the store is not what its signature says
413    too-large            larger than the gateway sends: take a coarser level, a region or ranges
416    invalid-range        a range outside the object
429    busy                 hub: too many requests of one person at once: wait for answers
503    storage              the disk cannot be read, an object is missing or a chunk corrupt: worth trying again, once
====== ==================== =========================================================================================

A client that goes away stops the work: what waits is dropped, what reads stops before its next part. All methods here block on the disk:
a server calls them off its event loop. A dataset is answered for only when its manifest's signature verifies against a trusted key; ids
are matched against their pattern before they meet a path.
"""

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cohortlab.errors import CohortlabError, IntegrityError, InvalidInputError, NotFoundError, StorageError
from cohortlab.keys import PublicKey
from cohortlab.store import SeriesAttributes, SeriesRef, Store
from cohortlab.store.contracts import check_dataset_id
from cohortlab.store.session import session_folder, session_keys
from cohortlab.viewer import slices
from cohortlab.viewer.planes import Plane, plane_named, planes

_AUTO_WINDOW_PERCENTILES = (1, 99)
_MAX_SAMPLED = 2_000_000  # values that an automatic window is made from
_DESCRIPTIONS = 4096  # kept, of a few kB each
_FOR_EVER = "private, max-age=31536000, immutable"
_ASK_AGAIN = "private, no-cache"


@dataclass(frozen=True)
class Answer:
    """What to send: a body and its headers. `etag` names the content."""

    body: bytes
    content_type: str
    etag: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SliceRequest:
    """Which slice: of `level`, the `index` in that level's own voxels, `frame` of a fourth axis; `on` an image's grid."""

    plane: str
    index: int
    level: int = 0
    frame: int = 0
    on: str = ""
    version: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "SliceRequest":
        """From the parameters of a URL (``plane, index, level, t, on, v``). Raises `InvalidInputError`."""
        unknown = set(query) - {"plane", "index", "level", "t", "on", "v", "_xsrf"}
        if unknown or "plane" not in query or "index" not in query:
            raise InvalidInputError("A slice is asked for by plane and index, and may name level, t, on and v.")
        return cls(
            query["plane"], _number(query, "index"), _number(query, "level"), _number(query, "t"), query.get("on", ""), query.get("v", "")
        )


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - ten digits are past any image's size
        raise InvalidInputError(f"{name} must be a whole number.")
    return int(text)


class Gateway:
    """Answers for the datasets under `folder` whose manifests verify against one of `trusted`."""

    def __init__(self, folder: Path, trusted: tuple[PublicKey, ...]) -> None:
        self.folder = folder
        self.trusted = trusted
        self._stores: dict[str, tuple[tuple[int, int, int], Store]] = {}
        self._meta: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_environment(cls) -> "Gateway":
        """For this session's datasets and keys. Without a key there is a gateway, but nothing that it serves."""
        return cls(session_folder(), tuple(session_keys()) if os.environ.get("COHORTLAB_TRUSTED_KEYS", "").strip() else ())

    def store(self, dataset: str) -> Store:
        """The dataset's store, verified again whenever its manifest's file changed.

        Raises:
            NotFoundError: no such dataset is mounted here.
            IntegrityError: its manifest is not signed by a trusted key, or is another dataset's.
        """
        try:
            path = self.folder / check_dataset_id(dataset)
            status = (path / "dataset.json").stat()
        except (InvalidInputError, OSError):
            raise NotFoundError("There is no such dataset in this session.", hint="cl.datasets() lists those there are.") from None
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            known = self._stores.get(dataset)
        if known is not None and known[0] == state:
            return known[1]
        store = Store.open(path, trusted=self.trusted)
        if store.id != dataset:
            raise IntegrityError(f"The folder {dataset} holds another dataset.", hint="Mount each dataset under its own id.")
        with self._lock:
            self._stores[dataset] = (state, store)
        return store

    def series(self, dataset: str, series: str) -> SeriesRef:
        """One series by its id. Raises `NotFoundError`, and `IntegrityError` as `store` does."""
        return self.store(dataset)[series]

    def datasets(self) -> Answer:
        """The mounted datasets that verify, with their series; others are named with the reason why they are not served."""
        try:
            names = sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir())
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise StorageError(f"The datasets folder cannot be read ({error.strerror}).") from error
        found: list[dict[str, Any]] = []
        for name in names:
            try:
                manifest = self.store(name).manifest
            except NotFoundError:
                continue  # a folder that is no dataset
            except CohortlabError as error:
                found.append({"id": name, "error": error.message, "code": error.code})
                continue
            listed = [entry.model_dump(mode="json") for entry in manifest.series]
            found.append({"id": name, "version": manifest.version, "title": manifest.title, "series": listed})
        return _json_answer({"datasets": found})

    def meta(self, dataset: str, series: str) -> Answer:
        """What a viewer must know of a series before it shows a slice."""
        return _json_answer(self.describe(dataset, series))

    def describe(self, dataset: str, series: str) -> dict[str, Any]:
        """The same as a dictionary of plain JSON values."""
        ref = self.series(dataset, series)
        attributes = ref.attributes
        key = f"{dataset}/{series}/{attributes.digests.pixels}"
        with self._lock:
            known = self._meta.get(key)
        if known is None:
            known = _describe(dataset, ref)
            with self._lock:
                if len(self._meta) >= _DESCRIPTIONS:
                    self._meta.clear()
                self._meta[key] = known
        return known

    def slice(self, dataset: str, series: str, request: SliceRequest) -> Answer:
        """One slice as raw little-endian values, rows first; shape and type are in the headers.

        With `request.on` the series is a segmentation, laid on the grid of the image of that id in the same dataset.

        Raises:
            NotFoundError, InvalidInputError, TooLargeError: as their texts say.
        """
        ref = self.series(dataset, series)
        identity = [ref.attributes.digests.pixels]
        if request.on:
            image = self.series(dataset, request.on)
            identity.append(image.attributes.digests.pixels)
            plane = plane_named(_planes(image.attributes), request.plane)
            if ref.attributes.kind != "segmentation":
                raise InvalidInputError("Only a segmentation can be laid on an image.")
            values = slices.read_label_slice(ref, image, plane.axis, request.index, level=request.level)
        else:
            plane = plane_named(_planes(ref.attributes), request.plane)
            values = slices.read_slice(ref, plane.axis, request.index, level=request.level, frame=request.frame)
        named = f"{identity}/{request.plane}/{request.level}/{request.index}/{request.frame}"
        rows, columns = values.shape
        headers = {
            "Cache-Control": _FOR_EVER if request.version == version_of(*identity) else _ASK_AGAIN,
            "X-Cohortlab-Shape": f"{rows},{columns}",
            "X-Cohortlab-Type": values.dtype.name,
        }
        return Answer(values.tobytes(), "application/octet-stream", _digest(named.encode()), headers)


def version_of(*pixels: str) -> str:
    """The short name of the pixels that a URL may name to be kept for ever."""
    return "-".join(digest[:16] for digest in pixels)


def _planes(attributes: SeriesAttributes) -> tuple[Plane, ...]:
    orientation = attributes.slices[0].orientation if attributes.slices else None
    space = attributes.shape[-min(3, sum(name in "zyx" for name in attributes.dims)) :]
    return planes(space, attributes.affine, attributes.spacing, orientation)


def _describe(dataset: str, ref: SeriesRef) -> dict[str, Any]:
    attributes = ref.attributes
    plain = attributes.model_dump(
        mode="json",
        include={
            "kind", "modality", "dims", "shape", "levels", "affine", "regular", "irregular_reason", "axis", "units", "rescale",
            "photometric", "body_part", "description", "laterality", "view", "segments", "source_series",
        },
    )  # fmt: skip
    window = attributes.window
    if window is None and attributes.kind == "image":
        window = _automatic_window(ref)
    return {
        "dataset": dataset,
        "series": ref.id,
        "version": version_of(attributes.digests.pixels),
        **plain,
        "window": None if window is None else [float(value) for value in window],
        "planes": [plane.to_json() for plane in _planes(attributes)],
    }


def _automatic_window(ref: SeriesRef) -> tuple[float, float]:
    """Centre and width that show all but the extremes of the coarsest level."""
    array = ref.array(len(ref.attributes.levels) - 1)
    where: tuple[Any, ...] = (0,) if ref.attributes.axis is not None else ()
    shape = array.shape[len(where) :]
    planes_read = max(1, min(shape[0], _MAX_SAMPLED // max(1, int(np.prod(shape[1:])))))
    first = (shape[0] - planes_read) // 2
    values = np.asarray(array[(*where, slice(first, first + planes_read))])
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.5, 1.0
    low, high = np.percentile(finite, _AUTO_WINDOW_PERCENTILES)
    return float(low + high) / 2, max(float(high - low), 1.0 if values.dtype.kind in "iu" else 1e-6)


def _json_answer(value: dict[str, Any]) -> Answer:
    body = json.dumps(value, allow_nan=False).encode()
    return Answer(body, "application/json", _digest(body), {"Cache-Control": _ASK_AGAIN})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
