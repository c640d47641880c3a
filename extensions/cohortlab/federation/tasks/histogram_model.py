"""The histogram's parameters and its raw result, as they cross between the processes of a site."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from cohortlab.federation.contracts import Count, Model

MAX_BINS = 1024


class HistogramParameters(Model):
    """`bins` of equal width over ``[low, high]`` in the image's units (HU for CT), over the series of one `modality`.

    `region` ``segmentation`` counts only the voxels that lie in any segment of the series' segmentations.
    """

    bins: Annotated[int, Field(ge=1, le=MAX_BINS)] = 64
    low: Annotated[float, Field(ge=-1e9, le=1e9)] = -1024.0
    high: Annotated[float, Field(ge=-1e9, le=1e9)] = 1024.0
    modality: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,8}$")] = "CT"
    region: Literal["all", "segmentation"] = "all"

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.high - self.low >= 1e-9 * max(1.0, abs(self.low), abs(self.high)) * self.bins:
            raise ValueError("low must be below high, by more than the bins' number of rounding steps")
        return self


class RawCell(Model):
    """One cell before any disclosure check: voxels, their mean, sum of squared deviations, and subjects that have any."""

    count: Count
    mean: float
    m2: Annotated[float, Field(ge=0)]
    subjects: Count


class RawHistogram(Model):
    """What the runner hands to the release process and nobody else: cells in the order below, bins…, above."""

    kind: Literal["histogram"] = "histogram"
    parameters: HistogramParameters
    cells: Annotated[tuple[RawCell, ...], Field(min_length=3, max_length=MAX_BINS + 2)]
    subjects: Count
    series: Count
