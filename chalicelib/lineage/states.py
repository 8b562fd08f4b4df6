"""What a record's state is, as one digest: the ``before`` and ``after`` of an audit entry.

Free text and people's names enter by their keyed commitment: a plain digest of
a short text can be found by guessing, and the log is kept for good (DESIGN
invariant 10).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import rfc8785

from chalicelib.lineage.alerts import Alert
from chalicelib.lineage.records import Alias, Model, Pointer, Policy, Version, Webhook

State = Model | Version | Pointer | Policy | Alias | Webhook | Alert


def state_digest(record: State | None, *, commitment: Callable[[str], str]) -> str | None:
    """SHA-256 of the canonical state (RFC 8785), lower-case hex; None where there is no record."""
    if record is None:
        return None
    return hashlib.sha256(rfc8785.dumps(_state(record, commitment))).hexdigest()


def _state(record: State, commitment: Callable[[str], str]) -> dict[str, Any]:
    match record:
        case Model():
            return {
                "kind": "model",
                "name": record.name,
                "team": record.team,
                "task": record.task,
                "owner": commitment(record.owner),
                "description": commitment(record.description),
            }
        case Version():
            return {
                "kind": "version",
                "model": record.model,
                "number": record.number,
                "digest": record.digest,
                "stage": record.stage,
                "description": commitment(record.description),
            }
        case Pointer():
            champion = record.champion
            return {
                "kind": "pointer",
                "model": record.model,
                "version": None if champion is None else champion.version,
                "digest": None if champion is None else champion.digest,
            }
        case Policy():
            return {
                "kind": "policy",
                "model": record.model,
                "number": record.number,
                "digest": record.digest,
            }
        case Alias():
            return {
                "kind": "alias",
                "model": record.model,
                "name": record.name,
                "version": record.target.version,
                "digest": record.target.digest,
                "pinned": record.pinned,
            }
        case Alert():
            return {
                "kind": "alert",
                "id": record.id,
                "severity": record.severity,
                "state": record.state,
                "subjects": sorted(record.subjects),
            }
        case Webhook():
            return {
                "kind": "webhook",
                "id": record.id,
                "team": record.team,
                # Addresses often hold a key of their own.
                "url": commitment(record.url),
                "events": list(record.events),
                "models": list(record.models),
                "description": commitment(record.description),
                "severity": record.severity,
                "enabled": record.enabled,
                "rotation": record.rotation,
            }
