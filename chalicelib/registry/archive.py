"""Putting versions away, and back: what somebody counts on can't be put away."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.lineage.races import settle
from chalicelib.lineage.records import Attempt, Change, Model, Put, Version
from chalicelib.lineage.states import state_digest
from chalicelib.ports import LineageStore, Pseudonyms
from chalicelib.registry import rules
from chalicelib.registry.service import aliases_of, find_model, find_version


def archive(
    lineage: LineageStore, pseudonyms: Pseudonyms, name: str, number: int, *, reason: str, attempt: Attempt
) -> Version:
    """Put a version away: it can't answer, be promoted, or be named by an alias until it is restored.

    Nothing is deleted; an archived one again is no change.

    Raises
    ------
    NotFound
        Without such a version.
    Conflict
        For the champion, a challenger, a version that an alias names, or one that is being examined.
    """

    def change() -> Version:
        # The aliases after the model: whoever sets one meanwhile changes the model, and this is read again.
        model = find_model(lineage, name)
        version = find_version(lineage, name, number)
        if version.stage == "archived":
            return version
        rules.check_archivable(version, aliases_of(lineage, name))
        archived = replace(version, stage="archived", archived_from=version.stage)
        return _moved(
            lineage, pseudonyms, "version.archive", model, version, archived, reason=reason, attempt=attempt
        )

    return settle(change)


def restore(
    lineage: LineageStore, pseudonyms: Pseudonyms, name: str, number: int, *, reason: str, attempt: Attempt
) -> Version:
    """Put an archived version back to the stage that it had; one that isn't archived stays as it is.

    Raises `NotFound` without such a version.
    """

    def change() -> Version:
        model = find_model(lineage, name)
        version = find_version(lineage, name, number)
        if version.stage != "archived" or version.archived_from is None:
            return version
        restored = replace(version, stage=version.archived_from, archived_from=None)
        return _moved(
            lineage, pseudonyms, "version.restore", model, version, restored, reason=reason, attempt=attempt
        )

    return settle(change)


def _moved(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    action: str,
    model: Model,
    before: Version,
    after: Version,
    *,
    reason: str,
    attempt: Attempt,
) -> Version:
    lineage.commit(
        Change(
            model=model,
            attempt=attempt,
            action=action,
            object=f"version:{before.digest}",
            before=state_digest(before, commitment=pseudonyms.commitment),
            after=state_digest(after, commitment=pseudonyms.commitment),
            writes=(Put(after),),
            reason=reason,
            result={"model": model.name, "version": before.number},
        )
    )
    return replace(after, revision=after.revision + 1)
