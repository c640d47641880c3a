"""Widgets beside `view`: messages that carry the gateway, comparison, gallery, and what a notebook keeps of each."""

import base64
import gzip
import io
import json
import threading

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import traitlets
from PIL import Image
from sample_store import DATASET, ct_series, ct_values

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.keys import create_key
from cohortlab.store import AccessCondition, ManifestFields, Store, StoreWriter
from cohortlab.store.session import session_keys
from cohortlab.viewer import arrays, assets, channel, compare, gallery, view
from cohortlab.viewer.channel import Channel
from cohortlab.viewer.shown import kernel_gateway
from cohortlab.viewer.widget import MIMETYPE


@pytest.fixture(autouse=True)
def kernel(session, tmp_path, monkeypatch):
    folder = tmp_path / "arrays"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv(arrays.FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(arrays, "_register", None)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "manifest.json").write_text('{"viewer": "viewer.0123456789ab.js", "gallery": "gallery.0123456789ab.js"}')
    (tmp_path / "static" / "viewer.0123456789ab.js").write_text("export default {};" * 1000)
    monkeypatch.setattr(assets, "STATIC_FOLDER", tmp_path / "static")
    return session


class Browser:
    """What a browser hears of a channel: answers put together from their parts."""

    def __init__(self):
        self.heard = []
        self.arrived = threading.Event()
        self.channel = Channel(kernel_gateway, self.take)

    def take(self, content, buffers):
        self.heard.append((content, buffers))
        if content.get("part", 0) + 1 == content.get("parts", 1):
            self.arrived.set()

    def ask(self, **content):
        self.arrived.clear()
        self.heard.clear()
        assert self.channel.heard(content)
        assert self.arrived.wait(60)
        body = b"".join(bytes(buffers[0]) for _, buffers in self.heard if buffers)
        first = self.heard[0][0]
        return first, gzip.decompress(body) if first.get("encoding") == "gzip" else body


def test_a_slice_comes_by_message_as_by_http(kernel):
    content, body = Browser().ask(kind="get", id=7, path=f"series/{DATASET}/{kernel.ct}/slice", query={"plane": "coronal", "index": 17})
    assert (content["kind"], content["id"], content["status"], content["parts"]) == ("answer", 7, 200, 1)
    assert content["headers"]["X-Cohortlab-Type"] == "int16"
    shape = tuple(map(int, content["headers"]["X-Cohortlab-Shape"].split(",")))
    np.testing.assert_array_equal(np.frombuffer(body, "<i2").reshape(shape), ct_values()[:, 17])
    json.dumps(content)


def test_a_large_answer_comes_in_parts(kernel, monkeypatch):
    monkeypatch.setattr(channel, "PART_BYTES", 1000)
    content, body = Browser().ask(kind="get", id=1, path=f"series/{DATASET}/{kernel.ct}/volume")
    assert content["parts"] > 3
    assert body == ct_values().tobytes()


def test_problems_come_as_problems(kernel):
    content, body = Browser().ask(kind="get", id=1, path=f"series/{DATASET}/{kernel.ct}/slice", query={"plane": "axial", "index": 99})
    assert (content["status"], json.loads(body)["code"]) == (400, "invalid-input")
    for wrong in ({"path": 3}, {"path": "../../etc/passwd"}, {"path": "static/../server.py"}, {"path": "static/nothing"}, {"query": 3}):
        content, body = Browser().ask(**{"kind": "get", "id": 1, "path": "datasets", **wrong})
        assert content["status"] in {400, 404}
        assert b"root:" not in body


def test_the_bundle_comes_by_message_too():
    content, body = Browser().ask(kind="get", id=1, path="static/viewer.0123456789ab.js")
    assert content["status"] == 200
    assert body.startswith(b"export default")
    assert content["encoding"] == "gzip"


def test_a_known_etag_is_not_sent_again(kernel):
    browser = Browser()
    asked = {"kind": "get", "path": f"series/{DATASET}/{kernel.ct}/meta"}
    first, _ = browser.ask(id=1, **asked)
    again, body = browser.ask(id=2, headers={"If-None-Match": first["headers"]["ETag"]}, **asked)
    assert (again["status"], body) == (304, b"")


def test_what_is_cancelled_before_it_is_read_is_not_sent(kernel, monkeypatch):
    browser = Browser()
    begun, go = threading.Event(), threading.Event()
    reply = browser.channel.reply

    def slow(content, stop):
        begun.set()
        go.wait(60)
        return reply(content, stop)

    monkeypatch.setattr(browser.channel, "reply", slow)
    browser.channel.heard({"kind": "get", "id": 5, "path": f"series/{DATASET}/{kernel.ct}/volume"})
    assert begun.wait(60)
    browser.channel.heard({"kind": "cancel", "id": 5})
    go.set()
    monkeypatch.setattr(browser.channel, "reply", reply)
    browser.ask(kind="hello")
    content, _ = browser.ask(kind="get", id=6, path="datasets")
    assert content["id"] == 6
    assert all(said.get("id") != 5 for said, _ in browser.heard)


def test_other_messages_are_not_taken():
    assert not Channel(kernel_gateway, lambda *_: None).heard({"kind": "brush"})
    assert not Channel(kernel_gateway, lambda *_: None).heard({})


def test_a_widget_answers_over_its_comm(kernel):
    shown = view(f"{DATASET}/{kernel.ct}")
    sent, arrived = [], threading.Event()
    shown.send = lambda content, buffers=None: (sent.append((content, buffers)), arrived.set())
    shown._message(shown, {"kind": "hello"}, [])
    assert arrived.wait(60)
    assert sent[0][0] == {"kind": "hello", "gateway": True}


def test_compared_views_share_a_group(kernel):
    both = compare(f"{DATASET}/{kernel.ct}", np.zeros((4, 5, 6), np.int16), link=("index", "plane"))
    assert isinstance(both, ipywidgets.HBox)
    assert both.left.group == both.right.group != ""
    assert both.left.linked == both.right.linked == ["index", "plane"]
    other = compare(both.left, both.right)
    assert other.left.group != ""
    assert compare(f"{DATASET}/{kernel.ct}", f"{DATASET}/{kernel.mr}").left.group != other.left.group
    with pytest.raises(InvalidInputError, match="link"):
        compare(both.left, both.right, link=("colour",))
    assert "Beside it" in both._repr_mimebundle_()["text/plain"]


def test_a_gallery_of_a_dataset_a_list_or_a_table(kernel):
    store = Store.open(kernel.folder / DATASET, session_keys())
    wanted = [f"{DATASET}/{ref.id}" for ref in store]
    table = pd.DataFrame({"dataset": DATASET, "series": [ref.id for ref in store]})
    for cohort in (store, DATASET, list(store), wanted, table):
        assert [item["series"] for item in gallery(cohort).items] == wanted
    shown = gallery(store, size=64)
    assert shown.size == 64
    assert len(shown) == 3
    shown.selected = wanted[1:2]
    assert shown.view().series == wanted[1]
    with pytest.raises(traitlets.TraitError):
        shown.selected = ["other/series"]
    assert "VIEWER-1" not in json.dumps(shown.get_state()["items"])


@pytest.mark.parametrize("cohort", [[], 3, None, object(), pd.DataFrame({"a": [1]})])
def test_what_is_no_cohort_is_refused(cohort):
    with pytest.raises(InvalidInputError):
        gallery(cohort)


def test_a_gallery_of_what_is_not_here_is_refused():
    with pytest.raises(NotFoundError):
        gallery([f"{DATASET}/ct-000000000000"])


def test_a_display_has_our_own_type_and_text_and_no_pixel(kernel):
    shown = view(f"{DATASET}/{kernel.ct}")
    data, _ = shown._repr_mimebundle_()
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json", MIMETYPE}
    assert data[MIMETYPE]["model_id"] == shown.model_id
    assert "not for diagnosis" in data[MIMETYPE]["text"]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A function: access condition, right and whether a face may be seen -> a CT of a dataset with them, mounted in the session."""
    key = create_key(tmp_path / "published.key")
    mounts = tmp_path / "mounts"
    mounts.mkdir()

    def make(condition, dcat, *, face=False):
        name = f"made-{len(list(mounts.iterdir()))}"
        with StoreWriter(tmp_path / "root", name, "1.0.0") as writer:
            series = writer.add_series(ct_series(), {}).id
            about = {"recognisable": face}
            fields = ManifestFields(title="x", deidentification=about, gate="t", verdict="accepted", access_condition=condition, dcat=dcat)
            writer.finish(fields, key)
        (mounts / name).symlink_to(tmp_path / "root" / name / "1.0.0")
        monkeypatch.setenv("COHORTLAB_DATASETS", str(mounts))
        monkeypatch.setenv("COHORTLAB_TRUSTED_KEYS", key.public.text)
        return f"{name}/{series}"

    return make


PUBLIC = {"accessRights": "http://publications.europa.eu/resource/authority/access-right/PUBLIC"}


def test_public_data_leave_their_picture_in_a_saved_notebook(published):
    shown = view(published(AccessCondition.DOWNLOAD, PUBLIC))
    shown.plane, shown.index, shown.window = "coronal", 40, (0, 300)
    picture = Image.open(io.BytesIO(shown._repr_mimebundle_()[0]["image/png"])).convert("L")
    assert picture.size[0] > 100
    wanted = np.clip((ct_values()[::-1, 40] + 0.5) / 299 + 0.5, 0, 1) * 255
    # the slice is 60 x 30 mm, shown 512 wide above the line with the caveat
    found = np.asarray(picture.crop((0, 0, 512, 256)).resize((80, 12), Image.Resampling.BOX)).astype(float)
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("condition", "dcat"),
    [
        (AccessCondition.DOWNLOAD, {}),
        (AccessCondition.DOWNLOAD, {"accessRights": "RESTRICTED"}),
        (AccessCondition.DOWNLOAD, {"accessRights": ["PUBLIC"]}),
        (AccessCondition.DOWNLOAD, {"accessRights": "NON_PUBLIC"}),
        (AccessCondition.IN_SITU_PROCESSING, PUBLIC),
    ],
)
def test_all_others_leave_words_only(published, condition, dcat):
    data, _ = view(published(condition, dcat))._repr_mimebundle_()
    assert "image/png" not in data
    assert base64.b64encode(ct_values()[6, :2].tobytes()).decode() not in json.dumps(data)


def test_a_face_leaves_words_only(published):
    assert "image/png" not in view(published(AccessCondition.DOWNLOAD, PUBLIC, face=True))._repr_mimebundle_()[0]


def test_arrays_leave_words_only(published):
    published(AccessCondition.DOWNLOAD, PUBLIC)
    assert "image/png" not in view(ct_values())._repr_mimebundle_()[0]


def exported(data):
    """A saved notebook with this output, as nbconvert makes a page of it."""
    import nbconvert  # noqa: PLC0415 - takes long to load
    import nbformat  # noqa: PLC0415 - as above

    plain = {kind: base64.b64encode(value).decode() if isinstance(value, bytes) else value for kind, value in data.items()}
    cell = nbformat.v4.new_code_cell("v", outputs=[nbformat.v4.new_output("display_data", plain)])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    return nbconvert.HTMLExporter(template_name="basic").from_notebook_node(notebook)[0]


def test_a_page_of_a_saved_notebook_shows_words_and_of_public_data_the_picture(published):
    closed = exported(view(published(AccessCondition.DOWNLOAD, {}))._repr_mimebundle_()[0])
    assert "Cohortlab view of" in closed
    assert "data:image" not in closed
    open_to_all = exported(view(published(AccessCondition.DOWNLOAD, PUBLIC))._repr_mimebundle_()[0])
    assert "data:image/png" in open_to_all
