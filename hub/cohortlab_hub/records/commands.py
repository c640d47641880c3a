"""`cohortlab backup` and `cohortlab restore`: the records and the audit in one file."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from cohortlab.errors import RefusedError
from cohortlab.keys import PrivateKey, load_key
from cohortlab_hub.records import archive
from cohortlab_hub.settings import Settings
from cohortlab_hub.settings_file import load

Workbench = Annotated[Path, typer.Option(envvar="COHORTLAB_WORKBENCH", help="The workbench.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
_DEMO = Path(".demo/workbench.yaml")
_NAME: Final = re.compile(r"records-\d{8}T\d{6}Z\.zip")


def _key(settings: Settings) -> PrivateKey | None:
    return load_key(settings.federation.key) if settings.federation is not None else None


def _told(file: Path, summary: archive.Summary, done: str, *, as_json: bool) -> None:
    rows = sum(table.rows for table in summary.tables.values())
    if as_json:
        facts = {"file": str(file), "rows": rows, "events": summary.audit_events, "last_digest": summary.audit_digest}
        typer.echo(json.dumps({**facts, "signed": summary.signature is not None}))
    else:
        signed = "signed" if summary.signature is not None else "not signed: this workbench has no key"
        typer.echo(
            f"{done} {file}: {rows} rows, {summary.audit_events} audit events ({signed}). Digest of the last: {summary.audit_digest}"
        )


def backup(
    target: Annotated[Path, typer.Argument(help="A file that is not there yet, or a folder: the name is then made from the time.")],
    *,
    keep: Annotated[int | None, typer.Option(min=1, help="In a folder: remove the oldest beyond this many.")] = None,
    workbench: Workbench = _DEMO,
    as_json: Json = False,
) -> None:
    """Write the records (grants, leases, jobs, audit) to one file, while the workbench runs. Not in it: keys, JupyterHub's database."""
    settings = load(workbench)
    if keep is not None and not target.is_dir():
        raise RefusedError("--keep needs a folder.", hint="Name a folder instead of a file.")
    file = target / f"records-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip" if target.is_dir() else target
    summary = archive.dump(settings.database_url, file, _key(settings))
    if keep is not None:
        mine = sorted(path for path in target.iterdir() if _NAME.fullmatch(path.name))
        for old in mine[:-keep]:
            old.unlink()
    _told(file, summary, "Wrote", as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="What `cohortlab backup` wrote.")],
    *,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Also take one that this workbench's key has not signed.")] = False,
    workbench: Workbench = _DEMO,
    as_json: Json = False,
) -> None:
    """Put a backup into the workbench's empty database, with the workbench stopped: all of it or nothing. The audit chain is verified."""
    settings = load(workbench)
    key = None if unsigned else _key(settings)
    summary = archive.restore(settings.database_url, file, key.public if key is not None else None)
    _told(file, summary, "Restored", as_json=as_json)
