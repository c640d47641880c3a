"""The histogram against numpy on all values at once, however they are cut into chunks, subjects and sites."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.federation.contracts import Moments
from cohortlab.federation.site.config import PolicyFile
from cohortlab.federation.site.disclosure import disclose, pool
from cohortlab.federation.tasks import task
from cohortlab.federation.tasks.histogram import cells_of, edges, histogram
from cohortlab.federation.tasks.histogram_merge import merge_histograms, merge_moments
from cohortlab.federation.tasks.histogram_model import HistogramParameters

DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64", ">i2"]
parameters = st.builds(
    lambda bins, low, width: HistogramParameters(bins=bins, low=low, high=low + width),
    st.integers(1, 50),
    st.integers(-150, 100),
    st.integers(1, 200),
)


def samples(dtype, size=200):
    random = np.random.default_rng([DTYPES.index(dtype), size])
    values = random.normal(20, 40, size)
    kind = np.dtype(dtype)
    return np.clip(values, *((np.iinfo(kind).min, np.iinfo(kind).max) if kind.kind in "iu" else (-1e6, 1e6))).astype(kind)


@pytest.mark.parametrize("dtype", DTYPES)
@given(asked=parameters, cuts=st.lists(st.integers(0, 200), max_size=4))
def test_counts_mean_and_deviation_are_numpys_however_the_values_are_cut(dtype, asked, cuts):
    values = samples(dtype)
    chunks = np.split(values, sorted(cuts))
    raw = histogram([("a", chunks[:2]), ("b", chunks[2:])], asked)
    counts, numpys_edges = np.histogram(values.astype(np.float64), asked.bins, (asked.low, asked.high))
    assert [cell.count for cell in raw.cells[1:-1]] == counts.tolist()
    assert edges(asked).tolist() == numpys_edges.tolist()
    assert raw.cells[0].count == (values < asked.low).sum()
    assert raw.cells[-1].count == (values > asked.high).sum()
    moments = pool(raw.cells)
    assert moments.count == values.size
    assert moments.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-12, abs=1e-9)
    assert moments.sd == pytest.approx(values.std(dtype=np.float64), rel=1e-12)


def test_values_that_are_not_finite_are_not_counted():
    raw = histogram([("a", [np.array([1.0, np.nan, np.inf, -np.inf, 2.0])])], HistogramParameters(bins=2, low=0, high=4))
    assert [cell.count for cell in raw.cells] == [0, 1, 1, 0]


def test_a_large_offset_costs_no_precision():
    values = 1e9 + np.random.default_rng(1).normal(0, 1, 10_000)
    raw = histogram([("a", np.split(values, 100))], HistogramParameters(bins=4, low=1e9 - 10, high=1e9))
    assert pool(raw.cells).sd == pytest.approx(values.std(), rel=1e-6)


def test_a_subject_with_several_series_is_one_subject():
    asked = HistogramParameters(bins=2, low=0, high=2)
    raw = histogram([("a", [np.array([0.5])]), ("a", [np.array([0.5, 1.5])]), ("b", [np.array([1.5])]), ("c", [])], asked)
    assert (raw.subjects, raw.series) == (3, 4)
    assert [cell.subjects for cell in raw.cells] == [0, 1, 2, 0]


def test_an_empty_chunk_changes_nothing():
    asked = HistogramParameters()
    assert cells_of(np.empty((0, 4, 4), np.int16), asked).count.sum() == 0
    assert histogram([], asked).cells[0].subjects == 0


@given(asked=parameters, sizes=st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_merged_sites_are_numpy_on_the_pooled_data(asked, sizes):
    groups = [np.random.default_rng([i, size]).integers(-200, 250, size, dtype=np.int16) for i, size in enumerate(sizes)]
    policy = PolicyFile(minimum_count=3, minimum_subjects=1)
    results = [disclose(histogram([(i, [group])], asked), policy) for i, group in enumerate(groups)]
    merged = merge_histograms(results)
    counts, _ = np.histogram(np.concatenate(groups), asked.bins, (asked.low, asked.high))
    for cell, parts, count in zip(merged.cells, zip(*(r.counts for r in results), strict=True), counts, strict=True):
        assert cell.suppressed == parts.count(None)
        assert cell.count == sum(p for p in parts if p is not None)
        assert cell.suppressed or cell.count == count
    assert merged.subjects == len(groups)
    if not any(r.suppressed for r in results):
        pooled = np.concatenate(groups)
        assert merged.count == merged.moments.count == pooled.size
        assert merged.moments.mean == pytest.approx(pooled.mean(), rel=1e-12, abs=1e-9)
        assert merged.moments.sd == pytest.approx(pooled.std(), rel=1e-9, abs=1e-9)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), min_size=1, max_size=6))
def test_merged_moments_are_those_of_the_pooled_values(groups):
    parts = [Moments(count=len(g), mean=float(np.mean(g)), sd=float(np.std(g))) for g in groups]
    merged, pooled = merge_moments(parts), np.concatenate(groups)
    assert merged.mean == pytest.approx(pooled.mean(), rel=1e-9, abs=1e-6)
    assert merged.sd == pytest.approx(pooled.std(), rel=1e-6, abs=1e-3)


def test_histograms_of_other_bins_do_not_merge():
    policy = PolicyFile(minimum_subjects=1)
    data = [("a", [np.arange(100, dtype=np.int16)])]
    one, other = (disclose(histogram(data, HistogramParameters(bins=n)), policy) for n in (4, 5))
    with pytest.raises(InvalidInputError):
        merge_histograms([one, other])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"bins": 0}, "bins"),
        ({"bins": 5000}, "bins"),
        ({"bins": "many"}, "bins"),
        ({"low": 5, "high": 5}, "low"),
        ({"low": float("nan")}, "low"),
        ({"modality": "ct"}, "modality"),
        ({"region": "tumour"}, "region"),
        ({"code": "import os"}, "code"),
    ],
)
def test_wrong_parameters_are_named(wrong, named):
    with pytest.raises(InvalidInputError, match=named):
        task("histogram").normalise(wrong)


def test_an_unknown_task_is_refused():
    with pytest.raises(NotFoundError):
        task("train")
