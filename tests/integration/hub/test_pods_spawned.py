"""A real hub and proxy whose sessions are pods of a Kubernetes API that schedules, and misbehaves."""

import re
import sys
from pathlib import Path

import pytest
from cluster_workbench import NODES, Member, until, up, write

from cohortlab_hub import records
from cohortlab_hub.access import NewGrant, add, listed, revoke
from cohortlab_hub.settings_file import load

sys.path.insert(0, str(Path(__file__).parents[2]))
from fake_kubernetes import serve

ACCOUNTS = {**{f"user-{n}": {} for n in range(20)}, "researcher": {}, "clinician": {}, "steward": {"groups": ["stewards"]}}


@pytest.fixture(scope="module")
def cluster():
    with serve(NODES) as made:
        yield made


@pytest.fixture(scope="module")
def bench(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pods")
    file = write(folder, cluster, ACCOUNTS)
    settings = load(file)
    with records.opened(settings.database_url) as database:
        for person, dataset in (("researcher", "alpha"), ("researcher", "beta"), ("clinician", "beta")):
            add(database, "steward", NewGrant(subject=person, dataset=dataset, reason="a test"), set(settings.datasets))
    cluster.image_faults = {"missing": "missing", "crash": "crash", "oom": "oom"}
    running = up(file, cluster)
    yield running, settings
    assert running.stop() == 0, "".join(running.said)


@pytest.fixture
def person(bench):
    running, _ = bench
    people = []

    def sign_in(name):
        people.append(Member(running.address, name, running.password))
        return people[-1]

    yield sign_in
    for one in people:
        if one.server():
            one.stop()
            until(lambda one=one: not one.server().get("pending") and not one.ready(), "a stop")
        one.http.close()


def pod_of(cluster, name):
    return next((pod for pod in cluster.pods() if pod["metadata"]["annotations"]["hub.jupyter.org/username"] == name), None)


def test_a_session_is_the_pod_that_the_builder_made(cluster, person):
    researcher = person("researcher")
    researcher.start()
    pod = pod_of(cluster, "researcher")
    mounts = {mount["mountPath"]: mount for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["/datasets/alpha"]["subPath"] == "alpha/1.0.0"
    assert mounts["/datasets/beta"]["readOnly"] is True
    environment = {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}
    assert environment["JUPYTERHUB_API_URL"] == "http://hub.example.org:8081/hub/api"
    assert environment["JUPYTERHUB_SERVICE_URL"].endswith(f":{cluster.pods_port}/user/researcher/")
    assert environment["COHORTLAB_SERVICE_URL"] == "http://proxy.example.org/services/cohortlab/"
    assert environment["JUPYTER_IMAGE"].startswith("registry.example.org/session@")
    assert researcher.server()["user_options"]["profile"] == "small"
    homes = [key[2] for key in cluster.do(lambda: list(cluster.objects)) if key[0] == "persistentvolumeclaims"]
    assert "home-researcher" in homes
    researcher.stop()
    until(lambda: pod_of(cluster, "researcher") is None, "the pod's end")
    assert "home-researcher" in [key[2] for key in cluster.do(lambda: list(cluster.objects))]


def test_the_form_shows_what_may_be_used_and_free_gpus(person):
    page = person("user-0").http.get("hub/spawn").text
    assert "For looking around." in page
    assert "2 of 2 free" in re.sub(r"\s+", " ", page)
    assert "For stewards" not in page
    assert "For stewards" in person("steward").http.get("hub/spawn").text


@pytest.mark.parametrize(
    "options", [{"profile": "members"}, {"profile": "nothing"}, {"profile": 7}, {"image": "evil"}, {"profile": "small", "project": "x"}]
)
def test_what_may_not_be_used_is_refused_in_the_answer_itself(cluster, person, options):
    user = person("user-1")
    answer = user.ask(**options)
    assert answer.status_code == 403
    assert re.search("Yours are|Leave", answer.json()["message"])
    assert pod_of(cluster, "user-1") is None
    again = user.ask()  # a refused request leaves nothing to the next
    assert again.status_code in {201, 202}
    until(user.ready, "a session with the first profile")
    assert user.server()["user_options"]["profile"] == "small"


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ("missing", "image of this profile could not be fetched"),
        ("crash", "ended at once (exit code 1)"),
        ("oom", "needed more memory"),
    ],
)
def test_a_start_that_cannot_succeed_says_so_early(person, profile, says):
    user = person("user-2")
    user.ask(profile=profile)
    told = user.events(lambda event: event.get("failed"))
    assert says in told[-1]["message"]
    assert "<details>" in told[-1]["html_message"]
    page = user.http.get("hub/spawn-pending/user-2")
    assert page.status_code == 503
    assert says in page.text
    assert "Technical detail" in page.text
    user.ask(profile="small")
    until(user.ready, "the next start")


def test_a_quota_is_told(cluster, person):
    cluster.do(setattr, cluster, "quota", 0)
    try:
        answer = person("user-3").ask(profile="small")
    finally:
        cluster.do(setattr, cluster, "quota", None)
    assert answer.status_code == 503
    assert "no room for another session" in answer.json()["message"]


def test_a_slow_answer_to_a_create_makes_one_session(cluster, person):
    cluster.do(setattr, cluster, "create_delay", 6.0)  # longer than the client waits: the pod is there, the answer is not
    user = person("user-4")
    user.ask(profile="small")
    until(lambda: pod_of(cluster, "user-4"), "the pod")
    cluster.do(setattr, cluster, "create_delay", 0.0)
    until(user.ready, "the session")
    assert len([pod for pod in cluster.pods() if pod["metadata"]["annotations"]["hub.jupyter.org/username"] == "user-4"]) == 1


def test_watches_that_break_or_expire_lose_nothing(cluster, person):
    first, second = person("user-5"), person("user-6")
    first.start()
    cluster.drop_watches()
    second.start()
    cluster.compact()
    third = person("user-7")
    third.start()
    assert first.ready()
    assert second.ready()


def test_a_pod_that_is_removed_behind_the_hubs_back(cluster, person):
    user = person("user-8")
    user.start()
    cluster.remove_pod("session-user-8")
    user.http.get("hub/home")  # the hub looks when its user does
    until(lambda: not user.ready(), "the hub to notice")
    user.start()


def test_a_pod_that_is_removed_while_it_starts(cluster, person):
    cluster.do(setattr, cluster, "start_seconds", 20.0)
    user = person("user-9")
    try:
        user.ask(profile="small")
        until(lambda: (pod_of(cluster, "user-9") or {}).get("status", {}).get("containerStatuses"), "the pod")
        cluster.remove_pod("session-user-9")
        told = user.events(lambda event: event.get("failed"))
    finally:
        cluster.do(setattr, cluster, "start_seconds", 0.0)
    assert "removed from the cluster while it started" in told[-1]["message"]


def test_a_revoked_grant_stops_the_session_that_mounts_it_and_no_other(cluster, bench, person):
    _, settings = bench
    researcher, clinician = person("researcher"), person("clinician")
    researcher.ask(profile="beta")
    clinician.start()
    until(researcher.ready, "the session")
    mounts = pod_of(cluster, "researcher")["spec"]["containers"][0]["volumeMounts"]
    assert [m["mountPath"] for m in mounts if m["mountPath"].startswith("/datasets")] == ["/datasets/beta"]
    with records.opened(settings.database_url) as database:
        grant = next(one for one in listed(database) if one.subject == "researcher" and one.dataset == "beta")
        revoke(database, "steward", grant.id, "The study is over.")
    until(lambda: pod_of(cluster, "researcher") is None and not researcher.ready(), "the stop", 60)
    assert clinician.ready()


def test_the_form_itself_says_why_a_start_failed_at_once(cluster, person):
    user = person("user-10")
    xsrf = next(cookie.value for cookie in user.http.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/")
    user.http.get("hub/spawn")
    cluster.do(setattr, cluster, "quota", 0)
    try:
        answer = user.http.post("hub/spawn", data={"profile": "small", "_xsrf": xsrf})
    finally:
        cluster.do(setattr, cluster, "quota", None)
    assert answer.status_code == 503
    assert "no room for another session" in answer.text
    assert "<details><summary>Technical detail</summary><pre>HTTP 403:" in answer.text
