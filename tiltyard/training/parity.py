"""The parity gate: does the service's answer equal the estimator's, row by row?

Rows go the way that requests go: as JSON values through the row reader, the
feature step and ONNX Runtime. All held-out rows take part (made up to 1,000
by drawing each column's values apart when there are fewer), and rows at the
edges: missing values, unseen and empty text, values beyond the range, the
float32 neighbours of tree thresholds, rows nearest to the decision threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import Fault, ParityFailed, TiltyardError
from tiltyard.runtime.bundle import canonical
from tiltyard.runtime.model import ServedModel, open_session
from tiltyard.runtime.parity import ParityReport, ParityRule, compare
from tiltyard.training import frames
from tiltyard.training.convert import Converted
from tiltyard.training.drawing import drawn_apart
from tiltyard.training.graph import column_thresholds
from tiltyard.training.options import MOST_TOLERANCE

FEWEST_ROWS = 1000
MOST_KEPT = 256
"""Rows in ``parity.json``."""
MOST_EDGES_KEPT = 128
MOST_NEAREST = 32
ROWS_WITH_A_GAP = 4
"""Edge rows without each nullable column."""
UNSEEN_LEVEL = "tiltyard: a level never seen"
FORMAT = 1

_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Proof:
    """What the gate found, the rows to prove it again, and the graph's answers to the held-out rows."""

    report: ParityReport
    rule: ParityRule
    document: dict[str, Any]
    scores: NDArray[np.float32]
    edges: int
    drawn: int


def prove(
    converted: Converted,
    signature: Signature,
    data: pd.DataFrame,
    *,
    tolerance: float | None = None,
    holds_persons: bool = False,
) -> Proof:
    """Run the gate.

    Parameters
    ----------
    data
        The held-out rows.
    tolerance
        Share of rows that may differ by more than the rule's 1e-4 (a tenth of it for labels);
        recorded in the bundle. Isotonic calibration may need it: it can rise steeply between two scores.
    holds_persons
        Keep no real row: those kept are drawn column by column.

    Raises
    ------
    ParityFailed
        With every reason, and what usually mends it.
    """
    rule = rule_of(tolerance)
    # The reference of the bundle needs the scores that come from here, so it isn't there yet.
    served = ServedModel(Signature.from_json(signature.to_json()), open_session(converted.content))
    generator = np.random.default_rng(0)
    inputs = data[list(converted.columns)].reset_index(drop=True)
    drawn = drawn_apart(
        inputs, signature, generator, safe=holds_persons, count=_count_to_draw(len(inputs), holds_persons)
    )
    base = drawn if holds_persons else inputs
    edges = _edges(converted, signature, served, base)
    pieces = [frames.widened(piece, converted.types) for piece in (inputs, drawn, edges) if len(piece)]
    everything = frames.stacked(pieces, like=frames.widened(inputs, converted.types))
    rows = frames.json_rows(everything, converted.types)
    expected = converted.answer(everything)
    actual = _served(served, rows)
    report = compare(expected, actual, task=signature.task, threshold=signature.threshold, rule=rule)
    if not report.passed:
        raise _failed(report, converted, everything, expected, actual, rule)
    kept = _kept(signature, expected, len(inputs), len(drawn), len(edges), generator, safe=holds_persons)
    kept = _within(kept, expected, actual, signature, rule)
    document = {
        "format": FORMAT,
        "rule": rule.to_json(),
        "rows": [rows[i] for i in kept],
        # Rounded far below the tolerance, so that another summation order gives the same file.
        "expected": [[round(float(v), 9) for v in expected[i]] for i in kept],
    }
    return Proof(report, rule, document, actual[: len(inputs)], len(edges), len(drawn))


def rule_of(tolerance: float | None) -> ParityRule:
    """The rule, widened for a share `tolerance` of the rows; never narrower than the ordinary one."""
    ordinary = ParityRule()
    if tolerance is None:
        return ordinary
    return ParityRule(
        max_row_share=max(ordinary.max_row_share, tolerance),
        max_label_share=max(ordinary.max_label_share, tolerance / 10),
    )


def _count_to_draw(rows: int, holds_persons: bool) -> int:
    return max(FEWEST_ROWS - rows, MOST_KEPT if holds_persons else 0, 0)


def _served(served: ServedModel, rows: list[frames.Row]) -> NDArray[np.float32]:
    """Answers of the service's own path, in batches as large as a request may be."""
    answers = []
    for start in range(0, len(rows), _BATCH):
        try:
            answers.append(served.score(served.reader.read(rows[start : start + _BATCH])))
        except TiltyardError:
            raise
        except Exception as exc:  # ONNX Runtime's errors share no base class
            raise ParityFailed(
                "The graph can't answer rows that the estimator answers (missing values, unseen levels, an "
                "empty text, values beyond the range).",
                faults=[Fault("/model.onnx", " ".join(str(exc).split())[:500])],
            ) from exc
    return np.concatenate(answers)


def _edges(
    converted: Converted, signature: Signature, served: ServedModel, base: pd.DataFrame
) -> pd.DataFrame:
    """Rows at the edges of what may come, each one a real (or drawn) row with one cell changed."""
    types = converted.types
    wide = frames.widened(base, types)
    rows = [frames.with_missing(base, types, converted.nullable, rows_each=ROWS_WITH_A_GAP)]
    rows += _neighbours(converted, served, wide)
    for i, (name, kind) in enumerate(types.items()):
        start = wide.iloc[[i % len(wide)]]
        if kind == "string":
            rows += [frames.with_cells(start, {name: text}) for text in (UNSEEN_LEVEL, "")]
        elif kind in ("number", "integer"):
            ends = _ends(signature.column(name), wide[name])
            rows += [frames.with_cells(start, {name: value}) for value in ends]
    pieces = [piece for piece in rows if len(piece)]
    return frames.stacked(pieces, like=wide) if pieces else wide.iloc[:0]


def _ends(column: Column, values: pd.Series[Any]) -> tuple[float, ...]:
    """The ends of the column's range, by the contract or as `values` have it, and a range beyond each."""
    low, high = column.minimum, column.maximum
    if low is None or high is None:
        present = values.dropna()
        if present.empty:
            return ()
        low, high = float(present.min()), float(present.max())
    span = high - low or 1.0
    return low - span, high + span, low, high


def _neighbours(converted: Converted, served: ServedModel, wide: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows whose value is the float32 just below, and just above, a threshold of the model's trees."""
    types = converted.types
    sample = wide.iloc[:500]
    batch = served.reader.read(frames.json_rows(sample, types))
    if batch.numbers is None or batch.n < 2:
        return []
    rows = []
    names = converted.features.numbers
    for i, thresholds in column_thresholds(converted.content, batch.numbers, batch.strings).items():
        if types.get(names[i]) != "number":
            continue  # whole numbers and what the feature step makes can't come that close
        for k, threshold in enumerate(thresholds):
            start = wide.iloc[[k % len(wide)]]
            for towards in (-np.inf, np.inf):
                with np.errstate(over="ignore"):
                    near = float(np.nextafter(threshold, np.float32(towards)))
                if np.isfinite(near):
                    rows.append(frames.with_cells(start, {names[i]: near}))
    return rows


def _kept(
    signature: Signature,
    expected: NDArray[np.float64],
    real: int,
    drawn: int,
    edges: int,
    generator: np.random.Generator,
    *,
    safe: bool,
) -> list[int]:
    """Positions of the rows for ``parity.json``: edges, those nearest to the threshold, then any."""
    first_edge = real + drawn
    kept: list[int] = []
    if edges:
        spread = np.linspace(0, edges - 1, min(edges, MOST_EDGES_KEPT)).round().astype(int)
        kept = [first_edge + i for i in np.unique(spread).tolist()]
    pool = np.arange(real, first_edge) if safe else np.arange(real)
    if signature.task == "binary" and signature.threshold is not None:
        distance = np.abs(expected[pool, 1] - signature.threshold)
        kept += pool[np.argsort(distance, kind="stable")[:MOST_NEAREST]].tolist()
    rest = np.setdiff1d(pool, kept)
    room = min(MOST_KEPT - len(kept), len(rest))
    kept += generator.choice(rest, size=room, replace=False).tolist()
    return sorted(kept)


def _within(
    kept: list[int],
    expected: NDArray[np.float64],
    actual: NDArray[np.float32],
    signature: Signature,
    rule: ParityRule,
) -> list[int]:
    """The kept rows, without those by which so few rows would break a rule that all rows keep.

    Edges and rows at the threshold are picked because they are hard: a share of all
    rows that may differ is exceeded by a sample of the hardest.
    """
    while len(kept) > 1:
        report = compare(
            expected[kept], actual[kept], task=signature.task, threshold=signature.threshold, rule=rule
        )
        if report.passed:
            break
        difference = np.abs(actual[kept] - expected[kept]).max(axis=1)
        kept = [row for i, row in enumerate(kept) if i != int(np.argmax(difference))]
    return kept


def _failed(
    report: ParityReport,
    converted: Converted,
    rows: pd.DataFrame,
    expected: NDArray[np.float64],
    actual: NDArray[np.float32],
    rule: ParityRule,
) -> ParityFailed:
    advice = (
        "Remove scalers in front of trees, train on float32 values (X.astype('float32')), and keep columns "
        "of very large numbers (timestamps, ids) out; if it isn't that, skl2onnx gets a step wrong: "
        "replace it."
    )
    if converted.is_stepwise:
        share = math.ceil(max(report.row_share * 1.5, report.label_share * 15, 0.001) * 1000) / 1000
        advice = (
            "Isotonic calibration jumps where two of its thresholds almost meet, and float32 isn't fine "
            "enough there: use method='sigmoid'"
        )
        if share <= MOST_TOLERANCE:
            advice += f", or accept that share of rows in so many words with tolerance={share:g}"
        advice += "."
    difference = np.nan_to_num(np.abs(actual - expected), nan=np.inf).max(axis=1)
    worst = int(np.argmax(difference))
    row = frames.json_rows(rows.iloc[[worst]], converted.types)[0]
    shown = ", ".join(f"{name}={row[name]!r}" for name in list(row)[:6])
    where = f"the largest difference is {report.max_abs_diff:.3g}, at {shown}{', …' if len(row) > 6 else ''}"
    return ParityFailed(
        f"The converted model answers differently from the estimator; {where}. {advice}",
        faults=[Fault("/parity", reason) for reason in report.reasons],
    )


def parity_bytes(proof: Proof) -> bytes:
    """``parity.json``."""
    return canonical(proof.document)


def figures(proof: Proof) -> Mapping[str, Any]:
    """The report's figures for the manifest, to three digits: the last bits are the machine's own."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in proof.report.to_json().items()
    } | {"edge_rows": proof.edges, "drawn_rows": proof.drawn}
