"""What converts, and that it answers as the estimator does."""

from __future__ import annotations

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from pipelines import FEATURES, NUMBERS, TEXTS, TRAINED, by_column, fit, flights, late, one_hot
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)

from tiltyard.contract.features import Boolean, Fill, Lump, MissingIndicator
from tiltyard.contract.step import FeatureStep
from tiltyard.runtime.guard import inspect, reserialise
from tiltyard.training.bundle import build_bundle
from tiltyard.training.convert import convert
from tiltyard.training.labels import class_name

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)

ORDINAL = {"handle_unknown": "use_encoded_value", "unknown_value": -1}


def boosting(**options: object) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(**{"max_iter": 8, "random_state": 0, **options})


def logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=400)


def scaled() -> object:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


CLASSIFIERS = {
    "logistic": lambda: fit(by_column(number=scaled()), logistic()),
    "gradient boosting": lambda: fit(by_column(), boosting()),
    "gradient boosting over gaps": lambda: fit(
        ColumnTransformer([("n", "passthrough", NUMBERS), ("t", OrdinalEncoder(**ORDINAL), TEXTS)]),
        boosting(),
    ),
    "forest": lambda: fit(by_column(), RandomForestClassifier(8, random_state=0)),
    "extra trees": lambda: fit(by_column(), ExtraTreesClassifier(8, random_state=0)),
    "network": lambda: fit(by_column(number=scaled()), MLPClassifier(4, max_iter=40, random_state=0)),
    "polynomials": lambda: fit(by_column(number=make_pipeline(scaled(), PolynomialFeatures(2))), logistic()),
    "calibrated": lambda: fit(by_column(), CalibratedClassifierCV(boosting(), cv=2)),
    "calibrated by steps": lambda: fit(
        by_column(), CalibratedClassifierCV(logistic(), method="isotonic", cv=3)
    ),
    "stacked": lambda: fit(by_column(), StackingClassifier([("a", boosting()), ("b", logistic())], cv=2)),
    "voting over pipelines": lambda: fit(
        VotingClassifier(
            [("a", make_pipeline(by_column(), boosting())), ("b", make_pipeline(by_column(), logistic()))],
            voting="soft",
            flatten_transform=False,
        )
    ),
    "searched": lambda: fit(by_column(), GridSearchCV(logistic(), {"C": [0.1, 1.0]}, cv=2)),
    "target encoded": lambda: fit(by_column(TargetEncoder(random_state=0)), boosting()),
    "union": lambda: fit(
        FeatureUnion([("a", by_column()), ("b", ColumnTransformer([("n", SimpleImputer(), ["wind"])]))]),
        logistic(),
    ),
    "weights and remainder": lambda: fit(
        ColumnTransformer(
            [("t", one_hot(), TEXTS), ("n", scaled(), ["distance", "wind"])],
            remainder="passthrough",
            transformer_weights={"t": 0.5},
        ),
        logistic(),
    ),
    "selectors": lambda: fit(
        ColumnTransformer(
            [
                ("n", SimpleImputer(), make_column_selector(dtype_include="number")),
                ("t", one_hot(), make_column_selector(dtype_include=[object, "string"])),
            ]
        ),
        logistic(),
    ),
    "text and whole numbers in one encoder": lambda: fit(
        ColumnTransformer([("t", one_hot(), ["dest", "stops", "weekend", "carrier"])]), logistic()
    ),
    "one column in two branches": lambda: fit(
        ColumnTransformer(
            [
                ("n", scaled(), NUMBERS),
                ("b", make_pipeline(SimpleImputer(), KBinsDiscretizer(4, encode="onehot-dense")), ["wind"]),
                ("t", one_hot(), TEXTS),
                ("u", one_hot(), ["dest"]),
            ]
        ),
        logistic(),
    ),
    "xgboost": lambda: fit(by_column(), xgboost.XGBClassifier(n_estimators=6, n_jobs=1)),
    "lightgbm": lambda: fit(
        by_column(), lightgbm.LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1, deterministic=True)
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_passes_the_gate(name, rows, target):
    bundle = build_bundle(CLASSIFIERS[name](), data=rows, target=target)

    found = bundle.manifest["parity"]
    assert found["rows"] >= 1000
    assert found["max_abs_diff"] < 1e-5
    assert bundle.signature.classes == ("0", "1")


REGRESSORS = {
    "ridge": lambda: Ridge(),
    "gradient boosting": lambda: HistGradientBoostingRegressor(max_iter=8),
    "gradient boosting of trees": lambda: GradientBoostingRegressor(n_estimators=8),
    "forest": lambda: RandomForestRegressor(8, random_state=0),
    "xgboost": lambda: xgboost.XGBRegressor(n_estimators=6, n_jobs=1),
    "lightgbm": lambda: lightgbm.LGBMRegressor(n_estimators=6, n_jobs=1, verbose=-1),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor_passes_the_gate(name, rows, held_out):
    delay = flights()["wind"] * 3 + flights()["stops"]
    model = fit(by_column(), REGRESSORS[name](), target=delay)

    bundle = build_bundle(model, data=rows, target=delay[TRAINED:])

    assert bundle.signature.task == "regression"
    assert bundle.signature.threshold is None
    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-3


@pytest.mark.parametrize(
    "model",
    [
        boosting(),
        logistic(),
        xgboost.XGBClassifier(n_estimators=4, n_jobs=1),
        lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1),
    ],
    ids=lambda model: type(model).__name__,
)
def test_three_classes_pass_the_gate(model, rows):
    band = pd.cut(flights()["wind"], [-np.inf, -4, 4, np.inf], labels=False)
    fitted = fit(by_column(), model, target=band)

    bundle = build_bundle(fitted, data=rows, target=band[TRAINED:])

    assert bundle.signature.task == "multiclass"
    assert bundle.signature.classes == ("0", "1", "2")
    assert bundle.manifest["parity"]["label_share"] == 0


@pytest.mark.parametrize(
    "model",
    [
        boosting(),
        xgboost.XGBClassifier(n_estimators=4, n_jobs=1),
        lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1),
    ],
    ids=lambda model: type(model).__name__,
)
def test_booster_alone_over_named_columns_takes_one_matrix(model, rows, target):
    model.fit(flights()[[*NUMBERS, "weekend"]][:TRAINED], late(flights())[:TRAINED])

    converted = convert(model, rows)

    assert converted.features.numbers == (*NUMBERS, "weekend")
    assert converted.features.operations == (Boolean("weekend"),)
    assert {t.name for t in inspect(converted.content).inputs} == {"numbers"}
    # The booster that was handed in still knows its columns.
    assert list(model.predict_proba(rows[[*NUMBERS, "weekend"]])[0]) != []
    build_bundle(model, data=rows[[*NUMBERS, "weekend"]], target=target)


def test_model_fitted_on_arrays_reads_columns_in_order(target):
    frame = flights()[["wind", "stops"]]
    model = boosting().fit(frame[:TRAINED].to_numpy(), late(flights())[:TRAINED])

    bundle = build_bundle(model, data=frame[TRAINED:], target=target)

    assert [c.name for c in bundle.signature.inputs] == ["wind", "stops"]


def test_graph_is_canonical_and_takes_two_matrices(rows):
    converted = convert(CLASSIFIERS["gradient boosting"](), rows)

    seen = inspect(converted.content)
    assert reserialise(converted.content) == converted.content
    assert {(t.name, t.element_type, t.shape) for t in seen.inputs} == {
        ("numbers", "float32", (None, 4)),
        ("strings", "string", (None, 2)),
    }
    assert [(t.name, t.shape) for t in seen.outputs] == [("probabilities", (None, 2))]


def test_missing_text_becomes_the_sentinel_of_the_imputer(rows, target):
    imputer = SimpleImputer(strategy="constant", fill_value="nobody")
    model = fit(by_column(make_pipeline(imputer, one_hot())), logistic())

    converted = convert(model, rows)

    assert Fill("carrier", "nobody") in converted.features.operations
    assert {"carrier", "dest", *NUMBERS} == converted.nullable
    build_bundle(model, data=rows, target=target)


def test_missing_text_becomes_the_most_frequent_level(rows, target):
    model = fit(by_column(make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot())), logistic())

    converted = convert(model, rows)

    assert Fill("dest", "A") in converted.features.operations
    build_bundle(model, data=rows, target=target)


@pytest.mark.parametrize("marker", [None, np.nan])
@pytest.mark.parametrize("missing_values", [None, np.nan])
def test_none_and_nan_are_told_apart_as_the_imputer_does(marker, missing_values, target):
    frame = flights()[TEXTS]
    carrier = np.array([marker if v is None or v != v else v for v in frame["carrier"]], dtype=object)
    frame = frame.assign(dest=frame["dest"].astype(object), carrier=pd.Series(carrier, dtype=object))
    imputer = SimpleImputer(strategy="constant", fill_value="UA", missing_values=missing_values)
    if missing_values is None and marker is not None:
        with pytest.raises(ValueError, match="NaN"):
            make_pipeline(imputer, one_hot()).fit(frame)
        return
    model = make_pipeline(imputer, one_hot(), logistic()).fit(frame[:TRAINED], late(flights())[:TRAINED])

    bundle = build_bundle(model, data=frame[TRAINED:], target=target)

    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-5


@pytest.mark.parametrize(
    ("options", "lumps"),
    [
        ({"handle_unknown": "infrequent_if_exist", "min_frequency": 0.07}, 1),
        ({"handle_unknown": "infrequent_if_exist", "max_categories": 4}, 1),
        ({"handle_unknown": "ignore", "min_frequency": 0.07}, 2),
        ({"handle_unknown": "infrequent_if_exist", "min_frequency": 0.07, "drop": "first"}, 1),
    ],
    ids=str,
)
def test_infrequent_levels_are_lumped_before_the_graph(options, lumps, rows, target):
    model = fit(by_column(one_hot(**options)), logistic())

    converted = convert(model, rows)

    found = [o for o in converted.features.operations if isinstance(o, Lump) and o.column == "dest"]
    assert len(found) == lumps
    assert build_bundle(model, data=rows, target=target).manifest["parity"]["max_abs_diff"] < 1e-5


def test_rare_levels_of_an_ordinal_encoder_share_their_code(rows, target):
    model = fit(by_column(OrdinalEncoder(**ORDINAL, min_frequency=40)), boosting())

    bundle = build_bundle(model, data=rows, target=target)

    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-5


@pytest.mark.parametrize("encoded_missing_value", [np.nan, -2])
def test_missing_text_keeps_the_code_that_an_ordinal_encoder_gives_it(encoded_missing_value, rows, target):
    encoder = OrdinalEncoder(**ORDINAL, encoded_missing_value=encoded_missing_value)
    model = fit(by_column(encoder), boosting())

    bundle = build_bundle(model, data=rows, target=target)

    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-5


def test_indicators_of_an_imputer_become_columns(rows, target):
    number = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    model = fit(by_column(number=number), logistic())

    converted = convert(model, rows)

    assert converted.features.operations[0] == MissingIndicator("distance", "distance_missing")
    assert build_bundle(model, data=rows, target=target).manifest["parity"]["max_abs_diff"] < 1e-5


def test_feature_step_is_lifted_out(held_out, target):
    columns = [*FEATURES, "departed"]
    step = FeatureStep(
        datetime_parts={"departed": ["hour", "weekday"]},
        lump={"dest": 3},
        fill={"carrier": "nobody"},
        booleans=["weekend"],
        missing_indicators=["distance"],
    )
    encode = ColumnTransformer([("t", one_hot(), TEXTS)], remainder="passthrough")
    model = fit(step, encode, boosting(), columns=columns)

    bundle = build_bundle(model, data=held_out[columns], target=target)

    kinds = [o["kind"] for o in bundle.signature.features.to_json()["operations"]]
    assert kinds == ["missing_indicator", "fill", "lump", "boolean", "datetime_part", "datetime_part"]
    assert bundle.signature.column("departed").type == "datetime"
    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-5


def test_columns_that_nothing_reads_are_left_out(held_out, target):
    lines: list[str] = []

    bundle = build_bundle(CLASSIFIERS["logistic"](), data=held_out, target=target, progress=lines.append)

    assert [c.name for c in bundle.signature.columns] == FEATURES
    assert "left out, since neither the model nor a role reads them: departed, passenger" in lines


@pytest.mark.parametrize(
    ("label", "name"),
    [(True, "true"), (np.False_, "false"), (1, "1"), (1.0, "1"), (np.float64(0.5), "0.5"), ("late", "late")],
)
def test_class_labels_are_text(label, name):
    assert class_name(label) == name
