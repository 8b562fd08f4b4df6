"""What ``tiltyard model register`` reads: a saved model, labelled rows, and options that name columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiltyard.cli.output import progress
from tiltyard.errors import Fault, InvalidInput

if TYPE_CHECKING:
    import pandas as pd


def load_model(path: Path) -> object:
    """A fitted estimator from joblib or pickle, or the path of an ONNX file, which holds no code."""
    if path.suffix == ".onnx":
        return path
    joblib = _extra("joblib")
    progress(f"Loading {path} runs code that it holds; only load files that you trust.")
    try:
        return joblib.load(path)
    except Exception as exc:  # a pickle may raise anything
        raise InvalidInput(
            f"{path} can't be loaded as an estimator ({type(exc).__name__}: {exc}). "
            "Save it with joblib.dump, and load it with the same library versions."
        ) from exc


def read_rows(path: Path, *, separator: str = ",") -> pd.DataFrame:
    """Rows of a .csv or .parquet file."""
    pandas = _extra("pandas")
    try:
        frame: pd.DataFrame = (
            pandas.read_parquet(path)
            if path.suffix == ".parquet"
            else pandas.read_csv(path, sep=separator, encoding="utf-8-sig")
        )
    except ImportError as exc:
        raise InvalidInput(
            "Reading .parquet needs pyarrow: pip install 'tiltyard[parquet]', or save the rows as .csv."
        ) from exc
    except (ValueError, OSError) as exc:
        raise InvalidInput(f"{path} can't be read as {path.suffix or 'CSV'}: {exc}.") from exc
    return frame


def take_target(frame: pd.DataFrame, target: str, path: Path) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """The rows without their label, and the labels.

    Raises
    ------
    InvalidInput
        If the file has no such column; it says so when another separator would have found it.
    """
    if target in frame.columns:
        return frame.drop(columns=[target]), frame[target]
    names = [str(name) for name in frame.columns]
    if len(names) == 1:
        for separator, shown in ((";", "';'"), ("\t", r"$'\t'"), ("|", "'|'")):
            if target in next(csv.reader(names, delimiter=separator)):
                raise InvalidInput(f"{path} is separated by {shown}: add --separator {shown}.")
    raise InvalidInput(
        f"{path} has no column {target!r}.", faults=[Fault("/target", f"the columns are {', '.join(names)}")]
    )


def times_of(model: object, time: str | None) -> list[str]:
    """Columns that a model's feature step, or a role, reads as times; in CSV they are text."""
    steps = getattr(model, "steps", None)
    first = steps[0][1] if isinstance(steps, list) and steps else None
    named = list(getattr(first, "datetime_parts", None) or {})
    return list(dict.fromkeys([*named, *([time] if time else [])]))


def times_by_hand(contract: Path | None) -> list[str]:
    """Columns that a contract given by hand calls times."""
    if contract is None:
        return []
    _extra("onnx")
    from tiltyard.training.by_hand import read_contract

    return [column.name for column in read_contract(contract).columns if column.type == "datetime"]


def read_times(frame: pd.DataFrame, columns: Iterable[str], path: Path) -> pd.DataFrame:
    """`frame` with text of these columns read as times; without a zone it is UTC.

    Raises
    ------
    InvalidInput
        Naming the column and the first line of the file that holds no time.
    """
    pandas = _extra("pandas")
    read = {}
    for name in columns:
        if name not in frame.columns or not pandas.api.types.is_string_dtype(frame[name]):
            continue  # registration says what is missing, or of another type
        times = pandas.to_datetime(frame[name], utc=True, errors="coerce", format="ISO8601")
        wrong = times.isna() & frame[name].notna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InvalidInput(
                f"{path} can't be read: column {name!r} must hold times such as 2013-02-01T06:15:00Z.",
                faults=[Fault(f"/{name}", f"line {row + 2} holds {str(frame[name].iloc[row])[:60]!r}")],
            )
        read[name] = times
    return frame.assign(**read)


class Levels(click.ParamType):
    """``COLUMN=a,b``."""

    name = "levels"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, list[str]]:
        column, separator, levels = str(value).partition("=")
        if not (column and separator and levels):
            self.fail(f"{value!r} names no levels: write COLUMN=a,b.", param, ctx)
        return column, next(csv.reader([levels]))


class Range(click.ParamType):
    """``COLUMN=lowest:highest``."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[float, float]]:
        column, _, ends = str(value).partition("=")
        lowest, _, highest = ends.partition(":")
        try:
            return column, (float(lowest), float(highest))
        except ValueError:
            self.fail(f"{value!r} names no range: write COLUMN=0:100.", param, ctx)


class Named(click.ParamType):
    """``LABEL=name``."""

    name = "named"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        label, _, name = str(value).partition("=")
        if not (label and name):
            self.fail(f"{value!r} names no class: write LABEL=NAME.", param, ctx)
        return label, name


def by_column(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Repeated options as a mapping; raises `InvalidInput` when a column comes twice."""
    named = dict(pairs)
    if len(named) != len(pairs):
        raise InvalidInput("A column, or a class, is named twice by the same option.")
    return named


def _extra(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as exc:
        raise InvalidInput(f"Registering needs {package}: pip install 'tiltyard[training]'.") from exc
