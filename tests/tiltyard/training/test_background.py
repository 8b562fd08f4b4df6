from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from bundles import signature_of
from pipelines import flights

from tiltyard.contract.features import FeatureSpec, Fill
from tiltyard.contract.rows import RowReader
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import InvalidInput
from tiltyard.training.background import draw


@pytest.fixture(scope="module")
def signature() -> Signature:
    columns = [
        Column("distance", "number", is_nullable=True),
        Column("stops", "integer"),
        Column("dest", "string"),
        Column("carrier", "string", is_nullable=True),
        Column("passenger", "string", role="subject", is_input=False),
    ]
    spec = FeatureSpec(("distance", "stops"), ("dest", "carrier"), (Fill("carrier", "none"),))
    return signature_of(columns, features=spec)


def scores_of(frame: pd.DataFrame) -> np.ndarray:
    """Probabilities that rise with the distance."""
    positive = 1 / (1 + np.exp(-frame["distance"].fillna(0).to_numpy()))
    return np.column_stack([1 - positive, positive]).astype(np.float32)


def test_every_stratum_of_the_score_gives_one_row(signature):
    frame = flights()
    scores = scores_of(frame)

    rows = draw(frame, scores, signature=signature, holds_persons=False)

    ranks = pd.Series(scores[:, 1]).rank(method="first").to_numpy()
    place = dict(zip(frame["distance"], (ranks - 1) * 50 // len(frame), strict=True))
    assert len(rows) == 50
    drawn = Counter(place[row["distance"]] for row in rows if row["distance"] is not None)
    assert set(drawn.values()) == {1}
    drawn_mean = np.mean([row["distance"] or 0.0 for row in rows])
    assert drawn_mean == pytest.approx(frame["distance"].fillna(0).mean(), abs=0.05)


def test_rows_are_as_json_sends_them_and_hold_the_models_columns_only(signature):
    frame = flights()

    rows = draw(frame, scores_of(frame), signature=signature, holds_persons=False)

    assert all(list(row) == ["distance", "stops", "dest", "carrier"] for row in rows)
    assert RowReader(signature).read(rows).n == 50
    assert all(type(row["stops"]) is int for row in rows)
    assert any(row["carrier"] is None for row in rows)


def test_the_same_rows_are_drawn_again_whatever_the_last_bit_of_a_score(signature):
    frame = flights()
    scores = scores_of(frame)

    first = draw(frame, scores, signature=signature, holds_persons=False)

    assert draw(frame, scores + np.float32(1e-8), signature=signature, holds_persons=False) == first
    assert draw(frame, scores, signature=signature, holds_persons=False, seed=1) != first


def test_no_cell_of_a_person_is_kept(signature):
    frame = flights()
    frame.loc[:4, "dest"] = "a rare place"

    rows = draw(frame, scores_of(frame), signature=signature, holds_persons=True)

    own = set(frame["distance"].dropna())
    assert len(rows) == 50
    assert not own & {row["distance"] for row in rows}
    assert {row["dest"] for row in rows} <= {*"ABCDEFGH", "other"}


def test_classes_are_drawn_as_often_as_they_are_answered():
    frame = flights()
    rng = np.random.default_rng(0)
    answered = rng.choice(3, len(frame), p=[0.7, 0.2, 0.1])
    scores = np.full((len(frame), 3), 0.1) + 0.7 * np.eye(3)[answered]
    frame["stops"] = answered
    signature = signature_of(
        [Column("stops", "integer")], task="multiclass", classes=("a", "b", "c"), threshold=None
    )

    rows = draw(frame, scores, signature=signature, holds_persons=False, rows=100)

    counts = np.bincount([row["stops"] for row in rows])
    assert counts == pytest.approx(100 * np.bincount(answered) / len(frame), abs=1)


def test_few_rows_are_all_taken(signature):
    frame = flights()[:7]

    rows = draw(frame, scores_of(frame), signature=signature, holds_persons=False)

    assert [row["dest"] for row in rows] == frame["dest"].tolist()


def test_a_value_needs_no_classes(signature):
    frame = flights()
    values = frame["distance"].fillna(0).to_numpy(dtype=np.float32).reshape(-1, 1)

    rows = draw(frame, values, signature=signature, holds_persons=False, rows=10)

    assert len(rows) == 10
    # The outermost of ten strata are far apart.
    assert np.ptp([row["distance"] or 0.0 for row in rows]) > 2


@pytest.mark.parametrize(("count", "scores"), [(0, 0), (10, 9)])
def test_rows_without_scores_are_refused(signature, count, scores):
    with pytest.raises(InvalidInput, match="a score for each"):
        draw(flights()[:count], np.zeros((scores, 2)), signature=signature, holds_persons=False)
