"""What production looked like over time."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib.handlers.access import READ
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.monitoring import counters
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import Call, moment, open_call, query
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import MalformedRequest, NotFound

if TYPE_CHECKING:
    from chalicelib.lineage.records import Version
    from chalicelib.monitoring.series import Span, Window

bp = Blueprint(__name__)

_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@bp.route("/v1/models/{model}/quality", methods=["GET"], authorizer=bearer)
@problem_details
def read_quality(model: str) -> dict[str, Any]:
    """Data quality by window: missing, unseen, out of range, coerced, late; actions and rules."""
    from chalicelib.monitoring.quality import quality, reference
    from chalicelib.monitoring.series import windows

    call = open_call(bp.current_request)
    version = asked_version(call, call.model(model, READ).name)
    span = _span(call)
    counter = counters(call.at_hand).of(version.model, version.number, version.digest)
    found = windows(call.at_hand.ledger, counter, version.model, version.number, span)
    return {
        **_about(version, span),
        "reference": {"missing": dict(reference(counter))},
        "windows": [{**_window(window), **asdict(quality(window.summary))} for window in found],
    }


@bp.route("/v1/models/{model}/drift", methods=["GET"], authorizer=bearer)
@problem_details
def read_drift(model: str) -> dict[str, Any]:
    """Drift of every column, of columns together and of the prediction by window, with verdicts."""
    from chalicelib.gating.service import first_reign
    from chalicelib.monitoring.drifting import calibrate, features, verdicts
    from chalicelib.monitoring.memory import Memory
    from chalicelib.monitoring.series import windows
    from chalicelib.monitoring.watching import budget_of

    call = open_call(bp.current_request)
    version = asked_version(call, call.model(model, READ).name)
    span, at_hand = _span(call), call.at_hand
    budget = budget_of(at_hand.lineage, version.model)
    counter = counters(at_hand).of(version.model, version.number, version.digest)
    of = features(counter)
    kept = at_hand.ledger.memory(version.model)
    memory = None if kept is None else Memory.decode(kept[0])
    is_of_it = memory is not None and memory.version == version.number
    calibration = memory.calibration.get(span.step, {}) if memory is not None and is_of_it else {}
    if not calibration:
        # The watch hasn't come to it, or the version never reigned.
        begun = first_reign(at_hand.lineage, version) or version.registered_at
        calibration = calibrate(at_hand.ledger, counter, of, version.model, version.number, span.step, begun)
    found = [
        (window, verdicts(window, of, span.step, budget, calibration))
        for window in windows(at_hand.ledger, counter, version.model, version.number, span)
    ]
    latest = {
        name: said.overdispersion
        for _, of_window in found
        for name, said in of_window.items()
        if said.overdispersion is not None
    }
    return {
        **_about(version, span),
        "budget": {"alerts_a_year": budget.alerts_a_year, "smallest_effect": budget.smallest_effect},
        "titles": {feature.name: feature.title for feature in of if feature.title is not None},
        "overdispersion": {feature.name: latest.get(feature.name) for feature in of},
        "windows": [
            {
                **_window(window),
                "features": {name: asdict(verdict) for name, verdict in of_window.items()},
            }
            for window, of_window in found
        ],
    }


def _about(version: Version, span: Span) -> dict[str, Any]:
    return {
        "model": version.model,
        "version": version.number,
        "step": span.step,
        "known_on": span.known_on,
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        "start": canonical_time(window.start),
        "end": canonical_time(window.end),
        "rows": window.summary.rows,
        "late": window.late,
        "hours": window.hours,
        "closed": window.closed,
    }


def asked_version(call: Call, model: str) -> Version:
    """The version that ``?version=`` names, or the champion."""
    given = query(call.request, "version")
    if given is not None and not _NUMBER.fullmatch(given):
        raise MalformedRequest("version must be a version's number.")
    return version_or_champion(call, model, None if given is None else int(given))


def version_or_champion(call: Call, model: str, number: int | None) -> Version:
    """A version by its number, or the champion; `NotFound` without one."""
    from chalicelib.registry.service import find_version

    if number is not None:
        return find_version(call.at_hand.lineage, model, number)
    pointer = call.at_hand.lineage.pointer(model)
    if pointer is None or pointer.champion is None:
        raise NotFound(f"{model!r} has no champion yet; name a version.")
    return find_version(call.at_hand.lineage, model, pointer.champion.version)


def _span(call: Call) -> Span:
    from chalicelib.monitoring.series import STEPS, Span

    request = call.request
    step = query(request, "step") or "day"
    if step not in STEPS:
        raise MalformedRequest(f"step must be one of {', '.join(STEPS)}.")
    known_on = query(request, "known_on")
    if known_on is not None and not _DAY.fullmatch(known_on):
        raise MalformedRequest("known_on must be a day: 2026-01-31.")
    return Span.of(moment(request, "from"), moment(request, "to"), step, known_on, now=call.now)
