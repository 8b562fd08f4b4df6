"""Aliases: a team's own names for versions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.lineage.races import settle
from chalicelib.lineage.records import Alias, Attempt, Change, Put, Remove
from chalicelib.lineage.states import state_digest
from chalicelib.ports import LineageStore, Pseudonyms
from chalicelib.registry import rules
from chalicelib.registry.rules import Precondition
from chalicelib.registry.service import aliases_of, find_model, find_version
from tiltyard.errors import NotFound


@dataclass(frozen=True, slots=True)
class AliasSetting:
    alias: Alias
    is_new: bool


def find_alias(lineage: LineageStore, model: str, name: str) -> Alias:
    alias = lineage.alias(model, name)
    if alias is None:
        raise NotFound(f"{model!r} has no alias {name!r}.")
    return alias


def set_alias(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    name: str,
    alias_name: str,
    number: int,
    *,
    pinned: bool | None = None,
    precondition: Precondition | None,
    attempt: Attempt,
) -> AliasSetting:
    """Point an alias at a version that passed its examination, and pin or unpin it (None: as it is).

    Raises
    ------
    Conflict
        When it is pinned to another version.
    InvalidInput
        For a name that breaks the rule or is reserved.
    NotReady
        When the version can't be used.
    PreconditionFailed
        When the alias moved since the caller read it.
    """
    rules.check_alias_name(alias_name)

    def change() -> AliasSetting:
        model = find_model(lineage, name)
        present = lineage.alias(name, alias_name)
        if precondition is not None:
            precondition.check(None if present is None else present.revision, what=f"alias {alias_name!r}")
        target = rules.usable(find_version(lineage, name, number))
        if present is None:
            rules.check_room_for_alias(aliases_of(lineage, name), model)
            alias = Alias(name, model.team, alias_name, target, pinned=bool(pinned))
        else:
            alias = replace(present, target=target, pinned=present.pinned if pinned is None else pinned)
            if alias == present:
                return AliasSetting(present, is_new=False)
            if target != present.target:
                rules.check_may_move(present)
        head = lineage.commit(
            Change(
                model=model,
                attempt=attempt,
                action="alias.set",
                object=f"alias:{name}/{alias_name}",
                before=state_digest(present, commitment=pseudonyms.commitment),
                after=state_digest(alias, commitment=pseudonyms.commitment),
                writes=(Put(alias),),
                result={"model": name, "alias": alias_name, "is_new": present is None},
            )
        )
        revision = head.changes if present is None else present.revision + 1
        return AliasSetting(replace(alias, revision=revision), is_new=present is None)

    return settle(change)


def remove_alias(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    name: str,
    alias_name: str,
    *,
    precondition: Precondition | None,
    attempt: Attempt,
) -> None:
    """Delete an alias.

    Raises
    ------
    NotFound
        Without such an alias.
    Conflict
        When it is pinned.
    PreconditionFailed
        When it moved since it was read.
    """

    def change() -> None:
        alias = find_alias(lineage, name, alias_name)
        if precondition is not None:
            precondition.check(alias.revision, what=f"alias {alias_name!r}")
        rules.check_may_move(alias)
        lineage.commit(
            Change(
                model=find_model(lineage, name),
                attempt=attempt,
                action="alias.remove",
                object=f"alias:{name}/{alias_name}",
                before=state_digest(alias, commitment=pseudonyms.commitment),
                after=None,
                writes=(Remove(alias),),
                result={"model": name, "alias": alias_name},
            )
        )

    settle(change)
