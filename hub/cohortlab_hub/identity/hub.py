"""Asks JupyterHub whose a token is; keeps the answer for a few seconds, by the token's digest."""

import hashlib
import time
from http import HTTPStatus
from typing import Any

import httpx

from cohortlab.errors import RefusedError, UnavailableError
from cohortlab_hub.identity.principal import Principal, UnauthenticatedError

_MOST = 4096  # answers kept; more tokens than that are asked for again


class HubIdentity:
    """Tokens -> principals, by JupyterHub's ``GET /hub/api/user``.

    `api_url` is JUPYTERHUB_API_URL. A token must hold the scope ``access:services`` for `service`. An answer is used for
    `keep` seconds at most, so that a revoked token or a left group counts well within a minute.
    """

    def __init__(self, api_url: str, service: str = "cohortlab", keep: float = 10.0, client: httpx.AsyncClient | None = None) -> None:
        self._url = api_url.rstrip("/") + "/user"
        self._scopes = {"access:services", f"access:services!service={service}"}
        self._keep = keep
        self._client = client or httpx.AsyncClient(timeout=10, trust_env=False)
        self._known: dict[bytes, tuple[float, Principal]] = {}

    async def close(self) -> None:
        """Close the connections to JupyterHub."""
        await self._client.aclose()

    async def of_token(self, token: str) -> Principal:
        """Whose token it is.

        Raises `UnauthenticatedError` for an unknown token, `RefusedError` for one that may not call this service and
        `UnavailableError` when JupyterHub does not answer: no answer means no.
        """
        key = hashlib.sha256(token.encode()).digest()
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        principal = await self._ask(token)
        if len(self._known) >= _MOST:
            self._known = {k: v for k, v in self._known.items() if v[0] > now}
        if len(self._known) < _MOST:
            self._known[key] = (now + self._keep, principal)
        return principal

    async def _ask(self, token: str) -> Principal:
        try:
            answer = await self._client.get(self._url, headers={"Authorization": f"token {token}"})
        except (httpx.HTTPError, UnicodeError, ValueError):
            raise UnavailableError("JupyterHub does not answer.", hint="Try again in a moment.") from None
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise UnauthenticatedError("The token is not valid here, or no longer.", hint="Restart your session, or sign in again.")
        if answer.status_code != HTTPStatus.OK:
            raise UnavailableError(f"JupyterHub answered {answer.status_code}.", hint="Try again in a moment.")
        model: dict[str, Any] = answer.json()
        scopes = frozenset(model.get("scopes", ()))
        if not scopes & self._scopes:
            raise RefusedError(
                "This token may not call the service.", hint="Ask for a token with the scope access:services!service=cohortlab."
            )
        return Principal(
            name=model["name"],
            kind="service" if model.get("kind") == "service" else "user",
            groups=frozenset(model.get("groups") or ()),
            scopes=scopes,
        )
