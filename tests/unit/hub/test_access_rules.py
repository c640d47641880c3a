"""Tables of cases: grants -> decision -> leases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Grant, Person, Terms, decide, leases

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER, MUCH_LATER, BEFORE = NOW + timedelta(hours=1), NOW + timedelta(days=9), NOW - timedelta(days=1)
REMOTE, SITU, DOWNLOAD = AccessCondition.REMOTE_PROCESSING, AccessCondition.IN_SITU_PROCESSING, AccessCondition.DOWNLOAD
LUNG, BREAST = "DUO:0000001", "DUO:0000007"
ANA = Person("ana", frozenset({"radiology"}))
SCANS = Terms("scans", DOWNLOAD)


def grant(**changes):
    return replace(Grant("g1", "person", "ana", "scans", SITU), **changes)


@pytest.mark.parametrize(
    ("grants", "terms", "purpose", "condition", "allowed", "says"),
    [
        ([grant()], SCANS, None, SITU, True, "Granted: opening it in a session"),
        ([grant()], SCANS, LUNG, SITU, True, "Granted"),
        ([grant()], SCANS, None, REMOTE, True, "Granted: running jobs"),
        ([], SCANS, None, SITU, False, "You have no grant for scans. Ask a data steward"),
        ([grant(subject="bob")], SCANS, None, SITU, False, "You have no grant for scans"),
        ([grant(subject="Ana")], SCANS, None, SITU, False, "You have no grant for scans"),
        ([grant(dataset="other")], SCANS, None, SITU, False, "You have no grant for scans"),
        # a group of that name is not the person of that name
        ([grant(subject_kind="group", subject="ana")], SCANS, None, SITU, False, "You have no grant"),
        ([grant(subject_kind="person", subject="radiology")], SCANS, None, SITU, False, "You have no grant"),
        ([grant(subject_kind="group", subject="radiology")], SCANS, None, SITU, True, "Granted"),
        ([grant(subject_kind="group", subject="radiology/lung")], SCANS, None, SITU, False, "You have no grant"),
        # time
        ([grant(until=LATER)], SCANS, None, SITU, True, "until 2026-03-01 13:00 UTC"),
        ([grant(until=NOW)], SCANS, None, SITU, False, "ended on 2026-03-01 12:00 UTC. Ask a data steward to renew it."),
        ([grant(until=BEFORE)], SCANS, None, SITU, False, "ended on 2026-02-28"),
        ([grant(revoked_at=NOW, revoked_reason="left the study.")], SCANS, None, SITU, False, "12:00 UTC: left the study. Ask"),
        ([grant(revoked_at=BEFORE)], SCANS, None, SITU, False, "was revoked on 2026-02-28 12:00 UTC. Ask"),
        ([grant(revoked_at=LATER)], SCANS, None, SITU, True, "until 2026-03-01 13:00"),
        # a revoked grant does not take away another one
        ([grant(revoked_at=BEFORE), grant(id="g2")], SCANS, None, SITU, True, "Granted"),
        ([grant(until=BEFORE), grant(id="g2", revoked_at=BEFORE)], SCANS, None, SITU, False, "ended on"),
        # conditions
        ([grant(condition=REMOTE)], SCANS, None, SITU, False, "allows running jobs on it (REMOTE_PROCESSING), not opening it in a session"),
        ([grant(condition=SITU)], SCANS, None, DOWNLOAD, False, "not downloading it"),
        ([grant(condition=DOWNLOAD)], SCANS, None, DOWNLOAD, True, "Granted: downloading"),
        (
            [grant(condition=DOWNLOAD)],
            Terms("scans", REMOTE),
            None,
            SITU,
            False,
            "does not allow opening it in a session (IN_SITU_PROCESSING) to anybody",
        ),
        ([grant(condition=DOWNLOAD)], Terms("scans", REMOTE), None, REMOTE, True, "Granted"),
        # purposes
        ([grant(purpose=LUNG)], SCANS, LUNG, SITU, True, "Granted"),
        ([grant(purpose=BREAST)], SCANS, LUNG, SITU, False, "is for disease-specific research (DUO:0000007) only, the project's"),
        ([grant(purpose=BREAST)], SCANS, None, SITU, False, "(DUO:0000007) only, no purpose was stated"),
        ([grant(purpose=BREAST), grant(id="g2", purpose=LUNG)], SCANS, LUNG, SITU, True, "Granted"),
    ],
)
def test_decide(grants, terms, purpose, condition, allowed, says):  # noqa: PLR0917 - the columns of the table
    decision = decide(grants, ANA, terms, purpose=purpose, condition=condition, now=NOW)
    assert decision.allowed is allowed
    assert says in decision.reason
    assert (decision.grant is not None) is allowed


def test_a_decision_rests_on_the_grant_that_lasts_longest():
    grants = [grant(id="short", until=LATER), grant(id="long", until=MUCH_LATER), grant(id="gone", until=MUCH_LATER, revoked_at=LATER)]
    decision = decide(grants, ANA, SCANS, purpose=None, condition=SITU, now=NOW)
    assert (decision.grant, decision.until) == ("long", MUCH_LATER)


@pytest.mark.parametrize(
    ("until", "revoked", "ends", "expected"),
    [
        (None, None, (), None),
        (MUCH_LATER, None, (), MUCH_LATER),
        (MUCH_LATER, LATER, (), LATER),
        (MUCH_LATER, None, (LATER,), LATER),
        (LATER, None, (MUCH_LATER, None), LATER),
        (None, None, (None, LATER), LATER),
    ],
)
def test_a_lease_ends_at_the_earliest_of_what_it_rests_on(until, revoked, ends, expected):
    (lease,) = leases([grant(until=until, revoked_at=revoked)], ANA, [SCANS], purpose=None, condition=SITU, now=NOW, ends=ends)
    assert lease.until == expected
    assert (lease.person, lease.dataset, lease.grant) == ("ana", "scans", "g1")


def test_no_lease_on_what_has_ended_already():
    assert leases([grant()], ANA, [SCANS], purpose=None, condition=SITU, now=NOW, ends=[NOW]) == []


def test_a_lease_for_each_granted_dataset_and_no_other():
    grants = [grant(), grant(id="g2", dataset="films", condition=REMOTE), grant(id="g3", dataset="slides")]
    datasets = [SCANS, Terms("films", SITU), Terms("slides", REMOTE), Terms("unknown", SITU)]
    assert [lease.dataset for lease in leases(grants, ANA, datasets, purpose=None, condition=SITU, now=NOW)] == ["scans"]


moments = st.none() | st.integers(-5, 5).map(lambda hours: NOW + timedelta(hours=hours))
any_grant = st.builds(
    Grant,
    id=st.uuids().map(str),
    subject_kind=st.sampled_from(["person", "group"]),
    subject=st.sampled_from(["ana", "bob", "radiology", "other"]),
    dataset=st.sampled_from(["scans", "films"]),
    condition=st.sampled_from(AccessCondition),
    purpose=st.sampled_from([None, LUNG, BREAST]),
    until=moments,
    revoked_at=moments,
)


@given(st.lists(any_grant, max_size=6), st.sampled_from([None, LUNG]), st.sampled_from(AccessCondition))
def test_more_grants_never_take_access_away_and_a_yes_names_a_grant_that_holds(grants, purpose, condition):
    whole = decide(grants, ANA, SCANS, purpose=purpose, condition=condition, now=NOW)
    singles = [decide([one], ANA, SCANS, purpose=purpose, condition=condition, now=NOW) for one in grants]
    assert whole.allowed == any(single.allowed for single in singles)
    if whole.allowed:
        chosen = next(one for one in grants if one.id == whole.grant)
        assert decide([chosen], ANA, SCANS, purpose=purpose, condition=condition, now=NOW).allowed
        assert whole.until is None or whole.until > NOW
    else:
        assert whole.reason.endswith(".")
