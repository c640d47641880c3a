"""What the agent says to its two helper processes, and what they answer: one JSON line each way.

A helper is started ahead of time, imports what it needs, takes one order from its standard input and ends. It ends too
when that input closes, so that nothing outlives the agent. Its answers are numbers and `Reason` codes, never texts.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Annotated, TextIO

from pydantic import Field

from cohortlab.federation.contracts import DatasetId, JobId, Model, Parameters, Reason, TaskName, TicketId
from cohortlab.federation.site.config import KeyText

READY = "ready"
ORPHANED = 3
"""Exit code of a helper whose agent is gone."""


class RunOrder(Model):
    """For the runner: compute `task` over the store at `store`, write the raw result to `raw`."""

    store: Path
    dataset: DatasetId
    trusted: tuple[KeyText, ...]
    task: TaskName
    parameters: Parameters
    raw: Path


class ReleaseOrder(Model):
    """For the release process: check the raw result under the policy, write what may go out to `out`."""

    raw: Path
    out: Path
    policy: Path
    ticket: TicketId
    job: JobId
    task: TaskName


class Answer(Model):
    """From a helper: how far it is; `done` or `reason` end it."""

    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    done: bool = False
    reason: Reason | None = None


class Channel:
    """A helper's end: says it is ready, reads its order, answers. Made first, before any library can print."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # what a library prints goes to the site's log

    def order[M: Model](self, model: type[M]) -> M | None:
        """The order, once it comes; None when the agent needs this helper no more."""
        self._say(READY)
        line = sys.stdin.readline()
        if not line:
            return None
        threading.Thread(target=self._watch, daemon=True).start()
        return model.model_validate_json(line)

    def answer(self, answer: Answer) -> None:
        """Tell the agent."""
        self._say(answer.model_dump_json())

    def _say(self, line: str) -> None:
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except BrokenPipeError:
            os._exit(ORPHANED)

    @staticmethod
    def _watch() -> None:
        sys.stdin.read()
        os._exit(ORPHANED)


def log_failure(error: BaseException) -> None:
    """Write the kind and the place of an error to the site's log: its text may hold values of the data."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    sys.stderr.write(f"failed: {type(error).__name__} at {place}\n")
