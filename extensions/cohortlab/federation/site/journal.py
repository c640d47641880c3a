"""The site's memory: every ticket it took, on disk before anything is done, so that a restart knows what was under way.

One file a ticket, replaced atomically. A ticket stays until it has expired: as long as it is remembered, it cannot be
used again, and after that its own time refuses it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from cohortlab.errors import StorageError, UnavailableError
from cohortlab.federation.contracts import Model, Parameters, Release, Ticket

_KEEP = 3600
"""Seconds for which a delivered ticket is remembered after it expired: more than two clocks can differ."""


class Phase(StrEnum):
    """How far a ticket is: taken, being computed, its release written, its release with the hub."""

    TAKEN = "taken"
    RUNNING = "running"
    DONE = "done"
    DELIVERED = "delivered"


class Entry(Model):
    """One ticket. `attempts` counts the computations begun."""

    ticket: Ticket
    token: Annotated[str, StringConstraints(max_length=4096)]
    parameters: Parameters
    phase: Phase = Phase.TAKEN
    attempts: Annotated[int, Field(ge=0)] = 0
    release: Release | None = None


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file that only its owner can read; after a crash the old or the new one is there, whole.

    Raises `StorageError`.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from None


class Journal:
    """The entries by ticket id. A container of the ids of all tickets taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, Entry] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in sorted(folder.glob("ticket-*.json")):
                entry = Entry.model_validate_json(path.read_text(encoding="utf-8"))
                self._entries[entry.ticket.jti] = entry
        except OSError as error:
            raise StorageError(f"{folder} cannot be used: {error.strerror}.") from None
        except ValidationError:
            raise StorageError(f"{path} is damaged.", hint="Move it away; its job counts as lost.") from None

    def __contains__(self, ticket: object) -> bool:
        return ticket in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def get(self, ticket: str) -> Entry | None:
        """The entry of a ticket, or None."""
        return self._entries.get(ticket)

    def put(self, entry: Entry) -> None:
        """Write an entry, then know it. Raises `StorageError`."""
        write_private(self._folder / f"{entry.ticket.jti}.json", entry.model_dump_json())
        self._entries[entry.ticket.jti] = entry

    def forget(self, now: float) -> None:
        """Forget delivered tickets that expired long enough ago."""
        for entry in self:
            if entry.phase is Phase.DELIVERED and entry.ticket.exp + _KEEP < now:
                (self._folder / f"{entry.ticket.jti}.json").unlink(missing_ok=True)
                del self._entries[entry.ticket.jti]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the site's state folder; raises `UnavailableError` when another agent does."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UnavailableError("Another agent runs with this state folder.", hint="Stop it first.") from None
            yield
    except PermissionError:
        raise StorageError(f"{folder} cannot be written.", hint="Give the agent's user this folder.") from None
