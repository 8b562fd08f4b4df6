"""What the other protocols' readers give: rows as `predict` takes them, and where each value came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tiltyard.contract.faults import MAX_FAULTS
from tiltyard.errors import Fault, InvalidRows

Row = Mapping[str, Any]


class Place(NamedTuple):
    """A value in rows: its row, and its column unless the whole row is meant."""

    row: int
    column: str | None


class Translated(NamedTuple):
    """Rows, and the pointers of a request in another form: of all its rows, and of one place in them."""

    rows: Sequence[Row]
    whole: str
    pointer_of: Callable[[Place], str]


def misfit(faults: Sequence[Fault]) -> InvalidRows:
    return InvalidRows("The request doesn't fit its form.", faults=faults[:MAX_FAULTS])


def relocated(error: InvalidRows, translated: Translated, *, others: str = "") -> InvalidRows:
    """`error` with pointers into the request as it was sent.

    `others` is where the request holds what isn't rows (``/ids/3`` → ``/params/ids/3``).
    Faults that then say the same of the same place are said once.
    """
    moved = (Fault(_moved(fault.pointer, translated, others), fault.detail) for fault in error.faults)
    return InvalidRows(error.detail, faults=list(dict.fromkeys(moved)))


def _moved(pointer: str, translated: Translated, others: str) -> str:
    _, head, *rest = pointer.split("/")
    if head != "rows":
        return others + pointer
    if not rest:
        return translated.whole
    return translated.pointer_of(Place(int(rest[0]), _unescaped(rest[1]) if len(rest) > 1 else None))


def pointer(*tokens: str | int) -> str:
    """An RFC 6901 pointer of reference tokens that aren't escaped yet."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def parameters_faults(parameters: object, *where: str | int) -> list[Fault]:
    """Of an object of the protocol's scalars: texts, truth values, numbers of at most 64 bits."""
    if parameters is None:
        return []
    if not isinstance(parameters, Mapping):
        return [Fault(pointer(*where), "must be an object")]
    return [
        Fault(pointer(*where, name), "must be a text, a truth value or a number of at most 64 bits")
        for name, value in parameters.items()
        if not _is_scalar(value)
    ]


def _is_scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (str, bool)) or (isinstance(value, int) and -(2**63) <= value < 2**64)


def unknown_keys(body: Iterable[str], known: frozenset[str], *parents: str | int) -> list[Fault]:
    return [Fault(pointer(*parents, key), "is not known here") for key in body if key not in known]
