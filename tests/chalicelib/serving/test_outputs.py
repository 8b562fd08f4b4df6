"""A policy may switch uncertainty off: the protocol's output is still there, and says null."""

from __future__ import annotations

import pytest
from bundles import signature_of

from chalicelib.serving import outputs
from tiltyard.contract.signature import Column

A = [Column("a", "number")]
BINARY = signature_of(A)
REGRESSION = signature_of(A, task="regression", classes=(), threshold=None)


@pytest.mark.parametrize(
    ("signature", "name", "row"),
    [(BINARY, "set", {"value": "no", "score": 0.2}), (REGRESSION, "interval", {"value": 2.0})],
)
@pytest.mark.parametrize("asked", [None, True])
def test_without_uncertainty_the_output_is_null(signature, name, row, asked):
    predicted = {
        "model": "delays",
        "version": 1,
        "role": "champion",
        "policy": 2,
        "predictions": [{"id": "i", "action": "answer", "warnings": [], **row}],
    }

    answer = outputs.answer(
        predicted, signature, names=(name,) if asked else None, request_id=None, parameters={}
    )

    assert {output["name"]: output["data"] for output in answer["outputs"]}[name] == ["null"]
