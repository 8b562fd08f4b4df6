"""Drift statistics against nannyml and evidently (`oracles/drift.py`), on rows whose values are cells."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tiltyard.stats import drift

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "drift.json").read_text(encoding="utf-8"))
CASES = [
    pytest.param(
        case, *(GOLDEN["peers"][peer]["cases"][i] for peer in ("nannyml", "evidently")), id=case["name"]
    )
    for i, case in enumerate(GOLDEN["cases"])
]


@pytest.mark.parametrize(("case", "nannyml", "evidently"), CASES)
def test_the_formulas_are_those_of_peers(case, nannyml, evidently):
    reference, current, places = case["reference"], case["current"], case["places"]

    js = drift.jensen_shannon(reference, current)
    found = {
        "jensen_shannon_distance": math.sqrt(js / math.log(2)),
        "chi_square": drift.chi_square(reference, current)[0],
        "kolmogorov_smirnov": drift.kolmogorov_smirnov(reference, current),
        "wasserstein": drift.wasserstein(reference, current, places),
    }

    assert found == pytest.approx(nannyml, rel=1e-9)
    assert drift.psi(reference, current) == pytest.approx(evidently["psi"], rel=1e-9)
    assert found["wasserstein"] == pytest.approx(evidently["wasserstein"], rel=1e-9)
