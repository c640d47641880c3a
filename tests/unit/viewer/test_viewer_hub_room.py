"""The hub's pixels room under load: a client that goes away stops its work, and nobody takes all the room."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from cohortlab.viewer.answers import BusyError
from cohortlab.viewer.api import Asked, Reply
from cohortlab_hub.access import Person
from cohortlab_hub.pixels.room import Room
from cohortlab_hub.pixels.rules import MOST_AT_ONCE

ANA = Person("ana")


class Slow(Room):
    """A room whose answers take until somebody says so, or their asker has gone."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(1)
        self._busy = Counter()
        self.begun, self.stopped, self.go = threading.Event(), threading.Event(), threading.Event()

    def reply(self, person, asked, stop):
        del person, asked
        self.begun.set()
        while not self.go.wait(0.001):
            if stop.stopped:
                self.stopped.set()
                break
        return Reply(200, {}, b"pixels")


@pytest.fixture
def room():
    made = Slow()
    yield made
    made.go.set()
    made._readers.shutdown()


def test_a_client_that_goes_away_stops_its_work(room):
    async def leave():
        gone = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(room.ask(ANA, Asked("GET", "x"), gone))
        await asyncio.to_thread(room.begun.wait, 60)
        gone.set_result(None)
        return await asking

    assert asyncio.run(leave()) is None
    assert room.stopped.wait(60)
    assert not room._busy


def test_a_question_that_waits_for_a_reader_is_dropped(room):
    async def leave():
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        asking = [asyncio.create_task(room.ask(ANA, Asked("GET", "x"), gone)) for gone in (first, second)]
        await asyncio.to_thread(room.begun.wait, 60)
        second.set_result(None)
        dropped = await asking[1]
        room.go.set()
        return dropped, await asking[0]

    dropped, answered = asyncio.run(leave())
    assert dropped is None
    assert answered.body == b"pixels"


def test_one_person_waits_in_a_line_of_a_certain_length(room):
    async def crowd():
        loop = asyncio.get_running_loop()
        asking = [asyncio.create_task(room.ask(ANA, Asked("GET", "x"), loop.create_future())) for _ in range(MOST_AT_ONCE)]
        await asyncio.to_thread(room.begun.wait, 60)
        with pytest.raises(BusyError):
            await room.ask(ANA, Asked("GET", "x"), loop.create_future())
        other = asyncio.create_task(room.ask(Person("bob"), Asked("GET", "x"), loop.create_future()))
        room.go.set()
        return await asyncio.gather(*asking, other)

    assert len(asyncio.run(crowd())) == MOST_AT_ONCE + 1
    assert not room._busy
