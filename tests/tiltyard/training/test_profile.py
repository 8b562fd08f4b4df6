"""Reference counts: every row is in exactly one bin, and nothing of one person shows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.stats.binning import Binner
from tiltyard.stats.layout import Layout, reference_counts
from tiltyard.training.numbers import BINS, bin_counts, number_profile, quantile_edges
from tiltyard.training.profile import LEVELS, category_profile

finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(finite, st.just(math.nan)), min_size=1, max_size=200))
def test_every_value_is_counted_once(values):
    array = np.array(values, dtype=np.float64)
    present = array[~np.isnan(array)]
    low, high = (float(present.min()), float(present.max())) if len(present) else (None, None)

    found = number_profile(array, low=low, high=high)

    assert sum(found["counts"]) + found["missing"] + found["below"] + found["above"] == len(values)
    assert found["missing"] == int(np.isnan(array).sum())
    assert len(found["counts"]) == max(len(found["edges"]) - 1, 0) <= BINS
    assert all(math.isfinite(v) for v in (*found["edges"], *found["means"]))
    assert sorted(found["edges"]) == found["edges"]


def test_bins_of_a_continuous_column_hold_equal_shares():
    values = np.random.default_rng(0).normal(size=4000)

    found = number_profile(values, low=float(values.min()), high=float(values.max()))

    assert found["counts"] == [200] * BINS


def test_means_are_the_mean_of_each_bin_and_give_the_total_back():
    values = np.random.default_rng(0).exponential(size=1000)

    found = number_profile(values, low=float(values.min()), high=float(values.max()))

    total = np.dot(found["counts"], found["means"])
    assert total == pytest.approx(values.sum(), rel=1e-9)
    for mean, low, high in zip(found["means"], found["edges"], found["edges"][1:], strict=False):
        assert low <= mean <= high


def test_few_values_get_a_bin_each():
    values = np.repeat([0.0, 1.0, 5.0], [50, 30, 20])

    found = number_profile(values, low=0.0, high=5.0)

    assert found["edges"] == [0.0, 0.5, 3.0, 5.0]
    assert found["counts"] == [50, 30, 20]


def test_widened_range_stretches_the_outer_bins():
    found = number_profile(np.array([1.0, 2.0, 3.0]), low=-10.0, high=10.0)

    assert found["edges"][0] == -10
    assert found["edges"][-1] == 10
    assert sum(found["counts"]) == 3


def test_column_of_missing_values_alone_has_no_bins():
    found = number_profile(np.full(4, np.nan), low=None, high=None)

    assert found["edges"] == found["counts"] == []
    assert found["missing"] == 4


def test_constant_column_has_one_bin():
    found = number_profile(np.full(4, 7.0), low=7.0, high=7.0)

    assert found["edges"] == [7.0, 7.0]
    assert found["counts"] == [4]


def test_forced_edge_is_there_and_the_number_of_bins_stays():
    values = np.random.default_rng(0).random(10_000)

    edges = quantile_edges(values, bins=200, low=0.0, high=1.0, forced=[0.37])

    assert 0.37 in edges
    assert len(edges) == 201
    counts = bin_counts(values, edges)
    below = counts[: int(np.searchsorted(edges, 0.37))].sum()
    assert below == (values < 0.37).sum()


def test_levels_are_ranked_by_count_then_name():
    values = np.array(["b", "a", "c", "c", None], dtype=object)

    found = category_profile(values)

    assert found["levels"] == ["c", "a", "b"]
    assert found["counts"] == [2, 1, 1]
    assert found["missing"] == 1


def test_levels_beyond_the_most_frequent_are_other():
    values = np.array([f"level-{i:02d}" for i in range(40)] * 2, dtype=object)

    found = category_profile(values)

    assert len(found["levels"]) == LEVELS
    assert found["other"] == 20


def test_rare_levels_of_a_personal_column_are_not_named():
    values = np.array(["common"] * 12 + ["Ada Lovelace"] * 3, dtype=object)

    found = category_profile(values, fewest=10)

    assert found["levels"] == ["common"]
    assert found["other"] == 3


def test_a_column_of_100_000_categories_keeps_the_most_frequent_and_counts_the_rest():
    texts = np.array([f"id-{n}" for n in range(100_000)] + ["often"] * 50, dtype=object)

    found = category_profile(texts)
    layout = Layout.of({"columns": {"id": found}, "score": {}}, ())
    counted = Binner(layout).count({"id": texts}, np.empty((len(texts), 0)))

    assert len(found["levels"]) == LEVELS
    assert (found["levels"][0], found["counts"][0]) == ("often", 50)
    assert sum(found["counts"]) + found["other"] == len(texts)
    assert counted.cells["id"] == tuple(reference_counts(layout.columns[0], {"columns": {"id": found}}))
    assert len(counted.encode()) < 1500
