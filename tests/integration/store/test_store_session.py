"""What a person sees in a session: datasets, `open`, and errors that say what to do."""

import json
import shutil
import subprocess
import sys

import pytest
import xarray as xr
from store_helpers import write

import cohortlab as cl
from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError
from cohortlab.keys import create_key
from cohortlab.store import SeriesRef, Store
from cohortlab.store.session import find
from dicom_samples import volume


@pytest.fixture
def session(tmp_path, key, monkeypatch):
    """A session with two datasets mounted by their ids."""
    folder = tmp_path / "datasets"
    for name in ("alpha", "beta"):
        place = write(tmp_path / "root", name, volume(series=f"2.25.{len(name)}"), key)
        shutil.copytree(place, folder / name)
    monkeypatch.setenv("COHORTLAB_DATASETS", str(folder))
    monkeypatch.setenv("COHORTLAB_TRUSTED_KEYS", key.public.text)
    return folder


@pytest.mark.usefixtures("session")
def test_datasets_lists_what_is_mounted():
    found = cl.datasets()
    assert found.ids == ["alpha", "beta"]
    assert "Made for a test" in repr(found)
    page = found._repr_html_()
    assert "<code>alpha</code>" in page
    assert "IN_SITU_PROCESSING" in page


def test_an_empty_session_explains_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("COHORTLAB_DATASETS", str(tmp_path / "nothing"))
    found = cl.datasets()
    assert found == []
    for text in (repr(found), found._repr_html_()):
        assert "No dataset is mounted here" in text
        assert "granted" in text


def test_every_way_to_open_leads_to_the_same_series(session):
    store = cl.open("alpha")
    assert isinstance(store, Store)
    ref = store[0]
    for way in (ref, f"alpha/{ref.id}", ref.path, str(ref.path)):
        image = cl.open(way)
        assert image.attrs["cohortlab"]["dataset"] == "alpha"
        assert image.attrs["cohortlab"]["series"] == ref.id
        assert image.dims == ("z", "y", "x")
    assert cl.open(str(session / "alpha")).id == "alpha"
    assert cl.open(store) is store
    assert find(cl.open(ref)).id == ref.id
    assert isinstance(find(f"alpha/{ref.id}"), SeriesRef)
    assert "voxel" in store._repr_html_()
    assert ref.id in ref._repr_html_()


def test_an_unknown_dataset_names_those_there_are(session):
    with pytest.raises(NotFoundError) as error:
        cl.open("gamma")
    assert "alpha, beta" in str(error.value)
    with pytest.raises(NotFoundError, match="It has: ct-"):
        cl.open("alpha/ct-000000000000")
    with pytest.raises(NotFoundError):
        cl.open(session / "gamma")
    with pytest.raises(IndexError):
        cl.open("alpha")[9]
    with pytest.raises(NotFoundError, match="no level 7"):
        cl.open("alpha")[0].open(7)


def test_a_store_whose_signature_fails_is_neither_listed_nor_opened(session):
    file = session / "alpha" / "dataset.json"
    file.chmod(0o644)
    body = json.loads(file.read_text())
    file.write_text(json.dumps(body | {"access_condition": "DOWNLOAD"}))
    found = cl.datasets()
    assert found.ids == ["beta"]
    assert "alpha" in repr(found)
    assert "not opened" in found._repr_html_()
    for way in ("alpha", session / "alpha"):
        with pytest.raises(IntegrityError) as error:
            cl.open(way)
        assert "data steward" in str(error.value)


@pytest.mark.usefixtures("session")
def test_a_key_that_is_not_trusted_opens_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("COHORTLAB_TRUSTED_KEYS", create_key(tmp_path / "other.key").public.text)
    assert cl.datasets().ids == []
    with pytest.raises(IntegrityError):
        cl.open("alpha")


@pytest.mark.parametrize("value", ["", " ", "nonsense", "ed25519:short"])
@pytest.mark.usefixtures("session")
def test_without_a_valid_key_nothing_opens(monkeypatch, value):
    monkeypatch.setenv("COHORTLAB_TRUSTED_KEYS", value)
    with pytest.raises(InvalidInputError):
        cl.open("alpha")


def test_another_dataset_in_the_place_of_one_is_noticed(session):
    shutil.rmtree(session / "alpha")
    shutil.copytree(session / "beta", session / "alpha")
    assert cl.datasets().ids == ["beta"]
    with pytest.raises(IntegrityError):
        cl.open("alpha")


def test_the_newest_version_in_a_store_root_opens_by_name(tmp_path, key, monkeypatch):
    for version, count in (("1.9.0", 3), ("1.10.0", 4)):
        write(tmp_path, "one", volume(count), key, version=version)
    monkeypatch.setenv("COHORTLAB_DATASETS", str(tmp_path))
    monkeypatch.setenv("COHORTLAB_TRUSTED_KEYS", key.public.text)
    assert cl.open("one").version == "1.10.0"


def test_an_array_from_elsewhere_is_not_taken_for_a_series():
    with pytest.raises(InvalidInputError, match=r"cl\.open"):
        find(xr.DataArray([1]))


def command(*words, **more):
    script = "import sys; from cohortlab.cli import main; main()"
    return subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, check=False, **more)


def test_verify_and_datasets_as_commands(session, key, tmp_path):
    good = command("verify", session / "alpha", "--key", key.public.text)
    assert good.returncode == 0, good.stderr
    assert "as signed" in good.stdout
    report = json.loads(command("verify", session / "alpha", "--json").stdout)
    assert report["ok"]
    assert report["dataset"] == "alpha"
    (session / "alpha" / "added").write_text("")
    bad = command("verify", session / "alpha")
    assert bad.returncode == 1
    assert "added" in bad.stderr
    assert command("verify", tmp_path, "--key", key.public.text).returncode == 1
    assert command("verify", session / "alpha", "--key", "nonsense").returncode == 2
    assert command("verify").returncode == 2
    listed = command("datasets", "--json")
    assert listed.returncode == 0, listed.stderr
    assert [d["id"] for d in json.loads(listed.stdout)["datasets"]] == ["alpha", "beta"]
    assert "alpha" in command("datasets", session).stdout
    assert command("datasets", tmp_path / "nothing").returncode == 2
    (session / "beta" / "dataset.json").unlink()
    (session / "beta" / "dataset.json").write_text("{}")
    assert command("datasets").returncode == 1
