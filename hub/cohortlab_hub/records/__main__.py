"""``python -m cohortlab_hub.records FILE``: brings the records up to date; the first line of FILE is their database's URL."""

import sys
from pathlib import Path

from cohortlab.errors import CohortlabError
from cohortlab_hub.records.migrate import migrate


def main(arguments: list[str]) -> int:
    """Exit code 0 done, 1 with a sentence for a known error, 2 wrong usage."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m cohortlab_hub.records FILE\n")
        return 2
    try:
        migrate(Path(arguments[0]).read_text(encoding="utf-8").strip())
    except (CohortlabError, OSError) as error:
        sys.stderr.write(f"cohortlab: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
