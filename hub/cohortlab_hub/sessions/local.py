"""`LocalSpawner`: sessions as processes on this machine, with the same leases, profiles and limits as sessions in a cluster.

At a start it computes the person's leases, mounts the stores that verify, and starts JupyterLab through
`cohortlab_hub.sessions.isolate`. Where the machine cannot separate processes, ``datasets/`` holds links to the stores
instead, and the log and the start page say so. The leases are recorded: while the session runs, the watch of the hub's service
(`cohortlab_hub.access.watch`) decides them again, warns, and stops the session when one has ended.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Dict, Instance, Unicode

from cohortlab.errors import RefusedError
from cohortlab_hub.access.projects import purpose_of
from cohortlab_hub.sessions import leases, mounts, profiled, separation
from cohortlab_hub.sessions.isolate import die_with_parent
from cohortlab_hub.sessions.profiles import PERSONAL, Choice
from cohortlab_hub.sessions.room import Room, Running
from cohortlab_hub.sessions.slugs import slug
from cohortlab_hub.settings import Settings

_WRITE = 0o222


class LocalSpawner(SimpleLocalProcessSpawner):  # type: ignore[misc]  # jupyterhub has no types
    """Starts a session for its user. `settings`, `service_url` and what depends on them are set by `configure`."""

    settings = Instance(Settings, config=True, help="The workbench's settings.")
    service_url = Unicode(config=True, help="Public base URL of the hub's service, for sessions.")
    kept = Dict(help="What is known of the running session: its profile, limits and datasets.")
    choice: Choice | None = None
    waiter = None  # here nobody waits for a GPU

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        if self.user is not None:
            self.room.spawners[self.user.name, self.name] = self

    @property
    def home(self) -> Path:
        """The person's home."""
        return self.settings.state / "homes" / slug(self.user.name)

    async def _open(self, choice: Choice) -> dict[str, Path]:
        """The mount table now; its leases recorded, with the grants that they rest on. Raises `RefusedError` for another's project."""
        person, catalogue = profiled.person_of(self), self.room.catalogue  # JupyterHub's own objects stay in this thread
        purpose = purpose_of(self.settings, person, None if choice.project.startswith(PERSONAL) else choice.project)
        return await self.room.transact(
            lambda database: leases.open_for(database, catalogue, person, choice.profile, server=self.name, purpose=purpose)
        )

    @property
    def room(self) -> Room:
        """The sessions of this hub, which are looked at together."""
        return Room.of(self.settings)

    def seen(self) -> Running | None:
        """As the room sees it."""
        return Running(self.user.name, self.name, self.ready, profiled.life(self)) if self.active else None

    async def end(self, why: str) -> None:
        """Stop the session and tell JupyterHub, as if it had ended by itself."""
        self.log.info("Stopping the session of %s: %s", self._log_name, why)
        await self.stop()
        await self.poll_and_notify()

    async def start(self) -> tuple[str, int]:
        """Start the session; (address, port). Raises `RuntimeError` with a sentence for the user when it may not."""
        self.room.open()
        apart = await asyncio.to_thread(separation.separation)
        if not apart.possible and self.settings.sessions.isolate == "required":
            raise RuntimeError(f"Sessions cannot be separated on this machine: {apart.reason}")
        choice = self.choice
        if choice is None:
            raise RuntimeError("It was not said which profile to start.")
        try:
            table = await self._open(choice)
        except RefusedError as error:
            raise RuntimeError(str(error)) from None
        self.kept = profiled.notes(choice, table, datetime.now(UTC))
        prepare_home(self.home, {} if apart.possible else table)
        self.home_dir = str(self.home)
        single = [sys.executable, "-m", "cohortlab.starts", "jupyterhub.singleuser"]
        if apart.possible:
            hidden, needed = separation.hidden(self.settings), separation.needed(self.settings)
            self.cmd = [*separation.launcher(mounts.plan(self.home, table, hidden, needed)), *single]
        else:
            self.log.warning("The session of %s is not separated from others: %s", self.user.name, apart.reason)
            for store in table.values():
                await asyncio.to_thread(seal, store)
            self.cmd = single
        log = self.settings.state / "logs" / f"session-{self.home.name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            self.popen_kwargs = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            address: tuple[str, int] = await super().start()
        self.orm_spawner.user_options = dict(self.user_options)
        return address

    def make_preexec_fn(self, name: str) -> Any:  # noqa: ARG002 - jupyterhub's signature
        """Between fork and exec: into the home, ended with the hub."""
        home = str(self.home)

        def enter() -> None:
            os.chdir(home)
            die_with_parent(signal.SIGTERM)

        return enter

    def get_args(self) -> list[str]:
        """The session's arguments: its home as root, our server extension on."""
        arguments: list[str] = super().get_args()
        arguments += [
            f"--ServerApp.root_dir={self.home}",
            # JupyterLab would ask other hosts for news, updates and extensions.
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
            "--ServerApp.answer_yes=True",  # nobody is there to confirm the signal that ends it
        ]
        if os.geteuid() == 0:  # a container's root; without a user namespace the session is root too, without its rights
            arguments.append("--allow-root")
        if find_spec("cohortlab.viewer") is not None:
            arguments.append("--ServerApp.jpserver_extensions=cohortlab.viewer=True")
            arguments.append("--ServerApp.jpserver_extensions=cohortlab.session=True")
        return arguments

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """What a session gets beside JupyterHub's own: where its datasets are, which keys to trust, where the service is."""
        env = dict(super().user_env(env))
        env["SHELL"] = shutil.which("bash") or "/bin/sh"
        env["COHORTLAB_DATASETS"] = str(self.home / "datasets")
        env["COHORTLAB_TRUSTED_KEYS"] = ",".join(self.settings.trusted_keys)
        env["COHORTLAB_SERVICE_URL"] = self.service_url
        env["JUPYTERHUB_ACTIVITY_INTERVAL"] = "60"  # seconds: well below any idle limit and its warning
        return env | (self.choice.profile.environment if self.choice is not None else {})

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub must know of the session."""
        return {**super().get_state(), **({"kept": dict(self.kept)} if self.kept else {})}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a session that an earlier hub started."""
        super().load_state(state)
        self.kept = dict(state.get("kept", {}))

    def clear_state(self) -> None:
        """The session has ended, or a new one begins."""
        super().clear_state()
        self.kept = {}
        self.orm_spawner.user_options = {}
        self.room.close(self.user.name, self.name, None)


def prepare_home(home: Path, links: Mapping[str, Path]) -> None:
    """Make `home` and its ``datasets/`` that the user cannot write, with `links` (dataset id -> store) in it."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    datasets = home / "datasets"
    if datasets.is_symlink() or (datasets.exists() and not datasets.is_dir()):
        datasets.unlink()
    datasets.mkdir(exist_ok=True)
    datasets.chmod(0o700)
    for old in datasets.iterdir():
        if old.is_symlink():
            old.unlink()
    for name, store in links.items():
        (datasets / name).symlink_to(store)
    datasets.chmod(0o555)


def seal(store: Path) -> None:
    """Take the write permission from all of `store`: what stands between a linked store and a session's mistakes.

    The folder itself comes last, so that an interrupted call is made up for by the next.
    """
    if not store.stat().st_mode & _WRITE:
        return
    for folder, _, names in os.walk(store, topdown=False):
        for path in [*(Path(folder, name) for name in names), Path(folder)]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~_WRITE)
