"""Who answers for a name: the pointer as this container last confirmed it.

No request waits for a swap and none fails because of one (DESIGN invariant 4):

- confirmed at most `interval_s` ago: it is used as it is;
- up to `stale_s` ago, in a container that is being called: it is used once more
  while a thread confirms it, and loads the new version before it takes over;
- longer ago (the container was frozen and thawed) or never: it is confirmed, and
  the version loaded, before the answer.

If the new version can't be loaded, the old one stays and is named in an error.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from chalicelib.lineage.records import PolicyCopy, Target

STALE_S = 30.0
MAX_NAMES = 1000

Check = Callable[[str], object]

log = logging.getLogger("tiltyard.serving")


class Name(NamedTuple):
    """What a caller asked for: ``model`` or ``model@alias``. A tuple, for it is hashed in every call."""

    model: str
    alias: str | None = None

    def __str__(self) -> str:
        return self.model if self.alias is None else f"{self.model}@{self.alias}"


@dataclass(frozen=True, slots=True)
class Answering:
    """Whose the model is, which version answers and by which policy.

    No target: the name leads nowhere yet. No policy: none was ever put.
    """

    team: str
    target: Target | None
    policy: PolicyCopy | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """Elapsed seconds by the clock that a stopped process can't fool.

    A frozen machine may stop its monotonic clock, and a wall clock may be set
    back: the larger difference of the two is the age.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def now(self) -> tuple[float, float]:
        return self.monotonic(), self.wall()

    def since(self, moment: tuple[float, float]) -> float:
        return max(self.monotonic() - moment[0], self.wall() - moment[1])


@dataclass(slots=True)
class _Entry:
    answering: Answering
    confirmed: tuple[float, float]
    is_refreshing: bool = False


class PointerCache:
    """Pointers by name.

    `read` reads one (one call of the store) and `prepare` loads its version;
    a pointer takes over only when both succeeded.
    """

    def __init__(
        self,
        read: Callable[[Name], Answering | None],
        prepare: Callable[[Target], None],
        *,
        interval_s: float,
        clock: Clock | None = None,
        stale_s: float = STALE_S,
    ) -> None:
        self._read = read
        self._prepare = prepare
        self._interval = interval_s
        self._stale = stale_s
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._entries: OrderedDict[Name, _Entry] = OrderedDict()

    def get(self, name: Name, *, check: Check | None = None) -> Answering | None:
        """Who answers for `name` now; None when there is no such name.

        `check` is told the owning team before anything is loaded for a caller: what
        it raises for a stranger is raised here, and the stranger has cost one read.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                age = None
            else:
                self._entries.move_to_end(name)
                age = self._clock.since(entry.confirmed)
                if age <= self._interval:
                    return entry.answering
                if age <= self._stale:
                    if not entry.is_refreshing:
                        entry.is_refreshing = True
                        threading.Thread(target=self._refresh, args=(name, entry), daemon=True).start()
                    return entry.answering
        return self._confirm(name, entry, check)

    def _refresh(self, name: Name, entry: _Entry) -> None:
        try:
            self._confirm(name, entry)
        except Exception:
            # The caller was answered by the old version; the next call tries again.
            log.exception("the pointer of %s could not be confirmed", name)
        finally:
            entry.is_refreshing = False

    def _confirm(self, name: Name, entry: _Entry | None, check: Check | None = None) -> Answering | None:
        moment = self._clock.now()  # before the read: what it finds may be no newer
        found = self._read(name)
        if found is None:
            with self._lock:
                self._entries.pop(name, None)
            return None
        if check is not None:
            check(found.team)
        if found.target is not None and not self._takes_over(name, found.target, entry):
            assert entry is not None
            # With the policy that it answered by: another one may not fit it.
            found = replace(entry.answering, team=found.team)
        with self._lock:
            known = self._entries.get(name)
            # A slower read that began earlier must not bring an older pointer back.
            if known is None or known.confirmed <= moment:
                self._entries[name] = _Entry(found, moment)
                self._entries.move_to_end(name)
                while len(self._entries) > MAX_NAMES:
                    self._entries.popitem(last=False)
        return found

    def _takes_over(self, name: Name, target: Target, entry: _Entry | None) -> bool:
        """Load the version; when it can't be and an old one answers, that one stays."""
        old = None if entry is None else entry.answering.target
        try:
            self._prepare(target)
        except Exception:
            if old is None or old.digest == target.digest:
                raise
            log.exception(
                "version %d of %s can't be loaded; version %d stays", target.version, name, old.version
            )
            return False
        return True
