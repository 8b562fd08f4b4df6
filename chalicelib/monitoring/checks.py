"""What is wrong in a closed window: pure functions of counts, the reference, and what is remembered.

Severity follows from consequence and effect. That the data moved is worth knowing
and no fault; that predictions moved is felt by who acts on them; that no rows come,
or a column is gone, is a failure of the pipeline and can't wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.lineage.alerts import Severity, rank
from chalicelib.monitoring.counting import Counter
from chalicelib.monitoring.drifting import Feature, alike, calibrated, counts_of, verdicts
from chalicelib.monitoring.memory import VOLUMES, Flag, Memory
from chalicelib.monitoring.quality import ColumnQuality, quality
from chalicelib.monitoring.series import Step, Window
from chalicelib.triage.rules import Finding
from tiltyard.audit.entry import canonical_time
from tiltyard.stats.budget import MAX_OVERDISPERSION, Budget
from tiltyard.stats.detector import START, Detector, evidence, is_alarm
from tiltyard.stats.drift import Dispersion
from tiltyard.stats.layout import NumberCells, compared_counts
from tiltyard.stats.shares import burst_p, constant_p, excess_p, silence_p

DRIFT, PREDICTION_DRIFT, QUALITY = "feature-drift", "prediction-drift", "data-quality"
VOLUME, LATE, SKEW = "volume", "late-data", "clock-skew"

# From this PSI beyond noise on a shift is strong: a tenth and a quarter are the field's own words for
# "some" and "much" (Siddiqi 2006), here for effects that are proved.
STRONG, VERY_STRONG = 0.1, 0.25
SMALLEST_SHARE = 0.01
# Of a column's rows: it is as good as gone.
MOST = 0.5
# Fewer odd rows than these are a curiosity.
FEWEST_ODD = 10
BURST = 2.0

CALM: Mapping[str, timedelta] = {
    "hour": timedelta(hours=24),
    "day": timedelta(days=3),
    "week": timedelta(days=14),
    "slow": timedelta(days=7),
}
"""How long nothing may be found at a scale until what was found there is over."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the model's policy asks of the watch."""

    budget: Budget
    late_share: float
    runbook: str


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, and at which scale it was made."""

    finding: Finding
    scale: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an hour's check came to: `news` to raise, `over` the kinds that ended, and what to remember."""

    news: tuple[Finding, ...]
    over: tuple[str, ...]
    memory: Memory


def drifted(
    window: Window, of: Sequence[Feature], step: Step, terms: Terms, calibration: Mapping[str, Dispersion]
) -> Iterator[Found]:
    """Features and predictions that drifted in a window, by more than the smallest effect."""
    found = verdicts(window, of, step, terms.budget, calibration)
    for feature in of:
        verdict = found[feature.name]
        if verdict.state != "drift":
            continue
        is_prediction = feature.cells is None
        facts = {
            "scale": step,
            "rows": verdict.rows,
            "effect": verdict.effect,
            "shift": verdict.shift,
            "p": min(verdict.chi_square_p, verdict.z_p if verdict.z_p is not None else 1.0),
            "limit": verdict.threshold,
        }
        severity: Severity = "warning" if verdict.effect >= STRONG else "info"
        if is_prediction:
            severity = "critical" if verdict.effect >= VERY_STRONG else "warning"
        yield _found(
            PREDICTION_DRIFT if is_prediction else DRIFT,
            feature.title or feature.name,
            severity,
            window,
            facts,
            step,
        )


def slow(
    window: Window,
    of: Sequence[Feature],
    calibration: Mapping[str, Dispersion],
    states: Mapping[str, tuple[float, ...]],
) -> tuple[list[Found], dict[str, tuple[float, ...]]]:
    """Drift that no single hour shows, and the detectors' states after this one."""
    found, after = [], dict(states)
    for feature in of:
        if feature.places is None or feature.is_calendar:
            continue
        counts = counts_of(feature, window.summary)
        said = calibrated(feature, "hour", sum(counts), calibration)
        # It adds up hours of day and night, so it takes hours that are alike.
        if said is None or said.is_seasonal or said.dispersion.phi > MAX_OVERDISPERSION:
            continue
        detector = Detector.of(feature.reference, feature.places)
        if detector is None:
            continue
        state = detector.step(states.get(feature.name, START), counts, said.dispersion.phi)
        if is_alarm(state):
            kind = PREDICTION_DRIFT if feature.cells is None else DRIFT
            facts = {"scale": "slow", "rows": window.summary.rows, "evidence": evidence(state)}
            found.append(_found(kind, feature.title or feature.name, "info", window, facts, "slow"))
            state = START
        after[feature.name] = state
    return found, after


def spoilt(
    window: Window,
    counter: Counter,
    of: Sequence[Feature],
    step: Step,
    terms: Terms,
    calibration: Mapping[str, Dispersion],
) -> Iterator[Found]:
    """Columns whose values are missing, unseen, out of range, of another type or all the same.

    Each share is held against the held-out rows' own, exactly; where nothing is
    calibrated yet nothing is said.
    """
    limit = terms.budget.p_value(step)
    calendar = {column.name for column in counter.signature.columns if column.role == "calendar"}
    features = {feature.name: feature for feature in of}
    for name, column in quality(window.summary).columns.items():
        if not column.rows:
            continue
        phi = alike(features[name], step, column.rows, calibration)
        if phi is None:
            continue
        reference = counter.reference(name)
        held_out = sum(reference)
        is_number = column.below is not None
        before = {
            "missing": reference[-1],
            "out of range": sum(reference[-3:-1]) if is_number else 0,
        }
        for what, count in _odd(column):
            p = excess_p(count, column.rows, before.get(what, 0), held_out, phi=phi)
            share, usual = count / column.rows, before.get(what, 0) / max(1, held_out)
            if p > limit or share - usual < SMALLEST_SHARE:
                continue
            facts = {
                "scale": step,
                "rows": column.rows,
                "share": share,
                "usual": usual,
                "p": p,
                "limit": limit,
            }
            severity: Severity = "critical" if share - usual >= MOST else "warning"
            yield _found(QUALITY, f"{name}: {what}", severity, window, facts, step)
        if name not in calendar:
            yield from _stuck(window, counter, name, step, limit, phi)


def repeated(window: Window, counter: Counter, step: Step, terms: Terms) -> Iterator[Found]:
    """Whole rows that came more than once, more often than among the held-out rows.

    The more rows, the more are equal by chance where columns hold few values: so only
    windows of no more rows than were held out are compared.
    """
    before = counter.profile.get("duplicates")
    sketch, rows = window.summary.sketch, window.summary.rows
    if before is None or not sketch.is_known or rows > counter.profile["rows"]:
        return
    count, limit = sketch.repeated, terms.budget.p_value(step)
    if count < FEWEST_ODD or not before["distinct"]:
        return
    share, usual = count / sketch.distinct, before["repeated"] / before["distinct"]
    p = excess_p(count, sketch.distinct, before["repeated"], before["distinct"])
    if p > limit or share - usual < SMALLEST_SHARE:
        return
    facts = {"scale": step, "rows": rows, "share": share, "usual": usual, "p": p, "limit": limit}
    yield _found(QUALITY, "duplicate rows", "warning", window, facts, step)


def flow(rows: int, past: Sequence[int], window: Window, terms: Terms) -> Iterator[Found]:
    """No rows where there used to be, or far more of them: against the same hour of the last four weeks."""
    limit = terms.budget.p_value("hour")
    usual = sum(past) / len(past) if past else 0.0
    if rows == 0 and silence_p(past) <= limit:
        yield _found(VOLUME, "silence", "critical", window, {"rows": 0, "usual": usual}, "hour")
    elif rows >= BURST * usual > 0 and burst_p(rows, past) <= limit:
        yield _found(VOLUME, "burst", "info", window, {"rows": rows, "usual": usual}, "hour")


def untimely(window: Window, step: Step, terms: Terms) -> Iterator[Found]:
    """Rows that came after their hour was closed, and clocks ahead of ours."""
    rows, ahead = window.summary.rows, window.summary.events.get("ahead", 0)
    if step == "day" and window.late >= FEWEST_ODD and window.late >= terms.late_share * rows:
        facts = {"rows": rows, "share": window.late / rows, "limit": terms.late_share}
        yield _found(LATE, "late rows", "warning", window, facts, "day")
    if step == "hour" and ahead >= FEWEST_ODD and ahead >= SMALLEST_SHARE * rows:
        yield _found(SKEW, "event times", "warning", window, {"rows": rows, "share": ahead / rows}, "hour")


def outcome(memory: Memory, found: Sequence[Found], *, end: datetime, rows: int) -> Outcome:
    """What is new in what was found, and what is over: pure, and the same however often it is asked.

    What was found before and is found again is no news; what somebody resolved
    comes again only after it was over. Without rows nothing is over but silence.
    """
    news: list[Finding] = []
    flags = {kind: dict(subjects) for kind, subjects in memory.flags.items()}
    for each in found:
        kind, subject = each.finding.kind, each.finding.subject
        known = flags.get(kind, {}).get(subject)
        if known is None or rank(each.finding.severity) > rank(known.severity):
            news.append(each.finding)
        flag = Flag(each.finding.severity, end + CALM[each.scale])
        if known is not None:
            worst = max(known.severity, flag.severity, key=rank)
            flag = Flag(worst, max(known.until, flag.until))
        flags.setdefault(kind, {})[subject] = flag
    over = []
    if rows:
        if VOLUME in flags and not any(each.finding.kind == VOLUME for each in found):
            # Volume speaks for itself: rows are back, as many as usual.
            flags[VOLUME] = {subject: Flag(flag.severity, end) for subject, flag in flags[VOLUME].items()}
        for kind in sorted(flags):
            if all(flag.until <= end for flag in flags[kind].values()):
                over.append(kind)
                del flags[kind]
    return Outcome(tuple(news), tuple(over), replace(memory, checked=end, flags=flags))


def of_former(memory: Memory) -> tuple[str, ...]:
    """The kinds that were about a version that reigns no more: all but how many rows come, and when."""
    return tuple(sorted(memory.flags.keys() & {DRIFT, PREDICTION_DRIFT, QUALITY}))


def remembered(volumes: Sequence[int], rows: int, *, gap: int) -> tuple[int, ...]:
    """The volumes after an hour of `rows` rows and, before it, `gap` hours without any."""
    return (*volumes, *([0] * min(gap, VOLUMES)), rows)[-VOLUMES:]


def same_hours(volumes: Sequence[int], *, gap: int) -> list[int]:
    """The rows of the same hour of the day on each day before, latest first."""
    full = (*volumes, *([0] * min(gap, VOLUMES)))
    return [full[-back] for back in range(24, len(full) + 1, 24)]


def _odd(column: ColumnQuality) -> Iterator[tuple[str, int]]:
    yield "missing", column.missing - column.coerced
    yield "coerced", column.coerced
    if column.unseen is not None:
        yield "unseen", column.unseen
    if column.below is not None and column.above is not None:
        yield "out of range", column.below + column.above


def _stuck(
    window: Window, counter: Counter, name: str, step: Step, limit: float, phi: float
) -> Iterator[Found]:
    """All rows in one cell that holds a part of the reference only."""
    cells = next(cells for cells in counter.layout.columns if cells.name == name)
    counts = compared_counts(cells, window.summary.cells[name])
    reference = compared_counts(cells, counter.reference(name))
    rows, largest = sum(counts), max(range(len(counts)), key=counts.__getitem__)
    is_missing = largest == len(counts) - 1
    share = (reference[largest] + 1) / (sum(reference) + 1)
    if counts[largest] < rows or is_missing or share > 1 - SMALLEST_SHARE:
        return
    if isinstance(cells, NumberCells) and not quality(window.summary).columns[name].constant:
        return
    p = constant_p(share, rows, phi=phi)
    if p <= limit:
        facts = {"scale": step, "rows": rows, "usual": share, "p": p, "limit": limit}
        yield _found(QUALITY, f"{name}: constant", "warning", window, facts, step)


def _found(
    kind: str, subject: str, severity: Severity, window: Window, facts: Mapping[str, Any], scale: str
) -> Found:
    said = {name: _figure(value) for name, value in facts.items()}
    where = {"start": canonical_time(window.start), "end": canonical_time(window.end)}
    return Found(Finding(kind, subject, severity, {**where, **said}), scale)


def _figure(value: Any) -> Any:
    """Six digits are enough for people."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
