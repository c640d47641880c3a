"""The viewer without a kernel, alone on a page of a session at the hub: measures, fallbacks, three planes, letters, gallery, links."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect
from sample_store import CT_SHAPE, DATASET, ct_values
from viewer_canvas import SPACING, after_frame, canvas_of, check_canvas, drag, fresh, letters, number, pixel_size, shows
from viewer_pages import open_bare, open_series


@pytest.fixture
def ct(context, lab, viewer_sample):
    """The sample's CT, labels over it, exact voxels; and what the page asked for."""
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = open_series(context, lab, f"{DATASET}/{viewer_sample.ct}")
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    shows(page, "axial", 6)
    fresh(page, "n")
    return page, asked


def spot(page, row: float, column: float) -> tuple[float, float]:
    """CSS pixels of a place in the axial slice, whole numbers at voxel centres."""
    height, width, _ = canvas_of(page).shape
    pixel = pixel_size((height, width), "axial")
    x = width / 2 + ((column + 0.5) - CT_SHAPE[2] / 2) * SPACING["x"] / pixel
    y = height / 2 + ((row + 0.5) - CT_SHAPE[1] / 2) * SPACING["y"] / pixel
    return x, y


def test_measures_are_those_of_the_values_and_the_spacing(ct):
    page, asked = ct
    check_canvas(page, "axial", 6)
    height, width, _ = canvas_of(page).shape
    half_pixel = pixel_size((height, width), "axial") / 2
    page.keyboard.press("d")
    drag(page, spot(page, 10, 12), spot(page, 70, 52))
    text = page.locator(".viewer .mark text")
    length = number(text.text_content())
    assert abs(length - np.hypot(60 * SPACING["y"], 40 * SPACING["x"])) <= half_pixel + 0.05  # shown with one digit

    page.keyboard.press("Delete")
    expect(page.locator(".viewer .mark")).to_have_count(0)
    page.keyboard.press("t")
    drag(page, spot(page, 19.5, 29.5), spot(page, 39.5, 59.5))
    values = ct_values()[6, 20:40, 30:60].astype(float)
    area, mean, spread = (line.text_content() for line in page.locator(".viewer .mark text tspan").all())
    assert abs(number(area) * (100 if "cm" in area else 1) - 20 * 30 * SPACING["y"] * SPACING["x"]) <= 2 * half_pixel * (10 + 22.5)
    assert mean == f"{values.mean():.1f} ± {values.std():.1f} HU".replace("-", "\u2212")
    assert spread == f"{values.min():.0f} to {values.max():.0f} HU".replace("-", "\u2212")

    x, y = spot(page, 33, 44)
    page.locator(".viewer .stage > canvas").hover(position={"x": x, "y": y})
    expect(page.locator(".viewer .status")).to_contain_text("x 44  y 33  z 6")
    shown = number(page.locator(".viewer .status").inner_text())
    assert shown == ct_values()[6, 33, 44]
    # the first image pays for no engine that it does not need
    assert not [url for url in asked if "/static/mpr." in url or "/static/slide." in url]


def test_three_planes_move_together_and_go_back_to_the_slice(ct):
    page, asked = ct
    page.get_by_role("button", name="Three planes").click()
    page.locator(".mpr[data-shown]").wait_for()
    after_frame(page)
    assert [url for url in asked if "/static/mpr." in url]
    before = canvas_of(page, ".mpr canvas.gl")
    assert before.std() > 10
    page.locator(".mpr .pane[data-view=axial]").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    after_frame(page)
    assert np.abs(canvas_of(page, ".mpr canvas.gl") - before).max() > 10
    page.get_by_role("combobox", name="Slab").select_option("mip")
    after_frame(page)
    page.get_by_role("button", name="Three planes").click()
    expect(page.locator(".viewer")).not_to_have_attribute("data-shown", "axial 6 0")


def test_frames_of_a_diffusion_series_play_and_step(context, lab, viewer_sample):
    page = open_series(context, lab, f"{DATASET}/{viewer_sample.mr}")
    page.locator(".viewer .stage > canvas").focus()
    expect(page.locator(".viewer .text.sw")).to_contain_text("b value 50")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".viewer .text.sw")).to_contain_text("b value 800")
    index = page.locator(".viewer .depth").input_value()
    page.keyboard.press(" ")
    expect(page.locator(".viewer .depth")).not_to_have_value(index)
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_have_attribute("aria-pressed", "false")


def test_without_webgl_the_same_slice_is_drawn_by_the_processor(context, lab, viewer_sample):
    without = """const real = HTMLCanvasElement.prototype.getContext;
      HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
        return kind === "webgl2" ? null : real.call(this, kind, ...more);
      };"""
    page = open_series(context, lab, f"{DATASET}/{viewer_sample.ct}", lambda page: page.add_init_script(without))
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    shows(page, "axial", 6)
    fresh(page, "n")
    check_canvas(page, "axial", 6, slack=1.01)  # a 2-D canvas rounds image and label apart
    expect(page.locator(".viewer .hint")).to_contain_text("drawn by the processor")


def test_letters_of_a_real_oblique_series(context, lab, test_data):
    assert test_data.is_dir()
    shown = letters(open_series(context, lab, f"oblique/{lab.single['oblique']}")).split()
    right, down = np.reshape(lab.leaning, (2, 3))

    def named(direction: np.ndarray) -> str:
        strong = sorted((axis for axis in range(3) if abs(direction[axis]) >= 0.25), key=lambda axis: -abs(direction[axis]))[:2]
        return "".join(("LPH" if direction[axis] > 0 else "RAF")[axis] for axis in strong)

    # hung with the patient's left (or back) at the right and head (or front) at the top, whichever way the rows ran
    ways = {named(sign * side) for sign in (1, -1) for side in (right, down)}
    assert set(shown) == ways
    assert shown[1][0] in "LP"
    assert shown[2][0] in "AH"
    assert max(map(len, shown)) == 2  # it is oblique


def test_a_gallery_of_five_hundred_keeps_few_in_the_page(context, lab, viewer_sample):
    ids = [viewer_sample.ct, viewer_sample.mr, viewer_sample.mammogram]
    # five hundred names for three series: what is asked of names that do not exist is answered for the three
    context.route(re.compile(r"-of-\d+/"), lambda route: route.continue_(url=re.sub(r"-of-\d+", "", route.request.url)))
    items = [
        {"series": f"{DATASET}/{ids[n % 3]}-of-{n}", "version": "", "title": f"Case {n}", "text": ("CT", "MR", "MG")[n % 3]}
        for n in range(500)
    ]
    script = f"""
      const state = {{ items: {items!r}, selected: [], size: 96 }};
      const set = (name, value) => {{ state[name] = value; }};
      const model = {{ get: (name) => state[name], set, save_changes() {{}}, on() {{}}, off() {{}} }};
      window.chosen = () => state.selected;
      (await import(bundles.gallery)).default.render({{ model, el: place }});"""
    page = open_bare(context, lab, script)
    cells = page.get_by_role("option")
    expect(cells.first).to_be_visible()
    assert 10 < cells.count() < 120
    expect(cells.first.locator("img")).to_have_js_property("naturalWidth", 96)
    cells.first.click()
    page.keyboard.press("End")
    last = page.get_by_role("option", name="Case 499")
    expect(last).to_be_visible()
    page.keyboard.press(" ")
    assert page.evaluate("chosen()") == [items[0]["series"], items[499]["series"]]
    page.get_by_role("searchbox", name="Search").fill("case 12 ct")
    count = sum("12" in str(n) for n in range(0, 500, 3))
    expect(page.get_by_role("status")).to_contain_text(f"{count} of 500 series, 2 selected")
    assert cells.count() < 120


def test_linked_views_follow_each_other_without_a_kernel(context, lab, viewer_sample):
    traits = {"series": f"{DATASET}/{viewer_sample.ct}", "label": "", "group": "pair", "linked": ["index", "window", "zoom"], "marks": []}
    script = f"""
      const {{ default: widget }} = await import(bundles.viewer);
      for (const plane of ["axial", "axial"]) {{
        const state = {{ ...{json.dumps(traits)}, plane, index: 6, frame: 0, window: [40, 400], zoom: 1, pan: [0, 0] }};
        const set = (name, value) => {{ state[name] = value; }};
        const model = {{ get: (name) => state[name], set, save_changes() {{}}, on() {{}}, off() {{}}, send() {{}} }};
        const el = document.createElement("div");
        place.append(el);
        await widget.render({{ model, el }});
      }}"""
    page = open_bare(context, lab, script)
    first, second = page.locator(".viewer").first, page.locator(".viewer").nth(1)
    for viewer in (first, second):
        expect(viewer).to_have_attribute("data-shown", "axial 6 0")
    first.locator(".stage > canvas").focus()
    for key in ("ArrowDown", "ArrowDown", "2", "+"):
        page.keyboard.press(key)
    expect(second).to_have_attribute("data-shown", "axial 8 0")
    for corner in (viewer.locator(".text.se") for viewer in (first, second)):
        expect(corner).not_to_contain_text("C 40  W 400")
    assert first.locator(".text.se").inner_text() == second.locator(".text.se").inner_text()
    second.locator(".stage > canvas").focus()
    page.keyboard.press("Home")
    expect(first).to_have_attribute("data-shown", "axial 0 0")
