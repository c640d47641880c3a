"""`cohortlab up` and `cohortlab check`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cohortlab_hub.settings_file import SettingsError, load

_EXIT_INTERRUPTED = 130


def check(
    file: Annotated[Path, typer.Argument(help="A workbench.yaml.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Read a workbench.yaml and say all that is wrong with it. Starts nothing."""
    try:
        settings = load(file)
    except SettingsError as error:
        if not as_json:
            raise
        problems = [{"path": path, "message": text} for path, text in error.problems]
        typer.echo(json.dumps({"file": str(file), "ok": False, "errors": problems}, indent=2))
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({"file": str(file), "ok": True, "errors": []}, indent=2))
    else:
        typer.echo(f"{file} is right: {len(settings.datasets)} datasets, {len(settings.sites)} sites, {len(settings.accounts)} accounts.")


def up(
    workbench: Annotated[Path | None, typer.Argument(help="A workbench.yaml. Without one: the demo, with its sample cohort.")] = None,
    *,
    state: Annotated[Path | None, typer.Option(help="The demo's folder. [default: .demo]", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one. [default: 8000]", show_default=False)
    ] = None,
) -> None:
    """Start a workbench on this machine. Without a file, the demo: it is made at the first run and reused later."""
    from cohortlab_hub import demo, ports  # noqa: PLC0415 - `check` needs none of these
    from cohortlab_hub.supervisor import Interrupted, Signals  # noqa: PLC0415
    from cohortlab_hub.workbench import locked, run  # noqa: PLC0415

    if workbench is not None and state is not None:
        raise typer.BadParameter("a workbench.yaml names its own state folder", param_hint="--state")
    with Signals() as signals:
        try:
            if workbench is not None:
                settings, file = load(workbench), workbench.expanduser().resolve()
                with locked(settings.state):
                    run(settings, file, settings.listen.port if port is None else port, signals, typer.echo)
                return
            folder = (state or Path(".demo")).expanduser().resolve()
            wanted = demo.PORT if port is None else port
            with locked(folder):
                chosen, *_ = ports.choose("127.0.0.1", wanted, 0)  # before the work of the set-up, and the sites must know it
                file = demo.prepare(folder, chosen, signals, typer.echo)
                run(load(file), file, chosen, signals, typer.echo)
        except Interrupted:
            typer.echo("cohortlab: interrupted. Nothing is left running; the next `cohortlab up` goes on from here.", err=True)
            raise typer.Exit(_EXIT_INTERRUPTED) from None
