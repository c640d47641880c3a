"""The command `cohortlab` in a process of its own, and a key to sign with."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from deidentify_command import command

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cohortlab() -> Run:
    """Run `cohortlab` with arguments; returns the completed process with its text."""

    def run(*arguments: object, timeout: float = 240, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=timeout, check=False, env=environment, **options)  # type: ignore[call-overload]  # options are those of subprocess.run

    return run


@pytest.fixture(scope="session")
def gate_key(cohortlab: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gate's private key, made by the command."""
    path = tmp_path_factory.mktemp("keys") / "gate.key"
    done = cohortlab("key", "create", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def ingest(cohortlab: Run, gate_key: Path, tmp_path: Path) -> Callable[..., tuple[int, dict, str]]:
    """Run `cohortlab ingest --json` into `tmp_path / "stores"`; returns exit code, report (empty when none) and standard error."""

    def run(*arguments: object, dataset: str = "lesions") -> tuple[int, dict, str]:
        done = cohortlab("ingest", *arguments, "--dataset", dataset, "--store", tmp_path / "stores", "--key", gate_key, "--json")
        return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else {}, done.stderr

    return run


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory, cohortlab: Run) -> Path:
    """Two small generated patients, as DICOM."""
    folder = tmp_path_factory.mktemp("samples")
    done = cohortlab("samples", folder, "--patients", 2, "--seed", 7, "--size", "16x48x48")
    assert done.returncode == 0, done.stderr
    return folder
