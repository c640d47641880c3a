"""A Chromium page that reports what no page of ours may do: talk to another host, or log an error."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from page_watch import Watch

import chromium


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
