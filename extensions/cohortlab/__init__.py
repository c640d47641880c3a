"""Cohortlab in a session: open, view and compute on mounted datasets, launch jobs where other data stays.

>>> import cohortlab as cl
>>> cl.datasets()                       # what is mounted here
>>> series = cl.open("prostatex")[0]    # one series of a dataset
>>> cl.view(series)                     # look at it
>>> cl.launch()                         # a federated job

The parts are loaded when first used, so that the command and the sites need no notebook packages.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cohortlab.federation import jobs
    from cohortlab.federation.launch import launch
    from cohortlab.store.session import datasets
    from cohortlab.store.session import open_ as open  # noqa: A004 - `cl.open` is the field's call shape, as in xarray and PIL
    from cohortlab.viewer import compare, gallery, view

_PUBLIC = {
    "compare": ("cohortlab.viewer", "compare"),
    "datasets": ("cohortlab.store.session", "datasets"),
    "gallery": ("cohortlab.viewer", "gallery"),
    "jobs": ("cohortlab.federation.jobs", ""),
    "launch": ("cohortlab.federation.launch", "launch"),
    "open": ("cohortlab.store.session", "open_"),
    "view": ("cohortlab.viewer", "view"),
}

__all__ = ["compare", "datasets", "gallery", "jobs", "launch", "open", "view"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cohortlab' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    loaded = import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted([*globals(), *_PUBLIC])
