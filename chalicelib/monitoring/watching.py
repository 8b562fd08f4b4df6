"""The watch: each closed hour of each champion is checked once, and what is new is told.

An hour's findings, the alerts they raise and what is remembered follow from counts
that are frozen. The memory is written last and by condition, so whatever breaks off
in between is done again to the same end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.lineage.ledger_items import Hour
from chalicelib.lineage.records import Version
from chalicelib.monitoring import checks
from chalicelib.monitoring.checks import Found, Terms
from chalicelib.monitoring.closing import Versions
from chalicelib.monitoring.counting import Counter, Counters
from chalicelib.monitoring.drifting import Feature, calibrate, features
from chalicelib.monitoring.memory import Memory
from chalicelib.monitoring.series import LENGTHS, STEPS, Span, Window, floor, windows
from chalicelib.ports import Ledger, LineageStore
from chalicelib.triage.rules import Finding
from tiltyard.errors import LostRace, TiltyardError, Unavailable
from tiltyard.runtime.policy import Monitoring, parse
from tiltyard.stats.budget import Budget
from tiltyard.stats.drift import Dispersion

log = logging.getLogger("tiltyard.watch")

HOUR = LENGTHS["hour"]
# Where rows came at these times before, the hour is checked though none came now.
BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=7))


class Alarms(Protocol):
    """Who is told."""

    def raise_found(
        self, model: str, findings: Iterable[Finding], *, version: int, runbook: str
    ) -> object: ...
    def recover(self, model: str, kinds: Iterable[str]) -> object: ...


class Watch:
    """Checks closed hours. `failed` are the models whose check broke, with why: it never stops the others."""

    def __init__(self, ledger: Ledger, lineage: LineageStore, counters: Counters, alarms: Alarms) -> None:
        self._ledger = ledger
        self._lineage = lineage
        self._counters = counters
        self._alarms = alarms
        self.failed: dict[str, str] = {}
        # Of this run: it may catch up on many hours, and these don't change meanwhile.
        self._seen: dict[datetime, Sequence[Hour]] = {}
        self._versions = Versions(lineage)
        self._terms: dict[str, Terms] = {}
        # What this run wrote last, by the revision that it has: whoever else writes one makes ours fail.
        self._written: dict[str, tuple[bytes, int]] = {}

    def closed(self, start: datetime, hours: Sequence[Hour]) -> None:
        """Check the hour that begins at `start`, of models that have rows in it or had before."""
        self._seen[start] = hours
        before = (hour for back in BACK for hour in self._had_rows(start - back))
        for model in sorted({hour.model for hour in (*hours, *before)}):
            try:
                self._check(model, start, [hour.version for hour in hours if hour.model == model])
            except (Unavailable, LostRace):
                raise  # a store was away, or another watch is at work: the hour is checked again
            except Exception as exc:
                # One model's fault is no other's: what broke is told as an alert of the stage.
                log.exception("the check of %s at %s failed", model, start)
                self.failed[model] = f"{type(exc).__name__}: {exc}"

    def _check(self, model: str, start: datetime, versions: Sequence[int]) -> None:
        end = start + HOUR
        reign = self._lineage.reign_at(model, end)
        if reign is None:
            return  # nobody reigned: shadows never wake anyone
        version = self._versions.get(model, reign.version)
        if version is None:
            raise TiltyardError(f"version {reign.version} of {model} reigned and isn't there")
        kept = self._written.get(model) or self._ledger.memory(model)
        memory = Memory(version.number, reign.started_at) if kept is None else Memory.decode(kept[0])
        if memory.checked is not None and memory.checked >= end:
            return
        if memory.version != version.number:
            # What was wrong with the former champion's rows is judged anew, by the new one's reference.
            ended = checks.of_former(memory)
            self._alarms.recover(model, ended)
            flags = {kind: flags for kind, flags in memory.flags.items() if kind not in ended}
            memory = replace(memory.of_reign(version.number, reign.started_at), flags=flags)
        counter = self._counters.of(model, version.number, version.digest)
        of, terms = features(counter), self._terms_of(model)
        memory = self._calibrated(memory, counter, of, version, end)
        others = sum(self._rows(model, number, start) for number in versions if number != version.number)
        found, memory = self._found(memory, counter, of, version, terms, start, others=others)
        rows = memory.volumes[-1]
        outcome = checks.outcome(memory, found, end=end, rows=rows)
        if outcome.news:
            self._alarms.raise_found(model, outcome.news, version=version.number, runbook=terms.runbook)
        if outcome.over:
            self._alarms.recover(model, outcome.over)
        revision = 0 if kept is None else kept[1]
        content = outcome.memory.encode()
        if not self._ledger.put_memory(model, content, revision):
            self._written.pop(model, None)
            raise LostRace(f"another watch checked {model} meanwhile")
        self._written[model] = content, revision + 1

    def _had_rows(self, start: datetime) -> Sequence[Hour]:
        if start not in self._seen:
            self._seen[start] = list(self._ledger.waiting(start))
        return self._seen[start]

    def _terms_of(self, model: str) -> Terms:
        if model not in self._terms:
            self._terms[model] = terms_of(self._lineage, model)
        return self._terms[model]

    def _rows(self, model: str, number: int, start: datetime) -> int:
        """The rows of an hour that another version answered: there was a swap, or an alias has its own."""
        version = self._versions.get(model, number)
        if version is None:
            return 0
        counter = self._counters.of(model, number, version.digest)
        (window,) = windows(self._ledger, counter, model, number, Span(start, start + HOUR, "hour"))
        return window.summary.rows

    def _found(
        self,
        memory: Memory,
        counter: Counter,
        of: Sequence[Feature],
        version: Version,
        terms: Terms,
        start: datetime,
        *,
        others: int,
    ) -> tuple[list[Found], Memory]:
        """All that the windows show which end with this hour; `others` are rows of other versions in it."""
        end, found = start + HOUR, list[Found]()
        for step in STEPS:
            if floor(end, step) != end:
                continue
            (window,) = windows(
                self._ledger, counter, version.model, version.number, Span(end - LENGTHS[step], end, step)
            )
            phi = memory.calibration.get(step, {})
            if window.summary.rows:
                found += checks.drifted(window, of, step, terms, phi)
                found += checks.spoilt(window, counter, of, step, terms, phi)
                found += checks.repeated(window, counter, step, terms)
                found += checks.untimely(window, step, terms)
            if step == "hour":
                memory, of_hour = _hourly(
                    memory,
                    window,
                    of,
                    phi,
                    terms,
                    others=others,
                    told={each.finding.subject for each in found},
                )
                found += of_hour
        return found, memory

    def _calibrated(
        self, memory: Memory, counter: Counter, of: Sequence[Feature], version: Version, end: datetime
    ) -> Memory:
        """With the overdispersion of every scale that can be known by now."""
        calibration = dict(memory.calibration)
        for step in STEPS:
            if step in calibration or floor(end, step) != end:
                continue
            found = calibrate(
                self._ledger, counter, of, version.model, version.number, step, memory.begun, until=end
            )
            if found:
                calibration[step] = dict(found)
        return replace(memory, calibration=calibration)


def terms_of(lineage: LineageStore, model: str) -> Terms:
    """What the model's policy asks of the watch."""
    pointer, head = lineage.pointer(model), lineage.model(model)
    said = Monitoring()
    if pointer is not None and pointer.policy is not None and head is not None:
        said = parse(json.loads(pointer.policy.document), task=head.task).monitoring
    return Terms(Budget(said.alerts_a_year, said.smallest_effect), said.late_share, said.runbook)


def budget_of(lineage: LineageStore, model: str) -> Budget:
    return terms_of(lineage, model).budget


def _hourly(
    memory: Memory,
    window: Window,
    of: Sequence[Feature],
    phi: Mapping[str, Dispersion],
    terms: Terms,
    *,
    others: int,
    told: Set[str],
) -> tuple[Memory, list[Found]]:
    """What follows from the hours before: slow drift, and how many rows there used to be."""
    rows = window.summary.rows + others
    gap = 0 if memory.checked is None else max(0, round((window.start - memory.checked) / HOUR))
    found = list(checks.flow(rows, checks.same_hours(memory.volumes, gap=gap), window, terms))
    detectors: Mapping[str, tuple[float, ...]] = memory.detectors
    if window.summary.rows:
        moved, detectors = checks.slow(window, of, phi, memory.detectors)
        # What this hour shows by itself needs no second witness.
        found += [each for each in moved if each.finding.subject not in told]
    volumes = checks.remembered(memory.volumes, rows, gap=gap)
    return replace(memory, detectors=detectors, volumes=volumes), found
