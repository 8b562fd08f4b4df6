"""``tiltyard version``."""

from __future__ import annotations

import click

from tiltyard.cli.output import NameAndVersion, client, connected, show, show_all


@click.group()
def version() -> None:
    """Versions: immutable bundles, named NAME/3."""


@version.command("list")
@click.argument("name")
@connected
def list_versions(name: str, url: str | None, token: str | None, as_json: bool) -> None:
    """List the versions of a model, newest first."""
    with client(url, token) as tiltyard:
        columns = ("version", "stage", "registered_at", "digest", "description")
        show_all((v.body for v in tiltyard.versions(name)), columns, as_json=as_json)


@version.command("show")
@click.argument("name_version", type=NameAndVersion(), metavar="NAME/VERSION")
@connected
def show_version(name_version: tuple[str, int], url: str | None, token: str | None, as_json: bool) -> None:
    """Show one version: stage, files, why it was rejected if it was; where it came from, what came of it."""
    with client(url, token) as tiltyard:
        found = tiltyard.version(*name_version)
        show(found.body, as_json=as_json)
        if not as_json:
            click.echo()
            # Its files and its model are told above.
            click.echo(tiltyard.lineage(*name_version).tree(without=("contains", "version-of")))


@version.command()
@click.argument("name_version", type=NameAndVersion(), metavar="NAME/VERSION")
@click.option("--reason", required=True, help="Why, for the record.")
@connected
def archive(
    name_version: tuple[str, int], reason: str, url: str | None, token: str | None, as_json: bool
) -> None:
    """Put a version away that nobody counts on; nothing is deleted."""
    with client(url, token) as tiltyard:
        show(tiltyard.archive(*name_version, reason=reason).body, as_json=as_json)


@version.command()
@click.argument("name_version", type=NameAndVersion(), metavar="NAME/VERSION")
@click.option("--reason", required=True, help="Why, for the record.")
@connected
def restore(
    name_version: tuple[str, int], reason: str, url: str | None, token: str | None, as_json: bool
) -> None:
    """Put an archived version back to the stage that it had."""
    with client(url, token) as tiltyard:
        show(tiltyard.restore(*name_version, reason=reason).body, as_json=as_json)
