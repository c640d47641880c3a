"""`cohortlab site run` and `cohortlab site check`."""

import asyncio
import json
import logging
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from cohortlab.errors import CohortlabError
from cohortlab.federation.site.config import SiteConfig, read_config, read_policy
from cohortlab.keys import PublicKey

site = typer.Typer(
    no_args_is_help=True, help="A hospital's node: fetches federated jobs, computes on data that stays, releases checked numbers."
)

_CONFIG = Annotated[Path, typer.Option("--config", help="The site's file.", show_default=True)]


@site.command()
def run(config: _CONFIG = Path("site.yaml"), *, verbose: Annotated[bool, typer.Option(help="Say more.")] = False) -> None:
    """Run the agent until Ctrl-C or SIGTERM. Its log goes to standard error."""
    settings = read_config(config)
    read_policy(settings.policy)
    settings.token()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("cohortlab").setLevel(logging.INFO)
    asyncio.run(_serve(settings))


async def _serve(settings: SiteConfig) -> None:
    from cohortlab.federation.site.agent import Agent  # noqa: PLC0415 - `check` and --help need none of it
    from cohortlab.federation.site.journal import alone  # noqa: PLC0415 - as above

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with alone(settings.state):
        logging.getLogger(__name__).info("%s asks %s for jobs.", settings.name, settings.service_url)
        await Agent(settings, stop).run()


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. `problem` is empty when it is right."""

    what: str
    problem: str = ""


@site.command()
def check(config: _CONFIG = Path("site.yaml"), *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check files, token, hub and every store of this site; exit code 1 when something is wrong. Changes nothing."""
    findings = _check(config)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{'wrong' if finding.problem else 'right':6}{finding.what}" + (f": {finding.problem}" if finding.problem else ""))
    if any(finding.problem for finding in findings):
        raise typer.Exit(1)


def _check(path: Path) -> list[Finding]:
    try:
        settings = read_config(path)
    except CohortlabError as error:
        return [Finding(str(path), str(error))]
    findings = [Finding(str(path))]
    for what, step in (("policy", lambda: read_policy(settings.policy)), ("token", settings.token), ("hub", lambda: _ask(settings))):
        try:
            step()
        except CohortlabError as error:
            findings.append(Finding(what, str(error)))
        else:
            findings.append(Finding(what))
    return findings + _check_stores(settings)


def _ask(settings: SiteConfig) -> None:
    from cohortlab.federation.site.hub import HubLine  # noqa: PLC0415 - loads httpx

    async def ask() -> None:
        async with HubLine(settings) as hub:
            await hub.probe()

    settings.token()
    asyncio.run(ask())


def _check_stores(settings: SiteConfig) -> list[Finding]:
    from cohortlab.federation.site.stores import every  # noqa: PLC0415 - beside its use
    from cohortlab.store import verify_store  # noqa: PLC0415 - loads zarr

    trusted = [PublicKey(key) for key in settings.dataset_keys]
    findings = []
    for store in every(settings.stores):
        what = f"store {store.parent.name} {store.name}"
        try:
            report = verify_store(store, trusted)
        except CohortlabError as error:
            findings.append(Finding(what, str(error)))
        else:
            findings.append(Finding(what, "; ".join(f"{f.path}: {f.message}" for f in report.findings[:3])))
    return findings or [Finding("stores", f"There is no store under {settings.stores}.")]
