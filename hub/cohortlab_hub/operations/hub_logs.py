"""The hub's logs: JupyterHub's own lines as JSON, and a line for each request, by its handler.

JupyterHub's line for a request holds path, query and address: what was opened, and from where. Ours holds neither.
"""

import logging
from contextlib import suppress
from typing import Any, Final

import structlog
from jupyterhub.log import prometheus_log_method
from tornado.web import HTTPError, OutputTransform, RequestHandler

from cohortlab_hub.operations import request_ids
from cohortlab_hub.operations.logs import FORMATTER, use_lines

_LEVELS: Final = ((500, logging.ERROR), (400, logging.WARNING), (0, logging.INFO))
_QUIET: Final = {"HealthCheckHandler", "MetricsHandler", "CacheControlStaticFilesHandler", "LogoHandler"}
_requests = structlog.get_logger("cohortlab_hub.requests")


def lines(c: Any) -> None:
    """Have JupyterHub write lines like the service's. Call it first: what is set before is complained about in another form."""
    use_lines()
    c.JupyterHub.logging_config = {
        "formatters": {"console": {"class": FORMATTER}},
        "loggers": {"cohortlab_hub": {"level": "INFO", "handlers": ["console"], "propagate": False}},
        "root": {"level": "WARNING", "handlers": ["console"]},
    }


def requests(c: Any) -> None:
    """Have each request told of in our way, and given an id. Adds to the `tornado_settings` that are there."""
    given = dict(c.JupyterHub.tornado_settings) if "tornado_settings" in c.JupyterHub else {}
    c.JupyterHub.tornado_settings = {**given, "log_function": log_request, "transforms": [RequestId]}


class RequestId(OutputTransform):
    """Tornado's hook at a request's beginning and at its answer's: the request's id goes into the log's context and the answer."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self._id = request_ids.accepted(request.headers.get(request_ids.HEADER))
        request.cohortlab_id = self._id
        # the handler runs in a task that is made after this, and takes this context with it
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self._id)

    def transform_first_chunk(self, status_code: int, headers: Any, chunk: bytes, finishing: bool) -> tuple[int, Any, bytes]:
        """Say the id."""
        del finishing
        headers[request_ids.HEADER] = self._id
        return status_code, headers, chunk


def log_request(handler: RequestHandler) -> None:
    """JupyterHub's `log_function`: a line for each request, by handler and not by path, and its Prometheus metrics."""
    status, name = handler.get_status(), type(handler).__name__
    user = None
    with suppress(HTTPError, RuntimeError):
        user = handler.current_user
    if not (status < 400 and name in _QUIET):  # noqa: PLR2004 - HTTP's errors begin there
        _requests.log(
            next(level for least, level in _LEVELS if status >= least),
            "request",
            method=handler.request.method,
            route=name,
            status=status,
            ms=round(1000 * handler.request.request_time(), 1),
            user=user.get("name") if isinstance(user, dict) else getattr(user, "name", user),
            request_id=getattr(handler.request, "cohortlab_id", None),
        )
    prometheus_log_method(handler)
