"""The report on a version in production: drift, then data quality."""

from __future__ import annotations

from datetime import UTC, datetime

from tiltyard.report.drift import drift_section
from tiltyard.report.page import page
from tiltyard.report.quality import quality_section
from tiltyard.report.wording import Body, counted, moment, span, verb


def monitoring_page(drift: Body, quality: Body, *, written_at: datetime) -> str:
    """An HTML file of the service's answers on the same windows of one version."""
    windows, step = drift["windows"], drift["step"]
    subtitle = [
        f"Version {drift['version']}, {span(windows, step)} (UTC), by the {step}.",
        *_unfinished(drift, written_at),
    ]
    if drift["known_on"] is not None:
        subtitle.append(
            f"As it was known on {moment(drift['known_on'], 'day')}; what came later is left out."
        )
    footer = f"Written by Tiltyard on {moment(written_at.astimezone(UTC).isoformat(), 'hour')} UTC."
    return page(
        f"{drift['model']} in production",
        " ".join(subtitle),
        [drift_section(drift), quality_section(quality)],
        footer=footer,
    )


def _unfinished(body: Body, now: datetime) -> list[str]:
    count = sum(
        window["closed"] < window["hours"] or datetime.fromisoformat(window["end"]) > now
        for window in body["windows"]
    )
    if not count:
        return []
    still = verb(count, "isn't", "aren't")
    return [f"{counted(count, body['step'])} {still} over yet: more rows will change the figures."]
