"""A site's two files: `site.yaml` says where things are, `policy.yaml` what the hospital allows.

Both are read whole at start; the policy is read again for every job, so that a change counts at once. Relative paths
are relative to the file that holds them.
"""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, Field, ValidationError

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.federation.contracts import DatasetId, Model, ProjectName, Reason, SiteName, TaskName, Ticket
from cohortlab.keys import PublicKey

_ROOT = "(file)"


def _key(text: str) -> str:
    PublicKey(text)
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an http or https address without a password, query or fragment")
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise ValueError("must be https, since the site's token travels with it")
    return text.rstrip("/") + "/"


KeyText = Annotated[str, AfterValidator(_key)]


class SiteConfig(Model):
    """`site.yaml`. `ticket_keys` are the hub's, `dataset_keys` the gates' public keys that this site trusts."""

    name: SiteName
    service_url: Annotated[str, AfterValidator(_url)]
    """The hub's service, e.g. ``https://hub.example.org/services/cohortlab/``."""
    token_file: Path
    """File with the site's API token, readable by its owner only."""
    policy: Path = Path("policy.yaml")
    stores: Path = Path("stores")
    """Folder with ``<dataset id>/<version>/``."""
    state: Path = Path("state")
    """Folder for the tickets taken and the releases on their way; survives a restart."""
    ticket_keys: Annotated[tuple[KeyText, ...], Field(min_length=1, max_length=16)]
    dataset_keys: Annotated[tuple[KeyText, ...], Field(min_length=1, max_length=64)]
    time_limit: Annotated[float, Field(gt=0, le=7 * 86400)] = 3600.0
    """Seconds that one computation may take."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """Computations at the same time; more wait."""
    poll: Annotated[float, Field(gt=0, le=60)] = 25.0
    """Seconds for which one question for work stays open."""

    def token(self) -> str:
        """The site's API token. Raises `NotFoundError`, or `InvalidInputError` when others can read the file."""
        try:
            if self.token_file.stat().st_mode & 0o077:
                raise InvalidInputError(f"{self.token_file} can be read by others.", hint="Run chmod 600 on it.")
            token = self.token_file.read_text().strip()
        except FileNotFoundError:
            raise NotFoundError(f"No token file at {self.token_file}.", hint="Ask the hub's operator for this site's token.") from None
        if not token or not token.isascii() or any(c.isspace() for c in token):
            raise InvalidInputError(f"{self.token_file} holds no token.")
        return token


class PolicyFile(Model):
    """`policy.yaml`: what this site allows. What is not named is refused."""

    projects: Annotated[tuple[ProjectName, ...], Field(max_length=1024)] = ()
    tasks: Annotated[tuple[TaskName, ...], Field(max_length=64)] = ()
    datasets: Annotated[tuple[DatasetId, ...], Field(max_length=1024)] = ()
    minimum_count: Annotated[int, Field(ge=3, le=10**9)] = 10
    """A cell with fewer voxels than this (but not none) is suppressed. Below 3, "suppressed" would say what the cell holds."""
    minimum_subjects: Annotated[int, Field(ge=1, le=10**6)] = 5
    """A job over fewer subjects than this is refused."""
    minimum_subjects_per_cell: Annotated[int, Field(ge=1, le=10**6)] = 1
    """A cell to which fewer subjects contribute (but not none) is suppressed; 1 leaves it to `minimum_count`."""

    def refusal(self, ticket: Ticket) -> Reason | None:
        """Why this policy does not allow the ticket, or None."""
        if ticket.project not in self.projects:
            return Reason.PROJECT_NOT_ALLOWED
        if ticket.task not in self.tasks:
            return Reason.TASK_NOT_ALLOWED
        if ticket.dataset not in self.datasets:
            return Reason.DATASET_NOT_ALLOWED
        return None


def _read[M: Model](path: Path, model: type[M]) -> M:
    try:
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.") from None
    except (OSError, UnicodeError):
        raise InvalidInputError(f"{path} cannot be read as text.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InvalidInputError(f"{path} is not YAML" + (f" (line {mark.line + 1})." if mark else ".")) from None
    try:
        return model.model_validate_json(json.dumps({} if value is None else value, default=str))
    except ValidationError as error:
        lines = [f"{'.'.join(str(p) for p in e['loc']) or _ROOT}: {e['msg']}" for e in error.errors(include_url=False, include_input=False)]
        raise InvalidInputError(f"{path} is not right:\n  " + "\n  ".join(lines)) from None


def read_config(path: Path) -> SiteConfig:
    """`site.yaml` with its paths made absolute. Raises `NotFoundError` or `InvalidInputError`, each error with its place."""
    config = _read(path, SiteConfig)
    base = path.resolve().parent
    places = {name: base / getattr(config, name) for name in ("token_file", "policy", "stores", "state")}
    return config.model_copy(update=places)


def read_policy(path: Path) -> PolicyFile:
    """`policy.yaml`. Raises `NotFoundError` or `InvalidInputError`, each error with its place."""
    return _read(path, PolicyFile)
