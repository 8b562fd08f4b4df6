"""Records as the JSON of answers; `schemas` says the same for the OpenAPI document, and a test compares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from chalice.app import Response

from chalicelib.handlers.requests import etag
from chalicelib.lineage.records import Alias, Model, Policy, Reign, Version
from chalicelib.ports import Upload
from tiltyard.audit.entry import canonical_time

Body = dict[str, Any]


def page(items: Iterable[Body], following: str | None) -> Response:
    return Response({"items": list(items), "next": following})


def tagged(body: Body, revision: int, *, status: int = 200, location: str | None = None) -> Response:
    """A record with its ETag, and where it is when it is new."""
    headers: dict[str, str | list[str]] = {"ETag": etag(revision)}
    if location is not None:
        headers["Location"] = location
    return Response(body, headers=headers, status_code=status)


def model_body(model: Model) -> Body:
    return {
        "name": model.name,
        "team": model.team,
        "task": model.task,
        "owner": model.owner,
        "description": model.description,
        "created_at": canonical_time(model.created_at),
        "versions": model.versions,
        "changes": model.changes,
    }


def version_body(version: Version, texts: Mapping[str, str]) -> Body:
    examination = version.examination
    return {
        "model": version.model,
        "version": version.number,
        "digest": version.digest,
        "stage": version.stage,
        "files": {name: {"sha256": blob.sha256, "size": blob.size} for name, blob in version.files.items()},
        "description": version.description,
        "registered_at": canonical_time(version.registered_at),
        "registered_by": texts.get(version.registered_by),
        "examined_at": None if examination is None else canonical_time(examination.at),
        "reasons": [] if examination is None else list(examination.reasons),
        "memory_bytes": None if examination is None else examination.memory_bytes,
    }


def alias_body(alias: Alias) -> Body:
    return {
        "model": alias.model,
        "alias": alias.name,
        "version": alias.target.version,
        "digest": alias.target.digest,
        "pinned": alias.pinned,
    }


def policy_body(policy: Policy, texts: Mapping[str, str]) -> Body:
    """Number 0 is the default, which nobody put."""
    return {
        "model": policy.model,
        "number": policy.number,
        "digest": policy.digest,
        "document": json.loads(policy.document),
        "put_at": canonical_time(policy.put_at) if policy.number else None,
        "put_by": texts.get(policy.put_by) if policy.number else None,
    }


def reign_body(reign: Reign, ended_at: datetime | None, texts: Mapping[str, str]) -> Body:
    return {
        "model": reign.model,
        "version": reign.version,
        "digest": reign.digest,
        "generation": reign.generation,
        "started_at": canonical_time(reign.started_at),
        "ended_at": None if ended_at is None else canonical_time(ended_at),
        "action": reign.action,
        "approved_by": texts.get(reign.approved_by),
        "reason": texts.get(reign.reason),
        "change": reign.change,
    }


def nobody_body(model: str) -> Body:
    """The champion of a time at which nobody reigned: a reign's fields, all of them null."""
    when = ("started_at", "ended_at")
    said = ("version", "digest", "generation", *when, "action", "approved_by", "reason", "change")
    return {"model": model, **dict.fromkeys(said)}


def upload_body(upload: Upload) -> Body:
    return {
        "method": upload.method,
        "url": upload.url,
        "headers": dict(upload.headers),
        "expires_at": canonical_time(upload.expires_at),
    }
