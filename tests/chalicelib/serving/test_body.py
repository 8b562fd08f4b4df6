from __future__ import annotations

import json

import pytest

from chalicelib.serving.body import MAX_BODY, MAX_ROWS, parse
from tiltyard.errors import InvalidRows, MalformedRequest, PayloadTooLarge

ROW = {"a": 1}


def sent(**body: object) -> bytes:
    return json.dumps(body).encode()


def test_a_whole_body_is_read():
    body = parse(sent(rows=[ROW], ids=["x"], subjects=["p"], at="2013-02-01T06:15:00Z"))

    assert (body.rows, body.ids, body.subjects, body.at) == ([ROW], ["x"], ["p"], "2013-02-01T06:15:00Z")


@pytest.mark.parametrize(("explain", "read"), [(True, True), (False, False), (None, False)])
def test_explanations_are_asked_for(explain, read):
    assert parse(sent(rows=[ROW] * 20, explain=explain)).explain is read


def test_no_more_is_said_than_the_limit():
    with pytest.raises(InvalidRows, match="/explain: is for at most 20 rows, not 21"):
        parse(sent(rows=[ROW] * 21, explain=True))


def test_rows_beyond_the_limit_are_answered_without_explanations():
    assert len(parse(sent(rows=[ROW] * 21, explain=False)).rows) == 21


@pytest.mark.parametrize("place", ['{"rows": [{"a": "\\ud800"}]}', '{"rows": [{"\\udfff": 1}]}'])
def test_half_a_surrogate_pair_is_refused_before_anything_would_have_to_hold_it(place):
    with pytest.raises(MalformedRequest, match="surrogate"):
        parse(place.encode())


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"7", b'"rows"', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_malformed(raw):
    with pytest.raises(MalformedRequest):
        parse(raw)


def test_nan_is_read_so_that_the_contract_can_name_its_place():
    assert parse(b'{"rows": [{"a": NaN}]}').rows[0]["a"] != 0


def test_a_body_over_the_limit_is_refused_unread():
    with pytest.raises(PayloadTooLarge, match=str(MAX_BODY)):
        parse(b" " * (MAX_BODY + 1))


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/rows"]),
        ({"rows": []}, ["/rows"]),
        ({"rows": ROW}, ["/rows"]),
        ({"rows": [ROW] * (MAX_ROWS + 1)}, ["/rows"]),
        ({"rows": [ROW], "row": 1}, ["/row"]),
        ({"rows": [ROW], "ids": ["a", "b"]}, ["/ids"]),
        ({"rows": [ROW], "ids": "a"}, ["/ids"]),
        ({"rows": [ROW], "ids": [""]}, ["/ids/0"]),
        ({"rows": [ROW], "ids": [7]}, ["/ids/0"]),
        ({"rows": [ROW], "ids": ["a\n"]}, ["/ids/0"]),
        ({"rows": [ROW] * 3, "ids": ["a", "b", "a"]}, ["/ids/2"]),
        ({"rows": [ROW], "subjects": [5]}, ["/subjects/0"]),
        ({"rows": [ROW], "at": "today"}, ["/at"]),
        ({"rows": [ROW], "at": ["2013-02-01"]}, ["/at/0"]),
        ({"rows": [ROW], "at": 5}, ["/at"]),
        ({"rows": [ROW], "explain": "yes"}, ["/explain"]),
        ({"rows": [ROW], "explain": 1}, ["/explain"]),
        ({"rows": [ROW] * 21, "explain": True}, ["/explain"]),
    ],
)
def test_a_part_that_does_not_fit_is_named(body, pointers):
    with pytest.raises(InvalidRows) as refused:
        parse(sent(**body))

    assert [fault.pointer for fault in refused.value.faults] == pointers
