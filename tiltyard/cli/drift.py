"""``tiltyard drift``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from tiltyard.cli.output import Instant, client, connected, progress, show, show_all
from tiltyard.client.series import Step
from tiltyard.errors import InvalidInput
from tiltyard.report.drift import FeatureDrift, features, strong
from tiltyard.report.monitoring import monitoring_page

F = TypeVar("F", bound=Callable[..., Any])

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"


class Day(click.ParamType):
    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day: write 2026-02-01.", param, ctx)


def spanned(command: F) -> F:
    """Add what says which windows: ``--from``, ``--to``, ``--step``, ``--version``, ``--known-on``."""
    options = (
        click.option("--known-on", type=Day(), help="Leave out rows that became known after this day."),
        click.option("--version", type=click.IntRange(1), help="A version, instead of the champion."),
        click.option("--step", type=click.Choice(["hour", "day", "week"]), default="day", show_default=True),
        click.option("--to", "end", type=Instant(), help="The end; now without it."),
        click.option(
            "--from",
            "start",
            type=Instant(),
            help="The beginning; without it, the last 48 hours, 30 days or 13 weeks.",
        ),
    )
    for option in options:
        command = option(command)
    return command


@click.group()
def drift() -> None:
    """Has production drifted from what the model was registered with?"""


@drift.command("show")
@click.argument("name")
@spanned
@connected
def show_drift(
    name: str,
    start: datetime | None,
    end: datetime | None,
    step: Step,
    version: int | None,
    known_on: date | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Show each feature's drift over time: its PSI beyond noise as a line, and its verdicts."""
    with client(url, token) as tiltyard:
        found = tiltyard.drift(name, start=start, end=end, step=step, version=version, known_on=known_on)
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
    of = features(found.body)
    show_all(
        [_row(feature) for feature in of],
        ["feature", "drift", "state", "largest", "shift", "windows"],
        as_json=False,
    )
    named = [feature.name for feature in strong(of)]
    if named:
        progress(f"Strongly drifted, though no test could judge it: {', '.join(named)}.")


@drift.command("report")
@click.argument("name")
@click.option("-o", "--output", metavar="FILE", help="Where it goes; NAME-drift.html without it.")
@spanned
@connected
def report_drift(
    name: str,
    output: str | None,
    start: datetime | None,
    end: datetime | None,
    step: Step,
    version: int | None,
    known_on: date | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Write drift and data quality as an HTML file to read, print and pass on; it needs nothing else."""
    with client(url, token) as tiltyard:
        found = tiltyard.drift(name, start=start, end=end, step=step, version=version, known_on=known_on)
        # The same windows of the same version, whatever the clock and the champion did in between.
        first, last = (
            datetime.fromisoformat(at) for at in (found.windows[0]["start"], found.windows[-1]["end"])
        )
        quality = tiltyard.quality(
            name, start=first, end=last, step=step, version=found.version, known_on=known_on
        )
    path = Path(output or f"{found.model}-drift.html")
    _write(path, monitoring_page(found.body, quality.body, written_at=datetime.now(UTC)))
    if as_json:
        show({"drift": found.body, "quality": quality.body}, as_json=True)
    progress(f"Wrote {path}.")


def _write(path: Path, content: str) -> None:
    """A reader finds the old file or the new one, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(content, encoding="utf-8", newline="")
        os.replace(part, path)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise InvalidInput(f"{path} can't be written: {exc.strerror}.") from exc


def _row(feature: FeatureDrift) -> dict[str, Any]:
    shift = None if feature.verdict is None else feature.verdict["shift"]
    return {
        "feature": feature.name,
        "drift": sparkline(feature.effects),
        "state": feature.state,
        "largest": f"{feature.effect or 0.0:.3f}",
        "shift": None if shift is None else f"{shift:+.2f} sd",
        "windows": f"{feature.states.get(feature.state, 0)} of {feature.seen}",
    }


def sparkline(values: Sequence[float | None]) -> str:
    """A character a value, its height by the share of a PSI of 0.25, which is called large; a dot for none.

    One height means the same in every line, so that features can be compared.
    """
    steps = len(BARS)
    return "".join(GAP if v is None else BARS[min(steps - 1, int(v / 0.25 * steps))] for v in values)
