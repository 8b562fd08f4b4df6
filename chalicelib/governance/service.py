"""Policies: put one in force, and read what holds or held."""

from __future__ import annotations

import json
from dataclasses import replace

from chalicelib.lineage.races import settle
from chalicelib.lineage.records import Attempt, Change, Edge, Model, Pointer, Policy, Put
from chalicelib.lineage.states import state_digest
from chalicelib.ports import ArtifactStore, LineageStore, Pseudonyms
from chalicelib.registry.rules import Precondition
from tiltyard.contract.signature import Signature
from tiltyard.errors import InvalidInput, NotFound
from tiltyard.runtime import policy as policies
from tiltyard.runtime.bundle import SIGNATURE, SIZE_LIMITS


def find_policy(lineage: LineageStore, model: Model, number: int | None) -> Policy:
    """The policy in force, or one that was put before; number 0 is the default that holds until then.

    Raises
    ------
    NotFound
        When no policy of this number was ever put.
    """
    if number == 0:
        return _default(model)
    found = lineage.policy(model.name, number)
    if found is not None:
        return found
    if number is not None:
        raise NotFound(f"{model.name!r} has no policy {number}.")
    return _default(model)


def put_policy(
    lineage: LineageStore,
    artifacts: ArtifactStore,
    pseudonyms: Pseudonyms,
    name: str,
    document: object,
    *,
    precondition: Precondition | None,
    attempt: Attempt,
) -> Policy:
    """Put a policy in force; the one that holds already isn't put again.

    Raises
    ------
    InvalidInput
        With a pointer to everything that is wrong, contradicts itself, or can't
        be followed by the champion.
    PreconditionFailed
        When another policy holds by now than the caller read.
    """

    def change() -> Policy:
        model, pointer = lineage.model(name), lineage.pointer(name)
        if model is None or pointer is None:
            raise NotFound(f"There is no model {name!r}, or it is not your team's.")
        policy = policies.parse(document, task=model.task)
        present = find_policy(lineage, model, None)
        if precondition is not None:
            precondition.check(present.number, what=f"the policy of {name!r}")
        _check_fit(artifacts, pointer, policy)
        if present.number and present.digest == policy.digest:
            return present
        put = Policy(
            model=name,
            number=present.number + 1,
            digest=policy.digest,
            document=policy.to_bytes().decode(),
            put_at=attempt.at,
            put_by=attempt.actor,
            revision=present.revision,
        )
        lineage.commit(_change(pseudonyms, model, pointer, present, put, attempt))
        return replace(put, revision=put.number)

    return settle(change)


def _change(
    pseudonyms: Pseudonyms, model: Model, pointer: Pointer, present: Policy, put: Policy, attempt: Attempt
) -> Change[Model]:
    """One transaction: the policy, its place in the history, and the copy that predictors read."""
    node = f"policy:{put.digest}"
    return Change(
        model=model,
        attempt=attempt,
        action="policy.put",
        object=node,
        before=state_digest(present if present.number else None, commitment=pseudonyms.commitment),
        after=state_digest(put, commitment=pseudonyms.commitment),
        writes=(Put(put), Put(replace(pointer, policy=put.copy))),
        edges=(Edge(node, "policy-of", f"model:{model.name}", facts={"policy": put.number}),),
        result={"model": model.name, "policy": put.number},
    )


def _check_fit(artifacts: ArtifactStore, pointer: Pointer, policy: policies.Policy) -> None:
    if pointer.champion is None:
        return
    blob = pointer.champion.files[SIGNATURE]
    signature = Signature.from_json(json.loads(artifacts.read(blob.sha256, limit=SIZE_LIMITS[SIGNATURE])))
    faults = policies.check_fit(policy, signature)
    if faults:
        raise InvalidInput(
            f"The champion, version {pointer.champion.version}, can't follow the policy.", faults=faults
        )


def _default(model: Model) -> Policy:
    policy = policies.default(model.task)
    return Policy(
        model=model.name,
        number=0,
        digest=policy.digest,
        document=policy.to_bytes().decode(),
        put_at=model.created_at,
        put_by="",
    )
