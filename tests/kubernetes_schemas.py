"""Strict schemas of Kubernetes' own objects for the tests: out of a package of PyPI, of which `make` keeps two of its thousands of files.

`python tests/kubernetes_schemas.py FOLDER` takes them from the package installed in FOLDER into this Python's own folder.
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

VERSIONS = ("1.30", "1.34")
"""The oldest that the chart is for, and the one that the cluster tests run."""
_BESIDE = Path(sys.prefix) / "share" / "cohortlab-tests"


@cache
def definitions(version: str) -> dict[str, Any]:
    """The definitions of a Kubernetes version, by their names. Raises `FileNotFoundError`, which says how to get them."""
    file = _BESIDE / f"kubernetes-{version}.json"
    if not file.exists():
        raise FileNotFoundError("Kubernetes' schemas are not here: `make .venv/bin/.schemas` fetches them.")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["$defs"]
    return found


def unpack(folder: Path) -> None:
    """Take the schemas out of the package `kubernetes-validate`, installed in `folder`."""
    _BESIDE.mkdir(parents=True, exist_ok=True)
    for version in VERSIONS:
        source = folder / "kubernetes_validate" / "kubernetes-json-schema" / f"v{version}.0-local-strict" / "_definitions.json"
        part = _BESIDE / f"kubernetes-{version}.part"
        part.write_bytes(source.read_bytes())
        part.replace(_BESIDE / f"kubernetes-{version}.json")


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
