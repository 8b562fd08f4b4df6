"""Optimistic concurrency from the loser's side: read again, decide again, a few times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tiltyard.errors import LostRace

T = TypeVar("T")

TRIES = 6
FIRST_PAUSE_S = 0.02


def settle(
    change: Callable[[], T],
    *,
    check: Callable[[], None] = lambda: None,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """Call `change` until it doesn't lose a race, at most `TRIES` times.

    `change` reads all that it decides on by itself. After a lost race `check`
    may raise, when what the caller asked for can't be had any more. The pauses
    double from 20 ms, so the whole takes under a second.
    """
    for n in range(TRIES - 1):
        try:
            return change()
        except LostRace:
            check()
            pause(FIRST_PAUSE_S * 2**n)
    return change()
