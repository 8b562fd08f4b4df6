"""What Python's own writer wrote comes back, row for row, with the lines that it stands in."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from tiltyard.client.files.chunks import Chunk
from tiltyard.client.files.csv_rows import SEPARATORS, CsvRows, CsvWriter

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


def written(header, rows, separator, ends):
    out = io.StringIO(newline="")
    # Without a carriage return in its line ends, Python's writer leaves one in a cell unquoted.
    quoting = csv.QUOTE_MINIMAL if "\r" in ends else csv.QUOTE_ALL
    writer = csv.writer(out, delimiter=separator, lineterminator=ends, quoting=quoting)
    writer.writerows([header, *rows])
    return out.getvalue()


@given(
    header=st.lists(TEXTS.filter(bool), min_size=2, max_size=4, unique=True),
    rows=st.lists(st.lists(TEXTS, min_size=4, max_size=4), max_size=5),
    separator=st.sampled_from(sorted(SEPARATORS)),
    ends=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_any_table_comes_back(header, rows, separator, ends, mark):
    rows = [row[: len(header)] for row in rows]
    text = written(header, rows, separator, ends)

    read = CsvRows(io.BytesIO(mark + text.encode()), "t.csv", separator=separator)
    chunks = list(read.chunks(2))

    # A mark at the beginning of the first name itself can't be told from the file's.
    names = [[name.removeprefix("\ufeff") for name in names] for names in (read.columns, header)]
    assert names[0] == names[1]
    assert [list(row.values()) for chunk in chunks for row in chunk.rows] == rows
    lines = text.split("\n")
    for chunk in chunks:
        for place, row in zip(chunk.places, chunk.rows, strict=True):
            first = next(iter(row.values())).split("\n")[0].replace('"', '""')
            assert lines[place - 1].removeprefix('"').startswith(first)


@given(rows=st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1, max_size=4))
def test_what_is_written_beside_answers_can_be_read_again(rows):
    out = io.StringIO(newline="")
    writer = CsvWriter(out, ",")
    chunk = Chunk(range(2, 2 + len(rows)), [dict(zip("ab", row, strict=True)) for row in rows], rows)

    writer.begin(("a", "b"), ("prediction", "set"))
    writer.write(chunk, [{"prediction": "yes", "set": ["no", "yes"]}] * len(rows))

    again = CsvRows(io.BytesIO(out.getvalue().encode()), "t.csv", separator=",")
    assert [list(row.values()) for c in again.chunks(9) for row in c.rows] == [
        [*row, "yes", "no|yes"] for row in rows
    ]
