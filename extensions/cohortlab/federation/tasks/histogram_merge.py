"""One histogram from those of several sites: only sums of what was released, so it can tell nothing that they do not."""

import math
from collections.abc import Sequence

from cohortlab.errors import InvalidInputError
from cohortlab.federation.contracts import HistogramResult, MergedCell, MergedHistogram, Moments


def merge_moments(parts: Sequence[Moments]) -> Moments | None:
    """Mean and population standard deviation of all samples together (Chan, Golub and LeVeque 1983); None of none."""
    if not parts:
        return None
    count = sum(part.count for part in parts)
    mean = math.fsum(part.count * part.mean for part in parts) / count
    m2 = math.fsum(part.count * (part.sd**2 + (part.mean - mean) ** 2) for part in parts)
    return Moments(count=count, mean=mean, sd=math.sqrt(m2 / count))


def merge_histograms(results: Sequence[HistogramResult]) -> MergedHistogram:
    """The merged histogram of one or more sites. Raises `InvalidInputError` unless all have the same bins."""
    if len({(r.low, r.high, len(r.counts), r.modality, r.region) for r in results}) != 1:
        raise InvalidInputError("Histograms can be merged only over the same bins, modality and region.")
    first = results[0]
    known = [r.count for r in results if r.count is not None]
    return MergedHistogram(
        low=first.low,
        high=first.high,
        cells=tuple(_cell(column) for column in zip(*(r.counts for r in results), strict=True)),
        below=_cell([r.below for r in results]),
        above=_cell([r.above for r in results]),
        count=sum(known),
        count_suppressed=len(results) - len(known),
        moments=merge_moments([r.moments for r in results if r.moments is not None]),
        subjects=sum(r.subjects for r in results),
        series=sum(r.series for r in results),
    )


def _cell(counts: Sequence[int | None]) -> MergedCell:
    return MergedCell(count=sum(c for c in counts if c is not None), suppressed=sum(c is None for c in counts))
