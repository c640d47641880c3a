"""The Jupyter server extension: the pixel gateway, the browser bundles and the tutorial under ``<base>/cohortlab/``.

Every route but the bundles, which are published code without data, needs the session's user; JupyterHub's or Jupyter's
XSRF check stays on. Errors are RFC 9457 problem JSON. The gateway reads in a few threads of its own, so the server's event
loop, and with it kernels and terminals, never waits for a disk; a question whose asker has gone is dropped or stops.
"""

import asyncio
import atexit
import contextlib
import functools
import gzip
import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import PeriodicCallback

from cohortlab.errors import CohortlabError, NotFoundError
from cohortlab.viewer import assets
from cohortlab.viewer.answers import Stop
from cohortlab.viewer.api import Api, Asked, Reply, problem, status_of
from cohortlab.viewer.arrays import FOLDER_VARIABLE, Arrays, make_folder
from cohortlab.viewer.tally import Tally
from cohortlab.viewer.tutorials import copy_tutorial

if TYPE_CHECKING:
    from cohortlab.viewer.hub import Leases, Reports

_READERS = 4
_COUNT_MS = 60_000
_NAME = "([^/]+)"
_SIGNED_IN = '<!doctype html><html lang="en"><title>Signed in</title><p>You are signed in. You may close this tab.</p></html>'
_HEADERS = ("if-none-match", "range")


class _ApiHandler(APIHandler):
    """Base of the API: errors are problems."""

    auth_resource = "cohortlab"

    def initialize(self, readers: ThreadPoolExecutor) -> None:
        """Take what the extension set up once."""
        self.readers = readers

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a problem. Only errors of our own and HTTP's words are told, never an exception's text."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, CohortlabError):
            self.set_status(status_of(error))
            body = problem(error).body
        else:
            told = {"type": "about:blank", "title": HTTPStatus(status_code).phrase, "status": status_code}
            if status_code == HTTPStatus.FORBIDDEN and self.current_user is None:
                told["code"] = "unauthenticated"  # nobody that this server knows: not a refusal of what was asked for
            body = json.dumps(told).encode()
        self.set_header("Cache-Control", "no-store")
        self.finish(body, set_content_type="application/problem+json")

    def log_exception(self, *exc_info: Any) -> None:
        """Our own errors are answers, not faults of the server."""
        if isinstance(exc_info[1], CohortlabError):
            self.log.info("cohortlab: %s %s", exc_info[1].code, self.request.path)
            return
        super().log_exception(*exc_info)


@dataclass(frozen=True)
class _Ready:
    """What the requests for pixels need; without a hub there are no leases and nobody to report to."""

    api: Api
    leases: "Leases | None"
    reports: "Reports | None"

    def reply(self, asked: Asked, stop: Stop) -> Reply:
        """Decide and answer."""
        from cohortlab.viewer.hub import decided  # noqa: PLC0415 - loaded with the image libraries

        visible = decided(self.leases, asked)
        return visible if isinstance(visible, Reply) else self.api.reply(asked, stop=stop, visible=visible)


class PixelHandler(_ApiHandler):
    """The gateway's routes, see `cohortlab.viewer.gateway`."""

    def initialize(self, readers: ThreadPoolExecutor, ready: Future[_Ready]) -> None:  # type: ignore[override]  # tornado's way to pass arguments
        """Take what the extension set up once."""
        super().initialize(readers)
        self.ready = ready
        self.stop = Stop()
        self.pending: asyncio.Future[Any] | None = None

    def on_connection_close(self) -> None:
        """Forget a question whose asker has gone: a scroll leaves many behind."""
        self.stop.set()
        if self.pending is not None:
            self.pending.cancel()
        super().on_connection_close()

    @web.authenticated
    @authorized
    async def get(self, path: str) -> None:
        """Ask the gateway off the event loop and send what it says."""
        given = self.request.headers
        headers = {name: given[name] for name in _HEADERS if name in given}
        asked = Asked(self.request.method or "GET", path, self.request.query, headers)
        self.pending = asyncio.get_running_loop().run_in_executor(self.readers, lambda: self.ready.result().reply(asked, self.stop))
        try:
            reply: Reply = await self.pending
        except asyncio.CancelledError:
            return  # nobody listens
        self.set_status(reply.status)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        await self.finish(reply.body or None, set_content_type=reply.headers.get("Content-Type", "application/json"))

    head = get

    def compute_etag(self) -> None:
        """None: the gateway names its content itself."""


class TutorialHandler(_ApiHandler):
    """``POST api/tutorial``."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Copy the first tutorial into the user's files unless it is there, and say where it is."""
        home = self.settings["server_root_dir"]
        path = await asyncio.get_running_loop().run_in_executor(self.readers, lambda: copy_tutorial(Path(home).expanduser()))
        await self.finish(json.dumps({"path": path}))


class UnknownHandler(_ApiHandler):
    """Any other path below ``cohortlab/api/``."""

    @web.authenticated
    async def prepare_unknown(self) -> None:
        """Say that there is nothing."""
        raise NotFoundError("There is nothing at this address.")

    get = post = put = patch = delete = prepare_unknown


class SignedInHandler(JupyterHandler):
    """``GET signed-in``: a page that says nothing but that one is signed in.

    Who is not, goes to it by the redirects of the server's sign-in. Of use to a viewer whose page stayed open while its session was
    started again: what the redirects set are the new session's cookies.
    """

    @web.authenticated
    async def get(self) -> None:
        """Send the page."""
        _ = self.xsrf_token  # sets its cookie where a person opened the page
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        await self.finish(_SIGNED_IN)


class BundleHandler(JupyterHandler):
    """``GET static/{file}``: the browser bundles, which are public code; modules are imported without an XSRF header."""

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        """Send a bundle; its name holds its hash, so it may be kept for ever."""
        path = assets.STATIC_FOLDER / name
        if not assets.BUNDLE_FILE.fullmatch(name) or not path.is_file():
            raise web.HTTPError(HTTPStatus.NOT_FOUND)
        listing = name == "manifest.json"
        self.set_header("Content-Type", "application/json" if listing else "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", "no-cache" if listing else "public, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Vary", "Accept-Encoding")
        if not listing and "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            await self.finish(_packed(path))
        else:
            await self.finish(path.read_bytes())


@functools.lru_cache(maxsize=32)
def _packed(path: Path) -> bytes:
    """A bundle as it travels. Its name holds its hash, so it stays what it is."""
    return gzip.compress(path.read_bytes(), mtime=0)


def _start(serverapp: Any, tally: Tally) -> _Ready:
    """Load the image libraries, which takes a second or two, beside the server's own start; the first requests wait for it."""
    from cohortlab.viewer.gateway import Gateway  # noqa: PLC0415 - that is the point
    from cohortlab.viewer.hub import Hub, Leases, Reports  # noqa: PLC0415 - as above

    gateway = Gateway.from_environment()
    serverapp.log.info("Cohortlab serves the datasets under %s", gateway.folder)
    api = Api(gateway, lambda dataset, series, case, size: tally.count("", dataset, series, case, size))
    hub = Hub.from_environment()
    if hub is None:
        return _Ready(api, None, None)
    leases = Leases(hub.leases)
    with contextlib.suppress(CohortlabError):
        leases.shown()  # so that the first image does not wait for the hub
    return _Ready(api, leases, Reports(tally, hub))


def load(serverapp: Any) -> None:
    """Add the routes to a Jupyter server, and give its kernels a private folder for the arrays that they show."""
    if Arrays.from_environment() is None:
        os.environ[FOLDER_VARIABLE] = str(make_folder())  # the server's kernels inherit it
    tally = Tally()
    readers = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="cohortlab-pixels")
    shared = {"readers": readers}
    base = url_path_join(serverapp.base_url, "cohortlab")
    ready = readers.submit(_start, serverapp, tally)
    serverapp.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, "api/(datasets|series/.*)"), PixelHandler, shared | {"ready": ready}),
            (url_path_join(base, "api/tutorial"), TutorialHandler, shared),
            (url_path_join(base, "api/.*"), UnknownHandler, shared),
            (url_path_join(base, "signed-in"), SignedInHandler),
            (url_path_join(base, "static", _NAME), BundleHandler),
        ],
    )

    def report(*, last: bool = False) -> None:
        """Tell the hub, or where there is none the log, what was sent."""
        reports = ready.result().reports
        if reports is None:
            for seen in tally.take():
                serverapp.log.info(
                    "cohortlab: shown of %s: %d series, %d cases, %d answers, %d bytes",
                    *(seen.dataset, len(seen.series), len(seen.cases), seen.answers, seen.bytes),
                )
            return
        try:
            reports.send(last=last)
        except CohortlabError as error:
            serverapp.log.warning("cohortlab: what was shown could not be reported to the hub: %s", error.code)

    def minute() -> None:
        readers.submit(report)
        if (arrays := Arrays.from_environment()) is not None:
            readers.submit(arrays.sweep)

    serverapp.cohortlab_minute = PeriodicCallback(minute, _COUNT_MS)
    serverapp.cohortlab_minute.start()
    atexit.register(report, last=True)
