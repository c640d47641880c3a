"""Leases -> mount table -> plan; homes."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Lease
from cohortlab_hub.sessions.local import prepare_home, seal
from cohortlab_hub.sessions.mounts import mount_table, plan
from cohortlab_hub.sessions.slugs import slug

SITU, REMOTE = AccessCondition.IN_SITU_PROCESSING, AccessCondition.REMOTE_PROCESSING
STORES = {"scans": Path("/s/scans/1.0.0"), "films": Path("/s/films/2.0.0")}
HOME = Path("/state/homes/ana")


def lease(dataset, condition=SITU):
    return Lease("ana", dataset, condition, None, "g1")


@pytest.mark.parametrize(
    ("leases", "mounted"),
    [
        ([], []),
        ([lease("scans")], ["scans"]),
        ([lease("scans"), lease("films")], ["films", "scans"]),
        ([lease("scans", REMOTE)], []),  # only jobs run on it
        ([lease("far")], []),  # stays at its sites, or did not verify
        ([lease("scans", AccessCondition.DOWNLOAD)], ["scans"]),
    ],
)
def test_mount_table(leases, mounted):
    table = mount_table(leases, STORES)
    assert list(table) == mounted
    assert all(table[name] == STORES[name] for name in table)


def test_plan_keeps_what_python_needs_inside_a_hidden_folder_only():
    made = plan(
        HOME, STORES, [Path("/state"), Path("/home/op")], [Path("/usr/lib/python"), Path("/home/op/venv"), Path("/home/op/venv/lib")]
    )
    assert made.kept == ("/home/op/venv",)
    assert made.hidden == ("/home/op", "/state")
    assert made.mounts == {"films": "/s/films/2.0.0", "scans": "/s/scans/1.0.0"}


@pytest.mark.parametrize("name", ["../scans", "a/b", "", ".", "..", "/scans"])
def test_plan_refuses_a_dataset_id_that_is_a_path(name):
    with pytest.raises(ValueError, match="Not a mount"):
        plan(HOME, {name: Path("/s")}, [], [])


@pytest.mark.parametrize(("home", "store"), [(Path("home"), Path("/s")), (HOME, Path("s"))])
def test_plan_refuses_relative_paths(home, store):
    with pytest.raises(ValueError, match=r"Not a mount|no absolute"):
        plan(home, {"scans": store}, [], [])


@given(st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=2, unique=True))
@example(["ana", "Ana"])
@example(["a-b", "a.b"])
@example(["a--b", "a-b"])
@example(["ana", "ana--" + "0" * 12])
def test_two_names_never_share_a_slug(names):
    first, second = map(slug, names)
    assert first != second
    for made in (first, second):
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,44}[a-z0-9])?", made)


def test_a_slug_is_no_other_names_slug():
    odd = slug("Ana.Müller")
    assert odd.startswith("ana-m-ller--")
    assert slug(odd) != odd


def test_home_without_separation_has_links_in_a_folder_that_is_not_writable(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    home = tmp_path / "homes" / "ana"
    prepare_home(home, {"scans": store})
    prepare_home(home, {"films": store})  # the next session: another lease
    datasets = home / "datasets"
    assert [path.name for path in datasets.iterdir()] == ["films"]
    assert (datasets / "films").resolve() == store
    assert datasets.stat().st_mode & 0o777 == 0o555
    assert home.stat().st_mode & 0o077 == 0


def test_a_link_in_place_of_datasets_is_not_followed(tmp_path):
    victim, home = tmp_path / "victim", tmp_path / "home"
    victim.mkdir()
    (victim / "link").symlink_to(tmp_path)
    home.mkdir()
    (home / "datasets").symlink_to(victim)
    prepare_home(home, {"scans": tmp_path})
    assert not (home / "datasets").is_symlink()
    assert [path.name for path in victim.iterdir()] == ["link"]


def test_a_sealed_store_has_no_write_permission_anywhere(tmp_path):
    store = tmp_path / "store"
    (store / "images").mkdir(parents=True)
    (store / "images" / "c0").write_bytes(b"x")
    (store / "dataset.json").write_text("{}")
    seal(store)
    seal(store)
    assert not any(path.stat().st_mode & 0o222 for path in [store, *store.rglob("*")])
    for path in [store, *store.rglob("*")]:  # so that pytest can clear up
        path.chmod(0o755)
