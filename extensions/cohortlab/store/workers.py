"""Work in processes of our own: a bounded number, each with one piece at a time, answers in the order of the pieces.

Made for work on series: a piece is large, its answer small, and the process may need things from the one that started it while it works
(`Line.ask`) and tells how far it is (`Line.tell`). A worker ends when the process that started it ends, however that ends, and at
once when that one is interrupted. One that dies, as when memory runs out, is an error, not a hang.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, Protocol, cast

from cohortlab.errors import CohortlabError, UnavailableError

_SPAWN: Final = multiprocessing.get_context("spawn")  # a fork would copy threads' locks, those of zarr and of progress bars among them


class Line(Protocol):
    """From a piece of work to whoever ordered it."""

    def ask(self, question: str) -> Any:
        """An answer of the ordering process."""
        ...

    def tell(self, *news: Any) -> None:
        """Progress, passed on as it is."""
        ...


@dataclass(frozen=True)
class _Here:
    """The line of work that is done in this process."""

    ask: Callable[[str], Any]
    tell: Callable[..., None]


class _Remote:
    """The line of a worker process."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._pipe = pipe

    def ask(self, question: str) -> Any:
        self._pipe.send(("ask", question))
        return self._pipe.recv()

    def tell(self, *news: Any) -> None:
        self._pipe.send(("tell", news))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    work: Callable[[Any, Line], Any],
    pieces: Sequence[Any],
    *,
    processes: int,
    answer: Callable[[str], Any] = lambda _question: None,
    hear: Callable[..., None] = lambda *_news: None,
) -> Iterator[Any]:
    """``work(piece, line)`` of each piece, in their order, in up to `processes` at once; in this one when that is 1.

    work: a function of a module, that and pieces and results go through pickle. answer: what `Line.ask` gets, hear: what `Line.tell`
    says, both called here. The first error ends all workers and is raised; `UnavailableError` when a worker was killed.
    """
    if min(processes, len(pieces)) <= 1:
        here = _Here(answer, hear)
        for piece in pieces:
            yield work(piece, here)
        return
    crew = [_Worker(work) for _ in range(min(processes, len(pieces)))]
    try:
        yield from _serve(crew, pieces, answer, hear)
    finally:
        for worker in crew:
            worker.end()


def _serve(crew: "list[_Worker]", pieces: Sequence[Any], answer: Callable[[str], Any], hear: Callable[..., None]) -> Iterator[Any]:
    results: dict[int, Any] = {}
    begun = 0
    for given in range(len(pieces)):
        while given not in results:
            for worker in crew:  # not more than a few answers ahead of the one that is waited for
                if worker.piece is None and begun < min(len(pieces), given + 4 * len(crew)):
                    worker.begin(begun, pieces[begun])
                    begun += 1
            busy = {worker.pipe: worker for worker in crew if worker.piece is not None}
            for pipe in wait(list(busy)):
                busy[cast("Connection[Any, Any]", pipe)].hear(results, answer, hear)
        yield results.pop(given)


class _Worker:
    """One process, seen from the one that started it."""

    def __init__(self, work: Callable[[Any, Line], Any]) -> None:
        self.pipe, there = _SPAWN.Pipe()
        self.piece: int | None = None
        self._process: BaseProcess = _SPAWN.Process(target=_main, args=(there, work), daemon=True, name="cohortlab-worker")
        self._process.start()
        there.close()

    def begin(self, number: int, piece: Any) -> None:
        self.piece = number
        with suppress(BrokenPipeError):  # it died: `hear` says so
            self.pipe.send(piece)

    def hear(self, results: dict[int, Any], answer: Callable[[str], Any], hear: Callable[..., None]) -> None:
        """Take one message. Raises the worker's error, or `UnavailableError` when it is dead."""
        try:
            kind, value = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise UnavailableError(
                f"A worker process ended in the middle of its work (exit code {self._process.exitcode}).",
                hint="It may have run out of memory: use fewer workers.",
            ) from None
        match kind:
            case "tell":
                hear(*value)
            case "ask":
                with suppress(BrokenPipeError):
                    self.pipe.send(answer(value))
            case "failed":
                raise value
            case _:
                results[cast("int", self.piece)], self.piece = value, None

    def end(self) -> None:
        self.pipe.close()
        self._process.kill()
        self._process.join()
        self._process.close()


def _main(pipe: "Connection[Any, Any]", work: Callable[[Any, Line], Any]) -> None:
    """A worker: pieces in, results out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the process that started this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    line = _Remote(pipe)
    while True:
        try:
            piece = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            message = "done", work(piece, line)
        except CohortlabError as error:
            message = "failed", error
        pipe.send(message)


def _end_with_parent() -> None:
    """Wait until the process that started this one is gone, and go at once: what it wrote is no longer wanted."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        sys.stdout.flush()
        os._exit(1)
