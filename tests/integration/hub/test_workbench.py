"""A real hub, proxy and sessions on loopback, with a tiny workbench."""

import json
import signal
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from person import Person
from running import MAIN, Running, processes
from tiny import write_workbench

CONTENTS = "import pathlib, os; print(sorted(p.name for p in pathlib.Path(os.environ['COHORTLAB_DATASETS']).iterdir()))"


def command(*arguments, **more):
    return subprocess.run([*MAIN, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **more)


def grant(file, person, dataset, *options):
    done = command("grants", "add", dataset, "--person", person, "--reason", "a test", "--workbench", file, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[0]


@pytest.fixture(scope="module")
def workbench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workbench")
    file = write_workbench(folder)
    grant(file, "researcher", "alpha")
    grant(file, "clinician", "beta")
    running = Running([str(file), "--port", "0"]).ready()
    yield running, file
    assert running.stop() == 0, "".join(running.said)
    assert processes(running.mark) == []
    assert processes(str(folder)) == []


@pytest.fixture
def person(workbench):
    running, _ = workbench
    people = []

    def sign_in(name):
        people.append(Person(running.address, name, running.password))
        return people[-1]

    yield sign_in
    for one in people:
        one.http.close()


def test_the_login_page_says_what_it_is(workbench):
    page = httpx.get(workbench[0].address + "hub/login", trust_env=False).text
    assert "one shared password" in page
    assert "For research, not for diagnosis." in page


@pytest.mark.parametrize("path", ["hub/login", "hub/home", "hub/spawn"])
def test_pages_name_no_other_host(person, path):
    page = person("steward").http.get(path).text
    others = [part for part in page.split('"') if part.startswith(("http://", "https://", "//"))]
    assert others == []


def test_wrong_password_and_unknown_account_do_not_sign_in(workbench):
    running, _ = workbench
    for name, password in (("researcher", "x" * 16), ("mallory", running.password), ("root", running.password)):
        with Person(running.address, name, password) as somebody:
            assert somebody.answer.status_code == 403
            assert somebody.http.get("hub/home").url.path == "/hub/login"


def test_researcher_and_clinician_see_their_own_datasets(person):
    researcher, clinician = person("researcher"), person("clinician")
    researcher.start()
    clinician.start()
    assert [entry["name"] for entry in researcher.contents("datasets").json()["content"]] == ["alpha"]
    assert [entry["name"] for entry in clinician.contents("datasets").json()["content"]] == ["beta"]
    assert [entry["id"] for entry in researcher.service("datasets").json()] == ["alpha"]
    assert [entry["id"] for entry in clinician.service("datasets").json()] == ["beta"]
    assert researcher.run(CONTENTS) == "['alpha']\n"


def test_a_session_can_call_the_service_with_its_own_token(person):
    researcher = person("researcher")
    researcher.http.get("user/researcher/lab")
    code = """
import json, os, urllib.request
url = os.environ["COHORTLAB_SERVICE_URL"] + "api/v1/me/decisions"
request = urllib.request.Request(url, headers={"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]})
print(urllib.request.urlopen(request).read().decode())
"""
    decisions = {entry["dataset"]: entry for entry in json.loads(researcher.run(code))}
    assert decisions["alpha"]["allowed"]
    assert decisions["beta"]["reason"] == "You have no grant for beta. Ask a data steward for access."


def test_a_session_has_no_more_environment_than_it_needs(person, workbench):
    researcher = person("researcher")
    researcher.http.get("user/researcher/lab")
    names = set(json.loads(researcher.run("import json, os; print(json.dumps(sorted(os.environ)))")))
    assert {"COHORTLAB_DATASETS", "COHORTLAB_TRUSTED_KEYS", "COHORTLAB_SERVICE_URL"} <= names
    assert not names & {
        "COHORTLAB_DEMO_PASSWORD",
        "COHORTLAB_WORKBENCH",
        "COHORTLAB_TEST_MARK",
        "CONFIGPROXY_AUTH_TOKEN",
        "JPY_COOKIE_SECRET",
    }
    assert workbench[0].password not in researcher.run("import os; print(dict(os.environ))")


def test_one_person_has_no_way_into_anothers_session(person):
    researcher, clinician = person("researcher"), person("clinician")
    answer = clinician.http.get("user/researcher/api/contents/")
    assert answer.status_code in {403, 404}
    assert clinician.api("POST", "hub/api/users/researcher/server").status_code in {403, 404}
    assert clinician.api("POST", "hub/api/users/researcher/tokens", json={}).status_code in {403, 404}
    assert clinician.http.get(f"user/researcher/api/contents/?token={researcher.token()}").status_code in {200, 403}


def test_without_the_xsrf_token_nothing_changes(person):
    researcher = person("researcher")
    assert researcher.http.post("hub/api/users/researcher/tokens", json={}).status_code == 403


@pytest.mark.parametrize(
    ("header", "status"), [({}, 401), ({"Authorization": "token nonsense"}, 401), ({"Authorization": "Basic eDp5"}, 401)]
)
def test_the_service_wants_a_token_and_answers_problems(workbench, header, status):
    answer = httpx.get(workbench[0].address + "services/cohortlab/api/v1/datasets", headers=header, trust_env=False)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthenticated"


def test_cookies_alone_do_not_open_the_service(person):
    assert person("steward").http.get("services/cohortlab/api/v1/grants").status_code == 401


def test_only_stewards_grant_and_every_grant_is_an_event(person, workbench):
    steward, researcher = person("steward"), person("researcher")
    url, new = "services/cohortlab/api/v1/grants", {"subject": "researcher", "dataset": "beta", "reason": "for the test"}
    refused = researcher.http.post(url, json=new, headers={"Authorization": f"token {researcher.token()}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "refused")

    headers = {"Authorization": f"token {steward.token()}"}
    assert steward.http.post(url, json={**new, "dataset": "gamma"}, headers=headers).status_code == 404
    assert steward.http.post(url, json={**new, "until": "2020-01-01T00:00:00Z"}, headers=headers).status_code == 422
    assert steward.http.post(url, json={**new, "colour": "red"}, headers=headers).json()["errors"][0]["path"] == "body.colour"
    made = steward.http.post(url, json=new, headers=headers)
    assert made.status_code == 201
    assert {entry["id"] for entry in researcher.service("datasets").json()} == {"alpha", "beta"}
    gone = steward.http.post(f"{url}/{made.json()['id']}/revoke", json={"reason": "enough"}, headers=headers)
    assert gone.json()["revoked_by"] == "steward"
    assert [entry["id"] for entry in researcher.service("datasets").json()] == ["alpha"]
    assert "was revoked on" in researcher.service("me/decisions?dataset=beta").json()[0]["reason"]

    listed = json.loads(command("audit", "list", "--json", "--workbench", workbench[1]).stdout)
    assert [(event["actor"], event["action"], event["target"]) for event in listed[:2]] == [
        ("steward", "grant.revoke", "beta"),
        ("steward", "grant.add", "beta"),
    ]
    assert command("audit", "verify", "--workbench", workbench[1]).returncode == 0


def test_a_revoked_grant_ends_the_session_that_mounts_the_dataset(person, workbench):
    trainee = person("trainee")  # has no other grant
    given = grant(workbench[1], "trainee", "alpha", "--until", f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}")
    trainee.start()
    assert trainee.contents("datasets/alpha").status_code == 200
    assert command("grants", "revoke", given["id"], "--reason", "a test", "--workbench", workbench[1]).returncode == 0
    deadline = time.monotonic() + 60
    while trainee.http.get("hub/api/users/trainee", headers={"Referer": trainee.base + "hub/home"}).json().get("server"):
        assert time.monotonic() < deadline, "the session still runs a minute after the revocation"
        time.sleep(1)


def test_a_second_workbench_with_that_state_is_refused(workbench):
    done = command("up", workbench[1], "--port", "0")
    assert done.returncode == 1
    assert "already running" in done.stderr


def test_port_in_use(tmp_path):
    file = write_workbench(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        started = Running([str(file), "--port", str(port)])
        assert started.stop(signal.SIGCONT) == 1
    assert f"Port {port} of 127.0.0.1 is in use." in "".join(started.said)
    assert processes(started.mark) == []
    again = Running([str(file), "--port", str(port)]).ready()
    assert again.stop() == 0


@pytest.mark.timeout(900)
def test_however_it_ends_no_process_stays_and_the_next_run_works(tmp_path):
    """Four runs with one state, each with a session and a kernel: what ends one shows in the next."""
    file = write_workbench(tmp_path)
    grant(file, "researcher", "alpha")
    before = ""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT):
        running = Running([str(file), "--port", "0"]).ready()
        with Person(running.address, "researcher", running.password) as researcher:
            researcher.start()
            if before:
                assert researcher.contents("kept.txt").json()["content"] == before
            researcher.run(f"open('kept.txt', 'w').write('before {number.name}')")
        before = f"before {number.name}"
        code = running.stop(number)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        deadline = time.monotonic() + 30  # after SIGKILL the kernel tells the rest one after another
        while (left := processes(running.mark) + processes(str(tmp_path))) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert left == []


def test_a_store_that_was_changed_is_not_mounted_and_the_rest_works(tmp_path):
    file = write_workbench(tmp_path)
    manifest = tmp_path / "stores" / "alpha" / "1.0.0" / "dataset.json"
    manifest.write_text(manifest.read_text().replace("Tiny alpha", "Tiny alphA"))
    grant(file, "researcher", "alpha")
    grant(file, "researcher", "beta")
    running = Running([str(file), "--port", "0"]).ready()
    assert "alpha is not served" in "".join(running.said)
    with Person(running.address, "researcher", running.password) as researcher:
        researcher.start()
        assert [entry["name"] for entry in researcher.contents("datasets").json()["content"]] == ["beta"]
        assert [entry["id"] for entry in researcher.service("datasets").json()] == ["beta"]
    assert running.stop() == 0


def test_a_wrong_file_is_refused_whole(tmp_path):
    file = write_workbench(tmp_path)
    file.write_text(file.read_text() + "colour: red\n")
    done = command("up", file)
    assert done.returncode == 1
    assert "colour: There is no such key." in done.stderr
    assert not (tmp_path / "hub").exists()


def test_where_sessions_cannot_be_separated_it_says_so_and_mounts_by_sealed_links(tmp_path):
    file = write_workbench(tmp_path)
    grant(file, "researcher", "alpha")
    # As a machine that forbids namespaces: no user namespaces below this one, and no rights for the others.
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"]
    running = Running([str(file), "--port", "0"], prefix).ready()
    assert "Sessions on this machine are not separated from each other" in "".join(running.said)
    with Person(running.address, "researcher", running.password) as researcher:
        assert "not separated from each other" in researcher.login_page
        researcher.start()
        assert [entry["name"] for entry in researcher.contents("datasets").json()["content"]] == ["alpha"]
        assert researcher.contents("datasets/alpha/dataset.json").status_code == 200
    assert running.stop() == 0
    assert (tmp_path / "homes" / "researcher" / "datasets" / "alpha").is_symlink()
    assert (tmp_path / "stores" / "alpha" / "1.0.0" / "dataset.json").stat().st_mode & 0o222 == 0
