"""Pages of operators: people, and running sessions with the form that stops one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jupyterhub import orm
from sqlalchemy.orm import Session
from tornado import web

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab_hub import audit
from cohortlab_hub.pages.base import PAGE, Page
from cohortlab_hub.sessions import notices
from cohortlab_hub.sessions.notices import Kind
from cohortlab_hub.sessions.room import Room

_LEAST_REASON, _LONGEST_MINUTES = 3, 1440


class People(Page):
    """Everybody who ever signed in, by name."""

    role = "operator"
    template = "people.html"

    @web.authenticated
    async def get(self) -> None:
        """A part of the list."""
        number, wanted = self.number(), self.text("name")
        query = self.db.query(orm.User).order_by(orm.User.name)
        if wanted:
            query = query.filter(orm.User.name.startswith(wanted, autoescape=True))
        rows = [
            {
                "name": user.name,
                "groups": sorted(group.name for group in user.groups),
                "since": _aware(user.created),
                "active": _aware(user.last_activity),
                "runs": any(spawner.server is not None for spawner in user.orm_spawners.values()),
            }
            for user in query.limit(PAGE + 1).offset((number - 1) * PAGE)
        ]
        await self.show(part=self.part(rows, number), wanted=wanted)


class Sessions(Page):
    """The sessions that run or start or wait."""

    role = "operator"
    template = "sessions.html"

    @web.authenticated
    async def get(self) -> None:
        """A part of the list."""
        await self._list()

    @web.authenticated
    async def post(self) -> None:
        """Tell somebody that their session is going to be stopped, and when."""
        name, server, reason, minutes = self.text("person"), self.text("server"), self.text("reason"), self.text("minutes") or "10"
        room, me = Room.of(self.workbench), self.person.name
        known = {(one.user.name, one.name) for one in room.spawners.values() if one.active}

        def tell(database: Session) -> None:
            if len(reason) < _LEAST_REASON:
                raise InvalidInputError("Say why: the person is told.")
            if not (minutes.isascii() and minutes.isdigit() and int(minutes) <= _LONGEST_MINUTES):
                raise InvalidInputError("Give the time until the stop in minutes, from 0 to 1440.")
            if (name, server) not in known:
                raise NotFoundError("This session has ended already.")
            stop_at = datetime.now(UTC) + timedelta(minutes=int(minutes))
            told = f"An operator stops this session: {reason[:500].rstrip('.')}."
            notices.add(database, name, Kind.OPERATOR, told, server=server, stop_at=stop_at)
            details = {"server": server, "reason": reason[:500], "stop_at": stop_at.isoformat()}
            audit.record(database, me, "session.end", name, details)

        wrong = await self.attempt(tell)
        if wrong:
            await self._list(wrong=wrong, form={"person": name, "server": server, "reason": reason, "minutes": minutes})
        else:
            room.wake()
            await self.again("sessions?done=told")

    async def _list(self, **more: Any) -> None:
        number, now = self.number(), datetime.now(UTC)
        active = sorted((one for one in Room.of(self.workbench).spawners.values() if one.active), key=lambda one: (one.user.name, one.name))
        shown = active[(number - 1) * PAGE : number * PAGE + 1]

        def told(database: Session) -> list[list[notices.Notice]]:
            return [notices.shown(database, one.user.name, now, one.name) for one in shown]

        rows = [
            {
                "person": one.user.name,
                "server": one.name,
                "ready": one.ready,
                "waits": one.waiter is not None,
                "profile": one.kept.get("profile") or (one.choice.name if one.choice is not None else ""),
                "mounted": one.kept.get("mounted", []),
                "started": datetime.fromisoformat(one.kept["started"]) if "started" in one.kept else None,
                "active": _aware(one.orm_spawner.last_activity),
                "notices": said,
            }
            for one, said in zip(shown, await self.transact(told), strict=True)
        ]
        done = self.get_query_argument("done", "")
        await self.show(part=self.part(rows, number), total=len(active), done=done, **{"wrong": "", "form": {}, **more})


def _aware(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
