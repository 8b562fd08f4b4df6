"""Held against the formula of the paper, written out over all reference values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tiltyard.stats import ecod


@pytest.fixture
def reference():
    generator = np.random.default_rng(1)
    return np.column_stack(
        [generator.normal(size=4_000), generator.exponential(size=4_000), -generator.exponential(size=4_000)]
    )


def by_the_paper(reference, row):
    """Algorithm 1 of ECOD with empirical tails, (count + 1) / (n + 2)."""
    n = len(reference)
    lefts = [-math.log(((reference[:, j] <= v).sum() + 1) / (n + 2)) for j, v in enumerate(row)]
    rights = [-math.log(((reference[:, j] >= v).sum() + 1) / (n + 2)) for j, v in enumerate(row)]
    skews = [((reference[:, j] - reference[:, j].mean()) ** 3).mean() for j in range(len(row))]
    chosen = [left if skew < 0 else right for left, right, skew in zip(lefts, rights, skews, strict=True)]
    return max(sum(lefts), sum(rights), sum(chosen))


def test_binned_scores_follow_the_papers(reference):
    columns = [ecod.fit(reference[:, j]) for j in range(3)]
    generator = np.random.default_rng(2)
    rows = np.column_stack([generator.normal(size=300), *generator.exponential(size=(2, 300))]) * [1, 1, -1]

    ours = ecod.scores(ecod.tables(columns), rows)

    papers = np.array([by_the_paper(reference, row) for row in rows])
    # Within a bin of 1/64 the tail of the body hardly moves; ranks are what p-values are made of.
    order = np.argsort(np.argsort(papers)), np.argsort(np.argsort(ours))
    assert np.corrcoef(*order)[0, 1] > 0.995


def test_one_row_and_many_rows_score_alike(reference):
    columns = [ecod.fit(reference[:, j]) for j in range(3)]
    rows = np.vstack([reference[:50] * 1.7, [[np.nan, 1.0, np.nan], [np.nan] * 3]])

    many = ecod.scores(ecod.tables(columns), rows)

    assert many.tolist() == pytest.approx([ecod.score(columns, row.tolist()) for row in rows], rel=1e-12)
    assert many[-1] == 0


def test_a_value_beyond_the_reference_is_as_rare_as_a_value_can_be(reference):
    columns = [ecod.fit(reference[:, 0])]

    assert ecod.score(columns, [1e9]) == pytest.approx(-math.log(1 / 4_002), abs=0.7)
    assert ecod.score(columns, [-1e9]) == pytest.approx(-math.log(1 / 4_002), abs=0.7)
    assert ecod.score(columns, [0.0]) < 1.5


def test_the_furthest_column_is_named(reference):
    columns = [ecod.fit(reference[:, j]) for j in range(3)]

    assert ecod.furthest(columns, [0.0, 9.0, -0.7]) == 1
    assert ecod.furthest(columns, [-4.0, 0.7, math.nan]) == 0


def test_no_inner_edge_is_anyones_value(reference):
    edges = ecod.fit(reference[:, 0], outer=(-10.0, 10.0)).edges

    assert not set(edges) & set(reference[:, 0].tolist())
    assert (edges[0], edges[-1]) == (-10.0, 10.0)


def test_without_outer_edges_the_ends_are_the_last_cells(reference):
    table = ecod.fit(reference[:, 0], outer=(-math.inf, math.inf))

    assert not set(table.edges) & set(reference[:, 0].tolist())
    assert all(map(math.isfinite, table.edges))
    assert ecod.score([table], [1e9]) == ecod.score([table], [reference[:, 0].max()])


@pytest.mark.parametrize("values", [np.zeros(10), np.array([1.0]), np.array([0.0, 1.0] * 20)])
def test_columns_of_few_values_have_few_edges(values):
    table = ecod.fit(values)

    assert len(table.left) == len(table.right) == len(table.edges) + 1
    assert all(low < high for low, high in zip(table.edges, table.edges[1:], strict=False))
    assert math.isfinite(ecod.score([table], [0.5]))
