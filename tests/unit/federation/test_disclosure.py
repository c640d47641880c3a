"""No released table lets a suppressed cell be found: each attack tries every table that could have been released so."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.federation.contracts import Reason
from cohortlab.federation.site.config import PolicyFile
from cohortlab.federation.site.disclosure import DisclosureError, disclose, withheld
from cohortlab.federation.tasks.histogram_model import HistogramParameters, RawCell, RawHistogram


def raw(counts, subjects=10, per_cell=None, mean=0.0):
    cells = tuple(
        RawCell(count=n, mean=mean + i if n else 0.0, m2=0.0, subjects=(per_cell[i] if per_cell else subjects) if n else 0)
        for i, n in enumerate(counts)
    )
    parameters = HistogramParameters(bins=len(counts) - 2, low=0, high=1)
    return RawHistogram(parameters=parameters, cells=cells, subjects=subjects, series=subjects)


def released(counts, minimum):
    result = disclose(raw(counts), PolicyFile(minimum_count=minimum, minimum_subjects=1))
    return (result.below, *result.counts, result.above), result.count


@pytest.mark.parametrize(("minimum", "size", "most"), [(3, 4, 7), (4, 4, 8), (5, 3, 12), (3, 5, 6), (3, 3, 16)])
def test_an_attacker_who_knows_the_rule_and_tries_every_table_finds_no_suppressed_cell(minimum, size, most):
    # The strongest form of subtraction: all tables of this size that the rule would have released in the same way.
    possible = defaultdict(list)
    for counts in itertools.product(range(most + 1), repeat=size):
        possible[released(counts, minimum)].append(counts)
    attacked = 0
    for (cells, total), tables in possible.items():
        rest = None if total is None else total - sum(c for c in cells if c)
        if rest is not None and rest > most:
            continue  # larger counts than tried here would be released in the same way
        for index, cell in enumerate(cells):
            if cell is None:
                attacked += 1
                assert {table[index] for table in tables} >= set(range(1, minimum)), (cells, total)
    assert attacked > 20


tables = st.lists(st.integers(0, 60), min_size=3, max_size=40)


@given(tables, st.integers(3, 20))
def test_no_cell_below_the_minimum_is_shown_and_none_is_alone(counts, minimum):
    cells, total = released(counts, minimum)
    assert all(shown is None or shown == count for shown, count in zip(cells, counts, strict=True))
    assert all(shown is None or shown == 0 or shown >= minimum for shown in cells)
    hidden = [i for i, cell in enumerate(cells) if cell is None]
    assert hidden or total == sum(counts)
    if hidden and total is not None:
        rest = total - sum(c for c in cells if c is not None)
        assert len(hidden) >= 2
        # Each hidden cell holds from 1 to this many voxels, for all that the table says.
        assert rest - (len(hidden) - 1) >= minimum


@given(tables, st.integers(3, 20))
def test_mean_and_deviation_are_those_of_the_shown_cells_only(counts, minimum):
    result = disclose(raw(counts, mean=5.0), PolicyFile(minimum_count=minimum, minimum_subjects=1))
    cells = (result.below, *result.counts, result.above)
    values = [5.0 + i for i, n in enumerate(cells) for _ in range(n or 0)]
    if not values:
        assert result.moments is None
    else:
        mean = sum(values) / len(values)
        assert result.moments.count == len(values) >= minimum
        assert result.moments.mean == pytest.approx(mean)
        assert result.moments.sd == pytest.approx((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5, abs=1e-9)


def test_a_cell_of_few_subjects_is_suppressed_however_many_voxels_it_has():
    table = raw([100, 100, 100, 100, 100], subjects=8, per_cell=[8, 8, 2, 8, 8])
    result = disclose(table, PolicyFile(minimum_count=5, minimum_subjects=5, minimum_subjects_per_cell=3))
    assert result.counts[1] is None
    assert result.suppressed == 3
    assert result.count == 500


def test_too_few_subjects_are_refused():
    with pytest.raises(DisclosureError) as error:
        disclose(raw([100, 100, 100], subjects=4), PolicyFile(minimum_subjects=5))
    assert error.value.reason is Reason.TOO_FEW_SUBJECTS


@pytest.mark.parametrize(
    ("counts", "hidden", "total_hidden"),
    [
        ([50, 60, 70, 80], set(), False),
        ([50, 60, 0, 80, 90], set(), False),
        ([50, 60, 3, 80], {2, 3}, False),  # its partner goes with it
        ([50, 3, 60, 80, 70], {0, 1}, False),
        ([50, 60, 3, 0, 0, 80], {2, 5}, False),
        ([50, 60, 80, 70, 3], {2, 3, 4}, False),  # the odd one out joins the last pair
        ([3, 0, 0, 0], {0}, True),  # nothing to hide behind
        ([1, 1, 50, 60], {0, 1}, True),  # one voxel each: their sum would tell both
        ([3, 4, 2, 4], {0, 1, 2, 3}, False),
        ([0, 0, 0], set(), False),
    ],
)
def test_table_of_cases(counts, hidden, total_hidden):
    assert withheld(counts, [0 < n < 10 for n in counts], 10) == (hidden, total_hidden)
