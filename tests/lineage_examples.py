"""Small records and changes for tests of the lineage store and of what stands on it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chalicelib.lineage.pseudonyms import KeyedPseudonyms
from chalicelib.lineage.records import (
    Alias,
    Append,
    Attempt,
    Blob,
    Change,
    Edge,
    IdempotencyKey,
    Model,
    Pointer,
    Policy,
    Put,
    Reign,
    Remove,
    Target,
    Version,
)

PSEUDONYMS = KeyedPseudonyms(b"p" * 32)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA = PSEUDONYMS.actor("ada@example.org")


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def attempt_at(at: datetime = NOON, *, key: IdempotencyKey | None = None) -> Attempt:
    return Attempt(ADA, "ada@example.org", "engineer", at, request_id="request-1", idempotency=key)


def new_model(name: str = "delays", *, team: str = "airport") -> Model:
    return Model(name, team, "binary", owner="ada", created_at=NOON)


def files_of(name: str) -> dict[str, Blob]:
    return {
        file: Blob(sha256_of(f"{name} {file}"), 1000 + number)
        for number, file in enumerate(
            ("model.onnx", "signature.json", "profile.json", "reference.json", "parity.json", "manifest.json")
        )
    }


def version_of(model: Model, number: int, *, stage: str = "validating", bundle: str | None = None) -> Version:
    name = bundle or f"{model.name} {number}"
    return Version(
        model=model.name,
        number=number,
        digest=sha256_of(name),
        stage=stage,  # type: ignore[arg-type]
        files=files_of(name),
        registered_at=NOON + timedelta(seconds=number),
        registered_by=ADA,
    )


def target_of(version: Version) -> Target:
    return Target(version.number, version.digest, version.files, memory_bytes=5_000_000)


def creation(model: Model, *, key: IdempotencyKey | None = None) -> Change:
    return Change(
        model,
        attempt_at(key=key),
        action="model.create",
        object=model.name,
        before=None,
        after=sha256_of(model.name),
        writes=(Put(Pointer(model.name, model.team)),),
        result={"model": model.name},
    )


def registration(head: Model, *, bundle: str | None = None, key: IdempotencyKey | None = None) -> Change:
    version = version_of(head, head.versions + 1, bundle=bundle)
    return Change(
        replace(head, versions=version.number),
        attempt_at(key=key),
        action="version.register",
        object=version.digest,
        before=None,
        after=version.digest,
        writes=(Put(version),),
        edges=tuple(
            Edge(f"version:{version.digest}", "contains", f"blob:{blob.sha256}")
            for blob in version.files.values()
        ),
        result={"version": version.number},
    )


def putting(head: Model, pointer: Pointer, policy: Policy) -> Change:
    """What putting a policy writes: the policy, its entry in the history, the pointer's copy."""
    return Change(
        head,
        attempt_at(),
        action="policy.put",
        object=f"policy:{policy.digest}",
        before=None,
        after=policy.digest,
        writes=(Put(policy), Put(replace(pointer, policy=policy.copy))),
    )


def promotion(head: Model, pointer: Pointer, version: Version, *, at: datetime, reason: str) -> Change:
    """What a promotion writes: champion, timeline, version, audit entry, reason."""
    generation = pointer.revision + 1
    reign = Reign(
        model=head.name,
        started_at=at,
        generation=generation,
        version=version.number,
        digest=version.digest,
        approved_by=ADA,
        reason=PSEUDONYMS.commitment(reason),
        action="promote",
    )
    return Change(
        head,
        attempt_at(at),
        action="version.promote",
        object=version.digest,
        before=None if pointer.champion is None else pointer.champion.digest,
        after=version.digest,
        writes=(
            Put(replace(pointer, champion=target_of(version), started_at=at)),
            Put(replace(version, stage="champion")),
            Append(reign),
        ),
        edges=(Edge(f"reign:{head.name}/{generation}", "of", f"version:{version.digest}"),),
        reason=reason,
        result={"generation": generation},
    )


def naming(head: Model, name: str, version: Version, *, alias: Alias | None = None) -> Change:
    record = alias or Alias(head.name, head.team, name, target_of(version))
    return Change(
        head,
        attempt_at(),
        action="alias.set",
        object=name,
        before=None,
        after=version.digest,
        writes=(Put(replace(record, target=target_of(version))),),
    )


def unnaming(head: Model, alias: Alias) -> Change:
    return Change(
        head,
        attempt_at(),
        action="alias.delete",
        object=alias.name,
        before=alias.target.digest,
        after=None,
        writes=(Remove(alias),),
    )
