"""A real demo workbench for the browser tests: `cohortlab up` in a process of its own."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY = re.compile(r"ready:\s+(http://\S+)")
PASSWORD = re.compile(r"password\s+(\S+)")
SET_UP_SECONDS = 900  # a minute or two alone; generous, since other work may share the machine


@dataclass(frozen=True)
class Demo:
    """Where the workbench listens, and the accounts' shared password."""

    address: str
    password: str
    state: Path


@contextmanager
def demo(state: Path) -> Iterator[Demo]:
    """Start the demo in `state` on a free port; stop it by SIGINT, as Ctrl-C does, and expect it to end by itself."""
    command = Path(sys.executable).with_name("cohortlab")
    process = subprocess.Popen(
        [str(command), "up", "--state", str(state), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watchdog = threading.Timer(SET_UP_SECONDS, process.kill)
    watchdog.start()
    try:
        yield _ready(process, state)
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _ready(process: subprocess.Popen[str], state: Path) -> Demo:
    seen: list[str] = []
    address = ""
    for line in process.stdout or ():
        seen.append(line)
        if found := READY.search(line):
            address = found[1]
        elif address and (found := PASSWORD.search(line)):
            return Demo(address, found[1], state)
    raise AssertionError("the demo did not start:\n" + "".join(seen))
