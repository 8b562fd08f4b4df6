from __future__ import annotations

import numpy as np
import pytest

from tiltyard.stats import mahalanobis


@pytest.fixture
def reference():
    generator = np.random.default_rng(3)
    first = generator.normal(size=3_000)
    return np.column_stack(
        [first, first + generator.normal(scale=0.2, size=3_000), generator.normal(size=3_000)]
    )


def by_the_formula(reference, row):
    covariance = np.cov(reference.T, bias=True)
    covariance += mahalanobis.RIDGE * np.diag(np.diag(covariance))
    away = row - reference.mean(axis=0)
    return away @ np.linalg.inv(covariance) @ away


def test_distances_are_those_of_the_ridged_covariance(reference):
    whitening = mahalanobis.fit(reference)

    for row in reference[:20] * 2:
        assert mahalanobis.score(whitening, row.tolist()) == pytest.approx(by_the_formula(reference, row))


def test_one_row_and_many_rows_score_alike(reference):
    whitening = mahalanobis.fit(reference)
    rows = np.vstack([reference[:40], [[np.nan, 1.0, 2.0], [np.nan] * 3]])

    many = mahalanobis.scores(*mahalanobis.dense(whitening), rows)

    assert many.tolist() == pytest.approx([mahalanobis.score(whitening, row.tolist()) for row in rows])
    assert many[-1] == 0


def test_a_broken_correlation_is_far_away_and_named(reference):
    whitening = mahalanobis.fit(reference)

    usual = mahalanobis.score(whitening, [1.5, 1.5, 0.0])
    broken = mahalanobis.score(whitening, [1.5, -1.5, 0.0])

    assert broken > 20 * usual
    assert mahalanobis.furthest(whitening, [1.5, -1.5, 0.0]) == 1


def test_constant_and_collinear_columns_do_no_harm():
    generator = np.random.default_rng(4)
    a = generator.normal(size=500)
    whitening = mahalanobis.fit(np.column_stack([a, np.full(500, 7.0), 2 * a]))

    assert np.isfinite(mahalanobis.score(whitening, [1.0, 9.0, 2.0]))
    assert mahalanobis.score(whitening, [1.0, 9.0, 2.0]) == mahalanobis.score(whitening, [1.0, 7.0, 2.0])
    assert mahalanobis.score(whitening, [1.0, 7.0, -2.0]) > 1_000
