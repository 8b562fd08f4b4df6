"""The body of a prediction, checked in plain code.

pydantic's models of it exist for the OpenAPI document and load only in `api`; a
test holds both to the same bodies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from tiltyard.contract.faults import parse_time
from tiltyard.errors import Fault, InvalidRows, MalformedRequest, PayloadTooLarge
from tiltyard.runtime.explanation import MAX_ROWS as MAX_EXPLAINED

MAX_BODY = 3 * 2**20
MAX_ROWS = 5_000
MAX_ID = 128
MAX_SUBJECT = 256
_MAX_FAULTS = 100

_KEYS = frozenset({"rows", "ids", "subjects", "at", "explain"})


class PredictBody(NamedTuple):
    """A prediction as it was asked for; `subjects` are raw ids still."""

    rows: Sequence[Mapping[str, Any]]
    ids: Sequence[str] | None = None
    subjects: Sequence[str | None] | None = None
    at: str | Sequence[str] | None = None
    explain: bool = False


def parse(raw: bytes) -> PredictBody:
    """Read a request's bytes.

    Raises
    ------
    PayloadTooLarge
        Above 3 MB.
    MalformedRequest
        If it isn't a JSON object.
    InvalidRows
        If its parts don't fit: no rows or too many, ids that repeat, a length
        that differs, a key that isn't known, an explanation of more than 20 rows.
    """
    return of(load(raw))


def load(raw: bytes) -> dict[str, Any]:
    """The JSON object that a request's bytes hold.

    Raises
    ------
    PayloadTooLarge
        Above 3 MB.
    MalformedRequest
        If it isn't a JSON object.
    """
    if len(raw) > MAX_BODY:
        raise PayloadTooLarge(f"The body has {len(raw)} bytes; {MAX_BODY} may. Send the rows in parts.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        body = _lenient(raw, exc)
    if not isinstance(body, dict):
        raise MalformedRequest("The body must be a JSON object.")
    return body


def of(body: Mapping[str, Any]) -> PredictBody:
    """A prediction from its parts; `InvalidRows` as `parse` says it."""
    rows = body.get("rows")
    if len(body) == 1 and isinstance(rows, list) and 1 <= len(rows) <= MAX_ROWS:
        return PredictBody(rows)
    faults = _faults(body)
    if faults:
        raise InvalidRows("The request doesn't fit its form.", faults=faults[:_MAX_FAULTS])
    return PredictBody(
        body["rows"], body.get("ids"), body.get("subjects"), body.get("at"), body.get("explain") is True
    )


def _lenient(raw: bytes, exc: orjson.JSONDecodeError) -> object:
    """NaN isn't JSON, but Python's own writer writes it: read on, so that the place is named."""
    try:
        body: object = json.loads(raw)
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Python reads "\ud800" alone, but no answer, record or graph can hold it.
        raise MalformedRequest("A text holds half of a surrogate pair, which isn't valid Unicode.") from exc
    except (ValueError, RecursionError):
        raise MalformedRequest(f"The body isn't JSON: {exc}.") from exc
    return body


def _faults(body: Mapping[str, Any]) -> list[Fault]:
    faults = [Fault(f"/{key}", "is not known here") for key in body if key not in _KEYS]
    rows = body.get("rows")
    if not isinstance(rows, list):
        return [*faults, Fault("/rows", "must be a list of rows")]
    n = len(rows)
    if not 1 <= n <= MAX_ROWS:
        return [*faults, Fault("/rows", f"must hold 1 to {MAX_ROWS} rows, not {n}")]
    ids, subjects, at = body.get("ids"), body.get("subjects"), body.get("at")
    if ids is not None:
        faults += _list_faults("/ids", ids, n, _id_fault)
        if not faults:
            faults += _repeats(ids)
    if subjects is not None:
        faults += _list_faults("/subjects", subjects, n, _subject_fault)
    if isinstance(at, str):
        wrong = _time_fault(at)
        faults += [Fault("/at", wrong)] if wrong else []
    elif at is not None:
        faults += _list_faults("/at", at, n, _time_fault)
    faults += _explain_faults(body.get("explain"), n)
    return faults


def _list_faults(where: str, values: object, n: int, fault_of: Callable[[object], str | None]) -> list[Fault]:
    if not isinstance(values, list) or len(values) != n:
        return [Fault(where, f"must be a list of {n}, one a row")]
    return [Fault(f"{where}/{i}", wrong) for i, v in enumerate(values) if (wrong := fault_of(v)) is not None]


def _explain_faults(value: object, n: int) -> list[Fault]:
    if value is not None and not isinstance(value, bool):
        return [Fault("/explain", "must be true or false")]
    if value and n > MAX_EXPLAINED:
        return [Fault("/explain", f"is for at most {MAX_EXPLAINED} rows, not {n}")]
    return []


def _repeats(ids: Sequence[str]) -> list[Fault]:
    if len(set(ids)) == len(ids):
        return []
    first: dict[str, int] = {}
    return [
        Fault(f"/ids/{i}", f"repeats /ids/{first[value]}")
        for i, value in enumerate(ids)
        if first.setdefault(value, i) != i
    ]


def _id_fault(value: object) -> str | None:
    if isinstance(value, str) and 1 <= len(value) <= MAX_ID and value.isprintable():
        return None
    return f"must be 1 to {MAX_ID} printable characters"


def _subject_fault(value: object) -> str | None:
    if value is None or (isinstance(value, str) and 1 <= len(value) <= MAX_SUBJECT):
        return None
    return f"must be null or 1 to {MAX_SUBJECT} characters"


def _time_fault(value: object) -> str | None:
    try:
        parse_time(value)  # type: ignore[arg-type]  # it says what isn't a string
    except (ValueError, OverflowError):
        return "must be an RFC 3339 timestamp with its time zone, as 2013-02-01T06:15:00Z is"
    return None
