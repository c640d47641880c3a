"""Who draws a slice: the processor at first and where WebGL is a program itself, WebGL2 where there is a graphics card. Both exactly."""

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sample_store import DATASET
from viewer_canvas import after_frame, canvas_of, check_canvas, drag, fresh, shows
from viewer_pages import open_series

# The tests' Chromium draws WebGL by a program; a card calls itself by another name and draws the same.
CARD = """const told = WebGL2RenderingContext.prototype.getParameter;
  WebGL2RenderingContext.prototype.getParameter = function (name) {
    return name === 0x9246 ? "ANGLE (A graphics card)" : told.call(this, name);
  };"""
CONTEXTS = """window.__contexts = []; const real = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
    if (this.isConnected || kind === "webgl2") window.__contexts.push([kind, this.isConnected]);
    return real.call(this, kind, ...more);
  };"""
# a canvas keeps the kind that it was made with
ENGINE = """engine => {
  const canvas = document.querySelector("#place > div").shadowRoot.querySelector(".stage > canvas");
  return canvas.getContext("webgl2") === null ? engine === "2d" : engine === "webgl2";
}"""


def opened(context: BrowserContext, lab, viewer_sample, *scripts: str) -> Page:
    def before(page: Page) -> None:
        page.set_viewport_size({"width": 1200, "height": 800})  # few pixels lie on a voxel's edge in any of the planes
        for script in scripts:
            page.add_init_script(script)

    page = open_series(context, lab, f"{DATASET}/{viewer_sample.ct}", before)
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    shows(page, "axial", 6)
    return page


@pytest.mark.parametrize(("engine", "scripts"), [("2d", ()), ("webgl2", (CARD,))])
def test_each_engine_draws_the_stored_values(context, lab, viewer_sample, engine, scripts):
    page = opened(context, lab, viewer_sample, *scripts)
    page.wait_for_function(ENGINE, arg=engine)
    fresh(page, "n")
    for plane, index in (("axial", 6), ("coronal", 48), ("sagittal", 40)):
        page.get_by_role("radio", name=plane.capitalize()).click()
        shows(page, plane, index)
        after_frame(page)
        check_canvas(page, plane, index)
    page.keyboard.press("o")
    after_frame(page)
    check_canvas(page, "sagittal", 40, opacity=None)
    upright = canvas_of(page)
    page.keyboard.press("i")
    after_frame(page)
    assert set(np.unique(upright + canvas_of(page))) <= {0, 254, 255, 256}  # black around the image, its opposite in it
    # the hand still moves what is drawn, on whichever canvas
    before = canvas_of(page)
    drag(page, (300, 200), (380, 260))
    expect(page.locator(".viewer .text.se")).to_contain_text("W 525")
    after_frame(page)
    assert np.abs(canvas_of(page) - before).max() > 10


def test_the_first_image_waits_for_no_graphics_driver(context, lab, viewer_sample):
    page = opened(context, lab, viewer_sample, CONTEXTS)
    kinds = page.evaluate("window.__contexts")
    assert kinds[0][0] == "2d"
    assert ["webgl2", True] not in kinds
