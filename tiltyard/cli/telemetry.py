"""``tiltyard telemetry``."""

from __future__ import annotations

import click

from tiltyard.cli.output import client, connected, progress, show, show_all

COLUMNS = ("id", "sent_at", "model", "version", "rows", "why")


@click.group()
def telemetry() -> None:
    """Telemetry that couldn't be counted: see it, and have it counted again (admin)."""


@telemetry.command("dead-letters")
@connected
def dead_letters(url: str | None, token: str | None, as_json: bool) -> None:
    """Show how many messages couldn't be counted in five attempts, and what is the matter with some."""
    with client(url, token) as tiltyard:
        found = tiltyard.telemetry_dead_letters()
    if as_json:
        show(found.body, as_json=True)
        return
    progress(f"{found.count:,} messages couldn't be counted.")
    if found.items:
        show_all([letter.body for letter in found.items], COLUMNS, as_json=False)


@telemetry.command()
@connected
def redrive(url: str | None, token: str | None, as_json: bool) -> None:
    """Have them counted again, all that are there."""
    redriven = 0
    with client(url, token) as tiltyard:
        while True:
            done = tiltyard.redrive_telemetry()
            redriven += done.redriven
            # `left` is an estimate, and others may hold what is left: without progress there is no end.
            if not done.redriven or not done.left:
                break
            progress(f"{redriven:,} are on their way; going on.")
    if as_json:
        show({"redriven": redriven, "left": done.left}, as_json=True)
    else:
        progress(f"{redriven:,} messages are on their way to be counted; about {done.left:,} are left.")
