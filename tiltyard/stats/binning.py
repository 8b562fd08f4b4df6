"""Rows into the cells of a layout."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.stats.layout import CategoryCells, Layout, NumberCells
from tiltyard.stats.sketch import UNKNOWN, Sketch, hashes_of
from tiltyard.stats.summary import Moments, Summary

FURTHEST = 2**31
MOST_HASHED = 4096
"""Columns that tell rows apart, at most."""
MOST_DIGESTS = 100_000
_LOW_BITS = 31
_EXACT = 1000
"""Powers of two below it are floats, and to multiply by one is exact."""
_BLOCK = 1 << 19
"""Comparisons at once: their results stay in a near cache."""

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Values = Sequence[Any] | NDArray[Any]


class Binner:
    """Counts rows by one layout. A row counted alone and in any batch gives the same numbers.

    All numbers are counted in one go: a call costs as much as 100 rows more,
    so rows that came one by one are best counted together.
    """

    def __init__(self, layout: Layout, *, personal: AbstractSet[str] = frozenset()) -> None:
        """`personal` columns are no part of what makes two rows the same."""
        self.layout = layout
        self._numbers = [cells for cells in layout.columns if isinstance(cells, NumberCells)]
        self._levels = {
            cells.name: {level: place for place, level in enumerate(cells.levels)}
            for cells in layout.columns
            if isinstance(cells, CategoryCells)
        }
        self._edges = Edges([cells.edges for cells in self._numbers])
        self._exponents = np.array([cells.exponent for cells in self._numbers], dtype=np.int64).reshape(-1, 1)
        self._score_edges = Edges([layout.score_edges])
        self._told_numbers = np.flatnonzero(
            [cells.distance is None and cells.name not in personal for cells in self._numbers]
        )
        self._told_texts = [name for name in self._levels if name not in personal][:MOST_HASHED]
        if len(self._told_numbers) + len(self._told_texts) > MOST_HASHED:
            self._told_numbers = self._told_numbers[: MOST_HASHED - len(self._told_texts)]
        self._digests: dict[str, int] = {}

    def count(
        self,
        columns: Mapping[str, Values],
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
        numbers = self._values(columns, n)
        missing = np.isnan(numbers)
        counted = self._count_numbers(numbers, missing)
        sketch = self._sketch(columns, numbers, has_missing=bool(missing.any()))
        cells: dict[str, tuple[int, ...]] = {}
        moments: dict[str, Moments] = {}
        for column in self.layout.columns:
            if isinstance(column, NumberCells):
                cells[column.name], moments[column.name] = next(counted)
            else:
                values = columns.get(column.name)
                cells[column.name] = self._categories(column, [None] * n if values is None else values)
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
            sketch,
        )

    def cells(self, columns: Mapping[str, Values], n: int) -> Places:
        """The cell of each of n rows in every column, shape (columns, n), in the layout's order."""
        numbers = self._values(columns, n)
        placed = iter(self._edges.cells(numbers, np.isnan(numbers)))
        found = np.empty((len(self.layout.columns), n), np.int64)
        for place, column in enumerate(self.layout.columns):
            if isinstance(column, NumberCells):
                found[place] = next(placed)
            else:
                values = columns.get(column.name)
                found[place] = column.size - 1 if values is None else self._levels_of(column, values)
        return found

    def _levels_of(self, column: CategoryCells, values: Values) -> list[int]:
        levels, missing = self._levels[column.name], column.size - 1
        return [missing if value is None else levels.get(_text(value), len(levels)) for value in values]

    @property
    def _classes(self) -> int:
        return len(self.layout.classes)

    def _values(self, columns: Mapping[str, Values], n: int) -> Floats:
        values: Floats = np.empty((len(self._numbers), n))
        for i, column in enumerate(self._numbers):
            given = columns.get(column.name)
            values[i] = np.nan if given is None else as_floats(given)
        values += 0.0  # -0.0 becomes the 0.0 that it equals
        return values

    def _sketch(self, columns: Mapping[str, Values], values: Floats, *, has_missing: bool) -> Sketch:
        """Which rows are the same in all columns but personal ones."""
        n = values.shape[1]
        numbers, texts = len(self._told_numbers), len(self._told_texts)
        if not n:
            return Sketch()
        if not numbers + texts:
            return UNKNOWN
        told = values if numbers == len(values) else values[self._told_numbers]
        if has_missing:
            told = np.where(np.isnan(told), np.nan, told)  # NaN has many forms
        bits = told.view(np.uint64)
        if texts:
            words = np.zeros((texts, n), np.uint64)
            for place, name in enumerate(self._told_texts):
                given = columns.get(name)
                if given is not None:
                    words[place] = [self._digest(value) for value in given]
            bits = np.concatenate([bits, words])
        return Sketch.of(hashes_of(bits))

    def _digest(self, value: object) -> int:
        if value is None:
            return 0
        text = _text(value)
        found = self._digests.get(text)
        if found is None:
            if len(self._digests) >= MOST_DIGESTS:
                self._digests.clear()
            found = int.from_bytes(
                hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
            )
            self._digests[text] = found
        return found

    def _count_numbers(
        self, values: Floats, missing: NDArray[np.bool_]
    ) -> Iterator[tuple[tuple[int, ...], Moments]]:
        """The cells and the moments of each number column, in the layout's order."""
        return zip(
            self._edges.counts(values, missing),
            _moments(self._numbers, self._exponents, values, missing),
            strict=True,
        )

    def _categories(self, column: CategoryCells, values: Values) -> tuple[int, ...]:
        levels = self._levels[column.name]
        found = [0] * column.size
        for value, times in Counter(values).items():
            if value is None:
                found[-1] += times
                continue
            text = _text(value)
            found[levels.get(text, len(levels))] += times
        return tuple(found)

    def _scores(self, given: Floats) -> tuple[int, ...]:
        if not len(given) or not len(self.layout.score_edges):
            return (0,) * self.layout.score_size
        if not self._classes:
            score = given[:, 0]
        else:
            score = np.clip(given[:, 1] if self._classes == 2 else given.max(axis=1), 0.0, 1.0)
        ((*found, _),) = self._score_edges.counts(score[None], np.isnan(score)[None])
        return tuple(found)


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def as_floats(values: Values) -> Floats:
    """Numbers, None as NaN."""
    if isinstance(values, np.ndarray):
        return values.astype(np.float64, copy=False)
    try:
        # Twice as fast as numpy's own way, which has to look for None.
        return np.frombuffer(array("d", values))
    except TypeError:
        return np.array(values, dtype=np.float64)


class Edges:
    """Edges of m columns, to count all of them at once."""

    def __init__(self, columns: Sequence[Sequence[float]]) -> None:
        self._columns = [np.asarray(edges, dtype=np.float64) for edges in columns]
        self._most = max(map(len, self._columns), default=0)
        # No value reaches NaN.
        self._reached: Floats = np.full((self._most, len(columns), 1), np.nan)
        for i, edges in enumerate(self._columns):
            # The last bin holds its upper edge, so what is above has at least the next float.
            self._reached[: len(edges), i, 0] = [*edges[:-1], *np.nextafter(edges[-1:], np.inf)]

    def counts(self, values: Floats, missing: NDArray[np.bool_]) -> list[tuple[int, ...]]:
        """Of m columns of n values: the rows in each bin, below, above, and missing."""
        places = self._places(values)
        missing_place = self._most + 1
        places[missing] = missing_place
        width = missing_place + 1
        places += (np.arange(len(places)) * width)[:, None]
        found = np.bincount(places.ravel(), minlength=len(places) * width).reshape(len(places), width)
        return [
            (*row[1 : len(edges)], row[0] if len(edges) else 0, row[len(edges)], row[-1])
            for edges, row in zip(self._columns, found.tolist(), strict=True)
        ]

    def cells(self, values: Floats, missing: NDArray[np.bool_]) -> Places:
        """Of m columns of n values, each value's place among its column's cells (`NumberCells`)."""
        places = self._places(values)
        for row, edges, without in zip(places, self._columns, missing, strict=True):
            if not len(edges):
                row[:] = np.where(without, 2, 1)
                continue
            below, above, missing_place = len(edges) - 1, len(edges), len(edges) + 1
            row -= 1
            row[row == len(edges) - 1] = above
            row[row < 0] = below
            row[without] = missing_place
        return places

    def _places(self, values: Floats) -> Places:
        """How many of its column's edges each value reaches."""
        m, n = values.shape
        places: Places = np.empty((m, n), dtype=np.int64)
        if self._most > np.iinfo(np.uint8).max:
            for i, edges in enumerate(self._columns):
                places[i] = edges.searchsorted(values[i], side="right")
                if len(edges):
                    places[i][values[i] == edges[-1]] = len(edges) - 1
            return places
        # To compare with every edge is faster than to search: no branch is ever guessed wrong.
        rows = max(1, _BLOCK // max(1, m * self._most))
        for start in range(0, n, rows):
            block = slice(start, start + rows)
            reached = values[None, :, block] >= self._reached
            places[:, block] = np.add.reduce(reached.view(np.uint8), axis=0, dtype=np.uint8)
        return places


def _moments(
    columns: Sequence[NumberCells], exponents: Places, values: Floats, missing: NDArray[np.bool_]
) -> list[Moments]:
    with np.errstate(over="ignore"):  # what overflows lies far outside, and is clipped
        if np.abs(exponents).max(initial=0) < _EXACT:
            scaled = values * np.ldexp(1.0, -exponents)  # the same numbers, several times as fast
        else:
            scaled = np.ldexp(values, -exponents)
    np.rint(np.clip(scaled, -FURTHEST, FURTHEST, out=scaled), out=scaled)
    scaled[missing] = 0.0
    units = scaled.astype(np.int64)
    squares = units * units
    # A square has up to 62 bits, so its halves are added up apart: no sum of 2**31 of them overflows.
    high, low = (squares >> _LOW_BITS).sum(axis=1), (squares & (1 << _LOW_BITS) - 1).sum(axis=1)
    # Adding 0 makes -0.0 the 0.0 that it equals: which of the two comes first must not show.
    smallest = np.fmin.reduce(values, axis=1, initial=np.nan) + 0.0
    largest = np.fmax.reduce(values, axis=1, initial=np.nan) + 0.0
    found = zip(
        columns,
        units.sum(axis=1).tolist(),
        high.tolist(),
        low.tolist(),
        smallest.tolist(),
        largest.tolist(),
        strict=True,
    )
    return [
        Moments(total, (above << _LOW_BITS) + below)
        if column.is_personal or least != least
        else Moments(total, (above << _LOW_BITS) + below, least, most)
        for column, total, above, below, least, most in found
    ]
