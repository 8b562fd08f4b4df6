"""Reference explanations: shap's TreeExplainer, interventional, on the raw margin.

Run by ``make oracles``; writes ``tests/golden/explanations.json``, which the tests
read. scikit-learn's gradient boosting is fitted and explained in an environment of
the script's own, under ``build/oracles/``, with the packages pinned in
``explanations.txt``. The golden file holds the trees themselves, so that the tests
build their graph from them and need neither package.
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
PINS = HERE / "explanations.txt"
ENVIRONMENT = ROOT / "build" / "oracles" / "explanations"
GOLDEN = ROOT / "tests" / "golden" / "explanations.json"
INSIDE = "--inside"

SEED = 20130101
TRAINED, EXPLAINED = 3000, 12
# (name, task, columns, background rows): 2^columns x background <= 65,536, which the service enumerates.
CASES = (
    ("eight columns, 50 background rows", "binary", 8, 50),
    ("twelve columns, 16 background rows", "binary", 12, 16),
    ("ten columns, a value", "regression", 10, 50),
)


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
    import numpy
    import shap
    import sklearn

    versions = {"shap": shap.__version__, "scikit-learn": sklearn.__version__, "numpy": numpy.__version__}
    cases = [case(*parameters) for parameters in CASES]
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(
        json.dumps({"versions": versions, "seed": SEED, "cases": cases}) + "\n", encoding="utf-8"
    )
    sys.stdout.write(f"{GOLDEN.relative_to(ROOT)}: {len(cases)} cases by shap {versions['shap']}\n")


def case(name: str, task: str, columns: int, background: int) -> dict[str, Any]:
    import numpy as np
    import shap
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rng = np.random.default_rng(SEED + columns)
    # On a grid that float32 holds exactly, so that no rounding moves a value across a split.
    X = np.round(rng.normal(size=(TRAINED + background + EXPLAINED, columns)) * 64) / 64
    signal = X[:, 0] + X[:, 1] * X[:, 2] - np.maximum(X[:, 3], 0) + 0.5 * X[:, 4:].sum(axis=1) / columns
    signal += rng.normal(size=len(X)) * 0.5
    X[rng.random(X.shape) < 0.05] = np.nan
    kind = HistGradientBoostingClassifier if task == "binary" else HistGradientBoostingRegressor
    target = (signal > 0.5).astype(int) if task == "binary" else signal
    model = kind(max_iter=30, max_leaf_nodes=8, learning_rate=0.15, random_state=0)
    model.fit(X[:TRAINED], target[:TRAINED])
    drawn, rows = X[TRAINED : TRAINED + background], X[TRAINED + background :]
    explainer = shap.TreeExplainer(
        model, data=drawn, feature_perturbation="interventional", model_output="raw"
    )
    return {
        "name": name,
        "task": task,
        "trees": [tree(predictors[0].nodes) for predictors in model._predictors],
        "baseline": float(model._baseline_prediction.item()),
        "background": as_json(drawn),
        "rows": as_json(rows),
        "base": float(np.ravel(explainer.expected_value)[0]),
        "values": explainer.shap_values(rows, check_additivity=True).tolist(),
    }


def tree(nodes: Any) -> dict[str, list[Any]]:
    """A tree's nodes by field; a value that is at most `threshold` goes left."""
    return {
        "feature": nodes["feature_idx"].tolist(),
        "threshold": [float(t) for t in nodes["num_threshold"]],
        "missing_left": [bool(m) for m in nodes["missing_go_to_left"]],
        "left": nodes["left"].tolist(),
        "right": nodes["right"].tolist(),
        "leaf": [bool(leaf) for leaf in nodes["is_leaf"]],
        "value": [float(v) for v in nodes["value"]],
    }


def as_json(rows: Any) -> list[list[float | None]]:
    return [[None if v != v else v for v in row] for row in rows.tolist()]


if __name__ == "__main__":
    main()
