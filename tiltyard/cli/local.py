"""``tiltyard local``."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tiltyard.cli.output import progress, show
from tiltyard.errors import NotFound
from tiltyard.local.checkout import package_folder, stacks_folder
from tiltyard.local.stack import Stack, Started
from tiltyard.local.tokens import ROLES

with_name = click.option("--name", default="default", show_default=True, help="Which stack; several can run.")
with_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def local() -> None:
    """Run the whole service on this machine.

    On an embedded AWS: no account, no Docker. While it runs it takes about 1.5 GB
    of disk, for every function unpacks its own copy of the package.
    """


@local.command()
@with_name
@click.option(
    "--package",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="An output folder of `make package` (default: this checkout's, built when it changed).",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="An environment variable of every function, for instance TILTYARD_POINTER_INTERVAL_S=0.1.",
)
@click.option("--replay", is_flag=True, help="With a clock that `tiltyard clock tick` puts forward.")
@with_json
def up(name: str, package: Path | None, settings: Sequence[str], replay: bool, as_json: bool) -> None:
    """Start and deploy the stack.

    What runs and hasn't changed is left alone.
    """
    variables = dict(_setting(text) for text in settings)
    if replay:
        variables["TILTYARD_CLOCK"] = "replay"
    stack = _stack(name)
    if package is None:
        progress("Packaging the service (up to half a minute when it changed) …")
    folder = package_folder(package)
    progress("Starting the embedded AWS and deploying …")
    started = stack.up(folder, variables=variables)
    if started.lost_since is not None:
        progress(_loss(started.lost_since))
    if as_json:
        show(dataclasses.asdict(started) | {"name": name}, as_json=True)
    else:
        click.echo(_next_commands(started, name))


@local.command()
@with_name
@with_json
def status(name: str, as_json: bool) -> None:
    """Say whether the stack runs, and where."""
    found = dataclasses.asdict(_stack(name).status())
    if as_json:
        show(found, as_json=True)
        return
    show({key: value for key, value in found.items() if value and key != "outputs"}, as_json=False)
    hints = {
        "absent": "`tiltyard local up` makes it.",
        "stopped": "`tiltyard local up` starts it with the state that it was stopped with.",
        "crashed": "It ended without saving: `tiltyard local up` restores its last clean stop.",
    }
    if hint := hints.get(found["condition"]):
        progress(hint)


@local.command()
@with_name
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="May be repeated."
)
@click.option("--team", "teams", multiple=True, help="May be repeated.")
@click.option("--sub", "subject", default="local-user", show_default=True, help="Who it is that acts.")
@click.option("--ttl", "ttl_s", default=8 * 3600, show_default=True, help="Lifetime in seconds.")
@with_json
def token(
    name: str, roles: Sequence[str], teams: Sequence[str], subject: str, ttl_s: int, as_json: bool
) -> None:
    """Print a bearer token.

    It is signed by the stack's own key, which other stages refuse.
    """
    if not teams and not {"admin", "auditor"} & set(roles):
        progress("This token sees no model: name a team with --team.")
    signed = _stack(name).token(subject=subject, roles=list(roles), teams=list(teams), ttl_s=ttl_s)
    if as_json:
        show({"token": signed, "sub": subject, "expires_in": ttl_s}, as_json=True)
    else:
        click.echo(signed)


@local.command()
@with_name
@click.option("-f", "--follow", is_flag=True, help="Go on printing until interrupted.")
@click.option("-n", "--lines", default=100, show_default=True, help="How many of the last lines.")
@with_json
def logs(name: str, follow: bool, lines: int, as_json: bool) -> None:
    """Print the log of the emulator and the functions."""
    path = _stack(name).log
    if not path.exists():
        raise NotFound(f"The stack {name!r} has no log yet: `tiltyard local up` makes it.")
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file.readlines()[-lines:] if lines else file.readlines()[:0]:
            _print_line(line, as_json=as_json)
        while follow:
            if line := file.readline():
                _print_line(line, as_json=as_json)
            else:
                time.sleep(0.2)


@local.command()
@with_name
@with_json
def down(name: str, as_json: bool) -> None:
    """Stop the stack and keep its state."""
    was_running = _stack(name).down()
    if as_json:
        show({"name": name, "stopped": was_running}, as_json=True)
    else:
        progress(f"{name} is stopped, its state is kept." if was_running else f"{name} wasn't running.")


@local.command()
@with_name
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_json
def reset(name: str, yes: bool, as_json: bool) -> None:
    """Stop the stack and delete it, with everything that it holds."""
    stack = _stack(name)
    if not yes:
        click.confirm(
            f"Delete {stack.folder} with all models, versions and keys in it?", abort=True, err=True
        )
    stack.reset()
    if as_json:
        show({"name": name, "deleted": True}, as_json=True)
    else:
        progress(f"{name} is deleted.")


def _stack(name: str) -> Stack:
    return Stack(stacks_folder(), name)


def _setting(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key.isidentifier():
        raise click.BadParameter(f"{text!r} isn't KEY=VALUE.", param_hint="--set")
    return key, value


def _loss(clean_stop: str) -> str:
    if clean_stop:
        return (
            "The last run ended without saving (a crash, or kill -9). The state of the last clean stop, "
            f"{clean_stop}, is restored: models, versions, promotions and telemetry of after that are gone."
        )
    return (
        "The last run ended without saving (a crash, or kill -9) and was the first: the stack starts empty."
    )


def _next_commands(started: Started, name: str) -> str:
    named = "" if name == "default" else f" --name {name}"
    tiltyard = _as_called(sys.argv[0])
    token_command = f"{tiltyard} local token{named} --role scientist --role engineer --team demo"
    return "\n".join(
        [
            f"{started.url}  ({started.action})",
            "",
            "Try next:",
            f"  export TILTYARD_URL={started.url}",
            f"  export TILTYARD_TOKEN=$({token_command})",
            f"  {tiltyard} model list",
            f"  {tiltyard} local logs -f{named}",
            f"  {tiltyard} local down{named}",
        ]
    )


def _as_called(program: str) -> str:
    """How to call this command again from here: by name where a shell finds it, else by path."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if str(Path(program).parent) in folders or not program.endswith("tiltyard"):
        return "tiltyard"
    return os.path.relpath(program)


def _print_line(line: str, *, as_json: bool) -> None:
    line = line.rstrip("\n")
    click.echo(json.dumps({"line": line}, ensure_ascii=False) if as_json else line)
