"""What the viewer shows of other kinds and in other hands: PET on CT, one slice, uneven slices, fingers, two tabs, no canvas."""

import io

import numpy as np
from PIL import Image
from playwright.sync_api import CDPSession, Page, expect
from sample_store import DATASET
from viewer_canvas import after_frame, canvas_of, check_canvas, drag, expected, fresh, number, shows
from viewer_pages import open_bare, open_series
from viewer_stores import EXTENT, HOT, deep_values

COLOURED = 40  # between the channels of a pixel: tracer's colours, not the CT's grey
PANES = {"axial": ("x", 1, "y", 1), "coronal": ("x", 1, "z", -1), "sagittal": ("y", 1, "z", -1)}


def span(mask: np.ndarray) -> tuple[float, float]:
    """First and one after the last place along one side where the mask holds."""
    (places,) = np.nonzero(mask)
    return float(places[0]), float(places[-1] + 1)


def test_pet_lies_on_ct_in_three_planes(context, lab):
    page = open_series(context, lab, f"kinds/{lab.kinds.ct}")
    page.get_by_role("button", name="Three planes").click()
    page.locator(".mpr[data-shown='20 64 64']").wait_for()
    with page.expect_response(lambda answer: f"{lab.kinds.pet}/volume" in answer.url):
        page.get_by_role("combobox", name="Over it").select_option(lab.kinds.pet)
    frame = page.locator(".mpr").bounding_box()

    def coloured(view: str) -> tuple[np.ndarray, np.ndarray]:
        """Where a pane has the tracer's colours, and where it has anything."""
        pane = page.locator(f".mpr .pane[data-view={view}]").bounding_box()
        top, left = round(pane["y"] - frame["y"]), round(pane["x"] - frame["x"])
        shown = canvas_of(page, ".mpr canvas.gl")[top : top + round(pane["height"]), left : left + round(pane["width"])]
        return np.ptp(shown, axis=2) > COLOURED, shown.max(axis=2) > 60

    page.wait_for_function(
        """() => {
          const gl = document.querySelector("#place > div").shadowRoot.querySelector(".mpr canvas.gl").getContext("webgl2");
          const pixels = new Uint8Array(gl.drawingBufferWidth * gl.drawingBufferHeight * 4);
          gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
          for (let at = 0; at < pixels.length; at += 4) if (pixels[at] - pixels[at + 2] > 40) return true;
          return false;
        }"""
    )
    for view, (across, sense, down, downwards) in PANES.items():
        hot, image = coloured(view)
        for axis, sign, mask, whole in (
            (across, sense, hot.any(axis=0), image.any(axis=0)),
            (down, downwards, hot.any(axis=1), image.any(axis=1)),
        ):
            begin, end = span(whole)
            size = EXTENT[axis] / (end - begin)  # mm of a pixel
            first, last = ((place - (begin + end) / 2) * size * sign for place in span(mask))
            wanted, found = HOT[axis], sorted((first, last))
            # interpolated between voxels of 2 mm, so its edge is up to one of them away
            assert np.abs(np.subtract(found, wanted)).max() < 2, (view, axis, found, wanted)

    # above the tracer a thin slice shows none of it, the maximum of a thick slab does
    page.locator(".mpr .pane[data-view=axial]").focus()
    for _ in range(16):  # 1 mm each, from 1 mm
        page.keyboard.press("ArrowUp")
    after_frame(page)
    assert not coloured("axial")[0].any()
    page.get_by_role("combobox", name="Slab").select_option("mip")
    page.get_by_role("slider", name="Thickness").fill("40")
    after_frame(page)
    assert span(coloured("axial")[0].any(axis=0))[0] > 0
    page.get_by_role("combobox", name="Slab").select_option("slice")

    # a circle turns the other two planes about the crosshair; straightened they are what they were
    after_frame(page)
    page.locator(".mpr[data-drawn=sharp]").wait_for()  # with all pixels, as it is drawn when nothing moves
    before = canvas_of(page, ".mpr canvas.gl")
    circle = page.locator(".mpr .pane[data-view=axial] svg circle").first.bounding_box()
    x, y = circle["x"] + circle["width"] / 2, circle["y"] + circle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 60, steps=4)
    page.mouse.up()
    after_frame(page)
    assert "F" in page.locator(".mpr .pane[data-view=coronal] .letter.bottom").inner_text()
    assert len(page.locator(".mpr .pane[data-view=coronal] .letter.right").inner_text()) == 2  # oblique
    assert np.abs(canvas_of(page, ".mpr canvas.gl") - before).max() > 40
    page.get_by_role("button", name="Straighten").click()
    after_frame(page)
    page.locator(".mpr[data-drawn=sharp]").wait_for()
    assert (canvas_of(page, ".mpr canvas.gl") == before).mean() > 0.999


def test_one_slice_and_uneven_slices_are_shown_and_say_why(context, lab):
    page = open_series(context, lab, f"kinds/{lab.kinds.single}")
    page.locator(".viewer .stage > canvas").focus()
    expect(page.locator(".viewer .text.sw")).to_contain_text("1 / 1")
    expect(page.locator(".viewer .depth")).to_be_hidden()
    for key in ("ArrowDown", "End", " "):
        page.keyboard.press(key)
    expect(page.locator(".viewer .text.sw")).to_contain_text("1 / 1")
    values = np.clip((deep_values()[0] - 39.5) / 399 + 0.5, 0, 1).mean() * 255
    found = canvas_of(page)
    assert abs(found[found.max(axis=2) > 0].mean() - values) < 4

    page = open_series(context, lab, f"kinds/{lab.kinds.uneven}")
    page.locator(".viewer .stage > canvas").focus()
    expect(page.locator(".viewer")).to_contain_text("Slices only")
    expect(page.locator(".viewer")).to_contain_text("missing slice")
    expect(page.get_by_role("radio", name="Coronal")).to_have_count(0)
    expect(page.get_by_role("button", name="Three planes")).to_be_hidden()
    page.keyboard.press("End")
    expect(page.locator(".viewer .text.sw")).to_contain_text("6 / 6")


def test_the_caveat_stays_and_the_colours_follow_the_theme(context, lab):
    page = open_series(context, lab, f"{DATASET}/{lab.sample.ct}")
    shows(page, "axial", 6)
    color = "element => getComputedStyle(element).getPropertyValue('--paper')"
    viewer = page.locator(".viewer")
    light = viewer.evaluate(color)
    page.emulate_media(color_scheme="dark")
    assert viewer.evaluate(color) != light
    page.evaluate("() => document.body.style.setProperty('--jp-layout-color1', '#123456')")  # as JupyterLab's themes say it
    assert viewer.evaluate(color).strip() == "#123456"
    for width in (1440, 820, 480):
        page.set_viewport_size({"width": width, "height": 900})
        expect(viewer.get_by_text("For research, not for diagnosis")).to_be_visible()
        expect(viewer.get_by_text("The screen is not calibrated")).to_be_visible()


def fingers(session: CDPSession, kind: str, *places: tuple[float, float]) -> None:
    """Fingers come, move or go; `places` are theirs on the page."""
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def gesture(page: Page, session: CDPSession, *ways: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Each finger goes from one place to another, in five steps."""
    for step in range(6):
        places = [(ax + (bx - ax) * step / 5, ay + (by - ay) * step / 5) for (ax, ay), (bx, by) in ways]
        fingers(session, "touchStart" if step == 0 else "touchMove", *places)
    fingers(session, "touchEnd")
    after_frame(page)


def test_fingers_scroll_zoom_and_move(tablet, lab):
    page = open_series(tablet, lab, f"{DATASET}/{lab.sample.ct}")
    shows(page, "axial", 6)
    session = tablet.new_cdp_session(page)
    box = page.locator(".viewer .stage > canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    corner = page.locator(".viewer .text.se")
    window = corner.inner_text().splitlines()[0]

    gesture(page, session, ((x, y), (x, y + 40)))  # one finger down: on, a slice each 12 pixels
    shows(page, "axial", 9)
    gesture(page, session, ((x, y), (x, y - 60)))
    shows(page, "axial", 4)
    assert corner.inner_text().splitlines()[0] == window  # a finger does not window

    def zoom() -> float:
        return number(corner.inner_text().splitlines()[1])

    def edges() -> tuple[float, float]:
        return span((canvas_of(page).max(axis=2) > 0).any(axis=0))

    fit = zoom()
    gesture(page, session, ((x - 40, y), (x - 20, y)), ((x + 40, y), (x + 20, y)))  # two fingers closer together
    assert abs(zoom() / fit - 0.5) < 0.02
    begin, end = edges()
    gesture(page, session, ((x - 40, y), (x + 10, y)), ((x + 40, y), (x + 90, y)))  # and aside, at one distance
    assert abs(zoom() / fit - 0.5) < 0.02
    moved = edges()
    assert abs(moved[0] - begin - 50) < 4
    assert abs(moved[1] - end - 50) < 4
    shows(page, "axial", 4)
    assert page.evaluate("() => [visualViewport.scale, scrollX, scrollY]") == [1, 0, 0]  # the page itself stays

    # buttons are large enough for a finger, and take it
    page.get_by_role("radio", name="Coronal").tap()
    shows(page, "coronal", 48)


def test_two_tabs_show_one_series_each_for_itself(context, lab):
    name = f"{DATASET}/{lab.sample.ct}"
    first, second = open_series(context, lab, name), open_series(context, lab, name)
    for page in (first, second):
        page.get_by_role("checkbox", name="Show Lesion").wait_for()
        fresh(page, "n")
    second.keyboard.press("c")
    shows(second, "coronal", 48)
    first.bring_to_front()
    first.keyboard.press("ArrowDown")
    shows(first, "axial", 7)
    check_canvas(first, "axial", 7)
    second.bring_to_front()
    check_canvas(second, "coronal", 48)
    first.close()
    second.keyboard.press("ArrowDown")
    shows(second, "coronal", 49)
    check_canvas(second, "coronal", 49)


NO_CANVAS = """HTMLCanvasElement.prototype.getContext = () => null;
  if (typeof OffscreenCanvas === "function") OffscreenCanvas.prototype.getContext = () => null;"""


def test_where_nothing_can_be_drawn_the_server_makes_the_pictures(context, lab):
    page = open_series(context, lab, f"{DATASET}/{lab.sample.ct}", lambda page: page.add_init_script(NO_CANVAS))
    page.locator(".viewer .stage > canvas").focus()
    expect(page.locator(".viewer .hint")).to_contain_text("pictures come from the server")
    page.keyboard.press("n")
    picture = page.locator(".viewer img.picture")

    def check(plane: str, index: int, window: tuple[float, float], flipped: bool = False) -> None:
        """The stage shows the slice, as well as a lossy picture can."""
        words = " ".join(f"{value:g}" for value in window)
        expect(picture).to_have_attribute("data-picture", f"{plane} {index} 0 0 {words}")
        after_frame(page)
        box = page.locator(".viewer .stage > canvas").bounding_box()
        found = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")).astype(float)
        wanted, _ = expected(found.shape[:2], plane, index, window, None)
        middle = np.s_[60:-60, 60:-60]  # texts stand at the edges
        assert np.abs(found - (wanted[:, ::-1] if flipped else wanted))[middle].mean() < 6

    check("axial", 6, (40, 400))
    assert "format=webp" in picture.evaluate("img => img.currentSrc")
    page.mouse.move(0, 0)
    page.keyboard.press("ArrowDown")
    check("axial", 7, (40, 400))
    page.keyboard.press("s")
    check("sagittal", 40, (40, 400))
    page.keyboard.press("h")
    check("sagittal", 40, (40, 400), flipped=True)
    page.keyboard.press("h")
    page.keyboard.press("3")
    page.locator(".viewer .text.se", has_text="C 50").wait_for()
    center, width = (number(part) for part in page.locator(".viewer .text.se").inner_text().split("W")[0:2])
    check("sagittal", 40, (center, width))
    # values and lengths are still those of the stored voxels
    page.keyboard.press("a")
    shows(page, "axial", 6)
    page.locator(".viewer .stage > canvas").hover()
    expect(page.locator(".viewer .status")).to_contain_text("HU")
    page.keyboard.press("d")
    drag(page, (300, 200), (380, 260))
    expect(page.locator(".viewer .mark text")).to_contain_text("mm")


def test_a_slide_is_shown_tile_by_tile(context, lab):
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = open_bare(context, lab, f"(await import(bundles.viewer)).openSeries(place, 'kinds/{lab.kinds.slide}', false);")
    page.locator(".slide[data-shown=slide]").wait_for()
    # redder to the right, bluer to the left, once the tiles are there
    page.wait_for_function(
        """() => {
          const canvas = document.querySelector("#place").shadowRoot.querySelector(".stage canvas");
          const at = (x) => canvas.getContext("2d").getImageData(canvas.width * x, canvas.height / 2, 1, 1).data;
          const [left, right] = [at(0.4), at(0.6)];
          return left[3] === 255 && right[3] === 255 && right[0] > left[0] + 20 && left[2] > right[2] + 20;
        }"""
    )
    assert [url for url in asked if "/static/slide." in url]
    assert any("region=" in url and "format=webp" in url for url in asked)
    expect(page.locator(".slide").get_by_text("For research, not for diagnosis")).to_be_visible()
