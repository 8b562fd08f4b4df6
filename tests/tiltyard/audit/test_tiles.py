"""The log as files: paths, growth, proofs from few reads, and what is missing or cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tree import NaiveTree

from tiltyard.audit.merkle import verify_consistency, verify_inclusion
from tiltyard.audit.tiles import (
    Tiles,
    bundle_entries,
    decode_entries,
    encode_entries,
    entries_path,
    grown,
    grown_entries,
    parse_path,
    tile_path,
)
from tiltyard.errors import IntegrityError

TREE = NaiveTree([f"entry {number}".encode() for number in range(2000)])


def written(sizes):
    """All files of a log that grew by `sizes`; a file once written must never change."""
    files, size = {}, 0
    for count in sizes:
        entries = TREE.entries[size : size + count]
        leaves = TREE.leaves[size : size + count]
        fresh = grown(size, leaves, files.get) | grown_entries(size, entries, files.get)
        assert all(files.get(path, content) == content for path, content in fresh.items())
        files |= fresh
        size += count
    return files, size


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("tile/0/000", (0, 0, 256)),
        ("tile/0/x001/x234/067.p/5", (0, 1234067, 5)),
        ("tile/3/x001/000", (3, 1000, 256)),
        ("tile/entries/999.p/255", (None, 999, 255)),
    ],
)
def test_paths_are_those_of_the_specification(path, parts):
    level, index, width = parts

    assert (entries_path(index, width) if level is None else tile_path(level, index, width)) == path
    assert parse_path(path) == parts


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/0/1000",
        "tile/00/000",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/64/000",
        "tile/entries/../000",
        "checkpoint",
    ],
)
def test_other_paths_are_refused(path):
    with pytest.raises(IntegrityError):
        parse_path(path)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=5), st.data())
def test_a_log_reads_the_same_however_it_grew(sizes, data):
    files, size = written(sizes)
    tiles = Tiles(files.get, size)

    assert tiles.root() == TREE.hash(0, size)
    if size:
        index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
        verify_inclusion(TREE.leaves[index], index, size, tiles.inclusion_proof(index), tiles.root())
        verify_consistency(old, size, TREE.hash(0, old), tiles.root(), tiles.consistency_proof(old))
        width = min(256, size - index // 256 * 256)
        assert bundle_entries(files.get, index // 256, width)[index % 256] == TREE.entries[index]


def test_a_log_is_read_at_an_older_size_from_full_tiles_alone():
    files, _ = written([100, 500])
    full = {path: content for path, content in files.items() if ".p/" not in path}

    assert Tiles(full.get, 100).root() == TREE.hash(0, 100)
    assert bundle_entries(full.get, 0, 100) == TREE.entries[:100]


def test_a_proof_reads_at_most_six_tiles_of_a_large_log():
    reads = []

    def read(path):
        _, _, width = parse_path(path)
        reads.append(path)
        return bytes(32 * width)

    for index in (0, 123_456, 999_999):
        tiles = Tiles(read, 1_000_000)
        tiles.inclusion_proof(index)
        assert tiles.reads <= 6
        tiles = Tiles(read, 1_000_000)
        tiles.consistency_proof(max(1, index))
        assert tiles.reads <= 6


def test_entries_come_back_as_they_were():
    entries = [b"", b"a", b"x" * 65_535]

    assert decode_entries(encode_entries(entries)) == entries


def test_an_entry_too_large_for_a_bundle_is_refused():
    with pytest.raises(IntegrityError, match="65536 bytes"):
        encode_entries([b"x" * 65_536])


@pytest.mark.parametrize("bundle", [b"\0", b"\0\5abc", encode_entries([b"a"] * 257)])
def test_a_cut_or_overfull_bundle_is_refused(bundle):
    with pytest.raises(IntegrityError):
        decode_entries(bundle)


def test_what_is_missing_or_cut_is_named():
    files, size = written([300])

    with pytest.raises(IntegrityError, match=r"the log has no tile/0/001\.p/44"):
        Tiles({k: v for k, v in files.items() if k != "tile/0/001.p/44"}.get, size).root()
    with pytest.raises(IntegrityError, match=r"tile/0/001\.p/44 has 1376 bytes in place of 1408"):
        Tiles((files | {"tile/0/001.p/44": files["tile/0/001.p/44"][:-32]}).get, size).root()
    with pytest.raises(IntegrityError, match=r"tile/entries/001\.p/44 holds 1 entries in place of 44"):
        bundle_entries({"tile/entries/001.p/44": encode_entries([b"a"])}.get, 1, 44)
    with pytest.raises(IntegrityError, match="the log has no tile/entries/007"):
        bundle_entries({}.get, 7, 256)


@pytest.mark.parametrize(("level", "index"), [(0, 300), (-1, 0), (0, -1), (9, 0)])
def test_a_node_outside_the_log_is_refused(level, index):
    files, size = written([300])

    with pytest.raises(IntegrityError):
        Tiles(files.get, size).node(level, index)
