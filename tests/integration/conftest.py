"""The order of these files, for workers that share them: the long ones first, so that no worker is left alone with one at the end."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONG = (
    "federation/test_federated_jobs.py",
    "oidc/test_identity_sign_in.py",
    "hub/test_workbench.py",
    "deidentify/test_ingest_real_dicom.py",
    "hub/test_queue_gpus.py",
    "deidentify_text/test_text_found.py",
    "deidentify_text/test_text_accepted.py",
    "hub/test_replicas.py",
    "hub/test_setup.py",
    "hub/test_local_profiles.py",
    "oidc/test_identity_recipes.py",
    "hub/test_operations.py",
    "deidentify/test_fuzz.py",
)
"""Those that take more than half a minute, the longest first. `make test` tells pytest-xdist to keep the order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {HERE / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
