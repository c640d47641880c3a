"""`view`, `compare` and `gallery`: from what a person has to what a widget shows.

A series of a mounted dataset is shown by its name; anything else is registered with the gateway first (`arrays.py`).
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

from cohortlab.errors import CohortlabError, InvalidInputError, NotFoundError
from cohortlab.store import SeriesRef
from cohortlab.store.layout import FOLDER_VARIABLE, KEYS_VARIABLE
from cohortlab.store.places import Folder
from cohortlab.viewer import arrays
from cohortlab.viewer.gateway import Gateway
from cohortlab.viewer.inputs import given, placed, show, show_labels

_gateways: dict[tuple[str, ...], Gateway] = {}
_making = threading.Lock()


def kernel_gateway() -> Gateway:
    """This process's gateway for the session's datasets and its own arrays; one as long as the environment says the same."""
    said = tuple(os.environ.get(name, "") for name in (FOLDER_VARIABLE, KEYS_VARIABLE, arrays.FOLDER_VARIABLE))
    with _making:
        if said not in _gateways:
            _gateways.clear()
            _gateways[said] = Gateway.from_environment()
        gateway = _gateways[said]
        if gateway.arrays is None and arrays.registered():  # no server told where to put them
            gateway.arrays = arrays.kernels_own()
        return gateway


def reference(image: Any) -> tuple[str, str] | None:
    """The dataset's and the series' id of what a person may call a series of a dataset; None for anything else.

    A DataArray counts as its series only as `open` gave it, unread: what was computed from it has its attributes too.
    """
    if isinstance(image, SeriesRef):
        return image.dataset, image.id
    if isinstance(image, str) and image.count("/") == 1:
        dataset, series = image.split("/")
        return dataset, series
    known = getattr(image, "attrs", {}).get("cohortlab") if hasattr(image, "variable") else None
    if isinstance(known, Mapping) and {"dataset", "series"} <= known.keys() and _untouched(image, known):
        return str(known["dataset"]), str(known["series"])
    return None


def _untouched(image: Any, known: Mapping[str, Any]) -> bool:
    """Whether a DataArray is still what `SeriesRef.open` gave: values not read, nothing cut or turned."""
    if image.chunks is not None or image.variable._in_memory:  # noqa: SLF001 - xarray has no other word for it
        return False
    if "location" in known:  # it came over the network, not from a mount
        return False
    try:
        ref = kernel_gateway().series(str(known["dataset"]), str(known["series"]))
    except CohortlabError:
        return False
    if not isinstance(ref, SeriesRef) or ref.store.version != known.get("version"):
        return False
    fresh = ref.open(int(known.get("level", 0)))
    same = image.dims == fresh.dims and image.shape == fresh.shape and image.dtype == fresh.dtype
    return bool(same and all(name in image.coords and image[name].equals(fresh[name]) for name in fresh.dims))


def image_of(image: Any, affine: Any = None, spacing: Any = None) -> tuple[str, str]:
    """The dataset and series under which `image` can be asked for; registers an array first.

    Raises `InvalidInputError`, `NotFoundError`, `TooLargeError` as their texts say.
    """
    if isinstance(image, SeriesRef) and not isinstance(image.store.place, Folder):
        image = image.open()  # a store over the network: its voxels are brought here
    named = reference(image)
    if named is not None:
        if affine is not None or spacing is not None:
            raise InvalidInputError("A series of a dataset has its own place: affine and spacing are for arrays.")
        _same_store(image, named[0])
        return named
    return arrays.ARRAYS, show(placed(given(image), affine, spacing))


def label_of(label: Any, dataset: str, series: str) -> str:
    """The ``dataset/series`` under which labels over an image can be asked for; registers an array first. Raises as `image_of`."""
    gateway = kernel_gateway()
    named = reference(label)
    if named is None:
        return f"{arrays.ARRAYS}/{show_labels(given(label), gateway.series(dataset, series).attributes)}"
    if named[0] != dataset:
        raise InvalidInputError("The segmentation is of another dataset than the image.")
    if gateway.series(*named).attributes.kind != "segmentation":
        raise InvalidInputError("label_image is not a segmentation.", hint="series.segmentations lists those of a series.")
    return "/".join(named)


def _same_store(image: Any, dataset: str) -> None:
    """Refuse to show another copy of the dataset than the one that was opened, e.g. another version by its path."""
    if not isinstance(image, SeriesRef):
        return
    if not image.path.resolve().is_relative_to(kernel_gateway().store(dataset).path.resolve()):
        raise NotFoundError(
            "This series is in a folder that the session's server does not show.",
            hint="Open it by its dataset's id, as cl.datasets() lists it.",
        )
