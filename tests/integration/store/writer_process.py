"""Writes a store as a process of its own, for tests that kill, interrupt or starve it. Prints a line for each slice.

Each line fills a pipe of the smallest size, so that the writer waits for its reader: what is done to it at a line hits it near there,
however late the reader wakes up.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cohortlab.errors import CohortlabError
from cohortlab.keys import load_key
from cohortlab.store import ManifestFields, StoreWriter
from dicom_samples import instance

FIELDS = ManifestFields(title="Killed", deidentification={}, gate="test", verdict="accepted")


def say(word: str) -> None:
    sys.stdout.write(f"{word:4095}\n")
    sys.stdout.flush()


def main() -> int:
    root, key, series, slices = Path(sys.argv[1]), load_key(Path(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
    noise = np.random.default_rng(1)
    try:
        with StoreWriter(root, "killed", "1.0.0", on_slice=lambda: say("slice")) as writer:
            say("begun")
            for number in range(series):
                pixels = [noise.integers(0, 4000, (256, 256), dtype=np.uint16) for _ in range(slices)]
                made = [instance(n + 1, position=(0, 0, n), pixels=p, series=f"2.25.{number + 1}") for n, p in enumerate(pixels)]
                writer.add_series(made, {})
            say("finishing")
            writer.finish(FIELDS, key)
    except CohortlabError as error:
        say(f"{error.code}: {error.message}")
        return 1
    except KeyboardInterrupt:
        return 130
    for word in ("finished", "", "", ""):  # it waits at its end too
        say(word)
    return 0


if __name__ == "__main__":
    sys.exit(main())
