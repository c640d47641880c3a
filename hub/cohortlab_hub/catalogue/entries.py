"""The datasets of workbench.yaml with what their manifests say; one that does not verify is kept apart, with the reason.

What a dataset may be used for is what its manifest says (``duo``, and diseases as the property ``diseases`` of ``dcat``, a list of
codes) together with `use` of workbench.yaml, which can only add restrictions.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from cohortlab.errors import CohortlabError
from cohortlab.store import read_manifest
from cohortlab.store.contracts import AccessCondition, Manifest
from cohortlab_hub.access.grants import grants_of
from cohortlab_hub.access.purposes import Diseases, Use
from cohortlab_hub.access.rules import Grant, Person, Terms, with_samples
from cohortlab_hub.settings import Dataset, Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset. `store` is None where the data stays at `sites`. `problem` says why it is not served; empty: it is.

    `counts`: series by kind and modality, such as ``image CT``. `sample`: the synthetic dataset that stands for a remote one.
    """

    id: str
    title: str
    description: str
    condition: AccessCondition
    version: str | None = None
    use: Use = field(default_factory=Use)
    diseases: Diseases = field(default_factory=Diseases)
    series: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    store: Path | None = None
    sites: tuple[str, ...] = ()
    sample: str | None = None
    problem: str = ""

    @property
    def purposes(self) -> frozenset[str]:
        """Its DUO codes."""
        return self.use.codes

    @property
    def terms(self) -> Terms:
        """What the dataset demands, as the rules read it."""
        return Terms(self.id, self.condition, self.use, self.diseases)


class Catalogue:
    """The entries of `settings`. A manifest is read and its signature checked again only when its file has changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trusted = settings.trusted
        self._read: dict[str, tuple[tuple[tuple[int, int, int], ...], tuple[Manifest, ...], str]] = {}

    def entries(self) -> list[Entry]:
        """All datasets, by id."""
        return [self._entry(name, dataset) for name, dataset in sorted(self._settings.datasets.items())]

    def served(self) -> list[Entry]:
        """Those that may be used: remote ones, and mounted ones whose manifest verifies."""
        return [entry for entry in self.entries() if not entry.problem]

    @property
    def samples(self) -> dict[str, str]:
        """Remote dataset -> the synthetic dataset that stands for it, where that is one."""
        return {entry.id: entry.sample for entry in self.served() if entry.sample is not None}

    def grants(self, database: Session, person: Person) -> list[Grant]:
        """All grants that concern `person`, with those on samples that follow from them."""
        return with_samples(grants_of(database, person), self.samples)

    def manifest(self, name: str) -> Manifest | None:
        """The verified manifest of a dataset whose store is here, else None."""
        self.entries()
        known = self._read.get(name)
        return known[1][0] if known is not None and known[1] else None

    def _entry(self, name: str, dataset: Dataset) -> Entry:
        folders = [dataset.store] if dataset.store is not None else dataset.manifests
        marks = tuple(_mark(folder) for folder in folders)
        known = self._read.get(name)
        if known is None or known[0] != marks:
            known = self._read[name] = (marks, *self._verified(name, folders))
        _, manifests, problem = known
        if dataset.store is not None and not problem:
            return self._mounted(name, dataset, dataset.store, manifests[0])
        remote = AccessCondition.REMOTE_PROCESSING
        title, use = dataset.title or name, self._use(dataset, manifests)
        if dataset.store is not None:
            return Entry(name, title, dataset.description, remote, use=use, store=dataset.store, problem=problem)
        counts = _counts(manifests)
        return Entry(
            id=name,
            title=title,
            description=dataset.description,
            condition=remote,
            version=next((manifest.version for manifest in manifests), None),
            use=use,
            diseases=self._settings.diseases,
            series=sum(counts.values()) if manifests else None,
            counts=counts,
            sites=tuple(dataset.sites),
            sample=self._sample(dataset),
            problem=problem,
        )

    def _mounted(self, name: str, dataset: Dataset, store: Path, manifest: Manifest) -> Entry:
        return Entry(
            id=name,
            title=dataset.title or manifest.title,
            description=dataset.description or manifest.description,
            condition=manifest.access_condition,
            version=manifest.version,
            use=self._use(dataset, (manifest,)),
            diseases=self._settings.diseases,
            series=len(manifest.series),
            counts=_counts((manifest,)),
            store=store,
            sample=self._sample(dataset) if manifest.access_condition == AccessCondition.REMOTE_PROCESSING else None,
        )

    def _verified(self, name: str, folders: Sequence[Path]) -> tuple[tuple[Manifest, ...], str]:
        """The manifests in `folders`, or why one of them does not count."""
        found: list[Manifest] = []
        for folder in folders:
            try:
                manifest = read_manifest(folder, self._trusted)
            except CohortlabError as error:
                return (), error.message
            if manifest.id != name:
                return (), f"The store is of the dataset {manifest.id}."
            found.append(manifest)
        return tuple(found), ""

    def _use(self, dataset: Dataset, manifests: Sequence[Manifest]) -> Use:
        """What it may be used for: what each manifest and workbench.yaml say, together."""
        said = [dataset.use.use, *(Use(frozenset(manifest.duo), _diseases(manifest)) for manifest in manifests)]
        named = [use.diseases for use in said if use.diseases]
        return Use(frozenset().union(*(use.codes for use in said)), frozenset.intersection(*named) if named else frozenset())

    def _sample(self, dataset: Dataset) -> str | None:
        """The sample's id, when its manifest says that it is synthetic: real data is never given as a sample."""
        if dataset.sample is None:
            return None
        self._entry(dataset.sample, self._settings.datasets[dataset.sample])
        manifest = next(iter(self._read[dataset.sample][1]), None)
        return dataset.sample if manifest is not None and manifest.synthetic else None


def _mark(folder: Path) -> tuple[int, int, int]:
    try:
        stat = (folder / "dataset.json").stat()
    except OSError:
        return (0, 0, 0)
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _diseases(manifest: Manifest) -> frozenset[str]:
    said = manifest.dcat.get("diseases")
    return frozenset(code for code in said if isinstance(code, str)) if isinstance(said, list) else frozenset()


def _counts(manifests: Iterable[Manifest]) -> dict[str, int]:
    counted = Counter(f"{series.kind} {series.modality}" for manifest in manifests for series in manifest.series)
    return dict(sorted(counted.items()))
