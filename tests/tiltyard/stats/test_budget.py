"""Verdicts: what spends the budget, what is too small, too little or uncalibrated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tiltyard.stats.budget import WINDOWS_A_YEAR, Budget, judge
from tiltyard.stats.drift import Dispersion, overdispersion

REFERENCE = [1000] * 20
PLACES = [float(place) for place in range(20)]


def judged(current, **more):
    given = {"scale": "hour", "budget": Budget(), "overdispersion": Dispersion(), "places": PLACES}
    return judge(REFERENCE, current, **{**given, **more})


def test_a_year_of_windows_spends_a_third_of_the_budget_at_each_scale():
    budget = Budget(alerts_a_year=0.9)

    spent = {scale: 2 * budget.p_value(scale) * windows for scale, windows in WINDOWS_A_YEAR.items()}

    assert spent == {scale: pytest.approx(0.3) for scale in ("hour", "day", "week")}


def test_counts_like_the_references_are_steady():
    verdict = judged([50] * 20)

    assert (verdict.state, verdict.effect, verdict.z) == ("steady", 0.0, 0.0)
    assert verdict.rows == 1000


def test_a_shift_is_drift_and_says_how_far():
    verdict = judged([10] * 10 + [90] * 10)

    assert verdict.state == "drift"
    assert verdict.chi_square_p < verdict.threshold
    assert verdict.shift == pytest.approx(0.69, abs=0.01)
    assert verdict.psi > verdict.psi_threshold


def test_a_significant_trifle_is_small():
    current = [5000 + (150 if place >= 10 else -150) for place in range(20)]

    verdict = judge(
        [500_000] * 20, current, scale="week", budget=Budget(), overdispersion=Dispersion(), places=PLACES
    )

    assert verdict.state == "small"
    assert verdict.effect < Budget().smallest_effect


@pytest.mark.parametrize(("rows_a_cell", "state"), [(9, "too few rows"), (10, "steady")])
def test_ten_rows_a_cell_are_needed(rows_a_cell, state):
    assert judged([rows_a_cell] * 20).state == state


def test_a_reference_of_few_rows_judges_nothing():
    verdict = judge([5] * 20, [100] * 20, scale="day", budget=Budget(), overdispersion=Dispersion())

    assert verdict.state == "too few rows"


@pytest.mark.parametrize(("phi", "state"), [(None, "uncalibrated"), (3.1, "not tested"), (3.0, "drift")])
def test_without_a_calibration_there_are_figures_and_no_verdict(phi, state):
    known = None if phi is None else Dispersion(phi)

    verdict = judged([10] * 10 + [90] * 10, overdispersion=known)

    assert verdict.state == state
    assert verdict.psi > 0.5


def test_overdispersion_takes_power():
    current = [50 + (14 if place >= 10 else -14) for place in range(20)]

    assert judged(current).state == "drift"
    assert judged(current, overdispersion=Dispersion(3.0)).state == "steady"


def test_an_overdispersion_that_few_windows_told_takes_power_too():
    current = [50 + (14 if place >= 10 else -14) for place in range(20)]

    known, seen, hardly = (judged(current, overdispersion=Dispersion(1.0, df)) for df in (math.inf, 5000, 9))

    assert known.chi_square_p < seen.chi_square_p < hardly.chi_square_p
    assert known.z_p < seen.z_p < hardly.z_p
    assert hardly.state == "steady"


def test_the_budget_holds_for_few_cells_though_eight_windows_told_the_overdispersion():
    # Rows in fives of three levels: chi-square alone would take noise of the estimate for drift.
    generator = np.random.default_rng(3)
    fives = generator.multinomial(40, [0.5, 0.3, 0.2], size=(8000, 9)) * 5
    found = []
    for windows in fives.tolist():
        told = overdispersion(windows[:8])
        verdict = judge(
            [50_000, 30_000, 20_000], windows[8], scale="hour",
            budget=Budget(alerts_a_year=0.005 * 3 * 2 * 8760, smallest_effect=0), overdispersion=told,
        )  # fmt: skip
        found.append(verdict.chi_square_p <= verdict.threshold)

    # At p = .005: 40 expected.
    assert 20 <= sum(found) <= 60


def test_categories_have_no_order():
    verdict = judged([10] * 10 + [90] * 10, places=None)

    assert verdict.state == "drift"
    assert (verdict.z, verdict.shift, verdict.kolmogorov_smirnov, verdict.wasserstein) == (None,) * 4


def test_more_rows_than_a_quarter_of_the_reference_are_brought_down():
    assert judged([250] * 20).is_scaled is False
    assert judged([251] * 20).is_scaled is True


def test_a_verdict_follows_from_its_counts_alone():
    generator = np.random.default_rng(4)
    current = generator.multinomial(3000, [1 / 20] * 20).tolist()

    assert judged(current) == judged(list(current))


def test_what_is_missing_counts_and_has_no_place():
    verdict = judge(
        [*REFERENCE, 0],
        [*[50] * 20, 400],
        scale="hour",
        budget=Budget(),
        overdispersion=Dispersion(),
        places=PLACES,
    )

    assert verdict.state == "drift"
    assert (verdict.z, verdict.shift, verdict.rows) == (0.0, 0.0, 1400)


def test_cells_that_nobody_is_in_are_no_cells():
    some = judge([1000, 0, 1000], [30, 0, 30], scale="day", budget=Budget(), overdispersion=Dispersion())

    assert some.state == "steady"
    assert some.chi_square == pytest.approx(0.0, abs=1e-12)


def test_a_column_of_one_value_is_steady_and_an_empty_window_has_too_few_rows():
    assert judge([1000], [100], scale="day", budget=Budget(), overdispersion=Dispersion()).state == "steady"
    assert (
        judge([1000], [0], scale="day", budget=Budget(), overdispersion=Dispersion()).state == "too few rows"
    )
    assert judge([0], [0], scale="day", budget=Budget(), overdispersion=Dispersion()).state == "too few rows"


def test_one_row_where_the_reference_has_none_is_no_drift():
    verdict = judge(
        [*[5000] * 20, 0], [*[50] * 20, 1], scale="hour", budget=Budget(), overdispersion=Dispersion()
    )

    assert verdict.state == "steady"
    assert verdict.chi_square < 1


def test_many_rows_where_the_reference_has_none_are():
    verdict = judge(
        [*[5000] * 20, 0], [*[50] * 20, 60], scale="hour", budget=Budget(), overdispersion=Dispersion()
    )

    assert verdict.state == "drift"


def test_many_sparse_cells_are_tested_together():
    reference, current = [*[5000] * 10, *[5] * 10], [*[50] * 10, *[4] * 10]

    assert (
        judge(reference, current, scale="hour", budget=Budget(), overdispersion=Dispersion()).state == "drift"
    )
