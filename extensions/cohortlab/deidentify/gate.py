r"""The gate: from DICOM files to a dataset version. It is the only program that writes a store.

    find files -> check their structure -> sort into series -> triage -> de-identify -> verify -> look for writing -> store, sign
                                                          \-> refuse: a reason, tag names, quarantine

Every object passes the profile, also one that was de-identified before: what is not on the allow-list never gets in, and identifiers are
those of this dataset. Without `deidentify`, an object must say by PS3.15 codes that it was de-identified; else it is refused. One object
that is refused takes its whole series with it, for a series with a hole is another series. Other series go on.

Series are worked on in processes, a few at a time; a series is held as its headers, its pixels are read when they are looked at and when
they are stored. Quarantine, report and signature stay with the process that began.
"""

import hmac
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Final

from pydantic import JsonValue
from pydicom.dataset import Dataset

from cohortlab.deidentify import files, triage, verifier, writing
from cohortlab.deidentify.files import BrokenFileError
from cohortlab.deidentify.profile import METHOD, PROFILE, Profile
from cohortlab.deidentify.pseudonyms import Pseudonyms, load_secret
from cohortlab.deidentify.quarantine import Quarantine
from cohortlab.deidentify.report import Finding, Options, Outcome, Reason, Report, no_progress
from cohortlab.deidentify.rules import BASIC
from cohortlab.errors import InvalidInputError, RefusedError
from cohortlab.keys import load_key
from cohortlab.store.contracts import AccessCondition, AccessRight, ManifestFields, SeriesAttributes, check_dataset_id, check_version
from cohortlab.store.deferred import release
from cohortlab.store.frames import HiddenBitsError
from cohortlab.store.plan import plan
from cohortlab.store.series import DuplicateInstanceError, SeriesGroup, group, series_id
from cohortlab.store.workers import Line, cores, each
from cohortlab.store.write import PartWriter, StoreWriter

GATE: Final = "cohortlab-gate/2"
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.481.3"})
_WORTH_A_PROCESS: Final = 1 << 26  # bytes of source for which a process is started: it takes a second or two


@dataclass
class _Series:
    """The files of one series of the source, before anything is decided."""

    uid: str
    modality: str
    files: list[Path] = field(default_factory=list)
    broken: list[tuple[Path, Reason]] = field(default_factory=list)
    identity: set[tuple[str, str, str]] = field(default_factory=set)
    segmentation: bool = False
    size: int = 0


@dataclass(frozen=True)
class _Piece:
    """What a worker gets: a series, and how to decide on it. `sample`: the secret that picks the frames to be read for text."""

    item: _Series
    profile: Profile
    options: Options
    sample: bytes


@dataclass
class _Done:
    """What a worker gives back: outcomes with the files to quarantine, and the series that were written, or in a dry run would be."""

    outcomes: list[tuple[Outcome, list[Path]]] = field(default_factory=list)
    series: list[SeriesAttributes] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    pixels: set[str] = field(default_factory=set)
    by_person: set[str] = field(default_factory=set)
    recognisable: bool = False


@dataclass
class _Clean:
    """A series after profile and verifier: either data sets to store, or findings."""

    data_sets: list[Dataset]
    findings: list[Finding]
    removed: int
    recognisable: bool
    codes: tuple[str, ...]
    coded_before: bool
    pixels: str = ""
    labels: tuple[Path, ...] = ()
    """Files that are pictures of a slide's label: they stay outside, the slide may come in."""


def ingest(sources: Sequence[Path], dataset: str, store_root: Path, options: Options) -> Report:
    """Bring DICOM `sources` (files, folders) into a new version of `dataset` under `store_root`, and say what became of each series.

    Raises `NotFoundError` for a source or key that is not there, `InvalidInputError` when there is no DICOM at all or an id is none,
    `RefusedError` when the version exists or, with `strict`, something was refused, `StorageError` for a disk that is full.
    Nothing is left behind unless a version was written.
    """
    started = time.monotonic()
    check_dataset_id(dataset)
    check_version(options.version)
    if options.access_rights is AccessRight.PUBLIC and options.access is not AccessCondition.DOWNLOAD:
        raise InvalidInputError("What is public may be downloaded by anybody.", hint="Give --access DOWNLOAD too, or other access rights.")
    key = load_key(options.key)
    place = store_root / dataset / options.version
    if place.exists():
        raise RefusedError(f"Version {options.version} of {dataset} exists already.", hint="Versions never change: give another --version.")
    secret = load_secret(options.key, create=not options.dry_run)
    profile = Profile(Pseudonyms(secret, dataset))
    with files.quiet():
        paths = files.find(sources, options.max_files)
        series, outcomes, skipped = _sort(paths, options)
        quarantine = Quarantine(options.quarantine, dataset, options.version) if options.quarantine and not options.dry_run else None
        sample = hmac.digest(secret, b"cohortlab sample of frames 1", "sha256")
        with ExitStack() as stack:
            run = _Run(options, quarantine, lambda: stack.enter_context(StoreWriter(store_root, dataset, options.version)))
            for outcome in outcomes:
                run.refuse(outcome, [outcome.place])
            run.all(profile, sample, series)
            writer = run.writer
            if quarantine:
                quarantine.close(run.outcomes)
            report = Report(
                dataset=dataset, version=options.version, dry_run=options.dry_run, outcomes=tuple(run.outcomes),
                files_seen=len(paths), files_skipped=skipped, seconds=time.monotonic() - started,
            )  # fmt: skip
            if writer is None or not report.accepted or (options.strict and report.refused):
                return report
            manifest = writer.finish(_fields(dataset, options, run), key)
    return report.model_copy(update={"path": place, "manifest": manifest, "seconds": time.monotonic() - started})


class _Run:
    """One ingest under way, in the process that began it."""

    def __init__(self, options: Options, quarantine: Quarantine | None, open_store: Callable[[], StoreWriter]) -> None:
        self._options, self._quarantine, self._open_store = options, quarantine, open_store
        self.outcomes: list[Outcome] = []
        self.codes: set[str] = set()
        self.recognisable = False
        self.pixels: set[str] = set()
        self.by_person: set[str] = set()
        self.writer: StoreWriter | None = None
        self._processes, self._files, self._seen = 1, 0, dict[str, int]()
        self._planned: list[SeriesAttributes] = []

    def all(self, profile: Profile, sample: bytes, series: Sequence[_Series]) -> None:
        """Decide on all series and store what may go in: images first, then what refers to them."""
        self._files = sum(len(item.files) for item in series)
        options = replace(self._options, progress=no_progress)
        for segmentations in (False, True):
            chosen = sorted((s for s in series if s.segmentation == segmentations), key=lambda s: s.uid)
            self._processes = max(1, min(self._options.workers, len(chosen), sum(s.size for s in chosen) // _WORTH_A_PROCESS))
            pieces = [_Piece(item, profile, options, sample) for item in chosen]
            for done in each(_work, pieces, processes=self._processes, answer=self._answer, hear=self._hear):
                self._take(done)

    def _answer(self, question: str) -> object:
        """What a worker asks for: where to write, the images that are written. The store is opened for the first series that may go in."""
        if question == "images":
            return [s for s in (self._planned if self.writer is None else self.writer.series) if s.kind == "image"]
        if self.writer is None:
            self.writer = self._open_store()
        return self.writer.part(max(1, cores() // self._processes))

    def _hear(self, what: str) -> None:
        """One more file was looked at, one more image stored."""
        count = self._seen[what] = self._seen.get(what, 0) + 1
        self._options.progress(what, count, max(count, self._files))

    def _take(self, done: _Done) -> None:
        for outcome, sources in done.outcomes:
            if outcome.accepted:
                self.outcomes.append(outcome)
            else:
                self.refuse(outcome, sources)
        if self.writer is None:
            self._planned += done.series
        else:
            for attributes in done.series:
                self.writer.accept(attributes)
        self.codes |= done.codes
        self.pixels |= done.pixels
        self.by_person |= done.by_person
        self.recognisable |= done.recognisable

    def refuse(self, outcome: Outcome, sources: Iterable[Path]) -> None:
        """Note a refusal, and quarantine its files."""
        if self._quarantine:
            outcome = outcome.model_copy(update={"quarantine": self._quarantine.take(outcome, sources)})
        self.outcomes.append(outcome)


def _work(piece: _Piece, line: Line) -> _Done:
    """Decide on one series, and store it; in a worker process, or in the one that began."""
    decision = _Decision(piece, line)
    try:
        with files.quiet():
            decision.series(piece.item)
    finally:
        release()
    return decision.done


class _Decision:
    """On one series."""

    def __init__(self, piece: _Piece, line: Line) -> None:
        self._profile, self._options, self._sample, self._line = piece.profile, piece.options, piece.sample, line
        self.done = _Done()

    def series(self, item: _Series) -> None:
        """Decide on the series and, but in a dry run, store it."""
        place = item.files[0].parent if item.files else item.broken[0][0].parent
        name = series_id(item.modality or "ot", self._profile.series_uid(item.uid))
        kind = "segmentation" if item.segmentation else "image"
        refused = Outcome(
            name=name, accepted=False, modality=item.modality, kind=kind, files=len(item.files) + len(item.broken), place=place
        )
        sources = [*item.files, *(path for path, _ in item.broken)]
        findings = [Finding(reason=r, instances=sum(1 for _, x in item.broken if x is r)) for r in dict.fromkeys(r for _, r in item.broken)]
        if len(item.identity) > 1:
            findings.append(Finding(reason=Reason.MIXED, tags=("PatientID", "StudyInstanceUID", "Modality")))
        if findings:
            if item.files and item.broken:
                findings.append(Finding(reason=Reason.INCOMPLETE, instances=len(item.files)))
            self._refuse(refused.model_copy(update={"findings": tuple(findings)}), sources)
            return
        clean = self._looked_at(self._clean(item))
        if clean.findings:
            self._refuse(refused.model_copy(update={"findings": tuple(clean.findings)}), sources)
            return
        if clean.labels:
            label = Finding(reason=Reason.LABEL_IMAGE, tags=("ImageType",), instances=len(clean.labels))
            self._refuse(refused.model_copy(update={"files": len(clean.labels), "findings": (label,)}), clean.labels)
        self._store(clean, refused, [path for path in sources if path not in clean.labels])

    def _clean(self, item: _Series) -> _Clean:
        """Triage, de-identify and verify each object; after the first refused one the rest is only triaged, to report them together."""
        found: list[Finding] = []
        kept: list[Dataset] = []
        removed: set[str] = set()
        recognisable = coded_before = False
        labels: list[Path] = []
        for path in item.files:
            self._line.tell("de-identifying and verifying")
            try:
                source = files.read(path)
                if triage.shows_label(source):
                    labels.append(path)
                    continue
                claims = _claims(source)
                new = [
                    *_storable(source),
                    *_entitled(source, claims, deidentify=self._options.deidentify),
                    *triage.burned_in(source),
                ]
                if not new and not found:
                    made, gone = self._profile.apply(source, claims=claims)
                    if face := triage.recognisable(source, claims):
                        made.RecognizableVisualFeatures = "YES"
                    new = verifier.verify(made, verifier.names_in(source))
                    kept.append(made)
                    removed |= gone.tags.keys()
                    recognisable |= face
                    coded_before = BASIC in claims
            except BrokenFileError as error:
                new = [Finding(reason=error.reason)]
            except (*files.READ_ERRORS, InvalidInputError):
                new = [Finding(reason=Reason.UNREADABLE)]
            except OSError as error:
                if not files.is_of_content(error):
                    raise
                new = [Finding(reason=Reason.UNREADABLE)]
            found += new
        codes = tuple(str(code.CodeValue) for code in kept[-1].DeidentificationMethodCodeSequence) if kept else ()
        if labels and (found or not kept):
            found.append(Finding(reason=Reason.LABEL_IMAGE, tags=("ImageType",), instances=len(labels)))
        return _Clean([] if found else kept, list(_merge(found)), len(removed), recognisable, codes, coded_before, labels=tuple(labels))

    def _looked_at(self, clean: _Clean) -> _Clean:
        """Look for writing on the pixels of a series that is fine otherwise. What was blanked is verified again."""
        if clean.findings:
            return clean
        self._line.tell("looking at pixels")
        pixels = writing.look(clean.data_sets, self._options, self._sample)
        found = [*pixels.findings]
        codes = clean.codes
        if pixels.how == writing.BLANKED:
            found += _merge(finding for data_set in pixels.data_sets for finding in verifier.verify(data_set))
            codes = tuple(str(code.CodeValue) for code in pixels.data_sets[0].DeidentificationMethodCodeSequence)
        return replace(clean, data_sets=pixels.data_sets, findings=found, pixels=pixels.how, codes=codes)

    def _store(self, clean: _Clean, refused: Outcome, sources: list[Path]) -> None:
        """Give the verified objects of a series to the store; what it cannot hold is refused."""
        try:
            groups = group(clean.data_sets)
        except InvalidInputError as error:
            reason = Reason.DUPLICATE if isinstance(error, DuplicateInstanceError) else Reason.NOT_STORABLE
            self._refuse(refused.model_copy(update={"findings": (_not_storable(error, reason),)}), sources)
            return
        record = self._record(clean)
        writer = None if self._options.dry_run else self._writer(groups)
        images = self._line.ask("images") if writer is None and any(found.kind == "segmentation" for found in groups) else []
        for found in groups:
            outcome = refused.model_copy(
                update={"name": found.id, "accepted": True, "kind": found.kind, "modality": found.modality, "files": len(found.datasets),
                        "recognisable": clean.recognisable, "removed": clean.removed}
            )  # fmt: skip
            try:
                attributes = _write(writer, found, record) if writer else plan(found, images, record)
            except InvalidInputError as error:
                reason = Reason.REFERENCE_MISSING if found.kind == "segmentation" else Reason.NOT_STORABLE
                reason = Reason.HIDDEN_BITS if isinstance(error, HiddenBitsError) else reason
                self._refuse(outcome.model_copy(update={"accepted": False, "findings": (_not_storable(error, reason),)}), sources)
                continue
            self.done.outcomes.append((outcome.model_copy(update=_shape(attributes, found)), []))
            self.done.series.append(attributes)
            self.done.codes.update(clean.codes)
            self.done.recognisable |= clean.recognisable
            self.done.pixels.add(clean.pixels)
            if clean.pixels == writing.PERSON:
                self.done.by_person.add(found.modality)

    def _writer(self, groups: Sequence[SeriesGroup]) -> PartWriter:
        """Where the series goes, which knows the images that its segmentations need."""
        writer: PartWriter = self._line.ask("writer")
        if any(found.kind == "segmentation" for found in groups):
            writer.series = self._line.ask("images")
        return writer.heard(lambda: self._line.tell("storing"))

    def _record(self, clean: _Clean) -> dict[str, JsonValue]:
        """What the store keeps about the de-identification of a series."""
        return {
            "method": METHOD,
            "profile": PROFILE,
            "verifier": verifier.VERIFIER,
            "codes": list(clean.codes),
            "source": "de-identified before, and again here" if clean.coded_before else "identified; de-identified here",
            "pixels": clean.pixels,
            "recognisable": clean.recognisable,
        }

    def _refuse(self, outcome: Outcome, sources: Iterable[Path]) -> None:
        self.done.outcomes.append((outcome, [*sources]))


def _sort(paths: list[Path], options: Options) -> tuple[list[_Series], list[Outcome], int]:
    """Check each file's structure and sort it into its series. Also: outcomes of broken files that tell no series, files that are no DICOM.

    Raises `InvalidInputError` when no file is DICOM.
    """
    series: dict[str, _Series] = {}
    lost: list[Outcome] = []
    skipped = 0
    for number, path in enumerate(paths, 1):
        options.progress("reading headers", number, len(paths))
        if not files.is_dicom(path):
            skipped += 1
            continue
        reason = None
        try:
            header = files.check(path, options.max_file_bytes)
        except BrokenFileError as error:
            reason = error.reason
            header = _header(path) if reason not in {Reason.TOO_LARGE, Reason.MEDIA_DIRECTORY} else {}
        uid = header.get("SeriesInstanceUID")
        if not uid:
            lost.append(Outcome(name="file", accepted=False, files=1, place=path, findings=(Finding(reason=reason or Reason.UNREADABLE),)))
            continue
        item = series.setdefault(uid, _Series(uid, header.get("Modality", "")[:16]))
        if reason is not None:
            item.broken.append((path, reason))
            continue
        item.files.append(path)
        item.size += path.stat().st_size
        item.identity.add((header.get("PatientID", ""), header.get("StudyInstanceUID", ""), header.get("Modality", "")))
        item.segmentation |= header.get("SOPClassUID") in _SEGMENTATIONS
    if skipped == len(paths):
        raise InvalidInputError(
            "There is no DICOM file in what was given.", hint="Give DICOM files, or folders that hold them at any depth."
        )
    return list(series.values()), lost, skipped


def _header(path: Path) -> dict[str, str]:
    """What sorts a broken file into its series, as far as the library can still read it."""
    keywords = tuple(files.SORTED_BY.values())
    try:
        header = files.read(path, keywords)
        values = {keyword: header.get(keyword) for keyword in keywords}  # values are converted when they are asked for
    except (BrokenFileError, *files.READ_ERRORS):
        return {}
    except OSError as error:
        if not files.is_of_content(error):
            raise
        return {}
    return {keyword: value.strip() for keyword, value in values.items() if isinstance(value, str)}


def _claims(source: Dataset) -> frozenset[str]:
    """The PS3.15 codes that the source carries, if it says that its identity was removed."""
    if source.get("PatientIdentityRemoved") != "YES":
        return frozenset()
    items = source.get("DeidentificationMethodCodeSequence") or []
    return frozenset(_text(item, _CODE_VALUE) for item in items if _text(item, _CODING_SCHEME) == "DCM")


_CODE_VALUE: Final = 0x00080100
_CODING_SCHEME: Final = 0x00080102


def _text(item: Dataset, tag: int) -> str:
    """The text of an element as it stands in the file: to have pydicom convert it would take longer than all else about a claim."""
    element = item.get_item(tag)
    value = None if element is None else element.value
    return value.decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else str(value or "")


def _entitled(source: Dataset, claims: frozenset[str], *, deidentify: bool) -> list[Finding]:
    """Nothing comes in that neither says how it was de-identified nor may be de-identified here."""
    if deidentify or BASIC in claims:
        return []
    if source.get("PatientIdentityRemoved") == "YES":
        return [Finding(reason=Reason.CODES_MISSING, tags=("DeidentificationMethodCodeSequence",))]
    return [Finding(reason=Reason.NOT_DEIDENTIFIED, tags=("PatientIdentityRemoved",))]


def _storable(source: Dataset) -> list[Finding]:
    """Kinds of objects that no store holds are named as such, before anything else is said about them."""
    return (
        [] if str(source.get("SOPClassUID", "")).strip() in verifier.STORABLE else [Finding(reason=Reason.SOP_CLASS, tags=("SOPClassUID",))]
    )


def _merge(findings: Iterable[Finding]) -> Iterator[Finding]:
    """One finding for each reason, with all its tags and the number of instances."""
    by_reason: dict[Reason, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_reason[finding.reason].append(finding)
    for reason, same in by_reason.items():
        tags = sorted({tag for finding in same for tag in finding.tags})
        yield Finding(reason=reason, tags=tuple(tags), instances=sum(f.instances for f in same))


def _write(writer: StoreWriter, found: SeriesGroup, record: dict[str, JsonValue]) -> SeriesAttributes:
    return writer.add_segmentation(found, record) if found.kind == "segmentation" else writer.add_series(found, record)


def _not_storable(error: InvalidInputError, reason: Reason = Reason.NOT_STORABLE) -> Finding:
    return Finding(reason=reason, detail=error.message)


def _shape(attributes: SeriesAttributes, found: SeriesGroup) -> dict[str, object]:
    """What the report tells about an accepted series: its shape, and why it is no volume where it is none."""
    layout = found.layout
    notes = () if layout is None or layout.regular or layout.explanation is None else (layout.explanation,)
    return {"regular": attributes.regular, "notes": notes, "shape": attributes.shape}


def _fields(dataset: str, options: Options, run: _Run) -> ManifestFields:
    return ManifestFields(
        title=options.title or dataset,
        description=options.description,
        publisher=options.publisher,
        licence=options.licence,
        source=options.source,
        keywords=options.keywords,
        access_condition=options.access,
        duo=options.duo,
        dcat={} if options.access_rights is None else {"accessRights": options.access_rights.uri},
        synthetic=options.synthetic,
        gate=GATE,
        verdict="accepted",
        deidentification={
            "method": METHOD,
            "profile": PROFILE,
            "verifier": verifier.VERIFIER,
            "tools": {name: distribution_version(name) for name in ("numpy", "pydicom", "zarr")},
            "codes": [*sorted(run.codes)],
            "recognisable": run.recognisable,
            "pixels": [*sorted(run.pixels)],
            "looked_at_by_a_person": [*sorted(run.by_person)],
            "refused_series": sum(1 for o in run.outcomes if not o.accepted),
        },
    )
