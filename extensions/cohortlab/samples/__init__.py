"""Sample images: generated CT-like and MR-like volumes with a lesion and its segmentation, and where the real mammograms lie."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cohortlab.samples.mammography import mammograms

if TYPE_CHECKING:
    from cohortlab.samples.cohort import Patient, write_cohort, write_ct, write_mr

__all__ = ["Patient", "mammograms", "write_cohort", "write_ct", "write_mr"]


def __getattr__(name: str) -> Any:
    """Load what generates images on first use (PEP 562): the demo, which only asks where mammograms lie, does without highdicom."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("cohortlab.samples.cohort"), name)
