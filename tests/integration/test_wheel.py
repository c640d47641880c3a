"""The distribution: one wheel with both packages, the browser code, the JupyterLab extension and the tutorials."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([str(uv), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("cohortlab/", "/__init__.py"),
        ("cohortlab_hub/", "/configure.py"),
        ("cohortlab_hub/templates/", "login.html"),
        ("cohortlab_hub/locale/", "cohortlab.po"),
        ("cohortlab_hub/records/migrations/versions/", "0001_access_and_audit.py"),
        ("cohortlab/viewer/static/viewer.", ".js"),
        ("cohortlab/viewer/static/launch.", ".js"),
        ("cohortlab/tutorials/", "first-steps.ipynb"),
        ("cohortlab-", "share/jupyter/labextensions/@cohortlab/labextension/package.json"),
        ("cohortlab-", "etc/jupyter/jupyter_server_config.d/cohortlab.json"),
        ("cohortlab-", "licenses/LICENSE"),
    ],
)
def test_the_wheel_holds(names: list[str], start: str, end: str):
    assert [name for name in names if name.startswith(start) and name.endswith(end.lstrip("/"))]


def test_nothing_strays_into_the_wheel(names: list[str]):
    assert not [name for name in names if "node_modules" in name or name.endswith((".ts", ".dcm", ".pyc", ".key"))]


def test_torch_is_in_the_gpu_extra_only(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    fields = Parser().parsestr(archive.read(metadata).decode())
    assert set(fields.get_all("Provides-Extra", [])) == {"hub", "session", "site", "gpu"}
    torch = [line for line in fields.get_all("Requires-Dist", []) if line.split(">")[0] in {"torch", "monai"}]
    assert torch
    assert all("extra == 'gpu'" in line for line in torch)
