"""The session's line to the hub: its address and token come from the environment that JupyterHub gives a session."""

import atexit
import os
import threading
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from cohortlab.errors import CohortlabError, IntegrityError, InvalidInputError, NotFoundError, RefusedError, UnavailableError

_TIMEOUT = 15.0
_ERRORS: dict[int, type[CohortlabError]] = {
    HTTPStatus.UNAUTHORIZED: RefusedError,
    HTTPStatus.FORBIDDEN: RefusedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: IntegrityError,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidInputError,
}


_sharing = threading.Lock()
_shared: "Line | None" = None


class Line:
    """Calls to the hub's service. Safe to use from several threads.

    `url` is the service's address and `token` one of JupyterHub; by default COHORTLAB_SERVICE_URL and JUPYTERHUB_API_TOKEN.
    Raises `UnavailableError` when they are not set.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        url = url or os.environ.get("COHORTLAB_SERVICE_URL", "")
        token = token or os.environ.get("JUPYTERHUB_API_TOKEN", "")
        if not url or not token:
            raise UnavailableError(
                "Jobs need the hub, and this is not a session of it.",
                hint="Start a session from the hub, or set COHORTLAB_SERVICE_URL and JUPYTERHUB_API_TOKEN.",
            )
        local = urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
        self._client = httpx.Client(
            base_url=url.rstrip("/") + "/api/v1/", headers={"Authorization": f"token {token}"}, timeout=_TIMEOUT, trust_env=not local
        )

    @classmethod
    def shared(cls) -> "Line":
        """The one line of this session, made when first asked for and closed when Python ends."""
        global _shared  # noqa: PLW0603 - one for the process is the point
        with _sharing:
            if _shared is None:
                _shared = cls()
                atexit.register(_shared.close)
            return _shared

    def get[M: BaseModel](self, path: str, model: type[M], *, wait: float = 0.0, **query: Any) -> M:
        """GET `path` as `model`; `wait` is how long the hub may hold the answer back, in seconds."""
        timeout = httpx.Timeout(_TIMEOUT, read=wait + _TIMEOUT)
        params = query | ({"wait": wait} if wait else {})
        return _as(self._call("GET", path, params=params, timeout=timeout), model)

    def get_list[M: BaseModel](self, path: str, model: type[M], **query: Any) -> list[M]:
        """GET `path` as a list of `model`."""
        values = self._call("GET", path, params=query).json()
        try:
            return [model.model_validate(value) for value in values]
        except (ValidationError, TypeError):
            raise _strange() from None

    def post[M: BaseModel](self, path: str, model: type[M], body: BaseModel | None = None) -> M:
        """POST `body` to `path`; the answer as `model`."""
        return _as(self._call("POST", path, json=body.model_dump(mode="json") if body else None), model)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **more)
        except (httpx.HTTPError, RuntimeError):  # RuntimeError: closed meanwhile
            raise UnavailableError("The hub does not answer.", hint="Try again in a moment.") from None
        if answer.is_success:
            return answer
        raise _error(answer)


def _as[M: BaseModel](answer: httpx.Response, model: type[M]) -> M:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError:
        raise _strange() from None


def _strange() -> UnavailableError:
    return UnavailableError("What answers at the hub's address is not Cohortlab's service, or of another version.")


def _error(answer: httpx.Response) -> CohortlabError:
    """The hub's problem document as the error that it is, with the hub's own words."""
    kind = answer.headers.get("content-type", "")
    problem = answer.json() if kind.startswith("application/problem+json") else {}
    if not problem or answer.status_code not in _ERRORS:
        return UnavailableError(f"The hub answered {answer.status_code}.", hint="Try again in a moment.")
    hint = problem.get("hint", "") or "; ".join(f"{e.get('path')}: {e.get('message')}" for e in problem.get("errors", []))
    error = _ERRORS[answer.status_code](str(problem.get("detail", "")), hint=hint)
    error.code = str(problem.get("code", error.code))
    return error
