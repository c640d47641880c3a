"""Quarantine: refused files, untouched, each series in a folder of its own, with a report of reasons and tag names, never values."""

import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cohortlab.deidentify.report import Outcome
from cohortlab.errors import StorageError


class Quarantine:
    """A new folder under `root` for one run; made when the first file comes. Only its owner can look into it."""

    def __init__(self, root: Path, dataset: str, version: str) -> None:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.folder = root / f"{dataset}-{version}-{moment}-{os.getpid()}"

    def take(self, outcome: Outcome, sources: Iterable[Path]) -> Path:
        """Copy the files of a refused series; returns their folder. Raises `StorageError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            place = self.folder / outcome.name
            place.mkdir(exist_ok=True, mode=0o700)
            count = sum(1 for _ in place.iterdir())
            for number, source in enumerate(sources, count + 1):
                shutil.copyfile(source, place / f"{number:06d}.dcm")
        except OSError as error:
            raise StorageError(f"The quarantine folder {self.folder} cannot be written: {error.strerror}.") from None
        return place

    def close(self, outcomes: Iterable[Outcome]) -> None:
        """Write ``report.json``, if anything was taken."""
        if not self.folder.exists():
            return
        refused = [o.model_dump_json(exclude={"place", "removed", "shape"}) for o in outcomes if not o.accepted]
        try:
            (self.folder / "report.json").write_text("[\n" + ",\n".join(refused) + "\n]\n", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"The quarantine folder {self.folder} cannot be written: {error.strerror}.") from None
