"""`cohortlab jobs`: list, show, submit and cancel federated jobs from a terminal."""

import json
from typing import Annotated, Any

import typer

from cohortlab.errors import InvalidInputError
from cohortlab.federation import jobs as client
from cohortlab.federation.contracts import JobState

jobs = typer.Typer(
    no_args_is_help=True, help="Federated jobs: list, show, submit, cancel. Needs COHORTLAB_SERVICE_URL and JUPYTERHUB_API_TOKEN."
)

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_ID = Annotated[str, typer.Argument(help="The job's id.")]


def _say(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


@jobs.command("list")
def list_jobs(*, as_json: _JSON = False, limit: Annotated[int, typer.Option(min=1, max=200, help="At most this many.")] = 50) -> None:
    """Your jobs, newest first."""
    found = client.list(limit)
    if as_json:
        _say([job.view.model_dump(mode="json") for job in found])
        return
    for job in found:
        typer.echo(f"{job.id}  {job.view.created:%Y-%m-%d %H:%M}  {job.view.task} on {job.view.dataset}  {job.state.value}  {job.summary}")


@jobs.command()
def show(job_id: _ID, *, as_json: _JSON = False) -> None:
    """One job: where it stands, and its result when it has one."""
    job = client.get(job_id)
    has_result = job.state in {JobState.SUCCEEDED, JobState.PARTIAL}
    if as_json:
        _say(job.result().to_dict() if has_result else {"job": job.view.model_dump(mode="json")})
        return
    typer.echo(repr(job.result()) if has_result else _lines(job))


def _lines(job: client.Job) -> str:
    head = f"{job.id}: {job.view.task} on {job.view.dataset} is {job.state.value}, {job.summary} released"
    return "\n".join([head, *(f"  {site}  {state}" for site, state in job.sites.items())])


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidInputError(f"{text!r} is not NAME=VALUE.", hint="For example --parameter bins=64.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@jobs.command()
def submit(
    dataset: Annotated[str, typer.Argument(help="Id of a federated dataset.")],
    *,
    task: Annotated[str, typer.Option(help="What to compute.")] = "histogram",
    project: Annotated[str | None, typer.Option(help="The project it is for; may be left out when you have one.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="A site to run at; repeat it. Left out: all.")] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; repeat it.")] = None,
    purpose: Annotated[str, typer.Option(help="DUO code; left out: the project's.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait until it is over and show the result.")] = False,
    as_json: _JSON = False,
) -> None:
    """Submit a job. With --wait, exit code 1 when it ends without a result."""
    parameters = dict(_parameter(text) for text in parameter or [])
    job = client.submit(dataset, task, project=project, sites=site, parameters=parameters, purpose=purpose)
    if wait:
        job.wait()
        show(job.id, as_json=as_json)
        if job.state not in {JobState.SUCCEEDED, JobState.PARTIAL}:
            raise typer.Exit(1)
        return
    if as_json:
        _say(job.view.model_dump(mode="json"))
    else:
        typer.echo(_lines(job))


@jobs.command()
def cancel(job_id: _ID, *, as_json: _JSON = False) -> None:
    """Cancel a job."""
    job = client.get(job_id).cancel()
    if as_json:
        _say(job.view.model_dump(mode="json"))
    else:
        typer.echo(_lines(job))
