from __future__ import annotations

import socket

import pytest

from tiltyard.client.transport import Transport, encode
from tiltyard.errors import (
    InvalidInput,
    InvalidRows,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    TiltyardError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    every_error,
)

OK = (200, {}, {"fine": True})


@pytest.fixture
def waits():
    return []


@pytest.fixture
def http(server, waits):
    transport = Transport(server.url, "secret", sleep=waits.append)
    yield transport
    transport.close()


def test_a_read_carries_the_token_and_the_given_query(server, http):
    server.answers = [OK]

    answer = http.get("/v1/models", limit=5, cursor=None)

    assert answer.body == {"fine": True}
    assert server.seen[0].path == "/v1/models?limit=5"
    assert server.seen[0].headers["authorization"] == "Bearer secret"


def test_a_token_function_is_asked_for_every_request(server):
    tokens = iter(["one", "two"])
    server.answers = [OK]
    http = Transport(server.url, lambda: next(tokens))

    http.get("/a")
    http.get("/b")

    assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_is_asked_again(server, http, waits, status):
    server.answers = [(status, {}, {}), (status, {}, {}), OK]

    assert http.get("/v1/models").body == {"fine": True}
    assert len(server.seen) == 3
    assert len(waits) == 2


def test_a_retry_after_is_respected(server, http, waits):
    server.answers = [(503, {"Retry-After": "3"}, {}), OK]

    http.get("/v1/models")

    assert waits == [3.0]


def test_a_service_that_stays_busy_is_unavailable_after_five_calls(server, http, waits):
    problem = {"type": "/problems/unavailable", "detail": "Later, please."}
    server.answers = [(503, {"X-Request-Id": "r-1"}, problem)]

    with pytest.raises(Unavailable, match=r"Later, please. \(status 503, request r-1\)"):
        http.get("/v1/models")
    assert len(server.seen) == 5
    assert all(wait <= 8 for wait in waits)


def test_a_broken_connection_is_tried_again(server, http):
    server.answers = [None, OK]

    assert http.get("/v1/models").body == {"fine": True}


def test_a_write_repeats_its_idempotency_key_and_a_second_write_has_another(server, http):
    server.answers = [None, OK]

    http.write("POST", "/v1/models", {"name": "a"})
    http.write("POST", "/v1/models", {"name": "a"})

    keys = [seen.headers["idempotency-key"] for seen in server.seen]
    assert keys[0] == keys[1] != keys[2]
    assert server.seen[0].body == b'{"name":"a"}'


def test_a_call_that_is_not_repeatable_is_sent_once(server, http, waits):
    server.answers = [(503, {}, {}), OK]

    with pytest.raises(Unavailable):
        http.post("/v1/things", b"{}", is_repeatable=False)
    assert len(server.seen) == 1
    assert not waits


def test_an_error_of_the_caller_is_not_tried_again(server, http):
    server.answers = [(404, {}, {"type": "/problems/not-found", "detail": "There is no model 'a'."}), OK]

    with pytest.raises(NotFound, match="There is no model 'a'"):
        http.get("/v1/models/a")
    assert len(server.seen) == 1


def test_nothing_listening_is_unavailable_and_says_where(waits):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        http = Transport(url, None, sleep=waits.append)

        with pytest.raises(Unavailable, match=f"{url} can't be reached"):
            http.get("/v1/health/live")
    assert len(waits) == 4


def test_problem_details_become_the_error_with_its_faults(server, http):
    problem = {
        "type": "/problems/invalid-rows",
        "title": "A row breaks the model's contract",
        "status": 422,
        "detail": "The rows break the model's contract.",
        "errors": [{"pointer": "/rows/3/distance", "detail": "must be a number, not a string"}],
    }
    server.answers = [(422, {"Content-Type": "application/problem+json"}, problem)]

    with pytest.raises(InvalidRows, match="/rows/3/distance: must be a number") as caught:
        http.get("/x")
    assert caught.value.faults[0].pointer == "/rows/3/distance"


@pytest.mark.parametrize("error", list(every_error()), ids=lambda e: e.problem)
def test_every_problem_type_comes_back_as_its_class(server, http, error):
    server.answers = [(400, {}, {"type": f"/problems/{error.problem}", "detail": "x"})]

    with pytest.raises(TiltyardError) as caught:
        http.get("/x")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, MalformedRequest),
        (401, Unauthenticated),
        (405, MethodNotAllowed),
        (412, PreconditionFailed),
        (413, PayloadTooLarge),
        (418, TiltyardError),
        (429, TooManyRequests),
        (500, TiltyardError),
    ],
)
def test_an_unknown_answer_is_told_apart_by_status(server, http, status, error):
    server.answers = [(status, {}, {"message": "gateway says no"})]

    with pytest.raises(TiltyardError, match="gateway says no") as caught:
        http.get("/x")
    assert type(caught.value) is error


def test_an_upload_sends_the_signed_headers_and_no_token(server, http):
    server.answers = [(200, {}, None)]

    http.upload(
        "PUT", f"{server.url}/bucket/key?sig=1", b"bytes", {"content-type": "application/octet-stream"}
    )

    assert server.seen[0].method == "PUT"
    assert server.seen[0].body == b"bytes"
    assert "authorization" not in server.seen[0].headers


def test_a_url_without_scheme_is_refused():
    with pytest.raises(InvalidInput, match="must begin with https://"):
        Transport("example.org", None)


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(InvalidInput, match="can't be written as JSON"):
        encode({"x": float("nan")})
