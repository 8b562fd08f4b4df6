"""The Merkle tree of RFC 9162 (section 2.1), over bytes.

Leaves and nodes are hashed under prefixes of their own (``0x00``, ``0x01``), so
that no node can be passed off as a leaf. A tree of n leaves has at its left the
largest perfect tree of 2^k < n leaves. A node is named by ``(level, index)``: the
root of the perfect subtree over the 2^level leaves from ``index * 2^level`` on.

Verifiers raise `IntegrityError` and return nothing: a result that is forgotten
can't be taken for a success.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from tiltyard.errors import IntegrityError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves: the hash of nothing (RFC 9162, section 2.1.1)."""

_LEAF, _NODE = b"\x00", b"\x01"

Node = Callable[[int, int], bytes]
"""The hash of a node by its level and index."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry), 32 bytes."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), 32 bytes."""
    return hashlib.sha256(_NODE + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over leaf hashes in their order."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


class Frontier:
    """A growing tree, as the roots of its perfect subtrees: 32 bytes for each bit that is 1 in the size.

    `roots` are in the order of their leaves, the largest subtree first.

    Raises
    ------
    IntegrityError
        When there aren't as many roots as a tree of `size` leaves has.
    """

    __slots__ = ("_roots", "_size")

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        if size < 0 or len(roots) != size.bit_count() or any(len(root) != HASH_BYTES for root in roots):
            raise IntegrityError(f"a tree of {size} leaves can't have these {len(roots)} subtree roots")
        self._size = size
        self._roots = list(roots)

    @property
    def size(self) -> int:
        return self._size

    @property
    def roots(self) -> tuple[bytes, ...]:
        return tuple(self._roots)

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash. Each merge halves what is left to do, so it is two hashes on average."""
        roots, size, merged, sha256 = self._roots, self._size, leaf, hashlib.sha256
        while size & 1:
            merged = sha256(_NODE + roots.pop() + merged).digest()
            size >>= 1
        roots.append(merged)
        self._size += 1

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self._roots:
            return EMPTY_ROOT
        found = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            found = node_hash(left, found)
        return found


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves (RFC 9162, section 2.1.3.1), bottom up.

    Raises `IntegrityError` when there is no such leaf.
    """
    if not 0 <= index < size:
        raise IntegrityError(f"a log of {size} entries has no entry {index}")
    proof, start, end = [], 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            proof.append(range_root(split, end, node))
            end = split
        else:
            proof.append(range_root(start, split, node))
            start = split
    proof.reverse()
    return proof


def consistency_proof(size_1: int, size_2: int, node: Node) -> list[bytes]:
    """The proof that the tree of `size_2` leaves begins with that of `size_1` (RFC 9162, section 2.1.4.1).

    Raises `IntegrityError` unless 0 < size_1 <= size_2; equal sizes have an empty proof.
    """
    if not 0 < size_1 <= size_2:
        raise IntegrityError(f"there is no proof from size {size_1} to size {size_2}")
    proof, start, end, is_whole = [], 0, size_2, True
    while size_1 < end:
        split = start + _split(end - start)
        if size_1 <= split:
            proof.append(range_root(split, end, node))
            end = split
        else:
            proof.append(range_root(start, split, node))
            start, is_whole = split, False
    if not is_whole:
        # The verifier has the root of the old tree, but not of this part of it.
        proof.append(range_root(start, end, node))
    proof.reverse()
    return proof


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check a proof of inclusion by RFC 9162, section 2.1.3.2.

    Raises `IntegrityError` unless `leaf_hash` is at `index` of the tree of `size`
    leaves whose root is `root`.
    """
    _check_hashes([leaf_hash, root, *proof])
    if not 0 <= index < size:
        raise IntegrityError(f"entry {index} can't be in a log of {size} entries")
    at, last, found = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise IntegrityError("the inclusion proof is longer than the tree is high")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            # The right edge: levels without a sibling are passed over.
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise IntegrityError("the inclusion proof is shorter than the tree is high")
    if found != root:
        raise IntegrityError(f"entry {index} isn't what the log of {size} entries holds there")


def verify_consistency(
    size_1: int, size_2: int, root_1: bytes, root_2: bytes, proof: Sequence[bytes]
) -> None:
    """Check a proof of consistency by RFC 9162, section 2.1.4.2, and by the cases that it leaves out.

    Equal sizes need equal roots and an empty proof, and the root at size 0 is
    that of the empty tree. From size 0 to a larger one nothing is proved, so
    it is refused.

    Raises `IntegrityError` unless the tree of `size_2` leaves and root `root_2`
    begins with the one of `size_1` leaves and root `root_1`.
    """
    _check_hashes([root_1, root_2, *proof])
    if not 0 <= size_1 <= size_2:
        raise IntegrityError(f"a log of {size_2} entries can't have grown from one of {size_1}")
    if size_1 == size_2:
        if proof:
            raise IntegrityError("logs of one size need no proof, and this one isn't empty")
        if root_1 != root_2 or (size_1 == 0 and root_1 != EMPTY_ROOT):
            raise IntegrityError(f"two logs of {size_1} entries have different roots: one was forked")
        return
    if size_1 == 0:
        raise IntegrityError("an empty log proves nothing about a later one")
    _verify_growth(size_1, size_2, root_1, root_2, proof)


def _verify_growth(size_1: int, size_2: int, root_1: bytes, root_2: bytes, proof: Sequence[bytes]) -> None:
    path = list(proof)
    if not path:
        raise IntegrityError("the consistency proof is empty")
    if size_1.bit_count() == 1:
        path.insert(0, root_1)  # a perfect tree is a node of the later one
    at, last = size_1 - 1, size_2 - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise IntegrityError("the consistency proof is longer than the tree is high")
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise IntegrityError("the consistency proof is shorter than the tree is high")
    if first != root_1:
        raise IntegrityError(f"the log of {size_2} entries doesn't begin with that one of {size_1}")
    if second != root_2:
        raise IntegrityError(f"the consistency proof doesn't lead to the root at size {size_2}")


def range_root(start: int, end: int, node: Node) -> bytes:
    """The root over leaves [start, end) as the tree has it: `start` is a multiple of the left subtree."""
    if start == end:
        return EMPTY_ROOT
    roots: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        roots.append(node(level, start >> level))
        start += 1 << level
    found = roots.pop()
    while roots:
        found = node_hash(roots.pop(), found)
    return found


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(found) != HASH_BYTES for found in hashes):
        raise IntegrityError(f"a hash of a proof must have {HASH_BYTES} bytes")
