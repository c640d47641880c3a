"""Pages of a session's server with nothing but a viewer, or any other bundle, on them."""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

from jupyter_process import Jupyter
from playwright.sync_api import BrowserContext, Page

from cohortlab.viewer.assets import STATIC_FOLDER


def open_bare(context: BrowserContext, server: Jupyter, script: str, before: Callable[[Page], None] = lambda _: None) -> Page:
    """A page of the server that runs `script` (a module) with the bundles' names as `bundles` and an element `place`."""
    page = context.new_page()
    if server.token:  # at a hub the context is signed in already
        page.goto(f"{server.url}api/status?token={server.token}")
    before(page)
    base = urlsplit(server.url).path
    bundles = json.dumps(
        {name: f"{base}cohortlab/static/{file}" for name, file in json.loads((STATIC_FOLDER / "manifest.json").read_text()).items()}
    )
    body = (
        f'<!doctype html><body data-base-url="{base}" style="margin:0"><div id="place"></div>'
        f'<script type="module">const bundles = {bundles}; const place = document.getElementById("place"); {script}</script>'
    )
    page.route("**/bare", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(f"{server.url}bare")
    return page


def open_series(context: BrowserContext, server: Jupyter, series: str, before: Callable[[Page], None] = lambda _: None) -> Page:
    """The viewer as JupyterLab's tabs open it, alone on a page; its exact slice is drawn."""
    page = open_bare(context, server, f"(await import(bundles.viewer)).openSeries(place, '{series}', false);", before)
    page.locator(".viewer:not([data-shown=''])[data-shown]").wait_for()
    return page
