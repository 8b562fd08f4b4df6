"""The year of flights through the watch's own verdicts: who is paged, and who is named.

Every flight of the year is scored and counted by the hour in which it would have
been asked for, at the service's own counter; hours, days and weeks are judged as the watch does.
"""

from __future__ import annotations

import json
import sys
from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.report import Figure, Report
from chalicelib.monitoring.checks import Terms, drifted
from chalicelib.monitoring.counting import Counter
from chalicelib.monitoring.drifting import counts_of, features, verdicts
from chalicelib.monitoring.rows import Row
from chalicelib.monitoring.series import LENGTHS, STEPS, Step, Window, floor
from tiltyard.report.drift import features as told
from tiltyard.report.drift import strong
from tiltyard.runtime.bundle import PROFILE, Bundle
from tiltyard.stats.budget import Budget
from tiltyard.stats.drift import Dispersion, overdispersion
from tiltyard.stats.seasons import FEWEST_WINDOWS
from tiltyard.stats.summary import Summary
from tiltyard.training.bundle import build_bundle

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "flights"))
import task

STABLE = ("carrier", "origin", "distance")
WEATHER = ("temp", "dewp", "pressure")
"""By PSI against January the ones that move most (3 and more in summer)."""


def measure_flights(report: Report, *, is_quick: bool) -> None:
    table = task.load()
    winter = task.labelled(table[table["month"] <= 2])
    january = winter[winter["month"] == 1]
    pages, on_record, body = watched(winter, table[table["month"].between(3, 4 if is_quick else 12)])
    span = "March to April" if is_quick else "March to December"
    report.add(
        Figure(
            "flights_pages_of_stable_columns",
            sum(pages[name] for name in STABLE),
            at_most=0,
            note=f"of {', '.join(STABLE)}, {span}, reference of January and February; on record (info): "
            f"{sum(on_record[name] for name in STABLE)} windows",
        )
    )
    named = [feature.name for feature in strong(told(body))]
    report.add(
        Figure(
            "flights_weather_named",
            sum(name in named for name in WEATHER),
            at_least=len(WEATHER),
            note=f"strongly drifted: {', '.join(named)}",
        )
    )
    pages, on_record, _ = watched(january, table[table["month"] == 2])
    report.add(
        Figure(
            "flights_pages_of_month_day",
            pages["month_day"] + on_record["month_day"],
            at_most=0,
            note="in February, reference of January",
        )
    )


def watched(
    held_out: pd.DataFrame, production: pd.DataFrame
) -> tuple[Tally[str], Tally[str], dict[str, Any]]:
    """Pages (``warning`` and more) and what is on record only, by column; the weeks as the API tells them."""
    model, bundle = _fitted(held_out)
    counter = Counter(bundle.signature, json.loads(bundle.files[PROFILE]))
    of = features(counter)
    terms = Terms(Budget(), late_share=1.0, runbook="")
    hours = dict(_counted(counter, bundle, model, production))
    pages, on_record = Tally[str](), Tally[str]()
    body: dict[str, Any] = {}
    for step in STEPS:
        windows = _windows(hours, step, counter)
        calibration: dict[str, Dispersion] = {}
        told_windows = []
        for place, window in enumerate(windows):
            if place == FEWEST_WINDOWS:
                calibration = {
                    feature.name: overdispersion([counts_of(feature, w.summary) for w in windows[:place]])
                    for feature in of
                }
            for found in drifted(window, of, step, terms, calibration):
                is_page = found.finding.severity != "info"
                (pages if is_page else on_record)[found.finding.subject] += 1
            if step == "week":
                said = verdicts(window, of, step, terms.budget, calibration)
                told_windows.append({"features": {name: asdict(verdict) for name, verdict in said.items()}})
        body = {
            "titles": {},
            "overdispersion": dict.fromkeys((feature.name for feature in of), None),
            "windows": told_windows,
        }
    return pages, on_record, body


def _fitted(held_out: pd.DataFrame) -> tuple[Any, Bundle]:
    """A quickly fitted model: what is judged here are the columns, and their reference."""
    model = task.fit(held_out, rounds=10)
    return model, build_bundle(
        model,
        data=held_out[[*task.FEATURES, "at"]],
        target=held_out[task.TARGET].astype(int),
        task="binary",
        time="at",
        zone="America/New_York",
        calendar=["month_day", "weekday", "weekend"],
        nullable=task.MAY_BE_MISSING,
    )


def _counted(
    counter: Counter, bundle: Bundle, model: Any, production: pd.DataFrame
) -> Iterable[tuple[datetime, Summary]]:
    hours = production["at"].dt.floor("h")
    for hour, flights in production.groupby(hours):
        scores = model.predict_proba(flights[task.FEATURES]).tolist()
        held = flights[task.FEATURES].astype(object).where(flights[task.FEATURES].notna(), None)
        at = hour.to_pydatetime().astimezone(UTC)
        rows = [
            Row(str(n), "late", 1, bundle.digest, "champion", at, at, "r", columns, score)
            for n, (columns, score) in enumerate(zip(held.to_dict("records"), scores, strict=True))
        ]
        yield at, counter.count(rows)


def _windows(hours: dict[datetime, Summary], step: Step, counter: Counter) -> list[Window]:
    found: dict[datetime, Summary] = {}
    for hour, summary in sorted(hours.items()):
        start = floor(hour, step)
        found[start] = found.get(start, Summary.empty(counter.layout)) + summary
    return [Window(start, start + LENGTHS[step], summary, 0, 1, 1) for start, summary in found.items()]
