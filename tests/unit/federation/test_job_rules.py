"""The life of a job, as tables."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.federation.contracts import REASONS, JobState, Reason, SiteState
from cohortlab_hub.jobs import rules
from cohortlab_hub.jobs.rules import FinalStateError

ALL, LIVE = list(SiteState), [state for state in SiteState if not state.final]
FINAL = [state for state in SiteState if state.final]
T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def states(text):
    return [SiteState(word) for word in text.split()]


@pytest.mark.parametrize(
    ("sites", "minimum", "cancelling", "state", "words"),
    [
        ("waiting waiting", 1, False, JobState.QUEUED, "0 of 2 sites"),
        ("sent waiting", 1, False, JobState.STARTING, "0 of 2 sites"),
        ("accepted accepted", 1, False, JobState.STARTING, "0 of 2 sites"),
        ("running accepted", 1, False, JobState.RUNNING, "0 of 2 sites"),
        ("refused waiting", 1, False, JobState.RUNNING, "0 of 2 sites"),
        ("released releasing", 1, False, JobState.RUNNING, "1 of 2 sites"),
        ("released released released", 2, False, JobState.SUCCEEDED, "3 of 3 sites"),
        ("released", 5, False, JobState.SUCCEEDED, "1 of 1 site"),
        ("released released refused", 2, False, JobState.PARTIAL, "2 of 3 sites"),
        ("released released lost", 2, False, JobState.PARTIAL, "2 of 3 sites"),
        ("released refused refused", 1, False, JobState.PARTIAL, "1 of 3 sites"),
        ("released refused refused", 2, False, JobState.REFUSED, "1 of 3 sites"),
        ("released released refused", 3, False, JobState.REFUSED, "2 of 3 sites"),
        ("refused refused", 1, False, JobState.REFUSED, "0 of 2 sites"),
        ("refused failed", 1, False, JobState.FAILED, "0 of 2 sites"),
        ("refused expired lost", 1, False, JobState.LOST, "0 of 3 sites"),
        ("refused expired", 1, False, JobState.EXPIRED, "0 of 2 sites"),
        ("cancelled refused", 1, False, JobState.CANCELLED, "0 of 2 sites"),
        ("cancelled released", 1, True, JobState.CANCELLED, "1 of 2 sites"),
        ("released released", 1, True, JobState.CANCELLED, "2 of 2 sites"),
    ],
)
def test_the_jobs_state_follows_from_its_sites(sites, minimum, cancelling, state, words):
    reached = rules.job_state(states(sites))
    if reached is JobState.AGGREGATING:
        reached = rules.outcome(states(sites), minimum, cancelling=cancelling)
    assert reached is state
    assert rules.summary(states(sites)) == words


@given(st.lists(st.sampled_from(FINAL), min_size=1, max_size=8), st.integers(1, 8), st.booleans())
def test_no_job_is_a_success_before_enough_sites_released(sites, minimum, cancelling):
    end = rules.outcome(sites, minimum, cancelling=cancelling)
    released = sites.count(SiteState.RELEASED)
    assert end.final
    assert (end is JobState.SUCCEEDED) == (released == len(sites) and not cancelling)
    assert end not in {JobState.SUCCEEDED, JobState.PARTIAL} or released >= min(minimum, len(sites))


@given(st.sampled_from(ALL), st.sampled_from(ALL))
def test_a_sites_part_moves_only_forward(current, said):
    if current.final and said is not current:
        with pytest.raises(FinalStateError):
            rules.moved(current, said)
        return
    new = rules.moved(current, said)
    assert new in {current, said}
    assert new is said or (not said.final and LIVE.index(said) < LIVE.index(current))


@pytest.mark.parametrize(
    ("state", "seen", "end"),
    [
        ("waiting", timedelta(minutes=50), timedelta(hours=1)),  # that the site is there does not help: it did not fetch it
        ("sent", timedelta(minutes=5), timedelta(minutes=6)),
        ("running", timedelta(minutes=50), timedelta(minutes=51)),
        ("running", timedelta(hours=3), timedelta(hours=2)),  # it answers all but this
    ],
)
def test_deadlines(state, seen, end):
    assert rules.deadline(SiteState(state), T0, T0 + HOUR, T0 + seen, MINUTE) == T0 + end


def test_what_is_over_has_no_deadline():
    assert {rules.deadline(state, T0, T0, T0, MINUTE) for state in FINAL} == {None}


def test_unfetched_is_expired_and_unanswered_is_lost():
    assert rules.overdue(SiteState.WAITING) == (SiteState.EXPIRED, Reason.NOT_FETCHED)
    assert {rules.overdue(state)[0] for state in LIVE[1:]} == {SiteState.LOST}


def test_every_reason_has_words():
    assert set(REASONS) == set(Reason)
