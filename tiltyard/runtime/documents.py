"""The JSON files of a bundle, read without trust: canonical, of a known format, and of one mind."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rfc8785
from numpy.typing import NDArray

from tiltyard.contract.rows import RowReader
from tiltyard.contract.signature import Signature
from tiltyard.errors import Fault, IntegrityError, InvalidBundle, InvalidRows
from tiltyard.runtime.bundle import (
    MANIFEST,
    PARITY,
    PROFILE,
    REFERENCE,
    SIGNATURE,
    Bundle,
    canonical,
    check_manifest,
)
from tiltyard.runtime.parity import ParityRule
from tiltyard.runtime.reference import Reference
from tiltyard.runtime.zones import known_zones
from tiltyard.stats.layout import score_groups
from tiltyard.stats.seasons import HOURS_A_WEEK, LENGTHS
from tiltyard.stats.together import DISTANCES, MOST_COLUMNS

PROFILE_FORMAT = 1
PARITY_FORMAT = 1

MAX_PARITY_ROWS = 256
MAX_PROFILE_COLUMNS = 10_000
LONGEST_PART = 1.001
"""Of an axis of length 1, with nine digits; longer ones could make a distance infinite."""

LOOSEST_RULE = ParityRule(atol=1e-2, max_row_share=0.05, max_label_share=0.01)
"""What a bundle's own parity rule may allow at most: room for step functions such as isotonic calibration."""


@dataclass(frozen=True, slots=True)
class ParityRows:
    """Rows with the estimator's own answers, shape (n, classes) or (n, 1)."""

    rule: ParityRule
    rows: tuple[Mapping[str, Any], ...]
    expected: NDArray[np.float64]


def check(files: Mapping[str, bytes]) -> Signature:
    """Read every document of a bundle and hold them against one another and against the files' bytes.

    Raises
    ------
    InvalidBundle
        With a pointer to what is wrong.
    """
    manifest = _read(files, MANIFEST)
    check_manifest(manifest)
    try:
        Bundle(files).verify()
    except IntegrityError as exc:
        raise _invalid("/manifest/files", exc.detail) from exc
    signature = Signature.from_json(_read(files, SIGNATURE))
    if signature.task != manifest["task"]:
        raise _invalid("/manifest/task", f"says {manifest['task']}, the signature {signature.task}")
    check_profile(_read(files, PROFILE), signature)
    _check_background(Reference.from_json(_read(files, REFERENCE), signature), signature)
    examples = _parity(_read(files, PARITY))
    width = len(signature.classes) or 1
    if examples.expected.shape[1] != width:
        raise _invalid("/parity/expected", f"holds {examples.expected.shape[1]} numbers a row, not {width}")
    return signature


def _check_background(reference: Reference, signature: Signature) -> None:
    """Background rows are ones that a caller may send: an explanation scores them."""
    try:
        RowReader(signature).read(reference.background)
    except InvalidRows as exc:
        faults = [Fault(f"/reference/background{fault.pointer}", fault.detail) for fault in exc.faults]
        raise InvalidBundle("A background row breaks the bundle's own contract.", faults=faults) from exc


def read_parity(content: bytes) -> ParityRows:
    """Read ``parity.json``; raises `InvalidBundle` with a pointer to what is wrong."""
    return _parity(_read({PARITY: content}, PARITY))


def check_profile(profile: Mapping[str, Any], signature: Signature) -> None:
    """Hold ``profile.json`` against its format and the signature's columns.

    Raises
    ------
    InvalidBundle
        With a pointer to what is wrong.
    """
    if profile.get("format") != PROFILE_FORMAT:
        raise _invalid("/profile/format", f"this Tiltyard reads profile format {PROFILE_FORMAT}")
    if not _is_count(profile.get("rows")) or not profile["rows"]:
        raise _invalid("/profile/rows", "must be a whole number, at least 1")
    columns = profile.get("columns")
    # A model of dates alone has no column that is counted.
    if not isinstance(columns, dict) or len(columns) > MAX_PROFILE_COLUMNS:
        raise _invalid("/profile/columns", f"must be an object of at most {MAX_PROFILE_COLUMNS} columns")
    if not isinstance(profile.get("score"), dict):
        raise _invalid("/profile/score", "must be an object")
    known = {column.name for column in signature.columns}
    for name, column in columns.items():
        where = f"/profile/columns/{_token(name)}"
        if name not in known:
            raise _invalid(where, "is no column of the signature")
        _check_column(column, where)
    if "together" in profile:
        counted = {name for name, column in columns.items() if column["kind"] == "number"}
        numeric = {column.name for column in signature.inputs if column.type in ("number", "integer")}
        _check_together(profile["together"], counted & numeric)
    if "duplicates" in profile:
        found = profile["duplicates"]
        if (
            not isinstance(found, dict)
            or not all(_is_count(found.get(key)) for key in ("distinct", "repeated"))
            or found["repeated"] > found["distinct"]
        ):
            raise _invalid(
                "/profile/duplicates", "must hold distinct rows, and how many of them are repeated"
            )
    if "seasons" in profile:
        _check_seasons(profile["seasons"], profile)


def _check_seasons(document: object, profile: Mapping[str, Any]) -> None:
    where = "/profile/seasons"
    if not isinstance(document, dict):
        raise _invalid(where, "must be an object")
    zone = document.get("zone")
    if not isinstance(zone, str) or zone not in known_zones():
        raise _invalid(f"{where}/zone", "must be the name of a time zone")
    together = {kind: profile["together"][kind] for kind in DISTANCES} if "together" in profile else {}
    for part, counted in (("columns", profile["columns"]), ("together", together)):
        found = document.get(part)
        if not isinstance(found, dict) or set(found) != set(counted):
            raise _invalid(f"{where}/{part}", "must say something of each that is counted, and of no other")
        for name, column in counted.items():
            is_number = column["kind"] == "number"
            size = max(1, len(column["edges"]) - 1) + 1 if is_number else len(column["levels"]) + 2
            _check_season(found[name], size, f"{where}/{part}/{_token(name)}")
    edges = profile["score"].get("edges", [])
    _check_season(document.get("score"), len(score_groups(max(0, len(edges) - 1))), f"{where}/score")


def _check_season(document: object, size: int, where: str) -> None:
    if not isinstance(document, dict):
        raise _invalid(where, "must be an object")
    hours = document.get("hours")
    if not isinstance(hours, list) or len(hours) not in (0, HOURS_A_WEEK):
        raise _invalid(f"{where}/hours", f"must hold counts of {HOURS_A_WEEK} hours, or of none")
    for counts in hours:
        if not isinstance(counts, list) or len(counts) not in (0, size) or not all(map(_is_count, counts)):
            raise _invalid(f"{where}/hours", f"must hold {size} whole numbers an hour, or none")
    for scale in LENGTHS.keys() & document.keys():
        said = document[scale]
        if not isinstance(said, dict) or not _are_numbers([said.get("rows")], 1) or said["rows"] <= 0:
            raise _invalid(f"{where}/{scale}/rows", "must be a number above zero")
        _check_dispersion(said.get("plain"), f"{where}/{scale}/plain")
        if said.get("seasonal") is not None:
            _check_dispersion(said["seasonal"], f"{where}/{scale}/seasonal")
            if not hours:
                raise _invalid(f"{where}/{scale}/seasonal", "must be null without counts by the hour")


def _check_dispersion(pair: object, where: str) -> None:
    if not isinstance(pair, list) or len(pair) != 2 or not _are_numbers(pair[:1], 1) or pair[0] < 1:
        raise _invalid(where, "must hold an overdispersion, 1 at least, and its degrees of freedom")
    if pair[1] is not None and (not _is_count(pair[1]) or not pair[1]):
        raise _invalid(where, "must have degrees of freedom above zero, or null")


def _check_together(document: object, numeric: set[str]) -> None:
    where = "/profile/together"
    if not isinstance(document, dict):
        raise _invalid(where, "must be an object")
    columns = document.get("columns")
    if (
        not isinstance(columns, list)
        or not all(isinstance(name, str) for name in columns)
        or not 2 <= len(columns) <= MOST_COLUMNS
        or len(set(columns)) != len(columns)
        or not numeric.issuperset(columns)
    ):
        raise _invalid(f"{where}/columns", f"must name 2 to {MOST_COLUMNS} numeric inputs, each once")
    k = len(columns)
    for key in ("fill", "mean", "scale", "variances"):
        if not _are_numbers(document.get(key), k):
            raise _invalid(f"{where}/{key}", f"must hold a finite number for each of {k} columns")
    if min(document["scale"]) <= 0:
        raise _invalid(f"{where}/scale", "must be above zero")
    if min(document["variances"]) < 0:
        raise _invalid(f"{where}/variances", "must not be negative")
    axes = document.get("axes")
    if not isinstance(axes, list) or len(axes) != k or not all(_are_numbers(axis, k) for axis in axes):
        raise _invalid(f"{where}/axes", f"must hold {k} axes of {k} finite numbers")
    if any(abs(part) > LONGEST_PART for axis in axes for part in axis):
        raise _invalid(f"{where}/axes", "must be of length 1")
    if not _is_count(document.get("kept")) or not 0 < document["kept"] < k:
        raise _invalid(f"{where}/kept", f"must be a whole number from 1 to {k - 1}")
    for kind in DISTANCES:
        _check_column(document.get(kind), f"{where}/{kind}")
        if document[kind]["kind"] != "number":
            raise _invalid(f"{where}/{kind}/kind", "must be number")


def _check_column(column: object, where: str) -> None:
    if not isinstance(column, dict) or column.get("kind") not in ("number", "category"):
        raise _invalid(f"{where}/kind", "must be number or category")
    counts = column.get("counts")
    if not isinstance(counts, list) or not all(_is_count(c) for c in counts):
        raise _invalid(f"{where}/counts", "must be a list of whole numbers, none negative")
    for key in ("missing", "below", "above") if column["kind"] == "number" else ("missing", "other"):
        if not _is_count(column.get(key)):
            raise _invalid(f"{where}/{key}", "must be a whole number, not negative")
    if column["kind"] == "number":
        edges = column.get("edges")
        if (
            not isinstance(edges, list)
            or not all(_is_number(e) for e in edges)
            or any(low > high for low, high in itertools.pairwise(edges))
        ):
            raise _invalid(f"{where}/edges", "must be a list of finite numbers in ascending order")
        if len(counts) != max(len(edges) - 1, 0):
            raise _invalid(f"{where}/counts", f"must hold a count between each two of {len(edges)} edges")
    else:
        levels = column.get("levels")
        if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
            raise _invalid(f"{where}/levels", "must be a list of strings")
        if len(levels) != len(counts):
            raise _invalid(f"{where}/counts", f"must hold a count for each of the {len(levels)} levels")


def _parity(document: Mapping[str, Any]) -> ParityRows:
    if document.get("format") != PARITY_FORMAT:
        raise _invalid("/parity/format", f"this Tiltyard reads parity format {PARITY_FORMAT}")
    rule = ParityRule.from_json(document.get("rule"))
    for name, most in LOOSEST_RULE.to_json().items():
        if getattr(rule, name) > most:
            raise _invalid(f"/parity/rule/{name}", f"is {getattr(rule, name):g}, at most {most:g} is allowed")
    rows, expected = document.get("rows"), document.get("expected")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_PARITY_ROWS:
        raise _invalid("/parity/rows", f"must be a list of 1 to {MAX_PARITY_ROWS} rows")
    if not all(isinstance(row, dict) for row in rows):
        raise _invalid("/parity/rows", "must be a list of objects")
    if (
        not isinstance(expected, list)
        or len(expected) != len(rows)
        or not all(isinstance(e, list) and e and all(_is_number(v) for v in e) for e in expected)
        or len({len(e) for e in expected}) != 1
    ):
        raise _invalid(
            "/parity/expected", "must hold a list of finite numbers for each row, all of one length"
        )
    return ParityRows(rule, tuple(rows), np.array(expected, dtype=np.float64))


def _read(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    where = f"/{name.removesuffix('.json')}"
    try:
        document = json.loads(files[name])
        if not isinstance(document, dict):
            raise _invalid(where, "must be a JSON object")
        is_canonical = canonical(document) == files[name]
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as exc:
        raise _invalid(where, f"is no canonical JSON: {str(exc)[:200]}") from exc
    if not is_canonical:
        raise _invalid(where, "is not in its canonical form (RFC 8785)")
    return document


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(value: object, n: int) -> bool:
    return isinstance(value, list) and len(value) == n and all(_is_number(number) for number in value)


def _token(name: str) -> str:
    """A reference token of a JSON pointer (RFC 6901), short."""
    return name[:80].replace("~", "~0").replace("/", "~1")


def _invalid(pointer: str, detail: str) -> InvalidBundle:
    return InvalidBundle("The bundle's documents don't hold together.", faults=[Fault(pointer, detail)])
