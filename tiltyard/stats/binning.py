"""Rows into the cells of a layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.stats.layout import CategoryCells, Layout, NumberCells
from tiltyard.stats.summary import Moments, Summary

FURTHEST = 2**31
_LOW_BITS = 31

Floats = NDArray[np.float64]


class Binner:
    """Counts rows by one layout. A row counted alone and in any batch gives the same numbers."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._edges = {
            cells.name: np.asarray(cells.edges, dtype=np.float64)
            for cells in layout.columns
            if isinstance(cells, NumberCells)
        }
        self._levels = {
            cells.name: {level: place for place, level in enumerate(cells.levels)}
            for cells in layout.columns
            if isinstance(cells, CategoryCells)
        }
        self._score_edges = np.asarray(layout.score_edges, dtype=np.float64)

    def count(
        self,
        columns: Mapping[str, Sequence[Any]],
        scores: Sequence[Sequence[float]] | NDArray[np.floating[Any]],
        answers: Sequence[int] = (),
        events: Mapping[str, int] | None = None,
    ) -> Summary:
        """Count n rows.

        Parameters
        ----------
        columns
            n values a column, None (or NaN) where one is missing; a column that isn't
            there is missing from every row.
        scores
            Shape (n, classes) or (n, 1), as the model gave them.
        answers
            The index of each row's predicted class; none for a regression.
        events
            What else happened, by name.
        """
        given = np.asarray(scores, dtype=np.float64)
        n = len(given)
        cells: dict[str, tuple[int, ...]] = {}
        moments: dict[str, Moments] = {}
        for column in self.layout.columns:
            values = columns.get(column.name)
            if isinstance(column, CategoryCells):
                cells[column.name] = self._categories(column, [None] * n if values is None else values)
                continue
            numbers = np.full(n, np.nan) if values is None else np.array(values, dtype=np.float64)
            cells[column.name], present = self._numbers(column, numbers)
            moments[column.name] = _moments(column, present)
        return Summary(
            self.layout,
            n,
            cells,
            moments,
            self._scores(given),
            tuple(np.bincount(np.asarray(answers, dtype=np.int64), minlength=self._classes).tolist())
            if self._classes
            else (),
            dict(sorted((events or {}).items())),
        )

    @property
    def _classes(self) -> int:
        return len(self.layout.classes)

    def _numbers(self, column: NumberCells, numbers: Floats) -> tuple[tuple[int, ...], Floats]:
        present = numbers[~np.isnan(numbers)]
        edges = self._edges[column.name]
        if not len(edges):
            return (0, len(present), len(numbers) - len(present)), present
        inside, below, above = _bins(present, edges)
        return (*inside, below, above, len(numbers) - len(present)), present

    def _categories(self, column: CategoryCells, values: Sequence[Any]) -> tuple[int, ...]:
        levels = self._levels[column.name]
        found = [0] * column.size
        for value, times in Counter(values).items():
            if value is None:
                found[-1] += times
                continue
            text = ("true" if value else "false") if isinstance(value, bool) else str(value)
            found[levels.get(text, len(levels))] += times
        return tuple(found)

    def _scores(self, given: Floats) -> tuple[int, ...]:
        if not len(given) or not len(self._score_edges):
            return (0,) * self.layout.score_size
        if not self._classes:
            score = given[:, 0]
        else:
            score = np.clip(given[:, 1] if self._classes == 2 else given.max(axis=1), 0.0, 1.0)
        inside, below, above = _bins(score[~np.isnan(score)], self._score_edges)
        return (*inside, below, above)


def _bins(present: Floats, edges: Floats) -> tuple[list[int], int, int]:
    """How many lie in each bin, below the first edge, and above the last one."""
    last = len(edges) - 1
    place = np.searchsorted(edges, present, side="right")
    place[present == edges[-1]] = last
    counts = np.bincount(place, minlength=last + 2)
    # A column of one value has two equal edges: one bin, which is not the one that searchsorted names.
    return counts[1 : last + 1].tolist(), int(counts[0]), int(counts[last + 1])


def _moments(column: NumberCells, present: Floats) -> Moments:
    if not len(present):
        return Moments()
    scaled = np.rint(np.clip(np.ldexp(present, -column.exponent), -FURTHEST, FURTHEST)).astype(np.int64)
    squares = scaled * scaled
    # A square has up to 62 bits, so its halves are added up apart: no sum of 2**31 of them overflows.
    high = int((squares >> _LOW_BITS).sum())
    low = int((squares & (1 << _LOW_BITS) - 1).sum())
    # Adding 0 makes -0.0 the 0.0 that it equals: which of the two comes first must not show.
    extremes = (None, None) if column.is_personal else (present.min() + 0.0, present.max() + 0.0)
    smallest, largest = (None if value is None else float(value) for value in extremes)
    return Moments(int(scaled.sum()), (high << _LOW_BITS) + low, smallest, largest)
