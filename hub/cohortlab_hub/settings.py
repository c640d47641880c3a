"""The one configuration file, workbench.yaml, as one pydantic model.

`cohortlab_hub.settings_file.load` reads the file. A wrong file is refused whole before anything starts, every error with
its path in the file (``datasets.prostatex.store``). Paths in the file are relative to the file's own folder.
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from cohortlab.errors import CohortlabError
from cohortlab.keys import PublicKey

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,126}[a-z0-9])?")


def _from_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path.cwd())
    return Path(folder, path.expanduser()).resolve()


def _existing_folder(path: Path) -> Path:
    if not path.is_dir():
        raise PydanticCustomError("no_folder", "There is no folder at this path.")
    return path


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise PydanticCustomError("no_file", "There is no file at this path.")
    return path


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value):
        raise PydanticCustomError("identifier", "Use 1 to 63 lowercase letters, digits and hyphens, no hyphen first or last.")
    return value


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise PydanticCustomError(
            "account", "Use 1 to 128 lowercase letters, digits, dots, hyphens, underscores and @, a letter or digit first and last."
        )
    return value


def _public_key(value: str) -> str:
    try:
        return PublicKey(value).text
    except CohortlabError as error:
        raise PydanticCustomError("public_key", "{reason}", {"reason": str(error)}) from None


FilePath = Annotated[Path, AfterValidator(_from_file)]
Folder = Annotated[FilePath, AfterValidator(_existing_folder)]
File = Annotated[FilePath, AfterValidator(_existing_file)]
Identifier = Annotated[str, AfterValidator(_identifier)]
AccountName = Annotated[str, AfterValidator(_account)]
TrustedKey = Annotated[str, AfterValidator(_public_key)]


class Part(BaseModel):
    """A part of the file. A key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(Part):
    """Where the proxy listens. `port` 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Account(Part):
    """An account of the demo's login."""

    groups: list[Identifier] = []


class DemoLogin(Part):
    """The demo's login: every account has the same random password. Only for one machine, never beyond loopback."""

    kind: Literal["demo"]
    accounts: dict[AccountName, Account] = Field(min_length=1)


class Dataset(Part):
    """One dataset: either `store`, the folder of one version, mounted in sessions, or `sites`, where it stays."""

    title: str = ""
    description: str = ""
    store: Folder | None = None
    sites: list[Identifier] = []

    @model_validator(mode="after")
    def _one_place(self) -> "Dataset":
        if (self.store is None) == (not self.sites):
            raise PydanticCustomError("one_place", "Give either `store` (a folder that is mounted) or `sites` (where the data stays).")
        return self

    @property
    def remote(self) -> bool:
        """Whether the data stays at its sites, so that only jobs run on it."""
        return self.store is None


class Site(Part):
    """A hospital's node. `token` holds the secret it signs in with; with `config`, `cohortlab up` starts it on this machine."""

    title: str = ""
    token: File
    config: File | None = None


class Project(Part):
    """A study that jobs run for: who may submit for it, and its purpose as a DUO code."""

    title: str = ""
    members: list[AccountName] = []
    groups: list[Identifier] = []
    purpose: str | None = Field(default=None, pattern=r"^DUO:\d{7}$")


class Federation(Part):
    """Federated jobs: the key that signs tickets, the sites, the projects, and the jobs' limits."""

    key: File
    sites: dict[Identifier, Site] = {}
    projects: dict[Identifier, Project] = {}
    minimum_sites: int = Field(default=2, ge=1, description="A result needs releases of at least this many sites.")
    ticket_seconds: int = Field(default=3600, ge=10, description="How long a ticket is valid.")
    silence_seconds: int = Field(default=60, ge=5, description="A site that does not speak for so long is lost.")


class Sessions(Part):
    """Sessions on this machine. `isolate`: ``auto`` separates them where the system can; ``required`` starts none otherwise."""

    isolate: Literal["auto", "required"] = "auto"


class Settings(Part):
    """All of workbench.yaml."""

    title: str = "Cohortlab"
    state: FilePath = Field(default=Path(), validate_default=True)
    listen: Listen = Listen()
    login: DemoLogin
    database: str | None = Field(default=None, pattern=r"^(sqlite|postgresql)(\+[a-z0-9]+)?://")
    steward_groups: list[Identifier] = ["stewards"]
    trusted_keys: list[TrustedKey] = Field(min_length=1)
    sessions: Sessions = Sessions()
    datasets: dict[Identifier, Dataset] = {}
    federation: Federation | None = None

    @field_validator("login")
    @classmethod
    def _demo_stays_here(cls, login: DemoLogin, info: ValidationInfo) -> DemoLogin:
        listen = info.data.get("listen")
        if isinstance(listen, Listen) and not listen.loopback:
            raise PydanticCustomError(
                "demo_beyond_loopback",
                "The demo login shares one password and is only for this machine: set listen.host to 127.0.0.1.",
            )
        return login

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the records."""
        return self.database or f"sqlite:///{self.state / 'hub' / 'records.sqlite'}"

    @property
    def trusted(self) -> list[PublicKey]:
        """The keys whose signature makes a store readable."""
        return [PublicKey(key) for key in self.trusted_keys]

    @property
    def sites(self) -> dict[str, Site]:
        """The federation's sites, by name."""
        return self.federation.sites if self.federation else {}
