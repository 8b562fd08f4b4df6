"""``tiltyard webhook``."""

from __future__ import annotations

import click

from tiltyard.cli.output import client, connected, progress, show, show_all
from tiltyard.client.alerts import Severity
from tiltyard.client.webhooks import Webhook
from tiltyard.errors import Unavailable

of_team = click.option("--team", help="Whose; needed when you are in several teams, or act across them.")
events = click.option(
    "--event",
    "events",
    multiple=True,
    help="An action (champion.promote) or group (champion.*); repeatable.",
)
models = click.option("--model", "models", multiple=True, help="Only this model's changes; repeatable.")


least = click.option(
    "--severity",
    type=click.Choice(["info", "warning", "critical"]),
    help="Of alerts, hear of those this severe and more.",
)


@click.group()
def webhook() -> None:
    """Addresses that hear of every change, signed: make, try out, change, and send again what they missed."""


@webhook.command()
@click.argument("address")
@click.option("--team", required=True, help="The team whose changes are sent.")
@events
@models
@click.option("--description", default="", help="What it is for.")
@least
@connected
def add(
    address: str,
    team: str,
    events: tuple[str, ...],
    models: tuple[str, ...],
    description: str,
    severity: Severity | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Have a team's changes sent to ADDRESS, and print the secret that they are signed with."""
    with client(url, token) as tiltyard:
        made = tiltyard.create_webhook(
            team,
            address,
            events=events,
            models=models,
            description=description,
            severity=severity or "info",
        )
    _tell_secret(made, as_json=as_json)


@webhook.command("list")
@of_team
@connected
def list_webhooks(team: str | None, url: str | None, token: str | None, as_json: bool) -> None:
    """List a team's webhooks."""
    with client(url, token) as tiltyard:
        found = list(tiltyard.webhooks(team))
    bodies = [hook.body if as_json else _row(hook) for hook in found]
    show_all(bodies, ["id", "url", "events", "models", "enabled", "last"], as_json=as_json)


@webhook.command("show")
@click.argument("webhook_id", metavar="ID")
@of_team
@connected
def show_webhook(
    webhook_id: str, team: str | None, url: str | None, token: str | None, as_json: bool
) -> None:
    """Show a webhook, and how its last deliveries went."""
    with client(url, token) as tiltyard:
        _tell(tiltyard.webhook(webhook_id, team), as_json=as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--address", help="Where it leads from now on.")
@events
@click.option("--every-event", is_flag=True, help="Hear of every event again.")
@models
@click.option("--every-model", is_flag=True, help="Hear of every model again.")
@click.option("--description", help="What it is for.")
@least
@click.option("--on/--off", "enabled", default=None, help="Switch it on or off.")
@of_team
@connected
def change(
    webhook_id: str,
    address: str | None,
    events: tuple[str, ...],
    every_event: bool,
    models: tuple[str, ...],
    every_model: bool,
    description: str | None,
    severity: Severity | None,
    enabled: bool | None,
    team: str | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Change where a webhook leads, what it hears of, or switch it off."""
    if (events and every_event) or (models and every_model):
        raise click.UsageError("Name what it is to hear of, or have it hear of everything, not both.")
    with client(url, token) as tiltyard:
        changed = tiltyard.change_webhook(
            webhook_id,
            url=address,
            events=() if every_event else events or None,
            models=() if every_model else models or None,
            description=description,
            severity=severity,
            enabled=enabled,
            team=team,
        )
    _tell(changed, as_json=as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@of_team
@connected
def rotate(webhook_id: str, team: str | None, url: str | None, token: str | None, as_json: bool) -> None:
    """Give a webhook another secret and print it; the one before it signs, too, for 24 hours."""
    with client(url, token) as tiltyard:
        _tell_secret(tiltyard.rotate_webhook(webhook_id, team), as_json=as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@of_team
@connected
def remove(webhook_id: str, team: str | None, url: str | None, token: str | None, as_json: bool) -> None:
    """Delete a webhook."""
    with client(url, token) as tiltyard:
        tiltyard.remove_webhook(webhook_id, team=team)
    progress(f"Webhook {webhook_id} is deleted; what was on its way to it is dropped.")


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@of_team
@connected
def test(webhook_id: str, team: str | None, url: str | None, token: str | None, as_json: bool) -> None:
    """Send a webhook a test event right away; exits with 3 unless the receiver takes it."""
    with client(url, token) as tiltyard:
        tried = tiltyard.test_webhook(webhook_id, team)
    told = {name: getattr(tried, name) for name in ("event", "taken", "status", "detail", "milliseconds")}
    show(told, as_json=as_json)
    if not tried.taken:
        raise Unavailable(f"The receiver didn't take it: {tried.detail}.")


@webhook.command()
@click.argument("webhook_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Whatever bus, topic and webhooks missed (admin).")
@of_team
@connected
def redrive(
    webhook_id: str | None,
    everything: bool,
    team: str | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Send again what a webhook didn't take in ten attempts."""
    if (webhook_id is None) != everything:
        raise click.UsageError("Name a webhook, or give --all.")
    moved, is_all = 0, False
    with client(url, token) as tiltyard:
        while not is_all:
            done = tiltyard.redrive(webhook_id, team)
            moved, is_all = moved + done.moved, done.all
            if not is_all:
                progress(f"{moved:,} are on their way again; going on.")
    if as_json:
        show({"moved": moved}, as_json=True)
    else:
        progress(f"{moved:,} deliveries are on their way again.")


def _tell(found: Webhook, *, as_json: bool) -> None:
    show(found.body if as_json else {**found.body, **_last(found)}, as_json=as_json)


def _tell_secret(made: Webhook, *, as_json: bool) -> None:
    if as_json:
        show({**made.body, "secret": made.secret}, as_json=True)
        return
    _tell(made, as_json=False)
    show({"secret": made.secret}, as_json=False)
    progress("Keep the secret: it is shown this once. docs/webhooks.md has a receiver that checks it.")


def _last(found: Webhook) -> dict[str, str | None]:
    attempts = {"last_taken": found.last_taken, "last_failed": found.last_failed}
    return {
        name: None if attempt is None else f"{attempt.at.isoformat()} {attempt.detail}"
        for name, attempt in attempts.items()
    }


def _row(found: Webhook) -> dict[str, object]:
    attempts = [attempt for attempt in (found.last_taken, found.last_failed) if attempt is not None]
    last = max(attempts, key=lambda attempt: attempt.at, default=None)
    return {
        "id": found.id,
        "url": found.url,
        "events": ", ".join(found.events) or "all",
        "models": ", ".join(found.models) or "all",
        "enabled": "yes" if found.enabled else "no",
        "last": None if last is None else last.detail,
    }
