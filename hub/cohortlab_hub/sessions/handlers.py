"""What the hub's own pages ask for: handlers in the hub, under its cookies and XSRF protection.

The same for programs, with tokens, is in the service's routes.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from sqlalchemy.orm import Session
from tornado import web

from cohortlab.errors import CohortlabError, NotFoundError, RefusedError
from cohortlab_hub.sessions import gpus, notices, profiles
from cohortlab_hub.sessions.notices import Notice
from cohortlab_hub.sessions.room import Room
from cohortlab_hub.settings import Settings
from cohortlab_hub.texts import of_request, said


def handlers(settings: Settings) -> list[tuple[str, type, dict[str, Any]]]:
    """The handlers, for JupyterHub's `extra_handlers`."""
    given = {"settings": settings}
    return [
        (r"/api/sessions/notices", Notices, given),
        (r"/api/sessions/overview", Overview, given),
        (r"/api/sessions/notices/([0-9a-f-]{36})/extend", Extend, given),
        (r"/api/sessions/instead", Instead, given),
    ]


class _Handler(APIHandler):  # type: ignore[misc]  # jupyterhub has no types
    """A handler for the signed-in person, about their own sessions."""

    def initialize(self, settings: Settings) -> None:
        """Tornado's: `settings` are the workbench's."""
        super().initialize()
        self.workbench = settings

    @property
    def room(self) -> Room:
        """The sessions of this hub."""
        return Room.of(self.workbench)

    async def do(self, action: Callable[[Any], Any]) -> Any:
        """Run `action` in a transaction; an error of ours is HTTP's."""
        try:
            return await self.room.transact(action)
        except NotFoundError as error:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, str(error)) from None
        except CohortlabError as error:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, str(error)) from None

    def told(self, found: list[Notice]) -> list[dict[str, Any]]:
        """Notices for a page, in its language."""
        language = of_request(self)
        return [notice.model_dump(mode="json") | {"message": said(notice.message, language)} for notice in found]

    def me(self) -> Any:
        """Who asks. Raises 403 for nobody, and for a service."""
        user = self.current_user
        if user is None or user.kind != "user":
            raise web.HTTPError(HTTPStatus.FORBIDDEN)
        return user


class Notices(_Handler):
    """What I am told of my sessions."""

    async def get(self) -> None:
        """The notices, the most urgent first."""
        name = self.me().name
        found = await self.do(lambda database: notices.shown(database, name, datetime.now(UTC)))
        self.finish(json.dumps(self.told(found)))


class Overview(_Handler):
    """What the home page shows: notices, and for each kind of GPU how many are free, how many wait, and my place."""

    async def get(self) -> None:
        """Of now."""
        name = self.me().name

        def look(database: Session) -> dict[str, Any]:
            free, rows = gpus.free(database), [row for row in gpus.tickets(database) if row.state == gpus.WAITING]
            kinds = []
            for kind, known in self.workbench.gpus.items():
                mine = next((row for row in rows if row.kind == kind and row.person == name), None)
                kinds.append(
                    {
                        "title": known.title or kind,
                        "total": free[kind].total if kind in free else known.total,
                        "free": free[kind].free if kind in free else None,
                        "waiting": sum(row.kind == kind for row in rows),
                        "position": mine.position if mine else None,
                        "estimate": mine.estimate.isoformat() if mine and mine.estimate else None,
                    }
                )
            return {"notices": self.told(notices.shown(database, name, datetime.now(UTC))), "gpus": kinds}

        self.finish(json.dumps(await self.do(look)))


class Extend(_Handler):
    """Put a stop off."""

    async def post(self, notice: str) -> None:
        """Extend."""
        name = self.me().name
        done = await self.do(lambda database: notices.extend(database, name, notice, datetime.now(UTC)))
        self.room.wake()
        self.finish(done.model_dump_json())


class Instead(_Handler):
    """Take another profile at once, instead of waiting for GPUs."""

    async def post(self) -> None:
        """Take it."""
        user, body = self.me(), self.get_json_body()
        wanted = body.get("profile") if isinstance(body, dict) else None
        waiter = self.room.waiter(user.name, "")
        if waiter is None:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "You wait for nothing.")
        try:
            choice = profiles.choose({"profile": wanted}, self.workbench, user.name, {group.name for group in user.groups})
            if choice.profile.gpu is not None:
                raise RefusedError("That profile has GPUs too.", hint="Choose one without.")
        except CohortlabError as error:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, str(error)) from None
        self.room.settle(waiter, choice.name)
        self.set_status(HTTPStatus.ACCEPTED)
        self.finish()
