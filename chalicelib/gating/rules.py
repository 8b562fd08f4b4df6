"""Who may reign, from when, and what a swap writes: pure decisions over records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from chalicelib.lineage.records import Pointer, Target, Version
from chalicelib.registry.rules import usable
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import Conflict, Fault, PolicyMisfit

TICK = timedelta(milliseconds=1)
"""Reigns are kept to the millisecond, and no two start in the same one."""

Action = Literal["promote", "rollback"]


@dataclass(frozen=True, slots=True)
class Swap:
    """One promotion or rollback, done."""

    model: str
    version: int
    generation: int
    started_at: datetime
    previous: int | None

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "version": self.version,
            "generation": self.generation,
            "started_at": canonical_time(self.started_at),
            "previous": self.previous,
        }


def promotable(version: Version) -> Target:
    """What the pointer will hold; `Conflict` for the champion itself, `NotReady` for the unexamined."""
    _check_other(version)
    return usable(version)


def past_champion(version: Version) -> Target:
    """What the pointer will hold; raises `Conflict` unless `version` reigned before.

    A champion retires, and nothing else does: the stage, or the one before it was
    archived, is the proof.
    """
    _check_other(version)
    if (version.archived_from or version.stage) != "retired":
        raise Conflict(
            f"Version {version.number} of {version.model!r} never was champion (it is {version.stage}); "
            "promote it instead."
        )
    return usable(version)


def _check_other(version: Version) -> None:
    if version.stage == "champion":
        raise Conflict(f"Version {version.number} of {version.model!r} is the champion already.")


def check_policy(faults: Sequence[Fault], *, number: int, version: int) -> None:
    """Raise `PolicyMisfit` when policy `number` asks for what `version` can't do."""
    if faults:
        raise PolicyMisfit(
            f"Version {version} can't follow policy {number}; put a policy that fits it, then try again.",
            faults=faults,
        )


def start_of_reign(now: datetime, pointer: Pointer) -> datetime:
    """max(now, previous start + 1 ms), in whole milliseconds: clocks that disagree can't turn time back."""
    start = now.replace(microsecond=now.microsecond // 1000 * 1000)
    if pointer.started_at is None:
        return start
    return max(start, pointer.started_at + TICK)
