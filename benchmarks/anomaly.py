"""Anomalies and uncertainty: ranking, false flags and coverage, by the reference that registration builds.

STATISTICS A7.1 to A7.5, A8.1 and A8.3. A row's anomaly score is how far beyond its flagging
score the further of the two rules is. Peers fit the same reference rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from benchmarks.report import Figure, Report, best_cpu_us, options
from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.rows import RowReader
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import InvalidRows
from tiltyard.runtime.assurance import Assurance
from tiltyard.runtime.bundle import canonical
from tiltyard.runtime.reference import Reference
from tiltyard.stats import ecod, mahalanobis
from tiltyard.training.reference import build_reference

LEVEL = 0.05
FEATURES = 20

Floats = NDArray[np.float64]


def main() -> None:
    chosen = options(__doc__.partition("\n")[0])
    report = Report("anomaly: odd rows and unsure answers", chosen)
    rng = np.random.default_rng(chosen.seed)
    ranking(report, rng, splits=5 if chosen.quick else 20)
    cost(report, rng)
    false_flags(report, rng, registrations=3 if chosen.quick else 10)
    rules(report, rng)
    coverage(report, rng, registrations=100 if chosen.quick else 500)
    raise SystemExit(report.finish())


def assurance_of(rows: Floats) -> Assurance:
    """What a registration of these held-out rows judges by."""
    names = [f"n{i:02d}" for i in range(rows.shape[1])]
    columns = tuple(Column(name, "number") for name in names)
    signature = Signature(
        "binary", columns, FeatureSpec(tuple(names)), classes=("no", "yes"), target="y", threshold=0.5
    )
    scores = np.full((len(rows), 2), 0.5, dtype=np.float32)
    frame = pd.DataFrame(rows, columns=names)
    document = build_reference(signature, frame, scores, np.zeros(len(rows), dtype=np.int64))
    return Assurance(Reference.read(canonical(document), signature), signature)


def oddness(assurance: Assurance, rows: Floats) -> Floats:
    """How far beyond its own flagging score the further rule is, shape (n,)."""
    anomaly = assurance.reference.anomaly
    assert anomaly is not None
    assert anomaly.whitening is not None
    cutoffs = assurance.cutoffs(LEVEL)
    out = ecod.scores(ecod.tables(anomaly.tails), rows) / cutoffs.ecod
    away = mahalanobis.scores(*mahalanobis.dense(anomaly.whitening), rows) / cutoffs.mahalanobis
    furthest: Floats = np.maximum(out, np.sqrt(away))
    return furthest


def ranking(report: Report, rng: np.random.Generator, *, splits: int) -> None:
    """A7.1 and A7.2: area under the curve of odd against usual rows, mean over random splits."""
    table, diagnosis = load_breast_cancer(return_X_y=True)
    benign, malignant = table[diagnosis == 1], table[diagnosis == 0]
    found = []
    for _ in range(splits):
        order = rng.permutation(len(benign))
        cut = int(0.6 * len(benign))
        found.append(aucs(benign[order[:cut]], benign[order[cut:]], malignant, rng))
    _add_ranking(report, "breast_cancer_auc", found, at_least=0.93, note=f"A7.1; {splits} splits")
    found = []
    for _ in range(splits):
        covariance = _correlated(rng)
        usual = rng.multivariate_normal(np.zeros(FEATURES), covariance, size=5_000)
        # The same columns, each from another row: every value usual, their combination not.
        broken = np.column_stack([rng.permutation(usual[4_000:, j]) for j in range(FEATURES)])
        found.append(aucs(usual[:3_000], usual[3_000:4_000], broken, rng))
    _add_ranking(report, "broken_correlation_auc", found, at_least=0.95, note=f"A7.2; {splits} data sets")


def aucs(reference: Floats, usual: Floats, odd: Floats, rng: np.random.Generator) -> dict[str, float]:
    truth = np.r_[np.zeros(len(usual)), np.ones(len(odd))]
    rows = np.vstack([usual, odd])
    forest = IsolationForest(random_state=int(rng.integers(2**31))).fit(reference)
    distance = EmpiricalCovariance().fit(reference)
    return {
        "tiltyard": float(roc_auc_score(truth, oddness(assurance_of(reference), rows))),
        "isolation forest": float(roc_auc_score(truth, -forest.score_samples(rows))),
        "Mahalanobis": float(roc_auc_score(truth, distance.mahalanobis(rows))),
    }


def _add_ranking(
    report: Report, name: str, found: list[dict[str, float]], *, at_least: float, note: str
) -> None:
    means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    own = means.pop("tiltyard")
    report.add(Figure(name, own, at_least=at_least, peers=means, note=note))


def _correlated(rng: np.random.Generator) -> Floats:
    factors = rng.normal(size=(FEATURES, 4))
    covariance = factors @ factors.T + 0.3 * np.eye(FEATURES)
    spread = np.sqrt(np.diag(covariance))
    correlation: Floats = covariance / np.outer(spread, spread)
    return correlation


def cost(report: Report, rng: np.random.Generator) -> None:
    """A7.3: one row of 20 columns, both rules."""
    usual = rng.multivariate_normal(np.zeros(FEATURES), _correlated(rng), size=4_000)
    assurance = assurance_of(usual)
    anomaly = assurance.reference.anomaly
    assert anomaly is not None
    assert anomaly.whitening is not None
    whitening, row = anomaly.whitening, usual[0].tolist()

    def plain() -> None:
        ecod.score(anomaly.tails, row)
        mahalanobis.score(whitening, row)

    one, thousand = usual[:1].astype(np.float32), usual[:1000].astype(np.float32)
    took = best_cpu_us({"plain": plain, "one": lambda: assurance.findings(one, LEVEL)}, number=2_000)
    many = best_cpu_us({"thousand": lambda: assurance.findings(thousand, LEVEL)}, number=50)
    report.add(
        Figure(
            "row_us",
            took["plain"],
            "us",
            at_most=50,
            peers={"in a request of 1": took["one"], "in a request of 1,000": many["thousand"] / 1_000},
            note="A7.3; CPU, both rules in plain Python; beside it what a row costs in a prediction",
        )
    )


def false_flags(report: Report, rng: np.random.Generator, *, registrations: int) -> None:
    """A7.4: share of 20,000 clean rows that are flagged, 2,000 calibration rows."""
    shares = []
    for _ in range(registrations):
        usual = rng.multivariate_normal(np.zeros(FEATURES), _correlated(rng), size=24_000)
        assurance = assurance_of(usual[:4_000])
        shares.append(len(assurance.findings(usual[4_000:].astype(np.float32), LEVEL)) / 20_000)
    mean = float(np.mean(shares))
    report.add(
        Figure(
            "false_flag_rate",
            mean,
            at_least=LEVEL - 0.01,
            at_most=LEVEL + 0.01,
            note=f"A7.4; level .05, mean of {registrations} registrations, "
            f"{min(shares):.3f} to {max(shares):.3f}",
        )
    )


def rules(report: Report, rng: np.random.Generator) -> None:
    """A7.5: unseen categories and values out of range are flagged, NaN refused, each with its column."""
    columns = (Column("a", "number", minimum=0.0, maximum=1.0), Column("t", "string", categories=("x", "y")))
    reader = RowReader(
        Signature("binary", columns, FeatureSpec(("a",), ("t",)), classes=("n", "y"), threshold=0.5)
    )
    rows = 1_000
    told = {"unseen_category": 0, "out_of_range": 0, "nan": 0}
    for value in rng.normal(size=rows).tolist():
        told["unseen_category"] += _warned(reader, {"a": 0.5, "t": f"z{value}"}) == {("t", "unseen_category")}
        beyond = 1.0 + abs(value) + 1e-9 if value > 0 else -abs(value) - 1e-9
        told["out_of_range"] += _warned(reader, {"a": beyond, "t": "x"}) == {("a", "out_of_range")}
        try:
            reader.read([{"a": math.nan, "t": "x"}])
        except InvalidRows as refused:
            told["nan"] += [fault.pointer for fault in refused.faults] == ["/rows/0/a"]
    for name, count in told.items():
        report.add(Figure(f"{name}_told", count / rows, equals=1, note="A7.5; share, with the column named"))


def _warned(reader: RowReader, row: dict[str, object]) -> set[tuple[str, str]]:
    return {(w.column, w.kind) for warnings in reader.read([row]).warnings.values() for w in warnings}


def coverage(report: Report, rng: np.random.Generator, *, registrations: int) -> None:
    """A8.1 and A8.3: how often the truth is in an interval or a set at level .9."""
    level, n, unseen = 0.9, 1_000, 2_000
    numbers = Signature("regression", (Column("a", "number"),), FeatureSpec(("a",)), target="y")
    classes = Signature(
        "multiclass", (Column("a", "number"),), FeatureSpec(("a",)), classes=("x", "y", "z"), target="y"
    )

    def of_interval() -> float:
        errors = np.abs(rng.normal(size=n))
        assured = _calibrated(errors, numbers)
        values = rng.normal(size=(unseen, 1)).astype(np.float32)
        truth = values[:, 0] + rng.normal(size=unseen)
        ends = np.array(assured.intervals(values, level))
        return float(np.mean((truth >= ends[:, 0]) & (truth <= ends[:, 1])))

    def of_set() -> float:
        scores, truth = _classified(rng, n + unseen)
        assured = _calibrated(1 - scores[np.arange(n), truth[:n]].astype(np.float64), classes)
        sets = assured.sets(scores[n:], level)
        return float(np.mean(["xyz"[t] in found for t, found in zip(truth[n:], sets, strict=True)]))

    draws: dict[str, Callable[[], float]] = {"interval_coverage": of_interval, "set_coverage": of_set}
    for name, draw in draws.items():
        found = [draw() for _ in range(registrations)]
        report.add(
            Figure(
                name,
                float(np.mean(found)),
                at_least=0.895,
                at_most=0.91,
                note=f"A8.1; mean of {registrations} registrations, n = 1,000; worst twentieth "
                f"{np.quantile(found, 0.05):.3f}",
            )
        )
    few = _calibrated(np.linspace(0.1, 0.8, 8), numbers)
    unbounded = few.intervals(np.zeros((1, 1), dtype=np.float32), level) == [[None, None]]
    whole = _calibrated(np.linspace(0.1, 0.8, 8), classes).sets(
        np.full((1, 3), 1 / 3, dtype=np.float32), level
    )
    report.add(
        Figure(
            "too_few_rows_rule_nothing_out",
            float(unbounded and len(whole[0]) == 3),
            equals=1,
            note="A8.3; 8 calibration rows at level .9",
        )
    )


def _calibrated(scores: Floats, signature: Signature) -> Assurance:
    reference = Reference(len(scores), sorted(scores.tolist()), None, (), "stratified", 0)
    return Assurance(reference, signature)


def _classified(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Calibrated probabilities of three classes, and classes drawn by them."""
    raw = rng.exponential(size=(n, 3))
    scores = raw / raw.sum(axis=1, keepdims=True)
    truth = (rng.random(n)[:, None] > scores.cumsum(axis=1)).sum(axis=1)
    return scores.astype(np.float32), np.minimum(truth, 2)


if __name__ == "__main__":
    main()
