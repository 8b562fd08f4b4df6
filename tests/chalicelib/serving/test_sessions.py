from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.lineage.records import Target
from chalicelib.serving.sessions import SessionCache
from tiltyard.errors import Unavailable


def target(version: int, memory_bytes: int = 40) -> Target:
    return Target(version, f"digest-{version}", {}, memory_bytes)


class Loader:
    def __init__(self) -> None:
        self.loads: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, wanted: Target) -> str:
        assert self.go.wait(5)
        self.loads.append(wanted.version)
        return f"model {wanted.version}"


@pytest.fixture
def loader() -> Loader:
    return Loader()


def use(cache: SessionCache, version: int) -> str:
    with cache.lease(target(version)) as model:
        return model


def test_the_least_recently_used_goes_first(loader):
    cache = SessionCache(loader, capacity_bytes=100)

    for version in (1, 2, 1, 3, 1, 2):
        use(cache, version)

    assert loader.loads == [1, 2, 3, 2]


def test_a_session_in_use_is_never_evicted(loader):
    cache = SessionCache(loader, capacity_bytes=100)

    with (
        cache.lease(target(1)),
        cache.lease(target(2)),
        pytest.raises(Unavailable, match="doesn't fit beside 80 bytes"),
        cache.lease(target(3)),
    ):
        pytest.fail("it was given room")

    assert use(cache, 3) == "model 3"


def test_many_callers_of_a_new_version_load_it_once(loader):
    cache = SessionCache(loader, capacity_bytes=100)
    loader.go.clear()

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(use, cache, 1) for _ in range(8)]
        loader.go.set()
        assert {call.result(5) for call in calls} == {"model 1"}

    assert loader.loads == [1]


def test_a_load_that_failed_is_tried_again():
    broken = [True]

    def load(wanted: Target) -> str:
        if broken.pop() if broken else False:
            raise OSError("the network")
        return "model"

    cache = SessionCache(load, capacity_bytes=100)

    with pytest.raises(OSError, match="the network"):
        use(cache, 1)
    assert use(cache, 1) == "model"
