"""What the viewer says when something goes wrong: a store that vanishes, a corrupt chunk, an ended session, a revoked grant; 4 GiB."""

import time
from pathlib import Path

import numpy as np
import pytest
from person import Person
from playwright.sync_api import expect
from sample_store import DATASET
from viewer_canvas import after_frame, canvas_of, check_canvas, drag, fresh, shows
from viewer_hub import grant, revoke
from viewer_pages import open_bare, open_series
from viewer_stores import DEEP_SHAPE, VERSION, deep_values, huge_values, write_deep, write_huge

from cohortlab.keys import load_key

MINUTE = 60.0
CHUNK = 16  # slices
STATUS = """async ([url, cache]) => {
  const token = decodeURIComponent(document.cookie.match(/_xsrf=([^;]*)/)[1]);
  const answer = await fetch(url, { cache, mode: "same-origin", headers: { "X-XSRFToken": token } }).catch(() => null);
  return answer && answer.status;
}"""


@pytest.fixture
def mounted(apart):
    """A function that writes another dataset, by `write(root, dataset, key)`, and mounts it in the server without a hub."""
    mounts = []

    def mount(dataset, write):
        made = write(apart.folder.parent / "root", dataset, load_key(apart.folder.parent / "gate.key"))
        (apart.folder / dataset).symlink_to(apart.folder.parent / "root" / dataset / VERSION)
        mounts.append(apart.folder / dataset)
        return made

    yield mount
    for one in mounts:
        one.unlink()


def greys(values):
    """The stored values' greys under the deep stack's window, each slice's mean."""
    return np.clip((values - 39.5) / 399 + 0.5, 0, 1).mean() * 255


def middle(page):
    """The mean grey of the canvas's middle, where the slice surely is."""
    found = canvas_of(page)
    rows, columns, _ = found.shape
    return found[rows // 2 - 40 : rows // 2 + 40, columns // 2 - 40 : columns // 2 + 40].mean()


def test_a_series_that_vanishes_is_said_and_comes_back(careless, server, apart):
    page = open_series(careless, server, f"{DATASET}/{apart.ct}")
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    fresh(page, "n")
    mount = apart.folder / DATASET
    target = mount.readlink()
    mount.unlink()
    try:
        page.get_by_role("radio", name="Coronal").click()
        expect(page.get_by_role("alert")).to_contain_text("There is no such dataset")
        assert canvas_of(page).max() == 0  # no image under the words
    finally:
        mount.symlink_to(target)
    page.get_by_role("button", name="Try again").click()
    shows(page, "coronal", 48)
    check_canvas(page, "coronal", 48)


def test_a_corrupt_chunk_is_said_and_other_slices_go_on(careless, server, apart, mounted):
    series = mounted("damaged", write_deep)
    shard = apart.folder / "damaged" / "images" / f"{series}.zarr" / "scale0/image/c/0/0/0"
    shard.chmod(0o644)
    with shard.open("r+b") as file:
        file.write(b"\xff" * 256)  # the first chunk, slices 0 to 15; the others and their index stay
    page = open_series(careless, server, f"damaged/{series}")
    page.locator(".viewer .stage > canvas").focus()
    shows(page, "axial", DEEP_SHAPE[0] // 2)
    page.keyboard.press("Home")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("cannot be read")
    expect(alert).to_contain_text("data steward")
    assert canvas_of(page).max() == 0
    for _ in range(2):
        page.keyboard.press("PageDown")
    shows(page, "axial", 20)
    expect(alert).to_be_hidden()
    assert abs(middle(page) - greys(deep_values()[20])) < 2
    page.keyboard.press("PageUp")
    expect(alert).to_contain_text("cannot be read")


def test_the_viewer_comes_back_with_the_network(careless, server, apart):
    page = open_series(careless, server, f"{DATASET}/{apart.ct}")
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    shows(page, "axial", 6)
    fresh(page, "n")
    careless.set_offline(True)
    page.keyboard.press("s")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    careless.set_offline(False)
    shows(page, "sagittal", 40)  # nobody pressed a button
    check_canvas(page, "sagittal", 40)


def marked(page):
    """Draw a line, which is the person's own and saved nowhere; where it is."""
    page.keyboard.press("d")
    drag(page, (300, 300), (380, 360))
    mark = page.locator(".viewer svg.marks path.line").first
    mark.wait_for()
    page.keyboard.press("Escape")
    return mark.get_attribute("d")


def test_the_viewer_comes_back_with_its_session(careless, lab):
    page = open_series(careless, lab, f"{DATASET}/{lab.sample.ct}")
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    shows(page, "axial", 6)
    fresh(page, "n")
    line = marked(page)
    with Person(lab.hub.address, "ana", lab.hub.password) as ana:
        ana.stop()
        page.keyboard.press("s")
        expect(page.get_by_role("alert")).to_contain_text("Your session does not run")
        assert canvas_of(page).max() == 0
        ana.start()
    shows(page, "sagittal", 40)  # nobody pressed a button
    check_canvas(page, "sagittal", 40)
    page.keyboard.press("a")
    shows(page, "axial", 6)
    assert page.locator(".viewer svg.marks path.line").first.get_attribute("d") == line
    lab.state.update(careless.storage_state())  # the session's cookies are others now


def test_who_is_signed_out_signs_in_beside_the_viewer(careless, lab):
    page = open_series(careless, lab, f"{DATASET}/{lab.sample.ct}")
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    shows(page, "axial", 6)
    fresh(page, "n")
    line = marked(page)
    careless.clear_cookies()
    page.keyboard.press("s")
    expect(page.get_by_role("alert")).to_contain_text("You are signed out")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Sign in").click()
    form = opened.value
    form.locator("#username_input").fill("ana")
    form.locator("#password_input").fill(lab.hub.password)
    with form.expect_event("close"):  # when the viewer is let in
        form.locator("#login_submit").click()
    shows(page, "sagittal", 40)
    check_canvas(page, "sagittal", 40)
    page.keyboard.press("a")
    shows(page, "axial", 6)
    assert page.locator(".viewer svg.marks path.line").first.get_attribute("d") == line
    assert len(page.context.pages) == 1


def peak(process: int) -> int:
    """Bytes of memory that a process has had at most."""
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def test_four_gigabytes_are_shown_in_bounded_memory(careless, server, mounted):
    series = mounted("huge", write_huge)
    before = peak(server.process) if Path("/proc").is_dir() else 0
    page = open_series(careless, server, f"huge/{series}")
    page.locator(".viewer .stage > canvas").focus()
    page.keyboard.press("n")
    shows(page, "axial", 1024)
    for index in range(1025, 1030):
        page.keyboard.press("ArrowDown")
        shows(page, "axial", index)
    assert abs(middle(page) - np.clip((huge_values(1029)[400:624, 400:624] - 39.5) / 399 + 0.5, 0, 1).mean() * 255) < 8
    page.keyboard.press("End")
    shows(page, "axial", 2047)
    page.keyboard.press("c")
    shows(page, "coronal", 512)
    page.keyboard.press("s")
    shows(page, "sagittal", 512)
    page.get_by_role("button", name="Three planes").click()
    expect(page.locator(".mpr")).to_have_attribute("data-shown", "256 128 128")  # the finest level that fits into the limit
    if before:
        assert peak(server.process) - before < 512 * 2**20
    # of 4 GiB the page keeps what it shows: the cache, and the planes' 8 MiB
    heap = page.evaluate("async () => { const m = performance.memory; return m ? m.usedJSHeapSize : 0; }")
    assert heap < 600 * 2**20


def test_a_grant_that_is_revoked_while_one_scrolls_is_said(careless, lab):
    series = lab.single["leaving"]
    asked: list[str] = []
    careless.on("request", lambda request: asked.append(request.url))
    page = open_series(careless, lab, f"leaving/{series}")
    # a page that the test does not intercept, and so has the browser's cache as people's pages do
    other = careless.new_page()
    other.goto(f"{lab.url}cohortlab/signed-in")
    page.locator(".viewer .stage > canvas").focus()
    shows(page, "axial", 48)
    page.keyboard.press("ArrowDown")
    shows(page, "axial", 49)
    kept = next(url for url in asked if "/slice?" in url and "index=49" in url)
    assert other.evaluate(STATUS, [kept, "default"]) == 200
    assert other.evaluate(STATUS, [kept, "only-if-cached"]) == 200
    revoke(lab, "leaving", "the course is over")
    try:
        # the session goes on for its grace, its gateway does not
        deadline = time.monotonic() + MINUTE
        while page.request.get(f"{lab.url}cohortlab/api/series/leaving/{series}/meta").status != 403:
            assert time.monotonic() < deadline, "the gateway still answers after a minute"
            page.wait_for_timeout(250)
        alert = page.get_by_role("alert")
        while not alert.is_visible():  # slices that the viewer has: the series is asked for beside them, now and then
            assert time.monotonic() < deadline, "the viewer still shows what it keeps"
            page.keyboard.press("ArrowUp")
            page.keyboard.press("ArrowDown")
            page.wait_for_timeout(250)
        for key in ("ArrowUp", "ArrowDown", "End", "c", "a"):
            expect(alert).to_contain_text("was revoked")
            expect(alert).to_contain_text("the course is over")
            after_frame(page)
            assert canvas_of(page).max() == 0, key  # no image under the words, also none that was seen before
            page.keyboard.press(key)
        # nor is it in the browser's cache, where who opens the viewer anew would find it
        while other.evaluate(STATUS, [kept, "only-if-cached"]) == 200:
            assert time.monotonic() < deadline, "the browser still keeps what was seen"
            other.wait_for_timeout(250)
        again = open_bare(careless, lab, f"(await import(bundles.viewer)).openSeries(place, 'leaving/{series}', false);")
        expect(again.get_by_role("alert")).to_contain_text("the course is over")
        assert again.locator("canvas").count() == 0
        others = page.request.get(f"{lab.url}cohortlab/api/datasets").json()["datasets"]
        assert DATASET in {one["id"] for one in others}
        assert "leaving" not in {one["id"] for one in others}
    finally:
        grant(lab.file, "leaving")
