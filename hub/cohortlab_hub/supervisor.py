"""Runs a workbench in the foreground: JupyterHub (with proxy, service and sessions under it) and local sites; stops all.

Signals wake a select, so that nothing polls while it waits for them. Every child leads its own process group, hears
nothing of a terminal's Ctrl-C, and is told to end by this process; on Linux the kernel tells it when this one is killed.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self

from cohortlab.errors import CohortlabError

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
        if sys.platform == "linux":
            command = [sys.executable, "-m", "cohortlab_hub.child", *command]
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
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


def run_to_end(child: Child, signals: Signals) -> int:
    """Wait for `child`; its exit code. When an end is asked for meanwhile it is interrupted first; raises `Interrupted`."""
    while (code := child.code) is None:
        signals.wait()
        if signals.asked:
            child.end(signal.SIGINT)
            stop([child], signals, seconds=10.0)
            signals.check()
    return code
