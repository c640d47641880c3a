"""The GPU queue's rules: tables, and what must hold for any queue."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortlab_hub.sessions.queue import LEAST, Ask, Booking, Held, may_book, order, plan

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WARNING = timedelta(minutes=15)


def at(hours):
    return NOW + timedelta(hours=hours)


def ask(name, project="p", count=1, since=0.0, guarantee=4.0):
    return Ask(name, project, count, at(since), timedelta(hours=guarantee))


def held(name, project="p", count=1, guaranteed=4.0, ends=None):
    return Held(name, project, count, at(guaranteed), at(ends) if ends is not None else None)


def booking(project="course", count=1, start=2.0, end=4.0, name="b"):
    return Booking(name, project, count, at(start), at(end))


def made(total, asks, has=(), bookings=(), shares=None):
    return plan(total, asks, has, bookings, shares or {}, now=NOW, warning=WARNING)


@pytest.mark.parametrize(
    ("asks", "has", "shares", "expected"),
    [
        ([ask("a", since=-1), ask("b", since=-2)], [], {}, "ba"),  # one project: first come
        ([ask("a", "x", since=-3), ask("b", "x", since=-2), ask("c", "y", since=-1)], [], {}, "acb"),  # projects take turns
        ([ask("a", "x", since=-3), ask("c", "y", since=-1)], [held("h", "x")], {}, "ca"),  # who has less comes first
        ([ask("a", "x", since=-3), ask("c", "y", since=-1)], [held("h", "x"), held("i", "y")], {}, "ac"),  # equals: first come
        ([ask("a", "x", since=-1), ask("c", "y", since=-3)], [held("h", "x"), held("i", "y")], {"x": 2}, "ac"),  # a larger share
        ([ask("a", "x", 4, since=-3), ask("b", "x", since=-2), ask("c", "y", since=-1)], [], {}, "acb"),  # a large request counts as such
        ([ask("b", since=-1), ask("a", since=-1)], [], {}, "ab"),  # the same moment: by id, always the same way
    ],
)
def test_order(asks, has, shares, expected):
    assert "".join(one.id for one in order(asks, has, shares)) == expected


def test_two_of_three_start_on_two_gpus_and_the_third_is_next():
    done = made(2, [ask("a", since=-3), ask("b", since=-2), ask("c", since=-1)])
    assert [start.id for start in done.start] == ["a", "b"]
    assert [(place.id, place.position, place.estimate) for place in done.waiting] == [("c", 1, at(4.25))]
    assert done.waiting[0].why == "You are next."
    assert done.free == 0


def test_what_ends_makes_room_for_the_first():
    done = made(2, [ask("c")], [held("b")])
    assert [(start.id, start.guaranteed) for start in done.start] == [("c", at(4))]


def test_the_first_holds_up_those_behind_it():
    done = made(4, [ask("large", count=4, since=-2), ask("small", since=-1)], [held("h")])
    assert done.start == ()
    assert [place.id for place in done.waiting] == ["large", "small"]
    assert done.waiting[1].why == "1 before you."


def test_estimates_follow_the_order():
    done = made(1, [ask("a", since=-2, guarantee=1), ask("b", since=-1)], [held("h", guaranteed=2)])
    assert [place.estimate for place in done.waiting] == [at(2.25), at(3.5)]
    done = made(1, [ask("a")], [held("h", guaranteed=2, ends=0.5)])
    assert done.waiting[0].estimate == at(0.5)
    assert made(0, [ask("a")]).waiting[0].estimate is None


def test_a_booking_keeps_its_gpus_for_its_project():
    now = booking(count=2, start=-1)
    done = made(2, [ask("other", since=-2), ask("mine", "course", since=-1)], bookings=[now])
    assert [start.id for start in done.start] == ["mine"]
    assert [place.id for place in done.waiting] == ["other"]
    assert done.free == 0
    assert done.waiting[0].estimate == at(4)  # when the booking ends


def test_a_booking_ahead_shortens_the_guarantee_or_prevents_the_start():
    assert made(1, [ask("a")], bookings=[booking(start=2)]).start[0].guaranteed == at(2)
    assert made(1, [ask("a")], bookings=[booking(start=0.25)]).start == ()
    assert made(2, [ask("a")], bookings=[booking(start=0.25)]).start[0].guaranteed == at(4)


def test_gpus_are_taken_back_only_past_the_guarantee_and_with_a_warning():
    waits = [ask("a")]
    assert made(1, waits, [held("h", guaranteed=0.1)]).take_back == ()
    taken = made(1, waits, [held("h", guaranteed=-1)]).take_back
    assert [(one.id, one.at, one.booking) for one in taken] == [("h", NOW + WARNING, None)]
    assert made(1, [], [held("h", guaranteed=-1)]).take_back == ()  # nobody waits
    assert made(3, [ask("a", count=3)], [held("h", guaranteed=-1), held("i", guaranteed=1)]).take_back == ()  # it would not help


def test_the_session_that_is_longest_past_its_guarantee_goes_first():
    taken = made(3, [ask("a", count=1)], [held("h", guaranteed=-1), held("i", guaranteed=-3), held("j", guaranteed=2)]).take_back
    assert [one.id for one in taken] == ["i"]


def test_before_a_booking_begins_room_is_made_for_it():
    soon, has = booking(start=0.2, count=1), [held("h", guaranteed=-1), held("i", guaranteed=3)]
    taken = made(2, [], has, [soon]).take_back
    assert [(one.id, one.at, one.booking) for one in taken] == [("h", NOW + WARNING, "b")]
    assert "booked for the project course" in taken[0].why
    assert made(2, [], has, [booking(start=1)]).take_back == ()  # not yet
    assert made(3, [], has, [soon]).take_back == ()  # there is room
    assert made(2, [], [held("h", "course", guaranteed=-1), held("i")], [soon]).take_back == ()  # its own project has it already


@pytest.mark.parametrize(
    ("total", "has", "bookings", "new", "says"),
    [
        (2, [], [], booking(count=2), ""),
        (2, [], [], booking(count=3), "only 2"),
        (2, [held("h", guaranteed=3)], [], booking(count=2), "only 1"),
        (2, [held("h", guaranteed=2)], [], booking(count=2), ""),  # guaranteed until it begins
        (2, [held("h", "course", guaranteed=3)], [], booking(count=2), ""),  # the project's own session
        (2, [], [booking("other", 1, 3, 5, "o")], booking(count=2), "only 1"),
        (2, [], [booking("other", 1, 4, 5, "o")], booking(count=2), ""),  # one after the other
        (2, [], [], booking(start=3, end=3), "ends after it starts"),
        (2, [], [], booking(start=-3, end=-1), "in the future"),
    ],
)
def test_what_may_be_booked(total, has, bookings, new, says):
    reason = may_book(total, has, bookings, new, NOW)
    assert (says in reason) if says else reason == ""


PROJECTS = st.sampled_from(["x", "y", "course"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), PROJECTS, st.integers(1, 3), st.integers(1, 4)),
        st.tuples(st.just("book"), PROJECTS, st.integers(1, 3), st.integers(0, 5), st.integers(1, 4)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 8)),
    ),
    max_size=25,
)


class World:
    """A hub that looks at its queue, with `total` GPUs."""

    def __init__(self, total):
        self.total, self.now = total, NOW
        self.asks, self.has, self.bookings, self.ends = [], [], [], {}

    def step(self, number, kind, *values):
        if kind == "ask" and values[1] <= self.total:
            self.asks.append(Ask(f"a{number}", values[0], values[1], self.now, timedelta(hours=values[2])))
        elif kind == "book":
            start = self.now + WARNING + timedelta(hours=values[2])  # announced at least a warning ahead
            new = Booking(f"b{number}", values[0], values[1], start, start + timedelta(hours=values[3]))
            if not may_book(self.total, self.has, self.bookings, new, self.now):
                self.bookings.append(new)
        elif kind == "leave" and self.has:
            self.ends.pop(self.has.pop(values[0] % len(self.has)).id, None)
        elif kind == "wait":
            self.now += timedelta(minutes=15 * values[0])  # the hub looks every quarter of an hour here

    def look(self):
        done = plan(self.total, self.asks, self.has, self.bookings, {}, now=self.now, warning=WARNING)
        for one in done.take_back:
            self.ends[one.id] = min(one.at, self.ends.get(one.id, one.at))
        for start in done.start:
            assert start.guaranteed - self.now >= LEAST
            begun = next(one for one in self.asks if one.id == start.id)
            self.asks.remove(begun)
            self.has.append(Held(begun.id, begun.project, begun.count, start.guaranteed))
        for one in [one for one in self.has if self.ends.get(one.id, self.now + WARNING) <= self.now]:
            assert one.guaranteed <= self.now, "stopped within its guarantee"
            self.has.remove(one)
            del self.ends[one.id]
        assert sorted(place.id for place in done.waiting) == sorted(one.id for one in self.asks)
        assert [place.position for place in done.waiting] == list(range(1, len(done.waiting) + 1))

    def check(self):
        """What is held now fits, and what is guaranteed and booked does at every moment to come."""
        assert sum(one.count for one in self.has) <= self.total
        for moment in [self.now, *(one.start for one in self.bookings if one.start > self.now)]:
            kept = [one for one in self.has if one.guaranteed > moment]
            needs = 0
            for project in ("x", "y", "course"):
                booked = sum(one.count for one in self.bookings if one.project == project and one.start <= moment < one.end)
                needs += max(0, booked - sum(one.count for one in kept if one.project == project))
            assert sum(one.count for one in kept) + needs <= self.total


@given(st.integers(1, 4), STEPS)
@settings(max_examples=150)
def test_whatever_happens_no_gpu_is_given_twice_and_every_guarantee_and_booking_is_kept(total, steps):
    world = World(total)
    for number, step in enumerate(steps):
        world.step(number, *step)
        for _ in range(3):  # what a stop makes free is given in the same look
            world.look()
        world.check()
