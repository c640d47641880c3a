"""`LocalSpawner`: sessions as processes on this machine, with the same leases as sessions in a cluster.

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
from sqlalchemy.orm import Session, sessionmaker
from traitlets import Dict, Instance, Unicode

from cohortlab.errors import RefusedError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit, records
from cohortlab_hub.access import Person, leases
from cohortlab_hub.access.held import open_leases
from cohortlab_hub.access.projects import purpose_of
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.sessions import mounts, separation
from cohortlab_hub.sessions.isolate import die_with_parent
from cohortlab_hub.sessions.room import Room, Running
from cohortlab_hub.sessions.slugs import slug
from cohortlab_hub.settings import Settings

_CONDITION = AccessCondition.IN_SITU_PROCESSING
_WRITE = 0o222


class LocalSpawner(SimpleLocalProcessSpawner):  # type: ignore[misc]  # jupyterhub has no types
    """Starts a session for its user. `settings`, `service_url` and what depends on them are set by `configure`."""

    settings = Instance(Settings, config=True, help="The workbench's settings.")
    service_url = Unicode(config=True, help="Public base URL of the hub's service, for sessions.")
    mounted = Dict(help="Dataset id -> folder of its store, in the running session.")
    waiter = None  # here nobody waits for a GPU

    _shared: tuple[sessionmaker[Session], Catalogue] | None = None

    @property
    def _records(self) -> sessionmaker[Session]:
        return self._of_hub()[0]

    @property
    def _catalogue(self) -> Catalogue:
        return self._of_hub()[1]

    def _of_hub(self) -> tuple[sessionmaker[Session], Catalogue]:
        if LocalSpawner._shared is None:
            engine = records.engine(self.settings.database_url)
            LocalSpawner._shared = sessionmaker(engine, expire_on_commit=False), Catalogue(self.settings)
        return LocalSpawner._shared

    @property
    def _person(self) -> Person:
        return Person(self.user.name, frozenset(group.name for group in self.user.groups))

    @property
    def home(self) -> Path:
        """The person's home."""
        return self.settings.state / "homes" / slug(self.user.name)

    def _open(self, person: Person) -> dict[str, Path]:
        """The mount table now; its leases recorded, with the grants that they rest on. Raises `RefusedError` for another's project."""
        now, served = datetime.now(UTC), self._catalogue.served()
        purpose = purpose_of(self.settings, person, self.user_options.get("project"))
        with self._records.begin() as database:
            grants = self._catalogue.grants(database, person)
            held = leases(grants, person, [entry.terms for entry in served], purpose=purpose, condition=_CONDITION, now=now)
            table = mounts.mount_table(held, {entry.id: entry.store for entry in served if entry.store is not None})
            held = [lease for lease in held if lease.dataset in table]
            open_leases(database, person.name, self.name, held, now, purpose=purpose)
            details = {"server": self.name, "purpose": purpose, "grants": {lease.dataset: lease.grant for lease in held}}
            audit.record(database, person.name, "session.start", person.name, details)
        return table

    @property
    def room(self) -> Room:
        """The sessions of this hub, which are looked at together."""
        return Room.of(self.settings)

    def seen(self) -> Running | None:
        """As the room sees it: it is stopped when its user was told so, and has no limits of its own."""
        return Running(self.user.name, self.name, self.ready, None) if self.active else None

    async def end(self, why: str) -> None:
        """Stop the session and tell JupyterHub, as if it had ended by itself."""
        self.log.info("Stopping the session of %s: %s", self._log_name, why)
        await self.stop()
        await self.poll_and_notify()

    async def start(self) -> tuple[str, int]:
        """Start the session; (address, port). Raises `RuntimeError` with a sentence for the user when it may not."""
        self.room.spawners[self.user.name, self.name] = self
        self.room.open()
        apart = await asyncio.to_thread(separation.separation)
        if not apart.possible and self.settings.sessions.isolate == "required":
            raise RuntimeError(f"Sessions cannot be separated on this machine: {apart.reason}")
        try:
            table = await asyncio.to_thread(self._open, self._person)
        except RefusedError as error:
            raise RuntimeError(str(error)) from None
        self.mounted = {name: str(store) for name, store in table.items()}
        prepare_home(self.home, {} if apart.possible else table)
        self.home_dir = str(self.home)
        single = [sys.executable, "-m", "jupyterhub.singleuser"]
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
        return env

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub must know of the session."""
        return {**super().get_state(), **({"mounted": dict(self.mounted)} if self.mounted else {})}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a session that an earlier hub started."""
        super().load_state(state)
        self.mounted = dict(state.get("mounted", {}))

    def clear_state(self) -> None:
        """The session has ended, or a new one begins."""
        super().clear_state()
        self.room.close(self.user.name, self.name, None)
        self.mounted = {}


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
