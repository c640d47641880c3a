"""Errors as RFC 9457 problem JSON: one form for everything that a route raises."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cohortlab.errors import CohortlabError, IntegrityError, InvalidInputError, NotFoundError, RefusedError, StorageError, UnavailableError
from cohortlab_hub.identity import UnauthenticatedError

_STATUS: tuple[tuple[type[CohortlabError], HTTPStatus], ...] = (
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (RefusedError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (InvalidInputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (IntegrityError, HTTPStatus.CONFLICT),
    (StorageError, HTTPStatus.INSUFFICIENT_STORAGE),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def problem(status: HTTPStatus, code: str, detail: str, **more: Any) -> JSONResponse:
    """A problem document: `code` is a stable word for machines, `detail` a sentence for people."""
    headers = {"WWW-Authenticate": "token"} if status == HTTPStatus.UNAUTHORIZED else None
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "code": code, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json", headers=headers)


def _known(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, CohortlabError):
        raise error
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    more = {"hint": error.hint} if error.hint else {}
    return problem(status, error.code, error.message, **more)


def _http(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    return problem(status, status.name.lower().replace("_", "-"), str(error.detail))


def _validation(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    # Where and why, never the value that was sent: it may be a secret.
    errors = [{"path": ".".join(str(part) for part in entry["loc"]), "message": entry["msg"]} for entry in error.errors()]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", "The request does not have the right form.", errors=errors)


def install(app: FastAPI) -> None:
    """Make `app` answer every error as a problem document."""
    app.add_exception_handler(CohortlabError, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
