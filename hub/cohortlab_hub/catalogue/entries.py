"""The datasets of workbench.yaml with what their manifests say; one that does not verify is kept apart, with the reason."""

from dataclasses import dataclass
from pathlib import Path

from cohortlab.errors import CohortlabError
from cohortlab.store import read_manifest
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access.rules import Terms
from cohortlab_hub.settings import Dataset, Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset. `store` is None where the data stays at `sites`. `problem` says why it is not served; empty: it is."""

    id: str
    title: str
    description: str
    condition: AccessCondition
    version: str | None = None
    purposes: frozenset[str] = frozenset()
    series: int | None = None
    store: Path | None = None
    sites: tuple[str, ...] = ()
    problem: str = ""

    @property
    def terms(self) -> Terms:
        """What the dataset demands, as the rules read it."""
        return Terms(self.id, self.condition)


class Catalogue:
    """The entries of `settings`. A manifest is read and its signature checked again only when its file has changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trusted = settings.trusted
        self._read: dict[str, tuple[tuple[int, int, int], Entry]] = {}

    def entries(self) -> list[Entry]:
        """All datasets, by id."""
        return [self._entry(name, dataset) for name, dataset in sorted(self._settings.datasets.items())]

    def served(self) -> list[Entry]:
        """Those that may be used: remote ones, and mounted ones whose manifest verifies."""
        return [entry for entry in self.entries() if not entry.problem]

    def _entry(self, name: str, dataset: Dataset) -> Entry:
        if dataset.store is None:
            remote = AccessCondition.REMOTE_PROCESSING
            return Entry(name, dataset.title or name, dataset.description, remote, sites=tuple(dataset.sites))
        try:
            stat = (dataset.store / "dataset.json").stat()
            mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError:
            mark = (0, 0, 0)
        known = self._read.get(name)
        if known is None or known[0] != mark:
            known = self._read[name] = (mark, self._verified(name, dataset, dataset.store))
        return known[1]

    def _verified(self, name: str, dataset: Dataset, store: Path) -> Entry:
        try:
            manifest = read_manifest(store, self._trusted)
        except CohortlabError as error:
            title, condition = dataset.title or name, AccessCondition.REMOTE_PROCESSING
            return Entry(name, title, dataset.description, condition, store=store, problem=error.message)
        problem = "" if manifest.id == name else f"The store is of the dataset {manifest.id}."
        return Entry(
            id=name,
            title=dataset.title or manifest.title,
            description=dataset.description or manifest.description,
            condition=manifest.access_condition,
            version=manifest.version,
            purposes=frozenset(manifest.duo),
            series=len(manifest.series),
            store=store,
            problem=problem,
        )
