"""The viewer in a notebook of a real JupyterLab: canvas and kernel agree, the hand and the keys do what they should."""

import base64
import json
import re

import nbformat
import numpy as np
import pytest
from page_watch import Watch
from playwright.sync_api import Browser, expect
from sample_store import DATASET, ct_values
from viewer_canvas import after_frame, canvas_of, check_canvas, drag, fresh, letters, shows
from viewer_notebook import open_notebook, printed, run_cell, write_notebook


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab, viewer_sample):
    """A notebook whose first cell shows the CT with its segmentation: one page and one kernel for all tests of this file."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=lab.state)
    context.set_default_timeout(60_000)
    watch = Watch(context)
    write_notebook(
        lab.home / "view.ipynb",
        f"import cohortlab as cl\nv = cl.view('{DATASET}/{viewer_sample.ct}', label_image='{DATASET}/{viewer_sample.seg}')\nv",
        "print(v.plane, v.index, *v.window, v.overlay)",
        "v.plane, v.index = 'coronal', 40",
        "while True: pass",
        "import json\nprint(json.dumps(v.marks))",
        "print((v.segmentation == 2).sum())",
    )
    page = open_notebook(context, lab, "view.ipynb")
    run_cell(page, 0)
    shows(page, "axial", 6)
    yield page
    context.close()
    watch.check()


@pytest.fixture
def opened(notebook):
    """As it was opened, with exact voxels instead of smooth ones."""
    fresh(notebook)
    if "exact" not in notebook.locator(".viewer .text.se").inner_text():
        notebook.keyboard.press("n")
        after_frame(notebook)
    shows(notebook, "axial", 6)
    return notebook


def test_the_canvas_shows_the_slice_and_follows_the_hand(opened):
    page = opened
    check_canvas(page, "axial", 6)
    assert canvas_of(page).std() > 10

    page.locator(".viewer .stage > canvas").hover()
    page.mouse.wheel(0, 100)
    shows(page, "axial", 7)
    check_canvas(page, "axial", 7)
    expect(page.locator(".viewer .status")).to_contain_text("HU")

    before = canvas_of(page)
    drag(page, (300, 200), (380, 260))
    expect(page.locator(".viewer .text.se")).to_contain_text("W 525")
    assert np.abs(canvas_of(page) - before).max() > 10
    # the kernel hears of it, and its numbers are those of the picture
    plane, index, center, width, overlay = printed(page, 1).split()
    assert (plane, index, overlay) == ("axial", "7", "True")
    check_canvas(page, "axial", 7, (float(center), float(width)))

    fresh(page, "o")
    expect(page.get_by_role("checkbox", name="Show labels")).not_to_be_checked()
    shows(page, "axial", 6)
    check_canvas(page, "axial", 6, opacity=None)
    page.keyboard.press("o")
    after_frame(page)
    check_canvas(page, "axial", 6)
    page.get_by_role("checkbox", name="Show Lesion").uncheck()
    after_frame(page)
    check_canvas(page, "axial", 6, opacity=None)
    page.get_by_role("checkbox", name="Show Lesion").check()

    # the kernel's word moves the picture
    run_cell(page, 2)
    shows(page, "coronal", 40)
    check_canvas(page, "coronal", 40)


def test_planes_letters_and_keys(opened):
    page = opened
    # the stack leans by 20 degrees: front and back lean to head and foot
    assert letters(page) == "R L AH PF"
    for keys, turned in (("]", "PF AH R L"), ("]]", "L R PF AH"), ("h", "L R AH PF"), ("v", "R L PF AH"), ("]h", "AH PF R L")):
        fresh(page, *keys)
        assert letters(page) == turned
    fresh(page, "h")
    found = canvas_of(page)
    fresh(page)
    assert (found[:, ::-1] == canvas_of(page)).mean() > 0.99  # but for pixels on a voxel's edge

    page.get_by_role("radio", name="Sagittal").click()
    shows(page, "sagittal", 40)
    check_canvas(page, "sagittal", 40)
    assert letters(page) == "AH PF HP FA"
    page.locator(".viewer .stage > canvas").focus()
    page.keyboard.press("c")
    shows(page, "coronal", 48)
    for key, index in (("ArrowDown", 49), ("PageDown", 59), ("End", 95), ("ArrowUp", 94), ("PageUp", 84), ("Home", 0)):
        page.keyboard.press(key)
        shows(page, "coronal", index)
    check_canvas(page, "coronal", 0)
    for key, window in (("3", "C 50"), ("1", "C 40")):
        page.keyboard.press(key)
        expect(page.locator(".viewer .text.se")).to_contain_text(window)
    page.keyboard.press("?")
    expect(page.get_by_role("note", name="Keys")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("note", name="Keys")).to_be_hidden()
    expect(page.locator(".viewer").get_by_text("For research, not for diagnosis")).to_be_visible()
    expect(page.locator(".viewer .stage > canvas")).to_have_attribute("aria-label", "CT · Oblique chest, Coronal 1 / 96")
    # keys of the notebook did not hear: "a", "c", "o", "r" would add, copy, fold or change cells
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 6


def test_marks_and_painted_labels_reach_the_kernel(opened, lab):
    page = opened
    page.keyboard.press("d")
    drag(page, (300, 200), (380, 260))
    page.keyboard.press("p")
    page.get_by_role("button", name="Add a segment").click()
    before = canvas_of(page)
    drag(page, (420, 300), (440, 300))
    expect(page.get_by_role("checkbox", name="Show Segment 2")).to_be_visible()
    after_frame(page)
    painted = np.argwhere(np.abs(canvas_of(page) - before).max(axis=2) > 20)
    assert len(painted) > 200
    (mark,) = json.loads(printed(page, 4))
    assert (mark["kind"], mark["plane"], mark["index"], len(mark["points"])) == ("length", "axial", 6, 2)
    count = int(printed(page, 5))
    assert count > 10
    for button, what, said in (
        ("Save as DICOM SR", "annotations", "The marks were saved as"),
        ("Save as DICOM SEG", "segmentations", "The segmentation was saved as"),
    ):
        page.get_by_role("button", name=button).click()
        expect(page.locator(".viewer .hint")).to_contain_text(said)
        (file,) = (lab.home / what / DATASET).glob("*.dcm")
        assert file.name in page.locator(".viewer .hint").inner_text()
    page.locator(".viewer .stage > canvas").focus()
    page.keyboard.press("Control+z")
    after_frame(page)
    assert np.abs(canvas_of(page) - before).max() <= 1
    assert int(printed(page, 5)) == 0
    page.locator(".viewer .stage > canvas").focus()
    page.keyboard.press("Control+z")
    expect(page.locator(".viewer .marks .mark")).to_have_count(0)


def test_a_busy_kernel_does_not_hold_the_image(opened):
    page = opened
    run_cell(page, 3)
    page.get_by_role("button", name="Python 3 (ipykernel) | Busy").wait_for()
    page.locator(".viewer .stage > canvas").focus()
    for index in (7, 8, 9):
        page.keyboard.press("ArrowDown")
        shows(page, "axial", index)
    check_canvas(page, "axial", 9)
    page.get_by_role("menuitem", name="Kernel").click()
    page.get_by_role("menuitem", name=re.compile("^Interrupt Kernel")).click()
    page.get_by_role("button", name="Python 3 (ipykernel) | Idle").wait_for()


def test_a_saved_notebook_holds_no_pixel_and_says_what_was_shown(opened, lab):
    page = opened
    printed(page, 1)  # the kernel has heard of all that the keys did: nothing changes the notebook after it is saved
    page.locator(".viewer .stage > canvas").focus()
    page.keyboard.press("Control+s")  # in the viewer: the page around hears it
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    saved = (lab.home / "view.ipynb").read_text()
    text = nbformat.reads(saved, as_version=4).cells[0].outputs[0].data["text/plain"]
    assert "Cohortlab view of" in text
    assert "not for diagnosis" in text
    assert "image/" not in saved
    values = ct_values()[6].tobytes()
    for start in range(0, len(values) - 48, 480):
        assert base64.b64encode(values[start : start + 48]).decode() not in saved
        assert json.dumps(np.frombuffer(values[start : start + 48], "<i2").tolist()) not in saved


def test_a_view_whose_kernel_has_ended_is_said_in_words(opened, lab):
    page = opened  # saved by the test before
    page.get_by_role("menuitem", name="Kernel").click()
    page.get_by_role("menuitem", name="Shut Down Kernel").click()
    page.get_by_role("button", name="No Kernel | Unknown").wait_for()
    page.goto(f"{lab.url}lab/tree/view.ipynb?reset")
    expect(page.locator(".jp-OutputArea-output").first).to_contain_text("Cohortlab view of")
    page.get_by_role("button", name="Python 3 (ipykernel) | Idle").wait_for()  # a kernel that starts would hold the server's end


def test_the_launcher_opens_the_tutorial(context, lab):
    page = context.new_page()
    page.goto(f"{lab.url}lab?reset")
    page.locator(".jp-LauncherCard", has_text="First steps").click()
    page.get_by_role("tab", name="first-steps.ipynb").wait_for()
    assert (lab.home / "tutorials" / "first-steps.ipynb").is_file()


def test_series_open_in_tabs_and_their_lines_drop_into_cells(context, lab, viewer_sample):
    write_notebook(lab.home / "line.ipynb", "")
    page = context.new_page()
    page.goto(f"{lab.url}lab/tree/line.ipynb?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator('.jp-SideBar [data-id="cohortlab-datasets"]').click()
    panel = page.locator(".cohortlab-panel")
    expect(panel.locator("li", has_text="Oblique chest").first).to_be_visible()
    panel.get_by_role("searchbox", name="Search series").fill("ct oblique")
    expect(panel.locator("li")).to_have_count(1)
    expect(panel.locator("li img")).to_have_js_property("complete", value=True)
    panel.locator("li").drag_to(page.locator(".jp-Notebook .jp-CodeCell .cm-content"))
    expect(page.locator(".jp-Notebook .jp-CodeCell .cm-content")).to_contain_text(f'cl.open("{DATASET}/{viewer_sample.ct}")')

    page.locator('.jp-SideBar [data-id="filebrowser"]').click()
    for folder in ("datasets", DATASET, "segmentations"):
        page.locator(".jp-DirListing-item", has_text=folder).dblclick()
    page.locator(".jp-DirListing-item", has_text=viewer_sample.seg + ".zarr").dblclick()
    # a segmentation opens on the image that it was made on
    page.get_by_role("tab", name=viewer_sample.seg).wait_for()
    shows(page, "axial", 6)
    fresh(page, "n")
    check_canvas(page, "axial", 6)
