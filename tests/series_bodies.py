"""Made-up answers of the monitoring routes, whole as the service gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 2, 1, tzinfo=UTC)
LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def verdict(
    state: str = "steady", effect: float = 0.0, shift: float | None = None, rows: int = 500
) -> dict[str, Any]:
    return {
        "state": state,
        "rows": rows,
        "effect": effect,
        "psi": effect + 0.01,
        "psi_threshold": 0.05,
        "chi_square": 12.5,
        "chi_square_p": 0.25,
        "z": None if shift is None else 8 * shift,
        "z_p": None if shift is None else 0.5,
        "shift": shift,
        "jensen_shannon": 0.001,
        "kolmogorov_smirnov": None,
        "wasserstein": None,
        "threshold": 0.0003,
        "overdispersion": 1.0,
        "is_scaled": False,
        "is_seasonal": False,
    }


NO_ROWS = verdict("too few rows", rows=0)


def drift_body(
    features: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    step: str = "day",
    overdispersion: Mapping[str, float | None] | None = None,
    titles: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Each feature with its verdicts by window; all have as many."""
    count = max(map(len, features.values()), default=0)
    windows = []
    for place in range(count):
        found = {name: verdicts[place] for name, verdicts in features.items()}
        rows = max(each["rows"] for each in found.values())
        windows.append({**_window(place, step, rows), "features": found})
    return {
        **_about(step),
        "budget": {"alerts_a_year": 0.7, "smallest_effect": 0.02},
        "titles": dict(titles or {}),
        "overdispersion": {name: (overdispersion or {}).get(name, 1.0) for name in features},
        "windows": windows,
    }


def column(
    rows: int = 500,
    *,
    missing: int = 0,
    coerced: int = 0,
    unseen: int | None = None,
    below: int | None = None,
    above: int | None = None,
    constant: bool = False,
) -> dict[str, Any]:
    """A text where `unseen` is given, else a number."""
    is_text = unseen is not None
    return {
        "rows": rows,
        "missing": missing,
        "coerced": coerced,
        "unseen": unseen,
        "other": 0 if is_text else None,
        "below": None if is_text else below or 0,
        "above": None if is_text else above or 0,
        "constant": constant,
    }


def quality_body(
    columns: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    step: str = "day",
    reference: Mapping[str, float] | None = None,
    **windows: Sequence[Any],
) -> dict[str, Any]:
    """Each column with its counts by window; `windows` gives `late`, `flagged` and the like."""
    count = max(map(len, columns.values()), default=0)
    found = []
    for place in range(count):
        cells = {name: counts[place] for name, counts in columns.items()}
        rows = max(each["rows"] for each in cells.values())
        odd: dict[str, Any] = {"flagged": {}, "actions": {}, "rules": {}, "ahead": 0, "duplicates": None}
        given = {key: values[place] for key, values in windows.items()}
        found.append({**_window(place, step, rows), "columns": cells, **odd, **given})
    missing = {name: (reference or {}).get(name, 0.0) for name in columns}
    return {**_about(step), "reference": {"missing": missing}, "windows": found}


def _about(step: str) -> dict[str, Any]:
    return {"model": "late-flights", "version": 3, "step": step, "known_on": None}


def _window(place: int, step: str, rows: int) -> dict[str, Any]:
    hours = 1 if rows else 0
    return {
        "start": _text(START + place * LENGTHS[step]),
        "end": _text(START + (place + 1) * LENGTHS[step]),
        "rows": rows,
        "late": 0,
        "hours": hours,
        "closed": hours,
    }


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
