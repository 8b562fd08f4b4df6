"""What happened in a window, as whole numbers: exact, and the same in whatever order it is added up.

Every field is a count, or a sum of whole multiples of a column's unit. Adding is
associative and commutative to the bit, so parts may be counted anywhere and merged
anyhow, and a verdict can be computed again from what is stored.

The encoding (format 2; 1 had no sketch) is ``TW``, the format, the layout's digest, unsigned LEB128
numbers, and a CRC-32: whatever was cut off, flipped or belongs to another layout
raises and never reads as numbers.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tiltyard.errors import IntegrityError
from tiltyard.stats.layout import Layout, NumberCells
from tiltyard.stats.sketch import UNKNOWN, Sketch

MAGIC = b"TW"
FORMAT = 2
WITHOUT_SKETCH = 1
MAX_COUNT = 2**60
EMPTY = Sketch()

_DENSE, _SPARSE = 0, 1
_HEADER = len(MAGIC) + 1 + 8
_CRC = 4


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the present values v of a number, in the unit u of its cells: sums of round(v/u) and its square.

    `smallest` and `largest` are the values themselves, None where there are none or
    the column is personal. A value further than 2**31 units from zero counts as that
    far: the sums stay bounded, and the cells tell that it lay outside.
    """

    total: int = 0
    squares: int = 0
    smallest: float | None = None
    largest: float | None = None

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.total + other.total,
            self.squares + other.squares,
            _extreme(min, self.smallest, other.smallest),
            _extreme(max, self.largest, other.largest),
        )

    def less(self, part: Moments, *, was: Moments, is_empty: bool) -> Moments | None:
        """The rest, whose extremes are `was`'s, none, or these, whichever fits first; None when none do."""
        squares = self.squares - part.squares
        none = Moments()
        for extremes in (none,) if is_empty else (was, self):
            rest = Moments(self.total - part.total, squares, extremes.smallest, extremes.largest)
            if squares >= 0 and rest + part == self:
                return rest
        return None


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of `rows` rows under one layout.

    `cells` and `moments` are by column, `scores` the score's bins, `answers` the
    rows by predicted class (empty for a regression); `events` counts what else
    happened, by name (``action:abstain``, ``rule:odd-row``, ``unseen:carrier``);
    `sketch` says how many rows are the same as another.
    """

    layout: Layout
    rows: int
    cells: Mapping[str, tuple[int, ...]]
    moments: Mapping[str, Moments]
    scores: tuple[int, ...]
    answers: tuple[int, ...]
    events: Mapping[str, int] = field(default_factory=dict)
    sketch: Sketch = EMPTY

    @classmethod
    def empty(cls, layout: Layout) -> Summary:
        return cls(
            layout,
            0,
            {cells.name: (0,) * cells.size for cells in layout.columns},
            {cells.name: Moments() for cells in layout.columns if isinstance(cells, NumberCells)},
            (0,) * layout.score_size,
            (0,) * len(layout.classes),
        )

    def __add__(self, other: Summary) -> Summary:
        """Raises `IntegrityError` when the two count other cells."""
        if self.layout.digest != other.layout.digest:
            raise IntegrityError("windows of versions with other profiles can't be added up")
        return Summary(
            self.layout,
            self.rows + other.rows,
            {name: _sum(counts, other.cells[name]) for name, counts in self.cells.items()},
            {name: moments + other.moments[name] for name, moments in self.moments.items()},
            _sum(self.scores, other.scores),
            _sum(self.answers, other.answers),
            dict(sorted((Counter(self.events) + Counter(other.events)).items())),
            self.sketch + other.sketch,
        )

    def less(self, part: Summary, *, was: Summary) -> Summary | None:
        """The rest, such that ``rest + part == self``; None when `part` can't be a part of this.

        A smallest or largest value doesn't say of how many rows it was, so that of the
        rest is `was`'s where this fits, and else this one's own.
        """
        rows = self.rows - part.rows
        cells = {name: _rest(counts, part.cells[name]) for name, counts in self.cells.items()}
        moments = {
            name: whole.less(part.moments[name], was=was.moments[name], is_empty=rows == 0)
            for name, whole in self.moments.items()
        }
        scores, answers = _rest(self.scores, part.scores), _rest(self.answers, part.answers)
        events = Counter(self.events)
        events.subtract(part.events)
        counts = [rows, *scores, *answers, *events.values(), *(n for of in cells.values() for n in of)]
        if min(counts) < 0:
            return None
        found = {name: rest for name, rest in moments.items() if rest is not None}
        sketch = self.sketch.less(part.sketch)
        if len(found) < len(moments) or sketch is None:
            return None
        happened = {name: count for name, count in sorted(events.items()) if count}
        return Summary(self.layout, rows, cells, found, scores, answers, happened, sketch)

    def encode(self) -> bytes:
        """The bytes of these numbers; equal summaries have equal bytes.

        Raises `IntegrityError` for a count that is negative or above 2**60.
        """
        out = bytearray(MAGIC + bytes([FORMAT]) + self.layout.digest)
        _write(out, self.rows)
        for cells in self.layout.columns:
            _write_counts(out, self.cells[cells.name])
            if isinstance(cells, NumberCells):
                _write_moments(out, self.moments[cells.name])
        _write_counts(out, self.scores)
        _write_counts(out, self.answers)
        events = {name: count for name, count in sorted(self.events.items()) if count}
        _write(out, len(events))
        for name, count in events.items():
            text = name.encode()
            _write(out, len(text))
            out += text
            _write(out, count)
        _write_sketch(out, self.sketch)
        return bytes(out + struct.pack(">I", zlib.crc32(out)))

    @classmethod
    def decode(cls, content: bytes, layout: Layout) -> Summary:
        """Read what `encode` wrote for the same layout.

        Raises
        ------
        IntegrityError
            For anything else.
        """
        if len(content) < _HEADER + _CRC or content[:2] != MAGIC:
            raise IntegrityError("these bytes are no summary of a window")
        body, crc = content[:-_CRC], content[-_CRC:]
        if struct.pack(">I", zlib.crc32(body)) != crc:
            raise IntegrityError("the summary of a window was changed or cut off")
        if body[2] not in (FORMAT, WITHOUT_SKETCH):
            raise IntegrityError(f"the summary has format {body[2]}; this Tiltyard reads {FORMAT}")
        if body[3:_HEADER] != layout.digest:
            raise IntegrityError("the summary is of a version with another profile")
        try:
            return _read(_Reader(body, _HEADER), layout, has_sketch=body[2] == FORMAT)
        except (IndexError, struct.error, UnicodeDecodeError) as exc:
            raise IntegrityError("the summary of a window ends too early") from exc


def _read(reader: _Reader, layout: Layout, *, has_sketch: bool) -> Summary:
    rows = reader.number()
    cells: dict[str, tuple[int, ...]] = {}
    moments: dict[str, Moments] = {}
    for column in layout.columns:
        cells[column.name] = reader.counts(column.size)
        if isinstance(column, NumberCells):
            moments[column.name] = reader.moments()
    scores, answers = reader.counts(layout.score_size), reader.counts(len(layout.classes))
    events = {}
    for _ in range(reader.number()):
        name = reader.take(reader.number()).decode()
        events[name] = reader.number()
    sketch = reader.sketch() if has_sketch else UNKNOWN if rows else EMPTY
    if not reader.is_done:
        raise IntegrityError("the summary of a window goes on after its end")
    return Summary(layout, rows, cells, moments, scores, answers, events, sketch)


class _Reader:
    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self._position = position

    @property
    def is_done(self) -> bool:
        return self._position == len(self._content)

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self._content[self._position]
            self._position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def take(self, length: int) -> bytes:
        part = self._content[self._position : self._position + length]
        if len(part) < length:
            raise IndexError("the content ends within a part")
        self._position += length
        return part

    def counts(self, size: int) -> tuple[int, ...]:
        if self.number() == _DENSE:
            return tuple(self.number() for _ in range(size))
        found = [0] * size
        place = -1
        for _ in range(self.number()):
            place += self.number() + 1
            found[place] = self.number()
        return tuple(found)

    def sketch(self) -> Sketch:
        limit, counts, row = self.number() - 1, list[tuple[int, int]](), -1
        for _ in range(self.number()):
            row += self.number() + 1
            counts.append((row, self.number()))
        return Sketch(tuple(counts), limit)

    def moments(self) -> Moments:
        total, squares = self.number(), self.number()
        total = total >> 1 if not total & 1 else -(total >> 1) - 1
        smallest = largest = None
        if self.number():
            smallest, largest = struct.unpack(">dd", self.take(16))
        return Moments(total, squares, smallest, largest)


def _write_sketch(out: bytearray, sketch: Sketch) -> None:
    _write(out, sketch.limit + 1)
    _write(out, len(sketch.counts))
    last = -1
    for row, times in sketch.counts:
        _write(out, row - last - 1)
        _write(out, times)
        last = row


def _write(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _write_counts(out: bytearray, counts: Sequence[int]) -> None:
    """As they are, or only those above zero with the gaps between them, whichever is shorter."""
    if any(not 0 <= count <= MAX_COUNT for count in counts):
        raise IntegrityError("a window's counts are whole numbers from 0 to 2**60")
    dense = bytearray()
    for count in counts:
        _write(dense, count)
    sparse = bytearray()
    held = list(_gaps(counts))
    _write(sparse, len(held))
    for gap, count in held:
        _write(sparse, gap)
        _write(sparse, count)
    is_sparse = len(sparse) < len(dense)
    _write(out, _SPARSE if is_sparse else _DENSE)
    out += sparse if is_sparse else dense


def _gaps(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    last = -1
    for place, count in enumerate(counts):
        if count:
            yield place - last - 1, count
            last = place


def _write_moments(out: bytearray, moments: Moments) -> None:
    _write(out, moments.total << 1 if moments.total >= 0 else (-moments.total - 1) << 1 | 1)
    _write(out, moments.squares)
    if moments.smallest is None or moments.largest is None:
        _write(out, 0)
        return
    _write(out, 1)
    out += struct.pack(">dd", moments.smallest, moments.largest)


def _rest(whole: Sequence[int], part: Sequence[int]) -> tuple[int, ...]:
    return tuple(a - b for a, b in zip(whole, part, strict=True))


def _sum(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def _extreme(
    choose: Callable[[float, float], float], first: float | None, second: float | None
) -> float | None:
    if first is None or second is None:
        return second if first is None else first
    return choose(first, second)
