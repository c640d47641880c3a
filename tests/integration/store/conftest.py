"""Stores made of real DICOM, once a test run, and of small made-up series."""

import shutil
import sys
from pathlib import Path

import pydicom
import pytest

from cohortlab.keys import PrivateKey, create_key
from cohortlab.store import Store

for folder in (Path(__file__).resolve().parents[2], Path(__file__).resolve().parent):
    sys.path.insert(0, str(folder))

from store_helpers import read_folder, write  # noqa: E402 - found by the path above


@pytest.fixture(scope="session")
def key(tmp_path_factory) -> PrivateKey:
    return create_key(tmp_path_factory.mktemp("keys") / "gate.key")


@pytest.fixture(scope="session")
def made(test_data, tmp_path_factory, key):
    """A function: name of a folder of test data -> (its instances, its store). Each is made once."""
    root = tmp_path_factory.mktemp("stores")
    known: dict[str, tuple[list[pydicom.Dataset], Store]] = {}

    def get(name: str) -> tuple[list[pydicom.Dataset], Store]:
        if name not in known:
            datasets = read_folder(test_data / name)
            known[name] = datasets, Store.open(write(root, name, datasets, key), [key.public])
        return known[name]

    return get


@pytest.fixture
def copy(made, tmp_path):
    """A function: name -> a copy of its store that a test may damage."""

    def get(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(made(name)[1].path, target)
        for file in target.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        return target

    return get
