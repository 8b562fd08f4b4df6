"""The notary: every entry once, in the same bytes, wherever it is cut off and however many there are."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest
from fakes import MemoryLogObjects, TestSigner
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_examples import NOON, PSEUDONYMS, creation, new_model, registration

from chalicelib.governance.log import Log
from chalicelib.governance.notary import _show, checkpoint_path, notarise
from chalicelib.lineage.log import TableLog
from chalicelib.lineage.memory import MemoryLineage
from tiltyard.audit import merkle
from tiltyard.audit.checkpoint import VerifierKey, open_note
from tiltyard.audit.entry import Entry
from tiltyard.audit.tiles import Tiles, bundle_entries
from tiltyard.errors import IntegrityError, LostRace

ORIGIN = "tiltyard.test.audit"


class Killed(Exception):
    """The process ended here."""


class Stage:
    """A log in memory whose every write is counted; the one numbered `kill_at` isn't made."""

    def __init__(self):
        self.lineage = MemoryLineage(PSEUDONYMS)
        self.stored = MemoryLogObjects()
        self.writes, self.kill_at = 0, None
        self.signer = TestSigner()
        self.table = TableLog(self)
        self.numbers = itertools.count()

    def add(self, count, *, name="m"):
        for _ in range(count):
            self.lineage.commit(creation(new_model(f"{name}-{next(self.numbers)}")))

    def run(self):
        return notarise(self.table, self, self.signer, origin=ORIGIN)

    def _write(self):
        if self.writes == self.kill_at:
            self.writes += 1
            raise Killed
        self.writes += 1

    # The table
    def get(self, key):
        return self.lineage.table.get(key)

    def get_many(self, keys):
        return self.lineage.table.get_many(keys)

    def query(self, rows, *, limit):
        return self.lineage.table.query(rows, limit=limit)

    def transact(self, operations):
        self._write()
        self.lineage.table.transact(operations)

    # The objects
    def read(self, path):
        return self.stored.read(path)

    def read_tagged(self, path):
        return self.stored.read_tagged(path)

    def put_new(self, path, content):
        self._write()
        return self.stored.put_new(path, content)

    def swap(self, path, content, *, tag):
        self._write()
        return self.stored.swap(path, content, tag=tag)


def key_of(stage):
    return VerifierKey(ORIGIN, stage.signer.public_key())


def logged(stage):
    """All entries, each held against its tile, the tiles against the checkpoint, marks against places."""
    head = stage.table.head()
    if not head.size:
        return []
    checkpoint = open_note(stage.read("checkpoint").decode(), key_of(stage))
    assert (checkpoint.size, checkpoint.root) == (head.size, head.root)
    tiles = Tiles(stage.read, head.size)
    assert tiles.root() == head.root
    entries = []
    for bundle in range(-(-head.size // 256)):
        entries += bundle_entries(stage.read, bundle, min(256, head.size - 256 * bundle))
    for index, content in enumerate(entries):
        assert merkle.leaf_hash(content) == tiles.leaf_hash(index)
        entry = Entry.from_bytes(content)
        assert stage.lineage.change(entry.model, entry.change).index == index
    return [Entry.from_bytes(content).id for content in entries]


def committed(stage):
    return {
        Entry.from_bytes(item["entry"]).id for item in stage.lineage.table.dump() if item["kind"] == "change"
    }


def check_whole(stage):
    ids = logged(stage)
    assert sorted(ids) == sorted(committed(stage))
    assert stage.table.waiting(limit=1) == []
    assert stage.table.head().plan is None


def test_nothing_waiting_nothing_is_written():
    stage = Stage()

    assert stage.run()

    assert stage.writes == 0
    assert stage.stored.stored == {}


@pytest.mark.parametrize("sizes", [(1,), (255, 1, 1), (256,), (257, 300), (1, 1, 1, 1), (600,)])
def test_every_entry_is_logged_once_across_borders_of_tiles(sizes):
    stage = Stage()

    for size in sizes:
        stage.add(size)
        stage.run()

    check_whole(stage)
    assert stage.table.head().size == sum(sizes)


def test_a_second_run_changes_nothing():
    stage = Stage()
    stage.add(5)
    stage.run()
    before, writes = dict(stage.stored.stored), stage.writes

    stage.run()

    assert (stage.stored.stored, stage.writes) == (before, writes)


def test_cut_off_at_any_write_it_recovers_to_the_same_bytes():
    def played(kill_at):
        stage = Stage()
        # The same entries each time: ids and times are fixed by the lineage's own fakes.
        stage.lineage = MemoryLineage(PSEUDONYMS, clock=lambda: NOON, randomness=counted())
        for size in (3, 255, 2):
            stage.add(size)
            stage.kill_at = None if kill_at is None else stage.writes + kill_at
            try:
                stage.run()
            except Killed:
                stage.kill_at = None
                stage.run()
            stage.kill_at = None
        check_whole(stage)
        return stage

    whole = played(None)
    # The largest batch makes 19 writes.
    for kill_at in range(20):
        assert played(kill_at).stored.stored == whole.stored.stored


def counted():
    numbers = iter(range(10**6))
    return lambda count: next(numbers).to_bytes(count, "big")


def test_two_notaries_that_take_turns_at_every_step_log_each_entry_once():
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.booleans(), min_size=5, max_size=60), st.integers(1, 6))
    def check(turns, count):
        stage = Stage()
        stage.add(count)
        interleave(stage, turns)
        stage.run()
        check_whole(stage)

    check()


def interleave(stage, turns):
    """Two notaries in threads; before each write a thread waits until it is its turn."""
    order, condition, ended = list(turns), threading.Condition(), set()

    def write(me):
        with condition:
            condition.wait_for(lambda: not order or order[0] is me or (not me) in ended, timeout=5)
            if order and order[0] is me:
                order.pop(0)
            condition.notify_all()

    class Half:
        def __init__(self, me):
            self.me = me

        def __getattr__(self, name):
            return getattr(stage, name)

        def transact(self, operations):
            write(self.me)
            stage.lineage.table.transact(operations)

        def put_new(self, path, content):
            write(self.me)
            return stage.stored.put_new(path, content)

        def swap(self, path, content, *, tag):
            write(self.me)
            return stage.stored.swap(path, content, tag=tag)

    failures = []

    def run(me):
        half = Half(me)
        try:
            notarise(TableLog(half), half, stage.signer, origin=ORIGIN)
        except Exception as error:
            failures.append(error)
        with condition:
            ended.add(me)
            condition.notify_all()

    threads = [threading.Thread(target=run, args=(me,)) for me in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []


def test_concurrent_writers_lose_nothing_and_double_nothing():
    stage = Stage()

    def write(name):
        for number in range(10):
            stage.lineage.commit(creation(new_model(f"{name}-{number}")))

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(30)]
    for thread in threads:
        thread.start()
        stage.run()
    for thread in threads:
        thread.join()
    stage.run()

    check_whole(stage)
    assert stage.table.head().size == 300


def test_a_changed_tile_stops_the_log_and_nothing_more_is_written():
    stage = Stage()
    stage.add(2)
    stage.run()
    # Somebody puts other bytes where the next partial tile will be.
    stage.stored.stored["tile/0/000.p/3"] = b"x" * 96
    stage.add(1)
    head = stage.table.head()

    with pytest.raises(IntegrityError, match=r"tile/0/000\.p/3"):
        stage.run()

    assert stage.table.head().size == head.size
    assert open_note(stage.read("checkpoint").decode(), key_of(stage)).size == 2


@pytest.mark.parametrize("path", ["tile/0/000.p/3", "tile/entries/000.p/3"])
def test_files_that_were_changed_since_are_not_carried_on(path):
    stage = Stage()
    stage.add(3)
    stage.run()
    content = stage.stored.stored[path]
    stage.stored.stored[path] = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    stage.add(1)
    before = set(stage.stored.stored)

    with pytest.raises(IntegrityError, match="changed"):
        stage.run()

    assert set(stage.stored.stored) == before
    assert stage.table.head().size == 3


def test_a_models_changes_of_one_millisecond_are_logged_in_their_order():
    stage = Stage()
    backwards = iter(range(10**6, 0, -1))
    stage.lineage = MemoryLineage(
        PSEUDONYMS, clock=lambda: NOON, randomness=lambda count: next(backwards).to_bytes(count, "big")
    )
    head = stage.lineage.commit(creation(new_model("delays")))
    for _ in range(5):
        head = stage.lineage.commit(registration(head))
    stage.add(2)

    stage.run()

    check_whole(stage)
    on_record = stage.lineage.changes("delays", limit=9, cursor=None).items
    places = [change.index for change in on_record]
    assert places == sorted(places)


def test_proofs_hold_for_sizes_at_which_nothing_was_signed():
    stage = Stage()
    for size in (5, 252, 6):
        stage.add(size)
        stage.run()
    log = Log(stage, stage.signer, origin=ORIGIN)
    sizes = (1, 2, 3, 4, 5, 6, 7, 200, 255, 256, 257, 258, 262, 263)

    for first, second in itertools.combinations_with_replacement(sizes, 2):
        grew = log.consistency(first, second)
        merkle.verify_consistency(first, second, grew.root_1, grew.root_2, grew.proof)
        assert grew.root_2 == log.consistency(second, None).root_1
    for size in sizes:
        for index in {0, size // 2, size - 1}:
            found = log.inclusion(index, size)
            merkle.verify_inclusion(found.leaf, index, size, found.proof, found.root)
    assert log.consistency(263, None).root_1 == stage.table.head().root


def test_an_entry_changed_after_it_was_planned_is_refused():
    stage = Stage()
    stage.add(1)
    stage.kill_at = 1
    with pytest.raises(Killed):
        stage.run()
    stage.kill_at = None
    (pending,) = stage.table.waiting(limit=5)
    for item in stage.lineage.table._items.values():
        if item["sk"] == pending.id:
            item["entry"] = pending.entry.replace(b"model.create", b"model.delete")

    with pytest.raises(IntegrityError, match="changed after it was planned"):
        stage.run()


def test_the_latest_checkpoint_never_moves_back():
    stage = Stage()
    for _ in range(2):
        stage.add(1)
        stage.run()
    _show(stage, key_of(stage), stage.read(checkpoint_path(1)), 1)

    assert open_note(stage.read("checkpoint").decode(), key_of(stage)).size == 2


def test_the_head_is_moved_by_who_read_it_last():
    stage = Stage()
    head = stage.table.move(stage.table.head())

    with pytest.raises(LostRace):
        stage.table.move(replace(head, revision=0))


def test_time_that_runs_out_leaves_the_rest_for_the_next():
    stage = Stage()
    stage.add(300)
    left = iter([True, False])

    is_done = notarise(stage.table, stage, stage.signer, origin=ORIGIN, is_time_left=lambda: next(left))

    assert not is_done
    assert stage.table.head().size == 256
    assert stage.run()
    check_whole(stage)
