"""What a series would be in a store, without writing it: for a dry run, which has to find what cannot be stored."""

from collections.abc import Sequence

import numpy as np
from pydantic import JsonValue

from cohortlab.store.colour import ColourSource, is_colour
from cohortlab.store.contours import build_contours
from cohortlab.store.contracts import SeriesAttributes
from cohortlab.store.describe import describe
from cohortlab.store.pixels import FrameSource, rescale_of
from cohortlab.store.segment import build_labels
from cohortlab.store.series import SeriesGroup
from cohortlab.store.slide import slide_levels
from cohortlab.store.slide_write import describe_slide


def plan(found: SeriesGroup, images: Sequence[SeriesAttributes], record: dict[str, JsonValue]) -> SeriesAttributes:
    """The attributes that `found` would get; digests and levels are not known. `images`: those planned before, which a segmentation needs.

    Raises `InvalidInputError` when the store cannot hold it. Of images only the first is decoded.
    """
    if found.kind == "segmentation":
        build = build_contours if found.contours else build_labels
        return build(found, list(images), record).attributes
    if found.slide:
        return describe_slide(found, slide_levels(found.datasets), np.dtype("u1"), record)
    rescale = rescale_of(found)
    applied = np.dtype("<i2") if rescale is not None and rescale.applied else None
    source = ColourSource(found, _nobody) if is_colour(found) else FrameSource(found, rescale, applied, _nobody)
    return describe(found, source.shape, source.dtype, rescale, record)


def _nobody() -> None:
    """Hears of no image."""
