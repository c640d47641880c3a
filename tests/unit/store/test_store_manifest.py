"""The manifest: what is signed, and that nothing else passes."""

import json

import pytest

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError
from cohortlab.keys import create_key
from cohortlab.store import ManifestFields, read_manifest, trusted_keys
from cohortlab.store.contracts import ManifestSeries, SeriesAttributes, StoreObject, check_dataset_id, check_version
from cohortlab.store.manifest import sign_manifest


@pytest.fixture
def key(tmp_path):
    return create_key(tmp_path / "gate.key")


@pytest.fixture
def store(tmp_path, key):
    fields = ManifestFields(title="Lésions", deidentification={"profile": "p"}, gate="1", verdict="accepted")
    series = [ManifestSeries(id="ct-0123456789ab", kind="image", modality="CT")]
    objects = [StoreObject(path="images/a", size=1, sha256="0" * 64), StoreObject(path="images/b", size=2, sha256="1" * 64)]
    manifest = sign_manifest(("lesions", "1.0.0"), fields, series, objects, key)
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "dataset.json").write_text(manifest.model_dump_json(indent=1))
    return folder


def change(store, edit):
    file = store / "dataset.json"
    body = json.loads(file.read_text())
    edit(body)
    file.write_text(json.dumps(body))


def test_what_was_signed_is_read(store, key):
    manifest = read_manifest(store, [key.public])
    assert (manifest.id, manifest.version, manifest.title) == ("lesions", "1.0.0", "Lésions")
    assert manifest.series[0].path == "images/ct-0123456789ab.zarr"


@pytest.mark.parametrize(
    "edit",
    [
        lambda b: b.update(title="Lesions"),
        lambda b: b.update(access_condition="DOWNLOAD"),
        lambda b: b["objects"].pop(),
        lambda b: b["objects"][0].update(sha256="2" * 64),
        lambda b: b["objects"].reverse(),
        lambda b: b["series"].clear(),
        lambda b: b.update(more=1),
        lambda b: b["signature"].update(value=b["signature"]["value"][::-1]),
        lambda b: b["signature"].update(key_id="0" * 16),
        lambda b: b.update(signature=None),
        lambda b: b.pop("signature"),
    ],
)
def test_any_change_breaks_the_signature(store, key, edit):
    read_manifest(store, [key.public])  # what was found good before does not count for what is there now
    change(store, edit)
    with pytest.raises(IntegrityError):
        read_manifest(store, [key.public])


def test_only_a_trusted_key_counts(store, tmp_path, key):
    read_manifest(store, [key.public])
    with pytest.raises(IntegrityError, match="not trusted here"):
        read_manifest(store, [create_key(tmp_path / "other.key").public])
    with pytest.raises(IntegrityError):
        read_manifest(store, [])


def test_what_was_found_good_is_not_checked_again(store, key):
    first = read_manifest(store, [key.public])
    assert read_manifest(store, [key.public]) is first
    assert list(first.by_series) == ["images/ct-0123456789ab.zarr"]


def test_objects_are_found_by_their_series(key):
    series = [ManifestSeries(id=f"ct-{n:012}", kind="image", modality="CT") for n in range(2)]
    paths = [f"{series[n].path}/scale0/zarr.json" for n in range(2)] + ["images/ct-000000000000.headers.parquet"]
    objects = [StoreObject(path=path, size=7, sha256="0" * 64) for path in paths]
    fields = ManifestFields(title="T", deidentification={"profile": "p"}, gate="1", verdict="accepted")
    manifest = sign_manifest(("lesions", "1.0.0"), fields, series, objects, key)
    assert {name: list(found) for name, found in manifest.by_series.items()} == {series[n].path: [paths[n]] for n in range(2)}
    assert set(manifest.digests) == set(paths)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"id": 1, "id": 2}', "[" * 100_000, '{"id": NaN}'])
def test_what_is_no_manifest_is_an_integrity_error(store, key, text):
    (store / "dataset.json").write_text(text)
    with pytest.raises(IntegrityError):
        read_manifest(store, [key.public])


def test_a_name_that_stands_twice_is_refused_even_when_the_last_one_is_signed(store, key):
    file = store / "dataset.json"
    file.write_text(file.read_text().replace('"title"', '"title":"Other","title"', 1))
    with pytest.raises(IntegrityError, match="not JSON"):
        read_manifest(store, [key.public])


def test_a_signed_manifest_that_lies_on_its_tree_is_refused(store, key):
    from cohortlab.keys import canonical_json  # noqa: PLC0415 - used here only

    def edit(body):
        body["tree_sha256"] = "3" * 64
        del body["signature"]
        body["signature"] = {"algorithm": "Ed25519", "key_id": key.id, "value": key.sign(canonical_json(body))}

    change(store, edit)
    with pytest.raises(IntegrityError, match="tree digest"):
        read_manifest(store, [key.public])


def test_no_store_is_not_found(tmp_path, key):
    with pytest.raises(NotFoundError, match=r"dataset\.json"):
        read_manifest(tmp_path, [key.public])


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "images/../x", "a//b", "images/./x", "a\\b"])
def test_objects_lie_inside_the_store(path):
    with pytest.raises(InvalidInputError):
        StoreObject.from_json({"path": path, "size": 1, "sha256": "0" * 64}, "An object")


@pytest.mark.parametrize(
    ("text", "good"),
    [("prostatex", True), ("a", True), ("a-1", True), ("", False), ("-a", False), ("A", False), ("../a", False), ("a" * 64, False)],
)
def test_dataset_ids_are_dns_labels(text, good):
    if good:
        assert check_dataset_id(text) == text
    else:
        with pytest.raises(InvalidInputError):
            check_dataset_id(text)


@pytest.mark.parametrize("text", ["1", "1.0", "1.0.0/..", "v1.0.0", ".1.0.0", ""])
def test_versions_are_three_numbers(text):
    with pytest.raises(InvalidInputError):
        check_version(text)


def test_trusted_keys_come_as_text_or_file(tmp_path, key):
    assert [k.id for k in trusted_keys([key.public.text, str(tmp_path / "gate.pub")])] == [key.id, key.id]
    with pytest.raises(InvalidInputError):
        trusted_keys([str(tmp_path / "nothing.pub")])


def attributes(**changes):
    base = {
        "id": "ct-0123456789ab",
        "kind": "image",
        "modality": "CT",
        "dims": ["z", "y", "x"],
        "shape": [1, 2, 3],
        "dtype": "int16",
        "levels": [[1, 2, 3]],
        "regular": True,
        "patient_id": "P",
        "study_uid": "1",
        "series_uid": "2",
        "sop_class_uid": "3",
        "instances": 1,
        "deidentification": {},
        "digests": {"pixels": "0" * 64, "source": "0" * 64},
    }
    return base | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"dims": ["y", "x"]},
        {"levels": [[9, 2, 3]]},
        {"regular": False},
        {"irregular_reason": "missing slice"},
        {"schema_version": 2},
        {"axis": {"name": "b_value", "values": [1.0]}},
        {"dims": ["c", "z", "y", "x"], "shape": [2, 1, 2, 3], "levels": [[2, 1, 2, 3]], "axis": {"name": "b_value", "values": [1.0]}},
        {"id": "../x"},
        {"unknown": 1},
        {"affine": [[1.0, 0.0, 0.0, 0.0]] * 3},
    ],
)
def test_attributes_that_contradict_themselves_are_refused(changes):
    SeriesAttributes.from_json(attributes(), "A series")
    with pytest.raises(InvalidInputError):
        SeriesAttributes.from_json(attributes(**changes), "A series")
