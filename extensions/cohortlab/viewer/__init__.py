"""The viewer: `view()`, `compare()` and `gallery()` for notebooks, and the pixel gateway that a Jupyter server loads as an extension."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cohortlab.viewer.views import Comparison, GalleryView, compare, gallery, view
    from cohortlab.viewer.widget import SeriesView

__all__ = ["Comparison", "GalleryView", "SeriesView", "compare", "gallery", "view"]


def __getattr__(name: str) -> Any:
    """Load the widget when it is first used: the server needs no ipywidgets, and the kernel no server."""
    if name in __all__:
        from cohortlab.viewer import views, widget  # noqa: PLC0415 - that is the point

        return getattr(widget if name == "SeriesView" else views, name)
    raise AttributeError(f"module 'cohortlab.viewer' has no attribute {name!r}")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cohortlab.viewer"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    from cohortlab.viewer.server import load  # noqa: PLC0415 - as above

    load(serverapp)
