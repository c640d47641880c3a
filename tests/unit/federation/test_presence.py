"""Processes of the service tell each other which sites they hear: when it is time or when they are rung, and not without end."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from starlette.concurrency import run_in_threadpool

from cohortlab_hub.jobs import presence
from cohortlab_hub.jobs.bell import Bell
from cohortlab_hub.jobs.room import Room


def test_a_ring_for_all_is_answered_once(monkeypatch):
    told = asyncio.Queue()
    jobs = SimpleNamespace(limits=SimpleNamespace(silence=timedelta(hours=1)))

    async def run():
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(presence, "heard", lambda _database, _seen: loop.call_soon_threadsafe(told.put_nowait, 1) and {})
        room = Room(jobs, sessionmaker(create_engine("sqlite://")), Bell())
        telling = asyncio.create_task(room.exchange())
        await told.get()
        room.bell.ring_all()
        await told.get()
        for _ in range(20):  # as many turns as it would need to tell it again and again
            await run_in_threadpool(lambda: None)
        assert told.empty()
        room.close()
        await telling

    asyncio.run(run())
