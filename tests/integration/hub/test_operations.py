"""A real hub as its operator sees it: logs that tell of nobody more than an account, ids of requests, metrics for who may read them."""

import json
import re
import socket
from pathlib import Path

import httpx
import pytest
import yaml
from person import Person
from running import Running
from tiny import write_workbench

from cohortlab_hub import records
from cohortlab_hub.access import NewGrant, add

DASHBOARD = Path(__file__).parents[3] / "helm" / "cohortlab" / "dashboards" / "cohortlab.json"
WORD = "m3trics-" + 8 * "7f"
PATIENT = "Doe%5EJane-19700102.ipynb"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A workbench in which somebody has done what people do: its answers, the metrics, the log, and the secrets that were about."""
    folder = tmp_path_factory.mktemp("operations")
    file = write_workbench(folder)
    (folder / "word").write_text(WORD)
    document = yaml.safe_load(file.read_text())
    document["metrics"] = {"port": free_port(), "token": "word"}
    file.write_text(yaml.safe_dump(document))
    (folder / "hub").mkdir()
    with records.opened(f"sqlite:///{folder}/hub/records.sqlite") as database:
        add(database, "steward", NewGrant(subject="researcher", dataset="alpha", reason="a test"), {"alpha", "beta"})
    running = Running([str(file), "--port", "0"]).ready()
    read = {"Authorization": f"Bearer {WORD}"}
    found = {}
    with Person(running.address, "researcher", running.password) as person:
        token = person.token()
        person.start()
        cookies = [cookie.value for cookie in person.http.cookies.jar if len(cookie.value or "") > 20]
        person.contents(PATIENT)
        person.stop()
        found["stopped"] = person.http.get(f"user/researcher/api/contents/{PATIENT}")
        found["hub"] = person.http.get(f"hub/home?token={token}", headers={"X-Request-ID": "trace-1"})
        found["odd"] = person.http.get("hub/health", headers={"X-Request-ID": "x" * 200})
        found["service"] = person.http.get(
            "services/cohortlab/api/v1/me/grants", headers={"Authorization": f"token {token}", "X-Request-ID": "trace-2"}
        )
        found["ready"] = person.http.get("services/cohortlab/ready")
        found["refused"] = [
            person.http.get("hub/metrics"),
            httpx.get(running.address + "hub/metrics", headers={"Authorization": f"token {token}"}, trust_env=False),
            person.http.get("services/cohortlab/metrics"),
            httpx.get(
                f"http://127.0.0.1:{document['metrics']['port']}/metrics", headers={"Authorization": f"token {token}"}, trust_env=False
            ),
        ]
    with Person(running.address, "researcher", "Wr0ng-but-typed") as nobody:
        assert nobody.answer.status_code == 403
    hub_metrics = httpx.get(running.address + "hub/metrics", headers=read, trust_env=False)
    service_metrics = httpx.get(f"http://127.0.0.1:{document['metrics']['port']}/metrics", headers=read, trust_env=False)
    assert running.stop() == 0, "".join(running.said)
    log = (folder / "logs" / "hub.log").read_text()
    return found, (hub_metrics, service_metrics), log, [token, WORD, running.password, "Wr0ng-but-typed", *cookies]


def lines(log):
    """The log's lines as objects; those of the proxy, which writes its own (and indents what follows an error), aside."""
    return [json.loads(line) for line in log.splitlines() if not re.match(r"[^{]*\[ConfigProxy\]|\s|}$", line)]


def test_every_line_is_one_object(used):
    found = lines(used[2])
    assert len(found) > 20
    assert all({"time", "level", "logger", "event"} <= line.keys() for line in found)


def test_the_log_has_no_secret_no_place_and_nothing_that_was_opened(used):
    _, _, log, secrets = used
    for secret in secrets:
        assert secret not in log
    for never in ("Doe", "19700102", ".ipynb", "_xsrf=", "@127.0.0.1", "(127.0.0.1)", "Cookie"):
        assert never not in log
    assert "researcher" in log


def test_requests_are_told_of_by_their_route_with_their_id(used):
    answers, _, log, _ = used
    assert answers["hub"].headers["x-request-id"] == "trace-1"
    assert answers["service"].headers["x-request-id"] == "trace-2"
    assert re.fullmatch(r"[0-9a-f]{16}", answers["odd"].headers["x-request-id"])
    told = {line["request_id"]: line for line in lines(log) if line.get("event") == "request"}
    hub, service = told["trace-1"], told["trace-2"]
    assert (hub["route"], hub["status"], hub["user"]) == ("HomeHandler", 200, "researcher")
    assert (service["route"], service["status"], service["user"]) == ("/me/grants", 200, "researcher")


def test_it_is_ready_and_says_so(used):
    answer = used[0]["ready"]
    assert answer.status_code == 200
    assert set(answer.json()["checks"].values()) == {"ok"}


def test_metrics_are_for_their_reader_alone(used):
    answers, (hub, service), _, _ = used
    assert [answer.status_code for answer in answers["refused"]] == [403, 403, 404, 401]
    assert not any("cohortlab_" in answer.text for answer in answers["refused"])
    assert hub.status_code == service.status_code == 200
    spawns = [line for line in hub.text.splitlines() if line.startswith("jupyterhub_server_spawn_duration_seconds_count")]
    assert [line for line in spawns if 'status="success"' in line and line.endswith(" 1.0")], spawns
    assert 'cohortlab_audit_events_total{action="session.start"} 1.0' in service.text
    labels = {
        value for line in (hub.text + service.text).splitlines() if not line.startswith("#") for value in re.findall(r'="([^"]*)"', line)
    }
    assert not {label for label in labels if "researcher" in label or "Doe" in label}


def test_what_the_dashboard_shows_is_there(used):
    _, answers, _, _ = used
    board = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    expressions.append(board["templating"]["list"][1]["query"]["query"])
    named = {name for expression in expressions for name in re.findall(r"\b(?:cohortlab|jupyterhub)_[a-z_]+", expression)}
    described = {line.split()[2] for answer in answers for line in answer.text.splitlines() if line.startswith("# TYPE")}
    exported = described | {f"{name}_{part}" for name in described for part in ("bucket", "count", "sum")}
    assert len(named) > 15
    assert not named - exported
    grid = [(panel["gridPos"], panel["id"]) for panel in board["panels"]]
    assert len({number for _, number in grid}) == len(grid)
    assert all(place["x"] + place["w"] <= 24 for place, _ in grid)
