"""Ingests a folder as a process of its own, in worker processes however little there is to do. Prints progress and its peak memory."""

import resource
import sys
from pathlib import Path

from cohortlab.deidentify import gate
from cohortlab.deidentify.report import Options
from cohortlab.errors import CohortlabError


def main() -> int:
    source, root, key, workers = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    gate._WORTH_A_PROCESS = 1

    def progress(what: str, done: int, _total: int) -> None:
        sys.stdout.write(f"{what} {done}\n")
        sys.stdout.flush()

    try:
        report = gate.ingest([source], "made", root, Options(key=key, deidentify=True, synthetic=True, workers=workers, progress=progress))
    except CohortlabError as error:
        sys.stdout.write(f"{error.code}: {error.message}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"accepted {len(report.accepted)} refused {len(report.refused)}\n")
    sys.stdout.write(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
