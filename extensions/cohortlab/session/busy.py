"""Whether work goes on in a session: a running kernel, a program in a terminal, a job in the background.

Jupyter counts a message of a kernel and a key press as activity. A cell that computes for hours without printing, a program in
a terminal that nobody looks at, and a job that was sent to the background are none to it. Here a kernel counts while it runs
something, and any other process of the session while it uses a processor: an editor or a shell that only waits does not.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_LEAST = 0.02  # of a processor, since the last look: less is a program that waits and now and then looks at the clock
_STATE, _PARENT, _USER, _SYSTEM, _STARTED = 0, 1, 11, 12, 19  # fields of /proc/PID/stat (proc(5)) after the name in brackets


@dataclass(frozen=True, slots=True)
class Process:
    """A process at a moment. `started` tells it from another one of the same id later; `seconds`: of a processor, so far."""

    id: int
    parent: int
    started: int
    seconds: float


def processes(proc: Path = Path("/proc")) -> dict[int, Process]:
    """This user's processes, by id. Empty where there is no ``/proc``."""
    ticks, me = os.sysconf("SC_CLK_TCK"), os.getuid()
    found: dict[int, Process] = {}
    if not proc.is_dir():
        return found
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.stat().st_uid != me:
                continue
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        used = (int(fields[_USER]) + int(fields[_SYSTEM])) / ticks
        found[int(folder.name)] = Process(int(folder.name), int(fields[_PARENT]), int(fields[_STARTED]), used)
    return found


def working(before: Mapping[int, Process], after: Mapping[int, Process], seconds: float, *, but: Collection[int]) -> list[int]:
    """Ids of processes that used a processor in the `seconds` between two looks, except those in `but` (server, kernels).

    A kernel's children count: a data loader, a program that a notebook started in the background.
    """
    busy = []
    for one in after.values():
        known = before.get(one.id)
        earlier = known.seconds if known is not None and known.started == one.started else 0.0
        if one.id not in but and one.seconds - earlier >= _LEAST * seconds:
            busy.append(one.id)
    return sorted(busy)


def running(states: Iterable[str]) -> bool:
    """Whether one of the kernels with these execution states runs something."""
    return any(state == "busy" for state in states)
