from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.stats.conformal import cutoff, p_value, quantile, rank


@pytest.mark.parametrize(
    ("n", "level", "expected"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.95, 19), (999, 0.9, 900), (8, 0.9, 9)]
)
def test_rank_is_the_ceiling_in_decimals(n, level, expected):
    assert rank(n, level) == expected


def test_too_few_scores_reach_infinitely_far():
    assert quantile([0.1] * 8, 0.9) == math.inf
    assert quantile([], 0.9) == math.inf
    assert quantile(list(range(9)), 0.9) == 8


def test_p_value_counts_the_new_score_itself():
    assert p_value([1, 2, 3], 4) == 1 / 4
    assert p_value([1, 2, 3], 3) == 2 / 4
    assert p_value([1, 2, 3], 0) == 1
    assert p_value([], 0) == 1


@given(
    scores=st.lists(st.integers(0, 30).map(float), max_size=60),
    score=st.integers(-1, 31).map(float),
    p=st.sampled_from([0.005, 0.01, 0.05, 0.1, 0.5, 0.9]),
)
def test_a_score_above_the_cutoff_is_one_whose_p_value_is_small_enough(scores, score, p):
    scores.sort()

    # Compared in whole numbers: (1 + k) / (1 + n) <= p, as the floor in `cutoff` takes it.
    at_least = sum(s >= score for s in scores)
    assert (score > cutoff(scores, p)) == (1 + at_least <= math.floor(p * (1 + len(scores)) + 1e-9))
    assert p_value(scores, score) == (1 + at_least) / (1 + len(scores))


def test_coverage_of_new_scores_is_the_level_on_average():
    generator = np.random.default_rng(5)
    covered = []
    for _ in range(400):
        calibration = np.sort(generator.normal(size=200)).tolist()
        covered.append(np.mean(generator.normal(size=500) <= quantile(calibration, 0.9)))

    # Expectation ceil(201 * .9) / 201 = .9005; the mean of 400 has a standard error below .0015.
    assert abs(np.mean(covered) - 181 / 201) < 0.005
