"""Alerts: raised and ended by the watch, acknowledged and resolved by people, each on record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from chalicelib.lineage.alerts import Alert, AlertId
from chalicelib.lineage.races import settle
from chalicelib.lineage.records import TEAM_SCOPE, Attempt, Change, H, Model, Put, Team
from chalicelib.lineage.states import state_digest
from chalicelib.ports import LineageStore, Pseudonyms
from chalicelib.triage import rules
from chalicelib.triage.rules import Finding
from tiltyard.errors import NotFound

WATCH = "tiltyard/watch"
ROLE = "system"

STAGE_TEAM = "tiltyard"
"""Who runs the stage: its own alerts are this team's."""

STAGE = TEAM_SCOPE + STAGE_TEAM


def attempt(pseudonyms: Pseudonyms, *, at: datetime, request_id: str) -> Attempt:
    """The watch as an actor: a part of the system, no person."""
    return Attempt(actor=pseudonyms.actor(WATCH), name=WATCH, role=ROLE, at=at, request_id=request_id)


def raise_found(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    scope: str,
    findings: Iterable[Finding],
    *,
    version: int | None,
    runbook: str,
    attempt: Attempt,
) -> list[Alert]:
    """Open or extend the alerts of these findings, one a kind; those that changed.

    Again with the same findings nothing changes.
    """
    changed = []
    ordered = sorted(findings, key=lambda finding: (finding.kind, finding.subject))
    for kind, found in groupby(ordered, key=lambda finding: finding.kind):
        of_kind = list(found)

        def change(kind: str = kind, of_kind: Sequence[Finding] = of_kind) -> Alert | None:
            head = _head(lineage, scope)
            last = lineage.last_alert(scope, kind)
            alert = rules.raised(
                last,
                of_kind,
                model=scope,
                team=head.team,
                version=version,
                runbook=f"{runbook}#{kind}",
                at=attempt.at,
            )
            if alert is None:
                return None
            return _commit(lineage, pseudonyms, head, "alert.raise", last, alert, attempt=attempt)

        alert = settle(change)
        if alert is not None:
            changed.append(alert)
    return changed


def recover(
    lineage: LineageStore, pseudonyms: Pseudonyms, scope: str, kinds: Iterable[str], *, attempt: Attempt
) -> list[Alert]:
    """End the active alerts of these kinds, for what they were about is over; those that changed."""
    changed = []
    for kind in kinds:

        def change(kind: str = kind) -> Alert | None:
            last = lineage.last_alert(scope, kind)
            alert = rules.recovered(last, at=attempt.at)
            if alert is None:
                return None
            head = _head(lineage, scope)
            return _commit(lineage, pseudonyms, head, "alert.recover", last, alert, attempt=attempt)

        alert = settle(change)
        if alert is not None:
            changed.append(alert)
    return changed


def acknowledge(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    alert_id: AlertId,
    *,
    comment: str | None,
    attempt: Attempt,
) -> Alert:
    """Say that somebody has seen an alert and is at it; again by the same person nothing changes.

    Raises
    ------
    NotFound
        When there is no such alert.
    Conflict
        When it is resolved.
    """

    def change() -> Alert:
        alert = find(lineage, alert_id)
        if alert.state == "acknowledged" and alert.acknowledged_by == attempt.actor and comment is None:
            return alert
        said = None if comment is None else pseudonyms.commitment(comment)
        after = rules.acknowledged(alert, actor=attempt.actor, at=attempt.at, comment=said)
        head = _head(lineage, alert.model)
        return _commit(
            lineage, pseudonyms, head, "alert.acknowledge", alert, after, reason=comment, attempt=attempt
        )

    return settle(change)


def resolve(
    lineage: LineageStore, pseudonyms: Pseudonyms, alert_id: AlertId, *, comment: str, attempt: Attempt
) -> Alert:
    """Say that an alert is taken care of, and how.

    What it is about alerts again only after it was over once.

    Raises
    ------
    NotFound
        When there is no such alert.
    Conflict
        When it is resolved already.
    """

    def change() -> Alert:
        alert = find(lineage, alert_id)
        said = pseudonyms.commitment(comment)
        after = rules.resolved(alert, actor=attempt.actor, at=attempt.at, comment=said)
        head = _head(lineage, alert.model)
        return _commit(
            lineage, pseudonyms, head, "alert.resolve", alert, after, reason=comment, attempt=attempt
        )

    return settle(change)


def find(lineage: LineageStore, alert_id: AlertId) -> Alert:
    alert = lineage.alert(alert_id)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id.scope}.{alert_id.kind}.{alert_id.number}.")
    return alert


def _head(lineage: LineageStore, scope: str) -> Model | Team:
    if scope.startswith(TEAM_SCOPE):
        return lineage.team(scope.removeprefix(TEAM_SCOPE))
    model = lineage.model(scope)
    if model is None:
        raise NotFound(f"There is no model {scope!r}.")
    return model


def _commit(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    head: H,
    action: str,
    before: Alert | None,
    after: Alert,
    *,
    reason: str | None = None,
    attempt: Attempt,
) -> Alert:
    # What came before is a state of the same alert, or there is none.
    former = before if before is not None and before.number == after.number else None
    lineage.commit(
        Change(
            model=head,
            attempt=attempt,
            action=action,
            object=f"alert:{after.id}",
            before=state_digest(former, commitment=pseudonyms.commitment),
            after=state_digest(after, commitment=pseudonyms.commitment),
            writes=(Put(after),),
            reason=reason,
            result={
                "alert": after.id,
                "kind": after.kind,
                "severity": after.severity,
                "state": after.state,
                "subjects": sorted(after.subjects),
                "summary": rules.summary(after),
                "runbook": after.runbook,
            },
        )
    )
    return replace(after, revision=after.revision + 1)
