"""Tails against scipy, near the middle and far out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from tiltyard.stats import tails

probabilities = st.floats(1e-12, 1 - 1e-9)


def close(found, expected, relative=1e-10):
    return math.isclose(found, expected, rel_tol=relative, abs_tol=1e-300)


@given(st.floats(-30, 30))
def test_normal_tails(z):
    assert close(tails.normal_sf(z), stats.norm.sf(z))


@given(probabilities)
def test_normal_quantiles(p):
    assert math.isclose(tails.normal_isf(p), stats.norm.isf(p), rel_tol=1e-9, abs_tol=1e-9)


@given(st.floats(1e-3, 5000), st.integers(1, 2000))
def test_chi_square_tails(x, df):
    expected = stats.chi2.sf(x, df)
    found = tails.chi2_sf(x, df)
    assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-300 if expected < 1e-3 else 1e-12)


@given(probabilities, st.integers(1, 2000))
def test_chi_square_quantiles(p, df):
    assert math.isclose(tails.chi2_isf(p, df), stats.chi2.isf(p, df), rel_tol=1e-8, abs_tol=1e-12)


@given(st.floats(0.1, 500), st.floats(0.1, 500), st.floats(0, 1))
def test_incomplete_beta(a, b, x):
    expected = special.betainc(a, b, x)
    found = tails.beta_i(a, b, x)
    assert close(found, expected, 1e-9) or math.isclose(found, expected, abs_tol=1e-12)


@given(st.integers(0, 400), st.integers(0, 400), st.floats(0, 1))
def test_binomial_tails(k, n, p):
    assert math.isclose(tails.binomial_sf(k, n, p), stats.binom.sf(k - 1, n, p), rel_tol=1e-8, abs_tol=1e-12)


@given(st.floats(1e-3, 200), st.integers(1, 100), st.integers(1, 3000) | st.just(math.inf))
def test_tails_of_fishers_f(x, df1, df2):
    expected = stats.chi2.sf(x * df1, df1) if math.isinf(df2) else stats.f.sf(x, df1, df2)
    assert math.isclose(tails.f_sf(x, df1, df2), expected, rel_tol=1e-8, abs_tol=1e-12)


@given(st.floats(0, 50), st.integers(1, 3000) | st.just(math.inf))
def test_tails_of_students_t(t, df):
    expected = stats.norm.sf(t) if math.isinf(df) else stats.t.sf(t, df)
    assert math.isclose(tails.t_sf(t, df), expected, rel_tol=1e-7, abs_tol=1e-14)


@pytest.mark.parametrize("call", [lambda: tails.f_sf(1, 0, 5), lambda: tails.t_sf(-1, 5)])
def test_impossible_degrees_of_freedom_are_refused(call):
    with pytest.raises(ValueError, match="df"):
        call()


def test_published_values():
    """STATISTICS A2.3."""
    assert tails.chi2_isf(1 / 8760, 19) == pytest.approx(50.407, abs=1e-3)
    assert tails.normal_isf(1 / 8760 / 2) == pytest.approx(3.8583, abs=1e-4)


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.1, math.nan])
def test_no_quantile_of_what_is_no_probability(p):
    with pytest.raises(ValueError, match="probability"):
        tails.normal_isf(p)
    with pytest.raises(ValueError, match="probability"):
        tails.chi2_isf(p, 3)


def test_what_has_no_meaning_is_refused():
    for call in (
        lambda: tails.chi2_sf(1, 0),
        lambda: tails.gamma_q(-1, 1),
        lambda: tails.gamma_q(1, -1),
        lambda: tails.beta_i(0, 1, 0.5),
        lambda: tails.beta_i(1, 1, 2),
        lambda: tails.binomial_sf(1, -1, 0.5),
    ):
        with pytest.raises(ValueError, match=r"above 0|is for|has n"):
            call()
