"""``tiltyard policy``."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from tiltyard.cli.output import client, connected, progress, show
from tiltyard.client import Policy


@click.group()
def policy() -> None:
    """How sure answers must be, and what becomes of those that aren't."""


@policy.command("show")
@click.argument("name")
@click.option("--number", type=click.IntRange(0), help="A past policy, instead of the one that holds.")
@connected
def show_policy(name: str, number: int | None, url: str | None, token: str | None, as_json: bool) -> None:
    """Show the policy that holds, as a file that `policy put` takes."""
    with client(url, token) as tiltyard:
        _tell(tiltyard.policy(name, number), as_json=as_json)


@policy.command("put")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@click.option("--after", type=click.IntRange(0), help="Only if the policy of this number still holds.")
@connected
def put_policy(
    name: str, file: IO[bytes], after: int | None, url: str | None, token: str | None, as_json: bool
) -> None:
    """Put the policy in FILE (JSON; - reads standard input) in force."""
    document = _read(file)
    with client(url, token) as tiltyard:
        _tell(tiltyard.put_policy(name, document, after=after), as_json=as_json)


def _read(file: IO[bytes]) -> dict[str, Any]:
    try:
        document = json.loads(file.read())
    except (ValueError, RecursionError) as exc:
        raise click.UsageError(f"{file.name} is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise click.UsageError(f"{file.name} holds no JSON object; a policy is one.")
    return document


def _tell(found: Policy, *, as_json: bool) -> None:
    if as_json:
        show(found.body, as_json=True)
        return
    if found.number == 0:
        progress(f"{found.model} has the default policy; none was ever put.")
    else:
        when = "" if found.put_at is None else f", put at {found.put_at.isoformat()}"
        progress(f"{found.model} has policy {found.number}{when} by {found.put_by or 'somebody erased'}.")
    click.echo(json.dumps(dict(found.document), indent=2, ensure_ascii=False))
