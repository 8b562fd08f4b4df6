"""The command line: ``tiltyard NOUN VERB``.

Answers go to stdout, progress and errors to stderr. Exit codes: 0 done, 1
refused (the message says why), 2 wrong usage, 3 not reachable or not now.
"""

from __future__ import annotations

from importlib import import_module

import click

from tiltyard.cli.output import Failures

# By noun: each is imported when it is asked for, so that `--help` is instant
# and a missing extra is missed only by the command that needs it.
_GROUPS = {
    "alert": "tiltyard.cli.alert:alert",
    "alias": "tiltyard.cli.alias:alias",
    "anomaly": "tiltyard.cli.anomaly:anomaly",
    "audit": "tiltyard.cli.audit:audit",
    "champion": "tiltyard.cli.champion:champion",
    "clock": "tiltyard.cli.clock:clock",
    "drift": "tiltyard.cli.drift:drift",
    "lineage": "tiltyard.cli.lineage:lineage",
    "local": "tiltyard.cli.local:local",
    "model": "tiltyard.cli.model:model",
    "policy": "tiltyard.cli.policy:policy",
    "predict": "tiltyard.cli.predict:predict",
    "reconcile": "tiltyard.cli.reconcile:reconcile",
    "telemetry": "tiltyard.cli.telemetry:telemetry",
    "version": "tiltyard.cli.version:version",
    "webhook": "tiltyard.cli.webhook:webhook",
}


class Nouns(Failures):
    """The root group; its commands live in a module each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _GROUPS:
            return None
        module, _, attribute = _GROUPS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tiltyard")
def main() -> None:
    """The serverless control plane for models in production.

    Commands talk to the Tiltyard that TILTYARD_URL and TILTYARD_TOKEN name;
    `tiltyard local up` runs one on this machine.
    """
