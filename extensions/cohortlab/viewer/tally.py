"""Counts what the gateway sent, by person and dataset, for the audit: bytes and cases, not each slice."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Seen:
    """What one person was sent of one dataset since `begin`. Cases are patients, by names that tell nothing."""

    person: str
    dataset: str
    begin: datetime
    answers: int = 0
    bytes: int = 0
    series: set[str] = field(default_factory=set)
    cases: set[str] = field(default_factory=set)


class Tally:
    """Sums up until it is taken. Safe to be used by several threads."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], Seen] = {}
        self._lock = threading.Lock()

    def count(self, person: str, dataset: str, series: str, case: str, size: int) -> None:
        """`size` bytes of pixels of `series` went out to `person`."""
        with self._lock:
            seen = self._seen.setdefault((person, dataset), Seen(person, dataset, datetime.now(UTC)))
            seen.answers += 1
            seen.bytes += size
            seen.series.add(series)
            seen.cases.add(case)

    def take(self) -> list[Seen]:
        """What was counted since it was taken last."""
        with self._lock:
            taken, self._seen = list(self._seen.values()), {}
        return taken
