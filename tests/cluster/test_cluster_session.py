"""The main job on a cluster, in a browser: sign in at the provider, start, open two datasets, run code, see an image, stop."""

import io
import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
from bench import ADDRESS, DATASETS, image
from kube import PATIENCE
from PIL import Image
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, expect, sync_playwright
from surroundings import pod_spec, ready_when

import chromium

FRESH_LAB = f"{ADDRESS}user/ana/lab?reset"  # JupyterLab with its launcher, whatever was open before
MILLISECONDS = PATIENCE * 1000
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture
def page() -> Iterator[Page]:
    """A Chromium that fails its test when a page of the workbench speaks to another host or logs an error."""
    path = chromium.find()
    assert path, "needs Chromium: install your system's, or run `.venv/bin/playwright install chromium`"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=list(chromium.ARGUMENTS)) as browser:
        # The provider's certificate is signed by an authority of this test only.
        context: BrowserContext = browser.new_context(viewport={"width": 1440, "height": 900}, ignore_https_errors=True)
        context.set_default_timeout(MILLISECONDS)
        wrong: list[str] = []
        context.on("request", lambda request: wrong.extend(foreign(request)))
        context.on("console", lambda message: wrong.extend(logged(message)))
        yield context.new_page()
        context.close()
    assert wrong == []


def foreign(request: Request) -> list[str]:
    """A request of a page of ours to somewhere else, but for leaving to the provider."""
    host = urlsplit(ADDRESS).hostname
    theirs = request.is_navigation_request() or urlsplit(request.frame.url).hostname != host
    return [] if theirs or urlsplit(request.url).hostname in {host, None, ""} else [request.url]


def logged(message: ConsoleMessage) -> list[str]:
    where = str(message.location.get("url", ""))
    return [f"{where}: {message.text}"] if message.type == "error" and where.startswith(ADDRESS) else []


def sign_in(page: Page, name: str) -> None:
    """By the hub's button, the provider's form and its question for consent."""
    page.goto(ADDRESS)
    page.get_by_role("link", name="Sign in").or_(page.get_by_role("button", name="Sign in")).first.click()
    page.locator("input[name=login]").fill(f"sub-{name}")
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button").first.click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(re.compile(f"{re.escape(ADDRESS)}(hub/home|hub/spawn|user/)"))


def run_cell(page: Page, code: str) -> str:
    """Run code in the notebook's last cell; what stands below it."""
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    number = cells.count()
    cells.last.locator(".cm-content").click()
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")
    expect(cells).to_have_count(number + 1)
    cell = cells.nth(number - 1)
    expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{number}]:")
    return cell.locator(".jp-OutputArea").inner_text()


def pixels(canvas: Locator) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"))


def test_a_person_signs_in_starts_looks_and_stops(bench, person, page):
    person("ana").stop()  # as whatever becomes of this test
    sign_in(page, "ana")
    page.get_by_label("Small").check()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/user/ana/lab**")
    page.goto(FRESH_LAB)
    page.locator(".jp-LauncherCard", has_text="Python 3").first.click()
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first).to_be_attached()
    assert all(name in run_cell(page, "import cohortlab as cl\nprint(sorted(d.id for d in cl.datasets()))") for name in DATASETS)
    assert "(24, 96, 96)" in run_cell(page, f"series = cl.open({DATASETS[0]!r})[0]\nprint(cl.open(series).shape)")
    run_cell(page, "cl.view(series)")
    viewer = page.locator("[data-shown]").first
    expect(viewer).not_to_have_attribute("data-shown", "")
    assert pixels(page.locator(".jp-OutputArea canvas").first).std() > 10, "the image is blank"
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)

    page.goto(f"{ADDRESS}hub/home")
    page.get_by_role("button", name="Stop").or_(page.get_by_role("link", name="Stop")).first.click()
    bench.kube.until(lambda: not bench.kube.items("pods", "component=singleuser-server"), "the session's pod gone")


def bring_into_view(page: Page, wanted: Locator) -> None:
    """Turn the wheel at the notebook's margin: JupyterLab renders only the cells that are near."""
    box = page.locator(".jp-WindowedPanel-outer").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    for direction in (-1, 1):
        for _ in range(80):
            if wanted.count() and wanted.first.is_visible():
                wanted.first.scroll_into_view_if_needed()
                return
            page.mouse.wheel(0, direction * 200)
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    raise AssertionError(f"not in the notebook: {wanted}")


def test_the_tutorial_runs_with_three_hospitals(person, page):
    person("ana").start()
    sign_in(page, "ana")
    page.goto(FRESH_LAB)
    page.locator(".jp-LauncherCard", has_text="First steps").click()
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first).to_be_attached()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(page.locator(".jp-InputPrompt", has_text="[11]:")).to_be_visible()  # the last cell's number, once it has run
    expect(page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    canvas = page.locator(".jp-OutputArea canvas").first
    bring_into_view(page, canvas)
    expect(page.locator("[data-shown]").first).not_to_have_attribute("data-shown", "")
    assert pixels(canvas).std() > 10, "the image is blank"
    bring_into_view(page, page.get_by_text("histogram on lesions-federated: 2 of 3 sites"))


def test_time_to_ready_beside_a_bare_pod(bench, person, table):
    """A bare pod of the same image whose JupyterLab answers is the least that a start can take."""
    ana = person("ana")
    ana.start()  # makes the home, and the image's pages warm
    ana.stop()
    rows = []
    for number in range(2):
        bare = bare_lab(bench, f"bare-{number}")
        ours = ana.start()
        ana.stop()
        rows.append((bare, ours))
    rows.append(tuple(min(column) for column in zip(*rows, strict=True)))
    told = [(f"{bare:.1f} s", f"{ours:.1f} s", f"{ours / bare:.2f}") for bare, ours in rows]
    table("Time until JupyterLab answers; last the best of each", ("bare pod", "session, from the request", "ratio"), *told)


def bare_lab(bench, name: str) -> float:
    """Seconds from a bare pod's creation until its JupyterLab answers."""
    ready = ready_when(httpGet={"path": "/api", "port": 8888})
    command = ["jupyter-lab", "--no-browser", "--ip=0.0.0.0", "--port=8888", "--ServerApp.token=", "--notebook-dir=/tmp"]
    own = "/tmp"  # noqa: S108 - a pod's own
    environment = [{"name": "HOME", "value": own}]
    spec = pod_spec(image("session"), command, {own: {"emptyDir": {}}}, readinessProbe=ready, env=environment)
    spec["containers"][0]["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    began = time.monotonic()
    bench.kube.apply(pod)
    bench.kube.run("wait", f"pod/{name}", "--for=condition=Ready", f"--timeout={PATIENCE:.0f}s", seconds=PATIENCE + 30)
    took = time.monotonic() - began
    bench.kube.run("delete", "pod", name, "--wait=true")
    return took
