"""``tiltyard drift``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from tiltyard.cli.output import Instant, client, connected, progress, show, show_all
from tiltyard.client.series import Series, Step

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
# Verdicts by how much they ask of a reader.
STATES = ("drift", "small", "steady", "not tested", "uncalibrated", "too few rows")


@click.group()
def drift() -> None:
    """Has production drifted from what the model was registered with?"""


@drift.command("show")
@click.argument("name")
@click.option("--from", "start", type=Instant(), help="The beginning; the last 30 days without it.")
@click.option("--to", "end", type=Instant(), help="The end; now without it.")
@click.option("--step", type=click.Choice(["hour", "day", "week"]), default="day", show_default=True)
@click.option("--version", type=click.IntRange(1), help="A version, instead of the champion.")
@connected
def show_drift(
    name: str,
    start: datetime | None,
    end: datetime | None,
    step: Step,
    version: int | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Show each feature's drift over time: its PSI beyond noise as a line, and its verdicts."""
    with client(url, token) as tiltyard:
        found = tiltyard.drift(name, start=start, end=end, step=step, version=version)
    if as_json:
        show(found.body, as_json=True)
        return
    rows = sum(window["rows"] for window in found.windows)
    first, last = found.windows[0]["start"], found.windows[-1]["end"]
    progress(f"{name}/{found.version}, {rows:,} rows from {first} to {last}, a character a {step}.")
    budget = found.body["budget"]
    progress(
        f"At most {budget['alerts_a_year']:g} false alerts a feature and year; "
        f"effects below {budget['smallest_effect']:g} are small."
    )
    table = [_row(feature, found) for feature in found.body["overdispersion"]]
    table.sort(key=lambda row: (STATES.index(row["state"]), -float(row["largest"]), row["feature"]))
    show_all(table, ["feature", "drift", "state", "largest", "shift", "windows"], as_json=False)


def _row(feature: str, found: Series) -> dict[str, Any]:
    verdicts: Sequence[Mapping[str, Any]] = [window["features"][feature] for window in found.windows]
    seen = [verdict for verdict in verdicts if verdict["rows"]]
    largest = max(seen, key=lambda verdict: float(verdict["effect"]), default=None)
    states = {verdict["state"] for verdict in seen}
    state = next((state for state in STATES if state in states), "too few rows")
    return {
        "feature": feature,
        "drift": sparkline([verdict["effect"] if verdict["rows"] else None for verdict in verdicts]),
        "state": state,
        "largest": f"{0.0 if largest is None else largest['effect']:.3f}",
        "shift": None if largest is None or largest["shift"] is None else f"{largest['shift']:+.2f} sd",
        "windows": f"{sum(v['state'] == state for v in seen)} of {len(seen)}",
    }


def sparkline(values: Sequence[float | None]) -> str:
    """A character a value, its height by the share of a PSI of 0.25, which is called large; a dot for none.

    One height means the same in every line, so that features can be compared.
    """
    steps = len(BARS)
    return "".join(GAP if v is None else BARS[min(steps - 1, int(v / 0.25 * steps))] for v in values)
