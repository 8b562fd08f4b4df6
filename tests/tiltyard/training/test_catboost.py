"""CatBoost: converted behind any preprocessing, its gaps as it takes them, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from pipelines import FEATURES, NUMBERS, TRAINED, by_column, fit, flights, late, one_hot
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer

from tiltyard.errors import UnconvertibleModel
from tiltyard.runtime import documents
from tiltyard.runtime.model import ServedModel
from tiltyard.training.bundle import build_bundle
from tiltyard.training.convert import convert
from tiltyard.training.frames import json_rows

QUIET = {"iterations": 8, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


def classifier(**options: object) -> CatBoostClassifier:
    return CatBoostClassifier(**{**QUIET, **options})


def regressor(**options: object) -> CatBoostRegressor:
    return CatBoostRegressor(**{**QUIET, **options})


def over_gaps(**options: object) -> object:
    columns = ColumnTransformer([("n", "passthrough", NUMBERS), ("t", one_hot(), ["dest", "carrier"])])
    return fit(columns, classifier(**options))


def bands(frame: pd.DataFrame) -> pd.Series:
    return pd.cut(frame["wind"], [-99, -3, 3, 99], labels=["low", "mid", "high"]).astype(str)


@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
def test_gaps_go_the_way_that_catboost_sends_them(nan_mode, rows, target):
    model = over_gaps(nan_mode=nan_mode)

    bundle = build_bundle(model, data=rows, target=target, nullable=["wind", "stops"])

    gaps = rows.copy().astype({"stops": float})
    gaps.loc[:200, "distance"] = np.nan
    gaps.loc[100:300, ["wind", "stops"]] = np.nan
    types = {column.name: column.type for column in bundle.signature.inputs}
    answers = ServedModel.open(bundle.files).predict(json_rows(gaps, types)).scores
    np.testing.assert_allclose(answers, model.predict_proba(gaps), atol=1e-6)
    assert bundle.manifest["parity"]["row_share"] == 0
    assert bundle.manifest["framework"]["name"] == "catboost"
    assert bundle.manifest["framework"]["version"]
    documents.check(bundle.files)


def test_behind_preprocessing_and_text_labels(rows, target):
    words = {0: "on time", 1: "late"}
    model = fit(by_column(), classifier(), target=late(flights()).map(words))

    bundle = build_bundle(model, data=rows, target=target.map(words))

    assert bundle.signature.classes == ("late", "on time")
    assert bundle.manifest["framework"]["estimator"] == "Pipeline(CatBoostClassifier)"


def test_three_classes(rows, held_out):
    model = fit(by_column(), classifier(loss_function="MultiClass"), target=bands(flights()))

    bundle = build_bundle(model, data=rows, target=bands(held_out))

    assert bundle.signature.task == "multiclass"
    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-6


@pytest.mark.parametrize(
    "loss", ["RMSE", "MAE", "Quantile:alpha=0.9", "Poisson", "Tweedie:variance_power=1.5"]
)
def test_regression_by_loss(loss, rows, held_out):
    minutes = flights()["wind"].abs()
    model = fit(by_column(), regressor(loss_function=loss), target=minutes)

    bundle = build_bundle(model, data=rows, target=held_out["wind"].abs())

    assert bundle.signature.task == "regression"
    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-4


def test_alone_over_named_columns_and_over_arrays(target):
    frame = flights()[NUMBERS].astype(float)
    named = classifier().fit(frame[:TRAINED], late(flights())[:TRAINED])
    nameless = classifier().fit(frame[:TRAINED].to_numpy(), late(flights())[:TRAINED])
    turned = frame[TRAINED:][list(reversed(NUMBERS))]

    by_name = build_bundle(named, data=turned, target=target)
    by_position = build_bundle(nameless, data=frame[TRAINED:], target=target)

    assert [c.name for c in by_name.signature.inputs] == NUMBERS
    assert by_name.files["model.onnx"] == by_position.files["model.onnx"]


def test_the_same_training_gives_the_same_digest(rows, target):
    digests = {build_bundle(over_gaps(), data=rows, target=target).digest for _ in range(2)}

    assert len(digests) == 1


def test_calibrated_is_proved_or_refused(rows, target):
    model = fit(by_column(), CalibratedClassifierCV(classifier(), cv=2))

    bundle = build_bundle(model, data=rows, target=target)

    assert json.loads(bundle.files["parity.json"])["rows"]
    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-5


FLAWED = {
    "categories": (lambda: classifier(cat_features=["dest"]), ["wind", "dest"], r"leave cat_features out"),
    "text": (lambda: classifier(text_features=["dest"]), ["wind", "dest"], "compute them before training"),
    "trees that aren't symmetric": (
        lambda: classifier(grow_policy="Lossguide"), ["wind"], "set grow_policy='SymmetricTree'",
    ),
    "one against all": (
        lambda: classifier(loss_function="MultiClassOneVsAll"), ["wind"], "set loss_function='MultiClass'",
    ),
    "two values": (
        lambda: regressor(loss_function="RMSEWithUncertainty"), ["wind"], "several values a row",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAWED)
def test_what_the_export_gets_wrong_is_refused_by_name(name, rows):
    make, columns, message = FLAWED[name]
    frame = flights().assign(dest=[f"{dest} airport" for dest in flights()["dest"]])
    model = make().fit(frame[columns][:TRAINED], late(flights())[:TRAINED])

    with pytest.raises(UnconvertibleModel, match=message) as refused:
        convert(model, rows[columns])

    assert type(model).__name__ in str(refused.value)


@pytest.mark.parametrize("kind", [bool, float])
def test_labels_that_its_export_does_not_know_are_refused(kind, rows):
    model = fit(by_column(), classifier(), target=late(flights()).astype(kind))

    with pytest.raises(UnconvertibleModel, match=r"fit it on y\.astype\(int\)"):
        convert(model, rows[FEATURES])


def test_unfitted_is_refused(rows):
    with pytest.raises(UnconvertibleModel, match="it isn't fitted"):
        convert(classifier(), rows[NUMBERS])
