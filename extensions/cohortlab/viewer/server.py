"""The Jupyter server extension: the pixel gateway, the browser bundles and the tutorial under ``<base>/cohortlab/``.

Every route but the bundles, which are published code without data, needs the session's user; JupyterHub's or Jupyter's
XSRF check stays on. Errors are RFC 9457 problem JSON. The gateway reads in a few threads of its own, so the server's event
loop, and with it kernels and terminals, never waits for a disk.
"""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from cohortlab.errors import (
    CohortlabError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    StorageError,
    UnavailableError,
)
from cohortlab.viewer import assets
from cohortlab.viewer.gateway import Answer, Gateway, SliceRequest
from cohortlab.viewer.slices import TooLargeError
from cohortlab.viewer.tutorials import copy_tutorial

_READERS = 4
_STATUS: tuple[tuple[type[CohortlabError], HTTPStatus], ...] = (
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (InvalidInputError, HTTPStatus.BAD_REQUEST),
    (RefusedError, HTTPStatus.FORBIDDEN),
    (IntegrityError, HTTPStatus.CONFLICT),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
)
_NAME = "([^/]+)"


class _GatewayHandler(APIHandler):
    """Base of the API: runs a question off the event loop, answers with it or with a problem."""

    auth_resource = "cohortlab"

    def initialize(self, gateway: Gateway, readers: ThreadPoolExecutor) -> None:
        """Take what the extension set up once."""
        self.gateway = gateway
        self.readers = readers
        self.pending: asyncio.Future[Any] | None = None

    def on_connection_close(self) -> None:
        """Forget a question whose asker has gone: a scroll leaves many behind."""
        if self.pending is not None:
            self.pending.cancel()
        super().on_connection_close()

    async def answer(self, question: Callable[[], Answer]) -> None:
        """Ask the gateway and send what it says."""
        self.pending = asyncio.get_running_loop().run_in_executor(self.readers, question)
        try:
            answer = await self.pending
        except asyncio.CancelledError:
            return  # nobody listens
        self.set_header("ETag", f'"{answer.etag}"')
        self.set_header("X-Content-Type-Options", "nosniff")
        for name, value in answer.headers.items():
            self.set_header(name, value)
        if self.check_etag_header():
            self.set_status(HTTPStatus.NOT_MODIFIED)
            await self.finish(set_content_type=answer.content_type)
            return
        await self.finish(answer.body, set_content_type=answer.content_type)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a problem. Only errors of our own and HTTP's words are told, never an exception's text."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        problem: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status_code).phrase, "status": status_code}
        if isinstance(error, CohortlabError):
            status_code = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
            self.set_status(status_code)
            problem |= {"title": HTTPStatus(status_code).phrase, "status": int(status_code), "detail": str(error), "code": error.code}
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(problem), set_content_type="application/problem+json")

    def log_exception(self, *exc_info: Any) -> None:
        """Our own errors are answers, not faults of the server."""
        if isinstance(exc_info[1], CohortlabError):
            self.log.info("cohortlab: %s %s", exc_info[1].code, self.request.path)
            return
        super().log_exception(*exc_info)


class DatasetsHandler(_GatewayHandler):
    """``GET api/datasets``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the mounted datasets."""
        await self.answer(self.gateway.datasets)


class MetaHandler(_GatewayHandler):
    """``GET api/series/{dataset}/{series}/meta``."""

    @web.authenticated
    @authorized
    async def get(self, dataset: str, series: str) -> None:
        """Describe a series."""
        await self.answer(lambda: self.gateway.meta(dataset, series))


class SliceHandler(_GatewayHandler):
    """``GET api/series/{dataset}/{series}/slice?plane=&index=[&level=][&t=][&on=][&v=]``."""

    @web.authenticated
    @authorized
    async def get(self, dataset: str, series: str) -> None:
        """Send one slice."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        request = SliceRequest.from_query(query)
        await self.answer(lambda: self.gateway.slice(dataset, series, request))


class TutorialHandler(_GatewayHandler):
    """``POST api/tutorial``."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Copy the first tutorial into the user's files unless it is there, and say where it is."""
        home = self.settings["server_root_dir"]
        path = await asyncio.get_running_loop().run_in_executor(self.readers, lambda: copy_tutorial(Path(home).expanduser()))
        await self.finish(json.dumps({"path": path}))


class UnknownHandler(_GatewayHandler):
    """Any other path below ``cohortlab/api/``."""

    @web.authenticated
    async def prepare_unknown(self) -> None:
        """Say that there is nothing."""
        raise NotFoundError("There is nothing at this address.")

    get = post = put = patch = delete = prepare_unknown


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
        await self.finish(path.read_bytes())


def load(serverapp: Any) -> None:
    """Add the routes to a Jupyter server."""
    gateway = Gateway.from_environment()
    readers = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="cohortlab-pixels")
    shared = {"gateway": gateway, "readers": readers}
    base = url_path_join(serverapp.base_url, "cohortlab")
    series = url_path_join(base, "api/series", _NAME, _NAME)
    serverapp.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, "api/datasets"), DatasetsHandler, shared),
            (url_path_join(series, "meta"), MetaHandler, shared),
            (url_path_join(series, "slice"), SliceHandler, shared),
            (url_path_join(base, "api/tutorial"), TutorialHandler, shared),
            (url_path_join(base, "api/.*"), UnknownHandler, shared),
            (url_path_join(base, "static", _NAME), BundleHandler),
        ],
    )
    serverapp.log.info("Cohortlab serves the datasets under %s", gateway.folder)
