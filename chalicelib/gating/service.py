"""Promotion, rollback, and who reigned when.

A swap is one conditional write of pointer, both versions, the reign and the
audit entry. Whoever loses the race for a generation gets `LostRace`, and nothing
has changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.gating import rules
from chalicelib.gating.rules import Action, Swap
from chalicelib.lineage.races import settle
from chalicelib.lineage.records import (
    Append,
    Attempt,
    Change,
    Edge,
    Model,
    Node,
    Page,
    Pointer,
    Put,
    Reign,
    Target,
    Version,
)
from chalicelib.lineage.states import state_digest
from chalicelib.ports import ArtifactStore, LineageStore, Pseudonyms
from chalicelib.registry.compatibility import check_compatible
from tiltyard.contract.signature import Signature
from tiltyard.errors import Conflict, LostRace, NotFound
from tiltyard.runtime.bundle import SIGNATURE, SIZE_LIMITS
from tiltyard.runtime.policy import check_fit, parse

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Period:
    """A reign with its end, which is the next one's start; None while it lasts."""

    reign: Reign
    ended_at: datetime | None


def promote(
    lineage: LineageStore,
    artifacts: ArtifactStore,
    pseudonyms: Pseudonyms,
    name: str,
    number: int,
    *,
    reason: str,
    attempt: Attempt,
) -> Swap:
    """Make a version the champion.

    Raises
    ------
    NotFound
        When the model has no such version.
    NotReady
        When the version didn't pass its examination, or was put away.
    Incompatible
        When callers of the champion couldn't call it.
    PolicyMisfit
        When it couldn't follow the model's policy.
    LostRace
        When another version became champion meanwhile.
    """
    first = _pointer(lineage, name)

    def change() -> Swap:
        pointer = _unchanged(lineage, name, first)
        version = _version(lineage, name, number)
        target = rules.promotable(version)
        if pointer.champion is not None:
            check_compatible(_signature(artifacts, pointer.champion), _signature(artifacts, target))
        _check_policy(artifacts, pointer, target)
        return _swap(
            lineage, pseudonyms, pointer, version, target, action="promote", reason=reason, attempt=attempt
        )

    return settle(change, check=lambda: _check_unchanged(lineage, name, first))


def roll_back(
    lineage: LineageStore,
    artifacts: ArtifactStore,
    pseudonyms: Pseudonyms,
    name: str,
    number: int | None,
    *,
    reason: str,
    attempt: Attempt,
) -> Swap:
    """Make a past champion the champion again: the last one before this, or version `number`.

    Compatibility isn't asked: callers have called that version before, and a
    way back must not be shut by what came after.

    Raises
    ------
    NotFound
        When the model has no such version.
    Conflict
        When the version never reigned, or there is none to go back to.
    PolicyMisfit
        When it couldn't follow the model's policy.
    LostRace
        When another version became champion meanwhile.
    """
    first = _pointer(lineage, name)

    def change() -> Swap:
        pointer = _unchanged(lineage, name, first)
        version = _version(lineage, name, _last_before(lineage, pointer) if number is None else number)
        target = rules.past_champion(version)
        _check_policy(artifacts, pointer, target)
        return _swap(
            lineage, pseudonyms, pointer, version, target, action="rollback", reason=reason, attempt=attempt
        )

    return settle(change, check=lambda: _check_unchanged(lineage, name, first))


def champion(lineage: LineageStore, name: str) -> Period:
    """Who reigns now; raises `NotFound` when nobody does yet."""
    pointer = lineage.pointer(name)
    found = None
    if pointer is not None and pointer.started_at is not None:
        found = champion_at(lineage, name, pointer.started_at)
    if found is None:
        raise NotFound(f"{name!r} has no champion yet; promote a version.")
    return found


def champion_at(lineage: LineageStore, name: str, at: datetime) -> Period | None:
    """Who reigned at a moment and until when; None when nobody did, which is an answer and no error."""
    pointer = lineage.pointer(name)
    if pointer is None or pointer.started_at is None:
        return None
    reign = lineage.reign_at(name, at)
    if reign is None:
        return None
    following = lineage.reign_after(name, reign.started_at) if reign.started_at < pointer.started_at else None
    return Period(reign, None if following is None else following.started_at)


def timeline(
    lineage: LineageStore, name: str, *, limit: int, cursor: str | None, ended_at: datetime | None
) -> Page[Period]:
    """Reigns, newest first; `ended_at` is the start of the reign that the page before ended with."""
    page = lineage.reigns(name, limit=limit, cursor=cursor)
    periods = []
    for reign in page.items:
        periods.append(Period(reign, ended_at))
        ended_at = reign.started_at
    return Page(tuple(periods), page.next)


def first_reign(lineage: LineageStore, version: Version) -> datetime | None:
    """When a version first became champion; None when it never did."""
    first, cursor = None, None
    while True:
        page = lineage.reigns(version.model, limit=_PAGE, cursor=cursor)
        of_version = (reign.started_at for reign in reversed(page.items) if reign.version == version.number)
        first = next(of_version, first)
        cursor = page.next
        if cursor is None:
            return first


def _swap(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    pointer: Pointer,
    version: Version,
    target: Target,
    *,
    action: Action,
    reason: str,
    attempt: Attempt,
) -> Swap:
    model, retired = _model(lineage, pointer.model), _champion(lineage, pointer)
    if retired is not None and retired.number == version.number:
        # The pointer was read while this version reigned, the version when it did no more.
        raise LostRace(f"Version {version.number} of {version.model!r} ceased to be champion meanwhile.")
    start = rules.start_of_reign(attempt.at, pointer)
    crowned = replace(pointer, champion=target, started_at=start, generation=pointer.generation + 1)
    swap = Swap(
        model=model.name,
        version=version.number,
        generation=crowned.generation,
        started_at=start,
        previous=None if retired is None else retired.number,
    )
    reign = Reign(
        model=model.name,
        started_at=start,
        generation=swap.generation,
        version=version.number,
        digest=version.digest,
        approved_by=attempt.actor,
        reason=pseudonyms.commitment(reason),
        action=action,
    )
    versions = [replace(version, stage="champion")]
    if retired is not None:
        versions.append(replace(retired, stage="retired"))
    node = f"reign:{model.name}/{swap.generation}"
    edges = [Edge(node, "reign-of", f"version:{version.digest}")]
    if pointer.policy is not None:
        edges.append(Edge(node, "under-policy", f"policy:{pointer.policy.digest}"))
    lineage.commit(
        Change(
            model=model,
            attempt=attempt,
            action=f"champion.{action}",
            object=f"version:{version.digest}",
            before=state_digest(pointer, commitment=pseudonyms.commitment),
            after=state_digest(crowned, commitment=pseudonyms.commitment),
            writes=(Put(crowned), *(Put(changed) for changed in versions), Append(reign)),
            edges=tuple(edges),
            nodes=(_node(node, model, reign),),
            reason=reason,
            result=swap.to_json(),
        )
    )
    return swap


def _node(node: str, model: Model, reign: Reign) -> Node:
    """A reign as the lineage graph shows it."""
    return Node(
        id=node,
        kind="reign",
        label=f"reign {reign.generation} of {model.name}",
        at=reign.started_at,
        model=model.name,
        team=model.team,
        facts={"version": reign.version, "generation": reign.generation, "action": reign.action},
    )


def _pointer(lineage: LineageStore, name: str) -> Pointer:
    """Every model has one, from its creation on."""
    pointer = lineage.pointer(name)
    if pointer is None:
        raise NotFound(f"There is no model {name!r}, or it is not your team's.")
    return pointer


def _unchanged(lineage: LineageStore, name: str, first: Pointer) -> Pointer:
    """The pointer as it is, or `LostRace` when another reign began since the first look."""
    pointer = _pointer(lineage, name)
    if pointer.started_at != first.started_at:
        now = pointer.champion.version if pointer.champion else "nobody"
        raise LostRace(f"Version {now} became champion of {name!r} meanwhile; look again and decide again.")
    return pointer


def _check_unchanged(lineage: LineageStore, name: str, first: Pointer) -> None:
    _unchanged(lineage, name, first)


def _model(lineage: LineageStore, name: str) -> Model:
    model = lineage.model(name)
    if model is None:
        raise NotFound(f"There is no model {name!r}, or it is not your team's.")
    return model


def _version(lineage: LineageStore, name: str, number: int) -> Version:
    version = lineage.version(name, number)
    if version is None:
        raise NotFound(f"{name!r} has no version {number}.")
    return version


def _champion(lineage: LineageStore, pointer: Pointer) -> Version | None:
    if pointer.champion is None:
        return None
    return _version(lineage, pointer.model, pointer.champion.version)


def _signature(artifacts: ArtifactStore, target: Target) -> Signature:
    content = artifacts.read(target.files[SIGNATURE].sha256, limit=SIZE_LIMITS[SIGNATURE])
    return Signature.from_json(json.loads(content))


def _check_policy(artifacts: ArtifactStore, pointer: Pointer, target: Target) -> None:
    """The default fits every version, so only a policy that was put costs a read."""
    if pointer.policy is None:
        return
    signature = _signature(artifacts, target)
    policy = parse(json.loads(pointer.policy.document), task=signature.task)
    rules.check_policy(check_fit(policy, signature), number=pointer.policy.number, version=target.version)


def _last_before(lineage: LineageStore, pointer: Pointer) -> int:
    """The version that reigned before the present champion's reign."""
    before = None
    if pointer.started_at is not None:
        before = lineage.reign_at(pointer.model, pointer.started_at - rules.TICK)
    if before is None:
        raise Conflict(f"{pointer.model!r} has no past champion to go back to.")
    return before.version
