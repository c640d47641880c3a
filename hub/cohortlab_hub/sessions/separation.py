"""Whether this machine can separate sessions from each other, tried out once; and what of the machine a session must not see."""

import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cohortlab
from cohortlab_hub.sessions import isolate
from cohortlab_hub.settings import Settings

_SOCKETS = ("/run/user", "/run/docker.sock", "/run/containerd", "/run/podman", "/run/dbus")


@dataclass(frozen=True, slots=True)
class Separation:
    """`possible`, or why not."""

    possible: bool
    reason: str = ""


def launcher(plan: isolate.Plan) -> list[str]:
    """The command to put before a session's own, so that it runs as `plan` says."""
    return [sys.executable, "-I", isolate.__file__, plan.to_json(), "--"]


@cache
def separation() -> Separation:
    """Try to separate a process here. The answer is kept for this process' life."""
    if sys.platform != "linux":
        return Separation(False, "only Linux can separate sessions.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        home, store = folder / "home", folder / "store"
        home.mkdir()
        store.mkdir()
        plan = isolate.Plan(home=str(home), mounts={"probe": str(store)}, hidden=(str(folder),))
        tried = subprocess.run(  # noqa: S603 - our own file
            [*launcher(plan), "/bin/sh", "-c", "test -d datasets/probe && test ! -d ../store"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    if tried.returncode == 0:
        return Separation(True)
    return Separation(False, tried.stderr.strip().rpartition("\n")[2].removeprefix("cohortlab: ") or "the trial failed.")


def hidden(settings: Settings) -> list[Path]:
    """What no session sees but by its own home and mounts: state, stores, keys, the operator's home, sockets of the system."""
    stores = [dataset.store for dataset in settings.datasets.values() if dataset.store is not None]
    secrets = [settings.federation.key] if settings.federation else []
    secrets += [path for site in settings.sites.values() for path in (site.token, site.config) if path is not None]
    outside = [path for path in [*stores, *secrets] if not path.is_relative_to(settings.state)]
    home = Path.home().resolve()
    homes = [home] if home != Path(home.anchor) else []
    return [settings.state, *outside, *homes, *(Path(path) for path in _SOCKETS if Path(path).exists())]


def needed(settings: Settings) -> list[Path]:
    """Folders that Python runs from; none that holds the state folder, so that it is not shown by the way."""
    tutorials = Path(cohortlab.__file__).parents[2] / "tutorials"  # of a checkout; a wheel has them inside
    names = [*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, sysconfig.get_path("purelib"), str(tutorials)]
    folders = {Path(name).resolve() for name in names if name and Path(name).is_dir()}
    return sorted(folder for folder in folders if not settings.state.is_relative_to(folder))
