"""Grants -> decisions -> leases: pure functions, no clock, no database.

A grant allows a person or a group one dataset up to an access condition, for a purpose, until a time. The conditions are
ordered: DOWNLOAD includes IN_SITU_PROCESSING (see pixels in a session), which includes REMOTE_PROCESSING (only jobs run on
the data). The dataset's own condition is the ceiling: no grant goes beyond it. A purpose is a code of the Data Use Ontology
(DUO), with a disease where it is one (see `cohortlab_hub.access.purposes`); what the dataset's own codes do not allow no grant
does, and a grant that is bound to a purpose allows only that. A decision always has a reason; that of a refusal says what the
person can do. It rests on the grant that lasts longest, and a lease ends at the earliest of all that it rests on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import purposes
from cohortlab_hub.access.purposes import Diseases, Use

_RANK = {AccessCondition.REMOTE_PROCESSING: 1, AccessCondition.IN_SITU_PROCESSING: 2, AccessCondition.DOWNLOAD: 3}
_ALLOWS = {
    AccessCondition.REMOTE_PROCESSING: "running jobs on it (REMOTE_PROCESSING)",
    AccessCondition.IN_SITU_PROCESSING: "opening it in a session (IN_SITU_PROCESSING)",
    AccessCondition.DOWNLOAD: "downloading it (DOWNLOAD)",
}
_ASK = "Ask a data steward for access."


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: account name and groups."""

    name: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a dataset itself demands: its access condition at most, and what it may be used for; `diseases` names diseases."""

    dataset: str
    condition: AccessCondition
    use: Use = field(default_factory=Use)
    diseases: Diseases = field(default_factory=Diseases)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a steward allows. `until` is the first moment that is no longer allowed; None is without end.

    `fulfils`: modifiers of the dataset's terms (DUO codes) that the steward states as fulfilled, such as an ethics approval.
    """

    id: str
    subject_kind: Literal["person", "group"]
    subject: str
    dataset: str
    condition: AccessCondition
    purpose: str | None = None
    until: datetime | None = None
    revoked_at: datetime | None = None
    revoked_reason: str | None = None
    for_cause: bool = False
    fulfils: frozenset[str] = frozenset()

    def concerns(self, person: Person) -> bool:
        """Whether it was given to `person` or to a group of theirs."""
        return self.subject == person.name if self.subject_kind == "person" else self.subject in person.groups


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, why, and until when a yes holds. `grant` is the id of the grant that it rests on.

    `obligations`: what the person has promised with it. `for_cause`: a no after a revocation for cause, which ends sessions at once.
    """

    allowed: bool
    reason: str
    until: datetime | None = None
    grant: str | None = None
    obligations: tuple[str, ...] = ()
    for_cause: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """A decision in use: `person` may use `dataset` up to `condition` until `until`."""

    person: str
    dataset: str
    condition: AccessCondition
    until: datetime | None
    grant: str


def decide(
    grants: Iterable[Grant], person: Person, dataset: Terms, *, purpose: str | None, condition: AccessCondition, now: datetime
) -> Decision:
    """Whether `person` may use `dataset` up to `condition` for `purpose` (None: not stated) at `now` (aware).

    Raises `ValueError` for a purpose that is none.
    """
    name = dataset.dataset
    if _RANK[condition] > _RANK[dataset.condition]:
        return Decision(False, f"{name} does not allow {_ALLOWS[condition]} to anybody, only {_ALLOWS[dataset.condition]}.")
    # Each step keeps the grants that pass it; where none is left, the step's own sentence says why.
    steps: tuple[tuple[Callable[[Grant], bool], Callable[[list[Grant]], str]], ...] = (
        (lambda grant: grant.dataset == name and grant.concerns(person), lambda _: f"You have no grant for {name}. {_ASK}"),
        (lambda grant: grant.revoked_at is None or grant.revoked_at > now, _revoked),
        (lambda grant: grant.until is None or grant.until > now, _ended),
        (lambda grant: _RANK[grant.condition] >= _RANK[condition], lambda left: _too_little(left, condition)),
        (
            lambda grant: grant.purpose is None or _within(grant.purpose, purpose, dataset.diseases),
            lambda left: _wrong_purpose(left, purpose, dataset.diseases),
        ),
    )
    left = list(grants)
    mine = [grant for grant in left if grant.dataset == name and grant.concerns(person)]
    cause = any(grant.for_cause and grant.revoked_at is not None and grant.revoked_at <= now for grant in mine)
    for passes, refusal in steps:
        passed = [grant for grant in left if passes(grant)]
        if not passed:
            return Decision(False, refusal(left), for_cause=cause)
        left = passed
    unfit = purposes.refusal(dataset.use, purpose, dataset.diseases)
    if unfit:
        return Decision(False, f"Refused: {name} {unfit}. Use a project with such a purpose, or ask a data steward.", for_cause=cause)
    lacking = {grant.id: _unmet(grant, dataset.use) for grant in left}
    fit = [grant for grant in left if not lacking[grant.id]]
    if not fit:
        return Decision(False, _unfulfilled(left, lacking), for_cause=cause)
    left = fit

    ends = {grant.id: _earliest([grant.until, grant.revoked_at]) for grant in left}
    longest = max(left, key=lambda grant: (ends[grant.id] is None, ends[grant.id] or now, grant.id))
    end = ends[longest.id]
    promised = purposes.obligations(dataset.use)
    reason = f"Granted: {_ALLOWS[condition]} until {_day(end)}." if end else f"Granted: {_ALLOWS[condition]}."
    return Decision(True, reason, until=end, grant=longest.id, obligations=promised)


def leases(
    grants: Sequence[Grant],
    person: Person,
    datasets: Iterable[Terms],
    *,
    purpose: str | None,
    condition: AccessCondition,
    now: datetime,
    ends: Iterable[datetime | None] = (),
) -> list[Lease]:
    """The leases of `person` at `now`, by dataset id. `ends` are further ends that they rest on, such as a sign-in's."""
    limits = list(ends)
    if any(end is not None and end <= now for end in limits):
        return []
    made = []
    for terms in sorted(datasets, key=lambda terms: terms.dataset):
        decision = decide(grants, person, terms, purpose=purpose, condition=condition, now=now)
        if decision.allowed and decision.grant is not None:
            made.append(Lease(person.name, terms.dataset, condition, _earliest([decision.until, *limits]), decision.grant))
    return made


def with_samples(grants: Iterable[Grant], samples: Mapping[str, str]) -> list[Grant]:
    """`grants`, and for each on a dataset that has a synthetic sample (dataset -> sample) one to open that in a session."""
    given = list(grants)
    situ = AccessCondition.IN_SITU_PROCESSING
    return given + [
        replace(grant, dataset=samples[grant.dataset], condition=situ, purpose=None) for grant in given if grant.dataset in samples
    ]


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _revoked(grants: list[Grant]) -> str:
    moment, last = max(((grant.revoked_at, grant) for grant in grants if grant.revoked_at), key=lambda pair: pair[0])
    if not last.revoked_reason:
        return f"Your grant for {last.dataset} was revoked on {_day(moment)}. {_ASK}"
    return f"Your grant for {last.dataset} was revoked on {_day(moment)}: {last.revoked_reason.rstrip('.')}. {_ASK}"


def _ended(grants: list[Grant]) -> str:
    moment = max(grant.until for grant in grants if grant.until)
    return f"Your grant for {grants[0].dataset} ended on {_day(moment)}. Ask a data steward to renew it."


def _too_little(grants: list[Grant], condition: AccessCondition) -> str:
    best = max(grants, key=lambda grant: _RANK[grant.condition])
    return f"Your grant for {best.dataset} allows {_ALLOWS[best.condition]}, not {_ALLOWS[condition]}. {_ASK}"


def _within(bound: str, purpose: str | None, diseases: Diseases) -> bool:
    """Whether `purpose` is what a grant is bound to: the same code, and of its disease one that lies within it."""
    if purpose is None or bound == purpose:
        return bound == purpose
    (code, wider), (other, disease) = purposes.parts(bound), purposes.parts(purpose)
    return code == other and disease is not None and (wider is None or diseases.covers(wider, disease))


def _wrong_purpose(grants: list[Grant], purpose: str | None, diseases: Diseases) -> str:
    bound = " or ".join(sorted({purposes.says(grant.purpose, diseases) for grant in grants if grant.purpose}))
    said = f"the project's purpose is {purposes.says(purpose, diseases)}" if purpose else "no purpose was stated"
    return f"Your grant for {grants[0].dataset} is for {bound} only, {said}. Use a project with that purpose, or ask a data steward."


def _unmet(grant: Grant, use: Use) -> tuple[str, ...]:
    return purposes.unmet(use, grant.fulfils, personal=grant.subject_kind == "person", ends=grant.until is not None)


def _unfulfilled(grants: list[Grant], lacking: Mapping[str, tuple[str, ...]]) -> str:
    """Of the grant that lacks least: what it does not state, and what to do."""
    nearest = min(grants, key=lambda grant: (len(lacking[grant.id]), grant.id))
    said, todo = zip(*map(purposes.advice, lacking[nearest.id]), strict=True)
    return f"Refused: {nearest.dataset} has terms that your grant does not state as fulfilled: {', '.join(said)}. {' '.join(todo)}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
