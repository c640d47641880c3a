"""GPUs through a real hub: who waits and where, leaving, taking a profile without one, bookings, warnings, and a hub that begins again."""

import copy
import json
import signal
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cluster_workbench import NODES, Member, until, up, write

from cohortlab_hub import records
from cohortlab_hub.sessions import notices
from cohortlab_hub.sessions.notices import Kind
from cohortlab_hub.settings_file import load

sys.path.insert(0, str(Path(__file__).parents[2]))
from fake_kubernetes import serve

MANY = 300
PEOPLE = {name: {} for name in ("ana", "bob", "cy", "dora", "tina")}
ACCOUNTS = {**PEOPLE, **{f"user-{n}": {} for n in range(MANY)}}


@pytest.fixture(scope="module")
def cluster():
    with serve(NODES) as made:
        yield made


@pytest.fixture(scope="module")
def bench(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpus")
    projects = {"key": "keys/gate.key", "projects": {"course": {"members": ["tina"]}}}
    file = write(folder, cluster, ACCOUNTS, federation=projects, queue={"keep_place_minutes": 5})
    running = [up(file, cluster)]
    yield running, file
    assert running[0].stop() == 0, "".join(running[0].said)


@pytest.fixture
def person(bench):
    people = []

    def sign_in(name):
        people.append(Member(bench[0][0].address, name, bench[0][0].password))
        return people[-1]

    yield sign_in
    mine = [one for one in people if one.base == bench[0][0].address]  # the others were of a hub before
    for one in mine:
        if one.server():
            one.stop()
    for one in mine:
        until(lambda one=one: not one.server().get("pending") and not one.ready(), f"the stop of {one.name}'s session")
    for one in people:
        one.http.close()


def pod_of(cluster, name):
    return next((pod for pod in cluster.pods() if pod["metadata"]["annotations"]["hub.jupyter.org/username"] == name), None)


def wait_in_queue(someone, profile="gpu"):
    """Ask for a GPU that is not free; the event with the place."""
    someone.ask(profile=profile)
    return someone.events(lambda event: event.get("queue"))[-1]


def test_three_requests_on_two_gpus(cluster, person):
    ana, bob, cy, dora = (person(name) for name in ("ana", "bob", "cy", "dora"))
    for one in (ana, bob):
        one.ask(profile="gpu")
    for one in (ana, bob):
        until(one.ready, "a session with a GPU")
    told = wait_in_queue(cy)
    assert told["queue"]["position"] == 1
    assert datetime.fromisoformat(told["queue"]["estimate"]) > datetime.now(UTC)
    assert told["message"] == "Waiting for a GPU: you are number 1. You are next."
    assert wait_in_queue(dora)["queue"]["position"] == 2
    assert pod_of(cluster, "cy") is None  # no pod hangs about pending

    [kind] = cy.service("sessions/queue").json()
    assert (kind["total"], kind["free"]) == (2, 0)
    assert [(place["position"], place["mine"]) for place in kind["waiting"]] == [(1, True), (2, False)]
    form = " ".join(person("tina").http.get("hub/spawn").text.split())
    assert "0 of 2 free, 2 waiting. You would wait in the queue." in form
    page = cy.http.get("hub/spawn-pending/cy").text
    assert 'id="queue"' in page
    assert "Start at once without a GPU" in page

    bob.stop()
    until(cy.ready, "the next in the queue")
    assert pod_of(cluster, "cy")["spec"]["nodeName"] == "gpu-1"
    assert not dora.ready()
    until(lambda: dora.service("sessions/self/queue").json()[0]["position"] == 1, "dora to move up")

    [ticket] = dora.service("sessions/self/queue").json()
    answer = dora.http.delete(
        f"services/cohortlab/api/v1/sessions/self/queue/{ticket['id']}", headers={"Authorization": f"token {dora.token()}"}
    )
    assert answer.status_code == 204
    told = dora.events(lambda event: event.get("failed"))
    assert "You left the queue" in told[-1]["message"]
    assert "You left the queue" in dora.http.get("hub/spawn-pending/dora").text

    until(lambda: not dora.server().get("pending"), "the end of the start")
    dora.ask(profile="small")  # what waited for a GPU leaves nothing to the next
    until(dora.ready, "a session without a GPU")
    assert "nvidia.com/gpu" not in pod_of(cluster, "dora")["spec"]["containers"][0]["resources"]["limits"]


def test_who_waits_may_take_a_profile_without_a_gpu_or_stop(cluster, person):
    ana, bob, cy = (person(name) for name in ("ana", "bob", "cy"))
    ana.ask(profile="two")
    until(ana.ready, "a session with both GPUs")
    for one in (bob, cy):
        wait_in_queue(one)
    for profile, status in (("gpu", 403), ("members", 403), ("nothing", 403), ("small", 202)):
        assert bob.api("POST", "hub/api/sessions/instead", json={"profile": profile}).status_code == status
    until(bob.ready, "the session without a GPU")
    assert pod_of(cluster, "bob")["metadata"]["labels"]["cohortlab/profile"] == "small"
    assert bob.api("POST", "hub/api/sessions/instead", json={"profile": "small"}).status_code == 404
    assert cy.http.post("hub/api/sessions/instead", json={"profile": "small"}).status_code == 403  # another site's page has no XSRF token
    cy.stop()
    until(lambda: not cy.server().get("pending"), "the stop")
    assert cy.service("sessions/self/queue").json() == []
    assert pod_of(cluster, "cy") is None


def test_a_booking_is_honoured(person):
    ana, tina = person("ana"), person("tina")
    token = {"Authorization": f"token {tina.token()}"}
    now = datetime.now(UTC)
    booking = {
        "kind": "a100",
        "count": 2,
        "project": "course",
        "reason": "A lesson.",
        "start": str(now),
        "end": str(now + timedelta(hours=1)),
    }
    made = tina.http.post("services/cohortlab/api/v1/sessions/bookings", headers=token, json=booking)
    assert made.status_code == 201, made.text
    assert wait_in_queue(ana)["queue"]["position"] == 1
    tina.ask(profile="gpu")
    until(tina.ready, "the session of the booking's project")
    assert not ana.ready()
    given_back = tina.http.delete(f"services/cohortlab/api/v1/sessions/bookings/{made.json()['id']}", headers=token)
    assert given_back.status_code == 200
    until(ana.ready, "the session of who waited")


def test_a_session_is_warned_may_be_kept_and_is_stopped(bench, cluster, person):
    settings, ana, bob = load(bench[1]), person("ana"), person("bob")
    for one in (ana, bob):
        one.start()
    now = datetime.now(UTC)
    with records.opened(settings.database_url) as database:
        soon = {"stop_at": now + timedelta(seconds=4)}
        kept = notices.add(database, "ana", Kind.OPERATOR, "The machine is needed.", extend_to=now + timedelta(hours=1), **soon)
        notices.add(database, "bob", Kind.OPERATOR, "The machine is needed.", **soon)
    [told] = ana.http.get("hub/api/sessions/notices").json()
    assert (told["message"], told["id"]) == ("The machine is needed.", kept.id)
    assert bob.api("POST", f"hub/api/sessions/notices/{kept.id}/extend").status_code == 404  # not bob's
    assert ana.api("POST", f"hub/api/sessions/notices/{kept.id}/extend").status_code == 200
    until(lambda: not bob.ready() and pod_of(cluster, "bob") is None, "the stop")
    assert ana.ready()
    assert ana.http.get("hub/api/sessions/notices").json() == []


def test_an_idle_session_is_warned_kept_once_and_stopped(cluster, person):
    ana, bob = person("ana"), person("bob")
    for one in (ana, bob):
        one.ask(profile="brief")
        until(one.ready, "the session")
    [told] = until(lambda: ana.http.get("hub/api/sessions/overview").json()["notices"], "the warning")
    assert told["kind"] == "idle"
    assert ana.api("POST", f"hub/api/sessions/notices/{told['id']}/extend").status_code == 200
    until(lambda: not bob.ready(), "the stop of bob's session")
    assert ana.ready()  # kept for as long again
    until(lambda: not ana.ready(), "the stop of ana's session")
    assert pod_of(cluster, "ana") is None


def clone(database, cluster, first, names):
    """Sessions as an earlier hub left them: copies of `first`'s rows in JupyterHub's database, and of its pod."""
    pod = pod_of(cluster, first)
    hub = sqlite3.connect(database)
    hub.row_factory = sqlite3.Row
    user = hub.execute("SELECT * FROM users WHERE name = ?", (first,)).fetchone()
    spawner = hub.execute("SELECT * FROM spawners WHERE user_id = ?", (user["id"],)).fetchone()
    server = hub.execute("SELECT * FROM servers WHERE id = ?", (spawner["server_id"],)).fetchone()
    for name in names:
        owner = hub.execute("SELECT id FROM users WHERE name = ?", (name,)).fetchone()["id"]
        row = {key: server[key] for key in server.keys() if key != "id"} | {"base_url": f"/user/{name}/"}  # noqa: SIM118 - a Row is no dict
        made = insert(hub, "servers", row)
        state = json.loads(spawner["state"]) | {"pod_name": f"session-{name}", "pvc_name": f"home-{name}", "dns_name": name}
        row = {key: spawner[key] for key in spawner.keys() if key not in {"id", "oauth_client_id"}}  # noqa: SIM118 - as above
        insert(hub, "spawners", row | {"user_id": owner, "server_id": made, "state": json.dumps(state)})
        copied = copy.deepcopy(pod)
        copied["metadata"] |= {"name": f"session-{name}", "annotations": {"hub.jupyter.org/username": name}}
        cluster.do(cluster._add, "pods", "sessions", copied)
    hub.commit()
    hub.close()


def insert(hub, table, row):
    marks = ", ".join("?" for _ in row)
    return hub.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())).lastrowid  # noqa: S608 - our own names


def test_a_hub_that_begins_again_loses_no_session_and_no_place(bench, cluster, person):
    running, file = bench
    ana, bob, cy = (person(name) for name in ("ana", "bob", "cy"))
    ana.start()
    bob.ask(profile="two")
    until(bob.ready, "a session with both GPUs")
    wait_in_queue(cy)
    [before] = cy.service("sessions/self/queue").json()
    running[0].process.send_signal(signal.SIGKILL)
    running[0].stop()
    clone(file.parent / "hub" / "jupyterhub.sqlite", cluster, "ana", [f"user-{number}" for number in range(MANY)])
    asked = dict(cluster.do(lambda: dict(cluster.requests)))

    running[0] = up(file, cluster)
    ana, bob, cy = (person(name) for name in ("ana", "bob", "cy"))
    until(lambda: len(cluster.pods()) == MANY + 2 and ana.ready() and bob.ready(), "the sessions of before")
    last = person(f"user-{MANY - 1}")
    until(last.ready, "the last session of before")
    assert cluster.do(lambda: dict(cluster.requests)).get("delete pods", 0) == asked.get("delete pods", 0)
    assert wait_in_queue(cy)["queue"]["position"] == 1  # bob's GPUs are still bob's
    [after] = cy.service("sessions/self/queue").json()
    assert after["since"] == before["since"]
    bob.stop()
    until(cy.ready, "the next in the queue")
