"""Profiles of sessions on this machine: the form, who may use which, datasets, environment, idle limits and longest times."""

import re
from collections.abc import Iterator

import pytest
import yaml
from cluster_workbench import Member, until
from running import Running
from tiny import write_workbench

from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant, add
from cohortlab_hub.settings import Settings
from cohortlab_hub.settings_file import load

PROFILES = {
    "plain": {"title": "Plain", "description": "For looking around.", "idle_minutes": 0, "environment": {"STUDY_MODE": "quiet"}},
    "members": {"title": "For stewards", "groups": ["stewards"]},
    "beta": {"title": "Only beta", "datasets": ["beta"], "max_hours": 0.008, "extend_hours": 1, "idle_minutes": 0},
    "brief": {"title": "Stops soon", "idle_minutes": 0.1},
}


@pytest.fixture(scope="module")
def workbench(tmp_path_factory) -> Iterator[tuple[Running, Settings]]:
    file = write_workbench(tmp_path_factory.mktemp("profiles"))
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"profiles": PROFILES}, sort_keys=False))
    settings = load(file)
    with records.opened(settings.database_url) as database:
        for dataset in ("alpha", "beta"):
            add(database, "steward", NewGrant(subject="researcher", dataset=dataset, reason="a test"), set(settings.datasets))
    running = Running([str(file), "--port", "0"]).ready()
    yield running, settings
    assert running.stop() == 0, "".join(running.said)


def mounted(someone):
    """What lies in the session's folder of datasets."""
    someone.http.get(f"user/{someone.name}/lab").raise_for_status()  # the session's own sign-in
    return {entry["name"] for entry in someone.contents("datasets").json()["content"]}


@pytest.fixture
def person(workbench):
    people = []

    def sign_in(name):
        people.append(Member(workbench[0].address, name, workbench[0].password))
        return people[-1]

    yield sign_in
    for one in people:
        if one.server():
            one.stop()
            until(lambda one=one: not one.server().get("pending") and not one.ready(), "a stop")
        one.http.close()


def test_the_form_offers_what_its_user_may_use_and_the_session_is_of_the_profile(person):
    researcher = person("researcher")
    form = researcher.http.get("hub/spawn").text
    assert "For looking around." in form
    assert "For stewards" not in form
    assert "For stewards" in person("steward").http.get("hub/spawn").text
    for options in ({"profile": "members"}, {"profile": "none"}, {"image": "evil"}):
        answer = researcher.ask(**options)
        assert answer.status_code == 403
        assert re.search("Yours are|Leave", answer.json()["message"])
    researcher.ask()  # the first one; nothing is left of what was refused
    until(researcher.ready, "the session")
    assert researcher.server()["user_options"]["profile"] == "plain"
    assert researcher.run("import os; print(os.environ['STUDY_MODE'])") == "quiet\n"
    assert mounted(researcher) == {"alpha", "beta"}


def test_a_session_of_this_machine_is_warned_kept_and_stopped_too(person, workbench):
    _, settings = workbench
    researcher, clinician = person("researcher"), person("clinician")
    researcher.ask(profile="beta")
    clinician.ask(profile="brief")
    [told] = until(lambda: researcher.http.get("hub/api/sessions/notices").json(), "the warning of its end")
    assert told["kind"] == "limit"
    assert researcher.api("POST", f"hub/api/sessions/notices/{told['id']}/extend").status_code == 200

    def events():
        with records.opened(settings.database_url) as database:
            return [(one.action, one.details.get("kind")) for one in audit.events(database, person="clinician")]

    until(lambda: ("session.stop", "idle") in events(), "the stop of the idle session")
    assert ("session.warn", "idle") in events()
    until(lambda: not clinician.ready(), "its end")
    assert mounted(researcher) == {"beta"}  # kept for an hour more
    assert researcher.http.get("hub/api/sessions/notices").json() == []
