"""Around every request of the service: its id, one line in the log, its counts, and a problem document where it failed."""

import time
from http import HTTPStatus
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cohortlab_hub.operations import request_ids
from cohortlab_hub.operations.metrics import Metrics

_HEADER: Final = request_ids.HEADER.lower().encode()
_REFUSED: Final = {401: "unauthenticated", 403: "refused"}
_QUIET: Final = {"/health", "/ready"}
_PIXELS: Final = {"slice", "volume", "thumbnail", "chunk"}
_CLOSED: Final = 499
_WITH_BODY: Final = {200, 206}
_log = structlog.get_logger("cohortlab_hub.requests")


class Observed:
    """ASGI middleware. `prefix`: what all routes begin with, and no label should."""

    def __init__(self, app: ASGIApp, metrics: Metrics, prefix: str) -> None:
        self._app, self._metrics, self._prefix = app, metrics, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of connection are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), None)
        request_id = request_ids.accepted(given)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        begin, status, size = time.perf_counter(), 0, 0

        async def answer(message: Message) -> None:
            nonlocal status, size
            size += len(message.get("body", b""))
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message = {**message, "headers": [*message.get("headers", ()), (_HEADER, request_id.encode())]}
            await send(message)

        with self._metrics.open.track_inprogress():
            try:
                await self._app(scope, receive, answer)
            except Exception:  # noqa: BLE001 - the outermost place: what nobody caught is an answer too, and a line in the log
                _log.exception("request.failed", route=self._route(scope), method=scope["method"])
                if status == 0:
                    await _fail(answer, request_id)
        self._note(scope, status or _CLOSED, time.perf_counter() - begin, size)

    def _route(self, scope: Scope) -> str:
        path = getattr(scope.get("route"), "path", None)
        return path.removeprefix(self._prefix).removeprefix("/api/v1") if isinstance(path, str) else "none"

    def _note(self, scope: Scope, status: int, seconds: float, size: int) -> None:
        route, method = self._route(scope), scope["method"]
        method = method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        tags: list[Any] = getattr(scope.get("route"), "tags", None) or ["none"]
        if status in _REFUSED:
            self._metrics.refused.labels(str(tags[0]), _REFUSED[status]).inc()
        if "pixels" in tags and status in _WITH_BODY:
            kind = route.split("/")[-1].partition("{")[0] or "chunk"
            if kind in _PIXELS:
                self._metrics.pixel_answers.labels(kind).inc()
                self._metrics.pixel_bytes.labels(kind).inc(size)
        good = status < HTTPStatus.BAD_REQUEST
        if good and (route in _QUIET or "pixels" in tags):  # images are counted, and told of in the audit
            return
        level = "error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "info" if good else "warning"
        user = scope.get("state", {}).get("user")
        getattr(_log, level)("request", method=method, route=route, status=status, ms=round(1000 * seconds, 1), user=user)


async def _fail(send: Send, request_id: str) -> None:
    """The problem document of an error that nobody expected."""
    from cohortlab_hub.problems import problem  # noqa: PLC0415 - that module knows the rooms, and rooms know this one

    answer = problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong in the service.",
        hint=f"Tell an operator: request {request_id}.",
    )
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body})
