"""The command line of `cohortlab` in this Python."""

import sys


def command(*arguments: object) -> list[str]:
    """What `subprocess` takes."""
    return [sys.executable, "-c", "from cohortlab.cli import main; main()", *map(str, arguments)]
