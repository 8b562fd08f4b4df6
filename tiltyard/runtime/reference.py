"""``reference.json``: what single answers are judged against, read without trust.

Format 1::

    {"format": 1, "rows": n,
     "conformal": {"scores": [ascending, at most 2,000]},
     "anomaly": null | {
         "columns": [numeric inputs, as float32, the precision in which the graph reads them],
         "ecod": [{"edges": [...], "left": [...], "right": [...], "is_left": bool}, ... one a column],
         "mahalanobis": null | {"mean": [...], "rows": [[1 number], [2 numbers], ...]},
         "calibration": {"ecod": [ascending], "mahalanobis": [ascending]}},
     "background": {"rows": [{...}, ...], "drawn": "stratified" | "by column", "seed": 0}}

Conformal scores are ``1 - p`` of the true class, or ``|y - value|``.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiltyard.contract.signature import Signature
from tiltyard.errors import Fault, InvalidBundle
from tiltyard.stats.ecod import EDGES, Tails
from tiltyard.stats.mahalanobis import Whitening

FORMAT = 1
MOST_SCORES = 2_000
MOST_BACKGROUND_ROWS = 100
MOST_WHITENED = 200
"""Columns; the triangle of more would weigh more than most models."""
FEWEST_CALIBRATION_ROWS = 100
"""Of fewer, p-values tie and their order says little (STATISTICS section 7)."""

DRAWN = ("stratified", "by column")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """The tables of the two rules, and calibration scores in ascending order."""

    columns: tuple[str, ...]
    tails: tuple[Tails, ...]
    whitening: Whitening | None
    ecod: Sequence[float]
    mahalanobis: Sequence[float]


@dataclass(frozen=True, slots=True)
class Reference:
    """A read ``reference.json``; `anomaly` is None where the model has no numeric column or too few rows."""

    rows: int
    conformal: Sequence[float]
    anomaly: Anomaly | None
    background: tuple[Json, ...]
    drawn: str
    seed: int

    @classmethod
    def read(cls, content: bytes, signature: Signature) -> Reference:
        """Read the file's bytes.

        Raises
        ------
        InvalidBundle
            With a pointer to what is wrong.
        """
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise _invalid("", "is no JSON") from exc
        return cls.from_json(document, signature)

    @classmethod
    def from_json(cls, document: object, signature: Signature) -> Reference:
        """Read the document; raises `InvalidBundle` with a pointer to what is wrong."""
        whole = _object(document, "", {"format", "rows", "conformal", "anomaly", "background"})
        if whole["format"] != FORMAT:
            raise _invalid("/format", f"this Tiltyard reads reference format {FORMAT}")
        conformal = _object(whole["conformal"], "/conformal", {"scores"})
        background = _object(whole["background"], "/background", {"rows", "drawn", "seed"})
        rows = background["rows"]
        if not isinstance(rows, list) or not 0 < len(rows) <= MOST_BACKGROUND_ROWS:
            raise _invalid("/background/rows", f"must be a list of 1 to {MOST_BACKGROUND_ROWS} rows")
        if not all(isinstance(row, dict) for row in rows):
            raise _invalid("/background/rows", "must be a list of objects")
        if background["drawn"] not in DRAWN:
            raise _invalid("/background/drawn", f"must be one of {', '.join(DRAWN)}")
        return cls(
            _count(whole["rows"], "/rows"),
            _scores(conformal["scores"], "/conformal/scores"),
            None if whole["anomaly"] is None else _anomaly(whole["anomaly"], signature),
            tuple(rows),
            background["drawn"],
            _count(background["seed"], "/background/seed"),
        )


NOTHING = Reference(0, (), None, (), "stratified", 0)
"""Nothing to judge by: every set is whole, no interval ends, no row is odd."""


def told_columns(signature: Signature) -> tuple[str, ...]:
    """The columns that anomalies are told by: numbers that reach the graph as they are sent.

    A calendar column isn't one: next week's date is always one that was never seen, and beside the
    weather of the week that was, it would make every row an odd combination.
    """
    numeric = {
        column.name
        for column in signature.inputs
        if column.type in ("number", "integer") and column.role != "calendar"
    }
    return tuple(name for name in signature.features.numbers if name in numeric)


def bare(background: Sequence[Json]) -> dict[str, Any]:
    """The smallest document: these background rows, and nothing to judge an answer by."""
    return {
        "format": FORMAT,
        "rows": len(background),
        "conformal": {"scores": []},
        "anomaly": None,
        "background": {"rows": list(background), "drawn": "stratified", "seed": 0},
    }


def _anomaly(document: object, signature: Signature) -> Anomaly:
    where = "/anomaly"
    parts = _object(document, where, {"columns", "ecod", "mahalanobis", "calibration"})
    numeric = told_columns(signature)
    columns = parts["columns"]
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise _invalid(f"{where}/columns", "must be a list of names")
    if len(set(columns)) != len(columns) or not set(numeric).issuperset(columns):
        raise _invalid(f"{where}/columns", "must name numeric columns that the graph reads, each once")
    tables = parts["ecod"]
    if not isinstance(tables, list) or len(tables) != len(columns):
        raise _invalid(f"{where}/ecod", f"must hold a table for each of {len(columns)} columns")
    whitening = None
    if parts["mahalanobis"] is not None:
        whitening = _whitening(parts["mahalanobis"], f"{where}/mahalanobis", len(columns))
    calibration = _object(parts["calibration"], f"{where}/calibration", {"ecod", "mahalanobis"})
    return Anomaly(
        tuple(columns),
        tuple(_tails(table, f"{where}/ecod/{i}") for i, table in enumerate(tables)),
        whitening,
        _scores(calibration["ecod"], f"{where}/calibration/ecod"),
        _scores(calibration["mahalanobis"], f"{where}/calibration/mahalanobis"),
    )


def _tails(document: object, where: str) -> Tails:
    table = _object(document, where, {"edges", "left", "right", "is_left"})
    edges = _numbers(table["edges"], f"{where}/edges")
    if not 0 < len(edges) <= EDGES or any(low >= high for low, high in itertools.pairwise(edges)):
        raise _invalid(f"{where}/edges", f"must be 1 to {EDGES} rising numbers")
    left, right = _numbers(table["left"], f"{where}/left"), _numbers(table["right"], f"{where}/right")
    for name, tail in (("left", left), ("right", right)):
        if len(tail) != len(edges) + 1 or min(tail) < 0:
            raise _invalid(f"{where}/{name}", f"must hold {len(edges) + 1} numbers, none negative")
    if not isinstance(table["is_left"], bool):
        raise _invalid(f"{where}/is_left", "must be true or false")
    return Tails(edges, left, right, table["is_left"])


def _whitening(document: object, where: str, columns: int) -> Whitening:
    parts = _object(document, where, {"mean", "rows"})
    mean = _numbers(parts["mean"], f"{where}/mean")
    rows = parts["rows"]
    if columns > MOST_WHITENED:
        raise _invalid(where, f"must be null above {MOST_WHITENED} columns")
    if len(mean) != columns or not isinstance(rows, list) or len(rows) != columns:
        raise _invalid(where, f"must hold a mean and a row for each of {columns} columns")
    triangle = [_numbers(row, f"{where}/rows/{i}") for i, row in enumerate(rows)]
    for i, row in enumerate(triangle):
        if len(row) != i + 1:
            raise _invalid(f"{where}/rows/{i}", f"must hold {i + 1} numbers")
    return Whitening(mean, triangle)


def _object(document: object, where: str, keys: set[str]) -> Json:
    if not isinstance(document, dict) or set(document) != keys:
        raise _invalid(where, f"must be an object of {', '.join(sorted(keys))}")
    return document


def _scores(value: object, where: str) -> list[float]:
    scores = _numbers(value, where)
    if len(scores) > MOST_SCORES or any(low > high for low, high in itertools.pairwise(scores)):
        raise _invalid(where, f"must be at most {MOST_SCORES} ascending numbers")
    return scores


def _numbers(value: object, where: str) -> list[float]:
    if not isinstance(value, list):
        raise _invalid(where, "must be a list of numbers")
    for number in value:
        # One type after the other: a bool is an int, and a huge int is no float.
        if type(number) not in (int, float) or not abs(number) <= 1e308 or not math.isfinite(number):
            raise _invalid(where, "must be a list of finite numbers")
    return [float(number) for number in value]


def _count(value: object, where: str) -> int:
    if type(value) is not int or value < 0:
        raise _invalid(where, "must be a whole number, not negative")
    return value


def _invalid(pointer: str, detail: str) -> InvalidBundle:
    return InvalidBundle(
        "The bundle's reference can't be used.", faults=[Fault(f"/reference{pointer}", detail)]
    )
