"""``tiltyard clock``."""

from __future__ import annotations

from datetime import datetime

import click

from tiltyard.cli.output import Instant, client, connected, show


@click.group()
def clock() -> None:
    """What time it is for decisions; a replay on a local stack puts it forward."""


@clock.command("show")
@connected
def show_clock(url: str | None, token: str | None, as_json: bool) -> None:
    """Show the clock, and up to when hours are closed."""
    with client(url, token) as tiltyard:
        show(dict(tiltyard.clock().body), as_json=as_json)


@clock.command()
@click.argument("now", type=Instant())
@connected
def tick(now: datetime, url: str | None, token: str | None, as_json: bool) -> None:
    """Put a replay's clock forward to NOW, and close the hours that are due by it (admin)."""
    with client(url, token) as tiltyard:
        show(dict(tiltyard.tick(now).body), as_json=as_json)
