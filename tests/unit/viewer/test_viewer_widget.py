"""`cl.view`: references and state in traits, never pixels."""

import json
import re
import shutil
import warnings

import numpy as np
import pytest
import traitlets
from sample_store import DATASET

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.store import Store
from cohortlab.store.session import session_keys
from cohortlab.viewer import assets, view
from cohortlab.viewer.shown import kernel_gateway
from cohortlab.viewer.tutorials import FIRST_STEPS, copy_tutorial, tutorials_folder


@pytest.fixture(autouse=True)
def built(tmp_path, monkeypatch):
    """Bundles as a build writes them, also where none was run."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "manifest.json").write_text('{"viewer": "viewer.0123456789ab.js"}')
    monkeypatch.setattr(assets, "STATIC_FOLDER", tmp_path / "static")


@pytest.fixture
def store(session):
    return Store.open(session.folder / DATASET, session_keys())


def test_a_view_opens_in_the_middle_of_the_acquisition(session):
    shown = view(f"{DATASET}/{session.ct}")
    assert (shown.series, shown.plane, shown.index, shown.window) == (f"{DATASET}/{session.ct}", "axial", 6, (40, 400))
    assert shown.planes == ("axial", "coronal", "sagittal")


def test_all_ways_to_name_a_series_mean_the_same(session, store):
    ref = store[session.ct]
    for image, label in (
        (ref, store[session.seg]),
        (ref.open(), store[session.seg].open()),
        (f"{DATASET}/{session.ct}", f"{DATASET}/{session.seg}"),
    ):
        shown = view(image, label_image=label)
        assert (shown.series, shown.label) == (f"{DATASET}/{session.ct}", f"{DATASET}/{session.seg}")


def test_state_can_be_given_and_set(session):
    shown = view(f"{DATASET}/{session.ct}", plane="coronal", index=90, window=(-600, 1500), overlay=False, opacity=0.2)
    assert (shown.plane, shown.index, shown.window, shown.overlay, shown.opacity) == ("coronal", 90, (-600, 1500), False, 0.2)
    shown.index = 3
    shown.window = (40, 80)
    assert (shown.index, shown.window) == (3, (40, 80))


@pytest.mark.parametrize(
    ("name", "value"),
    [("plane", "oblique"), ("index", -1), ("index", 96), ("frame", 1), ("window", (40, 0)), ("window", (1,)), ("opacity", 2)],
)
def test_what_cannot_be_shown_is_refused(session, name, value):
    shown = view(f"{DATASET}/{session.ct}")
    with pytest.raises(traitlets.TraitError):
        setattr(shown, name, value)


def test_the_series_of_a_view_is_fixed(session):
    shown = view(f"{DATASET}/{session.ct}")
    with pytest.raises(traitlets.TraitError):
        shown.series = "other/series"


def test_a_browser_asks_ahead_for_small_slices_only(session):
    shown = view(f"{DATASET}/{session.ct}")
    assert shown.ahead == kernel_gateway().describe(DATASET, session.ct)["version"]
    assert view(np.zeros((2, 600, 1000), dtype=np.int16)).ahead == ""


def test_traits_hold_no_pixel(session):
    shown = view(f"{DATASET}/{session.ct}", label_image=f"{DATASET}/{session.seg}")
    state = {
        name: value
        for name, value in shown.get_state().items()
        if not name.startswith("_") and name not in {"layout", "tabbable", "tooltip"}
    }
    assert set(state) == {
        *("series", "label", "ahead", "group", "linked", "plane", "index", "frame", "window", "overlay", "opacity", "hidden"),
        *("zoom", "pan", "rotation", "flip", "invert", "marks"),
    }
    assert len(json.dumps(state)) < 700


def test_the_stub_imports_the_hashed_bundle_from_the_pages_server(session):
    stub = view(f"{DATASET}/{session.ct}")._esm
    assert "viewer.0123456789ab.js" in stub
    assert "baseUrl" in stub
    assert not re.search(r"https?://", stub)
    assert len(stub) < 3000


def test_without_a_widget_a_line_says_what_it_is(session):
    shown = view(f"{DATASET}/{session.ct}", label_image=f"{DATASET}/{session.seg}")
    text = shown._repr_mimebundle_()[0]["text/plain"]
    for part in (session.ct, session.seg, "axial slice 6", "not for diagnosis"):
        assert part in text


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("image", [42, "prostatex", "a/b/c", None, [1, 2]])
def test_what_is_no_series_is_refused_with_what_would_be(image):
    with pytest.raises(InvalidInputError, match=r"cl\.open"):
        view(image)


@pytest.mark.usefixtures("session")
def test_an_unknown_series_is_refused_before_anything_is_shown():
    for name in (f"{DATASET}/ct-000000000000", "unknown/ct-000000000000"):
        with pytest.raises(NotFoundError):
            view(name)


def test_an_image_is_no_label(session):
    with pytest.raises(InvalidInputError, match="segmentation"):
        view(f"{DATASET}/{session.ct}", label_image=f"{DATASET}/{session.mr}")


def test_labels_come_from_the_same_dataset(session):
    with pytest.raises(InvalidInputError, match="another dataset"):
        view(f"{DATASET}/{session.ct}", label_image="other/seg-000000000000")


def test_another_copy_than_the_mounted_one_is_not_shown_under_its_name(session, tmp_path):
    shutil.copytree(session.folder / DATASET, tmp_path / "copy")
    copy = Store.open(tmp_path / "copy", session_keys())
    with pytest.raises(NotFoundError, match="does not show"):
        view(copy[session.ct])


def test_an_unbuilt_front_end_says_what_to_do(session, tmp_path):
    (tmp_path / "static" / "manifest.json").unlink()
    with pytest.raises(NotFoundError, match="make setup"):
        view(f"{DATASET}/{session.ct}")
    (tmp_path / "static" / "manifest.json").write_text("{}")
    with pytest.raises(NotFoundError, match="no browser bundle"):
        assets.stub_esm("viewer")


@pytest.mark.parametrize("name", ["viewer.0123456789ab.js", "manifest.json"])
def test_bundle_names(name):
    assert assets.BUNDLE_FILE.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["../server.py", "viewer.js", "viewer.0123456789AB.js", ".", "", "viewer.0123456789ab.js.map", "a/b.0123456789ab.js"]
)
def test_other_names_are_not_served(name):
    assert not assets.BUNDLE_FILE.fullmatch(name)


def test_the_tutorial_is_copied_once_and_a_changed_copy_is_kept(tmp_path):
    assert copy_tutorial(tmp_path) == f"tutorials/{FIRST_STEPS}"
    mine = tmp_path / "tutorials" / FIRST_STEPS
    assert mine.read_bytes() == (tutorials_folder() / FIRST_STEPS).read_bytes()
    mine.write_text("my notes")
    assert copy_tutorial(tmp_path) == f"tutorials/{FIRST_STEPS}"
    assert mine.read_text() == "my notes"
    assert [path.name for path in mine.parent.iterdir()] == [FIRST_STEPS]


def test_only_tutorials_are_copied(tmp_path):
    with pytest.raises(NotFoundError):
        copy_tutorial(tmp_path, "../../pyproject.toml")


def test_no_warning_is_left_to_the_user(session):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view(f"{DATASET}/{session.mammogram}").close()
