"""What becomes of a running session's lease when it is decided again."""

from datetime import UTC, datetime, timedelta

import pytest

from cohortlab_hub.access import Decision
from cohortlab_hub.access.revocation import Ends, Holds, judge

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=300)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


YES, NO = Decision(True, "Granted."), Decision(False, "Your grant was revoked.")
CAUSE = Decision(False, "Your grant was revoked: misuse.", for_cause=True)


@pytest.mark.parametrize(
    ("decision", "told", "signed_in", "verdict"),
    [
        (YES, None, True, Holds(None)),
        (Decision(True, "", until=at(3600)), None, True, Holds(at(3600))),
        # near its own end: warned before it, stopped at it
        (Decision(True, "", until=at(299)), None, True, at(299)),
        (Decision(True, "", until=at(301)), None, True, Holds(at(301))),
        # withdrawn: the operator's grace; for cause: none
        (NO, None, True, at(300)),
        (CAUSE, None, True, at(0)),
        # deciding again gives no more time, and for cause takes what was left
        (NO, at(120), True, at(120)),
        (NO, at(-5), True, at(-5)),
        (CAUSE, at(120), True, at(0)),
        # it holds again
        (YES, at(120), True, Holds(None)),
        # the sign-in is over
        (YES, None, False, at(300)),
        (YES, at(60), False, at(60)),
        (CAUSE, None, False, at(0)),
    ],
)
def test_judge(decision, told, signed_in, verdict):
    found = judge(decision, told, NOW, GRACE, signed_in=signed_in)
    if isinstance(verdict, Holds):
        assert found == verdict
    else:
        assert isinstance(found, Ends)
        assert found.stops == verdict
        assert found.reason


def test_without_grace_a_lease_is_not_warned_of_before_its_end():
    assert judge(Decision(True, "", until=at(1)), None, NOW, timedelta(0)) == Holds(at(1))
    assert judge(NO, None, NOW, timedelta(0)) == Ends(NOW, NO.reason)
