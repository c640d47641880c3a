"""Who may see which pixels: pure functions on grants. No clock, no database, no pixel.

To look at images, slice by slice, a person needs what opening the dataset in a session needs (IN_SITU_PROCESSING); to fetch stored
objects, which are the data themselves, they need to be allowed to download it (DOWNLOAD).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from cohortlab.errors import RefusedError
from cohortlab.store.contracts import AccessCondition
from cohortlab.viewer.api import Kind
from cohortlab_hub.access import Decision, Grant, Person, Terms, decide

MOST_AT_ONCE: Final = 24
"""Requests of one person that may wait or run at once: more than a viewer has, fewer than would keep others waiting."""

_NEEDED: Mapping[Kind, AccessCondition] = {
    "meta": AccessCondition.IN_SITU_PROCESSING,
    "slice": AccessCondition.IN_SITU_PROCESSING,
    "volume": AccessCondition.IN_SITU_PROCESSING,
    "thumbnail": AccessCondition.IN_SITU_PROCESSING,
    "chunk": AccessCondition.DOWNLOAD,
}


def needed(kind: Kind) -> AccessCondition:
    """What a grant must allow for this kind of answer."""
    return _NEEDED[kind]


def permitted(grants: Sequence[Grant], person: Person, terms: Terms, kind: Kind, *, purpose: str | None, now: datetime) -> Decision:
    """The decision that lets `person` have an answer of this kind. Raises `RefusedError` with its reason when it is a no."""
    decision = decide(grants, person, terms, purpose=purpose, condition=needed(kind), now=now)
    if not decision.allowed:
        raise RefusedError(decision.reason)
    return decision


def visible(grants: Sequence[Grant], person: Person, datasets: Iterable[Terms], *, purpose: str | None, now: datetime) -> frozenset[str]:
    """Ids of the datasets that `person` may look at."""
    look = AccessCondition.IN_SITU_PROCESSING
    return frozenset(terms.dataset for terms in datasets if decide(grants, person, terms, purpose=purpose, condition=look, now=now).allowed)
