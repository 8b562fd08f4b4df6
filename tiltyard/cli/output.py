"""What commands share: the connection, tables and JSON on stdout, errors on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from tiltyard.client import Client
from tiltyard.errors import TiltyardError, Unavailable

F = TypeVar("F", bound=Callable[..., Any])

REFUSED = 1
UNAVAILABLE = 3


class Failures(click.Group):
    """A group whose commands' Tiltyard errors become a message and an exit code, never a stack."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TiltyardError as error:
            fail(error)
            ctx.exit(UNAVAILABLE if isinstance(error, Unavailable) else REFUSED)


def fail(error: TiltyardError) -> None:
    """Say what went wrong, one line a fault."""
    click.secho(f"{error.title}.", fg="red", bold=True, err=True)
    if error.detail.rstrip(".") != error.title:
        click.echo(error.detail, err=True)
    for fault in error.faults:
        click.echo(f"  {fault.pointer}: {fault.detail}" if fault.pointer else f"  {fault.detail}", err=True)


def connected(command: F) -> F:
    """Add ``--url``, ``--token`` and ``--json``."""
    options = (
        click.option("--json", "as_json", is_flag=True, help="Print the service's own answer as JSON."),
        click.option(
            "--token", envvar="TILTYARD_TOKEN", help="Bearer token; better given as TILTYARD_TOKEN."
        ),
        click.option("--url", envvar="TILTYARD_URL", help="Where the API lives, or TILTYARD_URL."),
    )
    for option in options:
        command = option(command)
    return command


def client(url: str | None, token: str | None) -> Client:
    if not url:
        raise click.UsageError(
            "Which Tiltyard? Set TILTYARD_URL (`tiltyard local up` prints it) or give --url."
        )
    if not token:
        raise click.UsageError(
            "Who are you? Set TILTYARD_TOKEN (of a stack on this machine: "
            "`tiltyard local token --role scientist --role engineer --team TEAM`) or give --token."
        )
    return Client(url, token)


def progress(line: str) -> None:
    click.echo(line, err=True)


def show(body: Mapping[str, Any], *, as_json: bool) -> None:
    """One record: a line a value."""
    if as_json:
        click.echo(json.dumps(dict(body), indent=2, ensure_ascii=False))
        return
    told = {name: text(value) for name, value in body.items()}
    width = max((len(name) for name in told), default=0)
    for name, value in told.items():
        click.echo(f"{name:<{width}}  {value}")


def show_all(bodies: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Several records: a table of `columns`, or one JSON list."""
    items = [dict(body) for body in bodies]
    if as_json:
        click.echo(json.dumps(items, indent=2, ensure_ascii=False))
        return
    if not items:
        progress("None yet.")
        return
    table = [[column.upper() for column in columns], *([_cell(i, c) for c in columns] for i in items)]
    widths = [max(len(row[j]) for row in table) for j in range(len(columns))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _cell(item: Mapping[str, Any], column: str) -> str:
    # Twelve digits of a digest are enough for a person to tell two apart.
    return text(item.get(column))[: 12 if column == "digest" else None]


def text(value: Any) -> str:
    """A value on one line; of an object only its names (`--json` has the rest)."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value):
        return ", ".join(str(v) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(str(name) for name in value) or "-"
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


class Instant(click.ParamType):
    """A time with its zone, UTC when it names none."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: write 2026-02-01T06:15:00Z.", param, ctx)


class NameAndVersion(click.ParamType):
    """``name/3``."""

    name = "name/version"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        name, _, number = str(value).partition("/")
        if not name or not number.isdigit():
            self.fail(f"{value!r} names no version: write NAME/3.", param, ctx)
        return name, int(number)
