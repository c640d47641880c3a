"""Sign-in at a real OpenID provider: groups, refresh, passports, outage, sign-out, and what must not work."""

import json
import re
import time
import uuid
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from signing_in import SECRET

from cohortlab_hub.access.negotiator import sign


def until(what, seconds=60):
    """Wait until `what()` is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.3)
    return found


def decided(one, token, dataset):
    return one.service(f"me/decisions?dataset={dataset}", token).json()[0]


def groups(one, token):
    return sorted(one.http.get("hub/api/user", headers={"Authorization": f"token {token}"}).json().get("groups", []))


def test_sign_in_with_groups_by_full_path_and_a_trusted_visa(member, place):
    ana = member("ana")
    assert ana.answer.status_code == 200
    token = ana.token()
    assert groups(ana, token) == ["/cohort/readers"]
    assert decided(ana, token, "gamma")["allowed"]
    by_visa = decided(ana, token, "alpha")
    assert by_visa["allowed"]
    assert by_visa["until"]
    (grant,) = [one for one in ana.service("me/grants", token).json() if one["dataset"] == "alpha"]
    assert (grant["source"], grant["granted_by"]) == ("visa", place.trusted.url)
    assert "You have no grant for beta" in decided(ana, token, "beta")["reason"]
    mine = [event["action"] for event in ana.service("me/audit", token).json()]
    assert "person.sign-in" in mine


def test_the_catalogue_tells_of_what_there_is_and_how_to_ask_for_it(member):
    ana = member("ana")
    token = ana.token()
    found = {one["id"]: one for one in ana.service("catalogue", token).json()}
    assert {name: one["access"] for name, one in found.items()} == {
        "alpha": "IN_SITU_PROCESSING",
        "beta": None,
        "gamma": "IN_SITU_PROCESSING",
    }
    assert "Ask a data steward" in found["beta"]["reason"]
    assert ana.service("catalogue/beta", token).json() == found["beta"]
    assert "affine" in {field["name"] for field in ana.service("catalogue/beta/schema", token).json()["fields"]}
    assert ana.service("catalogue/none", token).status_code == 404


def test_the_code_is_bound_to_the_browser_that_asked_for_it(place):
    with httpx.Client(base_url=place.address, trust_env=False) as http:
        asked = http.get("hub/oauth_login")
        query = parse_qs(urlsplit(asked.headers["location"]).query)
        assert query["code_challenge_method"] == ["S256"]
        assert query["redirect_uri"] == [f"{place.address}hub/oauth_callback"]
        state = query["state"][0]
        assert http.get("hub/oauth_callback", params={"code": "made-up", "state": "e30="}).status_code == 400
    with httpx.Client(base_url=place.address, trust_env=False) as other:  # somebody else's browser, led to the callback
        assert other.get("hub/oauth_callback", params={"code": "made-up", "state": state}).status_code == 400
        assert other.get("hub/home").status_code == 302


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("outsider", ""),  # no rule admits them
        ("impostor", "belongs to another person"),  # the provider gave ana's name to somebody else
        ("hub", "one of the workbench"),  # a name that stands for no person in audit events
        ("colon", ""),
        ("nameless", "does not say your account name"),
    ],
)
def test_who_is_not_admitted(member, name, why):
    member("ana")
    refused = member(name)
    assert refused.answer.status_code == 403
    assert why in refused.answer.text
    assert not refused.signed_in


def test_visas_of_others_and_of_issuers_that_nobody_trusts_give_nothing(member):
    mallory = member("mallory")
    token = mallory.token()
    assert not decided(mallory, token, "alpha")["allowed"]
    assert [one["dataset"] for one in mallory.service("me/grants", token).json()] == ["gamma"]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.org/",
        "//evil.example.org/",
        "/\\evil.example.org/",
        "\\\\evil.example.org/",
        "http:evil.example.org",
        "///evil.example.org",
        "javascript:alert(1)",
        "/hub/../..//evil.example.org",
    ],
)
def test_no_sign_in_leads_to_another_host(place, member, target):
    ana = member("ana")
    for path in ("hub/login", "hub/oauth_login", "hub/logout", "hub/"):
        with httpx.Client(base_url=place.address, cookies=ana.http.cookies, trust_env=False) as http:
            where = http.get(path, params={"next": target}).headers.get("location", "")
            assert urlsplit(where).netloc in {"", urlsplit(place.address).netloc, urlsplit(place.provider.issuer).netloc}, (path, where)
    ends = member("carol", next_url=target).answer
    assert urlsplit(str(ends.url)).netloc == urlsplit(place.address).netloc


GROUPS_BUILT_TO_COLLIDE = [
    "cohort/stewards",
    "/cohort/stewards ",
    "/cohort/stewards\n",
    "/cohort//stewards",
    "/cohort/stewards/",
    "//cohort/stewards",
    "/Cohort/Stewards",
    "/cohort/stewards/x",
    "/cohort/./stewards",
    "/cohort%2Fstewards",
    "/cohort/st\u0435wards",
    "/cohort/stewards\u200b",
]


def test_group_names_built_to_collide_make_no_steward(member, place):
    place.change("sub-mallory", groups=["/cohort/readers", *GROUPS_BUILT_TO_COLLIDE])
    mallory = member("mallory")
    token = mallory.token()
    assert "/cohort/stewards" not in groups(mallory, token)
    for path in ("grants", "audit"):
        assert mallory.service(path, token).status_code == 403


def test_nobody_reads_or_changes_what_is_anothers(member):
    ana, steward, mallory = member("ana"), member("steward"), member("mallory")
    token = mallory.token()
    headers = {"Authorization": f"token {token}"}
    (grant,) = [one for one in ana.service("me/grants").json() if one["source"] == "visa"]
    url = "services/cohortlab/api/v1/"
    attacks = [
        ("GET", url + "grants", None),
        ("POST", url + "grants", {"subject": "mallory", "dataset": "alpha", "reason": "for me"}),
        ("POST", url + f"grants/{grant['id']}/revoke", {"reason": "for fun"}),
        ("GET", url + "audit", None),
        ("POST", "hub/api/cohortlab/refresh/ana", None),
        ("GET", "hub/api/users/ana", None),
        ("DELETE", "hub/api/users/ana/server", None),
        ("POST", "hub/api/users/ana/tokens", {}),
        ("POST", "hub/api/groups/%2Fcohort%2Fstewards/users", {"users": ["mallory"]}),
    ]
    for method, path, body in attacks:
        answer = mallory.http.request(method, path, json=body, headers=headers)
        assert answer.status_code in {403, 404}, (method, path, answer.status_code)
    for path in ("me/grants", "me/leases", "me/audit", "sessions/self/notices"):
        seen = mallory.service(path, token)
        assert seen.status_code == 200
        assert '"ana"' not in seen.text
    assert {one["id"] for one in steward.service("grants").json()} >= {grant["id"]}
    assert not next(one for one in ana.service("me/grants").json() if one["id"] == grant["id"])["revoked_at"]


def test_cookies_alone_change_nothing(member, place):
    steward = member("steward")
    new = {"subject": "steward", "dataset": "alpha", "reason": "for me"}
    assert steward.http.post("services/cohortlab/api/v1/grants", json=new).status_code == 401
    origin = {"Origin": "https://evil.example.org", "Referer": "https://evil.example.org/"}
    assert steward.http.post("hub/api/users/steward/tokens", json={}, headers=origin).status_code == 403
    assert steward.http.post("hub/spawn", data={}, headers=origin).status_code == 403
    assert not [event for event in place.events() if event["actor"] == "steward" and event["action"] == "grant.add"]


def test_a_session_whose_lease_ends_is_warned_then_stopped_and_another_goes_on(member, place):
    ana, dora = member("ana"), member("dora")
    token, doras = ana.token(), dora.token()
    ana.start()
    assert {entry["name"] for entry in ana.contents("datasets").json()["content"]} == {"alpha", "gamma"}
    assert {(one["dataset"], one["stops"]) for one in ana.service("me/leases", token).json()} == {("alpha", None), ("gamma", None)}
    assert place.command("grants", "add", "beta", "--person", "dora", "--reason", "a test").returncode == 0
    (everybodys,) = json.loads(place.command("grants", "list", "--dataset", "gamma", "--json").stdout)

    # dora's session never mounts what ana's visa opens
    dora.start()
    assert dora.service("me/leases", doras).json()
    place.change("sub-ana", ga4gh_passport_v1=[])  # the visa is taken back
    until(lambda: not decided(ana, token, "alpha")["allowed"])
    assert "no longer in your passport" in decided(ana, token, "alpha")["reason"]
    (told,) = until(lambda: ana.service("sessions/self/notices", token).json())
    assert (told["kind"], told["subject"]) == ("lease", "alpha")
    grace = datetime.fromisoformat(told["stop_at"]) - datetime.fromisoformat(told["created_at"])
    assert grace > timedelta(seconds=5)
    assert "will be stopped" in told["message"]

    def runs(one, token):
        return one.http.get("hub/api/user", headers={"Authorization": f"token {token}"}).json()["server"]

    until(lambda: not runs(ana, token))
    assert runs(dora, doras)
    assert dora.service("sessions/self/notices", doras).json() == []

    # for cause: at once
    ended = place.command("grants", "revoke", everybodys["id"], "--reason", "misuse", "--for-cause")
    assert ended.returncode == 0, ended.stderr
    until(lambda: not runs(dora, doras))
    expected = {("lease.end", "alpha"), ("session.stop", "ana"), ("session.stop", "dora"), ("grant.revoke", "gamma")}
    until(lambda: expected <= {(event["action"], event["target"]) for event in place.events()})
    given = place.command("grants", "add", "gamma", "--group", "/cohort/readers", "--reason", "again")
    assert given.returncode == 0, given.stderr


def test_leaving_a_group_counts_within_a_minute_and_joining_too(member, place):
    carol = member("carol")
    token = carol.token()
    assert "/cohort/others" in groups(carol, token)
    place.change("sub-carol", groups=["/cohort/readers", "/cohort/new"])
    until(lambda: groups(carol, token) == ["/cohort/new", "/cohort/readers"])
    changes = [event["details"] for event in place.events() if event["action"] == "person.groups" and event["target"] == "carol"]
    assert {"joined": ["/cohort/new"], "left": ["/cohort/others"]} in changes


def test_who_is_admitted_no_more_is_signed_out(member, place):
    carol = member("carol")
    token = carol.token()
    place.change("sub-carol", groups=["/somewhere/else"])
    until(lambda: carol.service("datasets", token).status_code == 401)
    assert not carol.signed_in


def test_the_last_known_groups_count_through_a_short_outage_and_not_beyond(member, place):
    carol = member("carol")
    token = carol.token()
    place.provider.silent(True)
    before = place.provider.unanswered
    until(lambda: groups(carol, token) and place.provider.unanswered > before)  # what is known is asked again, and stays without an answer
    assert groups(carol, token) == ["/cohort/others", "/cohort/readers"]
    assert carol.signed_in
    until(lambda: carol.service("datasets", token).status_code == 401)
    assert not carol.signed_in
    place.provider.silent(False)
    assert member("carol").signed_in


def test_sign_out_ends_it_here_and_at_the_provider(member, place):
    carol = member("carol")
    page = carol.http.get("hub/logout")
    assert str(page.url).startswith(place.provider.issuer)
    assert "id_token" not in str(page.url)
    form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)) | {"logout": "yes"}
    ends = carol.http.post(form.group(1), data=fields)
    assert ends.url.path == "/hub/login"
    assert not carol.signed_in
    assert 'name="login"' in carol.http.get("hub/oauth_login").text  # the provider asks who it is


def test_a_negotiators_webhook(member, place):
    def send(body, **more):
        raw = json.dumps(body).encode()
        at = int(time.time())
        headers = {"Cohortlab-Signature": f"t={at},v1={sign(more.get('secret', SECRET), at, raw)}"} | more.get("headers", {})
        return httpx.post(
            f"{place.address}services/cohortlab/api/v1/negotiators/{more.get('name', 'mediator')}/deliveries",
            content=raw,
            headers=headers,
            trust_env=False,
        )

    first = {
        "id": uuid.uuid4().hex,
        "negotiation": "n1",
        "event": "granted",
        "person": "mallory",
        "datasets": ["beta"],
        "reason": "approved",
    }
    assert send(first, secret="x" * 32).status_code == 401
    assert send(first, headers={"Cohortlab-Signature": ""}).status_code == 401
    assert send(first, name="nobody").status_code == 401
    assert send({**first, "datasets": ["alpha"]}).status_code == 403  # not its to decide
    mallory = member("mallory")
    token = mallory.token()
    assert not decided(mallory, token, "beta")["allowed"]
    made = send(first)
    assert made.status_code == 201
    again = send(first)
    assert (again.status_code, again.json()) == (200, made.json())
    assert send({**first, "person": "ana"}).status_code == 409  # another delivery of that id
    assert decided(mallory, token, "beta")["allowed"]
    second = {"id": uuid.uuid4().hex, "negotiation": "n1", "event": "revoked", "reason": "withdrawn"}
    assert send(second).json()["grants"] == []
    assert "was revoked" in decided(mallory, token, "beta")["reason"]
    assert send(first).status_code == 200  # a delivery that was recorded, sent again: nothing changes
    assert not decided(mallory, token, "beta")["allowed"]
    assert place.command("audit", "verify").returncode == 0
