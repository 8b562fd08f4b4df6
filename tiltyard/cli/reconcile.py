"""``tiltyard reconcile``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tiltyard.cli.output import REFUSED, client, connected, progress
from tiltyard.client.reconciliation import ReconciledHour

FINE = frozenset({"equal", "mended"})


@click.command()
@click.argument("name")
@click.option("--day", required=True, help="The day (UTC): 2026-02-01.")
@click.option("--version", type=click.IntRange(1), help="A version, instead of the champion.")
@click.option("--mend", is_flag=True, help="Put right what differs (engineer).")
@connected
def reconcile(
    name: str, day: str, version: int | None, mend: bool, url: str | None, token: str | None, as_json: bool
) -> None:
    """Count a day's rows again from the lake, and prove that the windows hold just these.

    Exit code 1 when something differs and isn't mended.
    """
    hours: list[ReconciledHour] = []
    with client(url, token) as tiltyard:
        for hour in tiltyard.reconcile(name, day, version=version, mend=mend):
            hours.append(hour)
            progress(f"{hour.start:%H}:00  {hour.rows:,} rows, {hour.state}")
    if as_json:
        click.echo(json.dumps([hour.body for hour in hours], indent=2, ensure_ascii=False))
    elif hours:
        _tell(hours)
    else:
        progress(f"{name} has no rows on {day}.")
    if not all(hour.state in FINE for hour in hours):
        raise SystemExit(REFUSED)
    if hours:
        rows = sum(hour.rows for hour in hours)
        mended = sum(hour.state == "mended" for hour in hours)
        progress(
            f"{name}/{hours[0].version}, {day}: {len(hours)} hours with rows, {rows:,} rows. "
            + (f"{mended} were mended; now all" if mended else "All")
            + " are counted as the lake says."
        )


def _tell(hours: list[ReconciledHour]) -> None:
    width = max(len("ROWS"), *(len(str(hour.rows)) for hour in hours))
    click.echo(f"HOUR  {'ROWS':<{width}}  STATE")
    for hour in hours:
        click.echo(f"{hour.start:%H}    {hour.rows:<{width}}  {hour.state}")
        for line in _details(hour):
            click.echo(f"      {line}")


def _details(hour: ReconciledHour) -> Iterator[str]:
    for difference in hour.differences:
        yield f"{_place(difference)}: {difference['found']}, and the lake says {difference['expected']}"
    if hour.differing > len(hour.differences):
        yield f"and {hour.differing - len(hour.differences):,} more"
    if hour.advice is not None:
        yield hour.advice


def _place(difference: Mapping[str, Any]) -> str:
    if difference["where"] == "rows":
        return "rows"
    return f"{difference['name'] or difference['where']}, {difference['cell']}"
