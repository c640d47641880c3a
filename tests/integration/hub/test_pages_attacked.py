"""Attacks on the hub's own pages: others' pages, forms without a token of the page, markup in what people write, other hosts."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import yaml
from person import Person
from running import Running
from tiny import write_workbench

from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant, add, listed
from cohortlab_hub.sessions import gpus
from cohortlab_hub.sessions.gpus import NewBooking
from cohortlab_hub.sessions.profiles import Choice
from cohortlab_hub.sessions.settings import GpuRequest, Profile
from cohortlab_hub.sessions.tables import GpuRow
from cohortlab_hub.settings_file import load

MARKUP = "<script>document.title='owned'</script>"
PAGES = {
    "grants": {"steward"},
    "decisions": {"steward"},
    "decisions?person=researcher": {"steward"},
    "people": {"operator"},
    "sessions": {"operator"},
    "gpus": {"steward", "operator", "researcher"},
    "home": {"steward", "operator", "researcher"},
}
CHANGES = {  # what a page's form sends, and who may
    "grants": ({"subject": "researcher", "dataset": "beta", "reason": "for me"}, "steward"),
    "sessions": ({"person": "steward", "reason": "for fun", "minutes": "0"}, "operator"),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    file = write_workbench(tmp_path_factory.mktemp("attacked"))
    document = yaml.safe_load(file.read_text())
    document["login"]["accounts"]["operator"] = {"groups": ["operators"]}
    document["gpus"] = {"a100": {"total": 2}}
    document["federation"] = {"key": "keys/gate.key", "projects": {"study": {"members": ["clinician"]}}}
    file.write_text(yaml.safe_dump(document))
    settings = load(file)
    with records.opened(settings.database_url) as database:
        made = add(database, "steward", NewGrant(subject="clinician", dataset="alpha", reason=MARKUP), set(settings.datasets))
    running = Running([str(file), "--port", "0"]).ready()
    people = {name: Person(running.address, name, running.password) for name in ("steward", "operator", "researcher")}
    yield people, settings, made
    for one in people.values():
        one.http.close()
    assert running.stop() == 0, "".join(running.said)


def grants(settings):
    with records.opened(settings.database_url) as database:
        return [(one.subject, one.dataset, one.revoked_at is None) for one in listed(database)]


def field(person, page):
    """The token of a page's form."""
    return re.search(r'name="_xsrf" value="([^"]+)"', person.http.get(f"hub/{page}").text).group(1)


def test_each_page_is_for_those_whose_work_it_is(bench):
    people, *_ = bench
    for page, readers in PAGES.items():
        for name, person in people.items():
            assert person.http.get(f"hub/{page}").status_code == (200 if name in readers else 403), (page, name)
    with Person(people["steward"].base, "nobody", "x") as stranger:
        for page in PAGES:
            assert stranger.http.get(f"hub/{page}").url.path == "/hub/login"


def test_nobody_changes_what_is_not_theirs_to_change(bench):
    people, settings, made = bench
    before = grants(settings)
    for page, (form, role) in CHANGES.items():
        for name in set(people) - {role}:
            own = {"_xsrf": field(people[name], "gpus")} if 'name="_xsrf"' in people[name].http.get("hub/gpus").text else {}
            answer = people[name].http.post(f"hub/{page}", data=form | own, headers={"X-XSRFToken": xsrf(people[name])})
            assert answer.status_code == 403, (page, name)
    for name in ("operator", "researcher"):
        headers = {"X-XSRFToken": xsrf(people[name])}
        assert people[name].http.post(f"hub/grants/{made.id}/revoke", data={"reason": "for fun"}, headers=headers).status_code == 403
    for form in ({"do": "leave", "id": "none"}, {"do": "unbook", "id": "none"}, {"do": "book", "project": "x", "reason": "for me"}):
        headers = {"X-XSRFToken": xsrf(people["researcher"])}
        assert people["researcher"].http.post("hub/gpus", data=form, headers=headers).status_code == 422
    assert grants(settings) == before


def test_nobody_leaves_the_queue_books_or_gives_a_booking_back_for_another(bench):
    people, settings, _ = bench
    now = datetime.now(UTC)
    choice = Choice("gpu", Profile(image="session", gpu=GpuRequest(kind="a100")), "study")
    times = {"start": now + timedelta(days=1), "end": now + timedelta(days=1, hours=1)}
    with records.opened(settings.database_url) as database:
        database.merge(GpuRow(kind="a100", total=2, free=2, at=now))
        ticket = gpus.ask(database, "clinician", "", choice, queue_settings=settings.queue, now=now)
        new = NewBooking(kind="a100", count=1, project="study", reason="a lesson", **times)
        booking = gpus.book(database, "clinician", new, now).id

    def send(name, **form):
        return people[name].http.post("hub/gpus", data=form, headers={"X-XSRFToken": xsrf(people[name])}).status_code

    def held():
        with records.opened(settings.database_url) as database:
            waiting = [row.id for row in gpus.tickets(database) if row.state == gpus.WAITING]
            return waiting, [one.id for one in gpus.bookings(database, now)]

    more = {"kind": "a100", "count": "1", "project": "study", "reason": "for me"}
    more |= {key: f"{moment + timedelta(days=1):%Y-%m-%dT%H:%M}" for key, moment in times.items()}
    for name in ("researcher", "steward"):
        assert send(name, do="leave", id=ticket) == 422
        assert send(name, do="unbook", id=booking) == 422
        assert send(name, do="book", **more) == 422
    assert held() == ([ticket], [booking])
    assert send("operator", do="leave", id=ticket) == 200
    assert send("operator", do="unbook", id=booking) == 200
    assert held() == ([], [])


def xsrf(person):
    """The token that a page's own code has."""
    return re.search(r'xsrf_token: "([^"]+)"', person.http.get("hub/home").text).group(1)


def test_a_form_of_another_site_changes_nothing(bench):
    people, settings, made = bench
    before = grants(settings)
    origin = {"Origin": "https://evil.example.org", "Referer": "https://evil.example.org/", "Sec-Fetch-Site": "cross-site"}
    anothers = xsrf(people["researcher"])
    for token in ({}, {"_xsrf": "guessed"}, {"_xsrf": anothers}):
        for page, (form, role) in CHANGES.items():
            assert people[role].http.post(f"hub/{page}", data=form | token, headers=origin).status_code == 403, (page, token)
        revoke = people["steward"].http.post(f"hub/grants/{made.id}/revoke", data={"reason": "for fun"} | token, headers=origin)
        assert revoke.status_code == 403
        if token != {"_xsrf": anothers}:
            assert people["researcher"].http.post("hub/gpus", data={"do": "leave", "id": "x"} | token, headers=origin).status_code == 403
    assert grants(settings) == before
    with records.opened(settings.database_url) as database:
        assert not [one for one in audit.events(database, limit=500) if one.action in {"grant.revoke", "session.warn", "session.end"}]


def test_what_people_write_is_text(bench):
    steward = bench[0]["steward"]
    for page in ("grants", f"grants/{bench[2].id}/revoke"):
        shown = steward.http.get(f"hub/{page}").text
        assert MARKUP not in shown
        assert "&lt;script&gt;document.title" in shown
    for page in (f"grants?to={MARKUP}", f"decisions?person={MARKUP}", f"decisions?person=x&purpose={MARKUP}"):
        assert MARKUP not in steward.http.get(f"hub/{page}").text
    operator = bench[0]["operator"]
    assert MARKUP not in operator.http.get(f"hub/people?name={MARKUP}").text


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=99999999999999999999", "page=%D9%A3", "datasets=-1", "datasets=x"])
def test_a_part_of_a_list_that_is_none(bench, query):
    for page in ("grants", "home"):
        assert bench[0]["steward"].http.get(f"hub/{page}?{query}").status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.org/",
        "//evil.example.org/",
        "/\\evil.example.org/",
        "///evil.example.org",
        "http:evil.example.org",
        "javascript:alert(1)",
    ],
)
def test_the_choice_of_a_language_leads_to_no_other_host(bench, target):
    person = bench[0]["researcher"]
    answer = person.http.get("hub/language", params={"to": "es", "next": target}, follow_redirects=False)
    assert answer.status_code == 302
    assert urlsplit(answer.headers["location"]).netloc in {"", urlsplit(person.base).netloc}
    assert not answer.headers["location"].startswith(("javascript:", "//", "/\\"))
    kept = person.http.get("hub/language", params={"to": "../../x\r\nSet-Cookie: a=b"}, follow_redirects=False)
    assert "a=b" not in str(kept.headers)
    person.http.cookies.delete("cohortlab-language")
