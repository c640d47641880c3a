"""Whether the service can do its work now: what ``/ready`` answers. Each check is one word; none holds an address or a secret."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

import httpx
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cohortlab.errors import CohortlabError
from cohortlab.keys import load_key
from cohortlab_hub import records
from cohortlab_hub.settings import Settings

Name = Literal["records", "migrations", "signing_key", "hub"]
OK: Final = "ok"
_SECONDS: Final = 4.0  # for one check
_KEEP: Final = 1.0  # seconds for which an answer counts: whoever asks more often learns nothing more, and costs nothing


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the checks found: for each ``ok``, or what is wrong."""

    checks: dict[Name, str]

    @property
    def ready(self) -> bool:
        """Whether all is well."""
        return all(said == OK for said in self.checks.values())


class Checks:
    """Looks when asked, one look at a time. `hub_api`: JupyterHub's API."""

    def __init__(self, settings: Settings, engine: Engine, hub_api: str, client: httpx.AsyncClient | None = None) -> None:
        self._settings = settings
        self._engine = engine
        self._hub = hub_api.rstrip("/") + "/"
        self._client = client or httpx.AsyncClient(timeout=_SECONDS, trust_env=False)
        self._lock = asyncio.Lock()
        self._known: tuple[float, Readiness] | None = None

    async def close(self) -> None:
        """Close the connection to JupyterHub."""
        await self._client.aclose()

    async def look(self) -> Readiness:
        """How it is now."""
        async with self._lock:
            if self._known is None or self._known[0] < time.monotonic():
                found = await asyncio.gather(self._records(), self._within(self._key), self._within(self._asked))
                checks: dict[Name, str] = {**found[0], "signing_key": found[1], "hub": found[2]}
                self._known = (time.monotonic() + _KEEP, Readiness(checks))
            return self._known[1]

    async def _records(self) -> dict[Name, str]:
        said = await self._within(self._migrated)
        reached = said in {OK, "behind"}
        return {"records": OK if reached else said, "migrations": said if reached else "unknown"}

    async def _within(self, check: Callable[[], Awaitable[str]]) -> str:
        try:
            async with asyncio.timeout(_SECONDS):
                return await check()
        except TimeoutError:
            return "slow"

    async def _migrated(self) -> str:
        try:
            behind = await asyncio.to_thread(records.behind, self._engine)
        except SQLAlchemyError:
            return "unreachable"
        return "behind" if behind else OK

    async def _key(self) -> str:
        if self._settings.federation is None:
            return OK  # nothing is signed here
        try:
            await asyncio.to_thread(load_key, self._settings.federation.key)
        except (CohortlabError, OSError):
            return "unreadable"
        return OK

    async def _asked(self) -> str:
        try:
            answer = await self._client.get(self._hub)
        except httpx.HTTPError:
            return "unreachable"
        return OK if answer.status_code == HTTPStatus.OK else "failing"
