"""The site's line to the hub: outbound only, three calls."""

from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from cohortlab.errors import IntegrityError, InvalidInputError, RefusedError, UnavailableError
from cohortlab.federation.contracts import Release, SiteReport, Work
from cohortlab.federation.site.config import SiteConfig

_TIMEOUT = 15.0


class OverError(IntegrityError):
    """The hub knows this ticket as over, or not at all: there is nobody to answer."""

    code = "ticket-over"


def local(url: str) -> bool:
    """Whether `url` is of this machine, where a proxy of the environment would only be in the way."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


class HubLine:
    """The calls. Each raises `UnavailableError` when the hub does not answer and `RefusedError` when it does not know this site."""

    def __init__(self, config: SiteConfig) -> None:
        self._wait = config.poll
        self._client = httpx.AsyncClient(
            base_url=config.service_url + "api/v1/sites/self/",
            headers={"Authorization": f"token {config.token()}"},
            timeout=_TIMEOUT,
            trust_env=not local(config.service_url),
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.aclose()

    async def probe(self) -> None:
        """Ask the hub whether it knows this site."""
        await self._call("GET", "")

    async def work(self, *, wait: bool = True) -> Work:
        """What there is to do. With `wait` the question stays open until there is something, or for a while."""
        seconds = self._wait if wait else 0.0
        answer = await self._call("GET", "work", params={"wait": seconds}, timeout=httpx.Timeout(_TIMEOUT, read=seconds + _TIMEOUT))
        try:
            return Work.model_validate_json(answer.content)
        except ValidationError:
            raise UnavailableError("What answers at the hub's address is not Cohortlab's service.", hint="Check service_url.") from None

    async def report(self, ticket: str, report: SiteReport) -> None:
        """Say how far a ticket is. Raises `OverError`."""
        await self._call("POST", f"tickets/{ticket}/events", json=report.model_dump(mode="json"))

    async def release(self, release: Release) -> None:
        """Hand over a release. Raises `OverError`; `InvalidInputError` when the hub does not take it."""
        await self._call("POST", f"tickets/{release.ticket}/release", json=release.model_dump(mode="json"))

    async def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(f"The hub does not answer ({type(error).__name__}).") from None
        match answer.status_code:
            case HTTPStatus.OK | HTTPStatus.NO_CONTENT:
                return answer
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise RefusedError("The hub does not accept this site's token.", hint="Ask the hub's operator for a new one.")
            case HTTPStatus.CONFLICT:
                raise OverError("The ticket is over.")
            case HTTPStatus.NOT_FOUND if _problem(answer):
                raise OverError("The hub does not know this ticket.")
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                raise InvalidInputError("The hub does not take this.")
            case status:
                raise UnavailableError(f"The hub answered {status}.")


def _problem(answer: httpx.Response) -> bool:
    """Whether the service itself answered, not the proxy in front of it while the service is away."""
    kind: str = answer.headers.get("content-type", "")
    return kind.startswith("application/problem+json")
