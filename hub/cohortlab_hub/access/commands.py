"""`cohortlab grants`: what a steward does, from the machine of the workbench."""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import records
from cohortlab_hub.access import grants as record
from cohortlab_hub.access.grants import GrantRecord, NewGrant
from cohortlab_hub.settings_file import load

grants = typer.Typer(help="Who may use which dataset: add, list and revoke grants.", no_args_is_help=True)

Workbench = Annotated[Path, typer.Option(envvar="COHORTLAB_WORKBENCH", help="The workbench.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
_DEMO = Path(".demo/workbench.yaml")


def _actor() -> str:
    return f"command:{getpass.getuser()}"


def _show(found: list[GrantRecord], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([grant.model_dump(mode="json") for grant in found], indent=2))
        return
    for grant in found:
        state = f"revoked {grant.revoked_at:%Y-%m-%d}" if grant.revoked_at else f"until {grant.until:%Y-%m-%d}" if grant.until else "no end"
        typer.echo(
            f"{grant.id}  {grant.subject_kind} {grant.subject}  {grant.dataset}  {grant.condition.value}  {state}  by {grant.granted_by}"
        )


@grants.command("add")
def add(
    datasets: Annotated[list[str], typer.Argument(help="Dataset ids.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    person: Annotated[str | None, typer.Option(help="Account name.")] = None,
    group: Annotated[str | None, typer.Option(help="Group, instead of a person.")] = None,
    condition: Annotated[AccessCondition, typer.Option(help="What it allows at most.")] = AccessCondition.IN_SITU_PROCESSING,
    purpose: Annotated[
        str | None, typer.Option(help="Purpose that it is bound to: a DUO code, with a disease DUO:0000007/MONDO:0007254.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="First moment (UTC) that is not allowed.")
    ] = None,
    fulfils: Annotated[
        list[str] | None, typer.Option(help="Modifier of the dataset's terms that was checked, such as DUO:0000021. Repeat for more.")
    ] = None,
    workbench: Workbench = _DEMO,
    as_json: Json = False,
) -> None:
    """Grant a person or a group datasets: all of them, or none when one is not right."""
    if (person is None) == (group is None):
        raise typer.BadParameter("give either --person or --group")
    settings = load(workbench)
    try:
        wanted = [
            NewGrant(
                subject_kind="group" if group else "person",
                subject=group or person or "",
                dataset=dataset,
                condition=condition,
                purpose=purpose,
                until=until.replace(tzinfo=UTC) if until else None,
                fulfils=fulfils or [],
                reason=reason,
            )
            for dataset in datasets
        ]
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors())
        raise InvalidInputError(f"The grant is not right: {wrong}.") from None
    with records.opened(settings.database_url) as database:
        _show([record.add(database, _actor(), new, set(settings.datasets)) for new in wanted], as_json=as_json)


@grants.command("list")
def list_(
    *,
    dataset: Annotated[str | None, typer.Option(help="Only on this dataset.")] = None,
    workbench: Workbench = _DEMO,
    as_json: Json = False,
) -> None:
    """All grants, newest first, revoked ones too."""
    with records.opened(load(workbench).database_url) as database:
        _show(record.listed(database, dataset=dataset, limit=100_000), as_json=as_json)


@grants.command("revoke")
def revoke(
    grant: Annotated[str, typer.Argument(help="Its id, as `cohortlab grants list` shows it.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, for the record and for the person.")],
    for_cause: Annotated[
        bool, typer.Option("--for-cause", help="Stop sessions that have the dataset open at once, without grace.")
    ] = False,
    workbench: Workbench = _DEMO,
    as_json: Json = False,
) -> None:
    """End a grant now. Within a minute a session that has the dataset open by it is warned, and stopped after the operator's grace."""
    with records.opened(load(workbench).database_url) as database:
        _show([record.revoke(database, _actor(), grant, reason, for_cause=for_cause)], as_json=as_json)
