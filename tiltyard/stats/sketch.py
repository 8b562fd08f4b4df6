"""How many rows are the same as another: the smallest hashes of whole rows, with how often each came.

A bottom-k sample of distinct rows (Cohen & Kaplan 2007, Summarizing data using bottom-k
sketches): which rows are kept follows from their hashes alone, so it is a uniform
sample of the distinct ones, and how often each came is exact, whatever the order
and the parts in which rows were counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 64
EVERY = 2**64 - 1
NONE = -1

_CANDIDATES = 2 * MOST
_MULTIPLIERS = np.random.default_rng(20130101).integers(0, 2**63, size=4096, dtype=np.uint64) * np.uint64(
    2
) + np.uint64(1)

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Sketch:
    """Distinct rows by their hashes, ascending, with how often each came.

    All rows with hashes up to `limit` are in it, and none beyond: `EVERY` when none was
    left out, `NONE` when nothing is known.
    """

    counts: tuple[tuple[int, int], ...] = ()
    limit: int = EVERY

    @classmethod
    def of(cls, hashes: Hashes) -> Sketch:
        """Of rows by their hashes."""
        if len(hashes) > 2 * _CANDIDATES:
            # Those below the largest of the smallest ones are all there.
            smallest = np.sort(np.partition(hashes, _CANDIDATES)[: _CANDIDATES + 1])
            found = cls._counted(smallest[: np.searchsorted(smallest, smallest[-1])])
            if len(found) > MOST:
                return cls._cut(found, EVERY)
        return cls._cut(cls._counted(np.sort(hashes)), EVERY)

    @staticmethod
    def _counted(ascending: Hashes) -> list[tuple[int, int]]:
        """The first distinct ones, one more than are kept, with how often each is there."""
        if not len(ascending):
            return []
        changes = np.flatnonzero(ascending[1:] != ascending[:-1])[: MOST + 1]
        ends = np.empty(len(changes) + 1, np.int64)
        ends[:-1], ends[-1] = changes, len(ascending) - 1
        times = ends.copy()
        times[1:] -= ends[:-1]
        times[:1] += 1
        return list(zip(ascending[ends].tolist(), times.tolist(), strict=True))[: MOST + 1]

    @classmethod
    def _cut(cls, counts: list[tuple[int, int]], limit: int) -> Sketch:
        if len(counts) > MOST:
            counts = counts[:MOST]
            limit = counts[-1][0]
        return cls(tuple(counts), limit)

    def __add__(self, other: Sketch) -> Sketch:
        limit = min(self.limit, other.limit)
        counts = Counter(dict(self.counts))
        counts.update(dict(other.counts))
        return self._cut(sorted(item for item in counts.items() if item[0] <= limit), limit)

    def less(self, part: Sketch) -> Sketch | None:
        """The rest, such that ``rest + part == self``; None when `part` can't be a part of this."""
        if part.limit < self.limit:
            return None
        rest = Counter(dict(self.counts))
        rest.subtract({row: times for row, times in part.counts if row <= self.limit})
        if min(rest.values(), default=0) < 0:
            return None
        return Sketch(tuple(sorted(item for item in rest.items() if item[1])), self.limit)

    @property
    def is_known(self) -> bool:
        return self.limit != NONE

    @property
    def distinct(self) -> int:
        return len(self.counts)

    @property
    def repeated(self) -> int:
        """Distinct rows that came more than once."""
        return sum(times > 1 for _, times in self.counts)


UNKNOWN = Sketch(limit=NONE)


def hashes_of(columns: NDArray[np.uint64]) -> Hashes:
    """A hash of each row, by its columns' 64 bits, shape (columns, rows).

    Multiply-shift of every column (Dietzfelbinger et al. 1997), added up, and the
    finaliser of splitmix64 (Steele, Lea & Flood 2014).
    """
    # What is round in decimal or binary has all its bits at one end.
    folded = columns >> np.uint64(32)
    folded ^= columns
    mixed: Hashes = np.einsum("ij,i->j", folded, _MULTIPLIERS[: len(columns)])
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
