"""A PostgreSQL of one's own: from the system's binaries, in a temporary folder, on a socket in it, ended with the tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text


def binaries() -> Path | None:
    """The folder with initdb and postgres, the newest first."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


class Postgres:
    """A running cluster. Databases in it are made by `database`."""

    def __init__(self) -> None:
        found = binaries()
        if found is None:
            why = "needs PostgreSQL's initdb and postgres: `apt install postgresql`, or `brew install postgresql`"
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        self._folder = Path(tempfile.mkdtemp(prefix="cohortlab-pg-", dir="/tmp"))  # a socket's path must be short
        other: dict = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            names = {entry.pw_name for entry in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = self._folder / "data"
        arguments = ["--auth=trust", "--username=cohortlab", "--no-sync", "--encoding=UTF8", "--locale=C", "--pgdata", data]
        subprocess.run([found / "initdb", *arguments], check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **other)
        options = [
            option for one in ("fsync=off", "listen_addresses=", f"unix_socket_directories={self._folder}") for option in ("-c", one)
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([found / "postgres", "-D", data, *options], stderr=log, stdout=log, cwd=self._folder, **other)
        self._wait(found)

    def _wait(self, found: Path) -> None:
        ready = [found / "pg_isready", "--host", self._folder, "--quiet", "--timeout", "60"]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._process.poll() is None, (self._folder / "log").read_text()

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql+psycopg://cohortlab@/{database}?host={self._folder}"

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"t{uuid.uuid4().hex}"
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)

    def stop(self) -> None:
        """End it, and remove its folder."""
        self._process.terminate()
        self._process.wait(timeout=30)
        shutil.rmtree(self._folder)
