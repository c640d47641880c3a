"""A session at a real hub, behind its proxy, signed in to by the form, with all that a viewer may meet.

Beside it a Jupyter server without a hub, whose stores a test may damage.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, BrowserContext, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration" / "viewer"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration" / "hub"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "viewer"))

from jupyter_process import Jupyter, jupyter
from page_watch import Watch
from running import Running
from sample_store import DATASET, Sample, write_sample, write_store
from viewer_hub import Lab, grant, sign_in
from viewer_stores import tilted, workbench_of, write_deep, write_kinds, write_oblique, write_public

from cohortlab.keys import create_key

expect.set_options(timeout=60_000)  # a shared machine with two cores starts a kernel slowly


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory, test_data_or_none: Path | None) -> Iterator[Lab]:
    """A session of ana's at a hub, behind its proxy; who signs in does so by the form."""
    folder = tmp_path_factory.mktemp("workbench")
    key = create_key(folder / "keys" / "gate.key")
    ct, seg, mr, mammogram = write_store(folder / "stores", DATASET, key)
    kinds = write_kinds(folder / "stores", key)
    single = {"leaving": write_deep(folder / "stores", "leaving", key), "published": write_public(folder / "stores", "published", key)}
    leaning = None
    if test_data_or_none is not None:
        leaning, files = tilted(test_data_or_none)
        single["oblique"] = write_oblique(folder / "stores", "oblique", key, files)
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(workbench_of([DATASET, "kinds", *single], key)))
    for dataset in (DATASET, "kinds", *single):
        grant(file, dataset)
    running = Running([str(file), "--port", "0"]).ready()
    state = sign_in(browser, running)
    sample = Sample(folder, key.public.text, ct, seg, mr, mammogram)
    yield Lab(
        f"{running.address}user/ana/", "", folder / "homes" / "ana",
        hub=running, file=file, state=state, sample=sample, kinds=kinds, single=single, leaning=leaning,
    )  # fmt: skip
    assert running.stop() == 0, "".join(running.said)


@pytest.fixture(scope="session")
def viewer_sample(lab: Lab) -> Sample:
    """The sample's ids, as the hub's session has them."""
    return lab.sample


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A sample that no hub has: what a test does to its folder, only the server without a hub sees."""
    return write_sample(tmp_path_factory.mktemp("apart"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, apart: Sample) -> Iterator[Jupyter]:
    """A Jupyter server without a hub, with the extension as it is installed."""
    with jupyter("jupyter_server", tmp_path_factory.mktemp("server"), apart.environment()) as running:
        yield running


def opened(browser: Browser, state: Any, **more: Any) -> BrowserContext:
    """A context that is signed in."""
    fresh = browser.new_context(storage_state=state, **{"viewport": {"width": 1440, "height": 900}, **more})
    fresh.set_default_timeout(60_000)
    return fresh


@pytest.fixture
def context(browser: Browser, lab: Lab) -> Iterator[BrowserContext]:
    """Signed in, and fails its test on any request to another host and any console error."""
    fresh = opened(browser, lab.state)
    watch = Watch(fresh)
    yield fresh
    fresh.close()
    watch.check()


@pytest.fixture
def tablet(browser: Browser, lab: Lab) -> Iterator[BrowserContext]:
    """The same on a tablet: fingers, no mouse."""
    fresh = opened(browser, lab.state, viewport={"width": 820, "height": 1180}, has_touch=True)
    watch = Watch(fresh)
    yield fresh
    fresh.close()
    watch.check()


@pytest.fixture
def careless(browser: Browser, lab: Lab) -> Iterator[BrowserContext]:
    """A context for tests of failures: the browser itself logs each answer that is an error."""
    fresh = opened(browser, lab.state, viewport={"width": 1200, "height": 800})
    yield fresh
    fresh.close()
