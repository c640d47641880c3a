"""The hub of the viewer's tests: whose session it is, who signs in how, what a steward does meanwhile."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from jupyter_process import Jupyter
from person import Person
from playwright.sync_api import Browser
from running import Running
from sample_store import Sample
from viewer_stores import Kinds

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import access, records
from cohortlab_hub.access import NewGrant

STARTED = 120_000  # ms for a session to start on a slow machine


@dataclass(frozen=True)
class Lab(Jupyter):
    """A session at a hub. `state`: a browser's that is signed in; `single`: the series of datasets that have one.

    `leaning`: ImageOrientationPatient of the one of `oblique`, where there is real data.
    """

    hub: Running = field(kw_only=True)
    file: Path = field(kw_only=True)
    state: Any = field(kw_only=True)
    sample: Sample = field(kw_only=True)
    kinds: Kinds = field(kw_only=True)
    single: dict[str, str] = field(kw_only=True)
    leaning: tuple[float, ...] | None = field(kw_only=True)


def grant(file: Path, dataset: str) -> str:
    """Let ana see a dataset; the grant's id."""
    new = NewGrant(subject="ana", dataset=dataset, condition=AccessCondition.IN_SITU_PROCESSING, reason="a test")
    (file.parent / "hub").mkdir(exist_ok=True)
    with records.opened(f"sqlite:///{file.parent / 'hub' / 'records.sqlite'}") as database:
        return access.add(database, "steward", new, {dataset}).id


def revoke(lab: Lab, dataset: str, reason: str) -> None:
    """A steward ends all grants on a dataset, by the hub's API."""
    with Person(lab.hub.address, "steward", lab.hub.password) as steward:
        client = httpx.Client(
            base_url=f"{lab.hub.address}services/cohortlab/api/v1/", headers={"Authorization": f"token {steward.token()}"}, trust_env=False
        )
        with client:
            for one in client.get("grants", params={"dataset": dataset}).raise_for_status().json():
                client.post(f"grants/{one['id']}/revoke", json={"reason": reason}).raise_for_status()


def sign_in(browser: Browser, running: Running) -> Any:
    """Sign in as ana at the form, which starts her session; the browser's state then."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(running.address)
    page.locator("#username_input").fill("ana")
    page.locator("#password_input").fill(running.password)
    page.locator("#login_submit").click()
    page.wait_for_url("**/user/ana/lab**", timeout=STARTED)
    page.locator(".jp-LauncherCard").first.wait_for(timeout=STARTED)
    state = context.storage_state()
    context.close()
    return state
