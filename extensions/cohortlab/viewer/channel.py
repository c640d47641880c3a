"""The gateway over the widget's own messages, for a browser that reaches no server of ours: VS Code, plain Jupyter, a kernel elsewhere.

A message carries a request of the contract (`cohortlab.viewer.gateway`), its answer the reply with the body in binary buffers. Threads
read and send, so that a request can still be cancelled; what a kernel computes holds its messages up all the same, which is why this way
is the second choice.
"""

import contextvars
import gzip
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlencode

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.viewer import assets
from cohortlab.viewer.answers import Stop
from cohortlab.viewer.api import Api, Asked, Reply, problem
from cohortlab.viewer.gateway import Gateway

PART_BYTES: Final = 4 * 2**20
"""Of a body in one message: servers and browsers take messages of about ten megabytes."""

_SMALL = 4096  # bytes that are not worth coding
_WORTH = 0.9  # of the size that coding must come below
_MOST = 64  # questions that may wait: a browser has at most a screen's worth
_readers = ThreadPoolExecutor(2, thread_name_prefix="cohortlab-messages")


class Channel:
    """Answers the messages of one widget. `gateway` is asked for when it is first needed; `send` sends a message with buffers."""

    def __init__(self, gateway: Callable[[], Gateway], send: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self._gateway = gateway
        self._send = send
        self._running: dict[int, Stop] = {}
        self._lock = threading.Lock()

    def heard(self, content: Mapping[str, Any]) -> bool:
        """Take a message; False when it is none of ours."""
        match content.get("kind"):
            case "hello":
                self._send({"kind": "hello", "gateway": True}, [])
            case "get" if isinstance(content.get("id"), int):
                self._get(content["id"], content)
            case "cancel":
                with self._lock:
                    stop = self._running.get(content.get("id", -1))
                if stop is not None:
                    stop.set()
            case _:
                return False
        return True

    def close(self) -> None:
        """Stop all that runs."""
        with self._lock:
            for stop in self._running.values():
                stop.set()

    def _get(self, number: int, content: Mapping[str, Any]) -> None:
        stop = Stop()
        with self._lock:
            if len(self._running) >= _MOST or number in self._running:
                return  # a browser that asks so much has forgotten most of it
            self._running[number] = stop
        # the context tells the kernel which message is being answered
        _readers.submit(contextvars.copy_context().run, self._answer, number, content, stop)

    def _answer(self, number: int, content: Mapping[str, Any], stop: Stop) -> None:
        try:
            body, coding = _coded(reply := self.reply(content, stop))
            parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)] or [b""]
            for part, piece in enumerate(parts):
                if stop.stopped:
                    break
                told = {"kind": "answer", "id": number, "status": reply.status, "headers": dict(reply.headers)}
                self._send({**told, "encoding": coding, "parts": len(parts), "part": part}, [piece])
        finally:
            with self._lock:
                self._running.pop(number, None)

    def reply(self, content: Mapping[str, Any], stop: Stop) -> Reply:
        """The reply to a ``get``; problems are replies too."""
        path, query, headers = content.get("path"), content.get("query") or {}, content.get("headers") or {}
        if not (isinstance(path, str) and isinstance(query, Mapping) and isinstance(headers, Mapping)):
            return problem(InvalidInputError("A request has a path, and may have a query and headers."))
        if path.startswith("static/"):
            return _bundle(path.removeprefix("static/"))
        given = {str(name).lower(): str(value) for name, value in headers.items()}
        words = urlencode({str(name): str(value) for name, value in query.items()})
        return Api(self._gateway()).reply(Asked("GET", path, words, given), stop=stop)


def _bundle(name: str) -> Reply:
    path = assets.STATIC_FOLDER / name
    if not assets.BUNDLE_FILE.fullmatch(name) or not path.is_file():
        return problem(NotFoundError("There is no such bundle."))
    kind = "application/json" if name.endswith(".json") else "text/javascript"
    return Reply(200, {"Content-Type": kind}, path.read_bytes())


def _coded(reply: Reply) -> tuple[bytes, str]:
    """The body, gzip-coded where that is worth it, and the coding's name."""
    if len(reply.body) < _SMALL or reply.headers.get("Content-Type") == "image/webp":
        return reply.body, ""
    coded = gzip.compress(reply.body, 1, mtime=0)
    return (coded, "gzip") if len(coded) < len(reply.body) * _WORTH else (reply.body, "")
