"""What a session is told before a stop: the record, and the routes."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import yaml

from cohortlab.errors import NotFoundError, RefusedError
from cohortlab.keys import create_key
from cohortlab_hub import audit, records
from cohortlab_hub.app import create_app
from cohortlab_hub.identity import Principal, UnauthenticatedError
from cohortlab_hub.sessions import notices
from cohortlab_hub.sessions.notices import Kind
from cohortlab_hub.settings_file import load

NOW = datetime.now(UTC) + timedelta(hours=12)  # after all that a test writes, however long the others take
SOON, LATER = NOW + timedelta(minutes=5), NOW + timedelta(hours=1)


@pytest.fixture
def url(tmp_path):
    made = f"sqlite:///{tmp_path}/hub/records.sqlite"
    records.migrate(made)
    return made


def test_the_same_notice_again_changes_words_and_only_an_earlier_stop_counts(url):
    with records.opened(url) as database:
        first = notices.add(database, "ana", Kind.LEASE, "One.", subject="scans", stop_at=LATER)
        notices.add(database, "ana", Kind.LEASE, "Two.", subject="scans", stop_at=LATER + timedelta(hours=5))
        notices.add(database, "ana", Kind.LEASE, "Other.", subject="films")
        seen = notices.shown(database, "ana", LATER)
        assert [(notice.message, notice.stop_at) for notice in seen] == [("Two.", LATER), ("Other.", None)]
        assert seen[0].id == first.id
        notices.add(database, "ana", Kind.LEASE, "Three.", subject="scans", stop_at=SOON)
        assert notices.shown(database, "ana", LATER)[0].stop_at == SOON
        assert notices.shown(database, "bob", LATER) == []
        assert len([event for event in audit.events(database) if event.action == "session.warn"]) == 2


def test_a_notice_is_shown_from_its_time_and_until_it_is_cleared(url):
    with records.opened(url) as database:
        notices.add(database, "ana", Kind.LIMIT, "Your time is over.", stop_at=LATER, show_from=SOON)
        assert notices.shown(database, "ana", NOW) == []
        assert len(notices.shown(database, "ana", SOON)) == 1
        notices.clear(database, "ana", Kind.IDLE)
        assert len(notices.shown(database, "ana", SOON)) == 1
        notices.clear(database, "ana", Kind.LIMIT)
        assert notices.shown(database, "ana", SOON) == []


def test_only_what_may_be_extended_is_and_only_by_its_person(url):
    with records.opened(url) as database:
        idle = notices.add(database, "ana", Kind.IDLE, "Nobody is there.", stop_at=SOON, extend_to=LATER)
        lease = notices.add(database, "ana", Kind.LEASE, "Revoked.", subject="scans", stop_at=SOON)
        with pytest.raises(NotFoundError):
            notices.extend(database, "bob", idle.id, NOW)
        with pytest.raises(RefusedError, match="cannot be put off"):
            notices.extend(database, "ana", lease.id, NOW)
        notices.extend(database, "ana", idle.id, NOW)
        assert [notice.kind for notice in notices.shown(database, "ana", NOW)] == [Kind.LEASE]
        due, extended = notices.due_and_extended(database, NOW)
        assert [(row.kind, row.stop_at) for row in due] == [("lease", SOON)]
        assert [(row.kind, row.extend_to) for row in extended] == [("idle", LATER)]
        notices.close(database, "ana")
        assert notices.shown(database, "ana", NOW) == []


class Tokens:
    """Stands in for JupyterHub's answer: the token is the name."""

    async def of_token(self, token):
        if token not in {"ana", "bob"}:
            raise UnauthenticatedError("No.")
        return Principal(token, "user")

    async def close(self):
        pass


@pytest.fixture
def app(tmp_path):
    key = create_key(tmp_path / "key")
    file = tmp_path / "workbench.yaml"
    file.write_text(yaml.safe_dump({"login": {"kind": "demo", "accounts": {"ana": {}}}, "trusted_keys": [key.public.text]}))
    made = create_app(load(file), prefix="", hub_api="http://127.0.0.1:1")
    made.state.identity = Tokens()
    yield made
    made.state.sessions.kw["bind"].dispose()


async def ask(app, person, method, path):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        return await client.request(method, f"/api/v1/sessions/self/{path}", headers={"Authorization": f"token {person}"})


def test_the_routes_show_and_extend_ones_own_notices(app):
    with app.state.sessions.begin() as database:
        made = notices.add(database, "ana", Kind.IDLE, "Nobody is there.", stop_at=LATER, extend_to=LATER + timedelta(hours=1))

    async def talk():
        mine = await ask(app, "ana", "GET", "notices")
        assert [(entry["kind"], entry["message"]) for entry in mine.json()] == [("idle", "Nobody is there.")]
        assert (await ask(app, "bob", "GET", "notices")).json() == []
        assert (await ask(app, "mallory", "GET", "notices")).status_code == 401
        assert (await ask(app, "bob", "POST", f"notices/{made.id}/extend")).status_code == 404
        assert (await ask(app, "ana", "POST", f"notices/{made.id}/extend")).status_code == 200
        assert (await ask(app, "ana", "GET", "notices")).json() == []

    asyncio.run(talk())
