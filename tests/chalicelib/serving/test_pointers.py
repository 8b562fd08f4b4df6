from __future__ import annotations

import threading

import pytest

from chalicelib.lineage.records import Target
from chalicelib.serving.pointers import Answering, Clock, Name, PointerCache
from tiltyard.errors import NotFound

MODEL = Name("late-flights")


class World:
    """A pointer that tests move, a clock that they turn, and what the cache did with them."""

    def __init__(self) -> None:
        self.version = 1
        self.exists = True
        self.reads = 0
        self.prepared: list[int] = []
        self.broken: set[int] = set()
        self.monotonic = 0.0
        self.wall = 1000.0
        self.reading = threading.Event()
        self.reading.set()
        self.cache = PointerCache(
            self.read, self.prepare, interval_s=2.0, clock=Clock(lambda: self.monotonic, lambda: self.wall)
        )

    def read(self, name: Name) -> Answering | None:
        self.reads += 1
        version = self.version
        assert self.reading.wait(5)
        return Answering("team", Target(version, f"digest-{version}", {}, 1)) if self.exists else None

    def prepare(self, target: Target) -> None:
        if target.version in self.broken:
            raise RuntimeError("can't load")
        self.prepared.append(target.version)

    def answers(self) -> int | None:
        found = self.cache.get(MODEL)
        return None if found is None or found.target is None else found.target.version

    def pass_time(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def settle(self) -> None:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and thread.daemon:
                thread.join(5)


@pytest.fixture
def world() -> World:
    return World()


def test_a_pointer_confirmed_a_moment_ago_costs_no_read(world):
    world.answers()
    world.version = 2
    world.pass_time(2.0)

    assert world.answers() == 1
    assert world.reads == 1


def test_the_old_version_answers_while_a_thread_loads_the_new_one(world):
    world.answers()
    world.version = 2
    world.pass_time(5.0)
    world.reading.clear()

    during = [world.answers() for _ in range(3)]
    world.reading.set()
    world.settle()

    assert during == [1, 1, 1]
    assert world.answers() == 2
    assert world.reads == 2
    assert world.prepared == [1, 2]


def test_a_thawed_container_reads_and_loads_before_it_answers(world):
    world.answers()
    world.version = 2
    world.pass_time(30.1)

    assert world.answers() == 2


@pytest.mark.parametrize("clock", ["monotonic", "wall"])
def test_either_clock_tells_that_a_container_was_frozen(world, clock):
    world.answers()
    world.version = 2
    setattr(world, clock, getattr(world, clock) + 60)

    assert world.answers() == 2


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_and_an_error(world, caplog):
    world.answers()
    world.version = 2
    world.broken = {2}
    world.pass_time(60)

    assert world.answers() == 1
    assert "version 2 of late-flights can't be loaded; version 1 stays" in caplog.text


def test_a_cold_start_whose_version_cannot_be_loaded_says_so(world):
    world.broken = {1}

    with pytest.raises(RuntimeError, match="can't load"):
        world.answers()


def test_a_read_that_fails_in_the_background_harms_no_call_and_is_tried_again(world, caplog):
    world.answers()
    world.pass_time(5)
    world.read = None  # the cache holds the bound method; break what it needs instead
    world.reading = None

    assert world.answers() == 1
    world.settle()
    assert "could not be confirmed" in caplog.text
    world.reading = threading.Event()
    world.reading.set()
    world.version = 3
    world.answers()
    world.settle()
    assert world.answers() == 3


def test_a_name_that_leads_nowhere_is_not_remembered(world):
    world.exists = False

    assert world.answers() is None
    world.exists = True
    assert world.answers() == 1


def test_a_slow_read_does_not_bring_an_older_pointer_back(world):
    world.answers()
    world.pass_time(5)
    world.reading.clear()
    world.answers()  # a thread reads version 1 and hangs
    world.version = 2
    world.pass_time(60)
    slow = threading.Timer(0.2, world.reading.set)
    slow.start()

    assert world.answers() == 2
    world.settle()
    assert world.answers() == 2


def test_nothing_is_loaded_or_kept_for_a_stranger(world):
    def check(team: str) -> None:
        raise NotFound(f"not yours: {team}")

    with pytest.raises(NotFound, match="not yours: team"):
        world.cache.get(MODEL, check=check)

    assert world.prepared == []
    assert world.answers() == 1
    assert world.reads == 2
