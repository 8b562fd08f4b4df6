"""Text that is safe to put into a page; plain text gets there through `text` alone."""

from __future__ import annotations

import html
import re
from typing import NewType

Html = NewType("Html", str)
"""Marked-up text. That it is another type than `str` lets mypy find what wasn't escaped."""

EMPTY = Html("")

# What neither XML nor UTF-8 can hold: a column's name may hold anything.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VOID = ("meta",)


def text(value: object) -> Html:
    """Plain text, escaped for an element and for a quoted attribute."""
    return Html(html.escape(_UNWRITABLE.sub("\ufffd", str(value))))


def name(value: object) -> Html:
    """A name that someone gave: whichever way its letters run, those around it keep theirs."""
    return element("bdi", text(value))


def element(tag: str, *children: Html, **attributes: object) -> Html:
    """An element; ``class_`` is its `class`, ``stroke_width`` its `stroke-width`, None leaves one out.

    It is always closed by a tag of its own, so that HTML and XML read it alike.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Html(f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{''.join(children)}</{tag}>")


def joined(*parts: Html) -> Html:
    return Html("".join(parts))


def _attribute(value: object) -> str:
    return f"{round(value, 2):g}" if isinstance(value, float) else text(value)
