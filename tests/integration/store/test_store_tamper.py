"""Attacks on a store: whatever is changed after signing is found by `verify`, and unsigned stores do not open."""

import json
import shutil

import pytest

from cohortlab.errors import IntegrityError, NotFoundError
from cohortlab.keys import canonical_json, create_key
from cohortlab.store import Store, verify_store
from cohortlab.store.contracts import StoreObject
from cohortlab.store.manifest import file_digest, tree_digest, walk

NAME = "prostatex-missing-slice"


def shard(store):
    return next(p for p in sorted(store.rglob("scale0/image/c/**/*")) if p.is_file())


def flip(path, position, bit):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def kinds(store, key):
    return [(f.problem, f.path) for f in verify_store(store, [key.public]).findings]


@pytest.mark.parametrize("position", [0, 4096, -1])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_in_a_shard(copy, key, position, bit):
    store = copy(NAME)
    flip(shard(store), position, bit)
    assert kinds(store, key) == [("changed", shard(store).relative_to(store).as_posix())]


def test_a_flipped_bit_in_every_file(copy, key):
    store = copy(NAME)
    for relative in list(walk(store)):
        flip(store / relative, (store / relative).stat().st_size // 2, 3)
        assert ("changed", relative.as_posix()) in kinds(store, key)
        flip(store / relative, (store / relative).stat().st_size // 2, 3)
    assert kinds(store, key) == []


def test_a_missing_shard(copy, key):
    store = copy(NAME)
    gone = shard(store)
    gone.unlink()
    assert kinds(store, key) == [("missing", gone.relative_to(store).as_posix())]


def test_two_swapped_files(copy, key):
    store = copy("prostatex")
    a, b = [p for p in sorted(store.rglob("scale0/image/c/**/*")) if p.is_file()][:2]
    a.rename(store / "third")
    b.rename(a)
    (store / "third").rename(b)
    assert {problem for problem, _ in kinds(store, key)} == {"changed"}
    assert len(kinds(store, key)) == 2


@pytest.mark.parametrize("name", ["more.txt", "images/extra.zarr/zarr.json", "clinical/.hidden", "catalogue/series.parquet.bak"])
def test_an_added_file(copy, key, name):
    store = copy(NAME)
    (store / name).parent.mkdir(parents=True, exist_ok=True)
    (store / name).write_text("{}")
    assert kinds(store, key) == [("added", name)]


def test_a_link_is_no_file_even_to_the_right_content(copy, key):
    store = copy(NAME)
    target = shard(store)
    outside = store.parent / "elsewhere"
    shutil.move(target, outside)
    target.symlink_to(outside)
    (store / "clinical" / "link").symlink_to("/etc")
    assert kinds(store, key) == [("added", "clinical/link"), ("changed", target.relative_to(store).as_posix())]


def test_a_manifest_of_an_untrusted_gate(copy, key, tmp_path):
    store = copy(NAME)
    stranger = create_key(tmp_path / "stranger.key")
    body = json.loads((store / "dataset.json").read_text())
    del body["signature"]
    body["signature"] = {"algorithm": "Ed25519", "key_id": stranger.id, "value": stranger.sign(canonical_json(body))}
    (store / "dataset.json").write_text(json.dumps(body))
    assert kinds(store, key) == [("signature", "dataset.json")]
    with pytest.raises(IntegrityError, match="not trusted"):
        Store.open(store, [key.public])
    assert verify_store(store, [stranger.public]).ok


def test_pixels_that_were_signed_but_are_not_the_dicoms(copy, key):
    """A writer's own error, or a gate key in wrong hands: every digest fits, the pixels do not."""
    store, other = copy(NAME), copy("prostatex")
    known = {p: json.loads((p / "zarr.json").read_text())["attributes"]["cohortlab"]["shape"] for p in sorted(other.rglob("*.zarr"))}
    source = next(p for p, shape in known.items() if shape == [19, 128, 84])
    shutil.copyfile(next(p for p in sorted(source.rglob("scale0/image/c/**/*")) if p.is_file()), shard(store))
    body = json.loads((store / "dataset.json").read_text())
    del body["signature"]
    objects = [StoreObject(path=p.as_posix(), size=size, sha256=digest) for p in walk(store) for size, digest in [file_digest(store / p)]]
    body |= {"objects": [o.to_json() for o in objects], "tree_sha256": tree_digest(objects)}
    body["signature"] = {"algorithm": "Ed25519", "key_id": key.id, "value": key.sign(canonical_json(body))}
    (store / "dataset.json").write_text(json.dumps(body))
    assert [problem for problem, _ in kinds(store, key)] == ["pixels"]


def test_changed_attributes_are_noticed_when_a_series_is_opened(copy, key):
    store = copy(NAME)
    file = next(store.glob("images/*.zarr")) / "zarr.json"
    file.write_text(file.read_text().replace('"MR"', '"CT"'))
    with pytest.raises(IntegrityError, match="not what was signed"):
        Store.open(store, [key.public])[0].open()


def test_changed_array_metadata_is_noticed_when_a_series_is_opened(copy, key):
    store = copy(NAME)
    file = next(store.glob("images/*.zarr")) / "scale0/image/zarr.json"
    file.write_text(file.read_text().replace("uint16", "int16"))
    with pytest.raises(IntegrityError, match="not what was signed"):
        Store.open(store, [key.public])[0].array()


@pytest.mark.parametrize("name", ["scale0/zarr.json", "zarr.json"])
def test_changed_group_metadata_is_noticed_when_a_series_is_opened(copy, key, name):
    store = copy(NAME)
    file = next(store.glob("images/*.zarr")) / name
    file.write_text(file.read_text().replace("uint16", "int16"))
    with pytest.raises(IntegrityError, match="not what was signed"):
        Store.open(store, [key.public])[0].open()


def test_changed_headers_are_noticed_when_they_are_read(copy, key):
    store = copy(NAME)
    flip(next(store.glob("images/*.parquet")), 100, 0)
    with pytest.raises(IntegrityError, match="not what was signed"):
        Store.open(store, [key.public])[0].headers()


def test_no_store_at_all(tmp_path, key):
    with pytest.raises(NotFoundError):
        verify_store(tmp_path, [key.public])
