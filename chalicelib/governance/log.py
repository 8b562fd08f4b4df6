"""Reading the transparency log: its checkpoints, its entries, and proofs from its tiles."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from chalicelib.governance.notary import LATEST, checkpoint_path
from chalicelib.ports import LineageStore, LogObjects, LogSigner
from tiltyard.audit import merkle
from tiltyard.audit.checkpoint import Checkpoint, VerifierKey, open_note
from tiltyard.audit.entry import Entry
from tiltyard.audit.tiles import WIDTH, Tiles, bundle_entries
from tiltyard.errors import NotFound


@dataclass(frozen=True, slots=True)
class Shown:
    """A checkpoint with its signed note and the key that verifies it."""

    checkpoint: Checkpoint
    note: str
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Proof that `leaf` is entry `index` of the log of `size` entries with root `root`."""

    index: int
    size: int
    leaf: bytes
    root: bytes
    proof: list[bytes]


@dataclass(frozen=True, slots=True)
class Consistency:
    """Proof that the log of size `second` begins with that of size `first`."""

    first: int
    second: int
    root_1: bytes
    root_2: bytes
    proof: list[bytes]


class Log:
    """What can be read of a stage's log. Everything comes from its files, which anyone may copy."""

    def __init__(self, objects: LogObjects, signer: LogSigner, *, origin: str) -> None:
        self._objects = objects
        self._signer = signer
        self._origin = origin

    def checkpoint(self, size: int | None = None) -> Shown:
        """The latest checkpoint, or the one that was signed at a size.

        Raises `NotFound` before the first entry, and for a size at which none was signed.
        """
        note = self._objects.read(LATEST if size is None else checkpoint_path(size))
        if note is None and size is None:
            raise NotFound("Nothing has been logged yet; a change is, some seconds after it is made.")
        if note is None:
            raise NotFound(f"No checkpoint was signed at size {size}; a consistency proof leads to any size.")
        key = VerifierKey(self._origin, self._signer.public_key())
        text = note.decode()
        return Shown(open_note(text, key), text, key)

    def entries(self, start: int, *, limit: int) -> tuple[list[tuple[int, bytes, bytes]], int]:
        """Entries from index `start` on as (index, leaf hash, bytes), and the log's size.

        Raises `NotFound` when `start` is beyond the log.
        """
        size = self.checkpoint().checkpoint.size
        if start > size:
            raise NotFound(f"The log has {size} entries so far: none from index {start} on.")
        tiles = Tiles(self._objects.read, size)
        found = []
        for index, entry in self._from(start, min(size, start + limit), size):
            found.append((index, tiles.leaf_hash(index), entry))
        return found, size

    def first_since(self, at: datetime) -> int:
        """The index of the first entry of a time or later, the log's size when there is none.

        Entries are logged in the order of their ids, which is that of time to
        within the clocks of a stage; so is what this finds.
        """
        size = self.checkpoint().checkpoint.size

        def time_of(index: int) -> datetime:
            ((_, content),) = self._from(index, index + 1, size)
            return Entry.from_bytes(content).time

        return bisect_left(range(size), at, key=time_of)

    def inclusion(self, index: int, size: int | None) -> Inclusion:
        """Raises `NotFound` for a size beyond the log, or an index beyond the size."""
        tiles, size = self._tiles(size)
        if index >= size:
            raise NotFound(f"A log of {size} entries has no entry {index}.")
        leaf, proof = tiles.leaf_hash(index), merkle.inclusion_proof(index, size, tiles.node)
        return Inclusion(index, size, leaf, tiles.root(size), proof)

    def consistency(self, first: int, second: int | None) -> Consistency:
        """Raises `NotFound` for a size beyond the log, or a second one below the first."""
        tiles, second = self._tiles(second)
        if not 1 <= first <= second:
            raise NotFound(f"There is no proof from size {first} to size {second}.")
        proof = merkle.consistency_proof(first, second, tiles.node)
        return Consistency(first, second, tiles.root(first), tiles.root(second), proof)

    def _tiles(self, size: int | None) -> tuple[Tiles, int]:
        """The whole log's tiles, and the size that is asked about (None: all of it).

        Partial tiles exist only at sizes at which a batch ended, but every node of
        a smaller log is a node of the whole one.
        """
        head = self.checkpoint().checkpoint.size
        if size is not None and size > head:
            raise NotFound(f"The log has {head} entries so far, not {size}.")
        return Tiles(self._objects.read, head), head if size is None else size

    def _from(self, start: int, end: int, size: int) -> Iterator[tuple[int, bytes]]:
        index = start
        while index < end:
            bundle, within = divmod(index, WIDTH)
            held = bundle_entries(self._objects.read, bundle, min(WIDTH, size - bundle * WIDTH))
            for entry in held[within : within + end - index]:
                yield index, entry
                index += 1


def change_since(lineage: LineageStore, scope: str, changes: int, at: datetime) -> int:
    """The number of a head's first change of a time or later, the next number when there is none."""
    return 1 + bisect_left(range(1, changes + 1), at, key=lambda number: _time_of(lineage, scope, number))


def _time_of(lineage: LineageStore, scope: str, number: int) -> datetime:
    logged = lineage.change(scope, number)
    if logged is None:
        raise NotFound(f"{scope} has no change {number}.")
    return Entry.from_bytes(logged.entry).time
