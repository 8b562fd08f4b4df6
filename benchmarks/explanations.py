"""Explanations: Kernel SHAP of a 12-feature model against all 4,096 coalitions, and what a row costs.

The truth is worked out here, on matrices and by another route than the service's: every
coalition with every background row through ONNX Runtime, then Shapley's formula with its
factorials. An error is mean |error| / mean |value| over all rows and columns, on the log-odds.

The peer is shap's KernelExplainer with as many coalitions, over the same graph, background
and scale, in an environment of its own (full run only).
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks import processes
from benchmarks.report import Figure, Options, Report, best_cpu_us, options
from tiltyard.contract.signature import Column, Signature
from tiltyard.runtime.explanation import COALITIONS, Explainer
from tiltyard.runtime.model import NUMBERS, PROBABILITIES, ServedModel, open_session
from tiltyard.training.background import ROWS, draw
from tiltyard.training.convert import convert

FEATURES = 12
TREES = 100
TRAIN, HELD_OUT = 20_000, 2_000
MOST_ERROR = 0.025

Floats = NDArray[np.float64]


class Workload:
    """Gradient boosting over bends and interactions, its graph, background rows and rows to explain."""

    def __init__(self, seed: int, rows: int) -> None:
        rng = np.random.default_rng(seed)
        names = [f"n{i:02d}" for i in range(FEATURES)]
        numbers = rng.normal(size=(TRAIN + HELD_OUT + rows, FEATURES)).astype(np.float32)
        margin = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + np.sin(2 * numbers[:, 3])
        margin += (numbers[:, 4] > 0) * numbers[:, 5] + 0.3 * numbers[:, 6:].sum(axis=1)
        target = (margin + rng.logistic(size=len(margin)) > 0.8).astype(int)
        frame = pd.DataFrame(numbers, columns=names)
        boosting = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=seed)
        boosting.fit(frame[:TRAIN], target[:TRAIN])
        held_out = frame[TRAIN : TRAIN + HELD_OUT]
        converted = convert(boosting, held_out)
        columns = tuple(Column(name, "number") for name in names)
        signature = Signature("binary", columns, converted.features, classes=converted.classes, threshold=0.5)
        self.graph = converted.content
        self.served = ServedModel(signature, open_session(converted.content))
        scores = boosting.predict_proba(held_out)
        self.background = draw(held_out, scores, signature=signature, holds_persons=False)
        self.rows = frame[-rows:].astype(float).to_dict("records")

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Background and rows as the graph takes them."""
        background, rows = (
            np.array([list(row.values()) for row in some], dtype=np.float32)
            for some in (self.background, self.rows)
        )
        return background, rows


def main() -> None:
    chosen = options(__doc__ or "")
    report = Report("explanations", chosen)
    work = Workload(chosen.seed, rows=5 if chosen.quick else 20)
    truth = enumerate_all(work)
    explainer = Explainer(work.served, work.background)
    found = explainer.explain(work.rows)
    values = np.array([list(explained.values.values()) for explained in found])
    peers = _peer(work, truth) if not chosen.quick else {}
    what = f"{len(found)} rows, {FEATURES} columns, {COALITIONS} coalitions, {ROWS} background rows"
    report.add(Figure("mean_error", mean_error(values, truth), at_most=MOST_ERROR, peers=peers, note=what))
    gap = max(
        abs(e.base + sum(e.values.values()) - margin) for e, margin in zip(found, _margins(work), strict=True)
    )
    report.add(Figure("additivity_gap", gap, at_most=1e-9, note="base + values - the row's own log-odds"))
    covered = np.mean([np.abs(v - t).max() <= e.error for v, t, e in zip(values, truth, found, strict=True)])
    report.add(
        Figure("bound_holds", float(covered), at_least=0.9, note="share of rows within the stated error")
    )
    _cost(report, work, explainer, chosen)
    raise SystemExit(report.finish())


def enumerate_all(work: Workload) -> Floats:
    """Shapley values of every row, shape (rows, columns), from all coalitions."""
    background, rows = work.matrices()
    session = open_session(work.graph)
    codes = np.arange(2**FEATURES)
    kept = (codes[:, None] >> np.arange(FEATURES) & 1).astype(bool)
    sizes = kept.sum(axis=1)
    factorial = math.factorial
    weights = np.array(
        [factorial(s) * factorial(FEATURES - 1 - s) / factorial(FEATURES) for s in range(FEATURES)]
    )
    values = np.empty((len(rows), FEATURES))
    for i, row in enumerate(rows):
        worths = np.empty(len(codes))
        for start in range(0, len(codes), 64):
            mask = kept[start : start + 64, None, :]
            mixed = np.where(mask, row, background).reshape(-1, FEATURES)
            p = session.run([PROBABILITIES], {NUMBERS: mixed})[0].astype(np.float64)
            margins = np.log(p[:, 1] / p[:, 0]).reshape(-1, len(background))
            worths[start : start + 64] = margins.mean(axis=1)
        for j in range(FEATURES):
            without = codes[~kept[:, j]]
            gains = worths[without | 1 << j] - worths[without]
            values[i, j] = (weights[sizes[without]] * gains).sum()
    return values


def mean_error(values: Floats, truth: Floats) -> float:
    return float(np.abs(values - truth).mean() / np.abs(truth).mean())


def _margins(work: Workload) -> list[float]:
    p = work.served.predict(work.rows).scores.astype(np.float64)
    margins: list[float] = np.log(p[:, 1] / p[:, 0]).tolist()
    return margins


def _cost(report: Report, work: Workload, explainer: Explainer, chosen: Options) -> None:
    one = work.rows[:1]
    spent = best_cpu_us({"explain": lambda: explainer.explain(one)}, number=2 if chosen.quick else 5)[
        "explain"
    ]
    report.add(Figure("row_ms", spent / 1e3, "ms", note="CPU of one explained row"))
    estimate = explainer.cost(one) * 1e6 / spent
    report.add(Figure("estimate_ratio", estimate, note="the service's own estimate of that row, over it"))


def _peer(work: Workload, truth: Floats) -> dict[str, float]:
    """Errors of shap's KernelExplainer by its number of coalitions."""
    python = processes.environment("shap")
    background, rows = work.matrices()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model.onnx").write_bytes(work.graph)
        np.savez(folder / "asked.npz", background=background, rows=rows)
        script = Path(__file__).resolve().parent / "peers" / "shap_kernel.py"
        processes.run([str(python), str(script), str(folder), str(COALITIONS), str(4 * COALITIONS)])
        with np.load(folder / "answers.npz") as answers:
            return {f"KernelExplainer {n}": mean_error(answers[n], truth) for n in answers.files}


if __name__ == "__main__":
    main()
