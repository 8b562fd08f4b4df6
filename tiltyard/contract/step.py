"""The feature step as a scikit-learn transformer, put first in a pipeline.

It runs the very operations of `tiltyard.contract.features` on the columns of a
DataFrame, so that what the model is fitted on is what the service computes.
Registration lifts it out of the pipeline and keeps its `spec_`. Neither pandas
nor scikit-learn is imported here: frames are used through their own methods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.contract.features import (
    DATE_PARTS,
    Boolean,
    Columns,
    DatePart,
    DateTimePart,
    FeatureSpec,
    Fill,
    Lump,
    MissingIndicator,
    Operation,
)
from tiltyard.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

    from tiltyard.contract.signature import ColumnType

OTHER = "__other__"
"""What lumped levels become, unless the data already hold it (then underscores are added)."""

PARAMETERS = ("datetime_parts", "lump", "fill", "booleans", "missing_indicators")


class FeatureStep:
    """What ONNX can't do, as the first step of a pipeline.

    Parameters
    ----------
    datetime_parts
        Column → parts (``hour``, ``weekday``, ``epoch_days``, …: `DATE_PARTS`). Part ``hour`` of
        ``departed`` becomes the column ``departed_hour``; ``departed`` itself is dropped.
        Times are taken in UTC; those without a zone are taken to be UTC.
    lump
        Column → how rare levels are found: a whole number n >= 1 keeps the n most frequent levels
        (ties: by name), a fraction 0 < f < 1 keeps levels that hold at least that share of the
        rows with a value. What isn't kept, unseen levels too, becomes ``__other__``.
    fill
        Column → the text that stands for missing text. Filled before lumping.
    booleans
        Columns of true, false and missing, which become 1, 0 and NaN.
    missing_indicators
        Columns for which ``<column>_missing`` (1 or 0) is added; taken before `fill`.

    Attributes
    ----------
    spec_ : FeatureSpec
        The operations, and the columns that come out, text apart from numbers.
    types_ : dict
        Type of each incoming column (``number``, ``integer``, ``boolean``, ``string``, ``datetime``).
    feature_names_in_ : ndarray of str
        The incoming columns in order.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> step = FeatureStep(datetime_parts={"departed": ["hour", "weekday"]}, lump={"dest": 30})
    >>> model = make_pipeline(step, preprocess, classifier)  # doctest: +SKIP
    """

    def __init__(
        self,
        datetime_parts: Mapping[str, Sequence[DatePart]] | None = None,
        lump: Mapping[str, int | float] | None = None,
        fill: Mapping[str, str] | None = None,
        booleans: Sequence[str] = (),
        missing_indicators: Sequence[str] = (),
    ) -> None:
        self.datetime_parts = datetime_parts
        self.lump = lump
        self.fill = fill
        self.booleans = booleans
        self.missing_indicators = missing_indicators

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name; `deep` changes nothing, none is an estimator."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def set_params(self, **parameters: Any) -> FeatureStep:
        for name, value in parameters.items():
            if name not in PARAMETERS:
                raise InvalidInput(f"FeatureStep has no parameter {name!r}; it has {', '.join(PARAMETERS)}.")
            setattr(self, name, value)
        return self

    def fit(self, X: pd.DataFrame, y: object = None) -> FeatureStep:
        """Learn the levels to keep and the columns that come in.

        Raises
        ------
        InvalidInput
            If `X` isn't a DataFrame, or a parameter names a column that isn't there or has the wrong type.
        """
        _expect_frame(X)
        self.feature_names_in_ = np.array([str(c) for c in X.columns], dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        self.types_ = {str(name): column_type(X[name]) for name in X.columns}
        self._check_parameters()
        operations = [*self._indicators(), *self._fills(), *self._lumps(X)]
        operations += [Boolean(column) for column in self.booleans]
        operations += self._date_parts()
        types: dict[str, str] = {n: "number" if t == "integer" else t for n, t in self.types_.items()}
        for operation in operations:
            operation.produces(types)
        outputs = [name for name in types if name not in (self.datetime_parts or {})]
        self._outputs = outputs
        self.spec_ = FeatureSpec(
            numbers=tuple(name for name in outputs if types[name] != "string"),
            strings=tuple(name for name in outputs if types[name] == "string"),
            operations=tuple(operations),
        )
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The frame with the operations done; columns it doesn't touch pass through unchanged."""
        _expect_frame(X)
        if not hasattr(self, "spec_"):
            raise InvalidInput("FeatureStep isn't fitted: call fit first.")
        absent = [name for name in self.feature_names_in_ if name not in X.columns]
        if absent:
            raise InvalidInput(f"FeatureStep was fitted with columns that are missing: {', '.join(absent)}.")
        read = {operation.column for operation in self.spec_.operations}
        working = to_columns(X, {name: kind for name, kind in self.types_.items() if name in read})
        before = dict(working)
        for operation in self.spec_.operations:
            operation.apply(working)
        changed = {
            name: _as_series_values(values)
            for name, values in working.items()
            if name not in before or values is not before[name]
        }
        out = X[list(self.feature_names_in_)].assign(**changed)
        selected: pd.DataFrame = out[self._outputs]
        return selected

    def fit_transform(self, X: pd.DataFrame, y: object = None, **_: Any) -> pd.DataFrame:
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """The outgoing columns in order: incoming ones as they came, then new ones as they are declared."""
        return np.array(self._outputs, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "spec_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(two_d_array=True, string=True, allow_nan=True),
        )

    def __repr__(self) -> str:
        given = [f"{name}={getattr(self, name)!r}" for name in PARAMETERS if getattr(self, name)]
        return f"FeatureStep({', '.join(given)})"

    def _check_parameters(self) -> None:
        wanted: list[tuple[str, str, Sequence[ColumnType]]] = []
        wanted += [("datetime_parts", name, ["datetime"]) for name in self.datetime_parts or {}]
        wanted += [("lump", name, ["string"]) for name in self.lump or {}]
        wanted += [("fill", name, ["string"]) for name in self.fill or {}]
        wanted += [("booleans", name, ["boolean"]) for name in self.booleans]
        wanted += [("missing_indicators", name, []) for name in self.missing_indicators]
        for parameter, name, types in wanted:
            if name not in self.types_:
                raise InvalidInput(f"FeatureStep({parameter}=…) names {name!r}, which is not a column.")
            if types and self.types_[name] not in types:
                raise InvalidInput(
                    f"FeatureStep({parameter}=…) needs {name!r} as {types[0]}; it is {self.types_[name]}."
                )
        for name, parts in (self.datetime_parts or {}).items():
            for part in parts:
                if part not in DATE_PARTS:
                    raise InvalidInput(
                        f"{part!r} of {name!r} is no date part; there are {', '.join(DATE_PARTS)}."
                    )

    def _indicators(self) -> list[Operation]:
        return [MissingIndicator(name, self._new(f"{name}_missing")) for name in self.missing_indicators]

    def _fills(self) -> list[Operation]:
        return [Fill(name, value) for name, value in (self.fill or {}).items()]

    def _lumps(self, frame: pd.DataFrame) -> list[Operation]:
        operations: list[Operation] = []
        for name, rule in (self.lump or {}).items():
            sentinel = (self.fill or {}).get(name)
            values = [sentinel if v is None else v for v in to_columns(frame, {name: "string"})[name]]
            counts = Counter(v for v in values if v is not None)
            keep = frequent_levels(counts, rule, column=name)
            other = OTHER
            while other in counts:
                other += "_"
            operations.append(Lump(name, keep, other))
        return operations

    def _date_parts(self) -> list[Operation]:
        return [
            DateTimePart(name, part, self._new(f"{name}_{part}"))
            for name, parts in (self.datetime_parts or {}).items()
            for part in parts
        ]

    def _new(self, name: str) -> str:
        if name in self.types_:
            raise InvalidInput(f"FeatureStep would add the column {name!r}, which exists: rename it.")
        return name


def frequent_levels(counts: Mapping[str, int], rule: int | float, *, column: str) -> tuple[str, ...]:
    """The levels that `rule` keeps, sorted by name.

    Parameters
    ----------
    counts
        Rows of each level.
    rule
        n >= 1 keeps the n most frequent (ties by name), 0 < f < 1 those with a share >= f.
    """
    if isinstance(rule, bool) or not isinstance(rule, int | float) or rule <= 0:
        raise InvalidInput(f"FeatureStep(lump=…) for {column!r} must be a number of levels or a share.")
    if rule < 1:
        total = sum(counts.values())
        return tuple(sorted(level for level, count in counts.items() if count >= rule * total))
    if rule != int(rule):
        raise InvalidInput(f"FeatureStep(lump=…) for {column!r} must be whole or below 1, not {rule}.")
    ranked = sorted(counts, key=lambda level: (-counts[level], level))
    return tuple(sorted(ranked[: int(rule)]))


def column_type(series: pd.Series[Any]) -> ColumnType:
    """The contract's type of a column, from its dtype and, where that is ``object``, its values.

    Raises
    ------
    InvalidInput
        If the values are of no type that a JSON row can hold, or of several.
    """
    dtype: Any = series.dtype
    if hasattr(dtype, "categories"):
        dtype = dtype.categories.dtype
    kind = getattr(dtype, "kind", "O")
    if kind == "M":
        return "datetime"
    if kind == "b":
        return "boolean"
    if kind in "iu":
        return "integer"
    if kind == "f":
        return "number"
    return _object_type(series)


def _object_type(series: pd.Series[Any]) -> ColumnType:
    present = series[series.notna()].to_numpy(dtype=object)
    kinds = {type(value) for value in present}
    if not kinds or all(issubclass(k, str) for k in kinds):
        return "string"
    if all(issubclass(k, bool | np.bool_) for k in kinds):
        return "boolean"
    if all(issubclass(k, int | np.integer) and not issubclass(k, bool) for k in kinds):
        return "integer"
    if all(issubclass(k, int | float | np.number) and not issubclass(k, bool) for k in kinds):
        return "number"
    if all(hasattr(k, "isoformat") and hasattr(k, "hour") for k in kinds):
        return "datetime"
    names = ", ".join(sorted(k.__name__ for k in kinds))
    raise InvalidInput(
        f"Column {series.name!r} holds {names}: a column holds numbers, text, booleans or times."
    )


def to_columns(frame: pd.DataFrame, types: Mapping[str, ColumnType]) -> Columns:
    """The named columns of a frame in the form of `tiltyard.contract.features.Columns`."""
    return {name: _to_array(frame[name], kind) for name, kind in types.items()}


def _to_array(series: pd.Series[Any], kind: ColumnType) -> NDArray[Any]:
    missing = series.isna().to_numpy(dtype=bool)
    if kind == "datetime":
        return _to_utc(series)
    if kind in ("number", "integer"):
        return np.array(series.to_numpy(dtype=np.float64, na_value=np.nan))
    values = np.array(series.to_numpy(dtype=object), dtype=object)
    convert = bool if kind == "boolean" else str
    return np.array([None if m else convert(v) for v, m in zip(values, missing, strict=True)], dtype=object)


def _to_utc(series: pd.Series[Any]) -> NDArray[np.datetime64]:
    if series.dtype == object:
        series = series.astype("datetime64[us, UTC]")
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.array(series.to_numpy(dtype="datetime64[us]"))


def _as_series_values(values: NDArray[Any]) -> NDArray[Any]:
    """Missing text as NaN, which every scikit-learn transformer knows as missing; None is not."""
    if values.dtype != object:
        return values
    return np.array([np.nan if v is None else v for v in values], dtype=object)


def _expect_frame(frame: object) -> None:
    if not hasattr(frame, "assign") or not hasattr(frame, "columns"):
        raise InvalidInput(
            f"FeatureStep reads columns by name: give it a pandas DataFrame, not {type(frame).__name__}."
        )
