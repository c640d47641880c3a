"""Starts `cohortlab up` as a user does, and finds what it leaves behind."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar

MAIN = [sys.executable, "-c", "from cohortlab.cli import main; main()"]


def processes(mark: str) -> list[int]:
    """Ids of the processes, zombies aside, that have `mark` in their command line or environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in text:
            found.append(int(folder.name))
    return found


class Running:
    """A workbench started with `arguments` of `cohortlab up`, by way of `prefix`; `address` and `password` as it printed them."""

    alive: ClassVar[list["Running"]] = []

    def __init__(self, arguments: Sequence[str], prefix: Sequence[str] = (), **environment: str) -> None:
        self.mark = uuid.uuid4().hex
        env = os.environ | {"PYTHONUNBUFFERED": "1", "COHORTLAB_TEST_MARK": self.mark} | environment
        self.process = subprocess.Popen(
            [*prefix, *MAIN, "up", *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.output: IO[str] = self.process.stdout
        self.said: list[str] = []
        self.alive.append(self)
        self.address = self.password = ""

    def until(self, pattern: str) -> re.Match[str]:
        """Read its output up to a line that matches; fails with all of it when it ends before."""
        for line in self.output:
            self.said.append(line)
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError(f"ended with {self.process.wait()} and said:\n{''.join(self.said)}")

    def ready(self) -> "Running":
        """Wait until it says that it is."""
        self.address = self.until(r"is ready: +(\S+)").group(1)
        self.password = self.until(r"password +(\S+)").group(1)
        return self

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        if not self.output.closed:
            self.said.extend(self.output)
            self.output.close()
        if self in self.alive:
            self.alive.remove(self)
        return self.process.wait(timeout=60)
