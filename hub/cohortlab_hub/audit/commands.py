"""`cohortlab audit`: read the audit events and check their chain."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cohortlab_hub import records
from cohortlab_hub.audit import chain
from cohortlab_hub.settings_file import load

audit = typer.Typer(help="Who did what to what under which grant.", no_args_is_help=True)

Workbench = Annotated[Path, typer.Option(envvar="COHORTLAB_WORKBENCH", help="The workbench.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
_DEMO = Path(".demo/workbench.yaml")


@audit.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    workbench: Workbench = _DEMO,
    as_json: Json = False,
) -> None:
    """The last events, newest first."""
    with records.opened(load(workbench).database_url) as database:
        found = chain.events(database, limit=limit, newest=True)
    if as_json:
        typer.echo(json.dumps([chain.as_json(event) for event in found], indent=2))
        return
    for event in found:
        typer.echo(f"{event.number}  {event.at}  {event.actor}  {event.action}  {event.target}  {json.dumps(event.details)}")


@audit.command("verify")
def verify(*, workbench: Workbench = _DEMO, as_json: Json = False) -> None:
    """Check that no event was changed, removed or put in between. Exit code 1 when one was."""
    with records.opened(load(workbench).database_url) as database:
        number, digest = chain.verify(database)
    if as_json:
        typer.echo(json.dumps({"ok": True, "events": number, "last_digest": digest}))
    else:
        typer.echo(f"The chain of {number} events is whole. Digest of the last: {digest}")
