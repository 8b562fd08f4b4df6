"""Numbers, times and counts as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Body = Mapping[str, Any]

# Not strftime's, which follow the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Unit:
    """How figures of a chart are written; `decimals` where no axis asks for more or fewer."""

    decimals: int
    factor: float = 1.0
    suffix: str = ""

    def told(self, value: float) -> str:
        return f"{value * self.factor:,.{self.decimals}f}{self.suffix}"

    def tick(self, value: float, step: float) -> str:
        """With as many decimals as the axis' steps need."""
        decimals = max(0, -math.floor(math.log10(step * self.factor) + 1e-9))
        return f"{value * self.factor:,.{decimals}f}{self.suffix}"


EFFECT = Unit(3)
ROWS = Unit(0)
SHARE = Unit(1, 100.0, "%")


@dataclass(frozen=True, slots=True)
class Times:
    """The windows' names: `short` under an axis, `full` in a sentence."""

    short: Sequence[str]
    full: Sequence[str]

    @classmethod
    def of(cls, windows: Sequence[Body], step: str) -> Times:
        return cls(
            [moment(window["start"], step, has_year=False) for window in windows],
            [moment(window["start"], step) for window in windows],
        )


def moment(at: str, step: str, *, has_year: bool = True) -> str:
    """``3 Feb 2026``, with its hour where windows are hours. What is no time stays as it is."""
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        return at
    day = f"{when.day} {_MONTHS[when.month - 1]}" + (f" {when.year}" if has_year else "")
    return f"{day}, {when:%H:%M}" if step == "hour" else day


def span(windows: Sequence[Body], step: str) -> str:
    """From when to when; of days and weeks the last day that is in it."""
    if not windows:
        return "no time at all"
    end = windows[-1]["end"]
    if step != "hour":
        with suppress(ValueError):
            end = (datetime.fromisoformat(end) - timedelta(days=1)).isoformat()
    return f"{moment(windows[0]['start'], step)} to {moment(end, step)}"


def during(count: int, step: str) -> str:
    """``in these 28 days``."""
    return f"in this {step}" if count == 1 else f"in these {count:,} {step}s"


def counted(count: int, noun: str) -> str:
    """``1 column``, ``1,200 columns``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def share(part: float, whole: float) -> str:
    """A percentage; a part that isn't nothing doesn't look like it, nor one that isn't all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1%"
    if 99.9 < percent < 100:
        return "> 99.9%"
    return f"{percent:.1f}%"
