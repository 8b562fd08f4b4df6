"""What can't become a faithful graph is refused by name, with the line that mends it."""

from __future__ import annotations

import contextlib

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from pipelines import FEATURES, NUMBERS, TEXTS, TRAINED, by_column, fit, flights, late, one_hot
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tiltyard.contract.step import FeatureStep
from tiltyard.errors import InvalidInput, ParityFailed, UnconvertibleModel
from tiltyard.runtime import documents
from tiltyard.runtime.bundle import PARITY
from tiltyard.runtime.model import ServedModel
from tiltyard.runtime.parity import compare
from tiltyard.training import converters
from tiltyard.training.bundle import build_bundle
from tiltyard.training.convert import convert

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)


def numeric(model: object) -> object:
    """Fitted on the numbers alone, gaps and all."""
    return fit(model, columns=NUMBERS)


def number_steps(*steps: object) -> ColumnTransformer:
    return by_column(number=make_pipeline(*steps))


FOREST = {"n_estimators": 4, "random_state": 0}
LOGISTIC = LogisticRegression(max_iter=300)

REFUSED = {
    "native categories of gradient boosting": (
        lambda: fit(
            ColumnTransformer(
                [("t", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), TEXTS)]
            ),
            HistGradientBoostingClassifier(max_iter=4, categorical_features=[0]),
        ),
        r"HistGradientBoostingClassifier .* leave categorical_features=None",
    ),
    "forest fed missing values": (
        lambda: numeric(RandomForestClassifier(**FOREST)),
        r"make_pipeline\(SimpleImputer\(strategy='median'\), RandomForestClassifier\(\)\)",
    ),
    "extra trees fed missing values": (
        lambda: numeric(ExtraTreesClassifier(**FOREST)),
        r"SimpleImputer\(strategy='median'\), ExtraTreesClassifier",
    ),
    "tree fed missing values": (
        lambda: numeric(DecisionTreeClassifier(max_depth=3)),
        r"SimpleImputer\(strategy='median'\), DecisionTreeClassifier",
    ),
    "bagged trees fed missing values": (
        lambda: numeric(BaggingClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=2)),
        r"missing values that reach its splits",
    ),
    "calibrated forest fed missing values": (
        lambda: numeric(CalibratedClassifierCV(RandomForestClassifier(**FOREST), cv=2)),
        r"SimpleImputer\(strategy='median'\), RandomForestClassifier",
    ),
    "tuned threshold": (
        lambda: fit(by_column(), TunedThresholdClassifierCV(LOGISTIC, cv=2)),
        r"say it when you register, threshold=0\.",
    ),
    "fixed threshold": (
        lambda: fit(by_column(), FixedThresholdClassifier(LOGISTIC, threshold=0.3)),
        r"say it when you register, threshold=0\.3",
    ),
    "neighbour imputer": (
        lambda: fit(number_steps(KNNImputer()), LOGISTIC),
        r"KNNImputer .* use SimpleImputer\(strategy='median'\)",
    ),
    "scaled forest": (
        lambda: fit(number_steps(SimpleImputer(), StandardScaler()), RandomForestClassifier(**FOREST)),
        r"remove StandardScaler\(\) from the pipeline",
    ),
    "scaled forest that is calibrated": (
        lambda: fit(
            number_steps(SimpleImputer(), MinMaxScaler()),
            CalibratedClassifierCV(RandomForestClassifier(**FOREST), cv=2),
        ),
        r"remove MinMaxScaler\(\)",
    ),
    "neighbours": (
        lambda: fit(by_column(), KNeighborsClassifier()),
        r"KNeighborsClassifier .* Scan, .* HistGradientBoostingClassifier\(\)",
    ),
    "function": (
        lambda: fit(number_steps(SimpleImputer(), FunctionTransformer(np.cbrt)), LOGISTIC),
        r"FunctionTransformer .* tiltyard\.contract\.FeatureStep",
    ),
    "splines": (
        lambda: fit(number_steps(SimpleImputer(), SplineTransformer()), LOGISTIC),
        r"SplineTransformer .* KBinsDiscretizer",
    ),
    "voting that flattens": (
        lambda: fit(by_column(), VotingClassifier([("a", LOGISTIC), ("b", LOGISTIC)], voting="soft")),
        r"flatten_transform=False",
    ),
    "temperature": (
        lambda: fit(by_column(), CalibratedClassifierCV(LOGISTIC, method="temperature", cv=2)),
        r"use method='sigmoid'",
    ),
    "calibrated pipelines": (
        lambda: fit(CalibratedClassifierCV(make_pipeline(by_column(), LOGISTIC), cv=2)),
        r"make_pipeline\(preprocess, CalibratedClassifierCV\(classifier\)\)",
    ),
    "discriminant of two classes": (
        lambda: fit(by_column(), LinearDiscriminantAnalysis()),
        r"LinearDiscriminantAnalysis .* use LogisticRegression\(\)",
    ),
    "no probabilities": (
        lambda: fit(by_column(), LinearSVC()),
        r"CalibratedClassifierCV\(LinearSVC\(\)\)",
    ),
    "clusters": (
        lambda: fit(by_column(), KMeans(n_clusters=2, n_init=1)),
        "neither a classifier nor a regressor",
    ),
    "encoder that fails on unseen levels": (
        lambda: fit(by_column(OneHotEncoder()), LOGISTIC),
        r"OneHotEncoder\(handle_unknown='ignore'\)",
    ),
    "ordinal encoder that fails on unseen levels": (
        lambda: fit(by_column(OrdinalEncoder()), HistGradientBoostingClassifier(max_iter=2)),
        r"OrdinalEncoder\(handle_unknown='use_encoded_value', unknown_value=-1\)",
    ),
    "a column as a vector": (
        lambda: fit(
            ColumnTransformer(
                [("n", SimpleImputer(), NUMBERS), ("t", TfidfVectorizer(analyzer="char"), "dest")]
            ),
            LOGISTIC,
        ),
        r"TfidfVectorizer .* encode them before training",
    ),
    "two ways to fill one column": (
        lambda: fit(
            ColumnTransformer(
                [
                    (
                        "a",
                        make_pipeline(SimpleImputer(strategy="constant", fill_value="x"), one_hot()),
                        TEXTS,
                    ),
                    (
                        "b",
                        make_pipeline(SimpleImputer(strategy="constant", fill_value="y"), one_hot()),
                        TEXTS,
                    ),
                ]
            ),
            LOGISTIC,
        ),
        r"'dest' is filled in two ways .* FeatureStep\(fill=",
    ),
    "rare levels that are numbers": (
        lambda: fit(
            ColumnTransformer([("t", one_hot(min_frequency=0.2), ["stops"])]),
            LOGISTIC,
        ),
        r"X\['stops'\]\.astype\(str\)",
    ),
    "indicator of text": (
        lambda: fit(
            by_column(
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="x", add_indicator=True), one_hot()
                )
            ),
            LOGISTIC,
        ),
        r"FeatureStep\(missing_indicators=",
    ),
    "xgboost over a sparse matrix": (
        lambda: fit(
            ColumnTransformer(
                [("n", SimpleImputer(), ["wind"]), ("t", one_hot(sparse_output=True), TEXTS)],
                sparse_threshold=1.0,
            ),
            xgboost.XGBClassifier(n_estimators=3, n_jobs=1),
        ),
        r"sparse_output=False",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name_with_the_line_that_mends_it(name, rows):
    build, message = REFUSED[name]
    model = build()

    with pytest.raises(UnconvertibleModel, match=message) as refusal:
        convert(model, rows)

    assert refusal.value.faults[0].pointer.startswith("/model")


def test_native_categories_of_the_boosters_are_refused():
    frame = flights()[["dest", "wind"]].astype({"dest": "category"})
    labels = late(flights())
    for model, message in (
        (xgboost.XGBClassifier(n_estimators=3, n_jobs=1, enable_categorical=True), "enable_categorical=True"),
        (lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1), "dtype 'category'"),
    ):
        model.fit(frame[:TRAINED], labels[:TRAINED])

        with pytest.raises(UnconvertibleModel, match=message):
            convert(model, frame[TRAINED:])


def test_transformed_target_is_refused(rows):
    model = fit(
        by_column(),
        TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1),
        target=flights()["stops"],
    )

    with pytest.raises(UnconvertibleModel, match=r"np\.log1p\(y\)"):
        convert(model, rows)


def test_time_column_without_a_feature_step_is_refused(held_out):
    frame = flights()[["wind", "departed"]]
    model = make_pipeline(
        ColumnTransformer([("w", SimpleImputer(), ["wind"]), ("d", "passthrough", ["departed"])]),
        _TakesTimes(),
    ).fit(frame[:TRAINED], late(flights())[:TRAINED])

    with pytest.raises(UnconvertibleModel, match=r"FeatureStep\(datetime_parts=\{'departed'"):
        convert(model, held_out)


class _TakesTimes(LogisticRegression):
    """A model that reads timestamps as numbers."""

    def fit(self, X, y):
        return super().fit(pd.DataFrame(X).apply(pd.to_numeric).to_numpy(float), y)


def test_text_that_reaches_a_model_is_refused(rows):
    frame = flights()[["dest"]]

    class TakesText(LogisticRegression):
        def fit(self, X, y):
            self.feature_names_in_ = np.array(["dest"], dtype=object)
            self.classes_ = np.array([0, 1])
            return self

    model = TakesText().fit(frame, None)

    with pytest.raises(UnconvertibleModel, match="'dest', which must be encoded first"):
        convert(model, rows)


def test_feature_step_must_come_first(held_out):
    columns = [*FEATURES, "departed"]
    model = fit(
        Pipeline([("inner", make_pipeline(FeatureStep(datetime_parts={"departed": ["hour"]})))]),
        ColumnTransformer([("n", "passthrough", ["wind", "departed_hour"])]),
        LOGISTIC,
        columns=columns,
    )

    with pytest.raises(UnconvertibleModel, match="first step of the outermost pipeline"):
        convert(model, held_out)


def test_step_that_skl2onnx_does_not_know_is_refused_in_its_words(rows):
    class Halver(SimpleImputer):
        """A transformer of the user's own."""

    model = fit(by_column(number=Halver()), LOGISTIC)

    with pytest.raises(UnconvertibleModel, match="Halver"):
        convert(model, rows)


def test_lookup_of_the_nearest_isotonic_threshold_is_refused_unless_tolerated(monkeypatch):
    train, wide = flights(seed=5, rows=6000), flights(seed=7, rows=4000)
    model = make_pipeline(by_column(), CalibratedClassifierCV(LOGISTIC, method="isotonic", cv=3))
    model.fit(train[FEATURES], late(train, seed=6))
    # What skl2onnx does by itself.
    monkeypatch.setattr(converters.isotonic, "interpolated", contextlib.nullcontext)

    with pytest.raises(ParityFailed, match=r"use method='sigmoid', or accept .* tolerance=0\.0") as failure:
        build_bundle(model, data=wide[FEATURES], target=late(wide, seed=8))
    bundle = build_bundle(model, data=wide[FEATURES], target=late(wide, seed=8), tolerance=0.05)

    assert "of the rows differ" in failure.value.faults[0].detail
    assert bundle.manifest["parity"]["row_share"] > 0.001
    kept = documents.read_parity(bundle.files[PARITY])
    assert kept.rule.max_row_share == 0.05
    answered = ServedModel.open(bundle.files).predict(kept.rows).scores
    assert compare(kept.expected, answered, task="binary", threshold=0.5, rule=kept.rule).passed


def test_answers_that_differ_are_refused_with_the_worst_row(rows, target, monkeypatch):
    model = fit(by_column(), RandomForestRegressor(**FOREST), target=flights()["wind"])
    steep = flights()["wind"][TRAINED:]
    original = RandomForestRegressor.predict
    monkeypatch.setattr(RandomForestRegressor, "predict", lambda self, X: original(self, X) + 1)

    with pytest.raises(ParityFailed, match=r"the largest difference is 1, at distance=") as failure:
        build_bundle(model, data=rows, target=steep)

    assert failure.value.faults[0].pointer == "/parity"


def test_what_is_no_model_is_refused(rows):
    with pytest.raises(InvalidInput, match="dict is no model"):
        convert({}, rows)
    with pytest.raises(InvalidInput, match="no task 'ranking'"):
        convert(LOGISTIC, rows, task="ranking")
    with pytest.raises(InvalidInput, match="fitted on columns that `data` doesn't have: wind"):
        convert(fit(by_column(), LOGISTIC), rows.drop(columns="wind"))
    with pytest.raises(InvalidInput, match="The model is binary, not regression"):
        convert(fit(by_column(), LOGISTIC), rows, task="regression")
    with pytest.raises(UnconvertibleModel, match="isn't fitted"):
        convert(LogisticRegression(), rows)
