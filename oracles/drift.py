"""Reference drift statistics: nannyml's and evidently's, on values that are cells.

Run by ``make oracles``; writes ``tests/golden/drift.json``, which the tests read. Needs
environments of its own under ``build/oracles/``, with the packages pinned in
``drift-nannyml.txt`` and ``drift-evidently.txt``, which can't be installed together.

Both read rows and cut them into bins of their own. The rows here hold a dozen values,
each of them a cell, so nothing is lost and what is compared are the formulas.
nannyml's Jensen-Shannon is a distance: the root of the divergence in bits. evidently's
PSI adds nothing to a cell; it is given each count twice and one row more, which are the
shares that half a row a cell makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GOLDEN = ROOT / "tests" / "golden" / "drift.json"
PEERS = ("nannyml", "evidently")

SEED = 20130101
VALUES = 12
CASES = (("alike", 4000, 1000, 0.0), ("shifted", 4000, 1000, 0.3), ("far", 3000, 2500, 1.0))


def main() -> None:
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measured(sys.argv[1])))
        return
    document: dict[str, Any] = {"seed": SEED, "cases": cases(), "peers": {}}
    for peer in PEERS:
        environment = ROOT / "build" / "oracles" / f"drift-{peer}"
        python = environment / "bin" / "python"
        if not python.exists():
            venv.create(environment, with_pip=True)
        pins = HERE / f"drift-{peer}.txt"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", pins]
        subprocess.run(install, check=True)
        quiet = os.environ | {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
        said = subprocess.run(
            [python, __file__, peer],
            check=True,
            env=quiet,
            stdout=subprocess.PIPE,
            input=json.dumps(document).encode(),
        ).stdout
        document["peers"][peer] = json.loads(said.splitlines()[-1])
    GOLDEN.write_text(json.dumps(document) + "\n", encoding="utf-8")
    told = ", ".join(f"{peer} {document['peers'][peer]['version']}" for peer in PEERS)
    sys.stdout.write(f"{GOLDEN.relative_to(ROOT)}: by {told}\n")


def cases() -> list[dict[str, Any]]:
    """Counts by value, every value in both."""
    import numpy as np

    generator = np.random.default_rng(SEED)
    places = np.sort(generator.normal(size=VALUES)).round(3)
    found = []
    for name, n0, n1, shift in CASES:
        weights = np.exp(-((places[:, None] - np.array([0.0, shift])) ** 2) / 2)
        reference, current = (
            1 + generator.multinomial(n - VALUES, weights[:, side] / weights[:, side].sum())
            for side, n in enumerate((n0, n1))
        )
        found.append(
            {
                "name": name,
                "places": places.tolist(),
                "reference": reference.tolist(),
                "current": current.tolist(),
            }
        )
    return found


def measured(peer: str) -> dict[str, Any]:
    """By case. Everything below needs the oracle's own packages."""
    from importlib.metadata import version

    of = {"nannyml": by_nannyml, "evidently": by_evidently}[peer]
    document = json.loads(sys.stdin.read())
    return {"version": version(peer), "cases": [of(case) for case in document["cases"]]}


def by_nannyml(case: dict[str, Any]) -> dict[str, float]:
    import numpy as np
    import pandas as pd
    from nannyml.chunk import SizeBasedChunker
    from nannyml.drift.univariate import methods
    from nannyml.thresholds import ConstantThreshold

    numbers = [np.repeat(case["places"], case[side]) for side in ("reference", "current")]
    texts = [pd.Series(values.astype(str), name="x").astype("category") for values in numbers]
    columns = [pd.Series(values, name="x") for values in numbers]
    more = {"chunker": SizeBasedChunker(10**6), "threshold": ConstantThreshold(0, 1)}

    def found(method: Any, data: list[Any]) -> float:
        method.fit(data[0])
        return float(method.calculate(data[1]))

    # Below 10,000 rows of reference nannyml computes the last two exactly.
    return {
        "jensen_shannon_distance": found(methods.CategoricalJensenShannonDistance(**more), texts),
        "chi_square": found(methods.Chi2Statistic(**more), texts),
        "kolmogorov_smirnov": found(methods.KolmogorovSmirnovStatistic(**more), columns),
        "wasserstein": found(methods.WassersteinDistance(**more), columns),
    }


def by_evidently(case: dict[str, Any]) -> dict[str, float]:
    import numpy as np
    import pandas as pd
    from evidently.legacy.calculations.stattests import psi_stat_test, wasserstein_stat_test
    from evidently.legacy.core import ColumnType

    doubled = [
        pd.Series(np.repeat(case["places"], 2 * np.array(case[side]) + 1).astype(str))
        for side in ("reference", "current")
    ]
    columns = [pd.Series(np.repeat(case["places"], case[side])) for side in ("reference", "current")]
    normed = wasserstein_stat_test(*columns, ColumnType.Numerical, 0.1).drift_score
    return {
        "psi": float(psi_stat_test(*doubled, ColumnType.Categorical, 0.1).drift_score),
        # evidently's is in standard deviations of the reference.
        "wasserstein": float(normed * max(np.std(columns[0]), 0.001)),
    }


if __name__ == "__main__":
    main()
