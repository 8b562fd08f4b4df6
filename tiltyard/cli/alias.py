"""``tiltyard alias``."""

from __future__ import annotations

import click

from tiltyard.cli.output import NameAndVersion, client, connected, progress, show, show_all


@click.group()
def alias() -> None:
    """Names of your own for versions.

    NAME@ALIAS answers like NAME does.
    """


@alias.command("set")
@click.argument("name_version", type=NameAndVersion(), metavar="NAME/VERSION")
@click.argument("alias_name", metavar="ALIAS")
@click.option("--pin/--unpin", "pinned", default=None, help="A pinned alias neither moves nor goes.")
@connected
def set_alias(
    name_version: tuple[str, int],
    alias_name: str,
    pinned: bool | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Point an alias at a version."""
    name, version = name_version
    with client(url, token) as tiltyard:
        show(tiltyard.set_alias(name, alias_name, version, pinned=pinned).body, as_json=as_json)


@alias.command("list")
@click.argument("name")
@connected
def list_aliases(name: str, url: str | None, token: str | None, as_json: bool) -> None:
    """List a model's aliases."""
    with client(url, token) as tiltyard:
        show_all((a.body for a in tiltyard.aliases(name)), ("alias", "version", "pinned"), as_json=as_json)


@alias.command("delete")
@click.argument("name")
@click.argument("alias_name", metavar="ALIAS")
@connected
def delete_alias(name: str, alias_name: str, url: str | None, token: str | None, as_json: bool) -> None:
    """Delete an alias; the version stays."""
    with client(url, token) as tiltyard:
        tiltyard.delete_alias(name, alias_name)
    if as_json:
        show({"model": name, "alias": alias_name, "deleted": True}, as_json=True)
    else:
        progress(f"{name}@{alias_name} is deleted.")
