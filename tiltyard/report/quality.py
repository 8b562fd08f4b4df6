"""The section on data quality: how many rows came, and what was wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tiltyard.report.charts import SMALL, Level, over_time, small_multiples
from tiltyard.report.markup import Html, name, text
from tiltyard.report.page import Column, Section, figure, heading, paragraph, table, terms
from tiltyard.report.wording import ROWS, SHARE, Body, Times, counted, during, share, verb

_ODD = {
    "out_of_range": "Rows with a number outside of what registration saw",
    "unseen_category": "Rows with a text that registration never saw",
    "anomalous": "Rows that are anomalous: extreme, or an odd combination",
    "uncertain": "Rows whose answer was uncertain",
}
_ACTIONS = {
    "flag": "Answers given with a flag",
    "override": "Answers replaced by the policy's own value",
    "abstain": "Answers withheld",
}
_FIGURES = (
    ("Missing", "Rows without a value in this column."),
    (
        "At registration",
        "The share of missing values in the held-out rows that the model was registered with.",
    ),
    ("Unseen", "Rows with a text that no row of registration had; numbers have none."),
    ("Out of range", "Rows with a number below or above all of registration; texts have none."),
    ("No number", "Rows with something else where a number belongs; it was taken for missing."),
    ("One value only", "How many windows held one and the same value in all rows: a sensor may be stuck."),
)


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """A column over all windows, in rows; `rows` are the windows' own, None where a kind doesn't apply."""

    name: str
    reference: float
    rows: int
    missing: int
    unseen: int | None
    out_of_range: int | None
    coerced: int
    constant: int

    @property
    def has_oddities(self) -> bool:
        return any((self.missing, self.unseen, self.out_of_range, self.coerced, self.constant))

    @property
    def change(self) -> float:
        """How much is unlike registration: the largest of its shares."""
        whole = max(1, self.rows)
        missing = abs(self.missing / whole - self.reference) if self.rows else 0.0
        odd = max(self.unseen or 0, self.out_of_range or 0, self.coerced) / whole
        return max(missing, odd)


def columns(body: Body) -> list[ColumnQuality]:
    """Every column of the service's answer, the most changed first."""
    found = [_column(column, body) for column in body["reference"]["missing"]]
    return sorted(found, key=lambda column: (-column.change, -column.constant, column.name))


def quality_section(body: Body) -> Section:
    """Of the answer to ``GET /v1/models/{model}/quality``."""
    windows, step = body["windows"], body["step"]
    times = Times.of(windows, step)
    of = columns(body)
    odd = [column for column in of if column.has_oddities]
    rows = sum(window["rows"] for window in windows)
    blocks = [_volume(windows, times, step), *_lateness(windows, rows)]
    if rows:
        blocks.append(heading("Columns"))
    if odd:
        blocks += [_table(odd, len(windows), step), terms(_FIGURES), _charts(odd, windows, times, step)]
    elif rows:
        blocks.append(paragraph("No column had a missing, unknown or out-of-range value: nothing to show."))
    if rows:
        blocks += _followed(windows, times, rows)
    return Section("Data quality", summary(of, windows, step), blocks)


def summary(of: Sequence[ColumnQuality], windows: Sequence[Body], step: str) -> str:
    """What was found, in plain words."""
    rows = sum(window["rows"] for window in windows)
    when = during(len(windows), step)
    if not rows:
        return f"No rows came {when}."
    busy = sum(window["rows"] > 0 for window in windows)
    gaps = f"; on {counted(len(windows) - busy, step)} none did" if busy < len(windows) else ""
    said = f"{counted(rows, 'row')} came {when}{gaps}."
    odd = [
        column for column in of if column.missing or column.unseen or column.out_of_range or column.coerced
    ]
    if not odd:
        return f"{said} All of their values were present, known and in range."
    have = verb(len(odd), "has", "have")
    return (
        f"{said} {len(odd)} of {counted(len(of), 'column')} {have} missing, unknown or out-of-range values."
    )


def _column(column: str, body: Body) -> ColumnQuality:
    found: list[Body] = [window["columns"][column] for window in body["windows"]]

    def total(kind: str) -> int | None:
        known = [each[kind] for each in found if each[kind] is not None]
        return sum(known) if known else None

    sides = [count for count in (total("below"), total("above")) if count is not None]
    return ColumnQuality(
        column,
        body["reference"]["missing"][column],
        total("rows") or 0,
        total("missing") or 0,
        total("unseen"),
        sum(sides) if sides else None,
        total("coerced") or 0,
        sum(each["constant"] for each in found),
    )


def _volume(windows: Sequence[Body], times: Times, step: str) -> Html:
    title = f"Rows a {step}"
    caption = f"How many rows the model answered in each {step}; a {step} at 0 had none."
    chart = over_time(title, [window["rows"] for window in windows], times, unit=ROWS)
    return figure(chart, text(title), caption)


def _lateness(windows: Sequence[Body], rows: int) -> list[Html]:
    late, ahead = (sum(window[kind] for window in windows) for kind in ("late", "ahead"))
    said = []
    if late:
        said.append(
            f"{counted(late, 'row')} ({share(late, rows)}) came late, after the hour that they belong to was "
            "closed: they count in these figures, and changed nothing that had been decided before."
        )
    if ahead:
        said.append(
            f"{counted(ahead, 'row')} ({share(ahead, rows)}) named a time that was still to come, and count "
            "when they were received: a clock may be wrong."
        )
    return [paragraph(line) for line in said]


def _table(of: Sequence[ColumnQuality], windows: int, step: str) -> Html:
    head = [
        Column("Column"),
        *(
            Column(title, is_figure=True)
            for title in (
                "Missing",
                "At registration",
                "Unseen",
                "Out of range",
                "No number",
                "One value only",
            )
        ),
    ]
    rows = [
        [
            name(column.name),
            text(_part(column.missing, column.rows)),
            text(share(column.reference, 1)),
            text(_part(column.unseen, column.rows)),
            text(_part(column.out_of_range, column.rows)),
            text(_part(column.coerced, column.rows)),
            text(f"{column.constant} of {counted(windows, step)}" if column.constant else "–"),
        ]
        for column in of
    ]
    return table("Columns in which something happened, the most changed first", head, rows)


def _part(count: int | None, rows: int) -> str:
    if not count:
        return "–" if count is None else "0"
    return f"{count:,} ({share(count, rows)})"


def _charts(of: Sequence[ColumnQuality], windows: Sequence[Body], times: Times, step: str) -> Html:
    figures = []
    for column in of:
        level = Level(column.reference, f"at registration, {share(column.reference, 1)}")
        kinds: list[tuple[int | None, str, Callable[[Body], int], Level | None]] = [
            (column.missing, "missing", lambda found: found["missing"], level),
            (column.unseen, "unseen", lambda found: found["unseen"] or 0, None),
            (column.out_of_range, "out of range", lambda f: (f["below"] or 0) + (f["above"] or 0), None),
            (column.coerced, "no number", lambda found: found["coerced"], None),
        ]
        for count, kind, counted_in, line in kinds:
            if count:
                chart = over_time(
                    f"{column.name}, {kind}: share of rows over time",
                    _shares(windows, [counted_in(window["columns"][column.name]) for window in windows]),
                    times,
                    unit=SHARE,
                    level=line,
                    size=SMALL,
                )
                told = f"{kind}: {share(count, column.rows)} of all rows; the line is the share by {step}."
                figures.append(figure(chart, name(column.name), told))
    return small_multiples(figures)


def _shares(windows: Sequence[Body], counts: Sequence[int]) -> list[float | None]:
    return [
        count / window["rows"] if window["rows"] else None
        for window, count in zip(windows, counts, strict=True)
    ]


def _followed(windows: Sequence[Body], times: Times, rows: int) -> list[Html]:
    """What was odd about rows, and what the policy made of it."""
    found = [
        *_kinds(windows, "flagged", _ODD),
        *_kinds(windows, "actions", _ACTIONS),
        *(
            (f"Rule “{rule}” fired", "rules", rule, count)
            for rule, count in _totals(windows, "rules").items()
        ),
    ]
    blocks = [heading("Odd rows, and what followed")]
    if not found:
        return [*blocks, paragraph("No row was odd, and no rule of the policy fired.")]
    head = [Column("What"), Column("Rows", is_figure=True), Column("Share", is_figure=True)]
    cells = [[name(words), text(f"{count:,}"), text(share(count, rows))] for words, _, _, count in found]
    figures = [
        figure(
            over_time(
                f"{words}: share of rows over time",
                _shares(windows, [window[group].get(kind, 0) for window in windows]),
                times,
                unit=SHARE,
                size=SMALL,
            ),
            name(words),
        )
        for words, group, kind, _ in found
        if group != "rules"
    ]
    return [
        *blocks,
        paragraph(
            "A row can be odd in several ways and fire several rules; one action follows, the strongest."
        ),
        table("Odd rows, actions and rules of the policy", head, cells),
        small_multiples(figures),
    ]


def _kinds(windows: Sequence[Body], group: str, words: Mapping[str, str]) -> list[tuple[str, str, str, int]]:
    return [(words.get(kind, kind), group, kind, count) for kind, count in _totals(windows, group).items()]


def _totals(windows: Sequence[Body], group: str) -> dict[str, int]:
    """By name, the most frequent first."""
    totals: Counter[str] = Counter()
    for window in windows:
        totals.update(window[group])
    return dict(sorted(((k, n) for k, n in totals.items() if n), key=lambda pair: (-pair[1], pair[0])))
