"""Reference anomaly scores: pyod's ECOD, row by row, and scipy's Mahalanobis distance.

Run by ``make oracles``; writes ``tests/golden/anomaly.json``, which the tests read. Needs
an environment of its own under ``build/oracles/``, with the packages pinned in
``anomaly.txt``. pyod stacks the rows that it scores onto those it was fitted on, so each row is
scored alone: it then counts once, as in a table of (count + 1) / (n + 2) but for the 2.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PINS = HERE / "anomaly.txt"
ENVIRONMENT = ROOT / "build" / "oracles" / "anomaly"
GOLDEN = ROOT / "tests" / "golden" / "anomaly.json"
INSIDE = "--inside"

SEED = 20130101
RIDGE = 1e-3


def main() -> None:
    if INSIDE in sys.argv:
        write()
        return
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", PINS]
    subprocess.run(install, check=True)
    subprocess.run([python, __file__, INSIDE], check=True)


def write() -> None:
    """Everything below needs the oracle's own packages."""
    from importlib.metadata import version

    versions = {name: version(name) for name in ("pyod", "scikit-learn", "scipy", "numpy")}
    document = {
        "versions": versions,
        "seed": SEED,
        "tails": tails(),
        "distances": distances(),
        "breast_cancer": breast_cancer(),
    }
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(document) + "\n", encoding="utf-8")
    sys.stdout.write(f"{GOLDEN.relative_to(ROOT)}: by pyod {versions['pyod']}, scipy {versions['scipy']}\n")


def tails() -> dict[str, Any]:
    """Columns of a dozen values, each of which has a bin of its own, so that bins lose nothing."""
    import numpy as np
    from pyod.models.ecod import ECOD

    rng = np.random.default_rng(SEED)
    reference = np.column_stack(
        [
            rng.integers(0, 12, size=600),
            np.minimum(rng.geometric(0.3, size=600), 9),
            10 - np.minimum(rng.geometric(0.3, size=600), 9),
        ]
    ).astype(float)
    rows = np.column_stack([rng.integers(0, 12, size=40), rng.integers(1, 10, size=(40, 2))]).astype(float)
    detector = ECOD().fit(reference)
    left, right = [], []
    for row in rows:
        detector.decision_function(row[None, :])
        left.append(detector.U_l[-1].tolist())
        right.append(detector.U_r[-1].tolist())
    return {"reference": reference.tolist(), "rows": rows.tolist(), "left": left, "right": right}


def distances() -> dict[str, Any]:
    """Correlated columns of very different scales, by the covariance with its diagonal raised."""
    import numpy as np
    from scipy.spatial.distance import mahalanobis

    rng = np.random.default_rng(SEED)
    mixing = rng.normal(size=(5, 5))
    values = np.round(rng.normal(size=(240, 5)) @ mixing * [1, 1000, 0.01, 10, 1], 6)
    values += np.array([0, 5000, 0, -3, 1])
    reference, rows = values[:200], values[200:] * 1.5
    covariance = np.cov(reference.T, bias=True)
    inverse = np.linalg.inv(covariance + RIDGE * np.diag(np.diag(covariance)))
    squared = [float(mahalanobis(row, reference.mean(axis=0), inverse) ** 2) for row in rows]
    return {"reference": reference.tolist(), "rows": rows.tolist(), "squared": squared}


def breast_cancer() -> dict[str, Any]:
    """How well pyod tells malignant from benign, fitted on three fifths of the benign rows."""
    import numpy as np
    from pyod.models.ecod import ECOD
    from sklearn.datasets import load_breast_cancer
    from sklearn.metrics import roc_auc_score

    data = load_breast_cancer()
    benign = np.random.default_rng(SEED).permutation(np.flatnonzero(data.target == 1))
    fitted = benign[: len(benign) * 3 // 5]
    asked = np.setdiff1d(np.arange(len(data.target)), fitted)
    detector = ECOD().fit(data.data[fitted])
    scores = [float(detector.decision_function(row[None, :])[0]) for row in data.data[asked]]
    return {
        "fitted": np.sort(fitted).tolist(),
        "scores": scores,
        "auc": float(roc_auc_score(data.target[asked] == 0, scores)),
    }


if __name__ == "__main__":
    main()
