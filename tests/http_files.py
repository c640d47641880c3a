"""A folder over HTTP with ranges on loopback, with latency and faults on request: what the tests and the benchmark read stores from."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Files:
    """What the server does and what it saw.

    fault: what becomes of requests whose path holds `where`: a status, "short", "cut" or "hang up". faulted: it has happened.
    """

    def __init__(self, root: Path, latency: float) -> None:
        self.root, self.latency = root, latency
        self.fault: int | str | None = None
        self.where = ""
        self.faulted = threading.Event()
        self.requests: list[tuple[str, str, str | None]] = []
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.address = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    files: Files

    def log_message(self, *_words: object) -> None:
        """Tests say what went wrong."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_PUT(self) -> None:
        self._note()
        self._status(405)

    do_POST = do_DELETE = do_PROPFIND = do_PUT  # noqa: N815 - the base class finds methods by these names

    def _note(self) -> None:
        self.files.requests.append((self.command, self.path, self.headers.get("Range")))

    def _status(self, code: int, text: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _answer(self, *, body: bool) -> None:
        files = self.files
        self._note()
        with files.lock:
            files.in_flight += 1
            files.most_in_flight = max(files.in_flight, files.most_in_flight)
        try:
            time.sleep(files.latency)  # this is the network
            self._send(files.fault if files.where in self.path else None, body=body)
        finally:
            with files.lock:
                files.in_flight -= 1

    def _send(self, fault: int | str | None, *, body: bool) -> None:
        path = self.files.root / self.path.lstrip("/")
        if fault is not None:
            self.files.faulted.set()
        if isinstance(fault, int):
            self._status(fault, b"<Error><AWSAccessKeyId>what a server may repeat</AWSAccessKeyId></Error>")
            return
        if fault == "hang up":
            self.close_connection = True
            return
        if not path.is_file():
            self._status(404)
            return
        size = path.stat().st_size
        start, stop = 0, size
        if found := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or ""):
            first, last = found.groups()
            start = int(first) if first else size - int(last)
            stop = int(last) + 1 if first and last else size
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        else:
            self.send_response(200)
        if fault == "short":  # a server whose copy of the object ends early, and says so
            stop = max(start, stop - 3)
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if body:
            with path.open("rb") as file:
                file.seek(start)
                content = file.read(stop - start)
            if fault == "cut":  # it promises all and breaks off
                content = content[: len(content) // 2]
                self.close_connection = True
            self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *words: object) -> None:
        super().__init__(*words)
        self.connections: list[socket.socket] = []

    def process_request(self, request: object, client_address: object) -> None:
        """Answer in a thread; the connection is kept in mind."""
        self.connections.append(request)
        super().process_request(request, client_address)

    def vanish(self) -> None:
        """Break all connections, as a machine does that goes down."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_words: object) -> None:
        """A client that breaks off is no news."""


@contextmanager
def serve(root: Path, latency: float = 0.0) -> Iterator[Files]:
    """Serve a folder read-only; `address` is its URL, `latency` seconds go by before each answer."""
    files = Files(root, latency)
    handler = type("Handler", (_Handler,), {"files": files})
    server = _Server(("127.0.0.1", 0), handler)
    files.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        server.vanish()
        thread.join()
