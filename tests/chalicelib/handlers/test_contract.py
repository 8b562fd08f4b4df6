"""What a version takes, through the API."""

from __future__ import annotations

import pytest
from fakes import token_of

from chalicelib.handlers import schemas


@pytest.fixture
def version(stage) -> int:
    stage.add_model()
    return stage.add_version()


def test_contract_has_the_signature_and_a_row_that_the_model_answers(stage, version):
    stage.promote(version)

    answer = stage.call("GET", f"/v1/models/delays/versions/{version}/contract", role="viewer")
    predicted = stage.call(
        "POST", "/v1/models/delays/predict", {"rows": [answer.json["example"]]}, role="caller"
    )

    assert answer.status == 200
    schemas.Contract.model_validate(answer.json)
    assert [column["name"] for column in answer.json["signature"]["columns"]] == ["a", "b"]
    assert predicted.status == 200, predicted.body


def test_contract_of_what_is_not_examined_is_not_given(stage):
    stage.add_model()
    number = stage.add_version(accepted=False)

    answer = stage.call("GET", f"/v1/models/delays/versions/{number}/contract", role="viewer")

    assert (answer.status, answer.problem) == (409, "not-ready")


@pytest.mark.parametrize("number", ["9", "0", "x", "1000000"])
def test_contract_of_a_version_that_is_not_there_is_not_found(stage, version, number):
    answer = stage.call("GET", f"/v1/models/delays/versions/{number}/contract", role="viewer")

    assert (answer.status, answer.problem) == (404, "not-found")


def test_contract_is_for_ones_own_team(stage, version):
    stranger = token_of("viewer", teams=("finance",))

    answer = stage.call("GET", f"/v1/models/delays/versions/{version}/contract", token=stranger)

    assert (answer.status, answer.problem) == (404, "not-found")
    assert stage.call("GET", f"/v1/models/delays/versions/{version}/contract").status == 401
