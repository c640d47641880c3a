"""A Chromium page that reports what no page of ours may do: talk to another host, or log an error."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Request, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import chromium

LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}


class Watch:
    """Collects requests to other hosts and console errors of a browser context."""

    def __init__(self, context: BrowserContext) -> None:
        self.foreign: list[str] = []
        self.errors: list[str] = []
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in LOOPBACK:
            self.foreign.append(request.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def check(self) -> None:
        """Fail when a page spoke to another host or logged an error."""
        assert self.foreign == [], "requests to other hosts"
        assert self.errors == [], "errors in the console"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all browser tests."""
    path = chromium.find()
    if path is None:
        pytest.fail("needs Chromium: install your system's, or run `.venv/bin/playwright install chromium`")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(chromium.ARGUMENTS))
        yield running
        running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh context (no cookies) that fails its test on any request to another host and any console error."""
    fresh = browser.new_context(viewport={"width": 1440, "height": 900})
    fresh.set_default_timeout(60_000)
    watch = Watch(fresh)
    yield fresh
    fresh.close()
    watch.check()
