"""Wakes the requests that wait for something: a site's question for work, a user's for events.

A listener registers before it reads the records and is rung after a change was committed: whatever it did not read, it hears.
The listeners are in this process' memory; where there are several processes, `wire` carries each ring to the others.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Request


class Bell:
    """Names -> who listens. To be used from the event loop's own thread only. `others`: tells the other processes of a ring."""

    def __init__(self) -> None:
        self.others: Callable[[tuple[str, ...]], None] | None = None
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def listen(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set each time somebody rings `name`; the listener clears it before it looks."""
        heard = asyncio.Event()
        self._listeners[name].add(heard)
        try:
            yield heard
        finally:
            self._listeners[name].discard(heard)
            if not self._listeners[name]:
                del self._listeners[name]

    def ring(self, *names: str) -> None:
        """Wake all who listen to one of `names`, wherever they are."""
        self.ring_here(*names)
        if self.others is not None and names:
            self.others(names)

    def ring_here(self, *names: str) -> None:
        """Wake those of this process who listen to one of `names`."""
        for name in names:
            for heard in self._listeners.get(name, ()):
                heard.set()

    def ring_all(self) -> None:
        """Wake all listeners of this process: they may have missed something."""
        self.ring_here(*self._listeners)

    def listening(self, name: str) -> bool:
        """Whether somebody listens to `name` now."""
        return name in self._listeners


async def heard_or_gone(heard: asyncio.Event, request: Request, seconds: float) -> bool:
    """Wait until `heard` is set: True; or until the client hung up or `seconds` are over: False."""
    gone = asyncio.ensure_future(_disconnected(request))
    rung = asyncio.ensure_future(heard.wait())
    try:
        await asyncio.wait({gone, rung}, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
        return rung.done()
    finally:
        for waiting in (gone, rung):
            waiting.cancel()
        await asyncio.gather(gone, rung, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
