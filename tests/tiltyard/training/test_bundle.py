"""A bundle holds together, is the same twice, and holds nobody's row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pipelines import FEATURES, NUMBERS, TRAINED, by_column, fit, flights, late, one_hot
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline

from tiltyard.contract.step import FeatureStep
from tiltyard.errors import InvalidInput
from tiltyard.runtime import documents
from tiltyard.runtime.bundle import MODEL, PARITY, PROFILE, REFERENCE
from tiltyard.runtime.model import ServedModel
from tiltyard.runtime.parity import compare
from tiltyard.training import build_bundle, summary
from tiltyard.training.bundle import visible_shifts

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model():
    return fit(by_column(), HistGradientBoostingClassifier(max_iter=6, random_state=0))


@pytest.fixture(scope="module")
def bundle(model, held_out, target):
    return build_bundle(
        model,
        data=held_out,
        target=target,
        threshold=0.4,
        sensitive=["weekend"],
        time="departed",
        calendar=["stops"],
        categories={"dest": ["Z"]},
        ranges={"wind": (-500, 1)},
    )


def test_documents_hold_together(bundle):
    documents.check(bundle.files)
    bundle.verify()


def test_signature_says_types_roles_and_what_was_widened(bundle):
    column = bundle.signature.column

    assert {c.name: c.type for c in bundle.signature.columns} == {
        "distance": "number", "wind": "number", "stops": "integer", "weekend": "boolean",
        "dest": "string", "carrier": "string", "departed": "datetime",
    }  # fmt: skip
    assert [c.name for c in bundle.signature.columns if not c.is_input] == ["departed"]
    assert {n: column(n).role for n in ("weekend", "departed", "stops", "dest")} == {
        "weekend": "sensitive", "departed": "time", "stops": "calendar", "dest": "feature",
    }  # fmt: skip
    assert column("dest").categories == (*"ABCDEFGH", "Z")
    assert column("wind").minimum == -500
    assert column("wind").maximum > 1
    assert column("carrier").is_nullable
    assert column("distance").is_nullable
    assert not column("weekend").is_nullable
    assert bundle.signature.threshold == 0.4
    assert bundle.signature.target == "late"


def test_profile_counts_every_row_and_scores_by_label(bundle, target):
    profile = json.loads(bundle.files[PROFILE])

    assert profile["rows"] == len(target)
    for entry in profile["columns"].values():
        outside = entry.get("other", 0) + entry.get("below", 0) + entry.get("above", 0)
        assert sum(entry["counts"]) + entry["missing"] + outside == len(target)
    assert profile["target"]["counts"] == [int((target == 0).sum()), int((target == 1).sum())]
    assert 0.4 in profile["score"]["edges"]
    assert [sum(counts) for counts in profile["score"]["counts"]] == profile["target"]["counts"]
    assert set(profile["columns"]) == set(FEATURES)


def test_score_counts_at_the_threshold_are_the_served_decisions(bundle, rows, target):
    profile = json.loads(bundle.files[PROFILE])["score"]
    served = ServedModel.open(bundle.files)

    cut = profile["edges"].index(0.4)
    above = [sum(counts[cut:]) for counts in profile["counts"]]

    values = served.predict(_json(rows, served)).values
    decided = np.array([v == "1" for v in values])
    assert above == [int(decided[target == label].sum()) for label in (0, 1)]


def _json(rows: pd.DataFrame, served: ServedModel) -> list[dict[str, object]]:
    from tiltyard.training.frames import json_rows

    return json_rows(rows, {c.name: c.type for c in served.signature.inputs})


def test_parity_rows_pass_again_on_the_served_model(bundle):
    kept = documents.read_parity(bundle.files[PARITY])

    answers = ServedModel.open(bundle.files).predict(kept.rows).scores

    assert len(kept.rows) == 256
    assert compare(kept.expected, answers, task="binary", threshold=0.4, rule=kept.rule).passed


def test_parity_rows_hold_the_edges(bundle):
    kept = documents.read_parity(bundle.files[PARITY]).rows

    assert any(row["distance"] is None and row["carrier"] is None for row in kept)
    assert any(row["dest"] == "" for row in kept)
    assert any(row["dest"] not in "ABCDEFGHZ" for row in kept)
    assert any(row["wind"] is not None and row["wind"] < -500 for row in kept)


def test_parity_rows_hold_float32_neighbours_of_tree_thresholds(model, bundle):
    wind = [row["wind"] for row in documents.read_parity(bundle.files[PARITY]).rows]
    thresholds = {
        float(np.float32(node["num_threshold"]))
        for predictors in model[-1]._predictors
        for node in predictors[0].nodes
        if not node["is_leaf"]
    }

    near = {float(np.nextafter(np.float32(t), np.float32(side))) for t in thresholds for side in (-9e9, 9e9)}

    assert len(near & set(wind)) >= 4


def test_anomalies_are_not_told_by_the_calendar(bundle):
    anomaly = json.loads(bundle.files[REFERENCE])["anomaly"]

    assert bundle.signature.column("stops").role == "calendar"
    assert anomaly["columns"] == ["distance", "wind"]


def test_manifest_names_framework_and_environment_and_no_time(bundle):
    manifest = bundle.manifest

    assert manifest["framework"]["estimator"] == "Pipeline(HistGradientBoostingClassifier)"
    assert set(manifest) == {"format", "files", "task", "framework", "environment", "parity", "origin"}
    assert {"python", "numpy", "onnx", "onnxruntime", "skl2onnx"} <= set(manifest["environment"])
    assert manifest["parity"]["rows"] == 1000 + manifest["parity"]["edge_rows"]
    assert manifest["parity"]["drawn_rows"] == 400


def test_models_of_persons_hold_nobody_s_row(model, held_out, target):
    rng = np.random.default_rng(3)
    # Values that nobody shares, so that a leak would show.
    held_out = held_out.assign(wind=rng.normal(size=len(held_out)) * 10, name=held_out["passenger"])

    bundle = build_bundle(
        model, data=held_out, target=target, subject="passenger", personal=["wind", "name"], time="departed"
    )

    kept = documents.read_parity(bundle.files[PARITY]).rows
    own = set(held_out["wind"])
    assert bundle.signature.column("passenger").is_personal
    assert bundle.signature.column("passenger").categories is None
    assert bundle.signature.column("name").categories is None
    assert not own & {row["wind"] for row in kept}
    assert not own & {bundle.signature.column("wind").minimum, bundle.signature.column("wind").maximum}
    everything = b"".join(bundle.files.values())
    assert b"person-" not in everything
    assert not own & set(json.loads(bundle.files[PROFILE])["columns"]["wind"]["edges"])
    assert "none is anyone's" in summary(bundle)


def test_rare_levels_are_other_in_the_rows_of_persons(held_out, target, model):
    rare = held_out.assign(dest=["Atlantis" if i < 3 else d for i, d in enumerate(held_out["dest"])])

    bundle = build_bundle(model, data=rare, target=target, personal=["dest"])

    assert b"Atlantis" not in b"".join(bundle.files.values())


def test_same_model_twice_gives_the_same_digest(model, rows, target):
    assert (
        build_bundle(model, data=rows, target=target).digest
        == build_bundle(model, data=rows.copy(), target=target.copy()).digest
    )


PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
import lightgbm, xgboost
from pipelines import FEATURES, TRAINED, by_column, fit, flights, late
from sklearn.ensemble import HistGradientBoostingClassifier
from tiltyard.training import build_bundle
models = [
    HistGradientBoostingClassifier(max_iter=4, random_state=0),
    xgboost.XGBClassifier(n_estimators=4, n_jobs=1),
    lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True),
]
for model in models:
    frame = flights()
    data, labels = frame[FEATURES][TRAINED:], late(frame)[TRAINED:]
    bundle = build_bundle(fit(by_column(), model), data=data, target=labels)
    print(bundle.digest)
"""


def test_other_processes_give_the_same_digests():
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**environment, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]

    first, second = (process.communicate(timeout=120)[0].split() for process in processes)

    assert [process.returncode for process in processes] == [0, 0]
    assert first == second
    assert len(set(first)) == 3


def test_target_may_be_a_column_of_data(model, rows, target):
    by_name = build_bundle(model, data=rows.assign(late=target.to_numpy()), target="late")

    assert by_name.digest == build_bundle(model, data=rows, target=target).digest


def test_tuned_threshold_is_said_aloud(rows, target):
    tuned = fit(by_column(), TunedThresholdClassifierCV(LogisticRegression(max_iter=300), cv=2))
    threshold = float(tuned[-1].best_threshold_)

    bundle = build_bundle(tuned, data=rows, target=target, threshold=threshold)

    served = ServedModel.open(bundle.files)
    assert bundle.signature.threshold == threshold
    assert [int(v) for v in served.predict(_json(rows, served)).values] == tuned.predict(rows).tolist()


def test_model_fitted_on_arrays_leaves_role_columns_out(held_out, target):
    frame = flights()[["wind", "stops"]]
    fitted = LogisticRegression().fit(frame[:TRAINED].to_numpy(), late(flights())[:TRAINED])

    bundle = build_bundle(
        fitted, data=held_out[["wind", "passenger", "stops"]], target=target, subject="passenger"
    )

    assert [c.name for c in bundle.signature.inputs] == ["wind", "stops"]


def test_pandas_own_missing_values(target):
    frame = flights()
    odd = pd.DataFrame(
        {
            "stops": pd.array(frame["stops"], dtype="Int64"),
            "weekend": pd.array(frame["weekend"], dtype="boolean"),
            "empty": frame["distance"].where(frame.index < TRAINED),
            "wind": frame["wind"],
        }
    )
    odd.loc[np.random.default_rng(5).random(len(odd)) < 0.1, ["stops", "weekend"]] = pd.NA
    fitted = HistGradientBoostingClassifier(max_iter=5).fit(odd[:TRAINED], late(frame)[:TRAINED])

    bundle = build_bundle(fitted, data=odd[TRAINED:], target=target)

    documents.check(bundle.files)
    assert {c.name: (c.type, c.is_nullable) for c in bundle.signature.columns} == {
        "stops": ("integer", True), "weekend": ("boolean", True),
        "empty": ("number", True), "wind": ("number", False),
    }  # fmt: skip


def test_categories_and_objects_are_text(target):
    frame = flights()[["dest", "carrier"]].astype({"dest": "category", "carrier": object})
    fitted = make_pipeline(one_hot(), LogisticRegression()).fit(frame[:TRAINED], late(flights())[:TRAINED])

    bundle = build_bundle(fitted, data=frame[TRAINED:], target=target)

    assert {c.name: (c.type, c.is_nullable) for c in bundle.signature.columns} == {
        "dest": ("string", False), "carrier": ("string", True),
    }  # fmt: skip


def test_birthdays_are_drawn_between_bins(held_out, target):
    columns = ["wind", "departed"]
    frame = flights()[columns]
    step = FeatureStep(datetime_parts={"departed": ["hour", "epoch_days"]})
    fitted = make_pipeline(step, LogisticRegression(max_iter=300)).fit(
        frame[:TRAINED], late(flights())[:TRAINED]
    )

    bundle = build_bundle(fitted, data=held_out[columns], target=target, personal=["departed"])

    own = {f"{t.tz_localize(None).isoformat()}Z" for t in held_out["departed"]}
    kept = [row["departed"] for row in documents.read_parity(bundle.files[PARITY]).rows]
    assert len(set(kept)) > 200
    assert len(own & set(kept)) <= 2  # a minute in 60 may be hit by chance


def test_classes_that_are_booleans_and_text(rows):
    for labels, names in (
        (late(flights()).astype(bool), ("false", "true")),
        (late(flights()).map({0: "in time", 1: "late"}), ("in time", "late")),
    ):
        fitted = fit(by_column(), LogisticRegression(max_iter=300), target=labels)

        bundle = build_bundle(fitted, data=rows, target=labels[TRAINED:])

        assert bundle.signature.classes == names


def test_summary_says_what_the_rows_must_be_and_what_drift_is_seen(bundle):
    text = summary(bundle)

    assert "600 rows, which must be rows that the model was NOT fitted on" in text
    assert "with 600 reference rows the smallest shift of a mean" in text
    assert "6 read by the model" in text
    assert bundle.digest in text
    assert "departed (time)" in text


def test_too_few_rows_for_anomalies_are_told_at_registration(rows):
    fitted = fit(by_column(), LogisticRegression(max_iter=300))
    labels = late(flights())[TRAINED:]

    told = [summary(build_bundle(fitted, data=rows[:n], target=labels[:n])) for n in (396, 397)]

    said = "no row is told to be extreme or an odd combination at the usual level of 0.01: that takes 397"
    assert [said in text for text in told] == [True, False]


def test_visible_shift_shrinks_with_more_rows_and_longer_windows():
    few, many = visible_shifts(500), visible_shifts(50_000)

    assert few["hour"] > few["day"] > few["week"]
    assert few["hour"] == pytest.approx(10 * many["hour"])


def test_enough_rows_say_nothing_of_drift():
    frame = flights(seed=4, rows=2000)
    numbers = ColumnTransformer([("n", SimpleImputer(), NUMBERS)])
    fitted = fit(numbers, LogisticRegression(), columns=NUMBERS)

    text = summary(build_bundle(fitted, data=frame[NUMBERS], target=late(frame)))

    assert "smallest shift" not in text
    assert "0 drawn" in text


def test_imports_nothing_heavy_until_it_is_asked():
    code = "import sys, tiltyard.training; assert not {'sklearn', 'pandas', 'skl2onnx'} & set(sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": [1, 0]}, "600 rows and `target` 2 labels"),
        ({"target": "absent"}, "no column 'absent' to be the target"),
        ({"target": pd.Series([None, *[0] * 599])}, "1 labels of `target` are missing"),
        ({"target": pd.Series([2, *[0] * 599])}, "holds 2, which the model doesn't know; it knows 0, 1"),
        ({"threshold": 1.5}, "must lie between 0 and 1"),
        ({"tolerance": 0.5}, "at most 0.05"),
        ({"sensitive": ["absent"]}, "no column 'absent'"),
        ({"sensitive": ["dest"], "calendar": ["dest"]}, "can't be both sensitive and calendar"),
        ({"subject": "dest"}, "The model reads its subject column 'dest'"),
        ({"time": "passenger"}, r"pd\.to_datetime"),
        ({"categories": {"wind": ["x"]}}, "'wind', which is number, not text"),
        ({"ranges": {"dest": (0, 1)}}, "'dest', which is string, not a number"),
        ({"ranges": {"wind": (1, 0)}}, "must be \\(lowest, highest\\)"),
        ({"data": [[1]]}, "must be a pandas DataFrame"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(model, held_out, target, options, message):
    with pytest.raises(InvalidInput, match=message):
        build_bundle(model, **{"data": held_out, "target": target, **options})


def test_rows_that_do_not_do_are_refused(model, held_out, target):
    with pytest.raises(InvalidInput, match="at least 10 held-out rows"):
        build_bundle(model, data=held_out[:5], target=target[:5])
    with pytest.raises(InvalidInput, match="'wind' holds infinite values"):
        build_bundle(model, data=held_out.assign(wind=np.inf), target=target)
    with pytest.raises(InvalidInput, match="fitted on columns that `data` doesn't have: wind"):
        build_bundle(model, data=held_out.drop(columns="wind"), target=target)


def test_regression_has_no_threshold(held_out):
    fitted = fit(by_column(), LogisticRegression(max_iter=300))
    bands = pd.cut(flights()["wind"], [-99, -3, 3, 99], labels=False)
    three = fit(by_column(), LogisticRegression(max_iter=300), target=bands)

    with pytest.raises(InvalidInput, match="multiclass model has no threshold"):
        build_bundle(three, data=held_out, target=bands[TRAINED:], threshold=0.5)
    assert build_bundle(fitted, data=held_out, target=late(flights())[TRAINED:]).signature.threshold == 0.5


def test_graph_is_served_unchanged(bundle):
    from tiltyard.runtime.guard import reserialise

    assert reserialise(bundle.files[MODEL]) == bundle.files[MODEL]
