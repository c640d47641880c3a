"""`launch()`: a form for a federated job in a notebook, its live progress, and its result as a chart.

The traits hold what the form offers and what was chosen, how far each site is, and released numbers; nothing else. A thread
follows the job and sets the traits, so progress is live after the cell is done and also while the kernel computes.
"""

import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import traitlets as t

from cohortlab.errors import CohortlabError, InvalidInputError
from cohortlab.federation import jobs
from cohortlab.federation.contracts import Federation, JobState, JobView
from cohortlab.federation.jobs import Job
from cohortlab.federation.line import Line
from cohortlab.federation.result import Result
from cohortlab.viewer.assets import stub_esm

_WITH_RESULT = {JobState.SUCCEEDED, JobState.PARTIAL}


class JobForm(anywidget.AnyWidget):
    """The form. `job` is the job that was submitted with it last, `result()` its result.

    Attributes:
        form: what is chosen: dataset, task, sites, parameters, project, purpose.
        offer: what can be chosen. Read-only.
        progress: the submitted job as the hub tells it; empty before. Read-only.
        outcome: its result's numbers; empty before. Read-only.
        problem: why the last action did not work: message and hint. Read-only.
    """

    offer = t.Dict(read_only=True).tag(sync=True)
    form = t.Dict().tag(sync=True)
    progress = t.Dict(read_only=True).tag(sync=True)
    outcome = t.Dict(read_only=True).tag(sync=True)
    problem = t.Dict(read_only=True).tag(sync=True)

    def __init__(self, line: Line, offer: Federation, form: Mapping[str, Any]) -> None:
        self._lock = threading.RLock()
        self._line = line
        self._stop = threading.Event()
        self.job: Job | None = None
        self._esm = stub_esm("launch")
        self.set_trait("offer", offer.model_dump(mode="json"))
        super().__init__(form=dict(form))
        self.on_msg(self._heard)

    def set_state(self, sync_data: Any) -> None:
        """Take what the browser sent; never at the same moment as the following thread sets a trait."""
        with self._lock:
            super().set_state(sync_data)

    def _set(self, **traits: Any) -> None:
        with self._lock:
            for name, value in traits.items():
                self.set_trait(name, value)

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A button of the form."""
        action = content.get("action") if isinstance(content, dict) else None
        try:
            if action == "submit":
                if isinstance(content.get("form"), dict):
                    self._set(form=content["form"])
                self.submit()
            elif action == "cancel":
                self.cancel()
            elif action == "refresh":
                self._set(offer=jobs.federation(self._line).model_dump(mode="json"), problem={})
        except CohortlabError as error:
            self._set(problem={"message": error.message, "hint": error.hint, "code": error.code})

    def submit(self) -> Job:
        """Submit what the form says, as its button does. Raises as `cl.jobs.submit`."""
        if self.job is not None and not self.job.state.final:
            raise InvalidInputError(
                "A job of this form is under way.", hint="Wait for it, cancel it, or open another form with cl.launch()."
            )
        chosen = self.form
        self._set(problem={}, progress={}, outcome={})
        job = jobs.submit(
            str(chosen.get("dataset", "")),
            str(chosen.get("task", "histogram")),
            project=str(chosen.get("project", "")),
            sites=[str(site) for site in chosen.get("sites", ())],
            parameters=chosen.get("parameters", {}),
            purpose=str(chosen.get("purpose", "")),
            idempotency_key=secrets.token_hex(16),
            line=self._line,
        )
        self.job = job
        self._show(job.view)
        threading.Thread(target=self._follow, args=(job,), name=f"cohortlab-{job.id}", daemon=True).start()
        return job

    def cancel(self) -> None:
        """Cancel the job, as the form's button does. Raises `IntegrityError` when it is over."""
        if self.job is not None:
            self._show(self.job.cancel().view)

    def result(self) -> Result:
        """The result of the job, once it has one. Raises `NotFoundError` before, `InvalidInputError` when nothing was submitted."""
        if self.job is None:
            raise InvalidInputError("Nothing was submitted with this form yet.")
        return self.job.result()

    def close(self) -> None:
        """Remove the widget and stop following the job, which goes on."""
        self._stop.set()
        super().close()

    def _show(self, view: JobView) -> None:
        self._set(progress=view.model_dump(mode="json"))

    def _follow(self, job: Job) -> None:
        """In a thread of its own: show the job until it is over, then its result."""
        watched = Job(self._line, job.view)
        try:
            for view in watched.follow(self._stop):
                job.view = view
                if not view.state.final:
                    self._show(view)
            if watched.state in _WITH_RESULT and not self._stop.is_set():
                self._set(outcome=_numbers(watched.result()))
            self._show(watched.view)
        except CohortlabError as error:
            self._set(problem={"message": error.message, "hint": error.hint, "code": error.code})

    def __repr__(self) -> str:
        """What the form is, or how its job is."""
        said = (
            f"{self.job.view.task} on {self.job.view.dataset}, {self.job.state.value}, {self.job.summary}" if self.job else "not submitted"
        )
        return f"Cohortlab job: {said}."

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for readers without one a line that says what it was."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/plain"] = f"{self!r} Run the cell in a session to see it."
        return bundle


def _numbers(result: Result) -> dict[str, Any]:
    """The result as the chart needs it."""
    merged = result.merged.model_dump(mode="json")
    sites = [{"site": name, "minimum_count": site.minimum_count, "suppressed": site.suppressed} for name, site in result.sites.items()]
    table = {name: site.model_dump(mode="json", include={"count", "moments", "subjects", "series"}) for name, site in result.sites.items()}
    return {"merged": merged, "sites": [site | table[str(site["site"])] for site in sites], "summary": result.summary}


def launch(
    dataset: str | None = None,
    task: str = "histogram",
    *,
    sites: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    project: str | None = None,
    purpose: str = "",
) -> JobForm:
    """A form for a federated job: choose, submit, watch, see the result. Everything in it can also be done with `cl.jobs`.

    Args:
        dataset: the dataset chosen at first; the first that you may run jobs on when left out.
        task: the task.
        sites: the sites chosen at first; all that hold the dataset when left out.
        parameters: the task's parameters; its defaults where left out.
        project: the project; your first one when left out.
        purpose: DUO code; the project's own when left out.

    Raises:
        UnavailableError: this is not a session of a hub, or the hub does not answer.
    """
    line = Line.shared()
    offer = jobs.federation(line)
    ids = [d.id for d in offer.datasets]
    chosen = dataset or (ids[0] if ids else "")
    known = next((d for d in offer.datasets if d.id == chosen), None)
    form = {
        "dataset": chosen,
        "task": task,
        "sites": list(sites) if sites is not None else [s.name for s in known.sites] if known else [],
        "parameters": dict(parameters or {}),
        "project": project or (offer.projects[0].id if offer.projects else ""),
        "purpose": purpose,
    }
    return JobForm(line, offer, form)
