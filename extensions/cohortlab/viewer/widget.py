"""`view()`: a series in a notebook, as a widget whose pixels come from the session's server, never through the notebook.

The widget's traits are references and view state only, a few hundred bytes: a saved notebook holds no pixel, and the image
is there while the kernel computes.

THE CONTRACT with the browser (``extensions/frontend/widget``).

`SeriesView`, bundle ``viewer``. Traits from Python only: ``series`` and ``label`` (``dataset/series``; ``label`` may be "" and may change
while it is shown: then labels load anew), ``group`` ("" or a name) with ``linked`` (of ``index``, ``window``, ``zoom``, ``plane``): views
of a page with the same group follow each other in these, in the browser, so also while the kernel computes; ``index`` by the place in the
patient when ``frame`` (meta) is the same, else by the number. Both ways: ``plane, index, frame, window, overlay, opacity``, and ``zoom``
(1: the slice fits), ``pan`` ([right, down] in screen pixels at zoom 1), ``rotation`` (0, 90, 180, 270), ``flip`` ([across, down]),
``invert``, ``hidden`` (numbers of segments that are not shown), ``marks``. ``ahead`` is the series' ``version`` where a slice is small
enough to be asked for beside the series' description instead of after it, else "".
A browser sends what changed when the hand rests (120 ms).

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
or the page names no base path; of an array also ``array-gone``: the kernel may be on another machine) and shows a hint that this way is
slower. The stub (`assets.py`) gets the bundle itself by such a message, makes a module of
it, and calls its ``render({model, el, transport: "messages"})``; else
``transport`` is undefined.

Segmentation, browser -> kernel: ``{"kind": "brush", "segment": 1, "index": z, "frame": 0, "shape": [rows, columns]}`` with one buffer:
the segment's mask of slice ``z`` of the array's first axis of space after the edit, bits packed row by row, most significant first
(NumPy's packbits); of a series with a fourth axis they are those of its first volume. ``{"kind": "save", "what": "segmentation" |
"annotations"}`` browser -> kernel asks for a file in the default place. Kernel -> browser ``{"kind": "saved", "what": …, "name": "…"}``
after a save, ``{"kind": "failed", "what": …, "problem": "…"}`` with problem JSON as text when a stroke or a save could not be taken.

Display: ``text/plain`` always; ``application/vnd.jupyter.widget-view+json``; and ``application/vnd.cohortlab.view+json``: ``{"model_id",
"text", "version": 1}``, which our JupyterLab extension prefers: it shows the widget when the kernel still has that model, else the text.
``image/png`` only for public data.

`GalleryView`, bundle ``gallery``: ``items`` (list of ``{"series": "dataset/series", "version": "…", "title": "…", "text": "…"}``),
``selected`` (list of ``dataset/series``; both ways), ``size`` (pixels of a thumbnail). Messages as above. Thumbnails come from
``thumbnail``.
"""

import importlib.metadata
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anywidget
import numpy as np
import numpy.typing as npt
import traitlets as t

from cohortlab.errors import CohortlabError, InvalidInputError
from cohortlab.viewer import marks as marked
from cohortlab.viewer import pictures
from cohortlab.viewer.api import problem
from cohortlab.viewer.arrays import ARRAYS, register
from cohortlab.viewer.assets import bundles, stub_esm
from cohortlab.viewer.channel import Channel
from cohortlab.viewer.editing import Edits
from cohortlab.viewer.gateway import is_public, planes_of
from cohortlab.viewer.shown import kernel_gateway
from cohortlab.viewer.slices import Series

if TYPE_CHECKING:
    import pandas as pd

MIMETYPE = "application/vnd.cohortlab.view+json"
_PICTURE = 512  # pixels of the longer side of a notebook's picture
_TURNS = (0, 90, 180, 270)
_LINKS = ("index", "window", "zoom", "plane")
_AHEAD = 2**20  # bytes of a slice that a browser asks for before it knows whether it needs it in full


class PixelWidget(anywidget.AnyWidget):
    """Base of our widgets: messages that carry the gateway, and a display that survives its kernel."""

    def __init__(self, bundle: str, **state: Any) -> None:
        self._esm = stub_esm(bundle)
        super().__init__(**state)
        self._channel = Channel(kernel_gateway, lambda content, buffers: self.send(content, buffers=buffers))
        self.on_msg(self._message)

    def _message(self, _widget: Any, content: Any, buffers: Sequence[Any]) -> None:
        if isinstance(content, Mapping) and not self._channel.heard(content):
            self._heard(content, buffers)

    def _heard(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """A message that asks for no pixels."""

    def close(self) -> None:
        """Take the widget, and what was kept for it, away."""
        if hasattr(self, "_channel"):
            self._channel.close()
        super().close()

    def on(self, name: str, listener: Callable[[Any], Any]) -> Callable[[], None]:
        """Call `listener` with the new value whenever the state `name` changes, by hand or by code; returns how to stop that.

        Raises `InvalidInputError` for a name that is no state.
        """
        if name.startswith("_") or not self.has_trait(name):
            raise InvalidInputError(f"There is no state {name!r} to listen to.")

        def heard(change: Mapping[str, Any]) -> None:
            listener(change["new"])

        self.observe(heard, name)
        return lambda: self.unobserve(heard, name)

    def _text(self) -> str:
        return f"{self!r} Run the cell in a session to see it."

    def _picture(self) -> bytes | None:
        """A PNG for saved notebooks; None for what is not public."""
        return None

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for readers without one a line that says what it was; of public data a picture too."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, about = bundle
        data["text/plain"] = self._text()
        data[MIMETYPE] = {"model_id": self.model_id, "text": self._text(), "version": 1}
        picture = self._picture()
        if picture is not None:
            data["image/png"] = picture
        return data, about


class SeriesView(PixelWidget):
    """A view of one series. Reading an attribute gives what the screen shows, setting it changes the screen.

    Attributes:
        series, label: "dataset/series" of the image and of the segmentation over it ("" for none). Fixed.
        plane: name of the plane, one of `planes`.
        index: the slice, from 0, in voxels of the plane's axis.
        frame: index on the axis before z (time, b-value, …), 0 where there is none.
        window: (centre, width) in the array's values.
        overlay, opacity: whether labels are shown, and how strongly (0 to 1). hidden: numbers of segments that are not.
        zoom, pan, rotation, flip, invert: how the slice lies on the screen.
        marks: the annotations' geometry; `annotations` is what they measure.
        group, linked: views of one group follow each other in what is linked.
    """

    series = t.Unicode(read_only=True).tag(sync=True)
    label = t.Unicode(read_only=True).tag(sync=True)
    ahead = t.Unicode(read_only=True).tag(sync=True)
    group = t.Unicode().tag(sync=True)
    linked = t.List(t.Enum(_LINKS)).tag(sync=True)
    plane = t.Unicode().tag(sync=True)
    index = t.Int().tag(sync=True)
    frame = t.Int(0).tag(sync=True)
    window = t.Tuple(t.Float(), t.Float()).tag(sync=True)
    overlay = t.Bool(True).tag(sync=True)
    opacity = t.Float(0.5, min=0, max=1).tag(sync=True)
    hidden = t.List(t.Int(min=0)).tag(sync=True)
    zoom = t.Float(1.0, min=0.01, max=1000).tag(sync=True)
    pan = t.Tuple(t.Float(), t.Float(), default_value=(0.0, 0.0)).tag(sync=True)
    rotation = t.Enum(_TURNS, 0).tag(sync=True)
    flip = t.Tuple(t.Bool(), t.Bool(), default_value=(False, False)).tag(sync=True)
    invert = t.Bool(False).tag(sync=True)
    marks = t.List(t.Dict()).tag(sync=True)
    segmentation_edited = t.Int(0, help="Counts the strokes of the brush.")

    def __init__(self, meta: Mapping[str, Any], label: str = "") -> None:
        self._counts = {plane["name"]: plane["count"] for plane in meta["planes"]}
        self._frames = len(meta["axis"]["values"]) if meta["axis"] else 1
        self._title = " ".join(part for part in (meta["modality"], meta["description"]) if part)
        self._edits: Edits | None = None
        self._mine: list[str] = []
        first = next(iter(self._counts))
        self.set_trait("series", f"{meta['dataset']}/{meta['series']}")
        self.set_trait("label", label)
        self.set_trait("ahead", meta["version"] if _largest_slice(meta) <= _AHEAD else "")
        super().__init__("viewer", plane=first, index=self._counts[first] // 2, window=tuple(meta["window"] or (0.5, 1.0)))

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
        center, width = proposal["value"]
        if not (abs(center) < float("inf") and 0 < width < float("inf")):
            raise t.TraitError("The width of a window, its second number, is above 0, and both are finite.")
        return proposal["value"]

    @t.validate("marks")
    def _marks_usable(self, proposal: Mapping[str, Any]) -> Any:
        if len(proposal["value"]) > marked.MOST_MARKS:
            raise t.TraitError(f"A view takes {marked.MOST_MARKS} marks.")
        try:
            found = [marked.checked(mark) for mark in proposal["value"]]
        except InvalidInputError as error:
            raise t.TraitError(error.message) from None
        if any(mark["plane"] not in self._counts or mark["index"] >= self._counts[mark["plane"]] for mark in found):
            raise t.TraitError("A mark lies in a plane or slice that this series does not have.")
        return found

    @property
    def annotations(self) -> "pd.DataFrame":
        """The marks with what they measure: a row each.

        Columns: id, kind, label, plane, index, frame, length, width, area, unit (of lengths: mm or voxel), angle (degrees), mean, sd,
        minimum, maximum, values_unit, voxels, points (z, y, x of level 0), points_mm (L, P, S in the patient, in mm; None where the
        series has no place in one). Raises `StorageError` when the voxels cannot be read.
        """
        import pandas as pd  # noqa: PLC0415 - takes long to load, and a view needs none

        series, planes = self.source, planes_of(self.series.split("/")[0], self.source.attributes)
        rows = [marked.row(mark, series, planes) for mark in self.marks]
        columns = ["id", "kind", "label", "plane", "index", "frame", *marked.Measured.__dataclass_fields__, "points", "points_mm"]
        return pd.DataFrame(rows, columns=columns)

    def on(self, name: str, listener: Callable[[Any], Any]) -> Callable[[], None]:
        """As of any widget; ``annotations`` and ``segmentation`` are states too: the listener gets the table, the array."""
        if name == "annotations":
            return super().on("marks", lambda _: listener(self.annotations))
        if name == "segmentation":
            return super().on("segmentation_edited", lambda _: listener(self.segmentation))
        return super().on(name, listener)

    @property
    def source(self) -> Series:
        """The series that is shown."""
        return kernel_gateway().series(*self.series.split("/"))

    @property
    def segmentation(self) -> npt.NDArray[np.uint16]:
        """The labels over the image with what the brush did, (z, y, x) or (y, x) on the image's grid: segment numbers."""
        return self._labels().values()

    def _labels(self) -> Edits:
        if self._edits is None:
            self._edits = Edits.over(kernel_gateway(), self.series, self.label)
        return self._edits

    def save_annotations(self, folder: str | Path | None = None, form: Literal["dicom", "json"] = "dicom", *, reader: str = "") -> Path:
        """Write the marks into a file of yours: a DICOM structured report (TID 1500), or JSON with what they measure.

        Args:
            folder: in your home; ``annotations/<dataset>`` when not given.
            form: ``dicom`` for series of a dataset, ``json`` for any.
            reader: who drew them, when the report is to say so.

        Returns:
            The file. It names the store's version and the viewer's build.

        Raises:
            RefusedError: the folder is not in your home, or lies in a dataset.
            InvalidInputError: there are no marks, or the series has no instances to refer to.
        """
        from cohortlab.viewer.saving import save_annotations  # noqa: PLC0415 - highdicom takes long to load

        return self._saved("annotations", save_annotations(kernel_gateway(), self, folder, form, reader))

    def save_segmentation(self, folder: str | Path | None = None, form: Literal["dicom", "array"] = "dicom") -> Path:
        """Write `segmentation` into a file of yours: DICOM SEG, or a NumPy archive with the labels, their names and the affine.

        Takes and raises what `save_annotations` does; `form` is ``dicom`` or ``array``.
        """
        from cohortlab.viewer.saving import save_segmentation  # noqa: PLC0415 - highdicom takes long to load

        return self._saved("segmentation", save_segmentation(kernel_gateway(), self, folder, form))

    def _saved(self, what: str, path: Path) -> Path:
        self.send({"kind": "saved", "what": what, "name": path.name})
        return path

    def _heard(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        try:
            match content.get("kind"):
                case "brush" if buffers:
                    self._labels().stroke(content, bytes(buffers[0]))
                    self.segmentation_edited += 1
                case "save":
                    as_array = self.series.startswith(f"{ARRAYS}/")
                    if content.get("what") == "segmentation":
                        self.save_segmentation(form="array" if as_array else "dicom")
                    else:
                        self.save_annotations(form="json" if as_array else "dicom")
        except CohortlabError as error:
            self.send({"kind": "failed", "what": content.get("what", content["kind"]), "problem": problem(error).body.decode()})

    def keep(self, *arrays: str) -> None:
        """Let these registered arrays go when the view is closed."""
        self._mine.extend(arrays)

    def close(self) -> None:
        """Take the view away, and the arrays that were kept for it."""
        for series in getattr(self, "_mine", ()):
            register().release(series)
        super().close()

    def _picture(self) -> bytes | None:
        dataset, series = self.series.split("/")
        gateway = kernel_gateway()
        try:
            if dataset == ARRAYS or not is_public(gateway.store(dataset).manifest):
                return None
            index = min(self.index, self._counts[self.plane] - 1)
            image = gateway.picture(dataset, series, _PICTURE, where=(self.plane, index, self.frame), window=self.window)
        except CohortlabError:
            return None  # a notebook without its picture is better than a cell that fails
        return pictures.encoded(pictures.with_caveat(image), "png")

    def __repr__(self) -> str:
        """What is shown, in words."""
        over = f" with labels {self.label}" if self.label else ""
        return f"Cohortlab view of {self.series} ({self._title}){over}: {self.plane} slice {self.index}. For research, not for diagnosis."


def _largest_slice(meta: Mapping[str, Any]) -> int:
    """Bytes of a whole slice in the plane where it is largest."""
    pixels = max(plane["right"]["count"] * plane["down"]["count"] for plane in meta["planes"])
    return int(pixels * np.dtype(meta["dtype"]).itemsize * (len(meta["samples"]) or 1))


_counting = threading.Lock()
_groups = 0


def new_group() -> str:
    """A name that no other group of this kernel has."""
    global _groups  # noqa: PLW0603 - a counter
    with _counting:
        _groups += 1
        return f"group-{_groups}"


def build_of_viewer() -> str:
    """The build of the viewer that a file names: the hash of its bundle."""
    return bundles()["viewer"].split(".")[1]


def version_of_package() -> str:
    """The version of this package."""
    return importlib.metadata.version("cohortlab")
