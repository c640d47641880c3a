"""The main job as a person does it: sign in, open the tutorial, look at images, run a job at three hospitals."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from demo_process import Demo, demo
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect

STARTED = 90_000  # ms for a session to start on a slow machine
COMPUTED = 60_000


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Demo]:
    kept = request.config.getoption("--demo-state")
    with demo(Path(kept) if kept else tmp_path_factory.mktemp("demo") / "state") as running:
        yield running


def sign_in(page: Page, workbench: Demo, name: str) -> None:
    page.goto(workbench.address)
    expect(page.get_by_text("for research, not for diagnosis", exact=False).first).to_be_visible()
    page.locator("#username_input").fill(name)
    page.locator("#password_input").fill(workbench.password)
    page.locator("#login_submit").click()
    page.wait_for_url(f"**/user/{name}/lab**", timeout=STARTED)
    page.locator(".jp-LauncherCard").first.wait_for(timeout=STARTED)


def pixels(canvas: Locator) -> np.ndarray:
    """What the canvas shows, as rows x columns x 3."""
    return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"))


def drawn(page: Page) -> None:
    """Wait until the browser has drawn what was asked for."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def changed(canvas: Locator, viewer: Locator, act: Callable[[], object]) -> float:
    """Share of the canvas' pixels that `act` changes, once the viewer has drawn."""
    before = pixels(canvas)
    shown = viewer.get_attribute("data-shown")
    act()
    drawn(canvas.page)
    expect(viewer).not_to_have_attribute("data-shown", "")
    after = pixels(canvas)
    assert shown is not None
    return float(np.mean(np.any(before != after, axis=-1)))


def run_all(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def bring_into_view(page: Page, wanted: Locator) -> None:
    """Turn the wheel at the notebook's margin: JupyterLab renders only the cells that are near."""
    panel = page.locator(".jp-WindowedPanel-outer").first
    box = panel.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    for direction in (-1, 1):
        for _ in range(80):
            if wanted.count() and wanted.first.is_visible():
                wanted.first.scroll_into_view_if_needed()
                return
            page.mouse.wheel(0, direction * 200)
            drawn(page)
    raise AssertionError(f"not in the notebook: {wanted}")


def look_at_the_image(page: Page) -> Locator:
    """The image is not blank, and another one on scroll, on window and level, and with the overlay off."""
    canvas = page.locator(".jp-OutputArea canvas").first
    bring_into_view(page, canvas)
    viewer = page.locator("[data-shown]").first
    expect(viewer).not_to_have_attribute("data-shown", "", timeout=COMPUTED)
    assert pixels(canvas).std() > 10, "the image is blank"
    canvas.hover()
    assert changed(canvas, viewer, lambda: page.mouse.wheel(0, -240)) > 0.02
    canvas.focus()
    assert changed(canvas, viewer, lambda: page.keyboard.press("ArrowDown")) > 0.02
    box = canvas.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def drag() -> None:
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] + 90, middle[1] + 60, steps=4)
        page.mouse.up()

    assert changed(canvas, viewer, drag) > 0.02
    page.keyboard.press("r")
    assert changed(canvas, viewer, lambda: page.keyboard.press("o")) > 0.0005
    page.keyboard.press("o")
    return canvas


def run_a_job(page: Page) -> None:
    """The job in code has its result; the form submits another and shows its chart."""
    form = page.locator(".jp-OutputArea-output").filter(has=page.get_by_role("button", name="Submit"))
    bring_into_view(page, form)
    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_text("2 of 3 sites").first).to_be_visible(timeout=COMPUTED)
    expect(form.locator("svg").first).to_be_visible()
    expect(form.get_by_text("West Hospital").first).to_be_visible()
    bring_into_view(page, page.get_by_text("histogram on lesions-federated: 2 of 3 sites"))


def saved_notebook(page: Page, workbench: Demo) -> str:
    """Save, and read what was saved."""
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0, timeout=COMPUTED)
    return (workbench.state / "homes" / "researcher" / "tutorials" / "first-steps.ipynb").read_text()


@pytest.mark.timeout(1500)
def test_the_whole_journey(workbench: Demo, context: BrowserContext, request: pytest.FixtureRequest):
    page = context.new_page()
    sign_in(page, workbench, "researcher")
    page.locator(".jp-LauncherCard", has_text="First steps").click()
    expect(page.locator(".jp-Notebook").get_by_role("heading", name="First steps")).to_be_visible()
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first).to_be_attached(timeout=STARTED)
    run_all(page)
    # The last code cell has run when its number is there.
    expect(page.locator(".jp-InputPrompt", has_text="[11]:")).to_be_visible(timeout=STARTED)
    canvas = look_at_the_image(page)
    run_a_job(page)
    expect(page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)

    text = saved_notebook(page, workbench)
    assert len(json.loads(text)["cells"]) > 10
    assert "image/png" not in text
    assert workbench.password not in text

    bring_into_view(page, canvas)
    expect(page.locator("[data-shown]").first).not_to_have_attribute("data-shown", "")
    drawn(page)
    if folder := request.config.getoption("--screenshots"):
        page.screenshot(path=Path(folder) / "session.png")

    page.goto(f"{workbench.address}hub/logout")
    sign_in(page, workbench, "clinician")
    files = page.locator(".jp-DirListing-content")
    files.get_by_text("datasets", exact=True).dblclick()
    expect(files.get_by_text("mammography-cbis")).to_be_visible()
    expect(files.get_by_text("synthetic-lesions")).to_have_count(0)
    expect(files.get_by_text("prostatex")).to_have_count(0)
