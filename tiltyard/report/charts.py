"""Charts as inline SVG: pure functions of numbers, drawn with the page's own colours.

Each has `role="img"`, a name and a description in words, so that nobody needs to see it.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tiltyard.report.markup import EMPTY, Html, element, joined, text
from tiltyard.report.wording import EFFECT, ROWS, Times, Unit, counted

MOST_BARS = 30

_LETTER = 7.0  # the width of a letter of 12 px, rather more than less
_TOP, _BOTTOM, _RIGHT = 20.0, 24.0, 12.0
_BAR, _LABEL, _FIGURE = 24.0, 210.0, 140.0
# Marks that lie closer than this would cover each other; the line alone is marked then.
_PITCH_OF_MARKS = 7.0


@dataclass(frozen=True, slots=True)
class Size:
    """In pixels of the drawing, which the page scales; `ticks` are the times under the axis, at most."""

    width: float
    height: float
    ticks: int


WIDE = Size(900, 190, 7)
SMALL = Size(440, 150, 4)


@dataclass(frozen=True, slots=True)
class Level:
    """A dashed line that values are held against."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """`note` follows the figure: a word or two."""

    label: str
    value: float
    is_marked: bool = False
    note: str = ""


def over_time(
    title: str,
    values: Sequence[float | None],
    times: Times,
    *,
    unit: Unit = EFFECT,
    level: Level | None = None,
    marked: Sequence[bool] = (),
    mark: str = "marked",
    size: Size = WIDE,
) -> Html:
    """A line that holds each value for its window's length, with gaps where there is none.

    `marked` windows are shaded and dotted, and called by the word `mark`.
    """
    held = [value if value is not None and math.isfinite(value) else None for value in values]
    plot = _Plot.of(held, level, unit, size)
    runs = [_Run(start, stop) for is_marked, start, stop in _runs(marked) if is_marked]
    return _drawing(
        title,
        _told(held, times, unit, level, runs, mark),
        size.width,
        size.height,
        plot.axis(unit),
        *(plot.shade(run, held, times, unit, mark) for run in runs),
        plot.outline(held),
        EMPTY if level is None else plot.level(level),
        *(plot.mark(run, held) for run in runs),
        EMPTY if level is None else plot.level_label(level),
        plot.times(times, size.ticks),
        EMPTY if any(value is not None for value in held) else plot.empty(),
    )


def bars(title: str, of: Sequence[Bar], *, unit: Unit = EFFECT, level: Level | None = None) -> Html:
    """Horizontal bars in the order given, each with its figure; the first 30 of them.

    A marked bar has another colour and a sign before its figure.
    """
    shown = [bar for bar in of if math.isfinite(bar.value)][:MOST_BARS]
    width, left = WIDE.width, _LABEL + 8
    room = width - left - _FIGURE
    top = max([bar.value for bar in shown] + ([] if level is None else [level.value]), default=0.0) or 1.0
    height = _TOP + max(1, len(shown)) * _BAR + 4
    told = (
        "; ".join(f"{bar.label} {unit.told(bar.value)} {bar.note}".rstrip() for bar in shown) or "No values"
    )
    drawn, x = [], left
    if level is not None:
        x += level.value / top * room
        label = min(x, width - len(level.label) * _LETTER)
        drawn = [
            element("line", class_="level", x1=x, x2=x, y1=_TOP - 4, y2=height - 4),
            _words(level.label, label, _TOP - 8, class_="over"),
        ]
    for place, bar in enumerate(shown):
        y = _TOP + place * _BAR
        length = max(1.0, bar.value / top * room)
        figure = ("◆ " if bar.is_marked else "") + f"{unit.told(bar.value)} {bar.note}".rstrip()
        end = left + length + 5
        if level is not None and end < x < end + len(figure) * _LETTER:
            end = x + 5  # the dashed line would cross it
        drawn += [
            _words(_cut(bar.label, _LABEL), _LABEL, y + 16, class_="label", anchor="end", title=bar.label),
            element(
                "rect",
                element("title", text(f"{bar.label}: {unit.told(bar.value)}")),
                class_="bar marked" if bar.is_marked else "bar",
                x=left,
                y=y + 4,
                width=length,
                height=_BAR - 8,
            ),
            _words(figure, end, y + 16, class_="over"),
        ]
    if not shown:
        drawn.append(_words("no values", left, _TOP + 16, class_="empty"))
    if level is not None:
        told += f". The dashed line, {level.label}, is at {unit.told(level.value)}"
    return _drawing(title, f"{told}.", width, height, *drawn)


def small_multiples(charts: Sequence[Html]) -> Html:
    """Small charts side by side, as many a line as the page is wide."""
    return element("div", *charts, class_="multiples") if charts else EMPTY


@dataclass(frozen=True, slots=True)
class _Run:
    """Windows that follow each other, ``[start, stop)``."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where numbers lie on the drawing."""

    left: float
    width: float
    height: float
    windows: int
    low: float
    step: float
    steps: int

    @classmethod
    def of(cls, values: Sequence[float | None], level: Level | None, unit: Unit, size: Size) -> _Plot:
        known = [value for value in values if value is not None] + ([] if level is None else [level.value])
        high = max(known, default=0.0)
        low = min([*known, 0.0])
        step = _step(max(high, 0.0) - low, unit)
        first = math.floor(low / step - 1e-9) if low < 0 else 0
        last = max(first + 1, math.ceil(high / step - 1e-9))
        labels = [unit.tick(n * step, step) for n in range(first, last + 1)]
        left = max(map(len, labels)) * _LETTER + 12
        return cls(
            left,
            size.width - left - _RIGHT,
            size.height - _TOP - _BOTTOM,
            len(values),
            first * step,
            step,
            last - first,
        )

    @property
    def pitch(self) -> float:
        return self.width / max(1, self.windows)

    def x(self, place: float) -> float:
        return self.left + place * self.pitch

    def y(self, value: float) -> float:
        return _TOP + self.height * (1 - (value - self.low) / (self.step * self.steps))

    def axis(self, unit: Unit) -> Html:
        drawn = []
        for n in range(self.steps + 1):
            value = self.low + n * self.step
            y = self.y(value)
            drawn += [
                element("line", class_="grid", x1=self.left, x2=self.left + self.width, y1=y, y2=y),
                _words(unit.tick(value, self.step), self.left - 6, y + 4, anchor="end"),
            ]
        return joined(*drawn)

    def outline(self, values: Sequence[float | None]) -> Html:
        """The line, and the ground below it, as one path each."""
        line, area = [], []
        for is_known, start, stop in _runs([value is not None for value in values]):
            if not is_known:
                continue
            steps = self._steps(values, _Run(start, stop))
            line.append(f"M{steps[1:]}")
            zero = self.y(0.0)
            area.append(f"M{self.x(start):.1f} {zero:.1f}{steps}L{self.x(stop):.1f} {zero:.1f}Z")
        if not line:
            return EMPTY
        return joined(
            element("path", class_="area", d="".join(area)), element("path", class_="line", d="".join(line))
        )

    def _steps(self, values: Sequence[float | None], run: _Run) -> str:
        """Along each window at its value; equal neighbours are one stroke."""
        drawn = []
        for value, places in groupby(range(run.start, run.stop), key=lambda place: values[place]):
            held = list(places)
            y = self.y(value or 0.0)
            drawn.append(f"L{self.x(held[0]):.1f} {y:.1f}L{self.x(held[-1] + 1):.1f} {y:.1f}")
        return "".join(drawn)

    def level(self, level: Level) -> Html:
        y = self.y(level.value)
        return element("line", class_="level", x1=self.left, x2=self.left + self.width, y1=y, y2=y)

    def level_label(self, level: Level) -> Html:
        y = self.y(level.value)
        # Above the line, or below it where the drawing ends.
        beside = y - 5 if y - 5 > _TOP - 8 else y + 14
        return _words(level.label, self.left + self.width, beside, class_="over", anchor="end")

    def shade(self, run: _Run, values: Sequence[float | None], times: Times, unit: Unit, mark: str) -> Html:
        """The ground behind marked windows; it says their times and the largest value."""
        known = [value for value in values[run.start : run.stop] if value is not None]
        until = f" to {times.full[run.stop - 1]}" if run.stop - run.start > 1 else ""
        largest = f", {unit.told(max(known))}{' at most' if until else ''}" if known else ""
        said = f"{times.full[run.start]}{until}: {mark}{largest}"
        return element(
            "rect",
            element("title", text(said)),
            class_="shade",
            x=self.x(run.start),
            y=_TOP,
            width=self.x(run.stop) - self.x(run.start),
            height=self.height,
        )

    def mark(self, run: _Run, values: Sequence[float | None]) -> Html:
        drawn = []
        for is_known, start, stop in _runs([v is not None for v in values[run.start : run.stop]]):
            if is_known:
                drawn.append("M" + self._steps(values, _Run(run.start + start, run.start + stop))[1:])
        if not drawn:
            return EMPTY
        strokes = element("path", class_="stroke", d="".join(drawn))
        if self.pitch < _PITCH_OF_MARKS:
            return strokes
        dots = []
        for place in range(run.start, run.stop):
            value = values[place]
            if value is not None:
                x, y = self.x(place + 0.5), self.y(value)
                dots.append(f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5Z")
        return joined(strokes, element("path", class_="dot", d="".join(dots)))

    def times(self, times: Times, most: int) -> Html:
        drawn = []
        count = min(most, self.windows)
        for n in range(count):
            place = round(n * (self.windows - 1) / max(1, count - 1))
            anchor, x = "middle", self.x(place + 0.5)
            if count > 1 and n == 0:
                anchor, x = "start", self.x(0)
            elif count > 1 and n == count - 1:
                anchor, x = "end", self.x(self.windows)
            drawn.append(_words(times.short[place], x, _TOP + self.height + 17, anchor=anchor))
        return joined(*drawn)

    def empty(self) -> Html:
        x, y = self.left + self.width / 2, _TOP + self.height / 2
        return _words("no values", x, y, class_="empty", anchor="middle")


def _step(reach: float, unit: Unit) -> float:
    """A round distance of an axis' ticks, so that three or four of them reach far enough."""
    if reach < 1e-9:
        return 1 / unit.factor
    rough = reach / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * (1 - 1e-9))
    return max(1.0, step) if unit == ROWS else step


def _runs(flags: Iterable[bool]) -> list[tuple[bool, int, int]]:
    """Equal neighbours as (flag, start, stop)."""
    found, start = [], 0
    for flag, group in groupby(flags):
        stop = start + sum(1 for _ in group)
        found.append((flag, start, stop))
        start = stop
    return found


def _told(
    values: Sequence[float | None],
    times: Times,
    unit: Unit,
    level: Level | None,
    runs: Sequence[_Run],
    mark: str,
) -> str:
    """What a chart shows, in words."""
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    if not known:
        return "No values."
    (low, first), (high, last) = min(known), max(known, key=lambda pair: pair[0])
    said = [f"{counted(len(known), 'value')} in {counted(len(values), 'window')}."]
    if len(known) > 1:
        said.append(f"Smallest {unit.told(low)} ({times.full[first]}).")
    said.append(f"Largest {unit.told(high)} ({times.full[last]}).")
    if level is not None:
        said.append(f"The dashed line, {level.label}, is at {unit.told(level.value)}.")
    if runs:
        said.append(f"{counted(sum(run.stop - run.start for run in runs), 'window')} {mark}.")
    return " ".join(said)


def _drawing(title: str, told: str, width: float, height: float, *drawn: Html) -> Html:
    return element(
        "svg",
        element("title", text(title)),
        element("desc", text(told)),
        *drawn,
        class_="chart wide" if width > SMALL.width else "chart",
        role="img",
        aria_label=title,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
    )


def _words(
    words: str, x: float, y: float, *, class_: str | None = None, anchor: str | None = None, title: str = ""
) -> Html:
    whole = element("title", text(title)) if title and title != words else EMPTY
    return element("text", whole, text(words), class_=class_, x=x, y=y, text_anchor=anchor)


def _cut(label: str, room: float) -> str:
    """As much of a label as there is room for; wide letters take twice the room."""
    taken = 0.0
    for place, letter in enumerate(label):
        taken += _LETTER * (2 if unicodedata.east_asian_width(letter) in "WF" else 1)
        if taken > room:
            return label[: max(1, place - 1)] + "…"
    return label
