"""Drift statistics against scipy on the same bins, and what noise alone makes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from tiltyard.stats import drift

cells = st.integers(2, 25)


@st.composite
def pairs(draw, least=0):
    k = draw(cells)
    counts = st.lists(st.integers(least, 10_000), min_size=k, max_size=k)
    reference, current = draw(counts), draw(counts)
    assume(sum(reference) and sum(current))
    return reference, current


def share(counts, smoothing=0.0):
    counts = np.asarray(counts, float) + smoothing
    return counts / counts.sum()


@given(pairs())
def test_psi_is_the_symmetric_divergence_of_smoothed_shares(pair):
    reference, current = pair
    p, q = share(current, 0.5), share(reference, 0.5)

    expected = stats.entropy(p, q) + stats.entropy(q, p)

    assert drift.psi(reference, current) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(pairs())
def test_jensen_shannon(pair):
    reference, current = pair
    expected = distance.jensenshannon(share(reference), share(current)) ** 2

    assert drift.jensen_shannon(reference, current) == pytest.approx(
        0 if math.isnan(expected) else expected, rel=1e-9, abs=1e-9
    )


@given(pairs())
def test_chi_square(pair):
    reference, current = pair
    held = np.array(pair)[:, np.array(reference) + np.array(current) > 0]
    assume(held.shape[1] > 1)

    expected = stats.chi2_contingency(held, correction=False)

    value, df = drift.chi_square(reference, current)
    assert (value, df) == (pytest.approx(expected.statistic, rel=1e-9, abs=1e-9), expected.dof)


@given(pairs())
def test_kolmogorov_smirnov_and_wasserstein(pair):
    reference, current = pair
    places = np.linspace(-3, 9, len(reference)) ** 3
    p, q = np.cumsum(share(reference)), np.cumsum(share(current))

    assert drift.kolmogorov_smirnov(reference, current) == pytest.approx(np.abs(p - q).max(), abs=1e-9)
    expected = stats.wasserstein_distance(places, places, share(reference), share(current))
    assert drift.wasserstein(reference, current, places.tolist()) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


def test_kolmogorov_smirnov_of_rows_is_that_of_their_bins():
    generator = np.random.default_rng(3)
    first, second = generator.integers(0, 12, 500), generator.integers(0, 10, 400)

    counts = [np.bincount(rows, minlength=12).tolist() for rows in (first, second)]

    assert drift.kolmogorov_smirnov(*counts) == pytest.approx(
        stats.ks_2samp(first, second).statistic, abs=1e-9
    )


def test_score_z_is_the_z_of_means_with_the_references_spread():
    reference, current, places = [10, 20, 30], [30, 20, 10], [1.0, 2.0, 4.0]
    rows = np.repeat(places, reference)
    now = np.repeat(places, current)

    expected = (now.mean() - rows.mean()) / np.sqrt(rows.var() * (1 / 60 + 1 / 60))

    assert drift.score_z(reference, current, places) == pytest.approx(expected, rel=1e-12)
    assert drift.shift(reference, current, places) == pytest.approx((now.mean() - rows.mean()) / rows.std())
    assert drift.score_z(reference, current, [5.0] * 3) == 0.0


def test_the_threshold_of_psi():
    """A2.3."""
    assert drift.psi_threshold(100_000, 1000, 20, 1 / 8760) == pytest.approx(0.05091, abs=1e-5)


def test_noise_alone_exceeds_thresholds_as_often_as_was_said():
    """Nominal .01, 4,000 windows of 1,000 rows against 100,000."""
    generator = np.random.default_rng(11)
    k, n0, n1, times = 20, 100_000, 1000, 4000
    threshold = drift.psi_threshold(n0, n1, k, 0.01)
    critical = stats.chi2.isf(0.01, k - 1)
    above_psi = above_chi = 0
    for _ in range(times):
        reference = generator.multinomial(n0, [1 / k] * k).tolist()
        current = generator.multinomial(n1, [1 / k] * k).tolist()
        above_psi += drift.psi(reference, current) > threshold
        above_chi += drift.chi_square(reference, current)[0] > critical

    # Four standard errors of a binomial share of .01.
    error = 4 * math.sqrt(0.01 * 0.99 / times)
    assert above_psi / times <= 0.01 + error
    assert abs(above_chi / times - 0.01) <= error


def test_what_noise_gives_on_average_is_taken_from_the_effect():
    assert drift.psi_effect(0.5, 1000, 100, 20) == pytest.approx(0.5 - 19 * (1 / 1000 + 1 / 100))
    assert drift.psi_effect(0.1, 1000, 100, 20) == 0.0


def test_large_windows_are_brought_down_to_a_quarter_of_the_reference():
    assert drift.scaled([100, 300], 1000) == [62.5, 187.5]
    assert drift.scaled([10, 30], 1000) == [10, 30]
    assert drift.scaled([0, 0], 1000) == [0, 0]


def test_overdispersion_of_rows_that_come_in_fives():
    generator = np.random.default_rng(2)
    apart = [generator.multinomial(1000, [1 / 20] * 20).tolist() for _ in range(200)]
    in_fives = [(5 * generator.multinomial(200, [1 / 20] * 20)).tolist() for _ in range(200)]

    assert drift.overdispersion(apart).phi == pytest.approx(1.0, abs=0.05)
    assert drift.overdispersion(in_fives).phi == pytest.approx(5.0, rel=0.1)
    assert drift.overdispersion([]) == drift.overdispersion(apart[:1]) == drift.Dispersion()
    assert drift.overdispersion([[0] * 20, *in_fives]) == drift.overdispersion(in_fives)


def test_overdispersion_is_pearsons_statistic_of_homogeneity():
    windows = [[30, 20, 50], [10, 40, 50], [35, 25, 40]]
    expected = stats.chi2_contingency(windows, correction=False)

    found = drift.overdispersion(windows)
    assert found.phi == pytest.approx(expected.statistic / expected.dof, rel=1e-12)
    assert found.df == expected.dof


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.01, 0.5))
def test_benjamini_hochberg_against_its_definition(p_values, q):
    ordered = sorted(p_values)
    passing = [p for place, p in enumerate(ordered, 1) if p <= q * place / len(ordered)]
    largest = max(passing, default=-1.0)

    found = drift.benjamini_hochberg(p_values, q)

    assert sum(found) == (ordered.index(largest) + ordered.count(largest) if passing else 0) or sum(
        found
    ) == len([p for p in ordered if p <= largest])
    assert all(p <= largest for p, listed in zip(p_values, found, strict=True) if listed)


@pytest.mark.parametrize(("reference", "current"), [([1, 2], [1, 2, 3]), ([0, 0], [1, 1]), ([1, 1], [0, 0])])
def test_what_cannot_be_compared_is_refused(reference, current):
    for statistic in (drift.psi, drift.chi_square, drift.jensen_shannon, drift.kolmogorov_smirnov):
        with pytest.raises(ValueError, match=r"cells|rows"):
            statistic(reference, current)


def test_huge_counts_are_no_trouble():
    assert drift.psi([2**40] * 5, [2**40] * 5) == 0.0
    assert drift.chi_square([2**40] * 5, [2**40] * 5) == (0.0, 4)
