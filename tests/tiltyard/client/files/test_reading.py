from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiltyard.client.files.reading import format_of, open_rows
from tiltyard.errors import InvalidInput


def rows_of(content, format_="csv", *, size=100, skip=0, **settings):
    content = content.encode() if isinstance(content, str) else content
    rows = open_rows(io.BytesIO(content), "rows.x", format_, **settings)
    return rows, list(rows.chunks(size, skip=skip))


def table(chunks):
    return [row for chunk in chunks for row in chunk.rows]


def parquet(columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("a.csv", "csv"),
        ("a.TSV", "csv"),
        ("a.jsonl", "ndjson"),
        ("a.b.parquet", "parquet"),
        ("-", None),
        ("a.txt", None),
    ],
)
def test_a_name_says_the_format(file, expected):
    assert format_of(file) == expected


def test_csv_is_read_in_chunks_with_the_line_of_every_row():
    rows, chunks = rows_of('a,b\n1,x\n\n2,"two\nlines"\n3,"say ""so"""\n', size=2)

    assert rows.columns == ("a", "b")
    assert table(chunks) == [{"a": "1", "b": "x"}, {"a": "2", "b": "two\nlines"}, {"a": "3", "b": 'say "so"'}]
    assert [list(chunk.places) for chunk in chunks] == [[2, 4], [6]]


def test_ends_of_lines_may_be_those_of_windows():
    _, chunks = rows_of("a,b\r\n1,x\r\n")

    assert table(chunks) == [{"a": "1", "b": "x"}]


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    rows, _ = rows_of(b"\xef\xbb\xbfa,b\n1,x\n")

    assert rows.columns == ("a", "b")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-8-sig"])
def test_other_encodings_are_read_when_named(encoding):
    rows, chunks = rows_of("straße,b\n1,ü\n".encode(encoding), encoding=encoding)

    assert rows.columns == ("straße", "b")
    assert table(chunks) == [{"straße": "1", "b": "ü"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,x\n2,\xfc\n", r"line 3, isn't UTF-8: byte 3 of it is 0xfc.*--encoding cp1252"),
        ("a,b\n1,x\n".encode("utf-16"), "is UTF-16: say --encoding utf-16"),
        (b"\x1f\x8b\x08\x00", "gunzip"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"PAR1rest", "--format parquet"),
    ],
)
def test_bytes_that_are_no_text_are_named_with_the_remedy(content, said):
    with pytest.raises(InvalidInput, match=said):
        rows_of(content)


def test_an_encoding_that_does_not_fit_or_does_not_exist_is_refused():
    with pytest.raises(InvalidInput, match="Say another --encoding"):
        rows_of(b"a\n\xff\n", encoding="ascii")
    with pytest.raises(InvalidInput, match="There is no encoding 'klingon'"):
        rows_of(b"a\n1\n", encoding="klingon")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_by_the_first_line(separator):
    rows, chunks = rows_of(separator.join("ab") + "\n" + separator.join("12") + "\n")

    assert rows.separator == separator
    assert table(chunks) == [{"a": "1", "b": "2"}]


def test_the_separator_is_the_one_that_gives_the_wanted_columns():
    rows, _ = rows_of("a;b;c,x\n1;2;3\n", wanted=("a", "b"))

    assert rows.columns == ("a", "b", "c,x")


def test_a_separator_that_is_named_is_taken():
    rows, _ = rows_of("a;b,c\n", separator=",")

    assert rows.columns == ("a;b", "c")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty; the first line of CSV names the columns"),
        ("\n1,2\n", "begins with an empty line"),
        ("a,b,a\n1,2,3\n", "names a column twice in line 1: 'a'"),
        ("a,b\n1,2\n1,2,3\n", "line 3, has 3 values for the 2 columns of line 1"),
        ("a,b\n1\n", "line 2, has 1 values"),
        ('a,b\n1,"x\n2,y\n', "line 2, is no CSV: .*quote"),
        ('a,b\n1,"x"y\n', "line 2, is no CSV"),
        ("a,b\r1,2\r3,4\r", "line 1, is no CSV: a carriage return"),
    ],
)
def test_broken_csv_is_refused_with_its_line(content, said):
    with pytest.raises(InvalidInput, match=said):
        rows_of(content)


def test_rows_before_a_broken_line_are_given_first():
    rows = open_rows(io.BytesIO(b"a,b\n1,2\n3,4\n5\n"), "rows.csv", "csv")
    chunks = rows.chunks(100)

    assert list(next(chunks).places) == [2, 3]
    with pytest.raises(InvalidInput, match="line 4"):
        next(chunks)


def test_a_first_line_alone_holds_no_rows():
    rows, chunks = rows_of("a,b\n")

    assert rows.columns == ("a", "b")
    assert chunks == []


def test_ndjson_keeps_its_types_and_reads_nan_as_null():
    _, chunks = rows_of('{"a": 1, "b": "x"}\n\n{"a": NaN, "b": true}\n', "ndjson")

    assert table(chunks) == [{"a": 1, "b": "x"}, {"a": None, "b": True}]
    assert list(chunks[0].places) == [1, 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1}\n{"a": \n', "line 2, isn't JSON"),
        ('[{"a": 1}]\n', r"line 1, holds no JSON object.*jq -c"),
        ('[\n{"a": 1}\n]\n', r"line 1, isn't JSON.*jq -c"),
        ('{"a": Infinity}\n', "Infinity is no number of JSON"),
        ("[" * 100_000 + "\n", "line 1, isn't JSON"),
    ],
)
def test_broken_ndjson_is_refused_with_its_line(content, said):
    with pytest.raises(InvalidInput, match=said):
        rows_of(content, "ndjson")


def test_an_empty_ndjson_file_holds_no_rows():
    assert rows_of("", "ndjson")[1] == []


def test_parquet_gives_python_values_of_its_types():
    stamp = datetime(2026, 2, 1, 6, 15, tzinfo=UTC)
    content = parquet(
        {
            "n": [1.5, None],
            "d": [Decimal("1.25"), None],
            "t": pa.array([stamp, None], pa.timestamp("ns", "UTC")),
            "s": pa.array(["x", "y"]).dictionary_encode(),
        }
    )

    rows, chunks = rows_of(content, "parquet")

    assert rows.columns == ("n", "d", "t", "s")
    assert table(chunks) == [
        {"n": 1.5, "d": 1.25, "t": stamp, "s": "x"},
        {"n": None, "d": None, "t": None, "s": "y"},
    ]
    assert list(chunks[0].places) == [1, 2]


def test_a_pipe_of_parquet_is_read_too():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    rows = open_rows(Pipe(parquet({"a": [1, 2]})), "standard input", "parquet")

    assert table(rows.chunks(10)) == [{"a": 1}, {"a": 2}]


def test_what_is_no_parquet_is_refused():
    with pytest.raises(InvalidInput, match="can't be read as Parquet"):
        rows_of("a,b\n1,2\n", "parquet")


def test_parquet_without_pyarrow_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(InvalidInput, match=r"pip install 'tiltyard\[parquet\]'"):
        rows_of(b"", "parquet")


@pytest.mark.parametrize("format_", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("size", [2, 5])
def test_rows_that_are_passed_over_keep_their_numbers(format_, size):
    content = {
        "csv": "a\n" + "".join(f"{i}\n" for i in range(7)),
        "ndjson": "".join(json.dumps({"a": i}) + "\n" for i in range(7)),
        "parquet": parquet({"a": list(range(7))}),
    }[format_]
    first = {"csv": 5, "ndjson": 4, "parquet": 4}[format_]

    _, chunks = rows_of(content, format_, size=size, skip=3)

    assert [int(row["a"]) for row in table(chunks)] == [3, 4, 5, 6]
    assert [place for chunk in chunks for place in chunk.places] == list(range(first, first + 4))
