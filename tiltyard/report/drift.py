"""The section on drift: does production still look like the rows of registration?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiltyard.report.charts import MOST_BARS, SMALL, WIDE, Bar, Level, bars, over_time, small_multiples
from tiltyard.report.markup import Html, element, joined, name, text
from tiltyard.report.page import Column, Section, badge, figure, heading, paragraph, table, terms
from tiltyard.report.wording import EFFECT, Body, Times, counted, during, verb

PREDICTION = "prediction"
"""The model's score among the features."""

# Verdicts by how much they ask of a reader.
STATES = ("drift", "small", "steady", "not tested", "uncalibrated", "too few rows")
_JUDGED = ("drift", "small", "steady")
STRONG = 0.25
"""An effect from which on what couldn't be judged is named all the same (Siddiqi 2006: a large shift)."""

_MEANINGS = {
    "drift": "The rows differ from registration's by more than chance explains, and by enough to matter.",
    "small": "The rows differ by more than chance explains, but by too little to matter.",
    "steady": "No difference that chance couldn't explain.",
    "not tested": (
        "Either the column follows the calendar (a month, a weekday), so that only whole weeks are compared, "
        "or its windows differ so much among themselves that a test would say nothing; one whose effect is "
        "0.25 and more is named all the same."
    ),
    "uncalibrated": (
        "The model hasn't reigned for 8 windows of this length yet. How much windows differ by themselves "
        "isn't known before, so there are figures but no verdict; it comes by itself with time."
    ),
    "too few rows": (
        "There were fewer than 10 rows for each cell of the comparison, in the window or at registration. "
        "Nothing is said rather than something that chance made; a longer step has more rows."
    ),
}

_FIGURES = (
    ("Verdict", "The most serious verdict that any window got."),
    ("Windows", "How many windows with rows got which verdict."),
    (
        "Worst window",
        "Among the windows of that verdict, the one with the largest effect; the figures are its own.",
    ),
    (
        "Effect",
        "How different the rows are: the population stability index (PSI) less what chance alone gives. "
        "0 is no difference.",
    ),
    (
        "Shift",
        "How far the mean has moved, in standard deviations (sd) of the rows of registration: + up, - down. "
        "Texts have no mean.",
    ),
    (
        "Overdispersion",
        "How many times more windows differ among themselves than independent rows would; 1 is not at all. "
        "The tests allow for it.",
    ),
    ("Rows", "How many rows the worst window had."),
)


_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """A feature over all windows.

    `state` is its most serious verdict in the `seen` windows that have rows, `states` counts each.
    `worst` is the place of the window with the largest effect among those of that state, and
    `verdict` what it got; both are None, as `effects` are, where nothing was computed.
    """

    name: str
    state: str
    states: Mapping[str, int]
    seen: int
    worst: int | None
    verdict: Body | None
    overdispersion: float | None
    effects: Sequence[float | None]
    drifted: Sequence[bool]

    @property
    def effect(self) -> float | None:
        """The largest of its verdict."""
        return None if self.worst is None else self.effects[self.worst]


def features(body: Body) -> list[FeatureDrift]:
    """Every feature of the service's answer, the worst first."""
    found = [_feature(feature, body) for feature in body["overdispersion"]]
    return sorted(found, key=lambda f: (STATES.index(f.state), -(f.effect or 0.0), f.name))


def drift_section(body: Body) -> Section:
    """Of the answer to ``GET /v1/models/{model}/drift``."""
    of, windows, step = features(body), body["windows"], body["step"]
    times = Times.of(windows, step)
    drifted = [feature for feature in of if feature.state == "drift"]
    blocks = [
        paragraph(
            "Drift means that rows in production look different from the held-out rows that the model was "
            "registered with. It is a reason to look at the model, not a proof that its answers became worse."
        ),
        paragraph(_budget(body, of)),
    ]
    blocks += _overview(of, body)
    if of:
        blocks += [_table(of, times, step), heading("What the table says"), terms(_FIGURES)]
    if drifted:
        blocks += [
            heading("What drifted, over time"),
            paragraph(
                f"The effect by {step}. Shaded {step}s were found to drift; below the dashed line an effect "
                "is too small to matter. Each chart has its own scale."
            ),
            _charts(drifted, times, step, body),
        ]
    met = [state for state in STATES if any(feature.states.get(state) for feature in of)]
    if met:
        blocks += [heading("What the verdicts mean"), terms((state, _MEANINGS[state]) for state in met)]
    return Section("Drift", summary(of, windows, step), blocks)


def summary(of: Sequence[FeatureDrift], windows: Sequence[Body], step: str) -> str:
    """What was found, in plain words."""
    when = during(len(windows), step)
    if not any(window["rows"] for window in windows):
        return f"No rows came {when}, so there is nothing to compare."
    judged = [feature for feature in of if any(feature.states.get(state) for state in _JUDGED)]
    if not judged:
        return f"Nothing can be said about drift {when} yet: no {step} could be judged."
    columns = [feature for feature in of if feature.name != PREDICTION]
    drifted = [feature for feature in columns if feature.state == "drift"]
    said = []
    if drifted:
        worst = drifted[0]
        is_all = len(drifted) == len(columns)
        which = (
            f"All {len(columns)} features"
            if is_all and len(columns) > 1
            else f"{len(drifted)} of {len(columns)} features"
        )
        said.append(f"{which} drifted {when}; worst: {worst.name}.")
    elif columns:
        said.append(f"None of {counted(len(columns), 'feature')} drifted {when}.")
    score = next((feature for feature in of if feature.name == PREDICTION), None)
    if score is not None and score in judged:
        also = " too" if drifted else " nevertheless"
        said.append(
            f"The model's predictions drifted{also}."
            if score.state == "drift"
            else "The model's predictions held steady."
        )
    unjudged = len(of) - len(judged)
    if unjudged:
        said.append(f"{counted(unjudged, 'feature')} could not be judged{_but_strong(of)}.")
    return " ".join(said)


def strong(of: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """What couldn't be judged and is very different from registration all the same, the most so first."""
    found = [
        feature
        for feature in of
        if feature.state not in _JUDGED and feature.effect is not None and feature.effect >= STRONG
    ]
    return sorted(found, key=lambda feature: -(feature.effect or 0.0))


def _but_strong(of: Sequence[FeatureDrift]) -> str:
    names = [feature.name for feature in strong(of)]
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f", of which {', '.join(names[:_MOST_NAMED])}{more} drifted strongly"


def _feature(feature: str, body: Body) -> FeatureDrift:
    verdicts: list[Body] = [window["features"][feature] for window in body["windows"]]
    states = Counter(verdict["state"] for verdict in verdicts if verdict["rows"])
    state = next((state for state in STATES if states[state]), "too few rows")
    effects = [
        verdict["effect"] if verdict["rows"] and verdict["state"] != "too few rows" else None
        for verdict in verdicts
    ]
    held = [place for place, verdict in enumerate(verdicts) if verdict["rows"] and verdict["state"] == state]
    worst = max((p for p in held if effects[p] is not None), key=lambda p: effects[p] or 0.0, default=None)
    return FeatureDrift(
        body["titles"].get(feature, feature),
        state,
        states,
        sum(states.values()),
        worst,
        None if worst is None else verdicts[worst],
        body["overdispersion"][feature],
        effects,
        [bool(verdict["rows"]) and verdict["state"] == "drift" for verdict in verdicts],
    )


def _budget(body: Body, of: Sequence[FeatureDrift]) -> str:
    budget = body["budget"]
    verdicts = [verdict for window in body["windows"] for verdict in window["features"].values()]
    judged = [verdict for verdict in verdicts if verdict["rows"] and verdict["state"] in _JUDGED]
    # Each verdict is by two tests at most, each held against `threshold`.
    expected = sum(2 * verdict["threshold"] for verdict in judged)
    said = (
        f"The budget: at most {budget['alerts_a_year']:g} false alerts a feature and year, and no alert for "
        f"an effect below {budget['smallest_effect']:g}, however certain it is."
    )
    if not judged:
        return said
    return (
        f"{said} Among the {counted(len(judged), 'verdict')} in this report, {_few(expected)} false alerts "
        "are to be expected by chance."
    )


def _few(expected: float) -> str:
    return "fewer than 0.01" if expected < 0.01 else f"at most {expected:.2g}"


def _level(body: Body) -> Level:
    smallest = body["budget"]["smallest_effect"]
    return Level(smallest, f"too small below {smallest:g}")


def _overview(of: Sequence[FeatureDrift], body: Body) -> list[Html]:
    found = [
        Bar(feature.name, feature.effect, feature.state == "drift", feature.state)
        for feature in of
        if feature.effect is not None
    ]
    if not found:
        return []
    title = "Largest effect by feature"
    most = f" The first {MOST_BARS} of {len(found)} are shown." if len(found) > MOST_BARS else ""
    caption = (
        "How different each feature was from registration in its worst window, all on one scale, and its "
        f"verdict; ◆ marks what drifted.{most}"
    )
    return [figure(bars(title, found, level=_level(body)), text(title), caption)]


def _table(of: Sequence[FeatureDrift], times: Times, step: str) -> Html:
    columns = [
        Column("Feature"),
        Column("Verdict", is_short=True),
        Column(f"Windows (a {step} each)"),
        Column("Worst window", is_short=True),
        Column("Effect", is_figure=True),
        Column("Shift", is_figure=True),
        Column("Over-dispersion", is_figure=True),
        Column("Rows", is_figure=True),
    ]
    rows = [
        [
            name(feature.name),
            badge(feature.state, is_marked=feature.state == "drift"),
            text(", ".join(f"{s} {feature.states[s]}" for s in STATES if feature.states.get(s)) or "no rows"),
            text("–" if feature.worst is None else times.full[feature.worst]),
            text("–" if feature.effect is None else EFFECT.told(feature.effect)),
            text(_shift(feature.verdict)),
            text("–" if feature.overdispersion is None else f"{feature.overdispersion:.2f}"),
            text("–" if feature.verdict is None else f"{feature.verdict['rows']:,}"),
        ]
        for feature in of
    ]
    return table("Every feature, the worst first", columns, rows)


def _shift(verdict: Body | None) -> str:
    return "–" if verdict is None or verdict["shift"] is None else f"{verdict['shift']:+.2f} sd"


def _charts(drifted: Sequence[FeatureDrift], times: Times, step: str, body: Body) -> Html:
    level = _level(body)
    figures = [
        figure(
            over_time(
                f"Drift of {feature.name} over time",
                feature.effects,
                times,
                level=level,
                marked=feature.drifted,
                mark="drift",
                size=WIDE if len(drifted) == 1 else SMALL,
            ),
            joined(name(feature.name)),
            _caption(feature, times, step),
        )
        for feature in drifted
    ]
    return element("div", *figures) if len(figures) == 1 else small_multiples(figures)


def _caption(feature: FeatureDrift, times: Times, step: str) -> str:
    count = feature.states["drift"]
    said = f"Drift on {count} of {counted(feature.seen, step)} with rows"
    if feature.worst is None or feature.effect is None or feature.verdict is None:
        return f"{said}."
    said += f"; largest effect {EFFECT.told(feature.effect)} ({times.full[feature.worst]})"
    shift = feature.verdict["shift"]
    if shift is None or abs(shift) < 0.005:
        return f"{said}."
    way = verb(shift > 0, "above", "below")
    return f"{said}, when the mean was {abs(shift):.2f} standard deviations {way} that of registration."
