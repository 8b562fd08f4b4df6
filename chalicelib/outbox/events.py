"""A committed change as a CloudEvent (specification 1.0.2, JSON format)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.lineage.records import TEAM_SCOPE, Logged

TYPE_PREFIX = "io.tiltyard."
MEDIA_TYPE = "application/cloudevents+json"

ACTIONS = (
    "alert.acknowledge",
    "alert.raise",
    "alert.recover",
    "alert.resolve",
    "alias.remove",
    "alias.set",
    "champion.promote",
    "champion.rollback",
    "model.change",
    "model.create",
    "policy.put",
    "version.accept",
    "version.archive",
    "version.register",
    "version.reject",
    "version.restore",
    "version.retry",
    "webhook.change",
    "webhook.create",
    "webhook.remove",
    "webhook.rotate",
    "window.mend",
)
"""Whatever changes, by the words of the audit log."""

GROUPS = tuple(sorted({action.partition(".")[0] + ".*" for action in ACTIONS}))


def cloud_event(logged: Logged, *, stage: str) -> dict[str, Any]:
    """The event of a change.

    Its id is the audit entry's, so whatever announces the change says the same.
    `sequence` (the extension of that name) is the change's number under its
    model or team, in ten digits: it counts up from 1 without gaps and sorts as
    text. Free text of people is no part of it; actors are pseudonyms.
    """
    entry = json.loads(logged.entry)
    return {
        "specversion": "1.0",
        "id": entry["id"],
        "source": f"/tiltyard/{stage}/{_place(logged)}",
        "type": TYPE_PREFIX + entry["action"],
        "subject": entry["object"],
        "time": entry["time"],
        "datacontenttype": "application/json",
        "sequence": f"{logged.number:010d}",
        "data": {
            "model": None if logged.scope.startswith(TEAM_SCOPE) else logged.scope,
            "team": logged.team,
            **{name: entry[name] for name in _SAID},
            "result": dict(logged.result),
        },
    }


_SAID = ("action", "object", "change", "before", "after", "role", "actor", "request_id")


def text_of(event: Mapping[str, Any]) -> str:
    """The event's one form: what is signed is what is sent, at every attempt."""
    return json.dumps(event, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _place(logged: Logged) -> str:
    if logged.scope.startswith(TEAM_SCOPE):
        return f"teams/{logged.scope.removeprefix(TEAM_SCOPE)}"
    return f"models/{logged.scope}"
