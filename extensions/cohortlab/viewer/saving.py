"""What was drawn, into files of the person's own: DICOM SR and SEG by highdicom, or JSON and NumPy archives.

Every file names the dataset, its version and tree digest, and the viewer's build. It goes into the person's home only: never into a
dataset, never through a link that leads out, and never over a file that is there.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cohortlab.errors import CohortlabError, InvalidInputError, RefusedError, StorageError
from cohortlab.store import SeriesRef
from cohortlab.store.session import session_folder
from cohortlab.viewer.arrays import ARRAYS
from cohortlab.viewer.assets import bundles
from cohortlab.viewer.gateway import Gateway, planes_of
from cohortlab.viewer.marks import Measured, measure, row

if TYPE_CHECKING:
    from cohortlab.viewer.widget import SeriesView

_MOST_NAMES = 1000


@dataclass(frozen=True)
class Provenance:
    """Where something was drawn: dataset and version ("" for arrays), the digest of its tree, series, package, viewer's build."""

    dataset: str
    version: str
    tree_sha256: str
    series: str
    package: str
    viewer: str

    def to_json(self) -> dict[str, str]:
        """As plain JSON values."""
        return dict(vars(self))


def provenance(gateway: Gateway, dataset: str, series: str) -> Provenance:
    """What a file about this series must name."""
    from cohortlab.viewer.widget import version_of_package  # noqa: PLC0415 - that module asks this one

    build = bundles()["viewer"].split(".")[1]
    if dataset == ARRAYS:
        return Provenance("", "", "", series, version_of_package(), build)
    manifest = gateway.store(dataset).manifest
    return Provenance(dataset, manifest.version, manifest.tree_sha256, series, version_of_package(), build)


def own_folder(folder: str | Path) -> Path:
    """A folder in the person's home, made when it is not there; a relative one counts from the home.

    Raises `RefusedError` when it is not in the home or lies in the datasets, `StorageError` when it cannot be made.
    """
    try:
        home = Path.home().resolve(strict=True)
        wanted = (home / Path(folder).expanduser()).resolve()
        datasets = session_folder().resolve()
        if not wanted.is_relative_to(home) or wanted == datasets or wanted.is_relative_to(datasets):
            raise RefusedError("What you draw is saved in your own home only.", hint="Give a folder there, such as 'annotations'.")
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = wanted.resolve(strict=True)
    except CohortlabError:
        raise
    except OSError as error:
        raise StorageError(f"The folder cannot be made ({(error.strerror or 'input/output error').lower()}).") from None
    if found != wanted:
        raise RefusedError("What you draw is saved in your own home only.", hint="The folder has become a link meanwhile.")
    return found


def write_new(folder: Path, name: str, ending: str, content: bytes) -> Path:
    """Write a new file ``name.ending``, or ``name-2.ending`` … where there is one. Raises `StorageError`; nothing half-written stays."""
    for number in range(1, _MOST_NAMES):
        path = folder / (f"{name}.{ending}" if number == 1 else f"{name}-{number}.{ending}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise StorageError(f"The file cannot be written ({(error.strerror or 'input/output error').lower()}).") from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StorageError(f"The file cannot be written ({(error.strerror or 'input/output error').lower()}).") from None
        return path
    raise StorageError("There are too many files of this name already.", hint="Give another folder.")


def _place(what: str, where: Provenance, folder: str | Path | None) -> tuple[Path, str]:
    """The folder and the name, without ending, of a new file."""
    chosen = own_folder(Path(what) / (where.dataset or "arrays") if folder is None else folder)
    return chosen, f"{where.series}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def _stored(gateway: Gateway, dataset: str, series: str, other: str) -> SeriesRef:
    ref = gateway.series(dataset, series)
    if not isinstance(ref, SeriesRef):
        raise InvalidInputError("This array has no DICOM instances to refer to.", hint=f"Save it with form={other!r}.")
    return ref


def save_annotations(gateway: Gateway, view: "SeriesView", folder: str | Path | None, form: str, reader: str) -> Path:
    """See `SeriesView.save_annotations`."""
    dataset, series = view.series.split("/")
    where = provenance(gateway, dataset, series)
    if not view.marks:
        raise InvalidInputError("There is nothing drawn to be saved.")
    shown = gateway.series(dataset, series)
    planes = planes_of(dataset, shown.attributes)
    found: list[tuple[dict[str, Any], Measured]] = [(mark, measure(mark, shown, planes)) for mark in view.marks]
    if form == "json":
        rows = [row(mark, shown, planes, measured) for mark, measured in found]
        affine = shown.attributes.affine
        body = {"kind": "cohortlab-annotations", "schema_version": 1, "provenance": where.to_json(), "affine": affine, "annotations": rows}
        target, name = _place("annotations", where, folder)
        return write_new(target, name, "json", json.dumps(body, indent=1, allow_nan=False).encode())
    if form != "dicom":
        raise InvalidInputError("The form of annotations is dicom or json.")
    from cohortlab.viewer.dicom import report  # noqa: PLC0415 - highdicom takes long to load

    made = report(_stored(gateway, dataset, series, "json"), found, planes, where, reader)
    target, name = _place("annotations", where, folder)
    return write_new(target, name, "dcm", _file(made))


def save_segmentation(gateway: Gateway, view: "SeriesView", folder: str | Path | None, form: str) -> Path:
    """See `SeriesView.save_segmentation`."""
    dataset, series = view.series.split("/")
    where = provenance(gateway, dataset, series)
    edits = view._labels()  # noqa: SLF001 - the two belong together
    labels, segments = edits.values(), edits.segments()
    if not labels.any():
        raise InvalidInputError("There is no segment drawn to be saved.")
    if form == "array":
        out = BytesIO()
        about = where.to_json() | {"segments": [one.to_json() for one in segments]}
        affine = gateway.series(dataset, series).attributes.affine
        matrix = np.full((4, 4), np.nan) if affine is None else np.asarray(affine)
        np.savez_compressed(out, labels=labels, affine=matrix, about=np.asarray(json.dumps(about)))
        target, name = _place("segmentations", where, folder)
        return write_new(target, name, "npz", out.getvalue())
    if form != "dicom":
        raise InvalidInputError("The form of a segmentation is dicom or array.")
    from cohortlab.viewer.dicom import segmentation  # noqa: PLC0415 - highdicom takes long to load

    made = segmentation(_stored(gateway, dataset, series, "array"), labels, segments, where)
    target, name = _place("segmentations", where, folder)
    return write_new(target, name, "dcm", _file(made))


def _file(dataset: Any) -> bytes:
    """A DICOM file of `dataset`."""
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def words(where: Provenance) -> Sequence[str]:
    """What made a DICOM object, for SoftwareVersions (LO, at most 64 letters each)."""
    return (
        f"cohortlab {where.package}",
        f"viewer {where.viewer}",
        f"store {where.dataset} {where.version}"[:64],
        f"tree {where.tree_sha256[:32]}",
    )
