"""Digests of data: what names a data set in the lineage graph (docs/lineage.md has the definition)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.step import column_type, to_columns
from tiltyard.errors import InvalidInput
from tiltyard.runtime.bundle import canonical
from tiltyard.runtime.origin import LONGEST_NAME, MAX_DATASETS, Use, is_name, origin_of
from tiltyard.training.labels import Labelled

FORMAT = "tiltyard-frame-1"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MISSING_NUMBER = np.frombuffer(bytes.fromhex("000000000000f87f"), dtype="<f8")[0]
_MISSING_TEXT = b"\xff\xff\xff\xff"
_EXACT = 2**53

Dataset = dict[str, Any]


def origin(rows: Labelled, trained_on: object, run: str | None, progress: Callable[[str], None]) -> Dataset:
    """The manifest's ``origin``: the held-out rows, and what the model was trained on.

    Raises
    ------
    InvalidInput
        For what is no data, too much of it, or a name or an id that can't be kept.
    """
    if run is not None and not is_name(run):
        raise InvalidInput(f"run={run!r} must be a printable text of 1 to {LONGEST_NAME} characters.")
    held_out = _described(_with_target(rows), "held-out")
    trained = [_named(name, data) for name, data in _data_sets(trained_on)]
    if len(trained) >= MAX_DATASETS:
        raise InvalidInput(
            f"trained_on= names {len(trained)} data sets; at most {MAX_DATASETS - 1} are kept."
        )
    for data in trained:
        shown = data.get("name", "a data set")
        progress(f"trained on {shown}: {data['digest'][:12]}")
    return origin_of([held_out, *trained], run)


def frame_digest(frame: pd.DataFrame) -> str:
    """The digest of a frame's columns and rows, in their order; the index doesn't count.

    Raises
    ------
    InvalidInput
        When a column's name is no text, or there twice.
    """
    if not all(isinstance(name, str) for name in frame.columns) or not frame.columns.is_unique:
        raise InvalidInput("A data set's columns need names that are text, each there once.")
    encoded = [(str(name), *_encoded(frame[name])) for name in frame.columns]
    header = {"format": FORMAT, "rows": len(frame), "columns": [[name, kind] for name, kind, _ in encoded]}
    digest = hashlib.sha256(canonical(header) + b"\n")
    for _, _, content in encoded:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Raises `InvalidInput` for a file that can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise InvalidInput(f"{path.name} can't be read to take its digest: {exc.strerror}.") from exc


def _data_sets(given: object) -> Iterator[tuple[str | None, object]]:
    if given is None:
        return
    if isinstance(given, Mapping):
        yield from given.items()
    elif isinstance(given, list | tuple):
        for data in given:
            yield from _data_sets(data)
    else:
        yield None, given


def _named(name: object, data: object) -> Dataset:
    made = _described(data, "training")
    if name is None:
        return made
    if not is_name(name):
        raise InvalidInput(f"{name!r} can't name a data set: a printable text of at most {LONGEST_NAME} can.")
    return {**made, "name": name}


def _described(data: object, use: Use) -> Dataset:
    if isinstance(data, pd.DataFrame):
        rows, columns = data.shape
        return {"digest": frame_digest(data), "use": use, "rows": rows, "columns": columns}
    if isinstance(data, str) and _SHA256.fullmatch(data):
        return {"digest": data, "use": use}
    if isinstance(data, str | os.PathLike):
        return {"digest": file_digest(Path(data)), "use": use}
    raise InvalidInput(
        f"trained_on= takes DataFrames, paths of files and SHA-256 digests, not {type(data).__name__}."
    )


def _with_target(rows: Labelled) -> pd.DataFrame:
    """The held-out rows with their labels as the last column."""
    held_out = rows.data.drop(columns=[rows.name], errors="ignore")
    return held_out.assign(**{rows.name: rows.labels})


def _encoded(series: pd.Series[Any]) -> tuple[str, bytes]:
    """A column's type and its bytes."""
    try:
        kind = column_type(series)
        values = to_columns(series.to_frame("column"), {"column": kind})["column"]
    except (InvalidInput, TypeError, ValueError):
        # Several types of value, or times that no calendar holds: they have no one form.
        return "other", b""
    if kind == "integer" and np.abs(np.nan_to_num(values.astype(np.float64))).max(initial=0) > _EXACT:
        exact = [None if v is None or pd.isna(v) else str(int(v)) for v in series.tolist()]
        return "large-integer", _texts(exact)
    if kind in ("number", "integer"):
        return kind, _numbers(values)
    if kind == "datetime":
        return kind, values.astype("datetime64[us]").astype("<i8").tobytes()
    if kind == "boolean":
        return kind, bytes(2 if v is None else int(v) for v in values.tolist())
    return kind, _texts(values.tolist())


def _numbers(values: NDArray[Any]) -> bytes:
    plain = values.astype("<f8") + 0.0
    plain[np.isnan(plain)] = _MISSING_NUMBER
    return plain.tobytes()


def _texts(values: Iterable[str | None]) -> bytes:
    """Each text is encoded once, for columns hold few and repeat them."""
    known: dict[str | None, bytes] = {None: _MISSING_TEXT}
    parts = []
    for value in values:
        if value not in known:
            content = str(value).encode("utf-8", "surrogatepass")
            known[value] = len(content).to_bytes(4, "little") + content
        parts.append(known[value])
    return b"".join(parts)
