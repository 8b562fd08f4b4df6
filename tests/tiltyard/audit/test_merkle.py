"""The Merkle tree against published roots, a naive second implementation, and whoever lies."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tree import NaiveTree

from tiltyard.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from tiltyard.errors import IntegrityError

# The test tree that RFC 6962 implementations share: its leaves, and its roots at sizes 0 to 8.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
TREE = NaiveTree([f"entry {number}".encode() for number in range(2001)])


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size):
    assert root(leaf_hash(entry) for entry in LEAVES[:size]).hex() == ROOTS[size]


def test_every_inclusion_proof_up_to_300_is_the_naive_one_and_verifies():
    for size in range(1, 301):
        whole = TREE.hash(0, size)
        for index in range(size):
            proof = inclusion_proof(index, size, TREE.node)
            assert proof == TREE.path(index, 0, size)
            verify_inclusion(TREE.leaves[index], index, size, proof, whole)


def test_every_consistency_proof_up_to_300_is_the_naive_one_and_verifies():
    for size in range(1, 301):
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, TREE.node)
            assert proof == TREE.proof(old, 0, size)
            verify_consistency(old, size, TREE.hash(0, old), TREE.hash(0, size), proof)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2000), st.data())
def test_proofs_of_larger_trees_verify(size, data):
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))

    verify_inclusion(
        TREE.leaves[index], index, size, inclusion_proof(index, size, TREE.node), TREE.hash(0, size)
    )
    verify_consistency(
        old, size, TREE.hash(0, old), TREE.hash(0, size), consistency_proof(old, size, TREE.node)
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2000), st.data())
def test_a_tree_grown_from_any_frontier_has_the_same_root(size, data):
    middle = data.draw(st.integers(0, size))
    first = Frontier()
    for leaf in TREE.leaves[:middle]:
        first.append(leaf)

    second = Frontier(first.size, first.roots)
    for leaf in TREE.leaves[middle:size]:
        second.append(leaf)

    assert (second.size, second.root()) == (size, TREE.hash(0, size))
    assert len(second.roots) == size.bit_count()


def test_a_thousand_changed_proofs_are_all_refused():
    generator = random.Random(5)
    for _ in range(1000):
        size = generator.randint(2, 600)
        index, old = generator.randrange(size), generator.randint(1, size - 1)
        path, proof = inclusion_proof(index, size, TREE.node), consistency_proof(old, size, TREE.node)

        with pytest.raises(IntegrityError):
            verify_inclusion(*changed(generator, [TREE.leaves[index], index, size, path, TREE.hash(0, size)]))
        with pytest.raises(IntegrityError):
            verify_consistency(*changed(generator, [old, size, TREE.hash(0, old), TREE.hash(0, size), proof]))


def changed(generator, arguments):
    """One bit of one hash, one number, or the length of the proof."""
    at = generator.randrange(len(arguments))
    value = arguments[at]
    if isinstance(value, bytes):
        arguments[at] = flipped(generator, value)
    elif isinstance(value, int):
        # Another index or size; of the sizes, one that leads to another height or another edge.
        arguments[at] = value + generator.choice([-1, 1]) * (1 << 10)
    elif generator.random() < 0.4:
        arguments[at] = value[:-1] if generator.random() < 0.5 else [*value, value[0]]
    else:
        place = generator.randrange(len(value))
        arguments[at] = [*value[:place], flipped(generator, value[place]), *value[place + 1 :]]
    return arguments


def flipped(generator, content):
    bit = generator.randrange(8 * len(content))
    return bytes(byte ^ (1 << bit % 8 if place == bit // 8 else 0) for place, byte in enumerate(content))


@pytest.mark.parametrize(
    ("size_1", "size_2", "root_1", "root_2", "proof"),
    [
        (0, 0, b"x" * 32, b"x" * 32, []),
        (0, 5, EMPTY_ROOT, TREE.hash(0, 5), []),
        (5, 5, TREE.hash(0, 5), TREE.hash(0, 5), [TREE.hash(0, 5)]),
        (5, 5, TREE.hash(0, 5), TREE.hash(1, 6), []),
        (6, 5, TREE.hash(0, 6), TREE.hash(0, 5), []),
        (-1, 5, TREE.hash(0, 5), TREE.hash(0, 5), []),
        (4, 5, TREE.hash(0, 4), TREE.hash(0, 5), []),
        (4, 5, TREE.hash(0, 4), TREE.hash(0, 5), [b"short"]),
    ],
)
def test_what_the_textbook_lets_through_is_refused(size_1, size_2, root_1, root_2, proof):
    with pytest.raises(IntegrityError):
        verify_consistency(size_1, size_2, root_1, root_2, proof)


def test_two_empty_logs_are_one():
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (6, 5)])
def test_an_entry_beyond_the_log_is_in_no_proof(index, size):
    with pytest.raises(IntegrityError):
        verify_inclusion(TREE.leaves[0], index, size, [], TREE.hash(0, 1))
    with pytest.raises(IntegrityError):
        inclusion_proof(index, size, TREE.node)


@pytest.mark.parametrize("sizes", [(0, 5), (6, 5), (-1, 5)])
def test_there_is_no_proof_from_nothing_or_backwards(sizes):
    with pytest.raises(IntegrityError):
        consistency_proof(*sizes, TREE.node)


@pytest.mark.parametrize(("size", "roots"), [(1, []), (3, [b"x" * 32]), (1, [b"short"]), (-1, [])])
def test_a_frontier_that_no_tree_has_is_refused(size, roots):
    with pytest.raises(IntegrityError):
        Frontier(size, roots)
