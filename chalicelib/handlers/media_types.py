"""Chalice's comparison of media types, remembered.

Chalice holds Content-Type and Accept against its lists four times a request, by
a regular expression and sets: a sixth of a one-row prediction's time. The
answer depends on its two arguments alone, and callers send few different ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import chalice.app

_FUNCTION = "_matches_content_type"


def remember() -> None:
    """Put the remembering comparison in the place of Chalice's own; a second call changes nothing.

    It is no part of Chalice's interface: a version that hasn't got it is left as it is.
    """
    own = getattr(chalice.app, _FUNCTION, None)
    if own is not None and not hasattr(own, "cache_clear"):
        setattr(chalice.app, _FUNCTION, remembered(own))


def remembered(compare: Callable[[str, list[str]], bool]) -> Callable[[str, Sequence[str]], bool]:
    """`compare` with its last 256 answers."""
    known = functools.lru_cache(maxsize=256)(lambda header, valid: compare(header, list(valid)))

    def matches(header: str, valid: Sequence[str]) -> bool:
        return known(header, tuple(valid))

    matches.cache_clear = known.cache_clear  # type: ignore[attr-defined]
    return matches
