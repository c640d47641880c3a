"""When a session is warned and stopped; which profiles are offered and chosen."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from cohortlab.errors import RefusedError
from cohortlab_hub.sessions.keeper import Life, look
from cohortlab_hub.sessions.notices import Kind
from cohortlab_hub.sessions.profiles import choose, offered
from cohortlab_hub.sessions.settings import Profile

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WARNING = timedelta(minutes=10)


def at(minutes):
    return START + timedelta(minutes=minutes)


def life(activity=0.0, idle=60.0, longest=None, extend=0.0):
    idle_limit = timedelta(minutes=idle) if idle else None
    longest_time = timedelta(minutes=longest) if longest else None
    return Life(START, at(activity), idle_limit, longest_time, timedelta(minutes=extend))


CASES = [
    # (life, open notices, extended, now) -> warned (kind, stop, extend to), cleared
    (life(), [], {}, 49, [], []),
    (life(), [], {}, 50, [(Kind.IDLE, 60, 120)], []),
    (life(), [Kind.IDLE], {}, 55, [], []),  # told already
    (life(activity=52), [Kind.IDLE], {}, 55, [], [Kind.IDLE]),  # somebody is there again
    (life(), [], {Kind.IDLE: at(120)}, 60, [], []),  # put off
    (life(), [], {Kind.IDLE: at(120)}, 110, [(Kind.IDLE, 120, 180)], []),
    (life(), [], {}, 600, [(Kind.IDLE, 610, 670)], []),  # the hub was down: first the warning
    (life(idle=None), [], {}, 6000, [], []),
    (life(idle=None), [Kind.IDLE], {}, 600, [], [Kind.IDLE]),  # the limit was taken out
    (life(idle=4), [], {}, 1, [], []),
    (life(idle=4), [], {}, 2, [(Kind.IDLE, 4, 8)], []),  # a limit shorter than the warning
    (life(idle=None, longest=480), [], {}, 469, [], []),
    (life(idle=None, longest=480), [], {}, 470, [(Kind.LIMIT, 480, None)], []),
    (life(idle=None, longest=480, extend=60), [], {}, 470, [(Kind.LIMIT, 480, 540)], []),
    (life(idle=None, longest=480, extend=60), [], {Kind.LIMIT: at(540)}, 500, [], []),
    (life(activity=465, idle=60, longest=480), [Kind.IDLE], {}, 475, [(Kind.LIMIT, 485, None)], [Kind.IDLE]),
]


@pytest.mark.parametrize("case", CASES)
def test_look(case):
    one, opened, extended, now, warned, cleared = case
    verdict = look(one, opened, extended, now=at(now), warning=WARNING)
    shown = [(warn.kind, warn.stop_at, warn.extend_to) for warn in verdict.warn]
    assert shown == [(kind, at(stop), at(to) if to else None) for kind, stop, to in warned]
    assert list(verdict.clear) == cleared


def project(*members, groups=()):
    return SimpleNamespace(members=list(members), groups=list(groups))


SETTINGS = SimpleNamespace(
    profiles={"small": Profile(), "large": Profile(groups=["/lung", "/breast"])},
    federation=SimpleNamespace(projects={"p1": project("ana"), "p2": project(groups=["/lung"])}),
)


@pytest.mark.parametrize(
    ("groups", "names"), [([], ["small"]), (["/lung"], ["small", "large"]), (["lung"], ["small"]), (["/lung/x"], ["small"])]
)
def test_offered(groups, names):
    assert list(offered(SETTINGS.profiles, groups)) == names


@pytest.mark.parametrize(
    ("options", "person", "groups", "expected"),
    [
        ({}, "bob", [], ("small", "~bob")),  # the first, for oneself
        ({}, "ana", [], ("small", "p1")),  # one's only project
        ({"profile": "large"}, "ana", ["/lung"], ("large", "~ana")),  # of several projects none is guessed
        ({"profile": "large", "project": "p2"}, "ana", ["/lung"], ("large", "p2")),
        ({"profile": "", "project": ""}, "bob", [], ("small", "~bob")),
        ({"project": "~bob"}, "bob", [], ("small", "~bob")),
    ],
)
def test_chosen(options, person, groups, expected):
    made = choose(options, SETTINGS, person, groups)
    assert (made.name, made.project) == expected
    assert made.profile is SETTINGS.profiles[made.name]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"profile": "large"}, "Yours are: small."),  # not theirs: the same words as
        ({"profile": "nothing"}, "Yours are: small."),  # one that is not there, or was removed
        ({"profile": ["small"]}, "Yours are"),
        ({"profile": {"a": 1}}, "Yours are"),
        ({"image": "evil"}, "nothing else"),
        ({"profile": "small", "kubespawner_override": {}}, "nothing else"),
        ({"project": "p1"}, "no such project"),
        ({"project": "~ana"}, "no such project"),
    ],
)
def test_refused(options, says):
    with pytest.raises(RefusedError, match=r"no such|nothing else") as caught:
        choose(options, SETTINGS, "bob", [])
    assert says in str(caught.value)


def test_who_may_use_no_profile_is_told_so():
    with pytest.raises(RefusedError, match="no profile that you may use"):
        choose({}, SimpleNamespace(profiles={"large": Profile(groups=["/lung"])}, federation=None), "bob", [])
