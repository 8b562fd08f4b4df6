"""How far a file of rows has come."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import click

from tiltyard.cli.output import progress
from tiltyard.client import Prediction
from tiltyard.client.files.scoring import Answered

REPORT_S = 0.5


@dataclass
class Reporter:
    """Progress and the last line, on stderr."""

    shows: bool
    rows: int = 0
    warned: int = 0
    refused: int = 0
    versions: set[int] = field(default_factory=set)
    actions: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    _told: float = 0.0

    def add(self, answered: Answered) -> None:
        self.rows += len(answered.outcomes)
        for outcome in answered.outcomes:
            if isinstance(outcome, Prediction):
                self.warned += bool(outcome.warnings)
                self.versions.add(outcome.version)
                self.actions[str(outcome.body.get("action", "answer"))] += 1
            else:
                self.refused += 1
        now = time.monotonic()
        if self.shows and now - self._told >= REPORT_S:
            self._told = now
            line = f"{self.rows:,} rows, {self._pace()} rows/s"
            # A line of its own where nobody can see it being overwritten.
            is_seen = sys.stderr.isatty()
            click.echo(f"\r{line}\x1b[K" if is_seen else line, nl=not is_seen, err=True)

    def clear(self) -> None:
        if self._told and sys.stderr.isatty():
            click.echo("\r\x1b[K", nl=False, err=True)

    def end(self, output: str | None) -> None:
        self.clear()
        parts = [f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"]
        if self.rows:
            parts[0] += f" in {time.monotonic() - self.started:.1f} s ({self._pace()} rows/s)"
        if self.versions:
            parts[0] += f", answered by version {', '.join(map(str, sorted(self.versions)))}"
        counted = {"with warnings": self.warned, "refused": self.refused}
        parts += [f"{n:,} {said}" for said, n in counted.items() if n]
        parts += [f"{n:,} {action}" for action, n in sorted(self.actions.items()) if action != "answer"]
        progress("; ".join(parts) + ("" if output is None else f". The results are in {output}"))

    def _pace(self) -> str:
        return f"{self.rows / max(time.monotonic() - self.started, 1e-3):,.0f}"
