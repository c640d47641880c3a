"""The `cohortlab` command: one Typer application, assembled from the rooms' commands.

A room registers a function or a Typer group under the entry point group ``cohortlab.commands``; a part whose extra is
not installed says so when it is called. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.
"""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer

from cohortlab.errors import CohortlabError

GROUP = "cohortlab.commands"


def _missing(name: str, cause: ModuleNotFoundError) -> Callable[[], None]:
    """A command that stands in for one whose libraries are not installed: it says which extra to install."""

    def say() -> None:
        typer.echo(f"`cohortlab {name}` needs the Python package {cause.name}: install cohortlab[hub], [session] or [site].", err=True)
        raise typer.Exit(1)

    say.__doc__ = f"Not installed here: needs the Python package {cause.name}."
    return say


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    try:
        part = entry.load()
    except ModuleNotFoundError as cause:
        if (cause.name or "").split(".")[0] in {"cohortlab", "cohortlab_hub"}:
            raise
        anything = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command(name=entry.name, context_settings=anything)(_missing(entry.name, cause))
        return
    if isinstance(part, typer.Typer):
        app.add_typer(part, name=entry.name)
    else:
        app.command(name=entry.name)(part)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("cohortlab"))
        raise typer.Exit


def build(wanted: str | None = None) -> typer.Typer:
    """The application with every installed command, in alphabetical order; with `wanted` only that one, where there is one.

    Loading all of them takes seconds, which only `--help` needs.
    """
    app = typer.Typer(name="cohortlab", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    @app.callback()
    def cohortlab(
        show: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    ) -> None:
        """Cohortlab, a research workbench for cancer imaging. For research, not for diagnosis."""

    entries = sorted(entry_points(group=GROUP), key=lambda e: e.name)
    for entry in [e for e in entries if e.name == wanted] or entries:
        _add(app, entry)
    return app


def main() -> None:
    """Run the command; a known error becomes one or two lines on stderr and exit code 1."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)()
    except CohortlabError as error:
        typer.echo(f"cohortlab: {error.message}", err=True)
        if error.hint:
            typer.echo(f"  {error.hint}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("cohortlab: interrupted", err=True)
        sys.exit(130)
