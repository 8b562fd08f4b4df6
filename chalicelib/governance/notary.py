"""The notary: gives committed audit entries their places in the transparency log.

The write order makes every step repeatable, by this notary or another one: the
plan goes into the head before anything of it is written, tiles and checkpoints
follow from the plan alone, and the head moves past the plan by one conditional
write. A start finishes the plan that it finds. Two notaries at once write the
same bytes; one of them loses the head and looks again.

1. read what waits, oldest first; 2. the plan into the head; 3. bundles and tiles,
each if absent or equal; 4. and 5. the signed checkpoint under its size, likewise;
6. size, root and frontier into the head, the plan is done; 7. entries leave the
waiting room, their changes learn their index; 8. ``checkpoint`` is overwritten,
never by an older one, and the plan leaves the head.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from chalicelib.lineage.log import LogHead, Pending, Plan, Planned, TableLog
from chalicelib.ports import LogObjects, LogSigner
from tiltyard.audit import merkle
from tiltyard.audit.checkpoint import Checkpoint, VerifierKey, open_note, sign
from tiltyard.audit.tiles import WIDTH, Tiles, decode_entries, grown, grown_entries, parse_path
from tiltyard.errors import IntegrityError, LostRace

log = logging.getLogger("tiltyard.notary")

BATCH = 256
LATEST = "checkpoint"


def checkpoint_path(size: int) -> str:
    """Where the checkpoint of a size lies for good: its name holds the size, so none covers another."""
    return f"checkpoints/{size:012d}"


def notarise(
    table: TableLog,
    objects: LogObjects,
    signer: LogSigner,
    *,
    origin: str,
    is_time_left: Callable[[], bool] = lambda: True,
) -> bool:
    """Log all that waits; whether nothing waits any more (False: time ran out before).

    Nothing waiting, nothing is written.

    Raises
    ------
    IntegrityError
        When what is stored isn't what the log must hold there. Nothing more is
        written then: a person has to look.
    """
    key = VerifierKey(origin, signer.public_key())
    while is_time_left():
        try:
            if not _advanced(table, objects, signer, key):
                return True
        except LostRace:
            log.info("another notary was first; looking again")
    return False


def _advanced(table: TableLog, objects: LogObjects, signer: LogSigner, key: VerifierKey) -> bool:
    """Carry one plan through; False when there is none and nothing waits."""
    head = table.head()
    if head.plan is None:
        waiting = table.waiting(limit=BATCH)
        if not waiting:
            return False
        ordered = _in_order(waiting)
        entries = tuple(Planned(pending.id, merkle.leaf_hash(pending.entry)) for pending in ordered)
        head = table.move(replace(head, plan=Plan(head.size, entries)))
    plan = head.plan
    assert plan is not None
    if not plan.is_done:
        head = _sequenced(table, objects, signer, key, head, plan)
    _settled(table, objects, key, head, plan)
    log.info("logged %d entries, size %d", len(plan.entries), head.size)
    return True


def _in_order(waiting: Sequence[Pending]) -> list[Pending]:
    """By id, and each model's by number: ids of one millisecond, or of two clocks, are in no order."""
    by_scope: dict[str, list[Pending]] = {}
    for pending in sorted(waiting, key=lambda pending: pending.number):
        by_scope.setdefault(pending.scope, []).append(pending)
    turns = {scope: iter(of_scope) for scope, of_scope in by_scope.items()}
    return [next(turns[pending.scope]) for pending in waiting]


def _sequenced(
    table: TableLog,
    objects: LogObjects,
    signer: LogSigner,
    key: VerifierKey,
    head: LogHead,
    plan: Plan,
) -> LogHead:
    """Steps 3 to 6: what follows from the plan, then the head past it."""
    entries = _entries(table, head, plan)
    leaves = [planned.leaf for planned in plan.entries]
    bundles = grown_entries(plan.first, entries, objects.read)
    tiles = grown(plan.first, leaves, objects.read)
    frontier = merkle.Frontier(plan.first, head.frontier)
    for leaf in leaves:
        frontier.append(leaf)
    _check_grown(objects, bundles, tiles, frontier)
    for path, content in (bundles | tiles).items():
        _put(objects, path, content)
    _put_checkpoint(objects, signer, key, Checkpoint(key.name, frontier.size, frontier.root()))
    done = replace(plan, is_done=True)
    return table.move(
        replace(head, size=frontier.size, root=frontier.root(), frontier=frontier.roots, plan=done)
    )


def _entries(table: TableLog, head: LogHead, plan: Plan) -> list[bytes]:
    """The plan's entries, which wait until the plan is done."""
    found = table.pending([planned.id for planned in plan.entries])
    entries = []
    for planned in plan.entries:
        pending = found.get(planned.id)
        if pending is None:
            if table.head().revision != head.revision:
                raise LostRace("another notary finished this plan")
            raise IntegrityError(f"entry {planned.id} was planned and is gone before it was logged")
        if merkle.leaf_hash(pending.entry) != planned.leaf:
            raise IntegrityError(f"entry {planned.id} was changed after it was planned")
        entries.append(pending.entry)
    return entries


def _check_grown(
    objects: LogObjects, bundles: Mapping[str, bytes], tiles: Mapping[str, bytes], frontier: merkle.Frontier
) -> None:
    """What is about to be locked must go with the head: old partial files are carried on into new ones."""
    grown_log = Tiles(lambda path: tiles.get(path) or objects.read(path), frontier.size)
    if grown_log.root() != frontier.root():
        raise IntegrityError("the log's tiles aren't those that its head grew from: they were changed")
    for path, content in bundles.items():
        _, index, _ = parse_path(path)
        for place, entry in enumerate(decode_entries(content), start=index * WIDTH):
            if merkle.leaf_hash(entry) != grown_log.leaf_hash(place):
                raise IntegrityError(f"entry {place} isn't the one that was logged: it was changed")


def _settled(table: TableLog, objects: LogObjects, key: VerifierKey, head: LogHead, plan: Plan) -> None:
    """Steps 7 and 8. Whoever finds the plan done may do them again."""
    found = table.pending([planned.id for planned in plan.entries])
    placed: list[tuple[Pending, int]] = [
        (found[planned.id], index)
        for index, planned in enumerate(plan.entries, start=plan.first)
        if planned.id in found
    ]
    table.settle(placed)
    note = objects.read(checkpoint_path(head.size))
    if note is None:
        raise IntegrityError(f"the checkpoint of size {head.size} is gone")
    _show(objects, key, note, head.size)
    table.move(replace(head, plan=None))


def _put(objects: LogObjects, path: str, content: bytes) -> None:
    """If absent or equal: what the log holds once never changes."""
    if not objects.put_new(path, content) and objects.read(path) != content:
        raise IntegrityError(f"{path} holds other bytes than the log must have there")


def _put_checkpoint(objects: LogObjects, signer: LogSigner, key: VerifierKey, checkpoint: Checkpoint) -> None:
    path = checkpoint_path(checkpoint.size)
    stored = objects.read(path)
    if stored is None:
        note = sign(checkpoint, key, signer.sign).encode()
        if objects.put_new(path, note):
            return
        stored = objects.read(path) or b""
    if open_note(_text(stored), key) != checkpoint:
        raise IntegrityError(f"{path} is of another log: this one was forked")


def _show(objects: LogObjects, key: VerifierKey, note: bytes, size: int) -> None:
    """Overwrite ``checkpoint``, unless a later one is there by now."""
    while True:
        found = objects.read_tagged(LATEST)
        if found is not None:
            shown = open_note(_text(found[0]), key)
            if shown.size == size and shown != open_note(_text(note), key):
                raise IntegrityError(f"{LATEST} shows another log of {size} entries than this one")
            if shown.size >= size:
                return
        if objects.swap(LATEST, note, tag=None if found is None else found[1]):
            return


def _text(note: bytes) -> str:
    try:
        return note.decode()
    except UnicodeDecodeError as exc:
        raise IntegrityError("a stored checkpoint isn't text") from exc
