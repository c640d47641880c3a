"""The one configuration file, workbench.yaml, as one pydantic model.

`cohortlab_hub.settings_file.load` reads the file. A wrong file is refused whole before anything starts, every error with
its path in the file (``datasets.prostatex.store``). Paths in the file are relative to the file's own folder.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from cohortlab.keys import PublicKey
from cohortlab_hub.access.purposes import PURPOSE, Diseases
from cohortlab_hub.access.settings import Access, DatasetUse
from cohortlab_hub.identity.settings import GroupName, OidcLogin, Passports
from cohortlab_hub.operations.settings import Metrics
from cohortlab_hub.sessions.settings import GpuKind, Kubernetes, Profile, Queue, Sessions
from cohortlab_hub.settings_parts import AccountName, File, FilePath, Folder, Identifier, Part, StoreFolder, TrustedKey


class Listen(Part):
    """Where the proxy listens. `port` 0 takes a free one. `base_path`: below which path everything lies, with slashes around."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    base_path: str = Field(default="/", pattern=r"^/([a-z0-9][a-z0-9._-]*/)*$")

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
    """The demo's login: every account has the same random password. Only for one machine, never beyond loopback.

    `trial_in_cluster`: an operator asks for it in a cluster all the same, to try the workbench out.
    """

    kind: Literal["demo"]
    trial_in_cluster: bool = False
    accounts: dict[AccountName, Account] = Field(min_length=1)


class Dataset(Part):
    """One dataset: either `store`, the folder of one version, mounted in sessions, or `sites`, where it stays.

    `use`: what it may be used for, beside what its manifest says. `visas`: values of ControlledAccessGrants visas that grant it.
    Where it stays at sites: `manifests`, folders with the signed `dataset.json` of each site, for schema and counts; `sample`, a
    synthetic dataset of this file that whoever may run jobs on it may open.
    """

    title: str = ""
    description: str = ""
    store: StoreFolder | None = None
    sites: list[Identifier] = []
    use: DatasetUse = DatasetUse()
    visas: list[str] = []
    manifests: list[Folder] = []
    sample: Identifier | None = None

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
    members: list[str] = []
    groups: list[GroupName] = []
    purpose: str | None = Field(default=None, pattern=PURPOSE)


class Federation(Part):
    """Federated jobs: the key that signs tickets, the sites, the projects, and the jobs' limits."""

    key: File
    sites: dict[Identifier, Site] = {}
    projects: dict[Identifier, Project] = {}
    minimum_sites: int = Field(default=2, ge=1, description="A result needs releases of at least this many sites.")
    ticket_seconds: int = Field(default=3600, ge=10, description="How long a ticket is valid.")
    silence_seconds: int = Field(default=60, ge=5, description="A site that does not speak for so long is lost.")


class Settings(Part):
    """All of workbench.yaml."""

    title: str = "Cohortlab"
    state: FilePath = Field(default=Path(), validate_default=True)
    listen: Listen = Listen()
    login: Annotated[DemoLogin | OidcLogin, Field(discriminator="kind")]
    passports: Passports | None = None
    access: Access = Access()
    database: str | None = Field(default=None, pattern=r"^(sqlite|postgresql)(\+[a-z0-9]+)?://")
    database_file: File | None = Field(default=None, description="A file with that URL, for one with a password.")
    hub_database_file: File | None = Field(default=None, description="A file with the URL of JupyterHub's own database.")
    steward_groups: list[GroupName] = ["stewards"]
    operator_groups: list[GroupName] = ["operators"]
    trusted_keys: list[TrustedKey] = Field(min_length=1)
    sessions: Sessions = Sessions()
    profiles: dict[Identifier, Profile] = {}
    gpus: dict[Identifier, GpuKind] = {}
    queue: Queue = Queue()
    kubernetes: Kubernetes | None = None
    datasets: dict[Identifier, Dataset] = {}
    federation: Federation | None = None
    metrics: Metrics | None = None

    @field_validator("login")
    @classmethod
    def _demo_stays_here(cls, login: DemoLogin | OidcLogin, info: ValidationInfo) -> DemoLogin | OidcLogin:
        listen = info.data.get("listen")
        if isinstance(login, DemoLogin) and isinstance(listen, Listen) and not (listen.loopback or login.trial_in_cluster):
            raise PydanticCustomError(
                "demo_beyond_loopback",
                "The demo login shares one password and is only for this machine: set listen.host to 127.0.0.1.",
            )
        return login

    @field_validator("passports")
    @classmethod
    def _passports_come_with_sign_in(cls, passports: Passports | None, info: ValidationInfo) -> Passports | None:
        if passports is not None and isinstance(info.data.get("login"), DemoLogin):
            raise PydanticCustomError("passports_without_oidc", "Passports come with a sign-in of the kind `oidc`.")
        return passports

    @property
    def accounts(self) -> dict[str, Account]:
        """The demo login's accounts; none with a provider."""
        return self.login.accounts if isinstance(self.login, DemoLogin) else {}

    @property
    def diseases(self) -> Diseases:
        """Names of diseases, and which lie within which."""
        known = self.access.diseases
        within = {code: frozenset(disease.within) for code, disease in known.items()}
        return Diseases({code: disease.title for code, disease in known.items()}, within)

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the records."""
        if self.database_file is not None:
            return self.database_file.read_text(encoding="utf-8").strip()
        return self.database or f"sqlite:///{self.state / 'hub' / 'records.sqlite'}"

    @property
    def trusted(self) -> list[PublicKey]:
        """The keys whose signature makes a store readable."""
        return [PublicKey(key) for key in self.trusted_keys]

    @property
    def sites(self) -> dict[str, Site]:
        """The federation's sites, by name."""
        return self.federation.sites if self.federation else {}
