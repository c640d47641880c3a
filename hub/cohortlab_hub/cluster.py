"""The hub as pods of a cluster: what `configure` sets otherwise than on one machine.

The proxy is a pod of its own, and so are the services where the records are in PostgreSQL. Secrets are files in the folder
that ``COHORTLAB_SECRETS`` names, as the chart mounts its Secret, under the names that zero-to-jupyterhub gives them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab_hub.sessions.settings import Kubernetes
from cohortlab_hub.settings import Settings

SECRETS_VARIABLE = "COHORTLAB_SECRETS"
BIND_VARIABLE = "COHORTLAB_SERVICE_BIND"
_PROXY_TOKEN = "hub.config.ConfigurableHTTPProxy.auth_token"  # noqa: S105 - the name of a secret
_COOKIE_SECRET = "hub.config.JupyterHub.cookie_secret"  # noqa: S105 - the name of a secret
_CRYPT_KEYS = "hub.config.CryptKeeper.keys"
_DEMO_PASSWORD = "demo.password"  # noqa: S105 - the name of a secret
_HUB_PORT = 8081
_ROUTES_SECONDS = 10


def in_cluster(environment: Mapping[str, str]) -> bool:
    """Whether this process runs as a pod of the chart."""
    return bool(environment.get(SECRETS_VARIABLE))


def secret(environment: Mapping[str, str], name: str) -> str:
    """The secret `name`. Raises `NotFoundError`, which says which one is missing and never what one holds."""
    file = Path(environment[SECRETS_VARIABLE]) / name
    try:
        value = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        value = ""
    if not value:
        raise NotFoundError(f"The secret {name} is not there.", hint="Put it into the chart's Secret; its NOTES list all keys.")
    return value


def demo_password(environment: Mapping[str, str]) -> str:
    """The demo login's password, which outlives a restart of the hub's pod."""
    return secret(environment, _DEMO_PASSWORD)


def place(c: Any, settings: Settings, environment: Mapping[str, str]) -> None:
    """Fill in JupyterHub's addresses, database, proxy and secrets. Raises `NotFoundError` or `InvalidInputError`."""
    kubernetes = _kubernetes(settings)
    c.JupyterHub.bind_url = f"http://:8000{settings.listen.base_path}"
    c.JupyterHub.hub_bind_url = f"http://:{_HUB_PORT}"
    c.JupyterHub.hub_connect_url = kubernetes.hub_url
    c.JupyterHub.cookie_secret = _hexadecimal(environment, _COOKIE_SECRET)
    c.JupyterHub.cleanup_servers = False  # sessions outlive their hub
    c.JupyterHub.cleanup_proxy = False
    if settings.hub_database_file is not None:
        c.JupyterHub.db_url = settings.hub_database_file.read_text(encoding="utf-8").strip()
    c.CryptKeeper.keys = [_hexadecimal(environment, _CRYPT_KEYS)]
    # A proxy that begins anew knows no session and no service: the hub compares its routes, by default every five minutes.
    c.JupyterHub.last_activity_interval = _ROUTES_SECONDS
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = kubernetes.proxy_api_url
    c.ConfigurableHTTPProxy.auth_token = secret(environment, _PROXY_TOKEN)


def service(settings: Settings, environment: Mapping[str, str], managed: dict[str, Any]) -> dict[str, Any]:
    """JupyterHub's entry for the service: in pods of its own, or `managed` by the hub and reached through a Service."""
    if settings.database_file is None and settings.database is None:
        inner = managed["environment"] | {BIND_VARIABLE: "0.0.0.0", SECRETS_VARIABLE: environment[SECRETS_VARIABLE]}  # noqa: S104 - a pod's address
        return managed | {"url": _kubernetes(settings).services_url, "environment": inner}
    token = secret(environment, f"hub.services.{managed['name']}.apiToken")
    kept = {key: value for key, value in managed.items() if key not in {"command", "environment"}}
    return kept | {"url": _kubernetes(settings).services_url, "api_token": token}


def _kubernetes(settings: Settings) -> Kubernetes:
    if settings.kubernetes is None:
        raise InvalidInputError("workbench.yaml has no part `kubernetes`, but this hub runs in a cluster.", hint="The chart writes it.")
    return settings.kubernetes


def _hexadecimal(environment: Mapping[str, str], name: str) -> bytes:
    try:
        found = bytes.fromhex(secret(environment, name))
    except ValueError:
        raise InvalidInputError(
            f"The secret {name} is not written in hexadecimal digits.", hint="Make one with `openssl rand -hex 32`."
        ) from None
    if len(found) != 32:  # noqa: PLR2004 - bytes of AES-256 and of JupyterHub's cookies
        raise InvalidInputError(f"The secret {name} has {len(found)} bytes, not 32.", hint="Make one with `openssl rand -hex 32`.")
    return found
