"""What a session sees: the datasets that are mounted, and `open` for any of them or their series.

``COHORTLAB_DATASETS`` is the folder with one mount a dataset (default ``/datasets``), ``COHORTLAB_TRUSTED_KEYS`` the gate keys whose
stores are opened, separated by commas. A store that is not signed by one of them is neither listed nor opened.
"""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cohortlab.errors import CohortlabError, IntegrityError, InvalidInputError, NotFoundError
from cohortlab.keys import PublicKey
from cohortlab.store.layout import FOLDER_VARIABLE, KEYS_VARIABLE, MANIFEST
from cohortlab.store.manifest import trusted_keys
from cohortlab.store.read import SeriesRef, Store, store_of

if TYPE_CHECKING:
    import xarray as xr

_DEFAULT = "/datasets"

_EMPTY = "No dataset is mounted here."
_EMPTY_HINT = "You see a dataset here once a data steward has granted it to you and you have started a new session since."


class Datasets(list[Store]):
    """The datasets of a session; shown as a table in a notebook. `problems`: stores that are there but cannot be trusted."""

    def __init__(self, stores: Sequence[Store], folder: Path, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(stores)
        self.folder, self.problems = folder, tuple(problems)

    @property
    def ids(self) -> list[str]:
        """Ids of the datasets."""
        return [store.id for store in self]

    def __repr__(self) -> str:
        lines = [f"{s.id} {s.version}  {s.title}  ({len(s)} series, {s.manifest.access_condition.value})" for s in self]
        lines += [f"{name}: not opened. {why}" for name, why in self.problems]
        return "\n".join(lines) if lines else f"{_EMPTY} {_EMPTY_HINT} (Looked in {self.folder}.)"

    def _repr_html_(self) -> str:
        notes = "".join(f"<p><code>{html.escape(name)}</code> is not opened: {html.escape(why)}</p>" for name, why in self.problems)
        if not self:
            looked = f"<p>Looked in <code>{html.escape(str(self.folder))}</code>.</p>"
            return f"<div><p><strong>{_EMPTY}</strong> {_EMPTY_HINT}</p>{looked}{notes}</div>"
        names = ("id", "version", "title", "series", "segmentations", "access")
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in names)
        rows = []
        for s in self:
            cells = (
                f"<code>{s.id}</code>",
                s.version,
                html.escape(s.title),
                str(len(s)),
                str(len(s.segmentations)),
                s.manifest.access_condition.value,
            )
            rows.append("<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>")
        return f"<div><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{notes}</div>"


def session_folder() -> Path:
    """Where this session's datasets are mounted."""
    return Path(os.environ.get(FOLDER_VARIABLE) or _DEFAULT)


def session_keys() -> list[PublicKey]:
    """The keys that this session trusts. Raises `InvalidInputError` when the environment names none or something else."""
    texts = [text for text in os.environ.get(KEYS_VARIABLE, "").split(",") if text.strip()]
    if not texts:
        raise InvalidInputError(
            f"No trusted key: {KEYS_VARIABLE} is not set.", hint="It holds the gate's public key, ed25519:…; in a session the hub sets it."
        )
    return trusted_keys(texts)


def _places(folder: Path) -> list[Path]:
    """Stores in a folder: mounts ``<id>/dataset.json``, or, in a gate's store root, the versions ``<id>/<version>/dataset.json``."""
    try:
        inside = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.is_dir())
        found = []
        for place in inside:
            if (place / MANIFEST).is_file():
                found.append(place)
            else:
                found += sorted(p.parent for p in place.glob(f"[!.]*/{MANIFEST}"))
    except OSError:
        return []
    return found


def datasets(folder: str | Path | None = None, trusted: Sequence[PublicKey] | None = None) -> Datasets:
    """The datasets that are mounted here and whose signature verifies."""
    where = session_folder() if folder is None else Path(folder)
    places = _places(where)
    if not places:
        return Datasets([], where, [])
    keys = session_keys() if trusted is None else trusted
    stores, problems = [], []
    for place in places:
        try:
            stores.append(_named(Store.open(place, keys), place))
        except CohortlabError as error:
            problems.append((str(place.relative_to(where)), f"{error.message} {error.hint}".strip()))
    return Datasets(stores, where, problems)


def _named(store: Store, place: Path) -> Store:
    """The store, when it lies where its own id (and version) say; another dataset in its place is not what was granted."""
    if place.name != store.id and (place.parent.name, place.name) != (store.id, store.version):
        raise IntegrityError(
            f"The folder {place.name} holds {store.id} {store.version}.", hint="Ask the operator to mount what was granted."
        )
    return store


def find(what: "str | Path | Store | SeriesRef | xr.DataArray") -> Store | SeriesRef:
    """The store or series that a name, path or object stands for.

    A dataset id, ``dataset/series``, a series id, the path or URL of a store or of a series' ``.zarr``, a `Store`, a `SeriesRef`, or a
    DataArray that `open_` gave. Raises `NotFoundError` naming the datasets there are, `IntegrityError` for a store not to be trusted.
    """
    if isinstance(what, Store | SeriesRef):
        return what
    if not isinstance(what, str | Path):
        known = what.attrs.get("cohortlab")
        if not isinstance(known, dict) or "dataset" not in known or "series" not in known:
            raise InvalidInputError("This array does not come from a dataset.", hint="Open it with cl.open, and keep its attrs.")
        what = f"{known['dataset']}/{known['series']}"
        if "location" in known:
            return Store.open(str(known["location"]), session_keys())[str(known["series"])]
    if isinstance(what, str) and "://" in what:
        store, series = store_of(what, session_keys())
        return series or store
    if isinstance(what, Path) or what.endswith(".zarr") or what.startswith(("/", "./", "../", "~")) or (Path(what) / MANIFEST).is_file():
        store, series = store_of(Path(what).expanduser(), session_keys())
        return series or store
    return _by_name(what)


def _by_name(name: str) -> Store | SeriesRef:
    mounted = datasets()
    dataset, _, series = name.partition("/")
    for store in sorted(mounted, key=lambda s: [int(n) for n in s.version.partition("-")[0].split(".")], reverse=True):
        if store.id == dataset:
            return store[series] if series else store
        if not series and any(ref.id == dataset for ref in [*store, *store.segmentations]):
            return store[dataset]
    for place, why in mounted.problems:
        if place.split("/")[0] == dataset:
            raise IntegrityError(f"Dataset {dataset} is mounted but not to be trusted.", hint=why)
    available = f"There are: {', '.join(mounted.ids)}." if mounted else _EMPTY_HINT
    raise NotFoundError(f"There is no dataset or series {name!r} here.", hint=available)


def open_(what: str | Path | Store | SeriesRef, level: int = 0, chunks: object = None) -> "Store | xr.DataArray":
    """Open a dataset or a series: ``cl.open``.

    A dataset (its id, path or URL) gives a `Store`, a sequence of series. A series (``dataset/series``, its id, the path or URL of its
    ``.zarr``, or a `SeriesRef`) gives an `xarray.DataArray` over z, y, x with coordinates in mm and ``attrs["affine"]``. A URL begins
    with ``https://`` or ``s3://``; credentials are taken from the environment (``AWS_ACCESS_KEY_ID`` …). `chunks`: None reads with
    NumPy when pixels are used; "shard" or "auto" makes a Dask array of shards. Raises `NotFoundError` with the names there are,
    `IntegrityError` when a signature does not verify, `UnavailableError` when a server does not answer.
    """
    found = find(what)
    return found if isinstance(found, Store) else found.open(level, chunks)
