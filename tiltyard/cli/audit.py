"""``tiltyard audit``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from tiltyard.audit import copy
from tiltyard.audit.checkpoint import VerifierKey
from tiltyard.audit.verification import Verification, verify
from tiltyard.cli.output import client, connected, progress, show, show_all
from tiltyard.client.audit import ApiLog, AuditEntry
from tiltyard.errors import IntegrityError

REPORT_EVERY = 10_000


@click.group()
def audit() -> None:
    """The tamper-evident log of every change: read it, check it, take a copy."""


@audit.command("list")
@click.option("--model", help="The changes of one model, with those that wait to be logged.")
@click.option("--team", help="The changes of a team's own settings.")
@click.option("--from", "start", help="An index (with --model or --team, a change's number) or a time.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Entries, at most.")
@connected
def list_entries(
    model: str | None,
    team: str | None,
    start: str | None,
    limit: int,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List entries in their order."""
    with client(url, token) as tiltyard:
        found = tiltyard.audit(model, team=team, start=_start(start))
        entries = [entry for entry, _ in zip(found, range(limit), strict=False)]
    bodies = [entry.body if as_json else _row(entry) for entry in entries]
    show_all(bodies, ["index", "time", "model", "change", "action", "actor", "reason"], as_json=as_json)


@audit.command()
@click.option("--size", type=click.IntRange(0), help="The checkpoint that was signed at this size.")
@click.option("--key", "only_key", is_flag=True, help="Print the log's public key alone.")
@connected
def checkpoint(size: int | None, only_key: bool, url: str | None, token: str | None, as_json: bool) -> None:
    """Print a signed checkpoint, for a file that remembers it."""
    with client(url, token) as tiltyard:
        shown = tiltyard.audit_checkpoint(size)
    if only_key:
        click.echo(str(shown.key))
    elif as_json:
        body = {name: getattr(shown, name) for name in ("origin", "size", "root", "note")}
        show({**body, "key": str(shown.key)}, as_json=True)
    else:
        click.echo(shown.note, nl=False)


@audit.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@connected
def export(folder: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Copy the log into FOLDER, laid out as its bucket, to be verified anywhere."""
    with client(url, token) as tiltyard:
        source = ApiLog(tiltyard)
        size = copy.write(source, source.key, folder, progress=_progress)
    if as_json:
        show({"folder": str(folder), "size": size}, as_json=True)
    else:
        progress(f"{size:,} entries are in {folder}; `tiltyard audit verify {folder}` checks them.")


@audit.command("verify")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--key", help="The log's public key as you keep it, or a file that holds it.")
@click.option(
    "--since",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that you remember: the log must begin with it.",
)
@click.option(
    "--remember",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Like --since when the file is there; keeps the checkpoint there once the log was verified.",
)
@click.option("--entry", help="Only prove that the log holds one entry: an index, or NAME/CHANGE.")
@connected
def verify_log(
    folder: Path | None,
    key: str | None,
    since: Path | None,
    remember: Path | None,
    entry: str | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Check the log of the service, or a copy of it in FOLDER without asking anybody.

    Exits with 1 and names the first bad place when the log isn't what was signed.
    """
    given = None if key is None else _key(key)
    if entry is not None:
        if folder is not None:
            raise click.UsageError("--entry asks the service; leave FOLDER out.")
        with client(url, token) as tiltyard:
            _tell_entry(tiltyard.verify_audit_entry(_entry(entry), given), as_json=as_json)
        return
    files = [file for file in (since, remember) if file is not None and file.is_file()]
    remembered = [file.read_text(encoding="utf-8") for file in files]
    if folder is None:
        with client(url, token) as tiltyard:
            log = ApiLog(tiltyard)
            found, note = _checked(log, given or log.key, remembered), log.note()
    else:
        held = copy.Folder(folder)
        own = given or held.key()
        if own is None:
            raise click.UsageError("Whose log? The copy holds no key: give --key.")
        found, note = _checked(held, own, remembered), held.note()
    if remember is not None:
        copied = remember.with_name(remember.name + ".partial")
        copied.write_text(note, encoding="utf-8")
        copied.replace(remember)
    _tell(found, is_independent=given is not None, as_json=as_json)


def _checked(source: ApiLog | copy.Folder, key: VerifierKey, remembered: list[str]) -> Verification:
    return verify(source, key, remembered=remembered, progress=_progress)


def _tell(found: Verification, *, is_independent: bool, as_json: bool) -> None:
    if as_json:
        body = {
            "origin": found.origin,
            "size": found.size,
            "root": found.root.hex(),
            "scopes": dict(found.scopes),
            "checks": list(found.checks),
            "key_is_independent": is_independent,
        }
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    for check in found.checks:
        click.echo(f"ok  {check}")
    changes = ", ".join(f"{scope} ({number})" for scope, number in found.scopes.items())
    click.echo(f"{found.origin}: {found.size:,} entries hold. Changes: {changes or 'none'}.")
    if not is_independent:
        progress(
            "The key came with the log, so this shows that the log agrees with itself. Keep the key "
            "(`tiltyard audit checkpoint --key`) and give it with --key from now on."
        )


def _tell_entry(found: AuditEntry, *, as_json: bool) -> None:
    if as_json:
        show(found.body, as_json=True)
        return
    click.echo(f"ok  the log holds entry {found.index}")
    show({name: value for name, value in _row(found).items() if name != "index"}, as_json=False)


def _row(found: AuditEntry) -> dict[str, object]:
    entry = found.entry
    return {
        "index": "waiting" if found.index is None else str(found.index),
        "time": entry["time"],
        "model": entry["model"],
        "change": entry["change"],
        "action": entry["action"],
        "actor": found.actor or "erased",
        "reason": found.reason,
    }


def _key(text: str) -> VerifierKey:
    file = Path(text)
    try:
        return VerifierKey.parse(file.read_text(encoding="utf-8") if file.is_file() else text)
    except (OSError, UnicodeDecodeError) as exc:
        raise click.UsageError(f"{text} holds no key: {exc}") from exc
    except IntegrityError as exc:
        raise click.UsageError(f"--key: {exc.detail}") from exc


def _entry(text: str) -> int | tuple[str, int]:
    name, _, number = text.rpartition("/")
    if not number.isascii() or not number.isdigit():
        raise click.UsageError(f"{text!r} names no entry: write an index, or NAME/CHANGE.")
    return (name, int(number)) if name else int(number)


def _start(text: str | None) -> int | datetime | None:
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError as exc:
        raise click.UsageError(f"{text!r} is no index and no time: write 2026-02-01T06:15:00Z.") from exc


def _progress(read: int, size: int) -> None:
    if read % REPORT_EVERY < 256 and size > REPORT_EVERY:
        progress(f"{read:,} of {size:,} entries")
