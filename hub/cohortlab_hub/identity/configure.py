"""The part of JupyterHub's configuration that says who people are and how they sign in."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cohortlab.errors import InvalidInputError
from cohortlab_hub.identity.settings import OidcLogin
from cohortlab_hub.settings import DemoLogin, Settings

_KEY_VARIABLE = "JUPYTERHUB_CRYPT_KEY"
_KEY_BYTES = 32


def login(c: Any, settings: Settings, env: Mapping[str, str], password: str | None) -> None:
    """Fill in how people sign in. `password`: the demo's. Raises `InvalidInputError` when its login would be reachable from outside."""
    chosen = settings.login
    if isinstance(chosen, OidcLogin):
        _provider(c, settings, chosen, env)
    else:
        _demo(c, settings, chosen, password)


def groups(settings: Settings) -> dict[str, dict[str, list[str]]]:
    """The demo login's groups; with a provider there are none but its own."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, account in settings.accounts.items():
        for group in account.groups:
            found.setdefault(group, {"users": []})["users"].append(name)
    return dict(sorted(found.items()))


def service_role(service: str) -> dict[str, Any]:
    """What the hub's service may do at JupyterHub: see who has a session and in which groups they are, and end sessions."""
    scopes = ["list:users", "read:users:name", "read:users:groups", "read:servers", "delete:servers"]
    return {"name": f"{service}-service", "scopes": scopes, "services": [service]}


def _demo(c: Any, settings: Settings, chosen: DemoLogin, password: str | None) -> None:
    if not (
        settings.listen.loopback or chosen.trial_in_cluster
    ):  # workbench.yaml says so already; this is the place that must never let it pass
        raise InvalidInputError(
            "The demo login shares one password and never listens beyond this machine.", hint="Set listen.host to 127.0.0.1."
        )
    c.JupyterHub.authenticator_class = "shared-password"
    c.SharedPasswordAuthenticator.user_password = password or secrets.token_urlsafe(16)
    c.Authenticator.allowed_users = set(chosen.accounts)
    c.Authenticator.any_allow_config = True
    c.Authenticator.delete_invalid_users = True


def _provider(c: Any, settings: Settings, chosen: OidcLogin, env: Mapping[str, str]) -> None:
    how = chosen.how
    c.JupyterHub.authenticator_class = "cohortlab_hub.identity.authenticator.WorkbenchAuthenticator"
    auth = c.WorkbenchAuthenticator
    auth.settings = settings
    auth.login_service = chosen.title
    auth.client_id = chosen.client_id
    auth.client_secret = chosen.client_secret.read_text(encoding="utf-8").strip()
    auth.oauth_callback_url = chosen.hub_url + "hub/oauth_callback"
    passport = ["ga4gh_passport_v1"] if settings.passports is not None else []
    auth.scope = list(dict.fromkeys([*how.scopes, *passport]))
    auth.username_claim = how.name_claim
    # To the end, since JupyterHub only looks at the beginning. No colon: it marks commands and negotiators in audit events.
    auth.username_pattern = r"[A-Za-z0-9][A-Za-z0-9._@|+=~-]{0,126}\Z"
    auth.enable_pkce = True
    auth.basic_auth = True
    # Named, since not every HTTP client of JupyterHub (curl's does not) looks at the environment for authorities.
    authorities = {"ca_certs": env["SSL_CERT_FILE"]} if env.get("SSL_CERT_FILE") else {}
    auth.http_request_kwargs = {"connect_timeout": 5, "request_timeout": 10, **authorities}
    auth.manage_groups = True
    auth.enable_auth_state = True
    auth.auth_refresh_age = chosen.refresh_seconds
    auth.auth_refresh_strict = True
    auth.refresh_pre_spawn = True
    auth.allow_all = chosen.allow.everybody
    auth.allowed_users = set(chosen.allow.users)
    auth.allowed_groups = set(chosen.allow.groups)
    auth.allow_existing_users = False
    if not env.get(_KEY_VARIABLE):
        c.CryptKeeper.keys = [bytes.fromhex(_kept_key(settings.state / "hub" / "crypt_key"))]


def _kept_key(file: Path) -> str:
    """The key with which people's tokens are encrypted in the hub's database, made at the first start."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as target:
        key = secrets.token_hex(_KEY_BYTES)
        target.write(key + "\n")
    return key
