"""``tiltyard alert``."""

from __future__ import annotations

from typing import Any

import click

from tiltyard.cli.output import client, connected, progress, show, show_all
from tiltyard.client.alerts import Alert, AlertState, Severity

ID = click.argument("alert_id", metavar="ID")


@click.group()
def alert() -> None:
    """What was found wrong with models and with the stage: see it, take it on, settle it."""


@alert.command("list")
@click.option("--model", help="Of one model.")
@click.option(
    "--state",
    type=click.Choice(["open", "acknowledged", "resolved", "all"]),
    help="Open and acknowledged ones without it.",
)
@click.option("--severity", type=click.Choice(["info", "warning", "critical"]), help="Of this severity.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Alerts, at most.")
@connected
def list_alerts(
    model: str | None,
    state: AlertState | None,
    severity: Severity | None,
    limit: int,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List alerts of your teams, newest first."""
    with client(url, token) as tiltyard:
        found = tiltyard.alerts(model, state=state, severity=severity)
        alerts = [alert for alert, _ in zip(found, range(limit), strict=False)]
    show_all(
        [alert.body for alert in alerts],
        ["id", "severity", "state", "opened_at", "summary"],
        as_json=as_json,
    )


@alert.command("show")
@ID
@connected
def show_alert(alert_id: str, url: str | None, token: str | None, as_json: bool) -> None:
    """Show an alert, with the figures that raised it."""
    with client(url, token) as tiltyard:
        _tell(tiltyard.alert(alert_id), as_json=as_json)


@alert.command()
@ID
@click.option("--comment", help="What you are going to do.")
@connected
def acknowledge(
    alert_id: str, comment: str | None, url: str | None, token: str | None, as_json: bool
) -> None:
    """Say that you are at it."""
    with client(url, token) as tiltyard:
        _tell(tiltyard.acknowledge_alert(alert_id, comment), as_json=as_json)


@alert.command()
@ID
@click.option("--comment", required=True, help="How it was taken care of.")
@connected
def resolve(alert_id: str, comment: str, url: str | None, token: str | None, as_json: bool) -> None:
    """Say that it is taken care of."""
    with client(url, token) as tiltyard:
        _tell(tiltyard.resolve_alert(alert_id, comment), as_json=as_json)


def _tell(found: Alert, *, as_json: bool) -> None:
    show(found.body if as_json else {k: v for k, v in found.body.items() if k != "subjects"}, as_json=as_json)
    if as_json:
        return
    progress("")
    columns = sorted({name for facts in found.subjects.values() for name in facts})
    rows = [{"subject": name, **_short(facts)} for name, facts in sorted(found.subjects.items())]
    show_all(rows, ["subject", *columns], as_json=False)


def _short(facts: Any) -> dict[str, Any]:
    return {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in facts.items()}
