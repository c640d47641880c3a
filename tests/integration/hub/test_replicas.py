"""Two processes of the service on one PostgreSQL: who waits at one is woken by what happens at the other, and nothing is done twice."""

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from cluster_workbench import until
from postgres import Postgres
from sqlalchemy import select, text

from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant, add
from cohortlab_hub.access.held import open_leases, running
from cohortlab_hub.access.rules import Lease
from cohortlab_hub.audit.tables import AuditEvent

SCOPE = "access:services!service=cohortlab"
WAIT = 50  # seconds that a request waits when nobody wakes it: longer than its client does
CLIENT = 25
SILENCE = 5
REMOTE = AccessCondition.REMOTE_PROCESSING


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of JupyterHub's API as the service asks for. A token is its owner's name; sessions end when they are told to."""

    sessions: set[str] = set()  # noqa: RUF012 - shared by all requests
    stops: list[str] = []  # noqa: RUF012 - the same

    def answer(self, status, body):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path.endswith("/user"):
            name = self.headers["Authorization"].removeprefix("token ")
            kind = "service" if name in {"north", "south"} else "user"
            self.answer(200, {"name": name, "kind": kind, "groups": ["stewards"] if name == "steward" else [], "scopes": [SCOPE]})
        elif "/users?" in self.path:
            people = [{"name": name, "groups": [], "servers": [""]} for name in sorted(self.sessions)]
            self.answer(200, {"items": people, "_pagination": {"next": None}})
        else:
            self.answer(200, {"version": "6.1.1"})

    def do_DELETE(self):
        name = self.path.split("/")[-2]
        self.stops.append(name)
        self.sessions.discard(name)
        self.answer(204, None)

    def log_message(self, *_):
        """Quiet."""


class Service:
    """One process of the service."""

    def __init__(self, file, hub, log):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}/services/cohortlab/"
        environment = os.environ | {
            "COHORTLAB_WORKBENCH": str(file),
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/cohortlab/",
            "JUPYTERHUB_API_URL": hub,
            "JUPYTERHUB_API_TOKEN": "cohortlab",
        }
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen([sys.executable, "-m", "cohortlab_hub.serve"], env=environment, stderr=output, stdout=output)

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(self.base + "ready", trust_env=False, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, who, method, path, **more):
        headers = {"Authorization": f"token {who}"}
        return httpx.request(method, f"{self.base}api/v1/{path}", headers=headers, trust_env=False, timeout=CLIENT, **more)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The two processes, and the address of their database."""
    folder = tmp_path_factory.mktemp("replicas")
    cluster = Postgres()
    hub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    url = cluster.database()
    key = create_key(folder / "hub.key")
    (folder / "database").write_text(url)
    (folder / "token").write_text("0" * 32)
    document = {
        "state": ".",
        "login": {"kind": "demo", "accounts": {"ana": {}, "steward": {"groups": ["stewards"]}}},
        "trusted_keys": [key.public.text],
        "database_file": "database",
        "access": {"grace_seconds": 60, "check_seconds": 30},
        "datasets": {"far": {"sites": ["north", "south"]}},
        "federation": {
            "key": "hub.key",
            "sites": {name: {"token": "token"} for name in ("north", "south")},
            "projects": {"study": {"members": ["ana"]}},
            "silence_seconds": SILENCE,
            "minimum_sites": 1,
        },
    }
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(document))
    with records.opened(url) as database:
        add(database, "steward", NewGrant(subject="ana", dataset="far", condition=REMOTE, reason="test"), {"far"})
    address = f"http://127.0.0.1:{hub.server_port}/hub/api"
    services = [Service(file, address, folder / f"{name}.log") for name in ("one", "two")]
    try:
        until(lambda: all(service.answers() for service in services), "both processes")
        until(lambda: heard_by(url) == 2, "both listen")
        yield *services, url
    finally:
        for service in services:
            if service.process.poll() is None:
                service.stop()
        hub.shutdown()
        hub.server_close()
        thread.join()
        cluster.stop()


def heard_by(url):
    """How many connections have asked PostgreSQL to hear the bell."""
    with records.opened(url) as database:
        asked = text("SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN cohortlab_bell' AND datname = current_database()")
        return database.execute(asked).scalar()


@pytest.fixture
def later():
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def submit(service):
    spec = {"dataset": "far", "project": "study", "task": "histogram", "parameters": {"bins": 2, "low": 0, "high": 2}}
    answer = service.ask("ana", "POST", "jobs", json=spec)
    assert answer.status_code == 201, answer.text
    return answer.json()


def waits(service, name):
    """Whether a site's question waits at this process."""
    sites = service.ask("ana", "GET", "federation").json()["datasets"][0]["sites"]
    return next(site["connected"] for site in sites if site["name"] == name)


def test_a_site_that_waits_at_one_process_hears_of_a_job_given_to_the_other(place, later):
    one, two, _ = place
    asked = later(two.ask, "north", "GET", f"sites/self/work?wait={WAIT}")
    until(lambda: waits(two, "north"), "the question")
    until(lambda: waits(one, "north"), "the other process learns that the site is there")
    job = submit(one)
    items = asked.result().json()["items"]
    assert [item["name"]["job"] for item in items] == [job["id"]]


def test_who_waits_for_events_at_one_process_hears_what_a_site_told_the_other(place, later):
    one, two, _ = place
    job = submit(one)
    work = {item["name"]["job"]: item["name"]["ticket"] for item in two.ask("south", "GET", "sites/self/work").json()["items"]}
    last = one.ask("ana", "GET", f"jobs/{job['id']}/events").json()["events"][-1]["seq"]
    asked = later(one.ask, "ana", "GET", f"jobs/{job['id']}/events?after={last}&wait={WAIT}")
    told = two.ask("south", "POST", f"sites/self/tickets/{work[job['id']]}/events", json={"state": "accepted"})
    assert told.status_code == 204, told.text
    assert asked.result().json()["events"][-1]["site"] == "south"


def test_both_change_one_job_at_once_and_its_events_are_numbered(place, later):
    one, two, _ = place
    job = submit(one)
    tickets = {}
    for site in ("north", "south"):
        found = one.ask(site, "GET", "sites/self/work").json()["items"]
        tickets[site] = next(item["name"]["ticket"] for item in found if item["name"]["job"] == job["id"])
    answers = [
        later(service.ask, site, "POST", f"sites/self/tickets/{tickets[site]}/events", json={"state": "running", "progress": step / 20})
        for step in range(1, 11)
        for service, site in ((one, "north"), (two, "south"))
    ]
    assert {answer.result().status_code for answer in answers} <= {204, 409}
    events = one.ask("ana", "GET", f"jobs/{job['id']}/events").json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_a_revocation_at_one_process_ends_a_session_once(place):
    one, _, url = place
    with records.opened(url) as database:
        made = add(database, "steward", NewGrant(subject="bob", dataset="far", condition=REMOTE, reason="test"), {"far"})
        open_leases(database, "bob", "", [Lease("bob", "far", REMOTE, None, made.id)], datetime.now(UTC))
    Hub.sessions.add("bob")
    answer = one.ask("steward", "POST", f"grants/{made.id}/revoke", json={"reason": "misuse", "for_cause": True})
    assert answer.status_code == 200, answer.text

    def ended():
        with records.opened(url) as database:
            return not running(database)

    until(ended, "the session's end", CLIENT)
    with records.opened(url) as database:
        actions = list(database.scalars(select(AuditEvent.action).order_by(AuditEvent.number)))
        audit.verify(database)
    assert (actions.count("lease.end"), actions.count("session.stop")) == (1, 1)
    assert set(Hub.stops) == {"bob"}


def test_a_site_heard_by_one_process_is_not_lost_to_the_other_but_a_silent_one_is(place, later):
    one, two, url = place
    kept = http.client.HTTPConnection(urlsplit(one.base).netloc, timeout=CLIENT)
    assert read(kept, urlsplit(one.base).path + "health") == 200
    kept.auto_open = False
    job = submit(one)
    # what is accepted is not handed out again, so that the next question waits
    for item in two.ask("north", "GET", "sites/self/work").json()["items"]:
        told = two.ask("north", "POST", f"sites/self/tickets/{item['name']['ticket']}/events", json={"state": "accepted"})
        assert told.status_code == 204, told.text
    asked = later(two.ask, "north", "GET", f"sites/self/work?wait={SILENCE * 4}")
    until(lambda: waits(two, "north"), "the question")
    assert one.ask("south", "GET", "sites/self/work").status_code == 200
    # south is never heard again: that it is lost says that the silence is over, while north's question still waits
    sites = until(lambda: _lost(one, job["id"]), "the silent site is lost", CLIENT)
    assert not asked.done()
    assert read(kept, urlsplit(one.base).path + "health") == 200  # a connection of the proxy stays open, however long nobody asks
    kept.close()
    assert sites["south"] == "lost"
    assert sites["north"] == "accepted"
    asked.result()
    with records.opened(url) as database:  # a process that loses its ear hears again, and looks
        database.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN cohortlab_bell'"))
    until(lambda: heard_by(url) == 2, "both listen again")


def read(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _lost(service, job):
    sites = {site["site"]: site["state"] for site in service.ask("ana", "GET", f"jobs/{job}").json()["sites"]}
    return sites if "lost" in sites.values() else None


def test_one_goes_on_without_the_other(place):
    one, two, _ = place
    two.stop(signal.SIGKILL)
    assert submit(one)["state"] == "queued"
    assert one.answers()
