"""The allow-list against what the converters really emit, and the examiner's trials against real models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import HuberRegressor, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier, XGBRegressor

from tiltyard.runtime.bundle import MODEL
from tiltyard.runtime.guard import inspect, reserialise
from tiltyard.training.bundle import build_bundle

RNG = np.random.default_rng(11)
ROWS = 240
DATA = pd.DataFrame({f"x{i}": RNG.normal(size=ROWS).astype(np.float32) for i in range(4)}).assign(
    city=RNG.choice(["Ulm", "Bonn", "Kiel"], ROWS), kind=RNG.choice(["a", "b"], ROWS)
)
NUMBERS, STRINGS = [f"x{i}" for i in range(4)], ["city", "kind"]
VALUE = DATA["x0"].to_numpy(dtype=float) * 2 + DATA["x1"].to_numpy(dtype=float)
TWO, THREE = (VALUE > 0).astype(int), np.digitize(VALUE, [-1, 1])

CLASSIFIERS = [
    LogisticRegression(),
    HistGradientBoostingClassifier(max_iter=5),
    RandomForestClassifier(5, random_state=0),
    ExtraTreesClassifier(5, random_state=0),
    GradientBoostingClassifier(n_estimators=5),
    DecisionTreeClassifier(max_depth=4),
    AdaBoostClassifier(n_estimators=5),
    BaggingClassifier(n_estimators=3, random_state=0),
    CalibratedClassifierCV(LogisticRegression(), cv=2),
    StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=2))]),
    GaussianNB(),
    MLPClassifier((4,), max_iter=200, random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    XGBClassifier(n_estimators=4),
    LGBMClassifier(n_estimators=4, verbose=-1),
]
REGRESSORS = [
    Ridge(),
    HuberRegressor(),
    HistGradientBoostingRegressor(max_iter=5),
    GradientBoostingRegressor(n_estimators=5),
    RandomForestRegressor(5, random_state=0),
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=50, random_state=0),
    SVR(),
    XGBRegressor(n_estimators=4),
    LGBMRegressor(n_estimators=4, verbose=-1),
]


def name_of(value: object) -> str:
    return type(value).__name__


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        *(pytest.param(e, TWO, id=name_of(e)) for e in CLASSIFIERS),
        *(pytest.param(e, THREE, id=f"{name_of(e)} of three") for e in CLASSIFIERS[:4] + CLASSIFIERS[-2:]),
    ],
)
def test_guard_lets_mainstream_classifiers_pass(estimator, target):
    bundle = build_bundle(estimator.fit(DATA[NUMBERS], target), data=DATA[NUMBERS], target=target)

    assert inspect(bundle.files[MODEL]).outputs[0].name == "probabilities"
    assert reserialise(bundle.files[MODEL]) == bundle.files[MODEL]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", REGRESSORS, ids=name_of)
def test_guard_lets_mainstream_regressors_pass(estimator):
    bundle = build_bundle(estimator.fit(DATA[NUMBERS], VALUE), data=DATA[NUMBERS], target=VALUE)

    assert inspect(bundle.files[MODEL]).outputs[0].name == "value"
    assert reserialise(bundle.files[MODEL]) == bundle.files[MODEL]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(drop="first", handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ],
    ids=["one-hot", "one-hot without the first", "ordinal"],
)
@pytest.mark.parametrize("scaler", [StandardScaler(), SimpleImputer()], ids=name_of)
def test_guard_lets_mainstream_pipelines_pass(encoder, scaler):
    model = make_pipeline(
        make_column_transformer((scaler, NUMBERS), (encoder, STRINGS)), LogisticRegression()
    )

    bundle = build_bundle(model.fit(DATA, TWO), data=DATA, target=TWO)

    assert {tensor.name for tensor in inspect(bundle.files[MODEL]).inputs} == {"numbers", "strings"}
    assert reserialise(bundle.files[MODEL]) == bundle.files[MODEL]
