"""Ask a model about the rows of a file, several requests at a time, in the file's order."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from tiltyard.client.client import Client
from tiltyard.client.files.chunks import Chunk, Rows
from tiltyard.client.files.layout import Outcome, Refused
from tiltyard.client.files.values import Preparer, moment
from tiltyard.client.rows import MAX_EXPLAINED, MAX_ROWS, Request
from tiltyard.contract.signature import Signature
from tiltyard.errors import Fault, InvalidInput, InvalidRows, TiltyardError

_PLACE = re.compile(r"/(rows|ids|at|subjects)/(\d+)(?:/(.*))?")
_SAME_ID = re.compile(r"repeats /ids/(\d+)")
_LONGEST_TEXT = 60


@dataclass(frozen=True, slots=True)
class Question:
    """What every row of a file is asked.

    `model` is a name, or ``name@alias``. `id_column` and `time_column` hold the
    rows' names and times. With `keeps_going` a row that the contract refuses is
    an outcome of its own, and the others are answered; without, it ends all.
    """

    model: str
    version: int | None = None
    explain: bool = False
    id_column: str | None = None
    time_column: str | None = None
    keeps_going: bool = False
    batch_rows: int = MAX_ROWS

    @property
    def chunk_rows(self) -> int:
        return min(self.batch_rows, MAX_EXPLAINED if self.explain else MAX_ROWS)


class Answered(NamedTuple):
    chunk: Chunk
    outcomes: list[Outcome]


class Scorer:
    """Asks `question` of the rows of one file.

    Raises
    ------
    InvalidRows
        From `outcomes`: for rows that the contract refuses, one fault a value with
        its line and column; all rows before that request's are given first.
    """

    def __init__(self, client: Client, question: Question, rows: Rows, preparer: Preparer) -> None:
        self._client = client
        self._question = question
        self._rows = rows
        self._preparer = preparer

    def outcomes(self, *, parallel: int, skip: int = 0) -> Iterator[Answered]:
        """Chunks and their outcomes in the file's order; `parallel` requests are under way at a time."""
        broken: TiltyardError | None = None
        waiting: deque[tuple[Chunk, Future[list[Outcome]]]] = deque()
        with ThreadPoolExecutor(parallel) as pool:
            try:
                chunks = self._rows.chunks(self._question.chunk_rows, skip=skip)
                while True:
                    try:
                        chunk = next(chunks, None)
                    except TiltyardError as error:
                        broken = error  # told once what came before it has been answered
                        break
                    if chunk is None:
                        break
                    waiting.append((chunk, pool.submit(self._ask, chunk)))
                    if len(waiting) > parallel:
                        yield _first(waiting)
                while waiting:
                    yield _first(waiting)
            finally:
                for _, future in waiting:
                    future.cancel()
        if broken is not None:
            raise broken

    def _ask(self, chunk: Chunk) -> list[Outcome]:
        rows = [self._preparer.row(row) for row in chunk.rows]
        ids = self._column(chunk, self._question.id_column)
        times = self._column(chunk, self._question.time_column)
        found: dict[int, Outcome] = {}
        wanted = list(range(len(rows)))
        most = len(rows)
        while wanted:
            done = 0
            try:
                request = Request.of(
                    [rows[i] for i in wanted],
                    ids=None if ids is None else ["" if ids[i] is None else str(ids[i]) for i in wanted],
                    subjects=None,
                    at=None if times is None else [str(moment(times[i])) for i in wanted],
                    explain=self._question.explain,
                )
                for part in request.batches(max_rows=most):
                    answers = self._client.answer(self._question.model, part, version=self._question.version)
                    found.update(zip(wanted[done:], answers, strict=False))
                    done += len(part.rows)
            except InvalidRows as error:
                refused = self._refused(error, chunk, wanted[done:])
                if not self._question.keeps_going:
                    raise self._placed(refused) from error
                found.update({i: Refused(tuple(reasons)) for i, reasons in refused.items()})
            except InvalidInput as error:
                # Explaining is limited by its cost as well, and that only the service knows.
                if most == 1 or {fault.pointer for fault in error.faults} != {"/explain"}:
                    raise
                most = min(most, len(wanted) - done) // 2 or 1
            wanted = [i for i in wanted if i not in found]
        return [found[i] for i in range(len(rows))]

    def _column(self, chunk: Chunk, name: str | None) -> list[Any] | None:
        return None if name is None else [row.get(name) for row in chunk.rows]

    def _refused(self, error: InvalidRows, chunk: Chunk, sent: Sequence[int]) -> dict[int, list[str]]:
        """The faults by row, in words that name the file's own place; raises `error` if one names no row."""
        refused: dict[int, list[str]] = {}
        for fault in error.faults:
            place = _PLACE.fullmatch(fault.pointer)
            if place is None or int(place[2]) >= len(sent):
                raise error
            i = sent[int(place[2])]
            column = {"ids": self._question.id_column, "at": self._question.time_column}.get(place[1])
            if place[1] == "rows":
                column = (place[3] or "").replace("~1", "/").replace("~0", "~") or None
            said = _SAME_ID.sub(
                lambda m: f"repeats that of {self._place(chunk, sent[int(m[1])])}", fault.detail
            )
            refused.setdefault(i, []).append(
                f"{self._place(chunk, i)}{f', column {column}' if column else ''}: "
                f"{said}{self._shown(chunk.rows[i], column)}"
            )
        if not refused:
            raise error
        return refused

    def _place(self, chunk: Chunk, i: int) -> str:
        return f"{self._rows.unit} {chunk.places[i]}"

    def _shown(self, row: Mapping[str, Any], column: str | None) -> str:
        """A text that was read as another value than it looks like is worth seeing."""
        value = row.get(column) if column is not None else None
        if not isinstance(value, str) or not value:
            return ""
        return f" ({value[:_LONGEST_TEXT]!r}{' …' if len(value) > _LONGEST_TEXT else ''})"

    def _placed(self, refused: Mapping[int, Sequence[str]]) -> InvalidRows:
        n = len(refused)
        return InvalidRows(
            f"{self._question.model} can't answer {'a row' if n == 1 else f'{n} rows'} of {self._rows.name}.",
            faults=[Fault("", reason) for i in sorted(refused) for reason in refused[i]],
        )


def _first(waiting: deque[tuple[Chunk, Future[list[Outcome]]]]) -> Answered:
    chunk, future = waiting.popleft()
    return Answered(chunk, future.result())


def check_columns(columns: Sequence[str], signature: Signature, *, name: str, model: str) -> None:
    """Raises `InvalidRows` if a file lacks columns that a model reads, with the names that may be meant."""
    faults = [
        Fault("", f"column {column.name}: is missing{_meant(column.name, columns)}")
        for column in signature.inputs
        if column.name not in columns
    ]
    if faults:
        raise InvalidRows(f"{name} hasn't all columns that {model} reads.", faults=faults)


def carried(columns: Iterable[str], signature: Signature, *, beside: Iterable[str | None]) -> list[str]:
    """Columns that are written out again, but not sent: the model doesn't know them."""
    known = {column.name for column in signature.columns}.union(b for b in beside if b is not None)
    return [column for column in columns if column not in known]


def _meant(name: str, columns: Sequence[str]) -> str:
    folded = {column.strip().casefold(): column for column in columns}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f"; is {folded[close[0]]!r} meant?" if close else ""
