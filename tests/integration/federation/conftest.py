"""One workbench for all tests of a module; each test starts the sites that it needs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from workplace import Workplace


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    place = Workplace(tmp_path_factory.mktemp("federation"), silence_seconds=20, minimum_sites=1)
    try:
        place.grant()
        yield place
    finally:
        place.close()


@pytest.fixture
def sites(workplace):
    """All three sites, running and ready. Those that a test stopped are started again."""
    for site in workplace.sites.values():
        if not site.runs:
            site.start()
    for site in workplace.sites.values():
        site.ready()
    return workplace.sites


@pytest.fixture
def alone(workplace):
    """No site but those that the test starts itself."""
    for site in workplace.sites.values():
        if site.runs:
            site.stop()
    yield workplace.sites
    for site in workplace.sites.values():
        if site.runs:
            site.stop()
