"""The commands `cohortlab verify` and `cohortlab datasets`. The image libraries load when one runs, not for `--help`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cohortlab import store
from cohortlab.errors import InvalidInputError
from cohortlab.keys import PublicKey
from cohortlab.store.layout import KEYS_VARIABLE as KEYS
from cohortlab.store.manifest import trusted_keys

_KEY_HELP = f"Trusted public key of the gate, ed25519:… or its .pub file; may be repeated. Default: {KEYS}."


def _keys(given: list[str] | None) -> list[PublicKey]:
    texts = given or [text for text in os.environ.get(KEYS, "").split(",") if text.strip()]
    if not texts:
        raise typer.BadParameter(f"give --key, or set {KEYS}")
    try:
        return trusted_keys(texts)
    except InvalidInputError as error:
        raise typer.BadParameter(error.message) from None


def verify(
    path: Annotated[Path, typer.Argument(metavar="STORE", help="The store: the folder that holds dataset.json.")],
    key: Annotated[list[str] | None, typer.Option(help=_KEY_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Recompute a store's signature, digests and pixels. Exit code 0: as signed; 1: not."""
    trusted = _keys(key)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=None)
        report = store.verify_store(path, trusted, lambda done, total: progress.update(task, completed=done, total=total))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    elif report.ok:
        size = f"{report.objects} objects, {report.bytes / 1e6:.1f} MB, {report.series} series"
        typer.echo(f"{report.dataset} {report.version} is as signed by key {report.key_id}: {size}.")
    else:
        typer.echo(f"{path} is not as signed: {len(report.findings)} finding(s).", err=True)
        for finding in report.findings:
            typer.echo(f"  {finding.problem:10} {finding.path}: {finding.message}", err=True)
    raise typer.Exit(0 if report.ok else 1)


def datasets(
    folder: Annotated[Path | None, typer.Argument(help="Folder of mounted datasets or a store root. Default: the session's.")] = None,
    key: Annotated[list[str] | None, typer.Option(help=_KEY_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the datasets in a folder whose signature verifies. Exit code 1 when one does not."""
    if folder is not None and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder")
    found = store.datasets(folder, _keys(key))
    if as_json:
        rows = [
            {
                "id": s.id,
                "version": s.version,
                "title": s.title,
                "series": len(s),
                "segmentations": len(s.segmentations),
                "access_condition": s.manifest.access_condition.value,
                "path": str(s.path),
            }
            for s in found
        ]
        typer.echo(json.dumps({"datasets": rows, "problems": [{"path": p, "message": m} for p, m in found.problems]}))
    elif found:
        table = Table("id", "version", "title", "series", "segmentations", "access")
        for s in found:
            table.add_row(s.id, s.version, s.title, str(len(s)), str(len(s.segmentations)), s.manifest.access_condition.value)
        Console().print(table)
    else:
        typer.echo(f"No dataset in {found.folder}.")
    if not as_json:
        for name, why in found.problems:
            typer.echo(f"{name}: {why}", err=True)
    raise typer.Exit(1 if found.problems else 0)
