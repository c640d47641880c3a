"""The Jupyter server extension: activity for JupyterHub, and what the hub says of this session's end, for the banner.

Work that goes on is told by jupyter_server's own way for extensions (``last_activity_times``), which jupyterhub-singleuser reports to
JupyterHub; whatever stops idle sessions by JupyterHub's ``last_activity`` then knows of it. The notices are asked for with the
session's token, so that the browser needs none.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import PeriodicCallback

from cohortlab.session import busy

_LOOK_SECONDS = 30.0
_KEY = "cohortlab_session"
_NOTICE = re.compile(r"[0-9a-f-]{36}")


class Activity:
    """Looks every 30 s whether work goes on in the session of `serverapp`."""

    def __init__(self, serverapp: Any) -> None:
        self._app = serverapp
        self._before, self._at = busy.processes(), time.monotonic()

    async def look(self) -> None:
        """Look once."""
        after, at = await asyncio.to_thread(busy.processes), time.monotonic()
        manager = self._app.kernel_manager
        states = [str(model.get("execution_state")) for model in manager.list_kernels()]
        own = {os.getpid(), os.getppid(), *self._kernels()}
        if busy.running(states) or busy.working(self._before, after, at - self._at, but=own):
            self._app.web_app.settings["last_activity_times"][_KEY] = datetime.now(UTC)
        self._before, self._at = after, at

    def _kernels(self) -> list[int]:
        manager = self._app.kernel_manager
        found = [getattr(manager.get_kernel(name).provisioner, "pid", None) for name in manager.list_kernel_ids()]
        return [number for number in found if number is not None]


class _Asked(APIHandler):
    """Asks the hub's service in the session's name."""

    auth_resource = "cohortlab"

    async def _pass(self, method: str, path: str) -> None:
        environment: Mapping[str, str] = os.environ
        service, token = environment.get("COHORTLAB_SERVICE_URL"), environment.get("JUPYTERHUB_API_TOKEN")
        self.set_header("Cache-Control", "no-store")
        if not service or not token:
            self.finish(json.dumps([]))
            return
        try:
            async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
                answer = await client.request(
                    method,
                    url_path_join(service, "api/v1/sessions/self", path),
                    headers={"Authorization": f"token {token}"},
                    params={"server": environment.get("JUPYTERHUB_SERVER_NAME", "")} if method == "GET" else None,
                )
        except httpx.HTTPError:
            raise web.HTTPError(503, reason="The hub does not answer") from None
        self.set_status(answer.status_code)
        self.finish(answer.content, set_content_type=answer.headers.get("Content-Type", "application/json"))


class NoticesHandler(_Asked):
    """What the hub says of this session."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The open notices; none where there is no hub."""
        await self._pass("GET", "notices")


class ExtendHandler(_Asked):
    """Put the stop off."""

    @web.authenticated
    @authorized
    async def post(self, notice: str) -> None:
        """Extend, where the hub allows it."""
        await self._pass("POST", f"notices/{notice}/extend")


def load(serverapp: Any) -> None:
    """Add the routes and begin to look."""
    app = serverapp.web_app
    base = url_path_join(app.settings["base_url"], "cohortlab", "api", "notices")
    app.add_handlers(".*$", [(base, NoticesHandler), (f"{base}/({_NOTICE.pattern})/extend", ExtendHandler)])
    activity = Activity(serverapp)
    PeriodicCallback(activity.look, _LOOK_SECONDS * 1000).start()
    serverapp.log.info("cohortlab: the session tells JupyterHub of work that goes on")
