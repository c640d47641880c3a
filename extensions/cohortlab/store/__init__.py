"""The image store: layout, signed manifest, geometry, writing, reading, verification, and `open` in a session.

Names load when first used, so that the contracts alone need no image library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cohortlab.store.contracts import AccessCondition, Manifest, ManifestFields, SeriesAttributes

if TYPE_CHECKING:
    from cohortlab.store.manifest import read_manifest, trusted_keys
    from cohortlab.store.read import SeriesRef, Store
    from cohortlab.store.series import SeriesGroup, group
    from cohortlab.store.session import datasets, find, open_
    from cohortlab.store.sources import originals
    from cohortlab.store.verify import Report, verify_store
    from cohortlab.store.write import StoreWriter

_LAZY = {
    "Report": "verify",
    "SeriesGroup": "series",
    "SeriesRef": "read",
    "Store": "read",
    "StoreWriter": "write",
    "datasets": "session",
    "find": "session",
    "group": "series",
    "open_": "session",
    "originals": "sources",
    "read_manifest": "manifest",
    "trusted_keys": "manifest",
    "verify_store": "verify",
}

__all__ = [
    "AccessCondition",
    "Manifest",
    "ManifestFields",
    "Report",
    "SeriesAttributes",
    "SeriesGroup",
    "SeriesRef",
    "Store",
    "StoreWriter",
    "datasets",
    "find",
    "group",
    "open_",
    "originals",
    "read_manifest",
    "trusted_keys",
    "verify_store",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'cohortlab.store' has no attribute {name!r}")
    return getattr(import_module(f"cohortlab.store.{_LAZY[name]}"), name)
