"""Asking in batches, against a client that answers as a test says."""

from __future__ import annotations

import io
import threading

import pytest

from tiltyard.client import Prediction
from tiltyard.client.files.layout import Layout, Refused
from tiltyard.client.files.reading import open_rows
from tiltyard.client.files.scoring import Question, Scorer
from tiltyard.client.files.values import Preparer
from tiltyard.errors import Fault, InvalidInput, InvalidRows, Unavailable


class Service:
    """Answers every row with its number; `refuse` may raise instead."""

    def __init__(self, refuse=lambda request: None):
        self.refuse = refuse
        self.sizes = []
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()

    def answer(self, name, request, *, version=None):
        with self._lock:
            self.sizes.append(len(request.rows))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.refuse(request)
            return [
                Prediction.of({"id": i, "value": row["n"], "warnings": []}, 1)
                for i, row in zip(request.ids, request.rows, strict=True)
            ]
        finally:
            with self._lock:
                self.under_way -= 1


def outcomes(service, n, *, parallel=2, skip=0, **asked):
    content = "n,id\n" + "".join(f"{i},r{i}\n" for i in range(n))
    rows = open_rows(io.BytesIO(content.encode()), "rows.csv", "csv")
    scorer = Scorer(service, Question("m", **asked), rows, Preparer(None, is_text=True, ids="id"))
    return [o for answered in scorer.outcomes(parallel=parallel, skip=skip) for o in answered.outcomes]


@pytest.mark.parametrize("parallel", [1, 4])
def test_outcomes_come_in_the_files_order(parallel):
    service = Service()

    found = outcomes(service, 100, batch_rows=7, parallel=parallel)

    assert [o.value for o in found] == list(range(100))
    assert sum(service.sizes) == 100
    assert max(service.sizes) == 7
    assert service.most_under_way <= parallel


def test_a_large_chunk_is_sent_in_requests_that_fit(monkeypatch):
    monkeypatch.setattr(
        "tiltyard.client.rows.Request.batches.__kwdefaults__", {"max_rows": 5_000, "max_bytes": 500}
    )
    service = Service()

    found = outcomes(service, 100, batch_rows=100)

    assert [o.value for o in found] == list(range(100))
    assert len(service.sizes) > 5


def test_explanations_are_asked_for_in_parts_that_the_service_can_pay():
    def refuse(request):
        assert request.explain
        if len(request.rows) > 3:
            fault = Fault("/explain", "takes 25 s, 10 may")
            raise InvalidInput("The request asks for too many explanations.", faults=[fault])

    service = Service(refuse)

    found = outcomes(service, 45, explain=True, parallel=1)

    assert [o.value for o in found] == list(range(45))
    assert max(service.sizes) == 20


def test_a_row_that_is_too_dear_alone_ends_it():
    def refuse(request):
        raise InvalidInput("Too dear.", faults=[Fault("/explain", "takes 25 s, 10 may")])

    with pytest.raises(InvalidInput, match="Too dear"):
        outcomes(Service(refuse), 5, explain=True)


def test_refused_rows_are_taken_out_until_the_others_are_answered():
    def refuse(request):
        bad = [i for i, row in enumerate(request.rows) if row["n"] % 10 == 3]
        if bad:  # one fault at a time, as if there were more than an answer names
            raise InvalidRows("Odd.", faults=[Fault(f"/rows/{bad[0]}/n", "is odd")])

    found = outcomes(Service(refuse), 40, keeps_going=True, batch_rows=40)

    assert [i for i, o in enumerate(found) if isinstance(o, Refused)] == [3, 13, 23, 33]
    assert found[13].reasons == ("line 15, column n: is odd ('13')",)
    assert [o.value for i, o in enumerate(found) if i % 10 != 3] == [i for i in range(40) if i % 10 != 3]


@pytest.mark.parametrize("fault", [Fault("", "no"), Fault("/rows", "no"), Fault("/rows/900/n", "no")])
def test_a_refusal_that_names_no_row_is_told_as_it_is(fault):
    def refuse(request):
        raise InvalidRows("Not like this.", faults=[fault])

    with pytest.raises(InvalidRows, match="Not like this"):
        outcomes(Service(refuse), 5, keeps_going=True)


def test_an_outage_ends_it_after_what_was_answered_before():
    def refuse(request):
        if request.rows[0]["n"] >= 20:
            raise Unavailable("Gone.")

    content = io.BytesIO(b"n\n" + b"".join(b"%d\n" % i for i in range(50)))
    rows = open_rows(content, "rows.csv", "csv")
    scorer = Scorer(Service(refuse), Question("m", batch_rows=10), rows, Preparer(None, is_text=True))
    found = []

    with pytest.raises(Unavailable):
        found.extend(scorer.outcomes(parallel=3))

    assert [len(answered.chunk) for answered in found] == [10, 10]


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ({"value": "yes", "score": 0.7}, ["prediction", "score", "set"]),
        ({"value": "b", "scores": {"a": 0.1, "b": 0.9}}, ["prediction", "score_a", "score_b", "set"]),
        ({"value": 3.5}, ["prediction", "interval_low", "interval_high"]),
    ],
)
def test_without_a_contract_the_first_answer_says_the_columns(body, columns):
    answer = Prediction.of({"id": "x", "warnings": [], **body}, 1)

    layout = Layout.like([Refused(("no",)), answer])

    assert list(layout.types)[: len(columns)] == columns
    assert list(layout.types)[len(columns)] == "action"


def test_all_that_an_answer_says_has_its_column():
    body = {
        "id": "x",
        "value": 3.5,
        "interval": [1.0, None],
        "action": "override",
        "rules": ["night"],
        "model_value": 9.5,
        "warnings": [{"column": "a", "kind": "extreme", "p": 0.001}],
        "explanation": {"base": 1.0, "values": {"a": 2.5}},
    }
    layout = Layout("regression", explains=True, prefix="t_")

    (values,) = layout.values([Prediction.of(body, 4)])

    assert values == {
        "t_prediction": 3.5,
        "t_interval_low": 1.0,
        "t_interval_high": None,
        "t_action": "override",
        "t_rules": ["night"],
        "t_model_value": 9.5,
        "t_warnings": [{"column": "a", "kind": "extreme", "p": 0.001}],
        "t_explanation": {"base": 1.0, "values": {"a": 2.5}},
        "t_model_version": 4,
        "t_prediction_id": "x",
    }


def test_a_row_on_which_the_model_abstains_has_no_prediction():
    body = {"id": "x", "value": None, "score": 0.5, "set": ["no", "yes"], "action": "abstain", "warnings": []}

    (values,) = Layout("binary", ("no", "yes")).values([Prediction.of(body, 1)])

    assert values["prediction"] is None
    assert (values["set"], values["action"]) == (["no", "yes"], "abstain")
