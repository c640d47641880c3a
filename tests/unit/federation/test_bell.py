"""Requests that wait: woken by a ring, ended by their time or by a client that is gone, and by nothing else."""

import asyncio

from cohortlab_hub.jobs.bell import Bell, heard_or_gone


class Client:
    """The request of a client that hangs up when told to."""

    def __init__(self):
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}


def test_a_ring_wakes_who_listens_and_nobody_else():
    async def run():
        bell = Bell()
        with bell.listen("site:north") as north, bell.listen("site:south") as south:
            waiting = [asyncio.ensure_future(heard_or_gone(heard, Client(), 30)) for heard in (north, south)]
            done, _ = await asyncio.wait(waiting, timeout=0.05)
            assert not done  # it waits, and does not answer at once for the client to ask again
            bell.ring("site:north")
            assert await waiting[0] is True
            assert not waiting[1].done()
            waiting[1].cancel()
        assert not bell.listening("site:north")

    asyncio.run(run())


def test_a_ring_before_the_wait_is_heard():
    async def run():
        bell = Bell()
        with bell.listen("job:1") as heard:
            bell.ring("job:1", "job:2")
            assert await heard_or_gone(heard, Client(), 30) is True

    asyncio.run(run())


def test_a_wait_ends_with_its_time_and_with_its_client():
    async def run():
        assert await heard_or_gone(asyncio.Event(), Client(), 0.01) is False
        client = Client()
        client.gone.set()
        assert await heard_or_gone(asyncio.Event(), client, 30) is False

    asyncio.run(run())
