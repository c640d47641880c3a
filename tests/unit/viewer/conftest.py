"""A sample store for all of the viewer's unit tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sample_store import Sample, write_sample

from cohortlab.keys import PublicKey
from cohortlab.viewer.gateway import Gateway


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("viewer"))


@pytest.fixture(scope="session")
def gateway(sample: Sample) -> Gateway:
    return Gateway(sample.folder, (PublicKey(sample.key),))


@pytest.fixture
def session(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sample]:
    """The environment of a session that has the sample mounted."""
    for name, value in sample.environment().items():
        monkeypatch.setenv(name, value)
    return sample
