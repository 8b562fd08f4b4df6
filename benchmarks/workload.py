"""What the serving benchmarks answer: gradient boosting of 100 trees over 18 numbers and 3 categories.

Everything comes from one seed. The graph is made by `tiltyard.training`, as a
registration makes it; the estimator itself is kept for the peers and as the truth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from tiltyard.contract.signature import Column, Signature
from tiltyard.runtime.bundle import MODEL, PARITY, PROFILE, REFERENCE, SIGNATURE, Bundle, canonical
from tiltyard.runtime.model import ServedModel, open_session
from tiltyard.training.convert import convert
from tiltyard.training.reference import build_reference

NUMBERS = tuple(f"n{i:02d}" for i in range(18))
LEVELS = {"carrier": 12, "origin": 20, "weather": 6}
CLASSES = ("on-time", "late")
THRESHOLD = 0.5
TREES = 100

Row = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A fitted estimator, its bundle, and rows that neither has seen."""

    estimator: Pipeline
    bundle: Bundle
    signature: Signature
    frame: pd.DataFrame

    def rows(self, n: int) -> list[Row]:
        """The first `n` unseen rows as a caller sends them."""
        rows: list[Row] = self.frame.head(n).to_dict("records")
        return rows

    def truth(self, n: int) -> NDArray[np.float64]:
        """The estimator's own probabilities of those rows, shape (n, 2)."""
        probabilities: NDArray[np.float64] = self.estimator.predict_proba(self.frame.head(n))
        return probabilities


def workload(seed: int, *, train: int = 20_000, unseen: int = 5_000) -> Workload:
    """Fit on `train` rows and keep `unseen` others; different seeds give different models."""
    rng = np.random.default_rng(seed)
    frame, target = _data(rng, train + unseen)
    estimator = _fit(frame[:train], target[:train], seed)
    held_out = frame[train:].reset_index(drop=True)
    converted = convert(estimator, held_out.head(1000))
    signature = Signature(
        "binary",
        _columns(frame[:train]),
        converted.features,
        classes=CLASSES,
        target="late",
        threshold=THRESHOLD,
    )
    bundle = _bundle(converted.content, signature, estimator, held_out, target[train:])
    return Workload(estimator, bundle, signature, held_out)


def request_body(rows: list[Row]) -> bytes:
    """A prediction's body, in the bytes of the standard library's writer."""
    return json.dumps({"rows": rows}).encode()


def _data(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    numbers = rng.normal(size=(n, len(NUMBERS))).astype(np.float32).astype(np.float64).round(4)
    frame = pd.DataFrame(numbers, columns=list(NUMBERS))
    margin = numbers[:, :6] @ rng.normal(size=6) + numbers[:, 6] * numbers[:, 7]
    for name, levels in LEVELS.items():
        codes = rng.integers(levels, size=n)
        margin += rng.normal(size=levels)[codes]
        frame[name] = np.array([f"{name[:2].upper()}{code}" for code in range(levels)], dtype=object)[codes]
    return frame, (margin + rng.logistic(size=n) > 0).astype(np.int64)


def _fit(frame: pd.DataFrame, target: NDArray[np.int64], seed: int) -> Pipeline:
    encode = ColumnTransformer(
        [("numbers", "passthrough", list(NUMBERS)), ("levels", _encoder(), list(LEVELS))]
    )
    boosting = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=seed)
    return Pipeline([("encode", encode), ("boosting", boosting)]).fit(frame, target)


def _encoder() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def _columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    numbers = [
        Column(name, "number", minimum=float(frame[name].min()), maximum=float(frame[name].max()))
        for name in NUMBERS
    ]
    levels = [Column(name, "string", categories=tuple(sorted(frame[name].unique()))) for name in LEVELS]
    return (*numbers, *levels)


def _bundle(
    model: bytes,
    signature: Signature,
    estimator: Pipeline,
    held_out: pd.DataFrame,
    outcomes: NDArray[np.int64],
) -> Bundle:
    """A bundle that the examiner accepts; its profile has no counts, for nothing here watches drift."""
    sample = held_out.head(256)
    rule = {"atol": 1e-4, "max_row_share": 1e-3, "max_label_share": 1e-4}
    parity = {
        "format": 1,
        "rule": rule,
        "rows": sample.to_dict("records"),
        "expected": estimator.predict_proba(sample).tolist(),
    }
    profile = {"format": 1, "rows": len(held_out), "columns": {}, "score": {}, "target": {}}
    served = ServedModel(signature, open_session(model))
    scores = served.predict(held_out.to_dict("records")).scores
    parts = {
        MODEL: model,
        SIGNATURE: canonical(signature.to_json()),
        PROFILE: canonical(profile),
        REFERENCE: canonical(build_reference(signature, held_out, scores, outcomes)),
        PARITY: canonical(parity),
    }
    return Bundle.seal(parts, about={"task": signature.task})
