"""``tiltyard lineage``."""

from __future__ import annotations

import json
from typing import cast

import click

from tiltyard.cli.output import client, connected, show
from tiltyard.client.lineage import Direction


@click.group()
def lineage() -> None:
    """What things came from, and what came of them."""


@lineage.command("show")
@click.argument("digest")
@click.option(
    "--direction", type=click.Choice(["ancestry", "impact", "both"]), default="both", show_default=True
)
@click.option("--depth", type=click.IntRange(1, 10), default=5, show_default=True, help="Edges to go.")
@click.option("--openlineage", is_flag=True, help="Print OpenLineage events instead.")
@connected
def show_lineage(
    digest: str,
    direction: str,
    depth: int,
    openlineage: bool,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Show the lineage of whatever has DIGEST: a version, a run, a data set, a file, a policy."""
    way = cast(Direction, direction)
    with client(url, token) as tiltyard:
        if openlineage:
            events = tiltyard.openlineage_of(digest, direction=way, depth=depth)
            click.echo(json.dumps(events["items"], indent=2, ensure_ascii=False))
            return
        found = tiltyard.lineage_of(digest, direction=way, depth=depth)
        if as_json:
            show(found.body, as_json=True)
        else:
            click.echo(found.tree())
