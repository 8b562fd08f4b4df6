"""Held against pyod and scipy: ``tests/golden/anomaly.json`` is written by ``oracles/anomaly.py``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from tiltyard.stats import ecod, mahalanobis

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "anomaly.json").read_text(encoding="utf-8"))


def test_each_tail_is_pyods():
    golden = GOLDEN["tails"]
    reference = np.array(golden["reference"])
    # pyod counts a row among n + 1, the tables among n + 2.
    shift = math.log((len(reference) + 2) / (len(reference) + 1))

    for j in range(reference.shape[1]):
        table = ecod.fit(reference[:, j])
        cells = np.searchsorted(table.edges, [row[j] for row in golden["rows"]], side="right")
        for side, tail in (("left", table.left), ("right", table.right)):
            expected = [row[j] + shift for row in golden[side]]
            assert np.take(tail, cells).tolist() == pytest.approx(expected, abs=1e-12)


def test_scores_are_the_papers_sums_of_pyods_tails():
    golden = GOLDEN["tails"]
    reference = np.array(golden["reference"])
    columns = [ecod.fit(reference[:, j]) for j in range(reference.shape[1])]
    shift = math.log((len(reference) + 2) / (len(reference) + 1))
    is_left = ((reference - reference.mean(axis=0)) ** 3).mean(axis=0) < 0

    scores = [ecod.score(columns, row) for row in golden["rows"]]

    left, right = np.array(golden["left"]) + shift, np.array(golden["right"]) + shift
    sums = [side.sum(axis=1) for side in (left, right, np.where(is_left, left, right))]
    assert scores == pytest.approx(np.max(sums, axis=0).tolist(), abs=1e-12)


def test_distances_are_scipys():
    golden = GOLDEN["distances"]
    whitening = mahalanobis.fit(np.array(golden["reference"]))

    found = [mahalanobis.score(whitening, row) for row in golden["rows"]]

    assert found == pytest.approx(golden["squared"], rel=1e-9)


def test_malignant_rows_stand_out_as_they_do_to_pyod():
    golden = GOLDEN["breast_cancer"]
    data = load_breast_cancer()
    asked = np.setdiff1d(np.arange(len(data.target)), golden["fitted"])
    reference = data.data[golden["fitted"]]

    columns = [ecod.fit(reference[:, j]) for j in range(reference.shape[1])]
    scores = [ecod.score(columns, row) for row in data.data[asked].tolist()]

    auc = roc_auc_score(data.target[asked] == 0, scores)
    assert auc >= 0.93
    assert auc == pytest.approx(golden["auc"], abs=0.015)
    # pyod sums each column's larger tail, the paper takes the largest of three sums.
    ranks = [np.argsort(np.argsort(each)) for each in (scores, golden["scores"])]
    assert np.corrcoef(*ranks)[0, 1] > 0.95
