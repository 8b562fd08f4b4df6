"""Items of alerts (see `items`): ``ALERT#kind#000003`` under their head, listed by team and state."""

from __future__ import annotations

import json

from chalicelib.lineage.alerts import Alert, AlertState
from chalicelib.lineage.items import Item, head_pk, text_of, time_of

ALERTS = "ALERT#"


def alert_sk(kind: str, number: int) -> str:
    return f"{alerts_of(kind)}{number:06d}"


def alerts_of(kind: str) -> str:
    """What the sort keys of a kind begin with; no kind's name holds a ``#``."""
    return f"{ALERTS}{kind}#"


def team_alerts(team: str | None, state: AlertState) -> str:
    """The partition of a team's alerts (None: of everybody's) in a state, by index."""
    return f"ALERTS#{state}" if team is None else f"ALERTS#{team}#{state}"


def alert_item(alert: Alert) -> Item:
    place = f"{text_of(alert.opened_at)}#{alert.id}"
    return {
        "pk": head_pk(alert.model),
        "sk": alert_sk(alert.kind, alert.number),
        "kind": "alert",
        "lpk": team_alerts(alert.team, alert.state),
        "lsk": place,
        "ipk": team_alerts(None, alert.state),
        "isk": place,
        "model": alert.model,
        "team": alert.team,
        "of": alert.kind,
        "number": alert.number,
        "severity": alert.severity,
        "state": alert.state,
        "opened_at": text_of(alert.opened_at),
        "changed_at": text_of(alert.changed_at),
        # Text, for items hold no fractions.
        "subjects": json.dumps(alert.subjects, sort_keys=True, allow_nan=False),
        "version": alert.version,
        "runbook": alert.runbook,
        "acknowledged_by": alert.acknowledged_by,
        "resolved_by": alert.resolved_by,
        "resolved_at": None if alert.resolved_at is None else text_of(alert.resolved_at),
        "comment": alert.comment,
        "revision": alert.revision,
    }


def alert_from(item: Item) -> Alert:
    return Alert(
        model=item["model"],
        team=item["team"],
        kind=item["of"],
        number=item["number"],
        severity=item["severity"],
        state=item["state"],
        opened_at=time_of(item["opened_at"]),
        changed_at=time_of(item["changed_at"]),
        subjects=json.loads(item["subjects"]),
        version=item["version"],
        runbook=item["runbook"],
        acknowledged_by=item["acknowledged_by"],
        resolved_by=item["resolved_by"],
        resolved_at=None if item["resolved_at"] is None else time_of(item["resolved_at"]),
        comment=item["comment"],
        revision=item["revision"],
    )
