"""From a fitted pipeline over named columns to one over the graph's two matrices.

A pipeline that scikit-learn runs on a DataFrame becomes an equivalent one that
takes ``numbers`` and ``strings`` by position, and the operations that must come
before it. What is rewritten, each proved by the parity gate afterwards:
booleans to 0/1, missing text to the sentinel of the fit, infrequent levels of a
fitted encoder, and the indicators of ``SimpleImputer(add_indicator=True)``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from tiltyard.contract.features import Boolean, FeatureSpec, MissingIndicator, Operation
from tiltyard.contract.signature import ColumnType
from tiltyard.errors import UnconvertibleModel
from tiltyard.training.encoders import TextColumn, encoder_over_numbers, encoder_over_text, has_gap
from tiltyard.training.refusals import is_identity, refuse
from tiltyard.training.selection import runs, selected_columns

ENCODERS = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The pipeline over matrices, what comes before it, and what the fit says of the columns."""

    model: Any
    features: FeatureSpec
    nullable: frozenset[str]
    whole: frozenset[str]
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A transformer over named columns (``passthrough`` is a transformer), and its weight in the output."""

    transformer: Any
    columns: tuple[str, ...]
    weight: float = 1.0


@dataclass(slots=True)
class _Placed:
    """A ColumnTransformer whose columns get their positions once all are known."""

    transformer: ColumnTransformer
    parts: tuple[Part, ...]


@dataclass(slots=True)
class Rewriter:
    """One walk over one model.

    Parameters
    ----------
    types
        Type of each column that reaches the pipeline (after a FeatureStep, where there is one).
    missing
        Columns in which the data have missing values.
    as_none
        Those of text in which missing is None, which SimpleImputer tells from NaN.
    """

    types: Mapping[str, ColumnType]
    missing: frozenset[str]
    as_none: frozenset[str] = frozenset()
    numbers: dict[str, None] = field(default_factory=dict)
    strings: dict[str, TextColumn] = field(default_factory=dict)
    indicators: dict[str, str] = field(default_factory=dict)
    nullable: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    placed: list[_Placed] = field(default_factory=list)

    def rewrite(self, model: Any, columns: Sequence[str]) -> Rewritten:
        """Rewrite a fitted estimator that takes a DataFrame of `columns`, in their order.

        Raises
        ------
        UnconvertibleModel
            Naming the step that stands in the way and the line that replaces it.
        """
        rewritten = self.estimator(model, tuple(columns), "/model")
        self._place()
        operations: list[Operation] = [MissingIndicator(c, o) for c, o in self.indicators.items()]
        for name, text in self.strings.items():
            operations += text.operations(name, self.missing | self.nullable)
        operations += [Boolean(name) for name in self.numbers if self.types.get(name) == "boolean"]
        features = FeatureSpec(tuple(self.numbers), tuple(self.strings), tuple(operations))
        read = (*(n for n in self.numbers if n in self.types), *self.strings)
        used = set(read) | set(self.indicators)
        return Rewritten(
            model=rewritten,
            features=features,
            nullable=frozenset(self.nullable),
            whole=frozenset(self.whole),
            reads=tuple(name for name in columns if name in used),
        )

    def estimator(self, model: Any, columns: tuple[str, ...], where: str) -> Any:
        """Rewrite anything that predicts from a DataFrame."""
        if hasattr(model, "best_estimator_"):
            return self.estimator(model.best_estimator_, columns, where)
        if isinstance(model, Pipeline):
            return self._pipeline(model, columns, where)
        if any(isinstance(inner, Pipeline) for inner in _inner(model)):
            return self._ensemble(model, columns, where)
        return self._bare(model, columns, where)

    def _pipeline(self, model: Pipeline, columns: tuple[str, ...], where: str) -> Any:
        steps = self._filled(_working_steps(model), columns, where)
        name, first = steps[0]
        if len(steps) == 1:
            return self.estimator(first, columns, f"{where}/{name}")
        made = self.transformer(Part(first, columns), f"{where}/{name}")
        last_name, last = steps[-1]
        return Pipeline([("columns", self._join(made)), *steps[1:-1], (last_name, _unwrapped(last))])

    def _filled(
        self, steps: list[tuple[str, Any]], columns: tuple[str, ...], where: str
    ) -> list[tuple[str, Any]]:
        """The steps without the imputers of text at their head, whose sentinels are remembered."""
        while (
            len(steps) > 1
            and type(steps[0][1]).__name__ == "SimpleImputer"
            and all(self.types.get(c) == "string" for c in columns)
        ):
            self._fill(steps[0][1], columns, f"{where}/{steps[0][0]}")
            steps = steps[1:]
        return steps

    def _ensemble(self, model: Any, columns: tuple[str, ...], where: str) -> Any:
        """An ensemble whose members are pipelines of their own over the same DataFrame."""
        name = type(model).__name__
        if name == "CalibratedClassifierCV" and any(self.types[c] == "string" for c in columns):
            raise refuse(
                where,
                model,
                "skl2onnx knows it over one matrix of numbers only: put the preprocessing outside, "
                "make_pipeline(preprocess, CalibratedClassifierCV(classifier))",
            )
        twin = copy.deepcopy(model)
        for i, calibrated in enumerate(getattr(twin, "calibrated_classifiers_", ())):
            place = f"{where}/calibrated_classifiers_/{i}"
            calibrated.estimator = self.estimator(calibrated.estimator, columns, place)
        members = getattr(twin, "estimators_", None)
        if members is not None:
            twin.estimators_ = [
                self.estimator(m, columns, f"{where}/estimators_/{i}") for i, m in enumerate(members)
            ]
        return twin

    def _bare(self, model: Any, columns: tuple[str, ...], where: str) -> Any:
        """An estimator that takes the columns as they are: they must all be numbers."""
        made = self.transformer(Part("passthrough", columns), where, owner=type(model).__name__)
        return Pipeline([("columns", self._join(made)), ("model", model)])

    def transformer(self, part: Part, where: str, *, owner: str | None = None) -> list[Part]:
        """Rewrite one transformer over named columns into parts over numbers or text, in output order."""
        transformer, columns = part.transformer, part.columns
        if not columns or (isinstance(transformer, str) and transformer == "drop"):
            return []
        if transformer == "passthrough" or transformer is None or is_identity(transformer):
            self._expect_numbers(columns, where, owner or "passthrough")
            return [Part("passthrough", self._use_numbers(columns), part.weight)]
        name = type(transformer).__name__
        if isinstance(transformer, Pipeline):
            return self._chain(transformer, part, where)
        if isinstance(transformer, ColumnTransformer):
            return self._by_column(transformer, part, where)
        if name == "FeatureUnion":
            weights = transformer.transformer_weights or {}
            made = []
            for child_name, child in transformer.transformer_list:
                weight = part.weight * weights.get(child_name, 1.0)
                made += self.transformer(Part(child, columns, weight), f"{where}/{child_name}")
            return made
        if name in ENCODERS:
            return self._encoder(transformer, part, where)
        if name == "SimpleImputer" and all(self.types[c] == "string" for c in columns):
            raise refuse(
                where, transformer, "text reaches the model unencoded: put a OneHotEncoder behind it"
            )
        self._expect_numbers(columns, where, name)
        if name == "SimpleImputer":
            return [self._imputer(transformer, part, where)]
        if name == "MissingIndicator":
            advice = "use SimpleImputer(add_indicator=True), or FeatureStep(missing_indicators=[…])"
            raise refuse(where, transformer, advice)
        return [Part(transformer, self._use_numbers(columns), part.weight)]

    def _chain(self, chain: Pipeline, part: Part, where: str) -> list[Part]:
        steps = self._filled(_working_steps(chain), part.columns, where)
        if not steps:
            return self.transformer(Part("passthrough", part.columns, part.weight), where)
        (name, first), rest = steps[0], steps[1:]
        weight = 1.0 if rest else part.weight
        made = self.transformer(Part(first, part.columns, weight), f"{where}/{name}")
        if not rest or not made:
            return made
        columns = tuple(dict.fromkeys(c for p in made for c in p.columns))
        if len({c in self.strings for c in columns}) > 1:
            advice = (
                "text and numbers meet inside one branch: list its columns in the outer ColumnTransformer"
            )
            raise refuse(f"{where}/{name}", first, advice)
        if len(made) > 1:
            before = [(name, _column_transformer(made, columns))]
        else:
            columns = made[0].columns
            before = [] if made[0].transformer == "passthrough" else [(name, made[0].transformer)]
        return [Part(Pipeline([*before, *rest]), columns, part.weight)]

    def _by_column(self, transformer: ColumnTransformer, part: Part, where: str) -> list[Part]:
        weights = transformer.transformer_weights or {}
        made: list[Part] = []
        for name, child, selected in transformer.transformers_:
            columns = selected_columns(selected, part.columns, f"{where}/{name}", transformer)
            weight = part.weight * weights.get(name, 1.0)
            made += self.transformer(Part(child, columns, weight), f"{where}/{name}")
        return made

    def _encoder(self, encoder: Any, part: Part, where: str) -> list[Part]:
        """Encoders take columns one by one: runs of text and of numbers are encoded apart."""
        made: list[Part] = []
        for start, stop in runs([self.types.get(c) == "string" for c in part.columns]):
            columns = part.columns[start:stop]
            if self.types.get(columns[0]) == "string":
                texts = [self.strings.setdefault(c, TextColumn()) for c in columns]
                twin = encoder_over_text(encoder, start, texts, columns, self.missing, where)
                self.nullable.update(c for c, text in zip(columns, texts, strict=True) if text.saw_missing)
                made.append(Part(twin, columns, part.weight))
                continue
            self._expect_numbers(columns, where, type(encoder).__name__)
            self.whole.update(c for c in columns if self.types[c] == "number")
            booleans = [self.types[c] == "boolean" for c in columns]
            twin = encoder_over_numbers(encoder, start, columns, booleans, self.missing, where)
            levels = encoder.categories_[start:stop]
            self.nullable.update(c for c, found in zip(columns, levels, strict=True) if has_gap(found))
            made.append(Part(twin, self._use_numbers(columns), part.weight))
        return made

    def _fill(self, imputer: Any, columns: tuple[str, ...], where: str) -> None:
        if imputer.add_indicator:
            advice = "for text, FeatureStep(missing_indicators=[…]) adds what add_indicator=True would"
            raise refuse(where, imputer, advice)
        marker = imputer.missing_values
        if isinstance(marker, str):
            advice = (
                f"text {marker!r} that stands for missing must be missing before training, "
                f"X.replace({marker!r}, np.nan), and then SimpleImputer(strategy='constant', fill_value=…)"
            )
            raise refuse(where, imputer, advice)
        for column, value in zip(columns, imputer.statistics_, strict=True):
            if marker is pd.NA or (marker is None) == (column in self.as_none):
                self.strings.setdefault(column, TextColumn()).fill_with(str(value), column, where)
                self.nullable.add(column)

    def _imputer(self, imputer: Any, part: Part, where: str) -> Part:
        columns = self._use_numbers(part.columns)
        marks_missing = isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)
        marks_missing = marks_missing or imputer.missing_values is pd.NA
        if marks_missing:
            self.nullable.update(part.columns)
        if not imputer.add_indicator or not len(imputer.indicator_.features_):
            if not imputer.add_indicator:
                return Part(imputer, columns, part.weight)
            twin = copy.deepcopy(imputer)
            twin.add_indicator = False
            return Part(twin, columns, part.weight)
        if not marks_missing:
            advice = "indicators of a value that isn't missing: use FeatureStep(missing_indicators=[…])"
            raise refuse(where, imputer, advice)
        flags = [self._indicator(part.columns[i]) for i in imputer.indicator_.features_]
        twin = copy.deepcopy(imputer)
        twin.add_indicator = False
        # The indicators go through the imputer as columns that are never missing.
        twin.statistics_ = np.concatenate([np.asarray(imputer.statistics_, float), np.zeros(len(flags))])
        twin.n_features_in_ = len(twin.statistics_)
        return Part(twin, (*columns, *flags), part.weight)

    def _indicator(self, column: str) -> str:
        if column not in self.indicators:
            output = f"{column}_missing"
            while output in self.types or output in self.indicators.values():
                output += "_"
            self.indicators[column] = output
        self.numbers.setdefault(self.indicators[column])
        return self.indicators[column]

    def _use_numbers(self, columns: Iterable[str]) -> tuple[str, ...]:
        columns = tuple(columns)
        for name in columns:
            self.numbers.setdefault(name)
        return columns

    def _expect_numbers(self, columns: Iterable[str], where: str, reader: str) -> None:
        for name in columns:
            kind = self.types.get(name, "number")
            if kind == "string":
                raise refuse(
                    where,
                    reader,
                    f"it reads the text column {name!r}, which must be encoded first: "
                    "OneHotEncoder(handle_unknown='ignore')",
                )
            if kind == "datetime":
                raise refuse(
                    where,
                    reader,
                    f"it reads the time column {name!r}: put FeatureStep(datetime_parts={{{name!r}: "
                    "['hour', 'weekday']}) first in the pipeline",
                )

    def _join(self, made: list[Part]) -> ColumnTransformer:
        """The parts side by side, over all columns of the graph."""
        joined = _column_transformer(made, ())
        self.placed.append(_Placed(joined, tuple(made)))
        return joined

    def _place(self) -> None:
        """Give every joined part its positions among ``numbers`` followed by ``strings``."""
        for kind in (self.numbers, self.strings):
            self._settle_order(kind)
        order = {name: i for i, name in enumerate((*self.numbers, *self.strings))}
        for placed in self.placed:
            placed.transformer.transformers_ = [
                (name, child, [order[c] for c in part.columns])
                for (name, child, _), part in zip(placed.transformer.transformers_, placed.parts, strict=True)
            ]

    def _settle_order(self, names: dict[str, Any]) -> None:
        """A part that reads every column of an input gets them unsorted, whatever positions it names."""
        full = {
            part.columns
            for placed in self.placed
            for part in placed.parts
            if len(part.columns) == len(names) and set(part.columns) <= set(names)
        }
        if len(full) > 1 or any(len(set(columns)) < len(columns) for columns in full):
            raise UnconvertibleModel(
                "Two steps read the same columns in different orders: list them in the same order in each "
                "branch of the ColumnTransformer."
            )
        if full:
            content = dict(names)
            names.clear()
            names.update({name: content[name] for name in next(iter(full))})


def _column_transformer(made: Sequence[Part], columns: tuple[str, ...]) -> ColumnTransformer:
    """A fitted ColumnTransformer of the parts, by position in `columns` (set later where that is empty)."""
    names = [f"part{i}" for i in range(len(made))]
    position = {name: i for i, name in enumerate(columns)}
    fitted = [
        (name, part.transformer, [position[c] for c in part.columns] if columns else [])
        for name, part in zip(names, made, strict=True)
    ]
    weights = {n: p.weight for n, p in zip(names, made, strict=True) if p.weight != 1.0}
    joined = ColumnTransformer([], transformer_weights=weights or None)
    joined.transformers_ = fitted
    return joined


def _inner(model: Any) -> list[Any]:
    members = list(getattr(model, "estimators_", None) or []) if hasattr(model, "estimators") else []
    return members + [c.estimator for c in getattr(model, "calibrated_classifiers_", ())]


def _working_steps(model: Pipeline) -> list[tuple[str, Any]]:
    return [(n, s) for n, s in model.steps if s is not None and s != "passthrough" and not is_identity(s)]


def _unwrapped(model: Any) -> Any:
    return getattr(model, "best_estimator_", model)
