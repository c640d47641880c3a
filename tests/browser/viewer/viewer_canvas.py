"""What a canvas of the viewer shows, and what it must show by the same arithmetic in Python."""

import base64
import re

import numpy as np
from playwright.sync_api import Page, expect
from sample_store import CT_SHAPE, LESION, ct_values

BLUR = 1e-3  # of a voxel: pixels whose centre lies this close to a voxel's edge may fall to either side
ORANGE = np.array([240, 168, 40])  # the first segment's colour
SPACING = {"z": 2.5, "y": 0.5, "x": 0.75}
# (axis across, axis to the right and its sense, axis downwards and its sense) of the sample's oblique CT
PLANES = {"axial": ("z", "x", 1, "y", 1), "coronal": ("y", "x", 1, "z", -1), "sagittal": ("x", "y", 1, "z", -1)}

READ_CANVAS = """canvas => {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, copy.width, copy.height);
  let text = "";
  for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
  return [copy.height, copy.width, btoa(text)];
}"""


def canvas_of(page: Page, which: str = ".viewer .stage > canvas") -> np.ndarray:
    """The canvas's pixels, (rows, columns, RGB)."""
    height, width, text = page.locator(which).evaluate(READ_CANVAS)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3].astype(int)


def place(count: int, sense: int, pixels: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Voxel index under each pixel's centre along one side (-1 outside), and whether the pixel is clear of a voxel's edge."""
    position = (np.arange(pixels) + 0.5 - pixels / 2) * scale + count / 2
    index = np.floor(position).astype(int)
    outside = (index < 0) | (index >= count)
    clear = np.abs(position - np.round(position)) > BLUR
    return np.where(outside, -1, index if sense == 1 else count - 1 - index), clear


def pixel_size(shape: tuple[int, int], plane: str) -> float:
    """mm of a canvas pixel where the slice fits."""
    _, right, _, down, _ = PLANES[plane]
    counts = dict(zip("zyx", CT_SHAPE, strict=True))
    return max(counts[right] * SPACING[right] / shape[1], counts[down] * SPACING[down] / shape[0])


def expected(
    shape: tuple[int, int], plane: str, index: int, window: tuple[float, float], opacity: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """What a canvas of `shape` must show, and where that is beyond doubt."""
    across, right, right_sense, down, down_sense = PLANES[plane]
    counts = dict(zip("zyx", CT_SHAPE, strict=True))
    pixel = pixel_size(shape, plane)
    columns, clear_columns = place(counts[right], right_sense, shape[1], pixel / SPACING[right])
    rows, clear_rows = place(counts[down], down_sense, shape[0], pixel / SPACING[down])
    labels = np.zeros(CT_SHAPE, dtype=bool)
    labels[LESION] = True
    take = {across: index, down: rows[:, None], right: columns[None, :]}
    where = tuple(take[axis] for axis in "zyx")
    center, full = window
    grey = np.clip((ct_values()[where] - (center - 0.5)) / (full - 1) + 0.5, 0, 1) * 255
    shown = np.repeat(grey[..., None], 3, axis=2)
    if opacity is not None:
        shown = np.where(labels[where][..., None], shown * (1 - opacity) + ORANGE * opacity, shown)
    shown[(rows < 0)[:, None] | (columns < 0)[None, :]] = 0
    return shown, clear_rows[:, None] & clear_columns[None, :]


def check_canvas(
    page: Page, plane: str, index: int, window: tuple[float, float] = (40, 400), *, opacity: float | None = 0.5, slack: float = 0.51
) -> None:
    """The canvas shows this slice to the last grey level that rounding leaves open."""
    found = canvas_of(page)
    wanted, clear = expected(found.shape[:2], plane, index, window, opacity)
    assert clear.mean() > 0.9
    assert np.abs(found - wanted)[clear].max() <= slack


def after_frame(page: Page) -> None:
    """Let the picture that was asked for be drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def shows(page: Page, plane: str, index: int, frame: int = 0) -> None:
    """Wait until the exact slice is drawn."""
    expect(page.locator(".viewer")).to_have_attribute("data-shown", f"{plane} {index} {frame}")


def fresh(page: Page, *keys: str) -> None:
    """The viewer as it was opened, then `keys`."""
    page.locator(".viewer .stage > canvas").focus()
    for key in ("Escape", "a", "r", *keys):
        page.keyboard.press(key)
    after_frame(page)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], button: str = "left") -> None:
    """Drag over the canvas, between places from its top left in CSS pixels."""
    box = page.locator(".viewer .stage > canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.mouse.down(button=button)
    page.mouse.move(box["x"] + (start[0] + end[0]) / 2, box["y"] + (start[1] + end[1]) / 2)
    page.mouse.move(box["x"] + end[0], box["y"] + end[1])
    page.mouse.up(button=button)


def letters(page: Page) -> str:
    """Those at the left, right, top and bottom edge."""
    return " ".join(page.locator(f".viewer .edge.{side}").inner_text() for side in ("left", "right", "top", "bottom"))


def number(text: str) -> float:
    """The first number of a text, with a real minus sign."""
    found = re.search(r"[\u2212-]?\d+(?:\.\d+)?", text)
    assert found is not None, text
    return float(found[0].replace("\u2212", "-"))
