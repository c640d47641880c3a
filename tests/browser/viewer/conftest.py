"""JupyterLab with the extension as it is installed, serving the sample store; a page of its server with nothing but a viewer."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration" / "viewer"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "viewer"))

from jupyter_process import Jupyter, jupyter
from sample_store import Sample, write_sample

expect.set_options(timeout=60_000)  # a shared machine with two cores starts a kernel slowly


@pytest.fixture(scope="session")
def viewer_sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("viewer"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, viewer_sample: Sample) -> Iterator[Jupyter]:
    with jupyter("jupyterlab", tmp_path_factory.mktemp("lab"), viewer_sample.environment()) as running:
        yield running


@pytest.fixture
def careless(browser: Browser) -> Iterator[BrowserContext]:
    """A context for tests of failures: the browser itself logs each answer that is an error."""
    fresh = browser.new_context(viewport={"width": 1200, "height": 800})
    fresh.set_default_timeout(60_000)
    yield fresh
    fresh.close()
