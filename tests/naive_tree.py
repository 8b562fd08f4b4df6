"""A second implementation of the Merkle tree, straight from the definitions of RFC 9162 and as slow."""

from __future__ import annotations

import hashlib
from functools import cached_property


def split(size):
    """The largest power of two smaller than `size`."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


class NaiveTree:
    """Hashes, paths and proofs over `entries` (section 2.1.1, 2.1.3.1, 2.1.4.1)."""

    def __init__(self, entries):
        self.entries = entries
        self._hashes = {}

    @cached_property
    def leaves(self):
        return [hashlib.sha256(b"\0" + entry).digest() for entry in self.entries]

    def hash(self, start, end):
        found = self._hashes.get((start, end))
        if found is None:
            found = self._hashes[start, end] = self._hash(start, end)
        return found

    def _hash(self, start, end):
        size = end - start
        if size == 0:
            return hashlib.sha256(b"").digest()
        if size == 1:
            return self.leaves[start]
        middle = start + split(size)
        return hashlib.sha256(b"\1" + self.hash(start, middle) + self.hash(middle, end)).digest()

    def path(self, index, start, end):
        if end - start == 1:
            return []
        middle = start + split(end - start)
        if index < middle:
            return [*self.path(index, start, middle), self.hash(middle, end)]
        return [*self.path(index, middle, end), self.hash(start, middle)]

    def proof(self, old, start, end, *, is_whole=True):
        if start + old == end:
            return [] if is_whole else [self.hash(start, end)]
        middle = start + split(end - start)
        if start + old <= middle:
            return [*self.proof(old, start, middle, is_whole=is_whole), self.hash(middle, end)]
        rest = self.proof(start + old - middle, middle, end, is_whole=False)
        return [*rest, self.hash(start, middle)]

    def node(self, level, index):
        return self.hash(index << level, (index + 1) << level)
