"""Side by side, in one run: our viewer and ipyniivue on the same CT-like volume, in the same JupyterLab, drawn in software.

What is measured, each in a fresh page of a real JupyterLab whose kernel has imported the package already:

- first image: from running the cell to the first picture on the canvas; and the bytes that the page received until then;
- new slice: a jump to a slice that was not shown before, until it is drawn exactly;
- cached scroll, window: one step a frame, and the time between frames: 16.7 ms is a screen's own rhythm;
- three planes: from the click to the first picture, and the time between frames while the crosshair moves;
- memory: the page's JavaScript heap after all that.

"50 Mbit/s" puts 30 ms and that bandwidth on the page's HTTP requests. Chromium does not slow the WebSocket by which a kernel sends a
whole volume, so ipyniivue's bytes are given with the time that the line would have needed. Look at ratios: every figure is of this
machine, now, and a processor draws what elsewhere a graphics card does. It prints tables and never fails on a number.

    python tests/benchmarks/viewer.py [--size 600x512x512] [--folder FOLDER]
"""

import argparse
import contextlib
import importlib.metadata
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration" / "viewer"))

from jupyter_process import Jupyter, jupyter

import chromium
from cohortlab.keys import create_key
from cohortlab.store import ManifestFields, StoreWriter
from dicom_samples import instance

LINE = {"latency": 30, "downloadThroughput": 50e6 / 8, "uploadThroughput": 50e6 / 8}
DATASET = "benchmark"
STEPS = 60
PATIENCE = 300_000  # ms

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


def volume(shape: tuple[int, int, int]) -> np.ndarray:
    """A body with organs and noise, as compressible as a CT."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    body = ((y / shape[1] - 0.5) ** 2 / 0.14 + (x / shape[2] - 0.5) ** 2 / 0.2 < 1).astype(np.int16)
    organ = (y / shape[1] - 0.45) ** 2 + (x / shape[2] - 0.4) ** 2 + (z / shape[0] - 0.5) ** 2 / 4 < 0.02
    noise = np.random.default_rng(7).integers(-15, 16, (8, *shape[1:]), dtype=np.int16)
    values = np.empty(shape, dtype=np.int16)
    for at in range(shape[0]):
        values[at] = body[0] * 1040 + organ[at] * 60 - 1000 + noise[at % len(noise)]
    return values


def write(folder: Path, values: np.ndarray) -> tuple[dict[str, str], str, Path]:
    """Our store and a .nii.gz; gives the session's environment, the series' id and the NIfTI file."""
    import nibabel  # noqa: PLC0415 - a package of the bench group only

    key = create_key(folder / "gate.key")
    made = []
    for at, pixels in enumerate(values):
        one = instance(at + 1, position=(0.0, 0.0, float(at)), orientation=(1, 0, 0, 0, 1, 0), spacing=(0.8, 0.8), pixels=pixels)
        one.SliceThickness = 1.0
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, 0, "HU"
        one.WindowCenter, one.WindowWidth = 40, 400
        made.append(one)
    with StoreWriter(folder / "root", DATASET, "1.0.0") as writer:
        series = writer.add_series(made, {}).id
        writer.finish(ManifestFields(title="Benchmark", deidentification={}, gate="bench", verdict="accepted", synthetic=True), key)
    (folder / "datasets").mkdir()
    (folder / "datasets" / DATASET).symlink_to(folder / "root" / DATASET / "1.0.0")
    nifti = folder / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values.T, np.diag([-0.8, -0.8, 1.0, 1.0])), nifti)
    return {"COHORTLAB_DATASETS": str(folder / "datasets"), "COHORTLAB_TRUSTED_KEYS": key.public.text}, series, nifti


def notebook(path: Path, *cells: str) -> None:
    """A notebook of these cells."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(made, path)


class Bytes:
    """Counts what a page receives, over HTTP and WebSockets."""

    def __init__(self, page: Page, *, slow: bool) -> None:
        self.http = self.socket = 0
        self.session = page.context.new_cdp_session(page)
        self.session.send("Network.enable")
        if slow:
            self.session.send("Network.emulateNetworkConditions", {"offline": False, **LINE})
        self.session.on("Network.dataReceived", self._http)
        self.session.on("Network.webSocketFrameReceived", self._socket)

    def _http(self, event: dict[str, Any]) -> None:
        self.http += event["encodedDataLength"]

    def _socket(self, event: dict[str, Any]) -> None:
        frame = event["response"]
        self.socket += len(frame["payloadData"]) * (1 if frame["opcode"] == 1 else 3 / 4)  # binary frames come as base64

    @property
    def all(self) -> float:
        """Both together."""
        return self.http + self.socket


@contextlib.contextmanager
def page_of(browser: Browser, lab: Jupyter, name: str, *, slow: bool) -> Iterator[tuple[Page, Bytes]]:
    """A notebook in a fresh page, its first cell run."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{lab.url}lab/tree/{name}?reset&token={lab.token}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    idle = page.get_by_role("button", name="Python 3 (ipykernel) | Idle")
    idle.wait_for()
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(0).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.get_by_text("ready").last.wait_for()
    idle.wait_for()
    cells.nth(1).locator(".cm-content").click()
    counted = Bytes(page, slow=slow)
    yield page, counted
    context.close()


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


def ours(browser: Browser, lab: Jupyter, *, slow: bool) -> dict[str, str]:
    """All figures of our viewer."""
    with page_of(browser, lab, "ours.ipynb", slow=slow) as (page, counted):
        taken, received = first_picture(page, counted, ".viewer canvas")
        page.locator(".viewer:not([data-shown=''])").wait_for()
        count = int(page.locator(".viewer .depth").get_attribute("max") or 1)
        figures = {"first image": f"{taken:.0f} ms", "bytes": f"{received / 1e6:.2f} MB"}
        figures["new slice"] = spread([jump(page, count * step // 11) for step in range(1, 11)])
        for key in ("'ArrowDown'", "'ArrowUp'"):  # there, so that all are here; back is what counts
            times = keys_a_frame(page, key)
            page.locator(".viewer:not([data-shown=''])").wait_for()
        figures["cached scroll"] = spread(times)
        figures["window"] = spread(drag_a_frame(page, ".viewer canvas"))
        if not slow:
            begun = time.perf_counter()
            page.get_by_role("button", name="Three planes").click()
            page.locator(".mpr[data-shown]").wait_for()
            opened = (time.perf_counter() - begun) * 1000
            page.evaluate("() => new Promise(requestAnimationFrame)")
            figures["three planes"] = f"{opened:.0f} ms, then {spread(drag_a_frame(page, '.mpr .pane'))}"
        figures["memory"] = heap(page)
        return figures


def niivue(browser: Browser, lab: Jupyter, *, slow: bool) -> dict[str, str]:
    """The same of ipyniivue, which shows three planes from the start."""
    with page_of(browser, lab, "niivue.ipynb", slow=slow) as (page, counted):
        taken, received = first_picture(page, counted, ".jp-OutputArea canvas")
        line = f" (+ {received * 8 / 50e6:.1f} s of line)" if slow else ""
        figures = {"first image": f"{taken:.0f} ms{line}", "bytes": f"{received / 1e6:.2f} MB", "new slice": "all are here"}
        canvas = ".jp-OutputArea canvas"
        page.locator(canvas).first.evaluate("element => { window.__canvas = element; }")
        wheel = """step => { const box = window.__canvas.getBoundingClientRect();
          window.__canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: 100, bubbles: true, cancelable: true, clientX: box.left + box.width / 4, clientY: box.top + box.height / 4})); }"""  # noqa: E501 - JavaScript
        figures["cached scroll"] = spread(page.evaluate(FRAMES, {"act": wheel, "steps": STEPS}))
        mouse = """step => { const box = window.__canvas.getBoundingClientRect();
          const [x, y] = [box.left + box.width / 4 + step, box.top + box.height / 4 + step / 2];
          const at = {clientX: x, clientY: y, button: 0, buttons: 1, bubbles: true};
          if (step === 0) window.__canvas.dispatchEvent(new MouseEvent("mousedown", at));
          window.__canvas.dispatchEvent(new MouseEvent("mousemove", at)); }"""
        figures["three planes"] = spread(page.evaluate(FRAMES, {"act": mouse, "steps": STEPS}))
        figures["memory"] = heap(page)
        return figures


def show(console: Console, title: str, columns: dict[str, dict[str, str]]) -> None:
    """One table, a column a viewer."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for row in ("first image", "bytes", "new slice", "cached scroll", "window", "three planes", "memory"):
        table.add_row(row, *(figures.get(row, "") for figures in columns.values()))
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="600x512x512", help="slices x rows x columns")
    parser.add_argument("--folder", type=Path, help="where to write (several times the volume); a temporary folder when not given")
    options, _others = parser.parse_known_args()  # `make bench` gives all of its programs the same
    shape = tuple(int(part) for part in options.size.split("x"))
    console = Console()
    path = chromium.find()
    if path is None:
        sys.exit("needs Chromium: install your system's, or run `.venv/bin/playwright install chromium`")
    folder = Path(tempfile.mkdtemp(prefix="viewer-bench-", dir=options.folder))
    try:
        console.print(f"writing a volume of {options.size} …")
        environment, series, nifti = write(folder, volume((shape[0], shape[1], shape[2])))
        with jupyter("jupyterlab", folder, environment) as lab, sync_playwright() as playwright:
            notebook(lab.home / "ours.ipynb", "import cohortlab as cl; cl.view\nprint('ready')", f"cl.view('{DATASET}/{series}')")
            cell = f"nv = NiiVue()\nnv.load_volumes([{{'path': {str(nifti)!r}}}])\nnv"
            notebook(lab.home / "niivue.ipynb", "from ipyniivue import NiiVue\nprint('ready')", cell)
            browser = playwright.chromium.launch(executable_path=path, args=[*chromium.ARGUMENTS, "--enable-precise-memory-info"])
            version = importlib.metadata.version("ipyniivue")
            for slow in (False, True):
                place = "50 Mbit/s, 30 ms" if slow else "local"
                columns = {"Cohortlab": ours(browser, lab, slow=slow), f"ipyniivue {version}": niivue(browser, lab, slow=slow)}
                show(console, f"{place}; software rendering, times between frames p50 / p95; budgets 300 ms, 1 MB, 33 ms", columns)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
