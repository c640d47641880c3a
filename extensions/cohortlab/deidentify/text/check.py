"""Is there writing on the pixels? The functions that the gate asks, for one object and for a series."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cohortlab.deidentify.text.mask import NO_RULES, Rules, blank
from cohortlab.deidentify.text.pixels import Frames, blanked
from cohortlab.deidentify.text.triage import Scope, Triage, look, sample
from cohortlab.deidentify.text.verdict import Box, Found, TextReason, TextVerdict
from cohortlab.errors import InvalidInputError

MOST_FOUND: Final = 3
"""Frames with writing after which the rest is not read: enough to refuse, and to see where the device writes."""

type Progress = Callable[[int, int], None]
"""Called with frames read and frames to read."""


def _no_progress(_done: int, _total: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class _Job:
    """The frames of one object that are read: its place among those given, its triage and rule, the numbers of the frames."""

    instance: int
    triage: Triage
    frames: Sequence[NDArray[Any]]
    numbers: tuple[int, ...]
    regions: tuple[Box, ...]


def check_text(
    dataset: Dataset,
    frames: Sequence[NDArray[Any]] | None = None,
    rules: Rules = NO_RULES,
    *,
    key: bytes = b"",
    pixels_checked: bool = False,
) -> TextVerdict:
    """Look for writing on one object.

    frames: its decoded frames, (rows, columns) of any dtype or (rows, columns, 3) RGB, or None to decode them from `dataset`. rules:
    regions that are blanked before reading; when one applied and the verdict is accepted, the gate stores `masked([dataset], verdict)`
    with `verdict.codes`. key: secret that picks the sample of a plain acquisition with many frames. pixels_checked: see `triage.look`.
    What cannot be decoded is refused, not raised.
    """
    return _run([(dataset, frames)], rules, key, pixels_checked=pixels_checked, progress=_no_progress)


def check_series(
    datasets: Sequence[Dataset],
    rules: Rules = NO_RULES,
    *,
    key: bytes,
    pixels_checked: bool = False,
    progress: Progress = _no_progress,
) -> TextVerdict:
    """Look for writing on the objects of one series, in the order of its slices; of plain acquisitions a sample over the whole series.

    A rule has to apply to each object or to none: a series is blanked whole or not at all.
    """
    return _run([(dataset, None) for dataset in datasets], rules, key, pixels_checked=pixels_checked, progress=progress)


def _run(
    given: Sequence[tuple[Dataset, Sequence[NDArray[Any]] | None]], rules: Rules, key: bytes, *, pixels_checked: bool, progress: Progress
) -> TextVerdict:
    triages = [look(dataset, pixels_checked=pixels_checked) for dataset, _ in given]
    rule = next((r for dataset, _ in given if (r := rules.find(dataset))), None)
    if rule is not None and any(rules.find(dataset) != rule for dataset, _ in given):
        rule = None
    regions = tuple(region.box for region in rule.regions) if rule else ()
    verdict = TextVerdict(
        reasons=tuple(dict.fromkeys(r for t in triages for r in t.reasons)),
        frames=sum(t.frames for t in triages),
        rule=rule.name if rule else "",
        masked=regions,
    )
    chosen = _chosen(triages, key)
    jobs = [
        _Job(n, triage, Frames(dataset, triage.frames) if frames is None else frames, numbers, regions)
        for n, ((dataset, frames), triage, numbers) in enumerate(zip(given, triages, chosen, strict=True))
        if numbers
    ]
    return _read(jobs, verdict, progress)


def _chosen(triages: Sequence[Triage], key: bytes) -> list[tuple[int, ...]]:
    """For each object, which of its frames are read: all, none, or those that the series' sample hits."""
    places = [(n, frame) for n, t in enumerate(triages) if t.scope is Scope.SAMPLE for frame in range(t.frames)]
    picked = [places[i] for i in sample(len(places), key)]
    return [
        tuple(range(t.frames)) if t.scope is Scope.ALL else tuple(frame for number, frame in picked if number == n)
        for n, t in enumerate(triages)
    ]


def _read(jobs: Sequence[_Job], verdict: TextVerdict, progress: Progress) -> TextVerdict:
    """Read the frames of each job and add what was found to the verdict."""
    from cohortlab.deidentify.text.reader import reader  # noqa: PLC0415  its libraries load slowly: not for a command that reads nothing

    found: list[Found] = []
    looked = markers = hits = 0
    reasons = list(verdict.reasons)
    wanted = [(job, number) for job in jobs for number in job.numbers]
    for job, number in wanted:
        if hits >= MOST_FOUND:
            break
        try:
            frame = job.frames[number]
        except (InvalidInputError, IndexError):
            reasons.append(TextReason.UNREADABLE)
            break
        reading = reader().read(blank(frame, job.regions) if job.regions else frame, job.triage.marks)
        found += (replace(f, frame=number, instance=job.instance) for f in reading.found)
        hits += bool(reading.found)
        markers += reading.markers
        looked += 1
        progress(looked, len(wanted))
    if found:
        reasons.append(TextReason.LEFT_AFTER_MASK if verdict.masked else TextReason.FOUND)
    return replace(verdict, reasons=tuple(dict.fromkeys(reasons)), found=tuple(found), looked=looked, markers=markers)


def masked(datasets: Sequence[Dataset], verdict: TextVerdict) -> list[Dataset]:
    """The objects that may be stored after an accepted verdict: as they are, or with the rule's regions blanked. Codes are the gate's."""
    return [blanked(dataset, verdict.masked) for dataset in datasets] if verdict.masked else list(datasets)
