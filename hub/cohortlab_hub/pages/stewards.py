"""Pages of data stewards: grants (find, make, revoke), and decisions with their reasons for anybody."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session
from tornado import web

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import NewGrant, Person, add, decide, listed, revoke
from cohortlab_hub.access.grants import found
from cohortlab_hub.access.purposes import parts, stateable
from cohortlab_hub.pages.base import PAGE, Page, threaded
from cohortlab_hub.sessions.room import Room

_LEAST_REASON = 3


class Grants(Page):
    """All grants, newest first, and the form for a new one."""

    role = "steward"
    template = "grants.html"

    @web.authenticated
    async def get(self) -> None:
        """A part of the list."""
        await self._list()

    @web.authenticated
    async def post(self) -> None:
        """Make a grant."""
        form = {key: self.text(key) for key in ("subject_kind", "subject", "dataset", "condition", "purpose", "until", "reason")}
        fulfils = self.get_arguments("fulfils")
        known, me = set(self.workbench.datasets), self.person.name

        def make(database: Session) -> None:
            wanted = {key: value for key, value in form.items() if value} | {"fulfils": fulfils}
            if form["until"]:
                wanted["until"] = _moment(form["until"])
            add(database, me, NewGrant.model_validate(wanted), known)

        wrong = await self.attempt(make)
        if wrong:
            await self._list(wrong=wrong, form=form | {"fulfils": fulfils})
        else:
            await self.again("grants?done=made")

    async def _list(self, **more: Any) -> None:
        number, dataset, subject = self.number(), self.get_query_argument("on", ""), self.get_query_argument("to", "").strip()
        now = datetime.now(UTC)
        holding = None if self.get_query_argument("all", "") else now
        rows = await self.transact(
            lambda database: listed(
                database,
                dataset=dataset or None,
                subject=subject or None,
                holding=holding,
                limit=PAGE + 1,
                offset=(number - 1) * PAGE,
            )
        )
        await self.show(
            part=self.part(rows, number),
            datasets=sorted(self.workbench.datasets),
            conditions=[condition.value for condition in AccessCondition],
            modifiers=stateable(),
            on=dataset,
            to=subject,
            all=holding is None,
            now=now,
            done=self.get_query_argument("done", ""),
            **{"form": {}, "wrong": "", **more},
        )


class Revoke(Page):
    """One grant, and the form that ends it."""

    role = "steward"
    template = "revoke.html"

    @web.authenticated
    async def get(self, grant: str) -> None:
        """Ask why."""
        await self._ask(grant)

    @web.authenticated
    async def post(self, grant: str) -> None:
        """End it."""
        reason, cause, me = self.text("reason"), bool(self.text("for_cause")), self.person.name

        def end(database: Session) -> None:
            if len(reason) < _LEAST_REASON:
                raise InvalidInputError("Say why: the person is told.")
            revoke(database, me, grant, reason[:1000], for_cause=cause)

        wrong = await self.attempt(end)
        if wrong:
            await self._ask(grant, wrong=wrong, reason=reason, for_cause=cause)
        else:
            Room.of(self.workbench).wake()
            await self.again("grants?done=revoked")

    async def _ask(self, grant: str, **more: Any) -> None:
        record = await self.transact(lambda database: found(database, grant))
        if record is None:
            raise web.HTTPError(404, "There is no such grant.")
        grace = self.workbench.access.grace_seconds
        await self.show(grant=record, grace=grace, **{"wrong": "", "reason": "", "for_cause": False, **more})


class Decisions(Page):
    """What somebody may do with each dataset, and why or why not."""

    role = "steward"
    template = "decisions.html"

    @web.authenticated
    async def get(self) -> None:
        """The decisions on a person, once one is named."""
        name, purpose, number = self.text("person"), self.text("purpose"), self.number()
        condition = AccessCondition(self.text("condition")) if self.text("condition") in set(AccessCondition) else None
        condition = condition or AccessCondition.IN_SITU_PROCESSING
        wrong, rows = "", []
        user = self.find_user(name) if name else None
        person = Person(name, frozenset(group.name for group in user.groups) if user is not None else frozenset())
        try:
            if purpose:
                parts(purpose)
        except ValueError as error:
            wrong, purpose = str(error), ""
        if name and not wrong:
            catalogue, now = Room.of(self.workbench).catalogue, datetime.now(UTC)
            entries = (await threaded(catalogue.entries))[(number - 1) * PAGE : number * PAGE + 1]
            grants = await self.transact(lambda database: catalogue.grants(database, person))
            rows = [
                (entry, decide(grants, person, entry.terms, purpose=purpose or None, condition=condition, now=now)) for entry in entries
            ]
        await self.show(
            part=self.part(rows, number),
            who=name,
            known=user is not None,
            groups=sorted(person.groups),
            purpose=purpose,
            condition=condition.value,
            conditions=[one.value for one in AccessCondition],
            wrong=wrong,
        )


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInputError("The end is no date.", hint="Write it like 2027-12-31.") from None
