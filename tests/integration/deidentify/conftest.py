"""The command `cohortlab`, in a process of its own or, for starting one takes seconds, in this; and a key to sign with."""

import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from deidentify_command import command

from cohortlab.cli import main

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
def here(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `cohortlab` with arguments in this process; what it did, as of one that has ended. An error that it does not know is raised."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        out, err, code = io.StringIO(), io.StringIO(), 0
        words = ["cohortlab", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setenv("COLUMNS", "200")
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(action="ignore"):  # as outside of pytest
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def ingest(here: Run, gate_key: Path, tmp_path: Path) -> Callable[..., tuple[int, dict, str]]:
    """Run `cohortlab ingest --json` into `tmp_path / "stores"`; returns exit code, report (empty when none) and standard error."""

    def run(*arguments: object, dataset: str = "lesions") -> tuple[int, dict, str]:
        done = here("ingest", *arguments, "--dataset", dataset, "--store", tmp_path / "stores", "--key", gate_key, "--json")
        return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else {}, done.stderr

    return run


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory, cohortlab: Run) -> Path:
    """Two small generated patients, as DICOM."""
    folder = tmp_path_factory.mktemp("samples")
    done = cohortlab("samples", folder, "--patients", 2, "--seed", 7, "--size", "16x48x48")
    assert done.returncode == 0, done.stderr
    return folder
