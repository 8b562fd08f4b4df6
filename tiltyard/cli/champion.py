"""``tiltyard champion``."""

from __future__ import annotations

from datetime import datetime

import click

from tiltyard.cli.output import Instant, NameAndVersion, client, connected, progress, show, show_all


@click.group()
def champion() -> None:
    """Who answers: promote, roll back, and see who reigned when."""


@champion.command("show")
@click.argument("name")
@click.option("--as-of", type=Instant(), help="Who answered then, instead of now.")
@connected
def show_champion(
    name: str, as_of: datetime | None, url: str | None, token: str | None, as_json: bool
) -> None:
    """Show the champion of a model."""
    with client(url, token) as tiltyard:
        found = tiltyard.champion(name, as_of)
    if found is not None:
        show(found.body, as_json=as_json)
    elif as_json:
        click.echo("null")
    else:
        progress(f"Nobody was champion of {name} then.")


@champion.command()
@click.argument("name_version", type=NameAndVersion(), metavar="NAME/VERSION")
@click.option("--reason", required=True, help="Why, for the record.")
@connected
def promote(
    name_version: tuple[str, int], reason: str, url: str | None, token: str | None, as_json: bool
) -> None:
    """Make a version the champion. No request fails meanwhile."""
    with client(url, token) as tiltyard:
        show(tiltyard.promote(*name_version, reason=reason).body, as_json=as_json)


@champion.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why, for the record.")
@click.option("--to", "version", type=int, help="A past champion's version; the last one by default.")
@connected
def rollback(
    name: str, reason: str, version: int | None, url: str | None, token: str | None, as_json: bool
) -> None:
    """Return to the last champion, or to any past one."""
    with client(url, token) as tiltyard:
        show(tiltyard.rollback(name, reason=reason, version=version).body, as_json=as_json)


@champion.command()
@click.argument("name")
@connected
def timeline(name: str, url: str | None, token: str | None, as_json: bool) -> None:
    """List every reign, newest first."""
    with client(url, token) as tiltyard:
        columns = ("generation", "version", "started_at", "ended_at", "action", "approved_by", "reason")
        show_all((reign.body for reign in tiltyard.timeline(name)), columns, as_json=as_json)
