"""The server extension in a real Jupyter server: who may ask, what is answered, and attacks on both."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import zarr
from jupyter_process import BASE
from obstore.store import HTTPStore
from sample_store import CT_SHAPE, DATASET, ct_values
from zarr.storage import ObjectStore

API = "cohortlab/api/"


@pytest.fixture
def client(server) -> Iterator[httpx.Client]:
    """Signed in by token, as a script is."""
    with httpx.Client(base_url=server.url, headers={"Authorization": f"token {server.token}"}) as made:
        yield made


@pytest.fixture
def browser_like(server) -> Iterator[httpx.Client]:
    """Signed in by cookie, as a browser is."""
    with httpx.Client(base_url=server.url, follow_redirects=True) as made:
        made.get("login").raise_for_status()
        form = {"password": server.token, "_xsrf": made.cookies["_xsrf"]}
        made.post("login", params={"next": f"{BASE}api/status"}, data=form).raise_for_status()
        yield made


def is_problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    return problem


def test_it_lists_the_datasets_that_verify(client, viewer_sample):
    (listed,) = client.get(API + "datasets").raise_for_status().json()["datasets"]
    assert listed["id"] == DATASET
    assert viewer_sample.ct in [series["id"] for series in listed["series"]]


def test_a_slice_arrives_exactly(client, viewer_sample):
    answer = client.get(f"{API}series/{DATASET}/{viewer_sample.ct}/slice", params={"plane": "coronal", "index": 17, "level": 0})
    assert answer.headers["x-cohortlab-type"] == "int16"
    assert answer.headers["x-content-type-options"] == "nosniff"
    shape = tuple(map(int, answer.headers["x-cohortlab-shape"].split(",")))
    assert shape == (CT_SHAPE[0], CT_SHAPE[2])
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<i2").reshape(shape), ct_values()[:, 17])


def test_an_unchanged_slice_is_not_sent_again(client, viewer_sample):
    url, query = f"{API}series/{DATASET}/{viewer_sample.ct}/slice", {"plane": "axial", "index": 3}
    first = client.get(url, params=query)
    again = client.get(url, params=query, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["datasets", "series/viewer-sample/ct/meta", "series/viewer-sample/ct/slice?plane=axial&index=0", "nothing"]
)
def test_nobody_is_answered_without_signing_in(server, path):
    for headers in ({}, {"Authorization": "token wrong"}):
        assert is_problem(httpx.get(server.url + API + path, headers=headers), 403)["code"] == "unauthenticated"


def test_the_way_to_a_page_that_says_no_more_than_that_leads_by_the_sign_in(server, browser_like):
    page = f"{server.url}cohortlab/signed-in"
    sent = httpx.get(page)
    assert (sent.status_code, urlsplit(sent.headers["location"]).path) == (302, f"{BASE}login")
    answer = browser_like.get(page).raise_for_status()
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert server.token not in answer.text


def test_a_foreign_page_cannot_write_with_the_users_cookie(server, browser_like):
    url = server.url + API + "tutorial"
    is_problem(browser_like.post(url), 403)
    is_problem(browser_like.post(url, headers={"X-XSRFToken": "guess"}), 403)
    is_problem(browser_like.post(url, headers={"X-XSRFToken": browser_like.cookies["_xsrf"], "Origin": "http://elsewhere.example"}), 404)
    assert not (server.home / "tutorials").exists()


def test_the_tutorial_is_copied_and_never_overwritten(server, browser_like):
    headers = {"X-XSRFToken": browser_like.cookies["_xsrf"]}
    answer = browser_like.post(server.url + API + "tutorial", headers=headers).raise_for_status().json()
    assert answer == {"path": "tutorials/first-steps.ipynb"}
    mine = server.home / answer["path"]
    assert '"cells"' in mine.read_text()
    mine.write_text("mine")
    assert browser_like.post(server.url + API + "tutorial", headers=headers).json() == answer
    assert mine.read_text() == "mine"


def raw_get(server, path, token):
    """GET `path` as it is written; clients would tidy it."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.putrequest("GET", BASE + path, skip_accept_encoding=True)
        connection.putheader("Authorization", f"token {token}")
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "cohortlab/api/series/../viewer-sample/meta",
        "cohortlab/api/series/%2e%2e/ct/meta",
        "cohortlab/api/series/..%2f..%2fetc/passwd/meta",
        "cohortlab/api/series/viewer-sample/..%2f..%2f..%2fgate.key/meta",
        "cohortlab/api/series/viewer-sample/%2fetc%2fpasswd/meta",
        "cohortlab/api/series/viewer-sample%00/ct/meta",
        "cohortlab/static/..%2fserver.py",
        "cohortlab/static/%2e%2e/server.py",
        "cohortlab/static/../../../etc/passwd",
        "cohortlab/static/manifest.json%00.js",
    ],
)
def test_no_path_leads_out(server, path):
    status, body = raw_get(server, path, server.token)
    assert status in {400, 404}
    for secret in (b"root:", b"PRIVATE", b"import "):
        assert secret not in body


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("series/nothing/ct-000000000000/meta", 404, "not-found"),
        ("series/viewer-sample/ct-000000000000/meta", 404, "not-found"),
        ("series/viewer-sample/{ct}/slice", 400, "invalid-input"),
        ("series/viewer-sample/{ct}/slice?plane=axial&index=999", 400, "invalid-input"),
        ("series/viewer-sample/{ct}/slice?plane=axial&index=x", 400, "invalid-input"),
        ("series/viewer-sample/{ct}/slice?plane=tilted&index=0", 400, "invalid-input"),
        ("series/viewer-sample/{ct}/slice?plane=axial&index=0&path=x", 400, "invalid-input"),
        ("nothing", 404, "not-found"),
    ],
)
def test_a_wrong_question_is_answered_with_a_problem(client, viewer_sample, path, status, code):
    problem = is_problem(client.get(API + path.format(ct=viewer_sample.ct)), status)
    assert problem["code"] == code
    assert problem["detail"]


def test_other_methods_are_not_offered(client, viewer_sample):
    for method in ("PUT", "DELETE", "POST"):
        is_problem(client.request(method, f"{API}series/{DATASET}/{viewer_sample.ct}/meta"), 405)


def test_stored_objects_come_whole_in_ranges_and_as_heads(client, viewer_sample):
    url = f"{API}series/{DATASET}/{viewer_sample.ct}/chunk/scale0/image/c/0/0/0"
    whole = client.get(url).raise_for_status()
    head = client.head(url).raise_for_status()
    assert (head.content, int(head.headers["content-length"])) == (b"", len(whole.content))
    assert head.headers["etag"] == whole.headers["etag"]
    part = client.get(url, headers={"Range": "bytes=-20"})
    assert (part.status_code, part.content) == (206, whole.content[-20:])
    assert part.headers["content-range"] == f"bytes {len(whole.content) - 20}-{len(whole.content) - 1}/{len(whole.content)}"
    is_problem(client.get(url, headers={"Range": f"bytes={len(whole.content)}-"}), 416)


def test_zarr_itself_reads_a_series_through_the_gateway(server, viewer_sample):
    headers = {"Authorization": f"token {server.token}"}
    url = f"{server.url}{API}series/{DATASET}/{viewer_sample.ct}/chunk"
    store = HTTPStore.from_url(url, client_options={"allow_http": True, "default_headers": headers})
    image = zarr.open_array(ObjectStore(store, read_only=True), path="scale0/image", mode="r", zarr_format=3)
    np.testing.assert_array_equal(image[3:9, 10:20, :], ct_values()[3:9, 10:20])


def test_a_picture_a_volume_and_a_thumbnail(client, viewer_sample):
    series = f"{API}series/{DATASET}/{viewer_sample.ct}/"
    picture = client.get(series + "slice?plane=axial&index=3&format=webp&center=0&width=100").raise_for_status()
    thumbnail = client.get(series + "thumbnail?size=64").raise_for_status()
    assert picture.headers["content-type"] == thumbnail.headers["content-type"] == "image/webp"
    volume = client.get(series + "volume").raise_for_status()
    np.testing.assert_array_equal(np.frombuffer(volume.content, "<i2").reshape(CT_SHAPE), ct_values())


def test_bundles_are_kept_for_ever_and_their_list_is_not(client):
    listing = client.get("cohortlab/static/manifest.json")
    assert listing.headers["cache-control"] == "no-cache"
    for name, file in listing.json().items():
        bundle = client.get(f"cohortlab/static/{file}")
        assert file.startswith(f"{name}.")
        assert "immutable" in bundle.headers["cache-control"]
        assert bundle.headers["content-type"].startswith("text/javascript")
        assert len(bundle.content) > 1000
    assert client.get("cohortlab/static/viewer.000000000000.js").status_code == 404
