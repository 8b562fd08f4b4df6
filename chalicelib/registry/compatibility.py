"""Whether a version can take the champion's place without its callers noticing.

Every row that the champion takes must be taken, and the answer must mean the
same. Categories and ranges don't count: a value outside them is answered with
a warning.
"""

from __future__ import annotations

from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import Fault, Incompatible

# A caller who sends the first may go on when the model takes the second.
_WIDER = frozenset({("integer", "number")})


def check_compatible(champion: Signature, successor: Signature) -> None:
    """Hold `successor` against what callers of `champion` send and read.

    Raises
    ------
    Incompatible
        With one fault for each difference; pointers go into ``signature.json``.
    """
    faults = [*_answer_faults(champion, successor), *_column_faults(champion, successor)]
    if faults:
        raise Incompatible(
            "Callers of the champion couldn't call this version; register it as a model of its own, "
            "or with a signature that takes the champion's rows.",
            faults=faults,
        )


def _answer_faults(champion: Signature, successor: Signature) -> list[Fault]:
    faults = []
    if successor.task != champion.task:
        faults.append(Fault("/signature/task", f"is {successor.task}, the champion's is {champion.task}"))
    if successor.target != champion.target:
        faults.append(
            Fault("/signature/target", f"is {successor.target!r}, the champion's is {champion.target!r}")
        )
    # The second class of a binary model is the positive one: there the order is part of the meaning.
    is_same = (
        successor.classes == champion.classes
        if champion.task == "binary"
        else set(successor.classes) == set(champion.classes)
    )
    if not is_same:
        faults.append(
            Fault(
                "/signature/classes",
                f"are {list(successor.classes)}, the champion's {list(champion.classes)}",
            )
        )
    return faults


def _column_faults(champion: Signature, successor: Signature) -> list[Fault]:
    before = {column.name: column for column in champion.columns}
    after = {column.name: (n, column) for n, column in enumerate(successor.columns)}
    faults = [
        Fault("/signature/columns", f"{name!r} is gone, and rows that hold it would be refused")
        for name in before
        if name not in after
    ]
    for name, (n, column) in after.items():
        where = f"/signature/columns/{n}"
        if name in before:
            faults.extend(_changes(before[name], column, where))
        elif column.is_input:
            faults.append(Fault(where, f"{name!r} is new and required, and no caller sends it"))
    return faults


def _changes(before: Column, after: Column, where: str) -> list[Fault]:
    name, faults = before.name, []
    if after.type != before.type and (before.type, after.type) not in _WIDER:
        faults.append(Fault(f"{where}/type", f"{name!r} is {after.type}, the champion's is {before.type}"))
    if before.is_nullable and not after.is_nullable:
        faults.append(Fault(f"{where}/nullable", f"{name!r} may be null for the champion"))
    if after.is_input and not before.is_input:
        faults.append(Fault(f"{where}/input", f"{name!r} is required by now, and callers may leave it out"))
    return faults
