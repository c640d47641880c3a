"""What the service counts for Prometheus, and the address where it is read.

No label holds anything about a person: routes, datasets, states, kinds. What this process itself counts must be summed over
replicas; what is read from the records (`collector`) is the same at each, and must not be.
"""

import hmac
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    make_wsgi_app,
)

from cohortlab.errors import StorageError

SERVICE: Final = "cohortlab-metrics"
"""JupyterHub's name of whoever reads metrics."""
_log = structlog.get_logger(__name__)
_SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        made: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("cohortlab_requests", "Requests answered.", ["route", "method", "status"], **made)
        self.seconds = Histogram("cohortlab_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS, **made)
        self.open = Gauge("cohortlab_requests_open", "Requests that are being answered, long polls among them.", **made)
        self.refused = Counter(
            "cohortlab_refused", "Requests refused: no valid token, or a decision that was a no.", ["room", "why"], **made
        )
        self.pixel_answers = Counter("cohortlab_pixel_answers", "Answers with pixels that this service gave.", ["kind"], **made)
        self.pixel_bytes = Counter("cohortlab_pixel_bytes", "Bytes of pixels that this service gave.", ["kind"], **made)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds for which a connection may be silent

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class' name
        """Nobody wants a line for each scrape."""


_Start = Callable[[str, list[tuple[str, str]]], Any]


def _guarded(registry: CollectorRegistry, token: str | None) -> Callable[[Mapping[str, Any], _Start], Iterable[bytes]]:
    metrics = make_wsgi_app(registry)

    def answer(environment: Mapping[str, Any], start: _Start) -> Iterable[bytes]:
        shown = str(environment.get("HTTP_AUTHORIZATION", "")).partition(" ")[2].strip()
        if token is not None and not hmac.compare_digest(shown.encode(), token.encode()):
            start("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain")])
            return [b"This needs the token of metrics.\n"]
        if environment.get("PATH_INFO") != "/metrics":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Metrics are at /metrics.\n"]
        try:
            given: Iterable[bytes] = metrics(environment, start)
        except Exception:  # noqa: BLE001 - wsgiref would write the error's text to the log; ours does not
            _log.exception("metrics.failed")
            start("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"Reading the metrics failed; the service's log says where.\n"]
        return given

    return answer


class Address:
    """Answers ``GET /metrics`` in a thread of its own, so that a busy service and a hub that is down are seen too."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int, token: str | None) -> None:
        """Raises `StorageError` when the port is taken."""
        try:
            self._server = make_server(host, port, _guarded(registry, token), server_class=_Server, handler_class=_Quiet)
        except OSError as error:
            raise StorageError(f"Metrics cannot listen at {host}:{port}: {error.strerror}.", hint="Choose another metrics.port.") from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="cohortlab-metrics", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def open(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
