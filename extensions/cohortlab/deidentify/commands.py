"""The commands `cohortlab ingest` and `cohortlab key`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cohortlab.deidentify.gate import ingest as run
from cohortlab.deidentify.pseudonyms import load_secret, secret_path
from cohortlab.deidentify.report import Options, Outcome, Report
from cohortlab.deidentify.report import Progress as Callback
from cohortlab.errors import StorageError
from cohortlab.keys import create_key, load_key
from cohortlab.store.contracts import AccessCondition, AccessRight
from cohortlab.store.workers import cores

key = typer.Typer(name="key", help="Make and show the gate's signing key.", no_args_is_help=True)

_DEFAULT_KEY = Path("keys/gate.key")


@key.command("create")
def create(file: Annotated[Path, typer.Argument(help="Where the private key goes; FILE.pub and FILE.secret come beside it.")]) -> None:
    """Make an Ed25519 key pair and the secret of the pseudonyms. What exists already is kept.

    Whoever has the private key can sign datasets; whoever has the secret can link pseudonyms to patients. Back both up, give neither away.
    """
    try:
        made = create_key(file)
        load_secret(file, create=True)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"The key cannot be written to {file}: {error.strerror}.") from None
    typer.echo(f"{file}: private key {made.id}; keep it secret")
    typer.echo(f"{secret_path(file)}: secret of the pseudonyms; keep it secret and backed up")
    typer.echo(made.public.text)


@key.command("show")
def show(file: Annotated[Path, typer.Argument(help="The private key.")]) -> None:
    """Print the public key that belongs to a private key, for `trusted_keys` in workbench.yaml."""
    typer.echo(load_key(file).public.text)


def ingest(  # noqa: PLR0917  typer reads the options from the parameters
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="DICOM files, or folders that hold them at any depth.")],
    dataset: Annotated[str, typer.Option(help="The dataset's id: lower-case letters, digits, hyphens.")],
    store: Annotated[Path, typer.Option(help="The folder of stores; the version goes to FOLDER/ID/VERSION.", metavar="FOLDER")],
    version: Annotated[str, typer.Option(help="The version to write. Versions never change.")] = "1.0.0",
    title: Annotated[str, typer.Option(help="What people call the dataset.")] = "",
    description: Annotated[str, typer.Option(help="What it is, in a sentence.")] = "",
    publisher: Annotated[str, typer.Option(help="Who publishes it.")] = "",
    licence: Annotated[str, typer.Option(help="Its licence, such as CC-BY-3.0.")] = "",
    source: Annotated[str, typer.Option(help="Where it comes from: a citation or DOI.")] = "",
    access: Annotated[AccessCondition, typer.Option(help="The most that a grant may allow.")] = AccessCondition.IN_SITU_PROCESSING,
    access_rights: Annotated[
        AccessRight | None,
        typer.Option(
            help="Who may have the dataset (dct:accessRights). PUBLIC needs --access DOWNLOAD; saved notebooks then keep a picture."
        ),
    ] = None,
    duo: Annotated[list[str] | None, typer.Option(help="A data use ontology code, such as DUO:0000042. Repeat for more.")] = None,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Accept identified objects and de-identify them on the way in (DICOM PS3.15 Annex E).")
    ] = False,
    pixels_checked: Annotated[
        bool,
        typer.Option(
            "--pixels-checked",
            help="You looked at all frames of secondary captures, ultrasound, mammograms and radiographs: none shows who it is. "
            "They are then not read for text, and the manifest says so.",
        ),
    ] = False,
    regions: Annotated[
        Path | None, typer.Option(help="Region rules (YAML): where devices write on their pictures, to be blanked.", metavar="FILE")
    ] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="The images are computed and show no person.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be accepted and refused; write nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing unless everything is accepted.")] = False,
    key_file: Annotated[
        Path, typer.Option("--key", help="The gate's private key (`cohortlab key create`).", metavar="FILE")
    ] = _DEFAULT_KEY,
    quarantine: Annotated[Path | None, typer.Option(help="Copy refused files here, untouched, with a report.", metavar="FOLDER")] = None,
    max_file_size: Annotated[int, typer.Option(help="Refuse files of more megabytes than this.", min=1)] = 4096,
    workers: Annotated[int, typer.Option(help="Series at work at once, each in a process. Default: one a processor core.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Bring DICOM files into a new, signed dataset version, through the gate that keeps people's identity out.

    Every object is de-identified (again) and then proven anonymised by an independent verifier; what cannot be proven is refused, and the
    report says why and what to do. Without --deidentify, objects must carry the codes of DICOM PS3.15 that say how they were de-identified.

    Exit codes: 0 written (also when some series were refused), 1 nothing written, 2 wrong usage, 130 interrupted.
    """
    with _progress(quiet=as_json) as progress:
        options = Options(
            key=key_file,
            version=version,
            title=title,
            description=description,
            publisher=publisher,
            licence=licence,
            source=source,
            access=access,
            access_rights=access_rights,
            duo=tuple(duo or ()),
            synthetic=synthetic,
            deidentify=deidentify,
            dry_run=dry_run,
            quarantine=quarantine,
            pixels_checked=pixels_checked,
            regions=regions,
            strict=strict,
            max_file_bytes=max_file_size * 2**20,
            progress=progress,
            workers=workers or cores(),
        )
        report = run(sources, dataset, store, options)
    if as_json:
        typer.echo(json.dumps(_as_json(report)))
    else:
        _print(report)
    if not report.accepted or (strict and report.refused):
        raise typer.Exit(1)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callback]:
    """Bars on a terminal; elsewhere a line when a phase begins; nothing when quiet."""
    console = Console(stderr=True)
    if quiet:
        yield lambda _what, _done, _total: None
    elif console.is_terminal:
        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def bar(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total)
                bars.update(tasks[what], completed=done, total=total)

            yield bar
    else:

        def line(what: str, done: int, total: int) -> None:
            if done == 1:
                typer.echo(f"{what}: {total} {'images' if what == 'storing' else 'files'}", err=True)

        yield line


def _as_json(report: Report) -> dict[str, object]:
    body = report.model_dump(mode="json", exclude={"manifest"})
    for outcome, written in zip(report.outcomes, body["outcomes"], strict=True):
        for finding, text in zip(outcome.findings, written["findings"], strict=True):
            text["what_to_do"] = finding.what_to_do
    body["accepted"], body["refused"] = len(report.accepted), len(report.refused)
    body["key_id"] = report.manifest.signature.key_id if report.manifest else None
    return body


def _print(report: Report) -> None:
    """The report for people."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    if report.accepted:
        table = Table("series", "kind", "files", "shape", "note", title="Accepted", title_justify="left")
        for o in report.accepted:
            table.add_row(
                o.name, o.modality if o.kind == "image" else "segmentation", str(o.files), " x ".join(map(str, o.shape)), _note(o)
            )
        console.print(table)
    if report.refused:
        table = Table("series", "files", "where", "why", "what to do", title="Refused", title_justify="left")
        for o in report.refused:
            why = "\n".join(": ".join(filter(None, (f.reason, ", ".join(f.tags), f.detail))) for f in o.findings)
            table.add_row(o.name, str(o.files), str(o.place), why, "\n".join(dict.fromkeys(f.what_to_do for f in o.findings)))
            table.add_section()
        console.print(table)
    if report.files_skipped:
        console.print(f"{_count(report.files_skipped, 'file is no DICOM and was', 'files are no DICOM and were')} skipped.")
    if places := {outcome.quarantine.parent for outcome in report.refused if outcome.quarantine}:
        console.print(f"Refused files and the reasons: {', '.join(map(str, places))}", soft_wrap=True)
    judged = f"{_count(len(report.accepted), 'series', 'series')} accepted, {len(report.refused)} refused"
    if report.path and report.manifest:
        key_id = report.manifest.signature.key_id
        console.print(f"{judged}. Written in {report.seconds:.1f} s and signed by key {key_id}: {report.path}", soft_wrap=True)
    elif report.dry_run:
        console.print(f"Dry run: {len(report.accepted)} series would be accepted, {len(report.refused)} refused. Nothing was written.")
    else:
        console.print(f"{judged}. Nothing was written.")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _note(outcome: Outcome) -> str:
    notes = [*outcome.notes, *(["a face may be recognisable: only for in-situ use"] if outcome.recognisable else [])]
    return "; ".join(notes)
