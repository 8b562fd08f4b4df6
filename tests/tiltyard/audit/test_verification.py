"""A log that holds, and every way in which one may not: the first bad place is named."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tampering import KEY, Tamperer, entry, files_of, load, note_of, save

from tiltyard.audit import copy
from tiltyard.audit.checkpoint import VerifierKey
from tiltyard.audit.merkle import leaf_hash
from tiltyard.audit.tiles import Tiles
from tiltyard.audit.verification import verify, verify_entry
from tiltyard.errors import IntegrityError, NotFound

ENTRIES = [entry(number) for number in range(600)]
FORKED = [*ENTRIES[:599], entry(599, action="x")]


def checked(tmp_path, files, **more):
    return verify(copy.Folder(save(files, tmp_path)), KEY, **more)


def test_a_log_that_holds_says_what_was_checked(tmp_path):
    seen = []

    found = checked(tmp_path, files_of(ENTRIES), progress=lambda read, size: seen.append((read, size)))

    assert (found.size, found.root) == (600, Tiles(files_of(ENTRIES).get, 600).root())
    assert found.scopes == {"model-0": 200, "model-1": 200, "model-2": 200}
    assert seen[-1] == (600, 600)
    assert len(found.checks) == 6


def test_an_empty_log_holds(tmp_path):
    assert checked(tmp_path, {"checkpoint": note_of([]).encode()}).size == 0


def test_changes_of_every_kind_are_all_refused():
    """The benchmark `record` tries ten thousand."""
    tamperer = Tamperer(ENTRIES, seed=11)
    for _ in range(300):
        files, how = tamperer.changed()
        with pytest.raises(IntegrityError) as refused:
            verify(InMemory(files), KEY)
        assert refused.value.detail, how


class InMemory(copy.Folder):
    """A folder's source over files in memory, which is faster a thousand times."""

    def __init__(self, files):
        self._files = files

    def _read(self, path):
        return self._files.get(path)

    def older_notes(self):
        for name in sorted(name for name in self._files if name.startswith("checkpoints/")):
            yield copy._text(self._files[name], name)


def with_entries(changed):
    """Files of a log in which entries were changed, beside the checkpoint and tiles of the true one."""
    true, false = files_of(ENTRIES), files_of(changed)
    return true | {name: content for name, content in false.items() if "entries" in name}


@pytest.mark.parametrize(
    ("files", "place"),
    [
        (with_entries([*ENTRIES[:300], entry(300, action="x"), *ENTRIES[301:]]), "entry 300: its hash"),
        (with_entries([*ENTRIES[:10], ENTRIES[11], ENTRIES[10], *ENTRIES[12:]]), "entry 10: its hash"),
        (
            {k: v for k, v in files_of(ENTRIES).items() if not k.startswith("tile/entries/002")},
            "entries 512 and on",
        ),
        (
            files_of(FORKED) | {"checkpoint": note_of(ENTRIES).encode()},
            "forked",
        ),
        (files_of(ENTRIES) | {"checkpoint": note_of(ENTRIES[:37]).encode()}, "cut short"),
        (files_of(ENTRIES) | {"checkpoint": b"\xff"}, "isn't text"),
        (files_of(ENTRIES) | {"checkpoint": b"nothing"}, "a checkpoint must be"),
        (files_of([*ENTRIES, ENTRIES[3]]), "entry 600: change 2 of model-0 is in the log twice"),
        (files_of([*ENTRIES, entry(600, change=202)]), "entry 600: change 201 of model-0 is missing"),
        (files_of([*ENTRIES, b"{}"]), "entry 600: an audit entry"),
        (files_of([b'{"a": 1}']), "entry 0: an audit entry"),
    ],
)
def test_the_first_bad_place_is_named(tmp_path, files, place):
    with pytest.raises(IntegrityError, match=place):
        checked(tmp_path, files)


def test_a_rewritten_history_is_caught_by_the_first_checkpoint_that_it_contradicts(tmp_path):
    # Everything is consistent but the older checkpoints, which whoever rewrote it couldn't sign anew.
    rewritten = [*ENTRIES[:100], entry(100, action="x"), *ENTRIES[101:]]
    true, false = files_of(ENTRIES), files_of(rewritten)
    files = false | {name: content for name, content in true.items() if name.startswith("checkpoints/")}
    del files["checkpoints/000000000600"]

    with pytest.raises(IntegrityError, match=r"entries 74 to 110: .* up to entry 73 all are"):
        checked(tmp_path, files)


def test_changes_of_a_model_may_be_logged_out_of_their_order(tmp_path):
    entries = [entry(0, 1, "a"), entry(2, 3, "a"), entry(1, 2, "a")]

    assert checked(tmp_path, files_of(entries)).scopes == {"a": 3}


def test_a_log_must_begin_as_it_is_remembered(tmp_path):
    files = files_of(ENTRIES)

    found = checked(tmp_path, files, remembered=[note_of(ENTRIES[:123]), note_of([])])

    assert "the log begins with the checkpoint that was remembered" in found.checks
    fork = note_of([*ENTRIES[:122], entry(122, action="x")])
    with pytest.raises(
        IntegrityError, match="entries 111 to 122: one of them isn't what was signed at size 123"
    ):
        checked(tmp_path, files, remembered=[fork])
    with pytest.raises(IntegrityError, match="cut short: a checkpoint of 601 entries"):
        checked(tmp_path, files, remembered=[note_of([*ENTRIES, entry(600)])])
    with pytest.raises(IntegrityError, match="forked: two checkpoints of 600 entries"):
        checked(tmp_path, files, remembered=[note_of(FORKED)])


def test_another_key_s_log_is_refused(tmp_path):
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    theirs = VerifierKey(KEY.name, other.public_key().public_bytes_raw())

    with pytest.raises(IntegrityError, match="isn't signed by the key"):
        verify(copy.Folder(save(files_of(ENTRIES[:5]), tmp_path)), theirs)
    with pytest.raises(IntegrityError, match="isn't signed by the key"):
        checked(tmp_path, files_of(ENTRIES[:5]), remembered=[note_of([], signer=other, key=theirs)])


def test_a_copy_of_a_copy_is_the_same_and_verifies(tmp_path):
    source = copy.Folder(save(files_of(ENTRIES), tmp_path / "a"))

    size = copy.write(source, KEY, tmp_path / "b")

    assert size == 600
    again = copy.Folder(tmp_path / "b")
    assert again.key() == KEY
    assert verify(again, KEY) == verify(source, KEY)
    assert all(
        load(tmp_path / "a").get(name, content) == content for name, content in load(tmp_path / "b").items()
    )


def test_a_folder_that_is_no_copy_is_named(tmp_path):
    with pytest.raises(NotFound, match="no file 'checkpoint'"):
        copy.Folder(tmp_path)


def test_one_entry_is_proved_against_the_signed_checkpoint():
    note, tiles = note_of(ENTRIES), Tiles(files_of(ENTRIES).get, 600)
    proof = tiles.inclusion_proof(300)

    assert verify_entry(ENTRIES[300], 300, proof, note, KEY).size == 600
    for content, index, given in [
        (ENTRIES[301], 300, proof),
        (ENTRIES[300], 299, proof),
        (ENTRIES[300], 300, proof[:-1]),
        (ENTRIES[300][:-1], 300, proof),
    ]:
        with pytest.raises(IntegrityError):
            verify_entry(content, index, given, note, KEY)


def test_leaf_hashes_of_a_source_are_held_against_its_entries():
    class Lying(InMemory):
        def entries(self, size):
            for index, (content, stored) in enumerate(super().entries(size)):
                yield content, leaf_hash(b"x") if index == 7 else stored

    with pytest.raises(IntegrityError, match="entry 7"):
        verify(Lying(files_of(ENTRIES[:20])), KEY)
