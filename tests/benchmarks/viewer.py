"""Side by side, in one run: our viewer and ipyniivue on the same CT-like volume, through a real hub and its proxy, drawn in software.

What is measured, in fresh pages of a session's JupyterLab whose kernel has imported the package already, nothing in the browser's cache:

- first image: from running the cell to the first picture on the canvas: the first of the session, and the median of the pages after it;
- bytes: what the page received in that time, and of our routes alone since the page was opened (program, description, pixels);
- new slice: a jump to a slice that was not shown before, until it is drawn exactly;
- cached scroll, window: one step a frame, and the time between frames: 16.7 ms is a screen's own rhythm; both again while the kernel
  is in an endless loop;
- three planes: from the click to the first picture, and the time between frames while the crosshair moves;
- memory: the page's JavaScript heap after all that.

Chromium draws as on a machine without a graphics card (`--disable-gpu`); `--gl` has it draw the page itself by SwiftShader's OpenGL, as
the tests do, which no user's browser does: an empty page has 33 ms between frames there.

"50 Mbit/s" puts 30 ms and that bandwidth on the page's HTTP requests. Chromium does not slow the WebSocket by which a kernel sends a
whole volume, so ipyniivue is run once, and what the line would have taken for its bytes is added. Look at ratios: every figure is of
this machine, now. It prints tables and never fails on a number.

    python tests/benchmarks/viewer.py [--size 600x512x512] [--folder FOLDER] [--gl] [--alone]
"""

import argparse
import importlib.metadata
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table
from viewer_lab import DATASET, LINE, SOFTWARE, Bytes, Place, notebook, page_of, session, volume

import chromium

STEPS = 60
PAGES = 3  # fresh pages whose first image is timed, after the session's first
ITKWIDGETS = (
    "itkwidgets is not here: pip takes its release (0.32), which is for ipywidgets 7 and an older JupyterLab; its newest preview (1.0a55) "
    "takes zarr 2, which cannot be beside our zarr 3."
)

# Resolves with the times between frames while `act(step)` is done once a frame.
FRAMES = """async ({act, steps}) => {
  const run = eval(act), times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let step = 0; step < steps; step += 1) {
    run(step);
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  return times;
}"""
# The first picture: something on the canvas that is not the background.
PICTURE = """selector => new Promise(done => {
  const below = (root) => [...root.querySelectorAll("*")].map(e => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
  const find = (root) => root.querySelector(selector) ?? below(root);
  const small = document.createElement("canvas");
  [small.width, small.height] = [64, 64];
  const context = small.getContext("2d", { willReadFrequently: true });
  const look = () => {
    const canvas = find(document);
    if (canvas && canvas.width > 0) {
      context.drawImage(canvas, 0, 0, 64, 64);
      const seen = new Set();
      const { data } = context.getImageData(0, 0, 64, 64);
      for (let at = 0; at < data.length; at += 4) seen.add(data[at]);
      if (seen.size > 12) return done(performance.now());
    }
    requestAnimationFrame(look);
  };
  look();
})"""


def first_picture(page: Page, counted: Bytes, selector: str) -> tuple[float, float]:
    """ms from running the second cell to the first picture, and the bytes until then."""
    before = counted.all
    begun = page.evaluate("performance.now()")
    page.keyboard.press("Control+Enter")
    ended = page.evaluate(PICTURE, selector)
    return ended - begun, counted.all - before


def spread(times: list[float]) -> str:
    """p50 / p95 of some ms."""
    return f"{statistics.median(times):.0f} / {statistics.quantiles(times, n=20)[-1]:.0f} ms"


def jump(page: Page, index: int) -> float:
    """ms until a slice that was never shown is drawn exactly, by the depth slider."""
    return page.locator(".viewer .depth").evaluate(
        """(slider, index) => new Promise(done => {
          const viewer = slider.getRootNode().querySelector(".viewer"), begun = performance.now();
          slider.value = String(index);
          slider.dispatchEvent(new Event("input", {bubbles: true}));
          const look = () => viewer.dataset.shown === `axial ${index} 0` ? done(performance.now() - begun) : requestAnimationFrame(look);
          look();
        })""",
        index,
    )


def keys_a_frame(page: Page, keys: str) -> list[float]:
    """Times between frames while a key is pressed each frame; `keys` is an expression of `step`."""
    page.locator(".viewer canvas").evaluate("canvas => { window.__canvas = canvas; }")
    act = f"step => window.__canvas.dispatchEvent(new KeyboardEvent('keydown', {{key: {keys}, bubbles: true, composed: true}}))"
    return page.evaluate(FRAMES, {"act": act, "steps": STEPS})


def drag_a_frame(page: Page, selector: str, button: int = 0) -> list[float]:
    """Times between frames while the pressed pointer moves a little each frame."""
    page.locator(selector).first.evaluate("element => { window.__canvas = element; }")
    act = f"""step => {{
      const box = window.__canvas.getBoundingClientRect();
      const at = {{clientX: box.left + box.width / 2 + step, clientY: box.top + box.height / 2 + step / 2, bubbles: true, composed: true, button: {button}, buttons: 1, pointerId: 1, pointerType: "mouse"}};
      if (step === 0) {{ window.__canvas.setPointerCapture = () => undefined; window.__canvas.dispatchEvent(new PointerEvent("pointerdown", at)); }}
      window.__canvas.dispatchEvent(new PointerEvent("pointermove", at));
      if (step === {STEPS - 1}) window.__canvas.dispatchEvent(new PointerEvent("pointerup", at));
    }}"""  # noqa: E501 - one statement of JavaScript
    return page.evaluate(FRAMES, {"act": act, "steps": STEPS})


def heap(page: Page) -> str:
    """The page's JavaScript heap."""
    return f"{page.evaluate('performance.memory.usedJSHeapSize') / 2**20:.0f} MiB"


def first_images(browser: Browser, place: Place, *, slow: bool) -> dict[str, str]:
    """The first image in fresh pages."""
    times, figures = [], {}
    for _ in range(PAGES + 1):
        with page_of(browser, place, "ours.ipynb", slow=slow) as (page, counted):
            taken, received = first_picture(page, counted, ".viewer canvas")
            times.append(taken)
            figures["bytes then"] = f"{received / 1e6:.2f} MB"
            figures["bytes of our routes"] = f"{counted.ours / 1e6:.2f} MB"
    return {"first image": f"{times[0]:.0f} ms first, then {statistics.median(times[1:]):.0f} ms"} | figures


def scrolled(page: Page) -> tuple[str, str]:
    """Times between frames of scrolling through slices that are here, and of a window that is dragged."""
    for key in ("'ArrowDown'", "'ArrowUp'"):  # there, so that all are here; back is what counts
        times = keys_a_frame(page, key)
        page.locator(".viewer:not([data-shown=''])").wait_for()
    return spread(times), spread(drag_a_frame(page, ".viewer canvas"))


def ours(browser: Browser, place: Place, *, slow: bool) -> dict[str, str]:
    """All figures of our viewer."""
    figures = first_images(browser, place, slow=slow)
    with page_of(browser, place, "ours.ipynb", slow=slow) as (page, counted):
        first_picture(page, counted, ".viewer canvas")
        page.locator(".viewer:not([data-shown=''])").wait_for()
        count = int(page.locator(".viewer .depth").get_attribute("max") or 1)
        figures["new slice"] = spread([jump(page, count * step // 11) for step in range(1, 11)])
        figures["cached scroll"], figures["window"] = scrolled(page)
        page.locator(".jp-Notebook .jp-CodeCell").nth(2).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="Python 3 (ipykernel) | Busy").wait_for()
        figures["scroll, kernel busy"], figures["window, kernel busy"] = scrolled(page)
        page.keyboard.press("Escape")
        page.get_by_role("menuitem", name="Kernel").click()
        page.get_by_role("menuitem", name="Interrupt Kernel").click()
        page.get_by_role("button", name="Python 3 (ipykernel) | Idle").wait_for()
        begun = time.perf_counter()
        page.get_by_role("button", name="Three planes").click()
        page.locator(".mpr[data-shown]").wait_for()
        opened = (time.perf_counter() - begun) * 1000
        page.wait_for_load_state("networkidle")
        figures["three planes"] = f"{opened:.0f} ms, then {spread(drag_a_frame(page, '.mpr .pane'))}"
        figures["memory"] = heap(page)
    return figures


def niivue(browser: Browser, place: Place) -> tuple[dict[str, str], dict[str, str]]:
    """The same of ipyniivue, which shows three planes from the start; here, and on the slow line by its bytes."""
    with page_of(browser, place, "niivue.ipynb", slow=False) as (page, counted):
        canvas = ".jp-OutputArea canvas"
        taken, received = first_picture(page, counted, canvas)
        figures = {"first image": f"{taken:.0f} ms", "bytes then": f"{received / 1e6:.2f} MB", "new slice": "all are here"}
        page.locator(canvas).first.evaluate("element => { window.__canvas = element; }")
        wheel = """step => { const box = window.__canvas.getBoundingClientRect();
          window.__canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: 100, bubbles: true, cancelable: true, clientX: box.left + box.width / 4, clientY: box.top + box.height / 4})); }"""  # noqa: E501 - JavaScript
        figures["cached scroll"] = spread(page.evaluate(FRAMES, {"act": wheel, "steps": STEPS // 3}))
        mouse = """step => { const box = window.__canvas.getBoundingClientRect();
          const [x, y] = [box.left + box.width / 4 + step, box.top + box.height / 4 + step / 2];
          const at = {clientX: x, clientY: y, button: 0, buttons: 1, bubbles: true};
          if (step === 0) window.__canvas.dispatchEvent(new MouseEvent("mousedown", at));
          window.__canvas.dispatchEvent(new MouseEvent("mousemove", at)); }"""
        figures["three planes"] = spread(page.evaluate(FRAMES, {"act": mouse, "steps": STEPS // 3}))
        figures["memory"] = heap(page)
    line = received / LINE["downloadThroughput"] * 1000
    return figures, figures | {"first image": f"{taken + line:.0f} ms, of which {line:.0f} the line"}


def show(console: Console, title: str, columns: dict[str, dict[str, str]]) -> None:
    """One table, a column a viewer."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    rows = [row for figures in columns.values() for row in figures]
    for row in dict.fromkeys(rows):
        table.add_row(row, *(figures.get(row, "") for figures in columns.values()))
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="600x512x512", help="slices x rows x columns")
    parser.add_argument("--folder", type=Path, help="where to write (several times the volume); a temporary folder when not given")
    parser.add_argument("--gl", action="store_true", help="have Chromium draw the page by SwiftShader's OpenGL, as the tests do")
    parser.add_argument("--alone", action="store_true", help="our viewer alone: ipyniivue takes a minute or two")
    options, _others = parser.parse_known_args()  # `make bench` gives all of its programs the same
    shape = tuple(int(part) for part in options.size.split("x"))
    console = Console()
    path = chromium.find()
    if path is None:
        sys.exit("needs Chromium: install your system's, or run `.venv/bin/playwright install chromium`")
    folder = Path(tempfile.mkdtemp(prefix="viewer-bench-", dir=options.folder))
    drawn = chromium.ARGUMENTS if options.gl else [one for one in chromium.ARGUMENTS if "gl" not in one and "swiftshader" not in one]
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=[*drawn, *SOFTWARE[bool(options.gl) :]])
            console.print(f"writing a volume of {options.size}, starting a hub …")
            with session(browser, folder, volume((shape[0], shape[1], shape[2]))) as place:
                view = f"cl.view('{DATASET}/{place.series}')"
                notebook(place.home / "ours.ipynb", "import cohortlab as cl; cl.view\nprint('ready')", view, "while True: pass")
                cell = f"nv = NiiVue()\nnv.load_volumes([{{'path': {str(place.nifti)!r}}}])\nnv"
                notebook(place.home / "niivue.ipynb", "from ipyniivue import NiiVue\nprint('ready')", cell)
                name = f"ipyniivue {importlib.metadata.version('ipyniivue')}"
                budgets = "times between frames p50 / p95; budgets: first image 300 ms and 1 MB, frames 33 ms"
                tables = [("local", {"Cohortlab": ours(browser, place, slow=False)})]
                show(console, f"local, through hub and proxy, software rendering; {budgets}", tables[0][1])
                tables.append(("50 Mbit/s, 30 ms", {"Cohortlab": ours(browser, place, slow=True)}))
                if not options.alone:
                    for (_, columns), figures in zip(tables, niivue(browser, place), strict=True):
                        columns[name] = figures
            browser.close()
        for title, columns in tables:
            show(console, f"{title}, through hub and proxy, software rendering; {budgets}", columns)
        console.print(ITKWIDGETS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
