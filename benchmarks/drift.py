"""Drift: false alarms a feature and year, what is seen and how soon, and what a check costs.

Windows are drawn from known distributions (seeded), counted in the cells of a
reference that was drawn, too, and judged by the service's own `judge`. To be done
in minutes, both statistics are first computed for all windows at once; whatever
comes near a threshold is then judged, and a sample of the rest, too: they must agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.flights_drift import measure_flights
from benchmarks.report import Figure, Report, best_cpu_us, options
from chalicelib.monitoring.checks import CALM
from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import Column, Signature
from tiltyard.stats import drift
from tiltyard.stats.budget import Budget, Scale, Verdict, judge
from tiltyard.stats.detector import RUN_LENGTH, START, Detector, is_alarm
from tiltyard.stats.layout import Layout, compared_counts
from tiltyard.stats.summary import Summary
from tiltyard.stats.tails import chi2_isf, normal_isf, normal_sf
from tiltyard.stats.together import Axes, Together
from tiltyard.training.numbers import number_profile
from tiltyard.training.together import build_together

BUDGET = Budget(smallest_effect=0.0)
SCALES: dict[Scale, int] = {"hour": 1, "day": 24, "week": 168}
HOURS = 8736
"""52 weeks, so that every scale sees whole windows."""

Counts = NDArray[np.int64]
KNOWN = drift.Dispersion()


@dataclass(frozen=True)
class Reference:
    """Counts of a drawn reference, where its cells lie, and how likely each is under a shift."""

    counts: list[int]
    places: list[float]
    edges: NDArray[np.float64]

    @classmethod
    def draw(cls, generator: np.random.Generator, rows: int) -> Reference:
        values = generator.normal(size=rows)
        made = number_profile(values, low=float(values.min()), high=float(values.max()))
        edges = np.array(made["edges"])
        return cls(made["counts"], made["means"], edges)

    def probabilities(self, shift: float = 0.0) -> NDArray[np.float64]:
        """Of the bins, those at the ends with what lies outside (`compared_counts`)."""
        above = np.array([normal_sf(edge - shift) for edge in self.edges])
        above[0], above[-1] = 1.0, 0.0
        return above[:-1] - above[1:]


def main() -> None:
    chosen = options(__doc__.partition("\n")[0])
    report = Report("drift: false alarms, what is seen, and what a check costs", chosen)
    generator = np.random.default_rng(chosen.seed)
    measure_thresholds(report)
    measure_false_alarms(report, generator, years=10 if chosen.quick else 100)
    measure_power(report, generator, runs=100 if chosen.quick else 400)
    measure_delay(report, generator, runs=100 if chosen.quick else 400)
    measure_clusters(report, generator, years=10 if chosen.quick else 60)
    measure_flips(report, generator, references=10 if chosen.quick else 100)
    measure_merging(report, generator)
    measure_cost(report, generator)
    measure_flights(report, is_quick=chosen.quick)
    raise SystemExit(report.finish())


def measure_thresholds(report: Report) -> None:
    found = drift.psi_threshold(100_000, 1000, 20, 1 / 8760)
    report.add(
        Figure(
            "psi_threshold_error",
            abs(found - 0.05091),
            at_most=1e-5,
            note="A2.3: n0 100,000, n1 1,000, K 20, p 1/8760 against .05091",
        )
    )


def measure_false_alarms(report: Report, generator: np.random.Generator, *, years: int) -> None:
    """A2.1: windows like the reference's; whatever the two tests or the slow detector page is false."""
    for rows in (200, 1000):
        for n0 in (2_000, 5_000, 26_000, 100_000):
            alarms, slow, told = 0, 0, 0
            for _ in range(years):
                reference = Reference.draw(generator, n0)
                hours = generator.multinomial(rows, reference.probabilities(), size=HOURS)
                alarms += sum(paged(reference, hours, generator))
                found = slowly(reference, hours)
                slow += len(found)
                told += alerts_of(found)
            alarms += told
            report.add(
                Figure(
                    f"false_alarms_{rows}_rows_n0_{n0}",
                    alarms / years * 8760 / HOURS,
                    at_most=1.0,
                    note=f"a feature and year, {years} simulated at {rows} rows an hour; "
                    f"{slow} slow alarms, {told} told",
                )
            )


def measure_power(report: Report, generator: np.random.Generator, *, runs: int) -> None:
    """A2.2 in part: half a standard deviation, in the first closed hour of 200 rows."""
    seen = 0
    for _ in range(runs):
        reference = Reference.draw(generator, 100_000)
        hour = generator.multinomial(200, reference.probabilities(0.5)).tolist()
        seen += judged(reference, hour, "hour") == "drift"
    report.add(
        Figure(
            "half_sigma_in_the_first_hour",
            seen / runs,
            at_least=0.95,
            note=f"share of {runs} runs, 200 rows an hour",
        )
    )


def measure_delay(report: Report, generator: np.random.Generator, *, runs: int) -> None:
    """A2.2: rows until a tenth of a standard deviation is paged, by whichever is first."""
    for rows in (200, 1000):
        delays = []
        for _ in range(runs):
            reference = Reference.draw(generator, 100_000)
            # Nine days, so that windows of a day take part; stable ones first, for the detector isn't fresh.
            stable = generator.multinomial(rows, reference.probabilities(), size=24)
            shifted = generator.multinomial(rows, reference.probabilities(0.1), size=24 * 8)
            found = [hour - 24 for hour in slowly(reference, np.vstack([stable, shifted])) if hour >= 24][:1]
            for scale in ("hour", "day"):
                width = SCALES[scale]
                windows = summed(shifted, width)
                for place in _suspects(reference, windows, scale, KNOWN):
                    if judged(reference, windows[place].tolist(), scale) == "drift":
                        found.append((place + 1) * width - 1)
                        break
            delays.append((min(found) + 1) * rows if found else math.inf)
        report.add(
            Figure(
                f"tenth_sigma_q90_rows_{rows}",
                float(np.quantile(delays, 0.9)),
                "rows",
                at_most=6500,
                note=f"{runs} runs at {rows} rows an hour; median {np.median(delays):,.0f}",
            )
        )


def measure_clusters(report: Report, generator: np.random.Generator, *, years: int) -> None:
    """A2.6: every row five times, with the overdispersion of the first 8 windows of each scale."""
    alarms = 0
    for _ in range(years):
        reference = Reference.draw(generator, 100_000)
        hours = 5 * generator.multinomial(100, reference.probabilities(), size=HOURS)
        phis = {
            scale: drift.overdispersion(summed(hours, width)[:8].tolist()) for scale, width in SCALES.items()
        }
        alarms += sum(paged(reference, hours, generator, phis))
    report.add(
        Figure(
            "false_alarms_of_rows_in_fives",
            alarms / years * 8760 / HOURS,
            at_most=1.5,
            note=f"a feature and year, {years} simulated, 100 rows an hour five times each",
        )
    )


def measure_flips(report: Report, generator: np.random.Generator, *, references: int) -> None:
    """A2.5: a pair of columns whose correlation changes its sign, and nothing else does."""
    names = [f"c{n}" for n in range(8)]
    signature = Signature(
        "regression", tuple(Column(name, "number") for name in names), FeatureSpec(tuple(names))
    )
    seen = margins = false = odd = windows = 0
    for _ in range(references):
        held = _pairs(generator, 26_000)
        together = build_together(signature, dict(zip(names, held, strict=True)))
        assert together is not None
        distances = Together(Axes.from_json(together))
        for _ in range(20):
            windows += 1
            usual, flipped = _pairs(generator, 1000), _pairs(generator, 1000, flipped=True)
            seen += any(verdict.state == "drift" for verdict in _verdicts(together, distances, flipped))
            verdicts = _verdicts(together, distances, usual)
            false += any(verdict.state == "drift" for verdict in verdicts)
            # Four tests of one window share the p-value.
            odd += min(p for v in verdicts for p in (v.chi_square_p, v.z_p or 1.0)) < 0.01 / 4
            margins += any(
                judged(_margin(held[i]), _counted(_margin(held[i]), flipped[i]), "hour") == "drift"
                for i in (0, 1)
            )
    note = f"of {windows:,} windows of 1,000 rows, by the hour's budget"
    report.add(Figure("flips_seen", seen / windows, at_least=0.95, note=f"A2.5: share {note}"))
    report.add(
        Figure("flips_seen_by_single_columns", margins / windows, note=f"share {note}: both columns stay")
    )
    report.add(Figure("flips_seen_where_none_is", false / windows, at_most=0.01, note=f"A2.5: share {note}"))
    report.add(
        Figure(
            "usual_windows_below_p_01",
            odd / windows,
            at_most=0.01,
            note="least p of both tests of both distances",
        )
    )


def _pairs(
    generator: np.random.Generator, rows: int, *, flipped: bool = False, rho: float = 0.7
) -> NDArray[np.float64]:
    """Eight normal columns, correlated in pairs; the first pair with the other sign if `flipped`."""
    values = generator.normal(size=(8, rows))
    values[1::2] = rho * values[::2] + math.sqrt(1 - rho**2) * values[1::2]
    if flipped:
        values[1] *= -1
    return values


def _verdicts(together: Mapping[str, Any], distances: Together, rows: NDArray[np.float64]) -> list[Verdict]:
    found = []
    for kind, values in distances.distances(rows).items():
        profile = together[kind]
        reference = Reference(profile["counts"], profile["means"], np.array(profile["edges"]))
        found.append(verdict_of(reference, _counted(reference, values), "hour"))
    return found


def _counted(reference: Reference, values: NDArray[np.float64]) -> list[int]:
    """Counts of `values`, those outside of the edges in the bins at the ends."""
    inner = reference.edges[1:-1]
    return np.bincount(inner.searchsorted(values, side="right"), minlength=len(inner) + 1).tolist()


def _margin(held: NDArray[np.float64]) -> Reference:
    made = number_profile(held, low=float(held.min()), high=float(held.max()))
    return Reference(made["counts"], made["means"], np.array(made["edges"]))


def measure_merging(report: Report, generator: np.random.Generator) -> None:
    """A2.4: 24 hourly histograms are the daily one."""
    hours = generator.integers(0, 2**40, size=(24, 20))
    differing = 0
    for cells in range(20):
        differing += sum(int(count) for count in hours[:, cells]) != int(summed(hours, 24)[0][cells])
    report.add(Figure("days_unlike_their_hours", differing, equals=0, note="24 hours of 20 cells"))


def measure_cost(report: Report, generator: np.random.Generator) -> None:
    """CPU of a check of 20 features at all three scales, by the rows of a day."""
    reference = Reference.draw(generator, 26_000)
    edges = [float(edge) for edge in reference.edges]
    columns = {f"c{n:02d}": {"kind": "number", "edges": edges, "counts": [1] * 20} for n in range(20)}
    layout = Layout.of({"columns": columns, "score": {"edges": []}}, ())
    spent, merging = {}, {}
    for rows in (100_000, 1_000_000):
        hours = generator.multinomial(rows // 24, reference.probabilities(), size=24)
        parts = [
            Summary(
                layout,
                rows // 24,
                {name: (*map(int, hour), 0, 0, 0) for name in columns},
                Summary.empty(layout).moments,
                (0, 0),
                (),
            )
            for hour in hours
        ]

        def merged(parts: Sequence[Summary] = parts) -> Summary:
            total = Summary.empty(layout)
            for part in parts:
                total += part
            return total

        day = merged()

        def checked(day: Summary = day) -> None:
            for cells in layout.columns:
                for scale in SCALES:
                    judge(
                        [*reference.counts, 0],
                        compared_counts(cells, day.cells[cells.name]),
                        scale=scale,
                        budget=BUDGET,
                        overdispersion=drift.Dispersion(df=19 * 700),
                        places=reference.places,
                    )

        best = best_cpu_us({"check": checked, "merge": merged}, number=10)
        spent[rows], merging[rows] = best["check"], best["merge"]
    flat = spent[1_000_000] / spent[100_000]
    report.add(
        Figure("check_1m_over_100k_rows", flat, "x", at_most=1.1, note="CPU of 20 features at 3 scales")
    )
    report.add(
        Figure(
            "check_over_merge",
            spent[1_000_000] / merging[1_000_000],
            "x",
            at_most=15,
            note=f"{spent[1_000_000] / 1000:.1f} ms, of 24 hours' merge {merging[1_000_000] / 1000:.2f} ms",
        )
    )


def paged(
    reference: Reference,
    hours: Counts,
    generator: np.random.Generator,
    phis: dict[Scale, drift.Dispersion] | None = None,
) -> list[bool]:
    """Which windows of a year page, over the three scales."""
    found = []
    for scale, width in SCALES.items():
        windows = summed(hours, width)
        phi = drift.Dispersion() if phis is None else phis[scale]
        suspects = _suspects(reference, windows, scale, phi)
        usual = np.setdiff1d(generator.choice(len(windows), size=3), suspects)
        for place in suspects:
            found.append(judged(reference, windows[place].tolist(), scale, phi) == "drift")
        for place in usual:
            assert judged(reference, windows[place].tolist(), scale, phi) != "drift"
    return found


def slowly(reference: Reference, hours: Counts) -> list[int]:
    """The hours at which the slow detector alarms, starting anew each time.

    All rows' evidence at once, by the service's own gains; a sample of steps is taken by the service, too.
    """
    detector = Detector.of(reference.counts, reference.places)
    assert detector is not None
    moved = hours @ np.array(detector.gains).T
    limit, found = math.log(RUN_LENGTH), []
    state = np.full(moved.shape[1], -np.inf)
    for hour, gain in enumerate(moved):
        before, state = state, np.logaddexp(0.0, state) + gain
        is_found = np.logaddexp.reduce(state) - math.log(len(state)) >= limit
        if hour % 997 == 0:
            own = detector.step(tuple(before), hours[hour].tolist())
            assert np.allclose(own, state, rtol=1e-9)
            assert is_alarm(own) == is_found
        if is_found:
            found.append(hour)
            state = np.array(START)
    return found


def alerts_of(alarms: Sequence[int]) -> int:
    """How many alerts the watch makes of slow alarms: one goes on until no other came for a week."""
    calm = CALM["slow"] // timedelta(hours=1)
    gaps = (following - hour for hour, following in pairwise(alarms))
    return sum(gap >= calm for gap in gaps) + bool(alarms)


def judged(reference: Reference, counts: Sequence[int], scale: Scale, phi: drift.Dispersion = KNOWN) -> str:
    return verdict_of(reference, counts, scale, phi).state


def verdict_of(
    reference: Reference, counts: Sequence[int], scale: Scale, phi: drift.Dispersion = KNOWN
) -> Verdict:
    return judge(
        reference.counts,
        counts,
        scale=scale,
        budget=BUDGET,
        overdispersion=phi,
        places=reference.places,
    )


def _suspects(reference: Reference, windows: Counts, scale: Scale, phi: drift.Dispersion) -> NDArray[np.intp]:
    """Windows whose chi-square or z comes within a tenth of what pages."""
    r = np.array(reference.counts, float)
    c = windows.astype(float)
    n0 = r.sum()
    c *= np.minimum(1.0, n0 / (4 * c.sum(axis=1)))[:, None]
    n1 = c.sum(axis=1)[:, None]
    either = r + c
    chi = ((np.sqrt(n0 / n1) * c - np.sqrt(n1 / n0) * r) ** 2 / np.where(either, either, 1)).sum(axis=1)
    s = np.array(reference.places)
    mean = (r * s).sum() / n0
    variance = (r * (s - mean) ** 2).sum() / n0
    z = ((c * s).sum(axis=1) / n1[:, 0] - mean) / np.sqrt(variance * (1 / n0 + 1 / n1[:, 0]))
    p = BUDGET.p_value(scale)
    # Empty cells take degrees of freedom: by as many as the window could lack.
    df = (either > 0).sum(axis=1).min() - 1
    near = (chi / phi.phi > 0.9 * chi2_isf(p, max(1, df))) | (
        np.abs(z) / math.sqrt(phi.phi) > 0.9 * normal_isf(p / 2)
    )
    return np.flatnonzero(near)


def summed(hours: Counts, width: int) -> Counts:
    """Windows of so many hours each."""
    whole = len(hours) // width * width
    found: Counts = hours[:whole].reshape(-1, width, hours.shape[1]).sum(axis=1)
    return found


if __name__ == "__main__":
    main()
