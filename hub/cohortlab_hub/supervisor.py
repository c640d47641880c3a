"""Runs a workbench in the foreground: JupyterHub (with proxy, service and sessions under it) and local sites; stops all.

Signals wake a select, so that nothing polls while it waits for them. Every child leads its own process group, hears
nothing of a terminal's Ctrl-C, and is told to end by this process; on Linux the kernel tells it when this one is killed.
"""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self

from cohortlab.errors import CohortlabError
from cohortlab_hub.sessions.isolate import ended_with_parent

_ENDS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Interrupted(CohortlabError):  # noqa: N818 - not an error: somebody asked for the end
    """Somebody asked for the end: Ctrl-C, SIGTERM or a closed terminal."""

    code = "interrupted"


class Signals:
    """While entered: the signals that ask for an end, and those of ended children, are noted and wake `wait`."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._old: dict[signal.Signals, object] = {}
        self.asked = 0

    def __enter__(self) -> Self:
        self._read.setblocking(False)
        self._write.setblocking(False)
        for number in (*_ENDS, signal.SIGCHLD):
            self._old[number] = signal.signal(number, self._note)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, old in self._old.items():
            signal.signal(number, old)  # type: ignore[arg-type]  # what signal.signal gave
        self._read.close()
        self._write.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in _ENDS:
            self.asked += 1

    def wait(self, seconds: float | None = None) -> None:
        """Return when a signal came, or after `seconds`."""
        if select.select([self._read], [], [], seconds)[0]:
            self._read.recv(4096)

    def check(self) -> None:
        """Raise `Interrupted` when an end was asked for."""
        if self.asked:
            raise Interrupted("Interrupted.")


class Child:
    """A process of the workbench. `log`: where its output goes."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                [*ended_with_parent(), *command],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end."""
        if self.code is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it and its process group at once."""
        if self.code is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def stop(children: Sequence[Child], signals: Signals, seconds: float = 30.0) -> None:
    """End `children`; those that still run after `seconds`, or when an end is asked for once more, are killed."""
    asked, deadline = signals.asked, time.monotonic() + seconds
    for child in children:
        child.end()
    while any(child.code is None for child in children) and time.monotonic() < deadline and signals.asked == asked:
        signals.wait(min(1.0, max(0.0, deadline - time.monotonic())))
    for child in children:
        child.kill()


@contextmanager
def stopping(children: list[Child], signals: Signals) -> Iterator[None]:
    """Whatever happens inside, `children` are stopped after it, last started first."""
    try:
        yield
    finally:
        stop(children[::-1], signals)


def run_to_end(works: Iterable[Iterator[Child]], signals: Signals, at_once: int = 1) -> None:
    """Go through `works`, `at_once` side by side. A work gives a child that it has started, and goes on when that one has ended.

    Raises what a work raises, and `Interrupted` when an end is asked for; children that still run are interrupted first.
    """
    more, children = iter(works), dict[Iterator[Child], Child]()

    def go_on(work: Iterator[Child]) -> None:
        child = next(work, None)
        if child is None:
            children.pop(work, None)
        else:
            children[work] = child

    try:
        while True:
            for work in [work for work, child in children.items() if child.code is not None]:
                go_on(work)
            while len(children) < at_once and (begun := next(more, None)) is not None:
                go_on(begun)
            if not children:
                return
            signals.wait()
            signals.check()
    finally:
        for child in children.values():
            child.end(signal.SIGINT)
        stop(list(children.values()), signals, seconds=10.0)
