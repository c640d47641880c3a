"""The record of the GPU queue and its routes: what the hub writes at a look, what users ask for meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import yaml

from cohortlab.errors import NotFoundError
from cohortlab.keys import create_key
from cohortlab_hub import audit
from cohortlab_hub.app import create_app
from cohortlab_hub.identity import Principal, UnauthenticatedError
from cohortlab_hub.sessions import gpus
from cohortlab_hub.sessions.gpus import GpuPod, Seen
from cohortlab_hub.sessions.profiles import Choice
from cohortlab_hub.sessions.settings import GpuRequest, Profile, Queue
from cohortlab_hub.settings_file import load

NOW = datetime.now(UTC)
RULES = Queue(warning_minutes=15, keep_place_minutes=10)
GPU = Profile(gpu=GpuRequest(kind="a100"), guaranteed_hours=1)
GROUPS = {"ana": set(), "bob": set(), "tina": {"trainers"}, "stella": {"stewards"}}


class Tokens:
    """Stands in for JupyterHub's answer: the token is the name."""

    async def of_token(self, token):
        if token not in GROUPS:
            raise UnauthenticatedError("No.")
        return Principal(token, "user", frozenset(GROUPS[token]))

    async def close(self):
        pass


@pytest.fixture
def app(tmp_path):
    key = create_key(tmp_path / "key")
    document = {
        "login": {"kind": "demo", "accounts": {"ana": {}}},
        "trusted_keys": [key.public.text],
        "federation": {"key": "key", "projects": {"lung": {"members": ["ana"]}, "course": {}}},
        "gpus": {"a100": {"title": "A100", "total": 2}},
        "profiles": {
            "small": {"title": "Small", "image": "session"},
            "gpu": {"gpu": {"kind": "a100"}, "image": "session"},
            "hidden": {"groups": ["trainers"], "image": "session"},
        },
        "kubernetes": {"namespace": "s", "hub_url": "http://hub:1", "service_url": "http://proxy/s/", "images_by_tag": True},
    }
    file = tmp_path / "workbench.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    made = create_app(load(file), prefix="", hub_api="http://127.0.0.1:1")
    made.state.identity = Tokens()
    yield made
    made.state.sessions.kw["bind"].dispose()


@pytest.fixture
def records(app):
    return app.state.sessions


def asking(records, person, now=NOW, project="lung", profile=GPU):
    with records.begin() as database:
        return gpus.ask(database, person, "", Choice("gpu", profile, project), queue_settings=RULES, now=now)


def looked(records, waiting=(), running=(), pods=(), *, total=2, now=NOW):
    with records.begin() as database:
        return gpus.look(database, Seen({"a100": total}, waiting, running, pods), RULES, now)


def states(records):
    with records.begin() as database:
        return {row.person: (row.state, row.position) for row in database.query(gpus.QueueRow)}


def test_a_look_starts_waits_and_ends(records):
    tickets = [asking(records, name, NOW + timedelta(seconds=n)) for n, name in enumerate(["ana", "bob", "cy"])]
    done = looked(records, tickets)
    assert {start.id for start in done.plans["a100"].start} == set(tickets[:2])
    assert states(records) == {"ana": ("running", None), "bob": ("running", None), "cy": ("waiting", 1)}
    with records.begin() as database:
        assert (gpus.free(database)["a100"].total, gpus.free(database)["a100"].free) == (2, 0)
    done = looked(records, tickets[2:], [("ana", "")])  # bob's session has ended
    assert [start.id for start in done.plans["a100"].start] == tickets[2:]
    assert states(records)["bob"] == ("done", None)


def test_a_pod_keeps_its_gpus_although_the_hub_has_just_begun_again(records):
    ticket = asking(records, "ana")
    looked(records, [ticket])
    done = looked(records, [], [], [GpuPod("ana", "", "a100", 1)])  # no spawner is known yet, the pod is there
    assert states(records)["ana"] == ("running", None)
    assert done.plans["a100"].free == 1


def test_a_pod_of_nobody_counts_and_is_not_taken_back(records):
    ticket = asking(records, "ana")
    done = looked(records, [ticket], pods=[GpuPod("zoe", "", "a100", 2)], now=NOW + timedelta(days=30))
    assert done.plans["a100"].start == ()
    assert done.plans["a100"].take_back == ()


def test_a_place_is_kept_over_a_restart_of_the_hub_for_a_while(records):
    first = asking(records, "ana")
    assert looked(records, [], total=0).plans["a100"].waiting == ()  # nobody waits for it now
    assert asking(records, "ana", NOW + timedelta(minutes=5)) == first
    again = asking(records, "ana", NOW + timedelta(minutes=16))
    assert again != first
    assert asking(records, "ana", NOW + timedelta(minutes=17), project="other") != again  # not the same request


def test_who_left_or_takes_another_profile_is_told_to_the_hub(records):
    tickets = [asking(records, name) for name in ("ana", "bob")]
    with records.begin() as database:
        gpus.waiting_of(database, "ana", tickets[0]).state = gpus.LEFT
        row = gpus.waiting_of(database, "bob", tickets[1])
        row.state, row.profile = gpus.INSTEAD, "small"
        with pytest.raises(NotFoundError):
            gpus.waiting_of(database, "bob", tickets[0])
    done = looked(records, tickets)
    assert done.left == (tickets[0],)
    assert done.instead == {tickets[1]: "small"}
    assert done.plans["a100"].start == ()


async def ask(app, person, method, path, **more):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        return await client.request(method, f"/api/v1/sessions/{path}", headers={"Authorization": f"token {person}"}, **more)


def test_the_routes_of_the_queue(app, records):
    asyncio.run(_queue(app, records))


async def _queue(app, records):
    offered = (await ask(app, "ana", "GET", "profiles")).json()
    assert [(one["name"], one["title"]) for one in offered] == [("small", "Small"), ("gpu", "gpu")]
    assert offered[1]["gpu"] == {"kind": "a100", "title": "A100", "count": 1, "total": 2, "free": None}
    mine, other = asking(records, "ana"), asking(records, "bob", NOW + timedelta(seconds=1))
    looked(records, [mine, other], total=0)
    [ticket] = (await ask(app, "ana", "GET", "self/queue")).json()
    assert (ticket["id"], ticket["position"], ticket["state"]) == (mine, 1, "waiting")
    [kind] = (await ask(app, "ana", "GET", "queue")).json()
    assert [(one["position"], one["mine"], one["person"]) for one in kind["waiting"]] == [(1, True, "ana"), (2, False, None)]
    [kind] = (await ask(app, "stella", "GET", "queue")).json()
    assert [one["person"] for one in kind["waiting"]] == ["ana", "bob"]
    for method, path, more in (
        ("DELETE", f"self/queue/{other}", {}),  # somebody else's
        ("POST", f"self/queue/{other}/instead", {"json": {"profile": "small"}}),
        ("DELETE", "self/queue/none", {}),
    ):
        assert (await ask(app, "ana", method, path, **more)).status_code == 404
    for profile in ("gpu", "hidden", "none"):
        assert (await ask(app, "ana", "POST", f"self/queue/{mine}/instead", json={"profile": profile})).status_code == 403
    assert (await ask(app, "ana", "POST", f"self/queue/{mine}/instead", json={"profile": "small"})).status_code == 202
    assert (await ask(app, "bob", "DELETE", f"self/queue/{other}")).status_code == 204
    assert states(records) == {"ana": ("instead", 1), "bob": ("left", 2)}
    assert (await ask(app, "mallory", "GET", "queue")).status_code == 401


def test_the_routes_of_bookings(app, records):
    looked(records)  # the hub has told how many GPUs there are
    asyncio.run(_bookings(app))
    with records.begin() as database:
        assert [event.action for event in audit.events(database)] == ["gpu.book", "gpu.book", "gpu.unbook"]


async def _bookings(app):
    wanted = {"kind": "a100", "count": 2, "project": "course", "start": str(NOW + timedelta(hours=1)), "end": str(NOW + timedelta(hours=2))}

    async def book(person, **changed):
        return await ask(app, person, "POST", "bookings", json={**wanted, "reason": "A lesson.", **changed})

    assert (await book("ana")).status_code == 403  # not a member
    assert (await book("tina", project="nothing")).status_code == 404
    assert (await book("tina", kind="h100")).status_code == 404
    assert (await book("tina", count=3)).status_code == 422
    assert (await book("tina", start="2020-01-01T00:00:00")).status_code == 422  # no time zone
    made = await book("tina")
    assert made.status_code == 201
    refused = await book("ana", project="lung")
    assert refused.status_code == 422
    assert "only 0 can be booked" in refused.json()["detail"]
    own = await book("ana", project="lung", start=wanted["end"], end=str(NOW + timedelta(hours=3)))
    assert own.status_code == 201
    assert [one["project"] for one in (await ask(app, "bob", "GET", "bookings")).json()] == ["course", "lung"]
    assert (await ask(app, "ana", "DELETE", f"bookings/{made.json()['id']}")).status_code == 403
    assert (await ask(app, "tina", "DELETE", f"bookings/{made.json()['id']}")).status_code == 200
    assert [one["project"] for one in (await ask(app, "bob", "GET", "bookings")).json()] == ["lung"]
