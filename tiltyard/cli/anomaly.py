"""``tiltyard anomaly``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import click

from tiltyard.cli.output import Instant, client, connected, show_all


@click.group()
def anomaly() -> None:
    """Odd rows of production, to look at."""


@anomaly.command("list")
@click.argument("name")
@click.option("--from", "start", type=Instant(), help="The beginning; a day before the end without it.")
@click.option("--to", "end", type=Instant(), help="The end; now without it.")
@click.option(
    "--kind",
    type=click.Choice(["anomalous", "out_of_range", "unseen_category"]),
    default="anomalous",
    show_default=True,
)
@click.option("--version", type=click.IntRange(1), help="A version, instead of the champion.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Rows, at most.")
@connected
def list_anomalies(
    name: str,
    start: datetime | None,
    end: datetime | None,
    kind: Literal["anomalous", "out_of_range", "unseen_category"],
    version: int | None,
    limit: int,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List odd rows, the latest hour's first; `--json` has them whole, without personal columns."""
    with client(url, token) as tiltyard:
        found = tiltyard.anomalies(name, start=start, end=end, kind=kind, version=version)
        rows = [row for row, _ in zip(found, range(limit), strict=False)]
    bodies = rows if as_json else [_line(row) for row in rows]
    show_all(bodies, ["at", "id", "odd", "action"], as_json=as_json)


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    values = row["columns"]
    odd = [
        f"{w['column']}={values[w['column']]}" if w["column"] in values else str(w["column"])
        for w in row["warnings"]
    ]
    return {"at": row["at"], "id": row["id"], "odd": list(dict.fromkeys(odd)), "action": row["action"]}
