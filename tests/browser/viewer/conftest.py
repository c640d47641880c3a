"""JupyterLab with the extension as it is installed, serving the sample store."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration" / "viewer"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "viewer"))

from jupyter_process import Jupyter, jupyter
from sample_store import Sample, write_sample


@pytest.fixture(scope="session")
def viewer_sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("viewer"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, viewer_sample: Sample) -> Iterator[Jupyter]:
    with jupyter("jupyterlab", tmp_path_factory.mktemp("lab"), viewer_sample.environment()) as running:
        yield running
