"""Whether a log is what its checkpoint says, and still begins as somebody remembers it.

Nothing here trusts the service: entries are hashed anew, and only the public key
says which checkpoint is the log's. Everything is read once and in order, so memory
doesn't grow with the log (but for a hash each 256 entries).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tiltyard.audit import merkle
from tiltyard.audit.checkpoint import Checkpoint, VerifierKey, open_note
from tiltyard.audit.entry import Entry
from tiltyard.audit.tiles import HEIGHT, WIDTH
from tiltyard.errors import IntegrityError

Progress = Callable[[int, int], None]
"""Called with the number of entries read and the log's size."""


class Source(Protocol):
    """Where a log is read from. Nothing that it gives is believed."""

    def note(self) -> str:
        """The latest checkpoint, a signed note."""
        ...

    def older_notes(self) -> Iterable[str]:
        """Earlier checkpoints, as far as they are at hand."""
        ...

    def entries(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        """The first `size` entries in their order: their bytes, and the leaf hash kept beside them."""
        ...

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """A tile above the leaves; None where this source has no tiles."""
        ...


@dataclass(frozen=True, slots=True)
class Verification:
    """A log that holds: `scopes` are the models (and ``team:<team>``) with the number of their changes."""

    origin: str
    size: int
    root: bytes
    scopes: Mapping[str, int]
    checks: tuple[str, ...]


@dataclass
class _Changes:
    """The change numbers of one scope so far: all up to `last`, and those that came before their turn."""

    last: int = 0
    early: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, index: int, scope: str) -> None:
        if number <= self.last or number in self.early:
            raise IntegrityError(f"entry {index}: change {number} of {scope} is in the log twice")
        self.early[number] = index
        while self.last + 1 in self.early:
            self.last += 1
            del self.early[self.last]


def verify(
    source: Source,
    key: VerifierKey,
    *,
    remembered: Sequence[str] = (),
    progress: Progress = lambda read, size: None,
) -> Verification:
    """Check a whole log.

    Parameters
    ----------
    key
        The log's public key, as its auditor keeps it.
    remembered
        Checkpoints kept from earlier: the log must begin with each of them.

    Raises
    ------
    IntegrityError
        At the first bad place, which the message names: an entry that was
        changed, moved, left out or added, a log cut short or forked, a
        checkpoint or tile of something else.
    """
    note = source.note()
    latest = open_note(note, key)
    milestones = _milestones(latest, [*remembered, *source.older_notes()], key)
    frontier, scopes, rows, good = merkle.Frontier(), dict[str, _Changes](), list[bytes](), 0
    group = merkle.Frontier()
    for index, (content, stored) in enumerate(source.entries(latest.size)):
        leaf = merkle.leaf_hash(content)
        _check_entry(index, content, leaf, stored, scopes)
        frontier.append(leaf)
        group.append(leaf)
        if group.size == WIDTH:
            rows.append(group.root())
            group = merkle.Frontier()
        if (milestone := milestones.get(frontier.size)) is not None:
            _check_root(frontier, milestone, good)
            good = frontier.size
        if frontier.size % WIDTH == 0 or frontier.size == latest.size:
            progress(frontier.size, latest.size)
    if frontier.size != latest.size:
        raise IntegrityError(
            f"the log ends behind entry {frontier.size - 1}: its checkpoint says that it has {latest.size}"
            if frontier.size
            else f"the log is empty: its checkpoint says that it has {latest.size} entries"
        )
    _check_root(frontier, latest.root, good)
    _check_complete(scopes)
    has_tiles = _check_rows(source, rows)
    return Verification(
        origin=latest.origin,
        size=latest.size,
        root=latest.root,
        scopes={scope: changes.last for scope, changes in sorted(scopes.items())},
        checks=_told(latest, len(remembered), len(milestones), has_tiles=has_tiles),
    )


def verify_entry(
    content: bytes, index: int, proof: Sequence[bytes], note: str, key: VerifierKey
) -> Checkpoint:
    """Check that a log holds one entry, by its proof against a signed checkpoint, which is returned.

    Raises `IntegrityError` when it doesn't.
    """
    checkpoint = open_note(note, key)
    Entry.from_bytes(content)
    merkle.verify_inclusion(merkle.leaf_hash(content), index, checkpoint.size, proof, checkpoint.root)
    return checkpoint


def _milestones(latest: Checkpoint, notes: Sequence[str], key: VerifierKey) -> dict[int, bytes]:
    """The roots that the log must have on its way, by size."""
    roots: dict[int, bytes] = {latest.size: latest.root}
    for note in notes:
        earlier = open_note(note, key)
        if earlier.size > latest.size:
            raise IntegrityError(
                f"the log was cut short: a checkpoint of {earlier.size} entries was signed, "
                f"and it shows {latest.size}"
            )
        if roots.setdefault(earlier.size, earlier.root) != earlier.root:
            raise IntegrityError(
                f"the log was forked: two checkpoints of {earlier.size} entries are signed, "
                f"with the roots {roots[earlier.size].hex()} and {earlier.root.hex()}"
            )
        if earlier.size == 0 and earlier.root != merkle.EMPTY_ROOT:
            raise IntegrityError("a checkpoint of no entries has a root that isn't the empty log's")
    return roots


def _check_entry(index: int, content: bytes, leaf: bytes, stored: bytes, scopes: dict[str, _Changes]) -> None:
    try:
        entry = Entry.from_bytes(content)
    except IntegrityError as exc:
        raise IntegrityError(f"entry {index}: {exc.detail}") from exc
    if leaf != stored:
        raise IntegrityError(f"entry {index}: its hash isn't the one that was logged there")
    scopes.setdefault(entry.model, _Changes()).add(entry.change, index, entry.model)


def _check_root(frontier: merkle.Frontier, root: bytes, good: int) -> None:
    if frontier.root() != root:
        before = f"; up to entry {good - 1} all are" if good else ""
        raise IntegrityError(
            f"entries {good} to {frontier.size - 1}: one of them isn't what was signed at size "
            f"{frontier.size}{before}"
        )


def _check_complete(scopes: Mapping[str, _Changes]) -> None:
    for scope, changes in scopes.items():
        if changes.early:
            index = min(changes.early.values())
            raise IntegrityError(
                f"entry {index}: change {changes.last + 1} of {scope} is missing, and a later one is there"
            )


def _check_rows(source: Source, hashes: list[bytes]) -> bool:
    """Hold the tiles above the leaves against the entries; whether there were any."""
    level, found = 1, False
    while hashes:
        for start in range(0, len(hashes), WIDTH):
            part = hashes[start : start + WIDTH]
            tile = source.tile(level, start >> HEIGHT, len(part))
            if tile is None:
                return found
            found = True
            for place, expected in enumerate(part):
                if tile[place * merkle.HASH_BYTES : (place + 1) * merkle.HASH_BYTES] != expected:
                    first = (start + place) << HEIGHT * level
                    raise IntegrityError(
                        f"tile {start >> HEIGHT} of level {level}: its hash {place} (entry {first} and on) "
                        "isn't that of the entries"
                    )
        full = len(hashes) // WIDTH
        hashes = [merkle.root(hashes[at * WIDTH : (at + 1) * WIDTH]) for at in range(full)]
        level += 1
    return found


def _told(latest: Checkpoint, remembered: int, milestones: int, *, has_tiles: bool) -> tuple[str, ...]:
    checks = [
        f"the checkpoint of {latest.size} entries is signed by the key",
        "every entry is canonical and hashes to its leaf",
        "the entries hash to the signed root",
        "each model's changes are there without gap or double",
    ]
    if milestones > 1:
        checks.append(f"the log passes through {milestones - 1} earlier signed checkpoints")
    if remembered:
        checks.append("the log begins with the checkpoint that was remembered")
    if has_tiles:
        checks.append("the tiles are those of the entries")
    return tuple(checks)
