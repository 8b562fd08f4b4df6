"""Keys and item shapes of both tables, and nothing else.

An item is a flat or nested dict of text, whole numbers, booleans, bytes, None,
lists and dicts; `chalicelib.aws.attributes` turns it into DynamoDB's own form.

`lineage` (keys ``pk``, ``sk``):

====================  =========================  =====================================
pk                    sk                         what
====================  =========================  =====================================
``MODEL#m``           ``META``                   the model's head
``MODEL#m``           ``POINTER``                who answers: complete, at most 16 KB
``MODEL#m``           ``POLICY``                 the policy that holds
``MODEL#m``           ``POLICY#000002``          a policy that was put, this one or a past one
``MODEL#m``           ``VERSION#000003``         a version
``MODEL#m``           ``DIGEST#sha256``          the number of the version so named
``MODEL#m``           ``ALIAS#a``                a user's own alias
``MODEL#m``           ``REIGN#time``             a champion's period, by its start
``MODEL#m``           ``ALERT#kind#000003``      an alert about it
``MODEL#m``           ``CHANGE#0000000012``      a change on record, as the stream announces it
``TEAM#t``            ``META``                   the head of a team's own settings
``TEAM#t``            ``CHANGE#0000000012``      a change of them on record
``TEAM#t``            ``WEBHOOK#id``             an address that hears of the team's changes
``TEAM#t``            ``ALERT#kind#000003``      an alert about the stage (team ``tiltyard``)
``NODE#id``           ``NODE``                   what an end of an edge is
``NODE#source``       ``EDGE#relation#target``   an edge of the lineage graph
``ACTOR#pseudonym``   ``TEXT``                   the name behind it; can be erased
``REASON#digest``     ``TEXT``                   the text behind it; can be erased
``IDEMP#key``         ``IDEMP``                  a used idempotency key; expires
``AUDIT#PENDING``     a time-ordered id          an audit entry that waits for the notary
``PEPPER``            ``PEPPER``                 the stage's pepper, wrapped by KMS
``CLOCK``             ``CLOCK``                  a local stage's replay clock (docs/replay.md)
====================  =========================  =====================================

Sparse indexes: `inverse` (``ipk``, ``isk``) reads edges from their target, and
all models by name; `listing` (``lpk``, ``lsk``) reads a team's models by name
what is ``validating`` by age, and
alerts by state, as `inverse` does across teams. Times are RFC 3339 text in UTC with
milliseconds, so they sort as text; ``expires_at`` is epoch seconds (TTL). Items of the graph,
of what is on record and of teams are in `record_items`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from chalicelib.lineage.records import (
    TEAM_SCOPE,
    Alias,
    Blob,
    Done,
    Examination,
    IdempotencyKey,
    Model,
    Pointer,
    Policy,
    PolicyCopy,
    Reign,
    Target,
    Tick,
    Version,
)
from chalicelib.lineage.tables import TTL_ATTRIBUTE
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import InvalidInput

# A nested item can't be typed more closely without recursion that mypy reads slowly.
Item = dict[str, Any]

META, POINTER, POLICY, TEXT, IDEMP, PEPPER = "META", "POINTER", "POLICY", "TEXT", "IDEMP", "PEPPER"
ALL_MODELS = "MODELS"
VALIDATING = "VALIDATING"
# Before and after every character that a key may hold: ASCII letters, digits and "-.:/_" (a range's end
# can't be empty text in DynamoDB).
FIRST, LAST = "!", "~"


@dataclass(frozen=True, slots=True)
class Key:
    pk: str
    sk: str


def model_pk(model: str) -> str:
    return f"MODEL#{model}"


def version_sk(number: int) -> str:
    return f"VERSION#{number:06d}"


def policy_sk(number: int) -> str:
    return f"{POLICY}#{number:06d}"


def digest_sk(digest: str) -> str:
    return f"DIGEST#{digest}"


def alias_sk(name: str) -> str:
    return f"ALIAS#{name}"


def reign_sk(started_at: datetime) -> str:
    return f"REIGN#{text_of(started_at)}"


def head_pk(scope: str) -> str:
    """The partition of a head, by its name in audit entries: a model's, or ``team:<team>``."""
    return f"TEAM#{scope.removeprefix(TEAM_SCOPE)}" if scope.startswith(TEAM_SCOPE) else model_pk(scope)


def team_models(team: str) -> str:
    return f"{ALL_MODELS}#{team}"


def actor_key(pseudonym: str) -> Key:
    return Key(f"ACTOR#{pseudonym}", TEXT)


def reason_key(commitment: str) -> Key:
    return Key(f"REASON#{commitment}", TEXT)


def idempotency_key(key: str) -> Key:
    return Key(f"IDEMP#{key}", IDEMP)


def key_of(item: Mapping[str, Any]) -> Key:
    return Key(item["pk"], item["sk"])


def text_of(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds; what is finer is cut off, so order is kept."""
    if at.tzinfo is None:
        raise InvalidInput(f"the time {at.isoformat()} has no UTC offset")
    try:
        return canonical_time(at)
    except OverflowError as exc:
        raise InvalidInput(f"the time {at.isoformat()} isn't within the years 1 to 9999 in UTC") from exc


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def model_item(model: Model) -> Item:
    return {
        "pk": model_pk(model.name),
        "sk": META,
        "kind": "model",
        "lpk": team_models(model.team),
        "lsk": model.name,
        "ipk": ALL_MODELS,
        "isk": model.name,
        "name": model.name,
        "team": model.team,
        "task": model.task,
        "owner": model.owner,
        "created_at": text_of(model.created_at),
        "description": model.description,
        "changes": model.changes,
        "versions": model.versions,
        "revision": model.revision,
    }


def model_from(item: Item) -> Model:
    values = {field.name: item[field.name] for field in fields(Model)}
    return Model(**values | {"created_at": time_of(item["created_at"])})


def version_item(version: Version) -> Item:
    item: Item = {
        "pk": model_pk(version.model),
        "sk": version_sk(version.number),
        "kind": "version",
        "model": version.model,
        "number": version.number,
        "digest": version.digest,
        "stage": version.stage,
        "files": _files_item(version.files),
        "registered_at": text_of(version.registered_at),
        "registered_by": version.registered_by,
        "description": version.description,
        "examination": None if version.examination is None else _examination_item(version.examination),
        "retried_at": None if version.retried_at is None else text_of(version.retried_at),
        "archived_from": version.archived_from,
        "revision": version.revision,
    }
    if version.stage == "validating":
        # Only what waits for its examination is in the index, oldest first.
        item["lpk"] = VALIDATING
        item["lsk"] = f"{text_of(version.waiting_since)}#{version.model}#{version.number:06d}"
    return item


def version_from(item: Item) -> Version:
    return Version(
        model=item["model"],
        number=item["number"],
        digest=item["digest"],
        stage=item["stage"],
        files=_files_from(item["files"]),
        registered_at=time_of(item["registered_at"]),
        registered_by=item["registered_by"],
        description=item["description"],
        examination=None if item["examination"] is None else _examination_from(item["examination"]),
        retried_at=None if item.get("retried_at") is None else time_of(item["retried_at"]),
        archived_from=item["archived_from"],
        revision=item["revision"],
    )


def digest_item(version: Version) -> Item:
    return {
        "pk": model_pk(version.model),
        "sk": digest_sk(version.digest),
        "kind": "digest",
        "number": version.number,
    }


def pointer_item(pointer: Pointer) -> Item:
    return {
        "pk": model_pk(pointer.model),
        "sk": POINTER,
        "kind": "pointer",
        "model": pointer.model,
        "team": pointer.team,
        "champion": None if pointer.champion is None else _target_item(pointer.champion),
        "started_at": None if pointer.started_at is None else text_of(pointer.started_at),
        "generation": pointer.generation,
        "policy": None if pointer.policy is None else _copy_item(pointer.policy),
        "revision": pointer.revision,
    }


def pointer_from(item: Item) -> Pointer:
    champion, started_at, policy = item["champion"], item["started_at"], item["policy"]
    return Pointer(
        model=item["model"],
        team=item["team"],
        champion=None if champion is None else _target_from(champion),
        started_at=None if started_at is None else time_of(started_at),
        generation=item["generation"],
        policy=None if policy is None else PolicyCopy(policy["number"], policy["digest"], policy["document"]),
        revision=item["revision"],
    )


def policy_items(policy: Policy) -> tuple[Item, Item]:
    """The policy that holds, and its entry in the history, which never changes."""
    item = {
        "pk": model_pk(policy.model),
        "kind": "policy",
        "model": policy.model,
        **_copy_item(policy.copy),
        "put_at": text_of(policy.put_at),
        "put_by": policy.put_by,
        "revision": policy.revision,
    }
    return item | {"sk": POLICY}, item | {"sk": policy_sk(policy.number)}


def policy_from(item: Item) -> Policy:
    values = {field.name: item[field.name] for field in fields(Policy)}
    return Policy(**values | {"put_at": time_of(item["put_at"])})


def alias_item(alias: Alias) -> Item:
    return {
        "pk": model_pk(alias.model),
        "sk": alias_sk(alias.name),
        "kind": "alias",
        "model": alias.model,
        "team": alias.team,
        "name": alias.name,
        "target": _target_item(alias.target),
        "pinned": alias.pinned,
        "revision": alias.revision,
    }


def alias_from(item: Item) -> Alias:
    return Alias(
        model=item["model"],
        team=item["team"],
        name=item["name"],
        target=_target_from(item["target"]),
        pinned=item.get("pinned", False),
        revision=item["revision"],
    )


def reign_item(reign: Reign) -> Item:
    return {
        "pk": model_pk(reign.model),
        "sk": reign_sk(reign.started_at),
        "kind": "reign",
        "model": reign.model,
        "started_at": text_of(reign.started_at),
        "generation": reign.generation,
        "version": reign.version,
        "digest": reign.digest,
        "approved_by": reign.approved_by,
        "reason": reign.reason,
        "action": reign.action,
        "change": reign.change,
    }


def reign_from(item: Item) -> Reign:
    values = {field.name: item[field.name] for field in fields(Reign)}
    return Reign(**values | {"started_at": time_of(item["started_at"])})


def text_item(key: Key, text: str) -> Item:
    return {"pk": key.pk, "sk": key.sk, "kind": "text", "text": text}


CLOCK_KEY = Key("CLOCK", "CLOCK")


def tick_item(tick: Tick) -> Item:
    return {
        "pk": CLOCK_KEY.pk,
        "sk": CLOCK_KEY.sk,
        "to": text_of(tick.to),
        "put_at": text_of(tick.put_at),
        "revision": tick.revision,
    }


def tick_from(item: Item) -> Tick:
    return Tick(time_of(item["to"]), time_of(item["put_at"]), item["revision"])


def done_item(used: IdempotencyKey, result: Mapping[str, Any], *, expires_at: int) -> Item:
    return {
        "pk": idempotency_key(used.key).pk,
        "sk": IDEMP,
        "kind": "done",
        "key": used.key,
        "body": used.body,
        "result": dict(result),
        TTL_ATTRIBUTE: expires_at,
    }


def done_from(item: Item) -> Done:
    return Done(
        key=item["key"],
        body=item["body"],
        result=item["result"],
        expires_at=datetime.fromtimestamp(item[TTL_ATTRIBUTE], UTC),
    )


def pepper_item(wrapped: bytes) -> Item:
    return {"pk": PEPPER, "sk": PEPPER, "kind": "pepper", "wrapped": wrapped}


def _files_item(files: Mapping[str, Blob]) -> Item:
    return {name: {"sha256": blob.sha256, "size": blob.size} for name, blob in files.items()}


def _files_from(item: Item) -> dict[str, Blob]:
    return {name: Blob(blob["sha256"], blob["size"]) for name, blob in item.items()}


def _target_item(target: Target) -> Item:
    return {
        "version": target.version,
        "digest": target.digest,
        "files": _files_item(target.files),
        "memory_bytes": target.memory_bytes,
    }


def _copy_item(copy: PolicyCopy) -> Item:
    return {"number": copy.number, "digest": copy.digest, "document": copy.document}


def _target_from(item: Item) -> Target:
    return Target(item["version"], item["digest"], _files_from(item["files"]), item["memory_bytes"])


def _examination_item(examination: Examination) -> Item:
    return {
        "at": text_of(examination.at),
        "accepted": examination.accepted,
        "reasons": list(examination.reasons),
        "memory_bytes": examination.memory_bytes,
    }


def _examination_from(item: Item) -> Examination:
    return Examination(time_of(item["at"]), item["accepted"], tuple(item["reasons"]), item["memory_bytes"])
