"""The agent's side of its helper processes: started ahead of time, given one order, watched, and killed when it must be."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from cohortlab.federation.contracts import Model, Reason
from cohortlab.federation.site.protocol import READY, Answer

_log = logging.getLogger(__name__)
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "TZ")
"""What a helper gets of the agent's environment: no token, no proxy, no key."""


class Helper:
    """One process of a module of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, module: str) -> Self:
        """Start one; it gets ready on its own. It has a process group of its own, so that a Ctrl-C reaches the agent only."""
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", module, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        """Whether it can still take an order."""
        return self._process.returncode is None

    async def run(self, order: Model, told: Callable[[float], None], failed: Reason) -> Reason | None:
        """Give the order; None when it was done, else why not. `failed` stands for an end without a word."""
        out, into = self._process.stdout, self._process.stdin
        if out is None or into is None:
            return failed
        try:
            if (await out.readline()).decode().strip() != READY:
                return failed
            into.write(order.model_dump_json().encode() + b"\n")
            await into.drain()
            async for line in out:
                answer = Answer.model_validate_json(line)
                if answer.done or answer.reason:
                    return answer.reason
                told(answer.progress)
        except (ValidationError, ValueError, ConnectionError) as error:
            _log.warning("A helper process broke off: %s.", type(error).__name__)
        return failed

    async def stop(self) -> None:
        """End it and whatever it started, now; wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class Spare:
    """Keeps one helper of a module ready, since importing takes longer than most computations."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._ready: Helper | None = None
        self._taken: set[Helper] = set()

    async def __aenter__(self) -> Self:
        await self.refill()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        helpers = {*self._taken, *([self._ready] if self._ready else [])}
        await asyncio.gather(*(helper.stop() for helper in helpers))

    async def refill(self) -> None:
        """Make sure that one is ready, or getting so."""
        if self._ready is None or not self._ready.alive:
            self._ready = await Helper.start(self._module)

    async def run(self, order: Model, told: Callable[[float], None], failed: Reason) -> Reason | None:
        """As `Helper.run`, by the one that is ready. Cancelling this kills it."""
        helper, self._ready = self._ready, None
        if helper is None or not helper.alive:
            helper = await Helper.start(self._module)
        self._taken.add(helper)
        try:
            return await helper.run(order, told, failed)
        finally:
            await asyncio.shield(helper.stop())
            self._taken.discard(helper)
