"""Writing a store: one dataset version, built out of sight, signed, and made visible by a single rename.

    root/<id>/.<version>.lock          held while a writer works: a second writer of the same version is refused
    root/<id>/.<version>.partial-…     what is being built; readers never look there
    root/<id>/<version>/               the finished version; it appears whole, by rename, after all is on the disk

Whatever happens before the rename (an error, Ctrl-C, kill -9, a full disk) leaves no visible version. A writer that ends by itself
cleans up; what a killed one left is taken over by the next, which keeps the series that are whole and made of the same instances.
Objects that an earlier version of the dataset holds byte for byte are shared with it by hard links.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from pydantic import JsonValue
from pydicom import Dataset

from cohortlab.errors import CohortlabError, InvalidInputError, RefusedError
from cohortlab.keys import PrivateKey
from cohortlab.store.arrays import Coordinates, let_writes_end, write_attributes, write_series
from cohortlab.store.colour import ColourSource, is_colour
from cohortlab.store.contours import build_contours
from cohortlab.store.contracts import (
    Manifest,
    ManifestFields,
    ManifestSeries,
    Rescale,
    SeriesAttributes,
    SeriesDigests,
    StoreObject,
    check_dataset_id,
    check_version,
)
from cohortlab.store.describe import coordinates_of, describe, levels_of
from cohortlab.store.disk import publish, settle, share, storage_errors, take_lock
from cohortlab.store.journal import Journal, fingerprint
from cohortlab.store.layout import CATALOGUE, CATALOGUE_FILE, IMAGES, MANIFEST, SEGMENTATIONS
from cohortlab.store.manifest import file_digest, read_manifest, sign_manifest
from cohortlab.store.pixels import FrameSource, OutOfRangeError, rescale_of
from cohortlab.store.segment import build_labels
from cohortlab.store.series import SeriesGroup, group
from cohortlab.store.sidecar import write_catalogue, write_headers
from cohortlab.store.slide import slide_levels
from cohortlab.store.slide_write import write_slide
from cohortlab.store.workers import cores

_ELSEWHERE = "Only the process that began a version opens and finishes it."

type Instances = SeriesGroup | Sequence[Dataset]


class StoreWriter:
    """Writes version `version` of dataset `dataset_id` under `root`; use it in a ``with`` block and end with `finish`.

    Leaving the block without `finish` leaves nothing visible. `on_slice`, if given, is called after each image written.
    Raises `InvalidInputError` for an id or version that is none, `RefusedError` when the version exists or another writer is at
    it, `StorageError` when the disk is full or cannot be written.
    """

    def __init__(self, root: Path, dataset_id: str, version: str, *, on_slice: Callable[[], None] | None = None) -> None:
        self.dataset_id, self.version = check_dataset_id(dataset_id), check_version(version)
        self.place = Path(root) / dataset_id / version
        self.series: list[SeriesAttributes] = []
        self._on_slice = on_slice or (lambda: None)
        self._threads = cores()
        self._lock: int | None = None
        self._partial = self.place.parent / f".{version}.partial-{secrets.token_hex(4)}"
        self._journal = Journal(self._partial)
        self._finished = False

    def __enter__(self) -> Self:
        with storage_errors(self.place):
            self.place.parent.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(self.place.parent / f".{self.version}.lock")
            try:
                self._prepare()
            except BaseException:
                self._abort()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._finished:
            self._abort()

    def add_series(self, instances: Instances, deidentification: dict[str, JsonValue]) -> SeriesAttributes:
        """Write one image series of de-identified instances: a group from `series.group`, or instances that make just one.

        Raises `InvalidInputError` when they are no single series or their pixels cannot be read.
        """
        found = _one(instances)
        if found.kind != "image":
            return self.add_segmentation(found, deidentification)
        if (kept := self._resume(IMAGES, found, deidentification)) is not None:
            return kept
        if found.slide:
            return self._add_slide(found, deidentification)
        with self._adding(IMAGES, found) as path:
            rescale = rescale_of(found)
            try:
                source = self._write_image(path, found, rescale, deidentification, np.dtype("<i2"))
            except OutOfRangeError:
                shutil.rmtree(path)
                source = self._write_image(path, found, rescale, deidentification, np.dtype("<i4"))
            draft = describe(found, source.shape, source.dtype, rescale, deidentification)
            attributes = self._complete(path, draft, SeriesDigests(pixels=source.pixels, source=source.stored))
            write_headers(path.with_name(f"{found.id}.headers.parquet"), found, source.frame_digests)
            self._journal.done(path, fingerprint(found, deidentification), attributes)
        return attributes

    def _add_slide(self, found: SeriesGroup, deidentification: dict[str, JsonValue]) -> SeriesAttributes:
        with self._adding(IMAGES, found) as path:
            attributes = write_slide(path, found, slide_levels(found.datasets), deidentification, self._on_slice)
            self.series.append(attributes)
            write_headers(path.with_name(f"{found.id}.headers.parquet"), found, ())
            self._journal.done(path, fingerprint(found, deidentification), attributes)
        return attributes

    def add_segmentation(self, instance: SeriesGroup | Dataset, deidentification: dict[str, JsonValue]) -> SeriesAttributes:
        """Write a DICOM SEG or RTSTRUCT as labels on the grid of the image that it segments; add that image first.

        Raises `InvalidInputError` when no image added here has its grid.
        """
        found = _one([instance] if isinstance(instance, Dataset) else instance)
        with self._adding(SEGMENTATIONS, found) as path:
            build = build_contours if found.contours else build_labels
            labels = build(found, [s for s in self.series if s.kind == "image"], deidentification)
            self._write(path, labels.attributes, labels)
            attributes = self._complete(path, labels.attributes, SeriesDigests(pixels=labels.pixels, source=labels.stored))
            write_headers(path.with_name(f"{found.id}.headers.parquet"), found, ())
        self._on_slice()
        return attributes

    def part(self, threads: int) -> "PartWriter":
        """A writer for another process, which adds series to this version; give `accept` what it returns. Encodes in `threads`."""
        return PartWriter(self.place, self._partial, threads)

    def accept(self, attributes: SeriesAttributes) -> None:
        """Take a series that a `part` of this writer has written into the version."""
        self.series.append(attributes)

    @property
    def _writable(self) -> bool:
        return self._lock is not None and not self._finished

    def finish(self, fields: ManifestFields, key: PrivateKey) -> Manifest:
        """Write the catalogue, digest and sign all objects, bring them to the disk and make the version visible.

        Raises `InvalidInputError` when no series was added, `RefusedError` when the version has appeared meanwhile.
        """
        if not self.series:
            raise InvalidInputError("There is no series to store.", hint="A dataset version holds at least one.")
        with storage_errors(self.place):
            series = sorted(self.series, key=lambda s: (s.kind, s.id))
            write_catalogue(self._partial / CATALOGUE_FILE, series)
            earlier = self._earlier(key)
            objects = []
            self._journal.keep_only({s.id for s in series})
            for relative in self._journal.objects():
                size, digest = file_digest(self._partial / relative)
                objects.append(StoreObject(path=relative.as_posix(), size=size, sha256=digest))
                share(self._partial / relative, objects[-1], earlier)
            listed = [
                ManifestSeries(id=s.id, kind=s.kind, modality=s.modality, description=s.description, source_series=s.source_series)
                for s in series
            ]
            manifest = sign_manifest((self.dataset_id, self.version), fields, listed, objects, key)
            (self._partial / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
            self._journal.remove()
            settle(self._partial)
            publish(self._partial, self.place)
        self._finished = True
        self._release()
        return manifest

    def _prepare(self) -> None:
        """With the lock held: refuse an existing version, clear what killed writers left, make the folders."""
        if self.place.exists():
            raise RefusedError(
                f"Version {self.version} of {self.dataset_id} exists already.", hint="Versions never change: write a new one."
            )
        for left in sorted(self.place.parent.glob(f".{self.version}.partial-*")):
            if self._partial.exists():
                shutil.rmtree(left)
            else:
                left.rename(self._partial)
        for folder in (IMAGES, SEGMENTATIONS, CATALOGUE, "clinical"):
            (self._partial / folder).mkdir(parents=True, exist_ok=True)
        self._journal.open()

    def _earlier(self, key: PrivateKey) -> dict[str, Path]:
        """Objects of this dataset's versions that the same key signed, by digest."""
        found: dict[str, Path] = {}
        for place in sorted(self.place.parent.glob(f"[!.]*/{MANIFEST}")):
            with suppress(CohortlabError):  # a version that does not verify lends nothing
                manifest = read_manifest(place.parent, [key.public])
                found |= {item.sha256: place.parent / item.path for item in manifest.objects}
        return found

    def _resume(self, folder: str, found: SeriesGroup, deidentification: dict[str, JsonValue]) -> SeriesAttributes | None:
        """A series that an interrupted writer had finished from the same instances; None when there is none."""
        if not self._writable or not self._journal.has(found.id):
            return None
        with storage_errors(self.place), _header_errors():
            attributes = self._journal.resume(self._partial / folder / f"{found.id}.zarr", fingerprint(found, deidentification))
        if attributes is not None:
            self.series.append(attributes)
            for _ in range(sum(len(volume) for volume in found.frames)):
                self._on_slice()
        return attributes

    @contextmanager
    def _adding(self, folder: str, found: SeriesGroup) -> Iterator[Path]:
        """Where a series goes. When it fails, nothing of it stays: the caller may refuse it and go on with the next."""
        if not self._writable:
            raise RefusedError("The store is not open for writing.")
        if any(s.id == found.id for s in self.series):
            raise InvalidInputError(f"Series {found.id} was added already.", hint="Group all instances of a series before adding it.")
        path = self._partial / folder / f"{found.id}.zarr"
        before = list(self.series)
        try:
            with storage_errors(self.place), _header_errors():
                yield path
        except BaseException:
            self.series = before
            let_writes_end()
            shutil.rmtree(path, ignore_errors=True)
            path.with_name(f"{found.id}.headers.parquet").unlink(missing_ok=True)
            raise

    def _write_image(
        self, path: Path, found: SeriesGroup, rescale: Rescale | None, deidentification: dict[str, JsonValue], dtype: "np.dtype[Any]"
    ) -> FrameSource | ColourSource:
        """Write an image's levels; `dtype` is for values that a rescale is applied to."""
        if is_colour(found):
            colour = ColourSource(found, self._on_slice)
            self._write(path, describe(found, colour.shape, colour.dtype, rescale, deidentification), colour)
            return colour
        source = FrameSource(found, rescale, dtype if rescale is not None and rescale.applied else None, self._on_slice)
        self._write(path, describe(found, source.shape, source.dtype, rescale, deidentification), source)
        return source

    def _write(self, path: Path, draft: SeriesAttributes, source: Any) -> None:
        labels = draft.kind == "segmentation" and draft.fractional is None
        write_series(path, source, draft.dims, levels_of(draft), self._coordinates(draft), labels=labels, threads=self._threads)

    def _complete(self, path: Path, draft: SeriesAttributes, digests: SeriesDigests) -> SeriesAttributes:
        levels = levels_of(draft)
        attributes = draft.model_copy(update={"digests": digests, "levels": tuple(level.shape for level in levels)})
        write_attributes(path, draft.dims, levels, self._coordinates(draft), attributes.to_json())
        self.series.append(attributes)
        return attributes

    @staticmethod
    def _coordinates(draft: SeriesAttributes) -> Coordinates:
        values, units = coordinates_of(draft)
        return Coordinates(values, units)

    def _abort(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            (self.place.parent / f".{self.version}.lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


class PartWriter(StoreWriter):
    """Adds series to a version that another process is building, has locked and will finish. Goes through pickle."""

    def __init__(self, place: Path, partial: Path, threads: int, *, on_slice: Callable[[], None] | None = None) -> None:
        super().__init__(place.parent.parent, place.parent.name, place.name, on_slice=on_slice)
        self._partial, self._threads = partial, threads
        self._journal = Journal(partial)

    def __reduce__(self) -> tuple[type[Self], tuple[Path, Path, int]]:
        return type(self), (self.place, self._partial, self._threads)

    def heard(self, on_slice: Callable[[], None]) -> Self:
        """This writer, which calls `on_slice` after each image."""
        self._on_slice = on_slice
        return self

    @property
    def _writable(self) -> bool:
        return self._partial.is_dir()

    def __enter__(self) -> Self:
        raise RefusedError(_ELSEWHERE)

    def finish(self, fields: ManifestFields, key: PrivateKey) -> Manifest:  # noqa: ARG002 - the base class's
        """Not here: raises `RefusedError`."""
        raise RefusedError(_ELSEWHERE)


def _one(instances: Instances) -> SeriesGroup:
    """The one group that instances make."""
    if isinstance(instances, SeriesGroup):
        return instances
    found = group(instances)
    if len(found) != 1:
        raise InvalidInputError(
            f"These instances make {len(found)} series, not one.", hint="Group them with cohortlab.store.series.group first."
        )
    return found[0]


@contextmanager
def _header_errors() -> Iterator[None]:
    """Turn what pydicom and the contracts raise on values that are no values into `InvalidInputError`, without the value."""
    try:
        yield
    except (CohortlabError, OSError, OutOfRangeError):
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise InvalidInputError(
            f"The header of a series cannot be understood ({type(error).__name__}).",
            hint="An element holds a value that its kind cannot have.",
        ) from None


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Leave nothing of a series that could not be written to its end: the others of the version go on without it."""
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
