"""What a writer had finished before it was killed, so that the next one continues.

In the folder being built, ``.journal/<series>.json`` is written after all files of a series are on the disk. It holds the digest of
the instances that the series was made from, so that it is kept only for the same instances; its pixels are digested
again before it is, since a machine that lost power may have lost them.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr
from pydantic import JsonValue

from cohortlab.errors import InvalidInputError
from cohortlab.keys import canonical_json
from cohortlab.store.contracts import SeriesAttributes
from cohortlab.store.deferred import pixel_sha256
from cohortlab.store.disk import settle, sync
from cohortlab.store.layout import CATALOGUE, IMAGES, MANIFEST, SEGMENTATIONS, image_path
from cohortlab.store.manifest import walk
from cohortlab.store.series import SeriesGroup
from cohortlab.store.sidecar import header_json
from cohortlab.store.tiles import tile_digest
from cohortlab.store.verify import pixel_digest

_FOLDER = ".journal"


def fingerprint(group: SeriesGroup, deidentification: dict[str, JsonValue]) -> str:
    """SHA-256 over all that a series is made from: headers, encoded pixels, the de-identification record."""
    digest = hashlib.sha256(canonical_json(deidentification))
    for dataset in group.datasets:
        digest.update(header_json(dataset).encode())
        digest.update(str(dataset.file_meta.get("TransferSyntaxUID", "")).encode())
        digest.update(pixel_sha256(dataset).encode())
    return digest.hexdigest()


class Journal:
    """The journal of the folder `partial`."""

    def __init__(self, partial: Path) -> None:
        self._partial = partial
        self._folder = partial / _FOLDER

    def open(self) -> None:
        """Begin, or take over: what is not in the journal is removed, the unfinished series of a killed writer."""
        self._folder.mkdir(exist_ok=True)
        for left in (self._partial / MANIFEST, *(self._partial / CATALOGUE).iterdir()):
            _discard(left)
        self.keep_only({entry.stem for entry in self._folder.glob("*.json")})

    def keep_only(self, series: set[str]) -> None:
        """Remove all series but these: unfinished ones, or finished ones that this time were not asked for."""
        for folder in (IMAGES, SEGMENTATIONS):
            for left in (self._partial / folder).iterdir():
                if left.name.split(".")[0] not in series:
                    _discard(left)

    def objects(self) -> Iterator[Path]:
        """The files of the store being built, without the journal's own, as paths below its root."""
        return (path for path in walk(self._partial) if path.parts[0] != _FOLDER)

    def has(self, series: str) -> bool:
        """Whether an earlier writer had finished a series."""
        return (self._folder / f"{series}.json").exists()

    def done(self, path: Path, made_from: str, attributes: SeriesAttributes) -> None:
        """Note that the series at `path` is whole, after bringing it to the disk."""
        settle(path)
        sidecar = path.with_name(f"{attributes.id}.headers.parquet")
        sync(sidecar)
        sync(path.parent)
        entry = self._folder / f"{attributes.id}.json"
        draft = entry.with_suffix(".draft")
        draft.write_text(json.dumps({"made_from": made_from, "attributes": attributes.to_json()}), encoding="utf-8")
        sync(draft)
        draft.replace(entry)

    def resume(self, path: Path, made_from: str) -> SeriesAttributes | None:
        """The attributes of a finished series made from the same instances; else it is removed and None."""
        entry = self._folder / f"{path.name.removesuffix('.zarr')}.json"
        try:
            noted = json.loads(entry.read_text(encoding="utf-8"))
            attributes = SeriesAttributes.from_json(noted["attributes"], "The journal")
            written = zarr.open_group(path, mode="r", zarr_format=3).attrs["cohortlab"]
            array = zarr.open_array(path / image_path(0), mode="r", zarr_format=3)
            same = noted["made_from"] == made_from and written == attributes.to_json() and np.dtype(attributes.dtype) == array.dtype
            digest = tile_digest(path, attributes) if attributes.tiles else pixel_digest(array)
            sound = same and digest == attributes.digests.pixels
        except (OSError, KeyError, ValueError, TypeError, InvalidInputError):
            sound = False  # a journal or series that cannot be read is not whole
        if sound:
            return attributes
        _discard(path)
        _discard(path.with_name(f"{path.name.removesuffix('.zarr')}.headers.parquet"))
        entry.unlink(missing_ok=True)
        return None

    def remove(self) -> None:
        """Take the journal away, just before the store becomes visible."""
        shutil.rmtree(self._folder)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
