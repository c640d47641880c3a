"""What the watch asks of JupyterHub, with the service's own token: who has sessions, and that one be stopped."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from cohortlab.errors import UnavailableError

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Signed:
    """A person with sessions: their groups, whether their sign-in holds, and their running or starting servers."""

    name: str
    groups: frozenset[str]
    servers: frozenset[str] = frozenset()
    signed_in: bool = True


class HubApi:
    """JupyterHub's REST API at `url`, with the scopes of the role ``cohortlab-service``. Each call raises `UnavailableError`."""

    def __init__(self, url: str, token: str, client: httpx.AsyncClient | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"token {token}", "Accept": "application/jupyterhub-pagination+json"}
        self._client = client or httpx.AsyncClient(timeout=30, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def active(self) -> dict[str, Signed]:
        """Everybody with a running or starting session, by name."""
        found: dict[str, Signed] = {}
        offset: int | None = 0
        while offset is not None:
            page = (await self._ask("GET", f"/users?state=active&limit={_PAGE}&offset={offset}", {HTTPStatus.OK})).json()
            found |= {user["name"]: Signed(user["name"], _texts(user["groups"]), _texts(user["servers"])) for user in page["items"]}
            following = page["_pagination"]["next"]
            offset = following["offset"] if following else None
        return found

    async def refreshed(self, person: Signed) -> Signed:
        """`person` as the provider knows them now, as far as `refresh_seconds` allows."""
        answer = await self._ask("POST", f"/cohortlab/refresh/{quote(person.name, safe='')}", {HTTPStatus.OK, HTTPStatus.NOT_FOUND})
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return Signed(person.name, frozenset(), person.servers, signed_in=False)
        said: dict[str, Any] = answer.json()
        return Signed(person.name, _texts(said["groups"]), person.servers, signed_in=bool(said["signed_in"]))

    async def stop(self, person: str, server: str) -> bool:
        """Stop a session; whether it is stopping or gone. Not while it is still starting."""
        path = f"/users/{quote(person, safe='')}/" + (f"servers/{quote(server, safe='')}" if server else "server")
        ended = {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}
        return (await self._ask("DELETE", path, ended | {HTTPStatus.BAD_REQUEST})).status_code in ended

    async def _ask(self, method: str, path: str, expected: Iterable[HTTPStatus]) -> httpx.Response:
        try:
            answer = await self._client.request(method, self._url + path, headers=self._headers)
        except httpx.HTTPError as error:
            raise UnavailableError(f"JupyterHub does not answer ({type(error).__name__}).") from None
        if answer.status_code not in set(expected):
            raise UnavailableError(f"JupyterHub answered {answer.status_code}.")
        return answer


def _texts(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)
