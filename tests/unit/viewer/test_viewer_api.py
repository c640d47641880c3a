"""The gateway's routes as a server asks them: volumes, pictures, stored objects, problems."""

import hashlib
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sample_store import CT_SHAPE, DATASET, LESION, ct_values

from cohortlab.keys import PublicKey
from cohortlab.viewer import objects
from cohortlab.viewer.answers import GoneError, Stop
from cohortlab.viewer.api import Api, Asked
from cohortlab.viewer.gateway import Gateway
from cohortlab.viewer.objects import byte_range
from cohortlab.viewer.tally import Tally


@pytest.fixture(scope="session")
def api(gateway):
    return Api(gateway)


def ask(api, path, query="", method="GET", **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.reply(Asked(method, path, query, given))


def of(series, what):
    return f"series/{DATASET}/{series}/{what}"


def problem(reply, status):
    body = json.loads(reply.body)
    assert (reply.status, body["status"]) == (status, status), body
    assert reply.headers["Content-Type"] == "application/problem+json"
    return body


def test_a_volume_comes_in_one_answer(api, sample):
    reply = ask(api, of(sample.ct, "volume"))
    assert (reply.headers["X-Cohortlab-Level"], reply.headers["X-Cohortlab-Type"]) == ("0", "int16")
    assert reply.headers["X-Cohortlab-Shape"] == ",".join(map(str, CT_SHAPE))
    np.testing.assert_array_equal(np.frombuffer(reply.body, "<i2").reshape(CT_SHAPE), ct_values())


def test_a_level_and_a_frame_can_be_named(api, gateway, sample):
    whole = gateway.series(DATASET, sample.mr).array()[1]
    reply = ask(api, of(sample.mr, "volume"), "t=1&level=0")
    np.testing.assert_array_equal(np.frombuffer(reply.body, "<u2").reshape(whole.shape), whole)
    problem(ask(api, of(sample.mr, "volume"), "t=2"), 400)
    problem(ask(api, of(sample.mr, "volume"), "level=9"), 400)


def test_a_region_of_a_slice(api, sample):
    reply = ask(api, of(sample.mammogram, "slice"), "plane=image&index=0&region=1300,1000,500,64")
    assert reply.headers["X-Cohortlab-Shape"] == "100,64"
    y, x = np.indices((100, 64))
    np.testing.assert_array_equal(np.frombuffer(reply.body, "<u2").reshape(100, 64), y + 1300 + x + 1000)


@pytest.mark.parametrize("region", ["0,0,0,1", "1400,0,1,1", "1,2,3", "a,b,c,d", "-1,0,1,1"])
def test_a_region_outside_is_refused(api, sample, region):
    problem(ask(api, of(sample.mammogram, "slice"), f"plane=image&index=0&region={region}"), 400)


def test_a_picture_is_the_slice_after_its_window(api, sample):
    reply = ask(api, of(sample.ct, "slice"), "plane=axial&index=6&format=webp&center=0&width=300")
    assert reply.headers["Content-Type"] == "image/webp"
    found = np.asarray(Image.open(io.BytesIO(reply.body)).convert("L")).astype(float)
    wanted = np.clip((ct_values()[6] + 0.5) / 299 + 0.5, 0, 1) * 255
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).mean() < 4
    own = ask(api, of(sample.ct, "slice"), "plane=axial&index=6&format=webp")
    assert own.status == 200
    assert own.headers["ETag"] != reply.headers["ETag"]


def test_monochrome1_is_bright_where_values_are_low(api, sample):
    reply = ask(api, of(sample.mammogram, "slice"), "plane=image&index=0&level=3&format=webp")
    found = np.asarray(Image.open(io.BytesIO(reply.body)).convert("L")).astype(int)
    assert found[0, 0] > found[-1, -1] + 150


_WRONG = ("center=1", "center=x&width=1", "center=0&width=0", "center=nan&width=1", "center=0&width=inf")
_WRONG_WINDOWS = ["center=1&width=2", "format=jpeg", *(f"format=webp&{window}" for window in _WRONG)]


@pytest.mark.parametrize("query", _WRONG_WINDOWS)
def test_a_wrong_window_is_refused(api, sample, query):
    problem(ask(api, of(sample.ct, "slice"), f"plane=axial&index=6&{query}"), 400)


def test_labels_are_no_picture(api, sample):
    problem(ask(api, of(sample.seg, "slice"), f"plane=axial&index=5&on={sample.ct}&format=webp"), 400)


def test_a_segment_is_shown_alone_and_an_unknown_one_is_refused(api, sample):
    query = f"plane=axial&index=5&on={DATASET}/{sample.ct}&segment="
    reply = ask(api, of(sample.seg, "slice"), query + "1")
    mask = np.zeros(CT_SHAPE, dtype=np.uint16)
    mask[LESION] = 1
    assert reply.headers["X-Cohortlab-Meaning"] == "labels"
    np.testing.assert_array_equal(np.frombuffer(reply.body, "<u2").reshape(CT_SHAPE[1:]), mask[5])
    problem(ask(api, of(sample.seg, "slice"), query + "2"), 400)
    problem(ask(api, of(sample.ct, "slice"), "plane=axial&index=5&segment=1"), 400)


@pytest.mark.parametrize("name", ["ct", "seg", "mr", "mammogram"])
def test_a_thumbnail_is_small_and_hangs_as_on_the_screen(api, gateway, sample, name):
    series = getattr(sample, name)
    reply = ask(api, of(series, "thumbnail"), "size=64")
    picture = Image.open(io.BytesIO(reply.body))
    plane = gateway.describe(DATASET, series)["planes"][0]
    sides = [plane[side]["count"] * plane[side]["spacing"] for side in ("right", "down")]
    assert max(picture.size) == 64
    assert abs(picture.size[0] / picture.size[1] - sides[0] / sides[1]) < 0.05
    assert len(reply.body) < 8000


def test_thumbnails_have_a_size(api, sample):
    for size in ("15", "513", "x"):
        problem(ask(api, of(sample.ct, "thumbnail"), f"size={size}"), 400)


def test_an_object_is_the_stored_file_under_its_signed_digest(api, gateway, sample):
    store = gateway.store(DATASET)
    for item in store.manifest.objects:
        if not item.path.startswith(f"images/{sample.ct}.zarr/"):
            continue
        key = item.path.partition(".zarr/")[2]
        reply = ask(api, of(sample.ct, f"chunk/{key}"))
        assert reply.status == 200
        assert reply.headers["ETag"] == f'"{hashlib.sha256(reply.body).hexdigest()}"' == f'"{item.sha256}"'
        head = ask(api, of(sample.ct, f"chunk/{key}"), method="HEAD")
        assert (head.body, head.headers["Content-Length"]) == (b"", str(item.size))


def test_ranges_of_an_object(api, sample):
    path = of(sample.ct, "chunk/scale0/image/c/0/0/0")
    whole = ask(api, path).body
    for text, part in (("bytes=0-9", whole[:10]), ("bytes=100-", whole[100:]), ("bytes=-20", whole[-20:]), ("bytes=5-99999999", whole[5:])):
        reply = ask(api, path, range=text)
        assert (reply.status, reply.body) == (206, part)
        start = len(whole) - len(part) if text.startswith("bytes=-") else int(text[6:].split("-")[0])
        assert reply.headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{len(whole)}"
    assert problem(ask(api, path, range=f"bytes={len(whole)}-"), 416)["code"] == "invalid-range"
    assert ask(api, path, range="lines=1-2").status == 200


@pytest.mark.parametrize(
    ("header", "found"),
    [("bytes=0-0", (0, 1)), ("bytes=-5", (5, 10)), ("bytes=-50", (0, 10)), ("bytes=3-", (3, 10)), ("bytes=-", None), ("bytes=5-2", None),
     ("bytes=1-2,4-5", None), ("bytes=٣-4", None), (None, None), ("", None)],
)  # fmt: skip
def test_ranges_are_read_as_the_standard_says(header, found):
    assert byte_range(header, 10) == found


@pytest.mark.parametrize(
    "key",
    ["", "nothing", "../dataset.json", "scale0/../zarr.json", "scale0/image/c/0/0/0/", "/etc/passwd", "..", "scale0//image/zarr.json",
     "../../catalogue/series.parquet", "%2e%2e/dataset.json", "scale0/image/c/9/9/9", "zarr.json\0"],
)  # fmt: skip
def test_only_signed_objects_of_the_series_are_sent(api, sample, key):
    assert problem(ask(api, of(sample.ct, f"chunk/{key}")), 404)["code"] == "not-found"


def test_an_object_above_the_limit_is_sent_in_ranges_only(api, sample, monkeypatch):
    monkeypatch.setattr(objects, "MAX_OBJECT_BYTES", 100)
    path = of(sample.ct, "chunk/scale0/image/c/0/0/0")
    assert problem(ask(api, path), 413)["hint"]
    assert ask(api, path, range="bytes=0-99").status == 206


@pytest.fixture
def copied(tmp_path, sample):
    """A store that a test may damage, and its API."""
    shutil.copytree(sample.folder / DATASET, tmp_path / DATASET)
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / DATASET, Api(Gateway(tmp_path, (PublicKey(sample.key),)))


def test_a_shard_that_vanishes_between_two_slices_is_said_and_not_shown_as_zeros(copied, sample):
    store, api = copied
    path, query = of(sample.ct, "slice"), "plane=axial&index=2"
    assert ask(api, path, query).status == 200
    (store / "images" / f"{sample.ct}.zarr" / "scale0/image/c/0/0/0").unlink()
    assert problem(ask(api, path, query), 503)["code"] == "storage"
    problem(ask(api, of(sample.ct, "chunk/scale0/image/c/0/0/0")), 503)
    shutil.rmtree(store)
    gone = problem(ask(api, path, query), 404)
    assert gone["detail"]
    assert gone["hint"]


def test_a_corrupt_chunk_is_said(copied, sample):
    store, api = copied
    shard = store / "images" / f"{sample.ct}.zarr" / "scale0/image/c/0/0/0"
    shard.write_bytes(b"\xff" * shard.stat().st_size)
    for what, query in (("slice", "plane=sagittal&index=3"), ("volume", ""), ("thumbnail", "")):
        assert problem(ask(api, of(sample.ct, what), query), 503)["code"] == "storage"


def test_changed_metadata_are_not_sent(copied, sample):
    store, api = copied
    file = store / "images" / f"{sample.ct}.zarr" / "scale0/zarr.json"
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))
    assert problem(ask(api, of(sample.ct, "chunk/scale0/zarr.json")), 409)["code"] == "integrity"


def test_a_link_in_the_place_of_an_object_is_not_followed(copied, sample, tmp_path):
    store, api = copied
    shard = store / "images" / f"{sample.ct}.zarr" / "scale0/image/c/0/0/0"
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * shard.stat().st_size)
    shard.unlink()
    shard.symlink_to(secret)
    problem(ask(api, of(sample.ct, "chunk/scale0/image/c/0/0/0")), 503)


def test_nobody_works_for_an_asker_who_has_gone(api, sample):
    stop = Stop()
    stop.set()
    with pytest.raises(GoneError):
        stop.check()
    reply = api.reply(Asked("GET", of(sample.ct, "volume")), stop=stop)
    assert problem(reply, 500)["code"] == "gone"


@pytest.mark.parametrize("query", ["plane=axial&index=1&plane=axial", "plane=axial&index=1&path=x", "&".join(f"a{n}=1" for n in range(40))])
def test_a_query_has_each_parameter_once_and_none_that_is_unknown(api, sample, query):
    problem(ask(api, of(sample.ct, "slice"), query), 400)


@pytest.mark.parametrize(
    "path", ["", "series", "series/a/b", "series/a/b/c", f"series/{DATASET}", "datasets/x", "chunk", "series/a/b/meta/x"]
)
def test_other_addresses_are_nothing(api, path):
    problem(ask(api, path), 404)


def test_what_goes_out_is_counted_by_cases_and_bytes(gateway, sample):
    tally = Tally()
    api = Api(gateway, lambda dataset, series, case, size: tally.count("me", dataset, series, case, size))
    for query in ("plane=axial&index=1", "plane=axial&index=2"):
        ask(api, of(sample.ct, "slice"), query)
    ask(api, of(sample.mammogram, "thumbnail"))
    ask(api, of(sample.ct, "meta"))
    tag = ask(api, of(sample.ct, "slice"), "plane=axial&index=1", method="GET").headers["ETag"]
    ask(api, of(sample.ct, "slice"), "plane=axial&index=1", if_none_match=tag)
    (seen,) = tally.take()
    assert (seen.person, seen.dataset, seen.answers, len(seen.series), len(seen.cases)) == ("me", DATASET, 4, 2, 1)
    assert seen.bytes > 3 * ct_values()[0].nbytes
    assert "VIEWER" not in str(seen)
    assert tally.take() == []


def test_the_list_can_be_narrowed(api):
    everything = api.reply(Asked("GET", "datasets"))
    assert json.loads(everything.body)["datasets"][0]["public"] is False
    assert json.loads(api.reply(Asked("GET", "datasets"), visible=set()).body) == {"datasets": []}
