"""``python -m cohortlab_hub.child COMMAND …``: runs the command so that it ends with the process that started it (Linux)."""

import os
import signal
import sys

from cohortlab_hub.sessions.isolate import die_with_parent

if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)  # kept across exec
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted
