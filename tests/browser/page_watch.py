"""Reports what no page of ours may do: talk to another host, or log an error."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request

LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}


class Watch:
    """Collects requests to other hosts and console errors of a browser context."""

    def __init__(self, context: BrowserContext) -> None:
        self.foreign: list[str] = []
        self.errors: list[str] = []
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in LOOPBACK:
            self.foreign.append(request.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def check(self) -> None:
        """Fail when a page spoke to another host or logged an error."""
        assert self.foreign == [], "requests to other hosts"
        assert self.errors == [], "errors in the console"
