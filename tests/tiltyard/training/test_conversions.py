"""Every estimator that is said to convert exactly does; ``docs/conversions.md`` is written and checked here.

    TILTYARD_WRITE_DOCS=1 python -m pytest tests/tiltyard/training/test_conversions.py

writes the table again. Without it a line that is missing, one too many, or a
figure that is ten times what the file says fails.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from catboost import CatBoostClassifier, CatBoostRegressor
from pipelines import FEATURES, NUMBERS, TEXTS, TRAINED, by_column, flights, late, one_hot
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    QuantileRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tiltyard.errors import UnconvertibleModel
from tiltyard.training.contract import Roles, infer_signature
from tiltyard.training.convert import convert
from tiltyard.training.parity import prove

DOCUMENT = Path(__file__).parents[3] / "docs" / "conversions.md"
EXACT = 5e-6
"""What the largest difference of a case may be: of a probability, or of a value about -10 to 10."""

pytestmark = pytest.mark.filterwarnings("ignore")

FRAME = flights().assign(code=lambda f: f["stops"].astype(float).where(f["distance"].notna()))
BANDS = pd.cut(FRAME["wind"], [-99, -3, 3, 99], labels=False).astype(int)
TARGETS = {
    "binary": late(FRAME),
    "multiclass": BANDS.rename("band"),
    "regression": (FRAME["wind"] / 10 + FRAME["distance"].fillna(0)).rename("minutes"),
}


@dataclass(frozen=True)
class Case:
    """An estimator to fit on the first half of the rows and to hold against its graph on the second."""

    group: str
    name: str
    task: str
    make: Callable[[], Any]
    columns: tuple[str, ...] = tuple(FEATURES)

    @property
    def id(self) -> str:
        return f"{self.name}, {self.task}"


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    group: str
    name: str
    task: str
    rows: int
    edges: int
    difference: float

    def __str__(self) -> str:
        return f"| {self.name} | {self.task} | {self.rows:,} | {self.edges:,} | {self.difference:.1e} |"


def behind(*steps: Any) -> Any:
    return make_pipeline(by_column(), *steps)


def numbers(*steps: Any) -> Any:
    """Imputed numbers through `steps`, one-hot text beside them, and a linear classifier."""
    chain = make_pipeline(SimpleImputer(strategy="median"), *steps)
    return make_pipeline(by_column(number=chain), LogisticRegression(max_iter=400))


def texts(encoder: Any, columns: tuple[str, ...] = tuple(TEXTS)) -> Any:
    return make_pipeline(ColumnTransformer([("t", encoder, list(columns))]), LogisticRegression(max_iter=400))


def gaps(model: Any) -> Any:
    """Numbers with their gaps and one-hot text, without an imputer."""
    return make_pipeline(ColumnTransformer([("n", "passthrough", NUMBERS), ("t", one_hot(), TEXTS)]), model)


BOTH = ("binary", "multiclass")
HGB = {"max_iter": 6, "random_state": 0}
CAT = {"iterations": 8, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
XGB = {"n_estimators": 6, "n_jobs": 1}
LGB = {"n_estimators": 6, "n_jobs": 1, "verbose": -1, "deterministic": True, "force_row_wise": True}
ORDINAL = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
TREES = {"n_estimators": 8, "random_state": 0}

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "LogisticRegression": lambda: behind(LogisticRegression(max_iter=400)),
    "HistGradientBoostingClassifier": lambda: behind(HistGradientBoostingClassifier(**HGB)),
    "HistGradientBoostingClassifier, gaps and no imputer": lambda: gaps(
        HistGradientBoostingClassifier(**HGB)
    ),
    "GradientBoostingClassifier": lambda: behind(GradientBoostingClassifier(n_estimators=6, random_state=0)),
    "RandomForestClassifier": lambda: behind(RandomForestClassifier(**TREES)),
    "ExtraTreesClassifier": lambda: behind(ExtraTreesClassifier(**TREES)),
    "DecisionTreeClassifier": lambda: behind(DecisionTreeClassifier(max_depth=6, random_state=0)),
    "MLPClassifier": lambda: behind(StandardScaler(), MLPClassifier((8,), max_iter=40, random_state=0)),
    "SVC": lambda: behind(StandardScaler(), SVC(probability=True, random_state=0)),
    "GaussianNB": lambda: behind(GaussianNB(var_smoothing=1e-3)),
    "SGDClassifier": lambda: behind(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    "AdaBoostClassifier": lambda: behind(AdaBoostClassifier(n_estimators=6, random_state=0)),
    "BaggingClassifier": lambda: behind(BaggingClassifier(n_estimators=4, random_state=0)),
    "StackingClassifier": lambda: behind(
        StackingClassifier(
            [("a", HistGradientBoostingClassifier(**HGB)), ("b", LogisticRegression(max_iter=400))], cv=2
        )
    ),
    "VotingClassifier(voting='soft', flatten_transform=False)": lambda: behind(
        VotingClassifier(
            [("a", HistGradientBoostingClassifier(**HGB)), ("b", LogisticRegression(max_iter=400))],
            voting="soft",
            flatten_transform=False,
        )
    ),
    "CalibratedClassifierCV(method='sigmoid')": lambda: behind(
        CalibratedClassifierCV(HistGradientBoostingClassifier(**HGB), cv=2)
    ),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "LinearRegression": lambda: behind(LinearRegression()),
    "Ridge": lambda: behind(Ridge()),
    "Lasso": lambda: behind(Lasso(alpha=0.01)),
    "ElasticNet": lambda: behind(ElasticNet(alpha=0.01)),
    "BayesianRidge": lambda: behind(BayesianRidge()),
    "HuberRegressor": lambda: behind(StandardScaler(), HuberRegressor(max_iter=500)),
    "QuantileRegressor": lambda: behind(QuantileRegressor(alpha=0.01)),
    "SGDRegressor": lambda: behind(StandardScaler(), SGDRegressor(random_state=0)),
    "HistGradientBoostingRegressor": lambda: behind(HistGradientBoostingRegressor(**HGB)),
    "HistGradientBoostingRegressor(loss='quantile')": lambda: gaps(
        HistGradientBoostingRegressor(loss="quantile", quantile=0.9, **HGB)
    ),
    "GradientBoostingRegressor": lambda: behind(GradientBoostingRegressor(n_estimators=6, random_state=0)),
    "RandomForestRegressor": lambda: behind(RandomForestRegressor(**TREES)),
    "ExtraTreesRegressor": lambda: behind(ExtraTreesRegressor(**TREES)),
    "DecisionTreeRegressor": lambda: behind(DecisionTreeRegressor(max_depth=6, random_state=0)),
    "MLPRegressor": lambda: behind(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=40, random_state=0)
    ),
    "SVR": lambda: behind(StandardScaler(), SVR()),
    "AdaBoostRegressor": lambda: behind(AdaBoostRegressor(n_estimators=4, random_state=0)),
    "BaggingRegressor": lambda: behind(BaggingRegressor(n_estimators=4, random_state=0)),
    "IsolationForest (its decision_function)": lambda: behind(
        IsolationForest(n_estimators=4, random_state=0)
    ),
    "StackingRegressor": lambda: behind(StackingRegressor([("a", Ridge()), ("b", LinearRegression())], cv=2)),
    "VotingRegressor": lambda: behind(VotingRegressor([("a", Ridge()), ("b", LinearRegression())])),
}
PREPARATIONS: dict[str, Callable[[], Any]] = {
    "StandardScaler": lambda: numbers(StandardScaler()),
    "MinMaxScaler": lambda: numbers(MinMaxScaler()),
    "MaxAbsScaler": lambda: numbers(MaxAbsScaler()),
    "RobustScaler": lambda: numbers(RobustScaler()),
    "Normalizer": lambda: numbers(Normalizer()),
    "PowerTransformer": lambda: numbers(PowerTransformer()),
    "QuantileTransformer": lambda: numbers(QuantileTransformer(n_quantiles=10)),
    "KBinsDiscretizer": lambda: numbers(KBinsDiscretizer(5, encode="onehot-dense")),
    "PolynomialFeatures": lambda: numbers(StandardScaler(), PolynomialFeatures(2)),
    "SimpleImputer(add_indicator=True)": lambda: make_pipeline(
        by_column(number=SimpleImputer(add_indicator=True)), LogisticRegression(max_iter=400)
    ),
    "SimpleImputer on text": lambda: texts(
        make_pipeline(SimpleImputer(strategy="constant", fill_value=""), one_hot())
    ),
    "OneHotEncoder, sparse": lambda: texts(OneHotEncoder(handle_unknown="ignore")),
    "OneHotEncoder(drop='first')": lambda: texts(one_hot(drop="first")),
    "OneHotEncoder(min_frequency=…)": lambda: texts(
        one_hot(handle_unknown="infrequent_if_exist", min_frequency=40)
    ),
    "OneHotEncoder with a missing level": lambda: texts(one_hot(), ("carrier",)),
    "OneHotEncoder of codes with gaps": lambda: texts(one_hot(), ("code",)),
    "OrdinalEncoder(unknown_value=-1)": lambda: make_pipeline(
        OrdinalEncoder(**ORDINAL), HistGradientBoostingClassifier(**HGB)
    ),
    "OrdinalEncoder(unknown_value=nan)": lambda: make_pipeline(
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
        HistGradientBoostingClassifier(**HGB),
    ),
    "TargetEncoder": lambda: texts(TargetEncoder(random_state=0)),
}
READS = {
    "LGBMClassifier(categorical_feature=[…]) of codes": ("wind", "stops"),
    "SimpleImputer on text": tuple(TEXTS), "OneHotEncoder, sparse": tuple(TEXTS),
    "OneHotEncoder(drop='first')": tuple(TEXTS), "OneHotEncoder(min_frequency=…)": tuple(TEXTS),
    "OneHotEncoder with a missing level": ("carrier",), "OneHotEncoder of codes with gaps": ("code",),
    "OrdinalEncoder(unknown_value=-1)": tuple(TEXTS), "OrdinalEncoder(unknown_value=nan)": tuple(TEXTS),
    "TargetEncoder": tuple(TEXTS),
}  # fmt: skip
BOOSTERS: list[tuple[str, str, Callable[[], Any]]] = [
    *(("XGBClassifier", task, lambda: behind(xgboost.XGBClassifier(**XGB))) for task in BOTH),
    ("XGBClassifier, gaps and no imputer", "binary", lambda: gaps(xgboost.XGBClassifier(**XGB))),
    ("XGBClassifier(base_score=.5)", "binary", lambda: gaps(xgboost.XGBClassifier(base_score=0.5, **XGB))),
    ("XGBRegressor", "regression", lambda: gaps(xgboost.XGBRegressor(**XGB))),
    *(("LGBMClassifier", task, lambda: behind(lightgbm.LGBMClassifier(**LGB))) for task in BOTH),
    ("LGBMClassifier, gaps and no imputer", "binary", lambda: gaps(lightgbm.LGBMClassifier(**LGB))),
    (
        "LGBMClassifier(categorical_feature=[…]) of codes",
        "binary",
        lambda: lightgbm.LGBMClassifier(categorical_feature=[1], min_data_per_group=5, cat_smooth=1, **LGB),
    ),
    ("LGBMRegressor", "regression", lambda: gaps(lightgbm.LGBMRegressor(**LGB))),
    *(("CatBoostClassifier", task, lambda: behind(CatBoostClassifier(**CAT))) for task in BOTH),
    ("CatBoostClassifier, gaps and no imputer", "binary", lambda: gaps(CatBoostClassifier(**CAT))),
    ("CatBoostRegressor", "regression", lambda: gaps(CatBoostRegressor(**CAT))),
]
CASES = [
    *(Case("Classifiers", name, task, make) for name, make in CLASSIFIERS.items() for task in BOTH),
    *(Case("Regressors", name, "regression", make) for name, make in REGRESSORS.items()),
    *(
        Case("Other packages", name, task, make, READS.get(name, tuple(FEATURES)))
        for name, task, make in BOOSTERS
    ),
    *(
        Case(
            "Preparation, in front of a linear model or trees",
            name,
            "binary",
            make,
            READS.get(name, tuple(FEATURES)),
        )
        for name, make in PREPARATIONS.items()
    ),
]


@functools.cache
def measured(case: Case) -> Line:
    """Fit, convert and prove: what `build_bundle` does, without a profile."""
    frame = FRAME[list(case.columns)]
    target = TARGETS[case.task]
    model = case.make().fit(frame[:TRAINED], target[:TRAINED])
    rows = frame[TRAINED:].reset_index(drop=True)
    converted = convert(model, rows)
    threshold = 0.5 if case.task == "binary" else None
    signature = infer_signature(converted, rows, roles=Roles(), target="target", threshold=threshold)
    report = prove(converted, signature, rows)
    assert converted.task == case.task
    difference = report.report.max_abs_diff
    return Line(case.group, case.name, case.task, report.report.rows, report.edges, difference)


def fitted(model: Any, columns: list[str] = FEATURES, task: str = "binary") -> Any:
    return model.fit(FRAME[columns][:TRAINED], TARGETS[task][:TRAINED])


def in_numbers(model: Any) -> Any:
    return fitted(make_pipeline(SimpleImputer(strategy="median"), model), NUMBERS)


REFUSED: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "KNeighborsClassifier": (lambda: in_numbers(KNeighborsClassifier()), NUMBERS),
    "KNeighborsRegressor": (lambda: in_numbers(KNeighborsRegressor()), NUMBERS),
    "KNNImputer": (lambda: fitted(make_pipeline(KNNImputer(), LogisticRegression()), NUMBERS), NUMBERS),
    "SplineTransformer": (
        lambda: in_numbers(make_pipeline(SplineTransformer(), LogisticRegression())), NUMBERS,
    ),
    "HistGradientBoostingClassifier(categorical_features=…)": (
        lambda: fitted(
            HistGradientBoostingClassifier(categorical_features=["stops"], **HGB), ["wind", "stops"]
        ),
        ["wind", "stops"],
    ),
    "RandomForestClassifier over gaps": (lambda: fitted(RandomForestClassifier(**TREES), NUMBERS), NUMBERS),
    "RandomForestClassifier behind a scaler": (
        lambda: in_numbers(make_pipeline(StandardScaler(), RandomForestClassifier(**TREES))), NUMBERS,
    ),
    "TunedThresholdClassifierCV, its threshold unsaid": (
        lambda: in_numbers(TunedThresholdClassifierCV(LogisticRegression(), cv=2)), NUMBERS,
    ),
    "CalibratedClassifierCV(method='temperature')": (
        lambda: in_numbers(CalibratedClassifierCV(LogisticRegression(), method="temperature", cv=2)), NUMBERS,
    ),
    "VotingClassifier(flatten_transform=True)": (
        lambda: in_numbers(VotingClassifier([("a", LogisticRegression())], voting="soft")), NUMBERS,
    ),
    "TransformedTargetRegressor": (
        lambda: in_numbers(TransformedTargetRegressor(Ridge(), func=np.cbrt, inverse_func=np.exp)), NUMBERS,
    ),
    "XGBClassifier(enable_categorical=True)": (
        lambda: xgboost.XGBClassifier(enable_categorical=True, **XGB).fit(
            FRAME[["dest"]].astype("category")[:TRAINED], TARGETS["binary"][:TRAINED]
        ),
        ["dest"],
    ),
    "LGBMClassifier over dtype category": (
        lambda: lightgbm.LGBMClassifier(**LGB).fit(
            FRAME[["dest"]].astype("category")[:TRAINED], TARGETS["binary"][:TRAINED]
        ),
        ["dest"],
    ),
    "CatBoostClassifier(cat_features=…)": (
        lambda: fitted(CatBoostClassifier(cat_features=["dest"], **CAT), ["wind", "dest"]), ["wind", "dest"],
    ),
}  # fmt: skip


@functools.cache
def refusal(name: str) -> str:
    """The step that is refused and why, as registration says it."""
    make, columns = REFUSED[name]
    with pytest.raises(UnconvertibleModel) as refused:
        convert(make(), FRAME[columns][TRAINED:].reset_index(drop=True))
    # A tuned threshold has its last digits from the processor.
    return re.sub(r"threshold=[\d.]+", "threshold=…", refused.value.faults[0].detail)


HEADER = """# What converts, and how exactly

Registration converts a fitted model to ONNX and holds both against each other, row by row, before
anything is uploaded. This table is what its parity gate measures for each estimator: fitted on 600 rows,
compared on 600 held-out ones made up to 1,000 by drawing, and on rows at the edges (missing values, unseen
and empty text, values beyond the range, the float32 neighbours of tree thresholds). Numbers are imputed,
text is one-hot, unless the name says otherwise. The largest difference is of a probability, or of a
value (they lie about -5 to 5).

A test writes this file and fails when it no longer holds:
`TILTYARD_WRITE_DOCS=1 .venv/bin/python -m pytest tests/tiltyard/training/test_conversions.py`.
"""
COLUMNS = "| Estimator | Task | Rows | of them edges | Largest difference |\n|---|---|---|---|---|"
REFUSALS = """## Refused

Each of these converts wrongly, or not at all; registration names the step and what replaces it.

| Model | What registration says |
|---|---|"""


def document() -> str:
    parts = [HEADER]
    for group in dict.fromkeys(case.group for case in CASES):
        lines = [str(measured(case)) for case in CASES if case.group == group]
        parts.append("\n".join([f"## {group}\n", COLUMNS, *lines]) + "\n")
    parts.append("\n".join([REFUSALS, *(refused_line(name) for name in REFUSED)]) + "\n")
    return "\n".join(parts)


def refused_line(name: str) -> str:
    return f"| {name} | {refusal(name)} |"


def committed() -> dict[tuple[str, str, str], tuple[int, float]]:
    """Group, name and task of each line of the document → its rows and largest difference."""
    found, group = {}, ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[0] not in ("Estimator", "") and not line.startswith("|---"):
            found[(group, cells[0], cells[1])] = (int(cells[2].replace(",", "")), float(cells[4]))
    return found


@pytest.fixture(scope="module", autouse=True)
def _written():
    if os.environ.get("TILTYARD_WRITE_DOCS"):
        DOCUMENT.write_text(document(), encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_estimator_is_exact_and_its_line_holds(case):
    line = measured(case)

    rows, difference = committed()[(case.group, case.name, case.task)]
    assert line.difference <= EXACT
    assert line.rows >= 1000
    assert line.edges > 0
    # Other processors round and split otherwise; ten times as much, or as many rows, is another matter.
    assert rows == pytest.approx(line.rows, rel=0.05)
    assert max(difference, line.difference) <= 10 * max(min(difference, line.difference), 1e-7)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_estimator_has_its_line(name):
    assert refused_line(name) in DOCUMENT.read_text(encoding="utf-8").splitlines()


def test_neighbours_are_refused_for_their_operator():
    assert "Scan" in refusal("KNeighborsClassifier")
    assert "Scan" in refusal("KNeighborsRegressor")


def test_document_has_no_other_line():
    cases = {(case.group, case.name, case.task) for case in CASES}
    refused = DOCUMENT.read_text(encoding="utf-8").partition("## Refused")[2].splitlines()

    assert set(committed()) == cases
    assert {line.split(" | ")[0].strip("| ") for line in refused if line.startswith("| ")} == {
        "Model", *REFUSED
    }  # fmt: skip
