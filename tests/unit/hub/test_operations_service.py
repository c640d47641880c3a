"""The service's readiness, metrics and logs, in one process: what is wrong is one word, nothing about a person is a label."""

import asyncio
import http.server
import io
import json
import logging
import socket
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import pytest
import structlog
import yaml
from pydantic import ValidationError
from sqlalchemy import text

from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit, records
from cohortlab_hub.access.held import open_leases
from cohortlab_hub.access.rules import Lease
from cohortlab_hub.app import create_app
from cohortlab_hub.operations.logs import Lines, use_lines
from cohortlab_hub.operations.settings import Metrics
from cohortlab_hub.settings_file import load

PREFIX = "/services/cohortlab"
TOKEN = "5" * 32
GONE = "http://127.0.0.1:9/hub/api"  # the discard port: nobody listens


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of JupyterHub's API as the service asks for: its version, and whose a token is."""

    def do_GET(self):
        status, body = 200, {"version": "6.1.1"}
        if self.path.endswith("/user"):
            known = self.headers["Authorization"] == f"token {TOKEN}"
            status = 200 if known else 403
            body = {"name": "ana", "kind": "user", "groups": [], "scopes": ["access:services!service=cohortlab"]} if known else {}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hub/api"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def workbench(tmp_path):
    def workbench(**more):
        key = create_key(tmp_path / "hub.key")
        (tmp_path / "token").write_text("0" * 32)
        document = {
            "login": {"kind": "demo", "accounts": {"ana": {}}},
            "trusted_keys": [key.public.text],
            "gpus": {"a100": {"total": 2}},
            "datasets": {"lesions": {"sites": ["north"]}},
            "federation": {"key": "hub.key", "sites": {"north": {"token": "token"}}},
            **more,
        }
        (tmp_path / "workbench.yaml").write_text(yaml.safe_dump(document))
        return load(tmp_path / "workbench.yaml")

    return workbench


@asynccontextmanager
async def running(settings, hub_api):
    app = create_app(settings, PREFIX, hub_api)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield app, client


def ask(settings, hub_api, path, **more):
    async def asked():
        async with running(settings, hub_api) as (_, client):
            return await client.get(PREFIX + path, **more)

    return asyncio.run(asked())


def test_ready_when_all_is_well(workbench, hub):
    answer = ask(workbench(), hub, "/ready")
    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {"status": "ready", "checks": {"records": "ok", "migrations": "ok", "signing_key": "ok", "hub": "ok"}}


def test_alive_without_a_hub_but_not_ready(workbench):
    settings = workbench()
    assert ask(settings, GONE, "/health").json() == {"status": "ok"}
    answer = ask(settings, GONE, "/ready")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json()["checks"] == {"records": "ok", "migrations": "ok", "signing_key": "ok", "hub": "unreachable"}


@pytest.mark.parametrize("what", ["revision", "table", "key"])
def test_what_is_wrong_is_one_word(workbench, hub, what):
    settings = workbench()

    async def asked():
        async with running(settings, hub) as (app, client):
            if what == "key":
                settings.federation.key.unlink()
            else:
                with app.state.sessions.begin() as database:
                    spoilt = "UPDATE alembic_version SET version_num = '0001'" if what == "revision" else "DROP TABLE alembic_version"
                    database.execute(text(spoilt))
            return await client.get(PREFIX + "/ready")

    answer = asyncio.run(asked())
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    wrong = {name: said for name, said in answer.json()["checks"].items() if said != "ok"}
    assert wrong == ({"signing_key": "unreadable"} if what == "key" else {"migrations": "behind"})
    assert str(settings.state) not in answer.text


def test_a_database_of_a_newer_version_is_not_behind(workbench, hub):
    settings = workbench()

    async def asked():
        async with running(settings, hub) as (app, client):
            with app.state.sessions.begin() as database:
                database.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            return await client.get(PREFIX + "/ready")

    assert asyncio.run(asked()).status_code == HTTPStatus.OK


def test_metrics_beyond_this_machine_need_a_token():
    with pytest.raises(ValidationError, match="need a token"):
        Metrics(host="0.0.0.0")  # noqa: S104 - what must be refused
    assert Metrics().secret is None


def test_metrics_are_at_their_own_address_for_who_has_the_token(workbench, hub, tmp_path, free_port):
    (tmp_path / "word").write_text("m3trics-of-all\n")
    settings = workbench(metrics={"port": free_port, "token": "word"})
    now = datetime.now(UTC)

    async def asked():
        async with running(settings, hub) as (app, client):
            with app.state.sessions.begin() as database:
                audit.record(database, "ana", "pixels.read", "lesions", {"answers": 3, "bytes": 4096})
                open_leases(database, "ana", "", [Lease("ana", "lesions", AccessCondition.DOWNLOAD, None, "g")], now)
            signed = {"Authorization": f"token {TOKEN}"}
            answers = [
                await client.get(PREFIX + path, headers=headers)
                for path, headers in (
                    ("/api/v1/me/grants", signed),
                    ("/api/v1/me/grants", {}),
                    ("/api/v1/grants", signed),
                    ("/metrics", signed),
                )
            ]
            assert [answer.status_code for answer in answers] == [200, 401, 403, 404]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}", trust_env=False) as reader:
                refused = [await reader.get("/metrics", headers=headers) for headers in ({}, {"Authorization": "Bearer no"}, signed)]
                good = {"Authorization": "Bearer m3trics-of-all"}
                return (
                    refused,
                    await reader.get("/other", headers=good),
                    await reader.get("/metrics", headers=good),
                    await reader.get("/metrics", headers=good),
                )

    refused, other, found, again = asyncio.run(asked())
    assert [answer.status_code for answer in refused] == [401, 401, 401]
    assert not any("cohortlab_" in answer.text for answer in refused)
    assert other.status_code == HTTPStatus.NOT_FOUND
    lines = found.text.splitlines()
    for expected in (
        "cohortlab_records_up 1.0",
        "cohortlab_leases 1.0",
        "cohortlab_leases_ended_total 0.0",
        'cohortlab_gpu_queue_waiting{kind="a100"} 0.0',
        'cohortlab_gpus{kind="a100"} 2.0',
        'cohortlab_jobs{state="queued"} 0.0',
        'cohortlab_datasets{state="served"} 1.0',
        'cohortlab_audit_events_total{action="pixels.read"} 1.0',
        "cohortlab_pixels_read_bytes_total 4096.0",
        "cohortlab_pixels_read_answers_total 3.0",
        'cohortlab_requests_total{method="GET",route="/me/grants",status="200"} 1.0',
        'cohortlab_requests_total{method="GET",route="none",status="404"} 1.0',
        'cohortlab_refused_total{room="access",why="unauthenticated"} 1.0',
        'cohortlab_refused_total{room="access",why="refused"} 1.0',
    ):
        assert expected in lines, found.text
    assert "cohortlab_pixels_read_bytes_total 4096.0" in again.text.splitlines()  # not counted twice
    assert "ana" not in [part for line in lines if not line.startswith("#") for part in line.split('"')]


def test_metrics_say_when_the_records_do_not_answer(workbench, hub, free_port):
    settings = workbench(metrics={"port": free_port})

    async def asked():
        async with running(settings, hub) as (app, _):
            with app.state.sessions.begin() as database:
                database.execute(text("DROP TABLE leases"))
            async with httpx.AsyncClient(trust_env=False) as reader:
                return await reader.get(f"http://127.0.0.1:{free_port}/metrics")

    answer = asyncio.run(asked())
    assert "cohortlab_records_up 0.0" in answer.text
    assert "cohortlab_requests_open 0.0" in answer.text


@pytest.fixture
def lines():
    """What the service's log would hold."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(Lines())
    logger, level = logging.getLogger("cohortlab_hub"), logging.getLogger("cohortlab_hub").level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    use_lines()
    yield written
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_each_request_has_an_id_and_a_line_that_names_route_and_person(workbench, hub, lines):
    settings = workbench()

    async def asked():
        async with running(settings, hub) as (app, client):

            @app.get(PREFIX + "/broken")
            def broken():
                raise KeyError("Doe^Jane")

            signed = {"Authorization": f"token {TOKEN}", "X-Request-ID": "from-the-ingress"}
            known = await client.get(PREFIX + "/api/v1/me/grants?limit=7", headers=signed)
            made = await client.get(PREFIX + "/api/v1/me/grants", headers={"X-Request-ID": "x" * 65})
            return known, made, await client.get(PREFIX + "/broken"), await client.get(PREFIX + "/Doe%5EJane")

    known, made, broken, unknown = asyncio.run(asked())
    assert known.headers["x-request-id"] == "from-the-ingress"
    assert len(made.headers["x-request-id"]) == 16
    assert broken.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert broken.headers["content-type"] == "application/problem+json"
    assert broken.headers["x-request-id"] in broken.json()["hint"]
    assert unknown.status_code == HTTPStatus.NOT_FOUND
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    first = next(line for line in told if line.get("request_id") == "from-the-ingress")
    expected = {"event": "request", "method": "GET", "route": "/me/grants", "status": 200, "user": "ana", "level": "info"}
    assert first.items() >= expected.items()
    failed = next(line for line in told if line["event"] == "request.failed")
    assert (failed["error"], failed["request_id"]) == ("KeyError", broken.headers["x-request-id"])
    for never in ("limit=7", TOKEN, "Doe"):
        assert never not in lines.getvalue()


def test_errors_of_the_database_quote_no_value(tmp_path):
    url = f"sqlite:///{tmp_path}/records.sqlite"
    with pytest.raises(Exception, match="no such table") as caught, records.opened(url) as database:
        database.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Doe^Jane"})
    assert "Doe" not in str(caught.value)
