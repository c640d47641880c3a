"""The gateway at the hub, through a real JupyterHub and configurable-http-proxy: who gets pixels, until when, and what is recorded."""

import http.client
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hub"))

from person import Person
from running import Running
from sample_store import CT_SHAPE, ct_series, ct_values, write_store

from cohortlab.keys import create_key
from cohortlab.store import ManifestFields, StoreWriter
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import access, audit, records
from cohortlab_hub.access import NewGrant

DATASET = "seen"
FAR = "far"
"""A dataset that nobody opens; `DATASET`, which is synthetic, is its sample."""
COUNTS = ("answers", "bytes", "series", "cases")


def records_of(file):
    """A transaction on the workbench's records, as the command makes one."""
    (file.parent / "hub").mkdir(exist_ok=True)
    return records.opened(f"sqlite:///{file.parent / 'hub' / 'records.sqlite'}")


def grant(file, person, dataset=DATASET, condition=AccessCondition.IN_SITU_PROCESSING):
    new = NewGrant(subject=person, dataset=dataset, condition=condition, reason="a test")
    with records_of(file) as database:
        return access.add(database, "steward", new, {dataset}).id


def write_far(root, key):
    """A store that may be computed on and not be looked at."""
    with StoreWriter(root, FAR, "1.0.0") as writer:
        made = writer.add_series(ct_series(), {}).id
        fields = ManifestFields(
            title="Far", deidentification={}, gate="test", verdict="accepted", access_condition=AccessCondition.REMOTE_PROCESSING
        )
        writer.finish(fields, key)
    return made


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The workbench, its file, the ids of its series, and people's tokens."""
    folder = tmp_path_factory.mktemp("pixels")
    key = create_key(folder / "keys" / "gate.key")
    ct, seg, *_ = write_store(folder / "stores", DATASET, key)
    write_far(folder / "stores", key)
    document = {
        "state": ".",
        "login": {"kind": "demo", "accounts": {"ana": {}, "bob": {}, "eve": {}, "kim": {}}},
        "trusted_keys": [key.public.text],
        "access": {"check_seconds": 1},
        "datasets": {DATASET: {"store": f"stores/{DATASET}/1.0.0"}, FAR: {"store": f"stores/{FAR}/1.0.0", "sample": DATASET}},
    }
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(document))
    grant(file, "ana")
    running = Running([str(file), "--port", "0"]).ready()
    tokens = {}
    for name in ("ana", "bob", "eve", "kim"):
        with Person(running.address, name, running.password) as person:
            tokens[name] = person.token()
    yield running, file, (ct, seg), tokens
    assert running.stop() == 0, "".join(running.said)


@pytest.fixture
def ask(hub):
    """A function: GET of the gateway's routes by one of the people."""
    running, _, _, tokens = hub
    with httpx.Client(base_url=f"{running.address}services/cohortlab/api/v1/pixels/", trust_env=False, timeout=60) as client:
        yield lambda name, path, method="GET", **more: client.request(
            method, path, headers={"Authorization": f"token {tokens[name]}", **more.pop("headers", {})}, **more
        )


def is_problem(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"]
    return body


def test_who_was_granted_it_sees_exact_slices_and_pictures(hub, ask):
    ct, seg = hub[2]
    answer = ask("ana", f"series/{DATASET}/{ct}/slice", params={"plane": "sagittal", "index": 11})
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<i2").reshape(CT_SHAPE[:2]), ct_values()[:, :, 11])
    assert answer.headers["vary"] == "Authorization"
    again = ask("ana", f"series/{DATASET}/{ct}/slice?plane=sagittal&index=11", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    label = ask("ana", f"series/{DATASET}/{seg}/slice", params={"plane": "axial", "index": 5, "on": ct})
    assert label.headers["x-cohortlab-meaning"] == "labels"
    assert ask("ana", f"series/{DATASET}/{ct}/thumbnail").headers["content-type"] == "image/webp"
    assert ask("ana", f"series/{DATASET}/{ct}/meta").json()["planes"][0]["name"] == "axial"
    assert [entry["id"] for entry in ask("ana", "datasets").json()["datasets"]] == [DATASET]


def test_who_was_not_sees_nothing(hub, ask):
    ct = hub[2][0]
    for what in ("meta", "slice?plane=axial&index=0", "volume", "thumbnail"):
        body = is_problem(ask("eve", f"series/{DATASET}/{ct}/{what}"), 403, "refused")
        assert "You have no grant" in body["detail"]
    assert ask("eve", "datasets").json() == {"datasets": []}


def test_labels_are_not_laid_on_an_image_that_one_may_not_see(hub, ask):
    _, _, (ct, seg), _ = hub
    on = {"plane": "axial", "index": 0, "on": f"{FAR}/{ct}"}
    assert "allow" in is_problem(ask("ana", f"series/{DATASET}/{seg}/slice", params=on), 403, "refused")["detail"]


def test_who_may_run_jobs_on_a_dataset_sees_its_sample_and_keeps_it_in_a_session(hub, ask):
    running, file, (ct, _), _ = hub
    slices = f"series/{DATASET}/{ct}/slice?plane=axial&index=3"
    is_problem(ask("kim", slices), 403, "refused")
    number = grant(file, "kim", FAR, AccessCondition.REMOTE_PROCESSING)
    assert ask("kim", slices).status_code == 200
    assert [one["id"] for one in ask("kim", "datasets").json()["datasets"]] == [DATASET]
    is_problem(ask("kim", f"series/{FAR}/{ct}/meta"), 403, "refused")

    with Person(running.address, "kim", running.password) as kim:
        kim.start()
        (lease,) = kim.service("sessions/self/leases").json()
        assert (lease["dataset"], lease["allowed"]) == (DATASET, True)
        shown = kim.http.get(f"user/kim/cohortlab/api/{slices}")
        np.testing.assert_array_equal(np.frombuffer(shown.content, "<i2").reshape(CT_SHAPE[1:]), ct_values()[3])
        (found,) = kim.http.get("user/kim/cohortlab/api/datasets").json()["datasets"]
        assert found["id"] == DATASET
        with records_of(file) as database:
            assert [event for event in audit.events(database, limit=1000) if event.action == "lease.end"] == []
            access.revoke(database, "steward", number, "the study is over")
        (lease,) = kim.service("sessions/self/leases").json()
        assert not lease["allowed"]
        assert "the study is over" in lease["reason"]
        report = {"id": str(uuid.uuid4()), "sent": [{"dataset": FAR, "since": "2026-01-01T00:00:00Z"} | dict.fromkeys(COUNTS, 1)]}
        refused = kim.http.post("services/cohortlab/api/v1/pixels/reports", json=report, headers={"Authorization": f"token {kim.token()}"})
        assert refused.status_code == 403
        kim.stop()
    # what the session showed is in the audit when it has ended
    for _ in range(600):
        with records_of(file) as database:
            read = [event for event in audit.events(database, limit=1000) if event.actor == "kim" and event.details.get("session") == ""]
        if read:
            break
        time.sleep(0.1)
    (event,) = read
    assert (event.action, event.target) == ("pixels.read", DATASET)
    assert {name: event.details[name] for name in COUNTS} == {"answers": 1, "bytes": ct_values()[3].nbytes, "series": 1, "cases": 1}


def test_stored_objects_need_leave_to_download(hub, ask):
    for name in ("ana", "eve"):
        is_problem(ask(name, f"series/{DATASET}/{hub[2][0]}/chunk/zarr.json"), 403, "refused")


def test_nobody_without_a_token(hub):
    url = f"{hub[0].address}services/cohortlab/api/v1/pixels/series/{DATASET}/{hub[2][0]}/meta"
    for headers in ({}, {"Authorization": "token guess"}, {"Cookie": "jupyterhub-services=x"}):
        is_problem(httpx.get(url, headers=headers, trust_env=False), 401, "unauthenticated")


def test_a_revoked_grant_ends_at_the_next_slice(hub, ask):
    file, ct = hub[1], hub[2][0]
    number = grant(file, "bob")
    path = f"series/{DATASET}/{ct}/slice?plane=axial&index="
    assert ask("bob", path + "1").status_code == 200
    with records_of(file) as database:
        access.revoke(database, "steward", number, "the course is over")
    body = is_problem(ask("bob", path + "2"), 403, "refused")
    assert "was revoked" in body["detail"]
    assert "the course is over" in body["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "series/../../../../etc/passwd/x/meta",
        f"series/{DATASET}/..%2f..%2fkeys%2fgate.key/meta",
        f"series/..%2f{DATASET}/x/meta",
        f"series/{DATASET}/%2e%2e/chunk/dataset.json",
        f"series/{DATASET}/CT/chunk/..%2f..%2f..%2fdataset.json",
        f"series/{DATASET}/CT/chunk/%2fetc%2fpasswd",
        "series/_arrays/array-000000000000-0000000000000000/meta",
        f"series/{DATASET}%00/CT/meta",
    ],
)
def test_no_path_leads_out(hub, path):
    running, _, (ct, _), tokens = hub
    parts = urlsplit(running.address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.putrequest("GET", f"{parts.path}services/cohortlab/api/v1/pixels/{path.replace('CT', ct)}", skip_accept_encoding=True)
        connection.putheader("Authorization", f"token {tokens['ana']}")
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status in {400, 403, 404}, body
    for secret in (b"root:", b"PRIVATE", b"tree_sha256"):
        assert secret not in body


def test_wrong_questions_are_problems_of_the_contract(hub, ask):
    ct = hub[2][0]
    is_problem(ask("ana", f"series/{DATASET}/{ct}/slice?plane=axial&index=99"), 400, "invalid-input")
    is_problem(ask("ana", f"series/{DATASET}/ct-000000000000/meta"), 404, "not-found")
    is_problem(ask("ana", "series/unknown/ct-000000000000/meta"), 404, "not-found")
    is_problem(ask("ana", "nothing"), 404, "not-found")
    is_problem(ask("ana", f"series/{DATASET}/{ct}/meta", headers={"X-Cohortlab-Purpose": "curiosity"}), 400, "invalid-input")
    assert ask("ana", f"series/{DATASET}/{ct}/meta", method="POST").status_code == 405


def test_what_went_out_is_in_the_audit_once_the_hub_stops(hub, ask):
    """Last in this file: it stops the hub."""
    running, file, (ct, _), _ = hub
    for index in range(5):
        assert ask("ana", f"series/{DATASET}/{ct}/slice?plane=axial&index={index}").status_code == 200
    assert running.stop() == 0
    with records_of(file) as database:
        events = [event for event in audit.events(database, limit=1000) if event.actor == "ana"]
        audit.verify(database)
    read = [event.details for event in events if event.action == "pixels.read"]
    assert [event.target for event in events if event.action == "pixels.open"] == [DATASET]
    assert sum(details["answers"] for details in read) >= 5
    assert sum(details["bytes"] for details in read) >= 5 * ct_values()[0].nbytes
    assert {details["cases"] for details in read} == {1}
    assert len(read) < 5
