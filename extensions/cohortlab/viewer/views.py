"""`cl.view`, `cl.compare`, `cl.gallery`: what a notebook calls."""

from collections.abc import Iterable, Sequence
from typing import Any

import ipywidgets
import traitlets as t

from cohortlab.errors import InvalidInputError
from cohortlab.store import SeriesRef, Store
from cohortlab.viewer.shown import image_of, kernel_gateway, label_of
from cohortlab.viewer.widget import PixelWidget, SeriesView, new_group

_WINDOW_PARTS = 2  # centre and width
_MOST_ITEMS = 20_000
_SERIES_COLUMNS = ("series", "series_id")


def view(
    image: Any,
    label_image: Any = None,
    *,
    plane: str | None = None,
    index: int | None = None,
    window: Sequence[float] | None = None,
    overlay: bool = True,
    opacity: float = 0.5,
    affine: Any = None,
    spacing: Sequence[float] | None = None,
) -> SeriesView:
    """Show an image in the notebook.

    Args:
        image: a series (`cl.open("dataset")[0]`), the DataArray that its `open()` gave, or "dataset/series"; or an array: of NumPy, xarray,
            Zarr, Dask or PyTorch over (t,) z, y, x, a MetaTensor of MONAI, an image of SimpleITK, the pydicom datasets of one series.
            Arrays go to the viewer through a private folder of this session, never into the notebook.
        label_image: a segmentation of the same dataset, given in the same ways, or an array of segment numbers on the image's grid.
        plane: ``axial``, ``coronal`` or ``sagittal``; the acquisition's when not given. An array without a place has ``z``, ``y``, ``x``.
        index: the slice, from 0; the middle when not given.
        window: (centre, width); the series' own when not given.
        overlay: whether labels are shown at first.
        opacity: of the labels, 0 to 1.
        affine: of an array, 4 x 4: index (z, y, x, 1) to patient (L, P, S, 1) in mm. Without one no letters are shown.
        spacing: of an array, mm a voxel along z, y, x.

    Returns:
        The view; its attributes read and set what is shown, `annotations` and `segmentation` are what was drawn.

    Raises:
        InvalidInputError: `image` is nothing that can be shown, or a segmentation of another dataset.
        NotFoundError: it is not in a dataset of this session.
        TooLargeError, StorageError: the array cannot be kept for the viewer.
    """
    dataset, series = image_of(image, affine, spacing)
    meta = kernel_gateway().describe(dataset, series)
    label = "" if label_image is None else label_of(label_image, dataset, series)
    shown = SeriesView(meta, label)
    shown.keep(*(name.split("/")[1] for name in (f"{dataset}/{series}", label) if name.startswith("_")))
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


class Comparison(ipywidgets.HBox):  # type: ignore[misc]  # ipywidgets has no types
    """Two views side by side that follow each other. `left` and `right` are the views."""

    def __init__(self, left: SeriesView, right: SeriesView) -> None:
        self.left, self.right = left, right
        for one in (left, right):
            one.layout.flex = "1 1 0"
            one.layout.min_width = "0"
        super().__init__(children=(left, right))

    def __repr__(self) -> str:
        """What is shown, in words."""
        return f"{self.left!r} Beside it: {self.right!r}"

    def close(self) -> None:
        """Take both views away."""
        self.left.close()
        self.right.close()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for readers without one a line that says what it was."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle["text/plain"] = f"{self!r} Run the cell in a session to see it."
        return bundle


def compare(a: Any, b: Any, link: Iterable[str] = ("index", "window", "zoom"), **more: Any) -> Comparison:
    """Show two images side by side.

    Args:
        a: what `view` takes, or a view.
        b: the same.
        link: in what they follow each other: any of ``index`` (by the place in the patient where both share one, else by number),
            ``window``, ``zoom`` (with pan) and ``plane``. They do so in the browser, also while the kernel computes.
        more: further arguments of `view`, for both.

    Raises:
        InvalidInputError: a link is none of these; else as `view`.
    """
    links = list(link)
    if set(links) - {"index", "window", "zoom", "plane"}:
        raise InvalidInputError("link is any of index, window, zoom and plane.")
    left, right = (one if isinstance(one, SeriesView) else view(one, **more) for one in (a, b))
    group = new_group()
    for one in (left, right):
        one.group, one.linked = group, links
    return Comparison(left, right)


class GalleryView(PixelWidget):
    """Thumbnails of many series. `selected` reads and sets which are chosen ("dataset/series"), `size` their pixels."""

    items = t.List(t.Dict(), read_only=True).tag(sync=True)
    selected = t.List(t.Unicode()).tag(sync=True)
    size = t.Int(128, min=16, max=512).tag(sync=True)

    def __init__(self, items: list[dict[str, str]], size: int) -> None:
        self.set_trait("items", items)
        super().__init__("gallery", size=size)

    @t.validate("selected")
    def _known(self, proposal: Any) -> Any:
        if set(proposal["value"]) - {item["series"] for item in self.items}:
            raise t.TraitError("Only series of this gallery can be selected.")
        return proposal["value"]

    def view(self, **more: Any) -> SeriesView:
        """The selected series, or the first one, as `cl.view` shows it."""
        return view(self.selected[0] if self.selected else self.items[0]["series"], **more)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        """What is shown, in words."""
        return f"Cohortlab gallery of {len(self.items)} series. For research, not for diagnosis."


def gallery(cohort: Any, *, size: int = 128) -> GalleryView:
    """Show thumbnails of many series; only those on the screen are fetched.

    Args:
        cohort: a dataset (`cl.open("dataset")` or its id), a list of what `view` takes, or a table with the columns ``dataset`` and
            ``series``, such as a selection of the catalogue.
        size: of a thumbnail's longer side, 16 to 512 pixels.

    Raises:
        InvalidInputError: there is nothing to show, or more than 20,000 series.
        NotFoundError: a series is not in a dataset of this session.
    """
    gateway = kernel_gateway()
    names = list(_members(cohort))
    if not 0 < len(names) <= _MOST_ITEMS:
        raise InvalidInputError(f"A gallery shows 1 to {_MOST_ITEMS:,} series, not {len(names):,}.")
    items = []
    for dataset, series in names:
        attributes = gateway.series(dataset, series).attributes
        space = " × ".join(map(str, attributes.shape))  # noqa: RUF001 - the sign that sizes are written with
        title = " ".join(part for part in (attributes.modality, attributes.description) if part)
        items.append({"series": f"{dataset}/{series}", "version": attributes.digests.pixels[:16], "title": title, "text": space})
    return GalleryView(items, size)


def _members(cohort: Any) -> Iterable[tuple[str, str]]:
    if isinstance(cohort, str) and "/" not in cohort:
        cohort = kernel_gateway().store(cohort)
    if isinstance(cohort, Store):
        return [(cohort.id, ref.id) for ref in cohort]
    if hasattr(cohort, "to_pandas"):  # Arrow's tables, Polars' frames
        cohort = cohort.to_pandas()
    columns = [str(name) for name in getattr(cohort, "columns", ())]
    series = next((name for name in _SERIES_COLUMNS if name in columns), None)
    if series is not None and "dataset" in columns:
        return [(str(dataset), str(one)) for dataset, one in zip(cohort["dataset"], cohort[series], strict=True)]
    if isinstance(cohort, SeriesRef) or not isinstance(cohort, Sequence) or isinstance(cohort, str):
        raise InvalidInputError("A gallery shows a dataset, a list of series, or a table with the columns dataset and series.")
    return [image_of(one) for one in cohort]
