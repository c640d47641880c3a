"""What somebody may do with a dataset at most: pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access.rules import Decision, Grant, Person, Terms, decide

CONDITIONS = (AccessCondition.DOWNLOAD, AccessCondition.IN_SITU_PROCESSING, AccessCondition.REMOTE_PROCESSING)


def best(
    grants: Sequence[Grant], person: Person, terms: Terms, purposes: Iterable[str | None], now: datetime
) -> tuple[AccessCondition | None, Decision]:
    """The most that is allowed for any of `purposes`, with its decision; None with the refusal of the least where nothing is."""
    stated = list(purposes) or [None]
    for condition in CONDITIONS:
        for purpose in stated:
            decision = decide(grants, person, terms, purpose=purpose, condition=condition, now=now)
            if decision.allowed:
                return condition, decision
    return None, decision
