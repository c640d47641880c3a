"""The place of `viewer.py`: a volume as our store and as NIfTI, a session at a real hub behind its proxy, pages that count bytes."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import numpy as np
import yaml
from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser" / "viewer"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration" / "viewer"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration" / "hub"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "viewer"))

from running import Running
from viewer_hub import grant, sign_in
from viewer_stores import workbench_of

from cohortlab.keys import create_key
from cohortlab.store import ManifestFields, StoreWriter
from dicom_samples import instance

LINE = {"latency": 30, "downloadThroughput": 50e6 / 8, "uploadThroughput": 50e6 / 8}
DATASET = "benchmark"
PATIENCE = 300_000  # ms
# Chromium as it draws on a machine without a graphics card; WebGL stays, by the processor, for those who need it
SOFTWARE = ("--disable-gpu", "--enable-unsafe-swiftshader", "--enable-precise-memory-info")


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


@dataclass(frozen=True)
class Place:
    """Where the session is, the browser's state that is signed in, its user's home; the series' id and the same volume as NIfTI."""

    url: str
    state: Any
    home: Path
    series: str
    nifti: Path


def _write(folder: Path, values: np.ndarray) -> tuple[Path, str]:
    """Our store and a workbench with it: the workbench's file and the series' id."""
    key = create_key(folder / "keys" / "gate.key")
    made = []
    for at, pixels in enumerate(values):
        one = instance(at + 1, position=(0.0, 0.0, float(at)), orientation=(1, 0, 0, 0, 1, 0), spacing=(0.8, 0.8), pixels=pixels)
        one.SliceThickness = 1.0
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, 0, "HU"
        one.WindowCenter, one.WindowWidth = 40, 400
        made.append(one)
    with StoreWriter(folder / "stores", DATASET, "1.0.0") as writer:
        series = writer.add_series(made, {}).id
        writer.finish(ManifestFields(title="Benchmark", deidentification={}, gate="bench", verdict="accepted", synthetic=True), key)
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(workbench_of([DATASET], key)))
    grant(file, DATASET)
    return file, series


@contextlib.contextmanager
def session(browser: Browser, folder: Path, values: np.ndarray) -> Iterator[Place]:
    """A workbench with the volume, and a session of its one user."""
    import nibabel  # noqa: PLC0415 - a package of the bench group only

    file, series = _write(folder, values)
    running = Running([str(file), "--port", "0"]).ready()
    try:
        state = sign_in(browser, running)
        home = folder / "homes" / "ana"
        nifti = home / "volume.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values.T, np.diag([-0.8, -0.8, 1.0, 1.0])), nifti)
        yield Place(f"{running.address}user/ana/", state, home, series, nifti)
    finally:
        running.stop()


def notebook(path: Path, *cells: str) -> None:
    """A notebook of these cells."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(made, path)


class Bytes:
    """Counts what a page receives: over HTTP, of that from routes of ours, and over WebSockets."""

    def __init__(self, page: Page) -> None:
        self.http = self.socket = self.ours = 0.0
        self._own: set[str] = set()
        self.session = page.context.new_cdp_session(page)
        self.session.send("Network.enable")
        self.session.send("Network.clearBrowserCache")
        self.session.on("Network.requestWillBeSent", self._asked)
        self.session.on("Network.dataReceived", self._http)
        self.session.on("Network.webSocketFrameReceived", self._socket)

    def slow(self) -> None:
        """From now on the line is one of 50 Mbit/s and 30 ms."""
        self.session.send("Network.emulateNetworkConditions", {"offline": False, **LINE})

    def _asked(self, event: dict[str, Any]) -> None:
        if "/cohortlab/" in urlsplit(event["request"]["url"]).path:
            self._own.add(event["requestId"])

    def _http(self, event: dict[str, Any]) -> None:
        self.http += event["encodedDataLength"]
        if event["requestId"] in self._own:
            self.ours += event["encodedDataLength"]

    def _socket(self, event: dict[str, Any]) -> None:
        frame = event["response"]
        self.socket += len(frame["payloadData"]) * (1 if frame["opcode"] == 1 else 3 / 4)  # binary frames come as base64

    @property
    def all(self) -> float:
        """Over HTTP and WebSockets together."""
        return self.http + self.socket


@contextlib.contextmanager
def page_of(browser: Browser, place: Place, name: str, *, slow: bool) -> Iterator[tuple[Page, Bytes]]:
    """A notebook in a fresh page with nothing in its cache, its first cell run, its second one ready to be."""
    context = browser.new_context(storage_state=place.state, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    counted = Bytes(page)
    page.goto(f"{place.url}lab/tree/{name}?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    idle = page.get_by_role("button", name="Python 3 (ipykernel) | Idle")
    idle.wait_for()
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(0).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.get_by_text("ready").last.wait_for()
    idle.wait_for()
    cells.nth(1).locator(".cm-content").click()
    if slow:
        counted.slow()
    try:
        yield page, counted
    finally:
        context.close()
