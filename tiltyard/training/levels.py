"""Fitted encoders of text as plain tables, and their ONNX form.

scikit-learn's OrdinalEncoder and TargetEncoder treat missing text apart from
every level; skl2onnx doesn't. A table from level to number, with a default for
unseen levels, says the same and is one LabelEncoder a column in ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, TransformerMixin


@dataclass(frozen=True, slots=True)
class Table:
    """Level → number for the column at `index` of the incoming text matrix."""

    index: int
    levels: tuple[str, ...]
    values: tuple[float, ...]
    default: float


class LevelTables(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that looks each text up in a table; shape (n, columns) of text → (n, tables) of float."""

    def __init__(self, tables: tuple[Table, ...] = ()) -> None:
        self.tables = tables

    def fit(self, X: NDArray[Any], y: object = None) -> LevelTables:
        return self

    def transform(self, X: NDArray[Any]) -> NDArray[np.float64]:
        out = np.empty((len(X), len(self.tables)), dtype=np.float64)
        for j, table in enumerate(self.tables):
            known = dict(zip(table.levels, table.values, strict=True))
            out[:, j] = [known.get(value, table.default) for value in X[:, table.index]]
        return out


def _shape(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, len(operator.raw_operator.tables)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    columns: list[str] = []
    for table in operator.raw_operator.tables:
        position = scope.get_unique_variable_name("position")
        container.add_initializer(position, 7, [1], [table.index])  # 7: INT64
        text = scope.get_unique_variable_name("text")
        container.add_node(
            "Gather",
            [operator.inputs[0].full_name, position],
            text,
            axis=1,
            name=scope.get_unique_operator_name("Gather"),
        )
        number = scope.get_unique_variable_name("number")
        container.add_node(
            "LabelEncoder",
            [text],
            number,
            op_domain="ai.onnx.ml",
            op_version=2,
            name=scope.get_unique_operator_name("LabelEncoder"),
            keys_strings=[level.encode("utf-8") for level in table.levels],
            values_floats=[float(value) for value in table.values],
            default_float=float(table.default),
        )
        columns.append(number)
    container.add_node(
        "Concat",
        columns,
        operator.outputs[0].full_name,
        axis=1,
        op_version=13,
        name=scope.get_unique_operator_name("Concat"),
    )


def register() -> None:
    """Make skl2onnx know `LevelTables`; doing it again changes nothing."""
    update_registered_converter(LevelTables, "TiltyardLevelTables", _shape, _convert, overwrite=True)
