"""What all pages share: who may see them, one part of a long list at a time, forms that say what is wrong with them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode

from jupyterhub.handlers.base import BaseHandler
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tornado import web

from cohortlab.errors import CohortlabError
from cohortlab_hub.access import Person
from cohortlab_hub.pages.roles import Role, roles
from cohortlab_hub.sessions.room import Room
from cohortlab_hub.settings import Settings

PAGE = 25
_MOST_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a list: its entries, its number, and the addresses of the part before and after ("" where there is none)."""

    entries: Sequence[Any]
    number: int = 1
    before: str = ""
    after: str = ""


class Page(BaseHandler):  # type: ignore[misc]  # jupyterhub has no types
    """A page for signed-in people; with `role`, for those who have it."""

    role: ClassVar[Role | None] = None
    template: ClassVar[str]

    def initialize(self, settings: Settings) -> None:
        """Tornado's: `settings` are the workbench's."""
        super().initialize()
        self.workbench = settings

    def prepare(self) -> Any:
        """JupyterHub's own, then who may see the page. Raises 403."""
        return self._allowed(super().prepare())

    async def _allowed(self, prepared: Any) -> None:
        if prepared is not None:
            await prepared
        user = self.current_user
        if user is not None and self.role is not None and self.role not in roles(self.workbench, self.person.groups):
            raise web.HTTPError(HTTPStatus.FORBIDDEN, "This page is not for you.")

    @property
    def person(self) -> Person:
        """Who looks."""
        user = self.current_user
        return Person(user.name, frozenset(group.name for group in user.groups))

    async def transact[T](self, action: Callable[[Session], T]) -> T:
        """Run `action` in one transaction in a thread."""
        return await Room.of(self.workbench).transact(action)

    def text(self, name: str) -> str:
        """A field of the form or the address, without spaces around it."""
        return str(self.get_argument(name, "")).strip()

    def number(self, name: str = "page") -> int:
        """Which part of a list is asked for."""
        text = self.text(name)
        return min(max(int(text), 1), _MOST_PAGES) if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_PAGES)) else 1

    def part(self, fetched: Sequence[Any], number: int, name: str = "page") -> Part:
        """The part `number` of a list, of which `fetched` are up to one entry more than are shown."""
        return Part(
            entries=fetched[:PAGE],
            number=number,
            before=self._address(name, number - 1) if number > 1 else "",
            after=self._address(name, number + 1) if len(fetched) > PAGE else "",
        )

    def _address(self, name: str, number: int) -> str:
        asked = {key: values[-1].decode(errors="replace") for key, values in self.request.query_arguments.items() if key != "_xsrf"}
        return "?" + urlencode(asked | {name: str(number)})

    async def show(self, **values: Any) -> None:
        """Draw the page."""
        self.finish(await self.render_template(self.template, **values))

    async def again(self, address: str) -> None:
        """After a change: the page `address` of the hub anew, so that reloading it changes nothing."""
        self.redirect(self.hub.base_url + address, status=HTTPStatus.SEE_OTHER)

    async def attempt(self, action: Callable[[Session], object]) -> str:
        """Do what a form asks for; what is wrong with it as a sentence, empty: it is done."""
        try:
            await self.transact(action)
        except ValidationError as error:
            self.set_status(HTTPStatus.UNPROCESSABLE_ENTITY)
            return "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors(include_input=False))
        except CohortlabError as error:
            self.set_status(HTTPStatus.UNPROCESSABLE_ENTITY)
            return str(error)
        return ""


async def threaded[T](work: Callable[[], T]) -> T:
    """Run what reads disks in a thread."""
    return await asyncio.to_thread(work)
