"""One workbench for all tests of a module; each test starts the sites that it needs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from workplace import Workplace  # noqa: E402 - needs the path above


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    place = Workplace(tmp_path_factory.mktemp("federation"), silence_seconds=5)
    try:
        place.grant()
        yield place
    finally:
        place.close()


@pytest.fixture
def sites(workplace):
    """All three sites, running, with their usual policies; whatever a test did to them is over after it."""
    for site in workplace.sites.values():
        site.start()
    yield workplace.sites
    for site in workplace.sites.values():
        if site.process.poll() is None:
            site.stop()
