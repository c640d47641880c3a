"""Disclosure control: what of a raw table may leave the site. Pure; only the release process calls it.

The rule, after the handbook of Hundepool et al., "Statistical Disclosure Control" (2012), chapter 4:

1. Primary suppression: a cell that holds something, but fewer voxels or subjects than the policy's minimum, must not be
   shown. Empty cells are shown.
2. Complementary suppression: the total of all cells is shown, so a withheld cell could be found by subtraction. The cells
   that hold something are therefore paired in their order (three in the last group when their number is odd), and a pair
   with a cell that must not be shown is withheld whole. The pairs follow from what is public, so an attacker who knows this
   rule learns of a withheld pair only that one of the two is small, not which.
3. When the withheld cells together hold hardly more than one voxel each, the total is withheld too.
4. Mean and standard deviation are of the voxels in the cells that are shown. Over all voxels they would be two more
   equations on the withheld cells, which with bins one grey value wide could be solved.

Why that is enough. Let the withheld cells be n, together R, and the minimum k >= 3. Each is at least 1. If R - n >= k - 1
the total is shown; any one of them may then hold all that is over, R - n + 1, or any of 1 .. k - 1 with the rest in another:
every pair still has a small cell, so the same would be released. If R - n < k - 1 the total is not shown, and each may
hold any of 1 .. k - 1 likewise. So every withheld cell keeps the k - 1 values that its suppression stands for.
"""

import math
from collections.abc import Sequence

from cohortlab.errors import RefusedError
from cohortlab.federation.contracts import REASONS, HistogramResult, Moments, Reason
from cohortlab.federation.site.config import PolicyFile
from cohortlab.federation.tasks.histogram_model import RawCell, RawHistogram

_GROUP = 2


class DisclosureError(RefusedError):
    """The whole result must stay here. `reason` may be told."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason
        self.code = reason.value


def withheld(counts: Sequence[int], primary: Sequence[bool], minimum: int) -> tuple[frozenset[int], bool]:
    """The indices of the cells to withhold, and whether the total must be withheld too.

    `primary` marks the cells that must not be shown; `minimum` is the policy's minimum count. Both sequences are in the
    table's order.
    """
    holding = [i for i, count in enumerate(counts) if count > 0]
    groups = [holding[i : i + _GROUP] for i in range(0, len(holding), _GROUP)]
    if len(groups) > 1 and len(groups[-1]) < _GROUP:
        alone = groups.pop()
        groups[-1] += alone
    hidden = frozenset(i for group in groups if any(primary[j] for j in group) for i in group)
    spare = sum(counts[i] for i in hidden) - len(hidden)
    return hidden, bool(hidden) and spare < minimum - 1


def pool(cells: Sequence[RawCell]) -> Moments | None:
    """Mean and population standard deviation of all values in `cells` together; None when there are none."""
    count = sum(cell.count for cell in cells)
    if count == 0:
        return None
    mean = math.fsum(cell.count * cell.mean for cell in cells) / count
    m2 = math.fsum(cell.m2 + cell.count * (cell.mean - mean) ** 2 for cell in cells)
    return Moments(count=count, mean=mean, sd=math.sqrt(m2 / count))


def disclose(raw: RawHistogram, policy: PolicyFile) -> HistogramResult:
    """The part of `raw` that the policy lets out. Raises `DisclosureError` when none of it may go."""
    if raw.subjects < policy.minimum_subjects:
        raise DisclosureError(Reason.TOO_FEW_SUBJECTS)
    counts = [cell.count for cell in raw.cells]
    primary = [
        cell.count > 0 and (cell.count < policy.minimum_count or cell.subjects < policy.minimum_subjects_per_cell) for cell in raw.cells
    ]
    hidden, total_hidden = withheld(counts, primary, policy.minimum_count)
    shown = [None if i in hidden else count for i, count in enumerate(counts)]
    moments = pool([cell for i, cell in enumerate(raw.cells) if i not in hidden])
    asked = raw.parameters
    return HistogramResult(
        low=asked.low,
        high=asked.high,
        counts=tuple(shown[1:-1]),
        below=shown[0],
        above=shown[-1],
        count=None if total_hidden else sum(counts),
        moments=moments,
        subjects=raw.subjects,
        series=raw.series,
        modality=asked.modality,
        region=asked.region,
        minimum_count=policy.minimum_count,
    )
