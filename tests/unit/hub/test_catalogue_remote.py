"""Datasets that are never mounted: what the catalogue says of them from their signed manifests."""

import json
from datetime import UTC, datetime

import pytest
import yaml

from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition, ManifestFields, ManifestSeries, StoreObject
from cohortlab.store.manifest import sign_manifest
from cohortlab_hub.access import Grant, Person, decide
from cohortlab_hub.access.rules import with_samples
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.settings_file import load

REMOTE = AccessCondition.REMOTE_PROCESSING
NOTE = StoreObject(path="clinical/note.txt", size=1, sha256="0" * 64)


@pytest.fixture
def key(tmp_path):
    return create_key(tmp_path / "gate.key")


def store(folder, name, key, modalities, **more):
    """A folder with the signed manifest of a store."""
    folder.mkdir(parents=True)
    fields = {"title": name, "deidentification": {}, "gate": "test", "verdict": "accepted", "access_condition": REMOTE} | more
    series = [ManifestSeries(id=f"{m.lower()}-{n:012x}", kind="image", modality=m) for n, m in enumerate(modalities)]
    manifest = sign_manifest((name, "1.0.0"), ManifestFields(**fields), series, [NOTE], key)
    (folder / "dataset.json").write_text(json.dumps(manifest.to_json()))


def catalogue(folder, key, **datasets):
    (folder / "hub.key").exists() or create_key(folder / "hub.key")
    (folder / "token").write_text("x")
    sites = {name: {"token": "token"} for name in ("north", "south")}
    document = {
        "login": {"kind": "demo", "accounts": {"ana": {}}},
        "trusted_keys": [key.public.text],
        "datasets": datasets,
        "federation": {"key": "hub.key", "sites": sites},
        "access": {"diseases": {"MONDO:0007254": {"title": "breast cancer"}}},
    }
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(document))
    return Catalogue(load(file))


def test_counts_and_terms_come_from_the_manifests_of_the_sites(tmp_path, key):
    store(tmp_path / "n", "far", key, ["CT"] * 6 + ["MR"] * 2, duo=("DUO:0000006",))
    store(tmp_path / "s", "far", key, ["CT"] * 3, duo=("DUO:0000007",), dcat={"diseases": ["MONDO:0007254"]})
    made = catalogue(tmp_path, key, far={"sites": ["north", "south"], "manifests": ["n", "s"]})
    (entry,) = made.served()
    assert (entry.condition, entry.store, entry.version) == (REMOTE, None, "1.0.0")
    assert dict(entry.counts) == {"image CT": 9, "image MR": 2}
    assert entry.use.codes == {"DUO:0000006", "DUO:0000007"}
    assert entry.use.diseases == {"MONDO:0007254"}


def test_workbench_yaml_only_narrows_what_a_manifest_allows(tmp_path, key):
    store(tmp_path / "n", "far", key, ["CT"], duo=("DUO:0000007",), dcat={"diseases": ["MONDO:1", "MONDO:2"]})
    made = catalogue(
        tmp_path, key, far={"sites": ["north"], "manifests": ["n"], "use": {"duo": ["DUO:0000015"], "diseases": ["MONDO:2", "MONDO:3"]}}
    )
    (entry,) = made.served()
    assert entry.use.codes == {"DUO:0000007", "DUO:0000015"}
    assert entry.use.diseases == {"MONDO:2"}


def test_a_manifest_that_does_not_verify_takes_the_dataset_out(tmp_path, key):
    store(tmp_path / "n", "far", create_key(tmp_path / "mallory.key"), ["CT"])
    store(tmp_path / "o", "other", key, ["CT"])
    assert catalogue(tmp_path, key, far={"sites": ["north"], "manifests": ["n"]}).served() == []
    assert catalogue(tmp_path, key, far={"sites": ["north"], "manifests": ["o"]}).served() == []


@pytest.mark.parametrize(("synthetic", "given"), [(True, "made"), (False, None)])
def test_only_a_synthetic_dataset_stands_for_a_remote_one(tmp_path, key, synthetic, given):
    store(tmp_path / "m", "made", key, ["CT"], synthetic=synthetic, access_condition=AccessCondition.IN_SITU_PROCESSING)
    made = catalogue(tmp_path, key, far={"sites": ["north"], "sample": "made"}, made={"store": "m"})
    assert {entry.id: entry.sample for entry in made.served()} == {"far": given, "made": None}
    assert made.samples == ({"far": "made"} if given else {})


def test_a_remote_dataset_whose_store_is_here_is_not_mounted_either(tmp_path, key):
    store(tmp_path / "h", "here", key, ["CT"])
    store(tmp_path / "m", "made", key, ["CT"], synthetic=True, access_condition=AccessCondition.IN_SITU_PROCESSING)
    made = catalogue(tmp_path, key, here={"store": "h", "sample": "made"}, made={"store": "m"})
    terms = {entry.id: entry.terms for entry in made.served()}
    grants = with_samples([Grant("g", "person", "ana", "here", AccessCondition.DOWNLOAD)], made.samples)

    def allowed(dataset, condition):
        return decide(grants, Person("ana"), terms[dataset], purpose=None, condition=condition, now=datetime.now(UTC)).allowed

    assert allowed("here", REMOTE)
    assert not allowed("here", AccessCondition.IN_SITU_PROCESSING)
    assert allowed("made", AccessCondition.IN_SITU_PROCESSING)
