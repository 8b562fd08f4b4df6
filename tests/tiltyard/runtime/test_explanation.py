"""Explanations against Shapley's own definition, worked out on rows as JSON sends them, and against shap."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bundles import linear, logistic, signature_of, two_numbers
from pipelines import TRAINED, flights, late
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from trees import served_trees

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.rows import Batch
from tiltyard.contract.signature import Column
from tiltyard.contract.step import FeatureStep
from tiltyard.errors import InvalidBundle, InvalidInput, InvalidRows
from tiltyard.runtime import explanation
from tiltyard.runtime.explanation import Explainer, Explanation
from tiltyard.runtime.model import ServedModel, open_session
from tiltyard.training.contract import Roles, infer_signature
from tiltyard.training.convert import convert
from tiltyard.training.frames import json_rows

Rows = list[dict[str, Any]]
GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "explanations.json").read_text(encoding="utf-8"))
COLUMNS = ["distance", "stops", "weekend", "dest", "carrier", "departed"]


def fitted_on_flights(estimator: Any, target: pd.Series) -> tuple[ServedModel, Rows]:
    """A pipeline that makes three numbers of a timestamp, and rows with every type and gaps."""
    frame = flights()[COLUMNS]
    step = FeatureStep(
        datetime_parts={"departed": ["hour", "weekday", "epoch_days"]},
        lump={"dest": 3},
        fill={"carrier": "none"},
        missing_indicators=["distance"],
    )
    text = (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["dest", "carrier"])
    columns = make_column_transformer(text, remainder="passthrough")
    model = make_pipeline(step, columns, estimator).fit(frame[:TRAINED], target[:TRAINED])
    held_out = frame[TRAINED:].reset_index(drop=True)
    converted = convert(model, held_out)
    signature = infer_signature(
        converted,
        held_out,
        roles=Roles(),
        target="late",
        threshold=0.5 if converted.task == "binary" else None,
    )
    rows = json_rows(held_out, {c.name: c.type for c in signature.inputs})
    return ServedModel(signature, open_session(converted.content)), rows


def by_every_order(
    served: ServedModel,
    row: Mapping[str, Any],
    background: Sequence[Mapping[str, Any]],
    scale: str,
    label: int,
) -> tuple[float, dict[str, float]]:
    """The base and each column's mean gain over all orders, from whole rows that are asked one by one."""
    names = [column.name for column in served.signature.inputs]
    worth = {}
    for size in range(len(names) + 1):
        for kept in itertools.combinations(names, size):
            mixed = [{name: (row if name in kept else other)[name] for name in names} for other in background]
            scores = served.predict(mixed).scores.astype(np.float64)
            if scale == "log-odds":
                mine = scores[:, label]
                answers = np.log(mine) - np.log(scores.sum(axis=1) - mine)
            else:
                answers = scores[:, label]
            worth[frozenset(kept)] = answers.mean()
    values = dict.fromkeys(names, 0.0)
    for order in itertools.permutations(names):
        for i, name in enumerate(order):
            values[name] += worth[frozenset(order[: i + 1])] - worth[frozenset(order[:i])]
    return worth[frozenset()], {name: value / math.factorial(len(names)) for name, value in values.items()}


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        (HistGradientBoostingClassifier(max_iter=20, random_state=0), "binary"),
        (HistGradientBoostingClassifier(max_iter=10, random_state=0), "multiclass"),
        (HistGradientBoostingRegressor(max_iter=20, random_state=0), "regression"),
    ],
    ids=["binary", "multiclass", "regression"],
)
def test_every_type_of_column_and_task_has_shapleys_own_values(estimator, task):
    frame = flights()
    delay = frame["distance"].fillna(0) * (frame["dest"] == "A") + frame["departed"].dt.hour / 8
    targets = {"binary": late(frame), "multiclass": pd.cut(delay, 3, labels=["a", "b", "c"]).astype(str)}
    served, rows = fitted_on_flights(estimator, targets.get(task, delay))
    background, asked = rows[:5], rows[5:8]
    assert any(row["carrier"] is None for row in background) or any(r["distance"] is None for r in background)

    found = Explainer(served, background).explain(asked)

    answers = served.predict(asked)
    for row, value, explained in zip(asked, answers.values, found, strict=True):
        classes = served.signature.classes
        label = {"binary": 1, "regression": 0}.get(task)
        label = classes.index(value) if label is None else label
        base, values = by_every_order(served, row, background, explained.scale, label)
        assert explained.base == pytest.approx(base, abs=1e-6)
        assert explained.values == pytest.approx(values, abs=1e-6)
        assert list(explained.values) == COLUMNS
        assert explained.scale == ("value" if task == "regression" else "log-odds")
        assert explained.label == (classes[label] if classes else None)
        assert (explained.method, explained.error) == ("exact", 0.0)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_enumerated_explanations_equal_shaps_on_the_margin(case):
    served = served_trees(case)
    names = [column.name for column in served.signature.inputs]
    rows, background = (
        [dict(zip(names, row, strict=True)) for row in case[key]] for key in ("rows", "background")
    )

    found = Explainer(served, background).explain(rows)

    assert {e.method for e in found} == {"exact"}
    assert {e.scale for e in found} == {"value" if case["task"] == "regression" else "log-odds"}
    assert found[0].base == pytest.approx(case["base"], abs=1e-5)
    values = np.array([list(e.values.values()) for e in found])
    np.testing.assert_allclose(values, case["values"], rtol=0, atol=1e-5)


def twelve_columns(rows: int = 60) -> tuple[ServedModel, Rows]:
    """Boosted trees with bends and interactions, and rows that they were not fitted on."""
    rng = np.random.default_rng(12)
    names = [f"x{j}" for j in range(12)]
    X = pd.DataFrame(rng.normal(size=(4000 + rows, 12)).astype(np.float32), columns=names)
    signal = X.x0 + X.x1 * X.x2 + np.sin(2 * X.x3) + (X.x4 > 0) * X.x5 + 0.3 * X.iloc[:, 6:].sum(axis=1)
    y = (signal + rng.normal(size=len(X)) > 0.8).astype(int)
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(X[:4000], y[:4000])
    held_out = X[4000:].reset_index(drop=True)
    converted = convert(model, held_out)
    signature = infer_signature(converted, held_out, roles=Roles(), target="y", threshold=0.5)
    served = ServedModel(signature, open_session(converted.content))
    return served, json_rows(held_out, dict.fromkeys(names, "number"))


def test_twelve_columns_are_within_two_and_a_half_percent_of_enumeration(monkeypatch):
    served, rows = twelve_columns()
    explainer = Explainer(served, rows[:50])
    asked = rows[50:53]

    sampled = explainer.explain(asked)
    monkeypatch.setattr(explanation, "MOST_ENUMERATED", 2**12 * 50)
    exact = explainer.explain(asked)

    assert [(e.method, e.coalitions, e.background) for e in sampled] == [("kernel", 500, 50)] * 3
    assert [(e.method, e.coalitions) for e in exact] == [("exact", 4096)] * 3
    found, truth = (np.array([list(e.values.values()) for e in es]) for es in (sampled, exact))
    assert np.abs(found - truth).mean() / np.abs(truth).mean() < 0.025
    for i, explained in enumerate(sampled):
        assert np.abs(found[i] - truth[i]).max() <= explained.error
        assert explained.base == pytest.approx(exact[i].base, abs=1e-9)
        assert found[i].sum() == pytest.approx(truth[i].sum(), abs=1e-9)


def test_a_row_is_explained_the_same_alone_and_among_others():
    served, rows = twelve_columns()

    together = Explainer(served, rows[:20]).explain(rows[50:54])

    explainer = Explainer(served, rows[:20])
    assert [explainer.explain([row])[0] for row in rows[50:54]] == together


def of_numbers(weights: Sequence[float], **nullable: bool) -> ServedModel:
    columns = [Column(f"x{j}", "number", **nullable) for j in range(len(weights))]
    return ServedModel(signature_of(columns), open_session(logistic(weights)))


def test_a_single_column_explains_everything():
    served = of_numbers([2.0])

    (found,) = Explainer(served, [{"x0": 0.5}, {"x0": -0.5}]).explain([{"x0": 1.5}])

    assert found.base == pytest.approx(0, abs=1e-6)
    assert found.values == pytest.approx({"x0": 3.0}, abs=1e-5)


def test_a_column_that_the_graph_does_not_read_adds_nothing():
    columns = [Column("unread", "string"), Column("x0", "number")]
    signature = signature_of(columns, features=FeatureSpec(("x0",)))
    served = ServedModel(signature, open_session(logistic([2.0])))

    (found,) = Explainer(served, [{"unread": "a", "x0": 0.0}]).explain([{"unread": "b", "x0": 1.0}])

    assert found.values == {"unread": 0.0, "x0": pytest.approx(2.0, abs=1e-5)}


def test_a_row_like_all_of_the_background_leaves_nothing_to_explain():
    served = of_numbers([1.0, 2.0])
    row = {"x0": 0.5, "x1": 0.25}

    (found,) = Explainer(served, [row] * 3).explain([row])

    assert found.values == {"x0": 0.0, "x1": 0.0}
    assert found.base == pytest.approx(1.0, abs=1e-6)
    assert (found.method, found.coalitions, found.error) == ("exact", 1, 0.0)


@pytest.mark.parametrize("columns", [70, 130])
def test_many_columns_are_sampled_and_a_linear_model_comes_out_exactly(columns):
    rng = np.random.default_rng(columns)
    weights = (rng.normal(size=columns) / columns).tolist()
    signature = signature_of(
        [Column(f"x{j}", "number") for j in range(columns)], task="regression", classes=(), threshold=None
    )
    served = ServedModel(signature, open_session(linear(weights)))
    rows = [
        dict(zip((c.name for c in signature.columns), x, strict=True))
        for x in rng.normal(size=(6, columns)).tolist()
    ]

    (found,) = Explainer(served, rows[:5]).explain(rows[5:])

    means = np.mean([list(row.values()) for row in rows[:5]], axis=0)
    assert found.method == "kernel"
    assert found.coalitions == max(500, 4 * columns)
    assert list(found.values.values()) == pytest.approx(
        (np.array(weights) * (np.array(list(rows[5].values())) - means)).tolist(), abs=1e-5
    )


def test_a_model_that_is_certain_is_explained_on_the_probability():
    served = of_numbers([200.0, 1.0, -200.0])
    rng = np.random.default_rng(0)
    rows = [{f"x{j}": float(v) for j, v in enumerate(x)} for x in rng.normal(size=(7, 3))]
    background, asked = rows[:5], rows[5:]

    found = Explainer(served, background).explain(asked)

    for row, explained in zip(asked, found, strict=True):
        base, values = by_every_order(served, row, background, "probability", 1)
        assert explained.scale == "probability"
        assert (explained.base, explained.values) == (pytest.approx(base), pytest.approx(values, abs=1e-6))


class Counting:
    """A served model that counts the rows it scores."""

    def __init__(self, served: ServedModel) -> None:
        self._served = served
        self.scored: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._served, name)

    def score(self, batch: Batch) -> np.ndarray:
        self.scored.append(batch.n)
        return self._served.score(batch)


def test_equal_rows_are_scored_once():
    served = of_numbers([1.0, 2.0, 3.0, -1.0], is_nullable=True)
    counting = Counting(served)
    rng = np.random.default_rng(0)
    background = [{f"x{j}": float(v) for j, v in enumerate(x)} for x in rng.integers(0, 2, (20, 4))]
    explainer = Explainer(counting, background)  # type: ignore[arg-type]
    explainer.cost(background[:1])
    counting.scored.clear()

    (found,) = explainer.explain([{"x0": 1.0, "x1": 0.0, "x2": 1.0, "x3": 1.0}])

    assert sum(counting.scored) < 2**4 * 20 / 2
    assert found.values == pytest.approx(
        {
            f"x{j}": weight * (mine - np.mean([row[f"x{j}"] for row in background]))
            for j, (weight, mine) in enumerate(zip([1, 2, 3, -1], [1, 0, 1, 1], strict=True))
        },
        abs=1e-5,
    )


class Ticking:
    """A clock that goes on by `step` seconds at every look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_slow_model_is_scored_in_small_chunks():
    served, rows = twelve_columns()
    counting = Counting(served)

    # A small probe of 16 rows shows 1 ms a row.
    Explainer(counting, rows[:2], clock=Ticking(0.016)).explain(rows[50:51])  # type: ignore[arg-type]

    assert counting.scored[:4] == [16] * 4
    assert max(counting.scored[4:]) == 4


def test_what_costs_too_much_is_refused_before_the_work():
    served, rows = twelve_columns()
    counting = Counting(served)
    explainer = Explainer(counting, rows[:50], clock=Ticking(1.0))  # type: ignore[arg-type]

    assert explainer.cost(rows[50:51]) == pytest.approx(502 * 50 / 16, rel=0.01)
    with pytest.raises(InvalidInput, match=r"/explain: may take 10 s .* 1 row of this model .* 1.57e\+03 s"):
        explainer.explain(rows[50:51])
    assert sum(counting.scored) == 4 * 16


def test_what_turns_out_to_cost_too_much_is_refused_on_the_way():
    served, rows = twelve_columns()
    clock = Ticking(1e-6)
    explainer = Explainer(served, rows[:5], clock=clock)
    explainer.cost(rows[50:51])
    clock.step = 6.0

    with pytest.raises(InvalidInput, match="/explain: may take 10 s"):
        explainer.explain(rows[50:53])


def test_more_than_twenty_rows_are_refused():
    served = of_numbers([1.0])

    with pytest.raises(InvalidInput, match="/explain: is for at most 20 rows, not 21"):
        Explainer(served, [{"x0": 1.0}]).explain([{"x0": 2.0}] * 21)


def test_a_row_that_breaks_the_contract_is_refused_with_its_place():
    served = of_numbers([1.0])

    with pytest.raises(InvalidRows, match="/rows/1/x0"):
        Explainer(served, [{"x0": 1.0}]).explain([{"x0": 2.0}, {"x0": "2"}])


@pytest.mark.parametrize("background", [[], [{"a": 1.0, "b": None}]])
def test_background_rows_that_break_the_contract_are_the_bundles_fault(background):
    served = ServedModel(two_numbers(), open_session(logistic([1.0, 1.0])))

    with pytest.raises(InvalidBundle, match=r"/reference\.json/background/rows"):
        Explainer(served, background)


def test_missing_values_are_values_like_others():
    served = served_trees(GOLDEN["cases"][0])
    names = [column.name for column in served.signature.inputs]
    rows = [dict.fromkeys(names, value) for value in (-1.0, 0.5, 1.0)]
    nameless = dict(rows[0], x0=None)

    (same,) = Explainer(served, [dict(row, x0=None) for row in rows]).explain([nameless])
    (other,) = Explainer(served, rows).explain([nameless])

    assert same.values["x0"] == 0.0
    assert other.values["x0"] != 0.0


def test_the_answer_says_how_it_was_made():
    served = of_numbers([1.0, 2.0])

    (found,) = Explainer(served, [{"x0": 0.0, "x1": 0.0}]).explain([{"x0": 1.0, "x1": 1.0}])

    document = found.to_json()
    assert isinstance(found, Explanation)
    assert json.loads(json.dumps(document)) == document
    assert document["values"] == pytest.approx({"x0": 1.0, "x1": 2.0}, abs=1e-5)
    assert {key: document[key] for key in document if key not in ("base", "values")} == {
        "scale": "log-odds", "class": "yes", "method": "exact",
        "coalitions": 4, "background": 1, "seed": 0, "error": 0.0,
    }  # fmt: skip


def test_a_regression_names_no_class():
    signature = signature_of([Column("a", "number")], task="regression", classes=(), threshold=None)
    served = ServedModel(signature, open_session(linear([2.0], 1.0)))

    (found,) = Explainer(served, [{"a": 0.0}]).explain([{"a": 3.0}])

    assert (found.base, found.values, found.scale) == (1.0, {"a": 6.0}, "value")
    assert "class" not in found.to_json()
