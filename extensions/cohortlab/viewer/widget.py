"""`view()`: a series in a notebook, as a widget whose pixels come from the session's server, never through the notebook.

The widget's traits are references and view state only, a few hundred bytes: a saved notebook holds no pixel, and the image
is there while the kernel computes.

THE CONTRACT with the browser (``extensions/frontend/widget``).

`SeriesView`, bundle ``viewer``. Traits from Python only: ``series`` and ``label`` (``dataset/series``; ``label`` may be "" and may change
while it is shown: then labels load anew), ``group`` ("" or a name) with ``linked`` (of ``index``, ``window``, ``zoom``, ``plane``): views
of a page with the same group follow each other in these, in the browser, so also while the kernel computes; ``index`` by the place in the
patient when ``frame`` (meta) is the same, else by the number. Both ways: ``plane, index, frame, window, overlay, opacity``, and ``zoom``
(1: the slice fits), ``pan`` ([right, down] in screen pixels at zoom 1), ``rotation`` (0, 90, 180, 270), ``flip`` ([across, down]),
``invert``, ``hidden`` (numbers of segments that are not shown), ``marks``. A browser sends what changed when the hand rests (120 ms).

``marks`` is a list of annotations, geometry only, no values: ``{"id": "…", "kind": "length" | "bidirectional" | "angle" | "ellipse" |
"rectangle" | "freehand" | "point", "plane": "axial", "index": 12, "frame": 0, "points": [[z, y, x], …], "label": ""}``. Points are voxel
coordinates of level 0, whole numbers at voxel centres. length: 2 ends; bidirectional: 4, the long axis, then the short one; angle: 3, the
vertex in the middle; ellipse: 4, the ends of one axis, then of the other; rectangle: its 4 corners around; freehand: 3 or more, closed by
itself; point: 1. Python measures (`SeriesView.annotations`).

Custom messages, for a browser that reaches no gateway (no server extension, VS Code, a kernel elsewhere). They carry the gateway's own
routes:

- browser -> kernel ``{"kind": "get", "id": n, "path": "series/…/slice", "query": {"plane": "axial", …}, "headers": {}}``; ``path`` as
  below ``api/``, or ``static/<bundle>``.
- kernel -> browser ``{"kind": "answer", "id": n, "status": 200, "headers": {…}, "parts": k, "part": i}`` with the body in ``buffers``,
  at most 4 MiB a message, in order (``parts`` 1 for most); ``encoding: "gzip"`` when the whole body is gzip-coded (DecompressionStream),
  else "". Problems have their JSON as body.
- browser -> kernel ``{"kind": "cancel", "id": n}``: what has not been read is not sent.
- ``{"kind": "hello"}`` browser -> kernel is answered ``{"kind": "hello", "gateway": true}``; a kernel that does not answer within
  seconds has ended.

A browser asks HTTP first and turns to messages when that is not there (fetch of ``cohortlab/api/datasets`` is 404 without problem JSON,
or the page names no base path), shows a hint that this way is slower, and prefers ``format=webp`` while scrolling. The stub (`assets.py`)
gets the bundle itself by such a message, makes a module of it, and calls its ``render({model, el, transport: "messages"})``; else
``transport`` is undefined.

Segmentation, browser -> kernel: ``{"kind": "brush", "segment": 1, "index": z, "frame": 0, "shape": [rows, columns]}`` with one buffer:
the segment's mask of slice ``z`` of the array's first axis of space after the edit, bits packed row by row, most significant first
(NumPy's packbits). Kernel -> browser ``{"kind": "saved", "what": "segmentation" | "annotations"}`` after a save. ``{"kind": "save",
"what": …}`` browser -> kernel asks for one, to the default place.

Display: ``text/plain`` always; ``application/vnd.jupyter.widget-view+json``; and ``application/vnd.cohortlab.view+json``: ``{"model_id",
"text", "version": 1}``, which our JupyterLab extension prefers: it shows the widget when the kernel still has that model, else the text.
``image/png`` only for public data.

`GalleryView`, bundle ``gallery``: ``items`` (list of ``{"series": "dataset/series", "version": "…", "title": "…", "text": "…"}``),
``selected`` (list of ``dataset/series``; both ways), ``size`` (pixels of a thumbnail). Messages as above. Thumbnails come from
``thumbnail``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import traitlets as t

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.store import SeriesRef
from cohortlab.viewer.assets import stub_esm
from cohortlab.viewer.gateway import Gateway

_WINDOW_PARTS = 2  # centre and width


class SeriesView(anywidget.AnyWidget):
    """A view of one series. Reading an attribute gives what the screen shows, setting it changes the screen.

    Attributes:
        series, label: "dataset/series" of the image and of the segmentation over it ("" for none). Fixed.
        plane: name of the plane, one of `planes`.
        index: the slice, from 0, in voxels of the plane's axis.
        frame: index on the axis before z (time, b-value, …), 0 where there is none.
        window: (centre, width) in the array's values.
        overlay, opacity: whether labels are shown, and how strongly (0 to 1).
    """

    series = t.Unicode(read_only=True).tag(sync=True)
    label = t.Unicode(read_only=True).tag(sync=True)
    plane = t.Unicode().tag(sync=True)
    index = t.Int().tag(sync=True)
    frame = t.Int(0).tag(sync=True)
    window = t.Tuple(t.Float(), t.Float()).tag(sync=True)
    overlay = t.Bool(True).tag(sync=True)
    opacity = t.Float(0.5, min=0, max=1).tag(sync=True)

    def __init__(self, meta: Mapping[str, Any], label: str = "") -> None:
        self._counts = {plane["name"]: plane["count"] for plane in meta["planes"]}
        self._frames = len(meta["axis"]["values"]) if meta["axis"] else 1
        self._title = " ".join(part for part in (meta["modality"], meta["description"]) if part)
        first = next(iter(self._counts))
        self.set_trait("series", f"{meta['dataset']}/{meta['series']}")
        self.set_trait("label", label)
        self._esm = stub_esm("viewer")
        super().__init__(plane=first, index=self._counts[first] // 2, window=tuple(meta["window"] or (0.5, 1.0)))

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes that this series has."""
        return tuple(self._counts)

    @t.validate("plane")
    def _known_plane(self, proposal: Mapping[str, Any]) -> Any:
        if proposal["value"] not in self._counts:
            raise t.TraitError(f"This series has the planes {', '.join(self._counts)}.")
        return proposal["value"]

    @t.validate("index")
    def _index_inside(self, proposal: Mapping[str, Any]) -> Any:
        # the browser sends plane and index together, so the greatest count bounds both
        last = max(self._counts.values()) - 1
        if not 0 <= proposal["value"] <= last:
            raise t.TraitError(f"Slices of this series count from 0 to {last} at most.")
        return proposal["value"]

    @t.validate("frame")
    def _frame_inside(self, proposal: Mapping[str, Any]) -> Any:
        if not 0 <= proposal["value"] < self._frames:
            raise t.TraitError(f"Frames of this series count from 0 to {self._frames - 1}.")
        return proposal["value"]

    @t.validate("window")
    def _window_usable(self, proposal: Mapping[str, Any]) -> Any:
        if not proposal["value"][1] > 0:
            raise t.TraitError("The width of a window, its second number, is above 0.")
        return proposal["value"]

    def __repr__(self) -> str:
        """What is shown, in words."""
        over = f" with labels {self.label}" if self.label else ""
        return f"Cohortlab view of {self.series} ({self._title}){over}: {self.plane} slice {self.index}. For research, not for diagnosis."

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for readers without one a line that says what it was."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/plain"] = f"{self!r} Run the cell in a session to see it."
        return bundle


def view(
    image: Any,
    label_image: Any = None,
    *,
    plane: str | None = None,
    index: int | None = None,
    window: Sequence[float] | None = None,
    overlay: bool = True,
    opacity: float = 0.5,
) -> SeriesView:
    """Show a series in the notebook.

    Args:
        image: a series (`cl.open("dataset")[0]`), the DataArray that its `open()` gave, or "dataset/series".
        label_image: a segmentation of the same dataset, given in the same ways, to lay over it.
        plane: ``axial``, ``coronal`` or ``sagittal``; the acquisition's when not given.
        index: the slice, from 0; the middle when not given.
        window: (centre, width); the series' own when not given.
        overlay: whether labels are shown at first.
        opacity: of the labels, 0 to 1.

    Returns:
        The view; its attributes `plane`, `index`, `window`, `overlay`, `opacity` read and set what is shown.

    Raises:
        InvalidInputError: `image` is nothing that can be shown, or a segmentation of another dataset.
        NotFoundError: it is not in a dataset of this session.
    """
    gateway = Gateway.from_environment()
    dataset, series = reference(image)
    meta = gateway.describe(dataset, series)
    label = ""
    if label_image is not None:
        label_dataset, label_series = reference(label_image)
        if label_dataset != dataset:
            raise InvalidInputError("The segmentation is of another dataset than the image.")
        if gateway.series(dataset, label_series).attributes.kind != "segmentation":
            raise InvalidInputError("label_image is not a segmentation.", hint="series.segmentations lists those of a series.")
        label = f"{dataset}/{label_series}"
    _same_store(gateway, image, dataset)
    shown = SeriesView(meta, label)
    with shown.hold_sync():
        if plane is not None:
            shown.plane = plane
            shown.index = shown._counts[plane] // 2  # noqa: SLF001 - our own class
        if index is not None:
            shown.index = index
        if window is not None:
            if len(window) != _WINDOW_PARTS:
                raise InvalidInputError("A window is two numbers: centre and width.")
            shown.window = (float(window[0]), float(window[1]))
        shown.overlay = overlay
        shown.opacity = opacity
    return shown


def reference(image: Any) -> tuple[str, str]:
    """The dataset's and the series' id of what a person may call an image. Raises `InvalidInputError`."""
    if isinstance(image, SeriesRef):
        return image.dataset, image.id
    if isinstance(image, str) and image.count("/") == 1:
        dataset, series = image.split("/")
        return dataset, series
    attributes = getattr(image, "attrs", {}).get("cohortlab")
    if isinstance(attributes, Mapping) and {"dataset", "series"} <= attributes.keys():
        return str(attributes["dataset"]), str(attributes["series"])
    raise InvalidInputError(
        "This cannot be shown.", hint='Give a series, such as cl.open("dataset")[0], its DataArray, or "dataset/series".'
    )


def _same_store(gateway: Gateway, image: Any, dataset: str) -> None:
    """Refuse to show another copy of the dataset than the one that was opened, e.g. another version by its path."""
    if not isinstance(image, SeriesRef):
        return
    if not image.path.resolve().is_relative_to(gateway.store(dataset).path.resolve()):
        raise NotFoundError(
            "This series is in a folder that the session's server does not show.",
            hint="Open it by its dataset's id, as cl.datasets() lists it.",
        )
