"""What the home page adds to JupyterHub's: my datasets, a part at a time, each with what I may do, until when, and why not."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from jinja2 import pass_context
from jinja2.runtime import Context

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Decision, Person
from cohortlab_hub.access.best import best
from cohortlab_hub.access.projects import purposes_of
from cohortlab_hub.catalogue.entries import Entry
from cohortlab_hub.pages.base import PAGE, Part, threaded
from cohortlab_hub.sessions.room import Room
from cohortlab_hub.settings import Settings
from cohortlab_hub.texts.templates import handler_of


@dataclass(frozen=True, slots=True)
class Mine:
    """A dataset of the workbench as its reader may use it. `open`: a running session of theirs has it mounted."""

    entry: Entry
    access: AccessCondition | None
    decision: Decision
    open: bool


def datasets(settings: Settings, user: Any) -> Callable[[Context], Awaitable[Part]]:
    """For the template: the datasets as `user` may use them, those that they may use first."""
    person = Person(user.name, frozenset(group.name for group in user.groups)) if user is not None else Person("")

    @pass_context
    async def mine(context: Context) -> Part:
        room, now = Room.of(settings), datetime.now(UTC)
        entries = await threaded(room.catalogue.served)
        grants = await room.transact(lambda database: room.catalogue.grants(database, person))
        purposes: Sequence[str | None] = [None, *sorted(purposes_of(settings, person))]
        mounted = {
            name for (who, _), one in room.spawners.items() if who == person.name and one.active for name in one.kept.get("mounted", ())
        }
        rows = []
        for entry in entries:
            access, decision = best(grants, person, entry.terms, purposes, now)
            rows.append(Mine(entry, access, decision, entry.id in mounted))
        rows.sort(key=lambda one: (one.access is None, one.entry.id))
        asked = handler_of(context).get_query_argument("datasets", "1")
        number = int(asked) if asked.isascii() and asked.isdigit() and 0 < len(asked) < 6 and int(asked) else 1  # noqa: PLR2004 - digits
        shown = rows[(number - 1) * PAGE : number * PAGE]
        before = "?" + urlencode({"datasets": number - 1}) if number > 1 else ""
        after = "?" + urlencode({"datasets": number + 1}) if len(rows) > number * PAGE else ""
        return Part(shown, number, before, after)

    return mine
