"""The page of GPUs: what is free, who waits, what is booked; leaving the queue, booking, giving a booking back."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from sqlalchemy.orm import Session
from tornado import web

from cohortlab.errors import InvalidInputError, NotFoundError, RefusedError
from cohortlab_hub import audit
from cohortlab_hub.pages.base import PAGE, Page
from cohortlab_hub.pages.roles import roles
from cohortlab_hub.sessions import gpus, profiles
from cohortlab_hub.sessions.gpus import NewBooking
from cohortlab_hub.sessions.room import Room

_FIELDS = ("kind", "count", "project", "start", "end", "reason")


class Gpus(Page):
    """For everybody. Others' names only for those who run the workbench."""

    role = "gpus"
    template = "gpus.html"

    @property
    def runs_it(self) -> bool:
        """Whether who looks runs the workbench."""
        return "operator" in roles(self.workbench, self.person.groups)

    @web.authenticated
    async def get(self) -> None:
        """The lists and the form."""
        await self._list()

    @web.authenticated
    async def post(self) -> None:
        """`do`: ``book``, ``unbook`` or ``leave``."""
        me, form = self.person, {key: self.text(key) for key in _FIELDS}
        mine, runs_it = profiles.bookable(self.workbench, me.name, me.groups), self.runs_it
        wanted, what = self.text("id"), self.text("do")

        def book(database: Session) -> None:
            if form["project"] not in mine:
                raise RefusedError("You book for your own projects only.", hint="Ask a trainer, or a member of that project.")
            times = {key: _moment(form[key]) for key in ("start", "end")}
            gpus.book(database, me.name, NewBooking.model_validate(form | times), datetime.now(UTC))

        def unbook(database: Session) -> None:
            anybodys = runs_it or not me.groups.isdisjoint(self.workbench.queue.booking_groups)
            gpus.cancel(database, me.name, wanted, anybodys=anybodys)

        def leave(database: Session) -> None:
            row = next((row for row in gpus.tickets(database) if row.id == wanted and row.state == gpus.WAITING), None)
            if row is None or not (row.person == me.name or runs_it):
                raise NotFoundError("There is no such request in the queue, or no longer.")
            row.state = gpus.LEFT
            audit.record(database, me.name, "gpu.leave", row.person, {"id": row.id, "kind": row.kind})

        actions = {"book": book, "unbook": unbook, "leave": leave}
        if what not in actions:
            raise web.HTTPError(HTTPStatus.UNPROCESSABLE_ENTITY)
        wrong = await self.attempt(actions[what])
        if wrong:
            await self._list(wrong=wrong, form=form if what == "book" else {})
        else:
            Room.of(self.workbench).wake()
            await self.again(f"gpus?done={what}")

    async def prepare(self) -> None:
        """As all pages; and the hub has looked at its GPUs once, though nobody has started a session yet."""
        await super().prepare()
        if self.current_user is not None and set(self.workbench.gpus) - set(await self.transact(gpus.free)):
            room = Room.of(self.workbench)
            _ = self.current_user.spawner  # a spawner tells the room how to count GPUs
            room.open()
            await room.look()

    async def _list(self, **more: Any) -> None:
        me, number, booked, now = self.person, self.number(), self.number("bookings"), datetime.now(UTC)
        free, rows, all_bookings = await self.transact(
            lambda database: (gpus.free(database), gpus.tickets(database), gpus.bookings(database, now))
        )
        waiting = [row for row in rows if row.state == gpus.WAITING]
        kinds = [
            {
                "name": name,
                "title": kind.title or name,
                "free": free[name].free if name in free else None,
                "total": free[name].total if name in free else kind.total,
                "waiting": sum(row.kind == name for row in waiting),
            }
            for name, kind in self.workbench.gpus.items()
        ]
        await self.show(
            kinds=kinds,
            titles={one["name"]: one["title"] for one in kinds},
            part=self.part(waiting[(number - 1) * PAGE : number * PAGE + 1], number),
            bookings=self.part(all_bookings[(booked - 1) * PAGE : booked * PAGE + 1], booked, "bookings"),
            me=me.name,
            runs_it=self.runs_it,
            anybodys=self.runs_it or not me.groups.isdisjoint(self.workbench.queue.booking_groups),
            projects=profiles.bookable(self.workbench, me.name, me.groups),
            done=self.get_query_argument("done", ""),
            **{"wrong": "", "form": {}, **more},
        )


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInputError("The time is none.", hint="Write it like 2027-12-31T09:00, in UTC.") from None
