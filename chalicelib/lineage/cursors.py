"""Opaque positions in a list: only good for the list that they come from.

A cursor is the sort key of the last row seen behind a short digest of the
list's name. It grants nothing: rights are checked again with every page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from tiltyard.errors import MalformedRequest

_TAG_BYTES = 6
_MAX_LENGTH = 1024


def encode(name: str, position: str) -> str:
    """The cursor behind `position` (a sort key) of the list called `name`."""
    return base64.urlsafe_b64encode(_tag(name) + position.encode()).decode().rstrip("=")


def decode(name: str, cursor: str, *, low: str, high: str) -> str:
    """The position of a cursor, which must lie in [low, high] and come from the list called `name`.

    Raises `MalformedRequest` otherwise.
    """
    if len(cursor) <= _MAX_LENGTH:
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            position = raw[_TAG_BYTES:].decode()
        except (binascii.Error, ValueError):
            position = ""
        # Re-encoding refuses other lists' cursors and every second spelling of this one's.
        if low <= position <= high and encode(name, position) == cursor:
            return position
    raise MalformedRequest("the cursor isn't one that this list gave; start again without it")


def _tag(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:_TAG_BYTES]
