"""Who may ask the service what: each guard of its routes, with a principal that must not pass and one that must."""

import asyncio
import http.server
import json
import shutil
import threading
from datetime import UTC, datetime

import httpx
import pytest
import yaml

from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition, ManifestFields, StoreObject
from cohortlab.store.manifest import sign_manifest
from cohortlab_hub import audit
from cohortlab_hub.access import Lease, NewGrant, add, revoke
from cohortlab_hub.access.held import open_leases
from cohortlab_hub.app import create_app
from cohortlab_hub.settings_file import load

SCOPE = "access:services!service=cohortlab"
PRINCIPALS = {
    "ana": {"name": "ana", "kind": "user", "groups": [], "scopes": [SCOPE]},
    "stella": {"name": "stella", "kind": "user", "groups": ["stewards"], "scopes": ["access:services"]},
    # a steward's token that was made for something else; one for another service; a service in the stewards' group
    "narrow": {"name": "stella", "kind": "user", "groups": ["stewards"], "scopes": ["read:users!user=stella"]},
    "other": {"name": "stella", "kind": "user", "groups": ["stewards"], "scopes": ["access:services!service=other"]},
    "site": {"name": "north", "kind": "service", "groups": ["stewards"], "scopes": [SCOPE]},
}


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of JupyterHub's API as the service asks for: whose a token is."""

    def do_GET(self):
        found = PRINCIPALS.get(self.headers["Authorization"].removeprefix("token "))
        self.send_response(200 if found else 403)
        self.end_headers()
        self.wfile.write(json.dumps(found or {}).encode())

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture(scope="module")
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hub/api"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def store(tmp_path):
    """The signed store of the dataset `scans`."""
    folder, key = tmp_path / "scans", create_key(tmp_path / "gate.key")
    folder.mkdir()
    condition = AccessCondition.IN_SITU_PROCESSING
    fields = ManifestFields(title="Scans", access_condition=condition, deidentification={}, gate="test", verdict="accepted")
    note = StoreObject(path="clinical/note.txt", size=1, sha256="0" * 64)
    (folder / "dataset.json").write_text(json.dumps(sign_manifest(("scans", "1.0.0"), fields, [], [note], key).to_json()))
    return folder


@pytest.fixture
def app(tmp_path, hub, store):
    document = {
        "login": {"kind": "demo", "accounts": {"ana": {}}},
        "trusted_keys": [create_key(tmp_path / "gate.key").public.text],
        "datasets": {"scans": {"store": str(store)}},
    }
    (tmp_path / "workbench.yaml").write_text(yaml.safe_dump(document))
    made = create_app(load(tmp_path / "workbench.yaml"), prefix="", hub_api=hub)
    made.state.watch = None
    yield made
    made.state.sessions.kw["bind"].dispose()


def ask(app, authorization, path, method="GET", **more):
    async def asked():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answer = await client.request(method, f"/api/v1/{path}", headers={"Authorization": authorization}, **more)
        await app.state.identity.close()
        return answer

    app.state.identity._client = httpx.AsyncClient(timeout=10, trust_env=False)  # a client belongs to one event loop
    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("token ana", 200),
        ("Bearer ana", 200),
        ("token nobody", 401),
        ("Basic ana", 401),
        ("ana", 401),
        ("token ", 401),
        ("token narrow", 403),
        ("token other", 403),
    ],
)
def test_a_token_must_be_known_and_for_this_service(app, authorization, status):
    assert ask(app, authorization, "me/grants").status_code == status


NEW = {"subject": "ana", "dataset": "scans", "reason": "a study"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "grants", None, 200),
        ("POST", "grants", NEW, 201),
        ("POST", "grants/{id}/revoke", {"reason": "over"}, 200),
        ("GET", "audit", None, 200),
    ],
)
def test_only_data_stewards(app, method, path, body, status):
    with app.state.sessions.begin() as database:
        path = path.format(id=add(database, "stella", NewGrant(**NEW), {"scans"}).id)
    for name, expected in (("ana", 403), ("site", 403), ("stella", status)):
        assert ask(app, f"token {name}", path, method, json=body).status_code == expected, name


@pytest.mark.parametrize(
    "path", ["me/grants", "me/decisions", "me/leases", "me/audit", "sessions/self/leases", "sessions/profiles", "sessions/queue",
             "sessions/bookings", "sessions/self/queue", "sessions/self/notices"],
)  # fmt: skip
def test_what_is_a_persons_is_not_for_services(app, path):
    assert ask(app, "token site", path).status_code == 403


def test_what_is_mine_shows_nothing_of_others(app):
    with app.state.sessions.begin() as database:
        for name in ("ana", "bob"):
            add(database, "stella", NewGrant(**NEW | {"subject": name, "reason": f"for {name}"}), {"scans"})
            open_leases(database, name, "", [Lease(name, "scans", AccessCondition.IN_SITU_PROCESSING, None, f"{name}s")], datetime.now(UTC))
            audit.record(database, name, "person.sign-in", name, {})
    assert [one["subject"] for one in ask(app, "token ana", "me/grants").json()] == ["ana"]
    assert len(ask(app, "token ana", "me/leases").json()) == 1
    events = ask(app, "token ana", "me/audit").json()
    assert events
    assert "bob" not in json.dumps(events)


def test_a_sessions_leases_are_decided_anew_at_each_question(app, store):
    """What a session's pixel gateway asks every few seconds."""

    def allowed():
        [one] = ask(app, "token ana", "sessions/self/leases").json()
        return one["allowed"], one["reason"]

    with app.state.sessions.begin() as database:
        grant = add(database, "stella", NewGrant(**NEW), {"scans"})
        open_leases(database, "ana", "", [Lease("ana", "scans", AccessCondition.IN_SITU_PROCESSING, None, grant.id)], datetime.now(UTC))
    assert allowed()[0]
    with app.state.sessions.begin() as database:
        revoke(database, "stella", grant.id, "the study is over")
    assert not allowed()[0]
    assert "the study is over" in allowed()[1]
    with app.state.sessions.begin() as database:
        add(database, "stella", NewGrant(**NEW), {"scans"})
    assert allowed()[0]
    shutil.rmtree(store)
    assert allowed() == (False, "scans is not served here any more.")
