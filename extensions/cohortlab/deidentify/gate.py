r"""The gate: from DICOM files to a dataset version. It is the only program that writes a store.

    find files -> check their structure -> sort into series -> triage -> de-identify -> verify -> look for writing -> store, sign
                                                          \-> refuse: a reason, tag names, quarantine

Every object passes the profile, also one that was de-identified before: what is not on the allow-list never gets in, and identifiers are
those of this dataset. Without `deidentify`, an object must say by PS3.15 codes that it was de-identified; else it is refused. One object
that is refused takes its whole series with it, for a series with a hole is another series. Other series go on.
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
from cohortlab.deidentify.report import Finding, Options, Outcome, Reason, Report
from cohortlab.deidentify.rules import BASIC
from cohortlab.errors import InvalidInputError, RefusedError
from cohortlab.keys import load_key
from cohortlab.store.contracts import ManifestFields, SeriesAttributes, check_dataset_id, check_version
from cohortlab.store.series import SeriesGroup, group, series_id
from cohortlab.store.write import StoreWriter

GATE: Final = "cohortlab-gate/1"
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.481.3"})
_SORTED_BY: Final = ("SOPClassUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")


@dataclass
class _Series:
    """The files of one series of the source, before anything is decided."""

    uid: str
    modality: str
    files: list[Path] = field(default_factory=list)
    broken: list[tuple[Path, Reason]] = field(default_factory=list)
    identity: set[tuple[str, str, str]] = field(default_factory=set)
    segmentation: bool = False


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


def ingest(sources: Sequence[Path], dataset: str, store_root: Path, options: Options) -> Report:
    """Bring DICOM `sources` (files, folders) into a new version of `dataset` under `store_root`, and say what became of each series.

    Raises `NotFoundError` for a source or key that is not there, `InvalidInputError` when there is no DICOM at all or an id is none,
    `RefusedError` when the version exists or, with `strict`, something was refused, `StorageError` for a disk that is full.
    Nothing is left behind unless a version was written.
    """
    started = time.monotonic()
    check_dataset_id(dataset)
    check_version(options.version)
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
        run = _Run(profile, options, quarantine, outcomes)
        run.key = hmac.digest(secret, b"cohortlab sample of frames 1", "sha256")
        with ExitStack() as stack:

            def open_store() -> StoreWriter:
                return stack.enter_context(StoreWriter(store_root, dataset, options.version, on_slice=run.stored))

            for item in sorted(series, key=lambda s: (s.segmentation, s.uid)):
                run.series(item, None if options.dry_run else open_store)
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
    """One ingest under way."""

    def __init__(self, profile: Profile, options: Options, quarantine: Quarantine | None, outcomes: list[Outcome]) -> None:
        self._profile, self._options, self._quarantine = profile, options, quarantine
        self.outcomes: list[Outcome] = []
        self.codes: set[str] = set()
        self.recognisable = False
        self.key = b""
        self.pixels: set[str] = set()
        self.by_person: set[str] = set()
        self.writer: StoreWriter | None = None
        self._slices = self._slices_all = 0
        for outcome in outcomes:
            self._refuse(outcome, [outcome.place])

    def stored(self) -> None:
        """Called by the store's writer after each image."""
        self._slices += 1
        self._options.progress("storing", self._slices, max(self._slices, self._slices_all))

    def series(self, item: _Series, open_store: Callable[[], StoreWriter] | None) -> None:
        """Decide on one series and store it. The store is opened for the first one that may go in; None in a dry run."""
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
        self._store(clean, refused, sources, open_store)

    def _clean(self, item: _Series) -> _Clean:
        """Triage, de-identify and verify each object; after the first refused one the rest is only triaged, to report them together."""
        found: list[Finding] = []
        kept: list[Dataset] = []
        removed: set[str] = set()
        recognisable = coded_before = False
        codes: tuple[str, ...] = ()
        for number, path in enumerate(item.files, 1):
            self._options.progress("de-identifying and verifying", number, len(item.files))
            try:
                source = files.read(path)
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
                    codes = tuple(str(code.CodeValue) for code in made.DeidentificationMethodCodeSequence)
            except BrokenFileError as error:
                new = [Finding(reason=error.reason)]
            except (*files.READ_ERRORS, InvalidInputError):
                new = [Finding(reason=Reason.UNREADABLE)]
            except OSError as error:
                if not files.is_of_content(error):
                    raise
                new = [Finding(reason=Reason.UNREADABLE)]
            found += new
        return _Clean([] if found else kept, list(_merge(found)), len(removed), recognisable, codes, coded_before)

    def _looked_at(self, clean: _Clean) -> _Clean:
        """Look for writing on the pixels of a series that is fine otherwise. What was blanked is verified again."""
        if clean.findings:
            return clean
        self._options.progress("looking at pixels", 1, 1)
        pixels = writing.look(clean.data_sets, self._options, self.key)
        found = [*pixels.findings]
        codes = clean.codes
        if pixels.how == writing.BLANKED:
            found += _merge(finding for data_set in pixels.data_sets for finding in verifier.verify(data_set))
            codes = tuple(str(code.CodeValue) for code in pixels.data_sets[0].DeidentificationMethodCodeSequence)
        return replace(clean, data_sets=pixels.data_sets, findings=found, pixels=pixels.how, codes=codes)

    def _store(self, clean: _Clean, refused: Outcome, sources: list[Path], open_store: Callable[[], StoreWriter] | None) -> None:
        """Give the verified objects of a series to the store; what it cannot hold is refused."""
        try:
            groups = group(clean.data_sets)
        except InvalidInputError as error:
            self._refuse(refused.model_copy(update={"findings": (_not_storable(error),)}), sources)
            return
        record = self._record(clean)
        if self.writer is None and open_store is not None:
            self.writer = open_store()
        self._slices_all += sum(len(g.datasets) for g in groups)
        for found in groups:
            outcome = refused.model_copy(
                update={"name": found.id, "accepted": True, "kind": found.kind, "modality": found.modality, "files": len(found.datasets),
                        "recognisable": clean.recognisable, "removed": clean.removed}
            )  # fmt: skip
            try:
                attributes = _write(self.writer, found, record) if self.writer else None
            except InvalidInputError as error:
                reason = Reason.REFERENCE_MISSING if found.kind == "segmentation" else Reason.NOT_STORABLE
                self._refuse(outcome.model_copy(update={"accepted": False, "findings": (_not_storable(error, reason),)}), sources)
                continue
            self.outcomes.append(outcome.model_copy(update=_shape(attributes, found)))
            self.codes.update(clean.codes)
            self.recognisable |= clean.recognisable
            self.pixels.add(clean.pixels)
            if clean.pixels == writing.PERSON:
                self.by_person.add(found.modality)

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
        if self._quarantine:
            outcome = outcome.model_copy(update={"quarantine": self._quarantine.take(outcome, sources)})
        self.outcomes.append(outcome)


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
            files.check(path, options.max_file_bytes)
        except BrokenFileError as error:
            reason = error.reason
        header = _header(path) if reason not in {Reason.TOO_LARGE, Reason.MEDIA_DIRECTORY} else None
        uid = _text(header, "SeriesInstanceUID")
        if header is None or not uid:
            lost.append(Outcome(name="file", accepted=False, files=1, place=path, findings=(Finding(reason=reason or Reason.UNREADABLE),)))
            continue
        item = series.setdefault(uid, _Series(uid, _text(header, "Modality")[:16]))
        if reason is not None:
            item.broken.append((path, reason))
            continue
        item.files.append(path)
        item.identity.add((_text(header, "PatientID"), _text(header, "StudyInstanceUID"), _text(header, "Modality")))
        item.segmentation |= _text(header, "SOPClassUID") in _SEGMENTATIONS
    if skipped == len(paths):
        raise InvalidInputError(
            "There is no DICOM file in what was given.", hint="Give DICOM files, or folders that hold them at any depth."
        )
    return list(series.values()), lost, skipped


def _header(path: Path) -> Dataset | None:
    """What comes before the pixels, or None when not even that can be read."""
    try:
        header = files.read(path, _SORTED_BY)
        for keyword in _SORTED_BY:
            header.get(keyword)  # values are converted when they are asked for
    except (BrokenFileError, *files.READ_ERRORS):
        return None
    except OSError as error:
        if not files.is_of_content(error):
            raise
        return None
    return header


def _text(header: Dataset | None, keyword: str) -> str:
    value = header.get(keyword) if header is not None else None
    return value.strip() if isinstance(value, str) else ""


def _claims(source: Dataset) -> frozenset[str]:
    """The PS3.15 codes that the source carries, if it says that its identity was removed."""
    if source.get("PatientIdentityRemoved") != "YES":
        return frozenset()
    items = source.get("DeidentificationMethodCodeSequence") or []
    return frozenset(str(i.get("CodeValue", "")) for i in items if i.get("CodingSchemeDesignator") == "DCM")


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


def _shape(attributes: SeriesAttributes | None, found: SeriesGroup) -> dict[str, object]:
    """What the report tells about an accepted series: its shape, and why it is no volume where it is none."""
    layout = found.layout
    notes = () if layout is None or layout.regular or layout.explanation is None else (layout.explanation,)
    regular = attributes.regular if attributes else (layout is None or layout.regular)
    return {"regular": regular, "notes": notes, "shape": attributes.shape if attributes else ()}


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
