"""Loaded versions, kept while memory lasts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from chalicelib.lineage.records import Target
from tiltyard.errors import Unavailable
from tiltyard.runtime.model import ServedModel


@dataclass(slots=True)
class _Loaded:
    model: ServedModel
    memory_bytes: int
    users: int = 0


@dataclass(slots=True)
class _Loading:
    """A load under way: the first caller loads, the others wait for it."""

    finished: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class _Lease:
    """One use of a session; a generator's context would take twice its time."""

    __slots__ = ("_cache", "_entry", "_target")

    def __init__(self, cache: SessionCache, target: Target) -> None:
        self._cache = cache
        self._target = target

    def __enter__(self) -> ServedModel:
        self._entry = self._cache.acquire(self._target)
        return self._entry.model

    def __exit__(self, *exc: object) -> None:
        self._cache.release(self._entry)


class SessionCache:
    """Sessions by bundle digest, least recently used first to go, bounded by measured bytes.

    A session in use is never evicted. The examiner admits a version only if
    twice its measured size fits, so the old and the new one of a swap always do.
    """

    def __init__(self, load: Callable[[Target], ServedModel], *, capacity_bytes: int) -> None:
        self._load = load
        self._capacity = capacity_bytes
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._loading: dict[str, _Loading] = {}

    def lease(self, target: Target) -> _Lease:
        """The version's session, loaded if it isn't yet, and kept until the ``with`` block ends.

        Raises
        ------
        Unavailable
            On entry, if sessions in use leave no room for it.
        """
        return _Lease(self, target)

    def acquire(self, target: Target) -> _Loaded:
        while True:
            with self._lock:
                entry = self._loaded.get(target.digest)
                if entry is not None:
                    self._loaded.move_to_end(target.digest)
                    entry.users += 1
                    return entry
                loading = self._loading.get(target.digest)
                is_mine = loading is None
                if loading is None:
                    loading = self._loading[target.digest] = _Loading()
            if is_mine:
                self._fill(target, loading)
            else:
                loading.finished.wait()
            if loading.error is not None:
                raise loading.error

    def release(self, entry: _Loaded) -> None:
        with self._lock:
            entry.users -= 1

    def _fill(self, target: Target, loading: _Loading) -> None:
        try:
            with self._lock:
                self._make_room(target.memory_bytes)
            model = self._load(target)
            with self._lock:
                self._make_room(target.memory_bytes)  # another version may have come meanwhile
                self._loaded[target.digest] = _Loaded(model, target.memory_bytes)
        except BaseException as exc:
            loading.error = exc
        finally:
            with self._lock:
                del self._loading[target.digest]
            loading.finished.set()

    def _make_room(self, wanted: int) -> None:
        """Evict until `wanted` bytes fit; the lock is held."""
        held = sum(entry.memory_bytes for entry in self._loaded.values())
        for digest in [d for d, entry in self._loaded.items() if entry.users == 0]:
            if held + wanted <= self._capacity:
                return
            held -= self._loaded.pop(digest).memory_bytes
        if held + wanted > self._capacity:
            raise Unavailable(
                f"A version of {wanted} bytes doesn't fit beside {held} bytes of versions in use; try again."
            )
