"""Columns together: both distances against scikit-learn, and the same bits alone and in any batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.stats import mahalanobis
from tiltyard.stats.together import KEPT_VARIANCE, MOST_COLUMNS, Axes, Together, fit

K = 5
NAMES = tuple("abcde")


def correlated(n, *, seed=0, k=K, gaps=0.0):
    generator = np.random.default_rng(seed)
    mixed = generator.normal(size=(n, k)) @ generator.normal(size=(k, k)) * 10 ** np.arange(k) + 3.0
    mixed[generator.random(size=mixed.shape) < gaps] = np.nan
    return mixed


def fitted(values):
    return fit(NAMES[: values.shape[1]], values, np.nanmedian(values, axis=0).tolist())


@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_distances_are_those_of_a_pca_of_the_standardised_columns(gaps):
    decomposition = pytest.importorskip("sklearn.decomposition")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    values, later = correlated(400, gaps=gaps), correlated(50, seed=1, gaps=gaps)
    axes = fitted(values)

    found = Together(axes).distances(later.T)

    filled, later = (np.where(np.isnan(rows), np.nanmedian(values, axis=0), rows) for rows in (values, later))
    scaler = preprocessing.StandardScaler().fit(filled)
    pca = decomposition.PCA(KEPT_VARIANCE, svd_solver="full").fit(scaler.transform(filled))
    assert axes.kept == pca.n_components_
    standard = scaler.transform(later)
    again = pca.inverse_transform(pca.transform(standard))
    assert found["reconstruction"] == pytest.approx(np.linalg.norm(standard - again, axis=1), rel=1e-6)
    covariance = np.cov(scaler.transform(filled).T, bias=True) + mahalanobis.RIDGE * np.eye(K)
    squared = np.einsum("ni,ij,nj->n", standard, np.linalg.inv(covariance), standard)
    assert found["mahalanobis"] == pytest.approx(np.sqrt(squared), rel=1e-6)


def test_the_mahalanobis_distance_is_the_one_that_single_rows_are_judged_by():
    values, later = correlated(400), correlated(50, seed=1)

    found = Together(fitted(values)).distances(later.T)["mahalanobis"]

    by_whitening = mahalanobis.scores(*mahalanobis.dense(mahalanobis.fit(values)), later)
    assert found**2 == pytest.approx(by_whitening, rel=1e-6)


numbers = (
    st.floats(-1e6, 1e6)
    | st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0])
    | st.integers(-(2**53), 2**53).map(float)
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[numbers] * K), min_size=1, max_size=40), st.integers(2, K))
def test_a_row_alone_and_in_any_batch_has_the_same_bits(rows, k):
    together = Together(fitted(correlated(200, k=k)))
    values = np.array(rows)[:, :k].T

    whole = together.distances(values)

    for kind, distances in whole.items():
        alone = [together.distances(values[:, [i]])[kind][0] for i in range(len(rows))]
        assert distances.tolist() == alone
        assert np.isfinite(distances).all()


def test_very_many_rows_are_computed_like_one():
    together = Together(fitted(correlated(200)))
    values = correlated(2500, seed=2, gaps=0.05).T

    found = together.distances(values)

    for i in (0, 1023, 1024, 2499):
        alone = together.distances(values[:, i : i + 1])
        assert {kind: distances[i] for kind, distances in found.items()} == {
            kind: distances[0] for kind, distances in alone.items()
        }


def test_an_axis_is_always_left_out_and_constant_columns_are():
    one = np.random.default_rng(0).normal(size=300)
    values = np.column_stack([one, np.full(300, 7.0), 2 * one + 1])

    axes = fit(("a", "b", "c"), values, np.median(values, axis=0).tolist())

    assert axes.columns == ("a", "c")
    assert axes.kept == 1
    usual = Together(axes).distances(np.array([[1.0], [3.0]]))["reconstruction"][0]
    odd = Together(axes).distances(np.array([[1.0], [-1.0]]))["reconstruction"][0]
    assert usual < 1e-6 < 1 < odd


@pytest.mark.parametrize("columns", [1, 2])
def test_one_column_that_varies_is_none_together(columns):
    values = np.column_stack([np.arange(10.0), *[np.ones(10)] * (columns - 1)])

    assert fit(NAMES[:columns], values, [0.0] * columns) is None


def test_axes_come_back_from_their_document():
    axes = fitted(correlated(100))

    assert Axes.from_json(axes.to_json()) == axes
    assert K <= MOST_COLUMNS
