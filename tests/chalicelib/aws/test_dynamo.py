"""What is DynamoDB's alone: calls counted, errors translated, large answers read to their end."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import ANY, Stubber
from lineage_examples import NOON, PSEUDONYMS, creation, new_model, promotion, registration, target_of

from chalicelib import aws
from chalicelib.aws.attributes import from_attributes, to_attributes
from chalicelib.aws.dynamo import BATCH_ATTEMPTS, CONFLICT_ATTEMPTS, DynamoLineage, DynamoTable
from chalicelib.lineage import tables
from chalicelib.lineage.items import Key
from chalicelib.lineage.records import Alias, PolicyCopy, Put
from chalicelib.lineage.store import Rows
from chalicelib.lineage.writes import Absent, PutItem
from tiltyard.errors import IntegrityError, LostRace, TiltyardError, Unavailable

LOST, CONFLICT, FINE = "ConditionalCheckFailed", "TransactionConflict", "None"
WRITES = [PutItem({"pk": "A", "sk": "1"}, Absent()), PutItem({"pk": "B", "sk": "2"}, None)]


class RawAnswer(io.BytesIO):
    """A body as botocore expects it of its HTTP library."""

    def stream(self, **_):
        yield self.read()


@pytest.fixture
def lineage(stage):
    return DynamoLineage(stage.dynamodb, "lineage", PSEUDONYMS)


@pytest.fixture
def calls(stage):
    """Counts the client's calls by operation from the moment it is asked for."""
    counted = Counter()
    stage.dynamodb.meta.events.register(
        "before-call.dynamodb.*", lambda model, **_: counted.update([model.name])
    )
    return counted


@pytest.fixture
def stubbed():
    """A table whose client gives prepared answers: `stub`, `table`, and the `pauses` it made."""
    client = boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    pauses = []
    with Stubber(client) as stub:
        table = DynamoTable(client, "lineage", sleep=pauses.append, jitter=lambda: 0.5)
        yield SimpleNamespace(stub=stub, table=table, pauses=pauses, client=client)


def cancel(stub, *codes):
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        modeled_fields={"CancellationReasons": [{"Code": code} for code in codes]},
    )


def with_champion(lineage):
    head = lineage.commit(creation(new_model()))
    head = lineage.commit(registration(head))
    version = lineage.version(head.name, 1)
    head = lineage.commit(promotion(head, lineage.pointer(head.name), version, at=NOON, reason="first"))
    alias = Alias(head.name, head.team, "nightly", target_of(version))
    return lineage.commit(replace(registration(head), writes=(Put(alias),)))


def test_a_pointer_is_one_consistent_get(lineage, calls, stage):
    head = with_champion(lineage)
    requests = []
    stage.dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.*", lambda params, **_: requests.append(dict(params))
    )
    calls.clear()

    pointer = lineage.pointer(head.name)

    assert pointer.champion.version == 1
    assert calls == {"GetItem": 1}
    assert requests[0]["ConsistentRead"] is True


def test_an_alias_is_one_get(lineage, calls):
    head = with_champion(lineage)
    calls.clear()

    alias = lineage.alias(head.name, "nightly")

    assert alias.target.version == 1
    assert calls == {"GetItem": 1}


def test_an_alias_and_a_version_come_with_their_policy_in_one_consistent_read(lineage, calls, stage):
    head = with_champion(lineage)
    copy = PolicyCopy(1, "d" * 64, "{}")
    pointer = replace(lineage.pointer(head.name), policy=copy)
    lineage.commit(replace(creation(head), writes=(Put(pointer),)))
    requests = []
    stage.dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.*", lambda params, **_: requests.append(dict(params))
    )
    calls.clear()

    alias = lineage.led_alias(head.name, "nightly")
    version = lineage.led_version(head.name, 1)

    assert (alias.record.target.version, alias.pointer.policy) == (1, copy)
    assert (version.record.number, version.pointer.policy) == (1, copy)
    assert calls == {"BatchGetItem": 2}
    assert all(request["RequestItems"]["lineage"]["ConsistentRead"] for request in requests)


def test_a_promotion_is_one_transaction(lineage, calls):
    head = with_champion(lineage)
    version, pointer = lineage.version(head.name, 1), lineage.pointer(head.name)
    later = NOON.replace(hour=13)
    calls.clear()

    lineage.commit(promotion(head, pointer, version, at=later, reason="again"))

    assert calls == {"TransactWriteItems": 1}


def test_the_champion_at_a_moment_and_a_page_are_one_query_each(lineage, calls):
    head = with_champion(lineage)
    calls.clear()

    lineage.reign_at(head.name, NOON)
    lineage.versions(head.name, limit=50, cursor=None)

    assert calls == {"Query": 2}


def test_texts_are_read_in_batches(lineage, calls, stage):
    with_champion(lineage)
    unknown = {f"{number:064x}" for number in range(120)}
    actor = PSEUDONYMS.actor("ada@example.org")
    calls.clear()

    found = lineage.texts(frozenset(unknown | {actor}))

    assert found == {actor: "ada@example.org"}
    assert calls == {"BatchGetItem": 3}


def test_a_list_beyond_one_answer_of_dynamodb_is_read_to_its_end(stage, calls):
    table = DynamoTable(stage.dynamodb, "lineage")
    for number in range(8):
        table.transact([PutItem({"pk": "A", "sk": f"{number}", "text": "x" * 350_000}, None)])
    calls.clear()

    found = table.query(Rows("A", "0", "9"), limit=8)

    assert [item["sk"] for item in found] == list("01234567")
    assert calls["Query"] >= 3


def test_what_was_left_unread_of_a_batch_is_asked_for_again(stubbed):
    key = {"pk": {"S": "A"}, "sk": {"S": "1"}}
    unread = {"lineage": {"Keys": [key], "ConsistentRead": True}}
    stubbed.stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": unread})
    stubbed.stub.add_response("batch_get_item", {"Responses": {"lineage": [key]}}, {"RequestItems": unread})

    found = stubbed.table.get_many([Key("A", "1")])

    assert found == [{"pk": "A", "sk": "1"}]
    assert len(stubbed.pauses) == 1


def test_a_batch_that_is_never_read_whole_is_unavailable(stubbed):
    unread = {"lineage": {"Keys": [{"pk": {"S": "A"}, "sk": {"S": "1"}}]}}
    for _ in range(BATCH_ATTEMPTS):
        stubbed.stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": unread})

    with pytest.raises(Unavailable, match="unread"):
        stubbed.table.get_many([Key("A", "1")])


def test_a_failed_condition_is_a_lost_race_at_once_and_names_the_item(stubbed):
    cancel(stubbed.stub, LOST, FINE)

    with pytest.raises(LostRace, match="A 1 changed since it was read"):
        stubbed.table.transact(WRITES)

    assert stubbed.pauses == []


def test_a_failed_condition_counts_more_than_a_conflict(stubbed):
    cancel(stubbed.stub, LOST, CONFLICT)

    with pytest.raises(LostRace, match="A 1"):
        stubbed.table.transact(WRITES)


def test_a_conflict_is_tried_again_with_growing_pauses(stubbed):
    cancel(stubbed.stub, CONFLICT, FINE)
    cancel(stubbed.stub, FINE, CONFLICT)
    stubbed.stub.add_response("transact_write_items", {}, {"TransactItems": ANY})

    stubbed.table.transact(WRITES)

    stubbed.stub.assert_no_pending_responses()
    assert stubbed.pauses == [0.02, 0.04]


def test_conflicts_that_go_on_are_a_lost_race(stubbed):
    for _ in range(CONFLICT_ATTEMPTS):
        cancel(stubbed.stub, CONFLICT, FINE)

    with pytest.raises(LostRace, match="kept coming first"):
        stubbed.table.transact(WRITES)

    stubbed.stub.assert_no_pending_responses()


@pytest.mark.parametrize("codes", [("ValidationError", FINE), (LOST, "ValidationError"), (FINE, FINE)])
def test_a_transaction_cancelled_for_another_reason_is_raised_as_it_is(stubbed, codes):
    cancel(stubbed.stub, *codes)

    with pytest.raises(ClientError, match="TransactionCanceledException"):
        stubbed.table.transact(WRITES)


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_throttled_transaction_is_unavailable(stubbed, code):
    cancel(stubbed.stub, FINE, code)

    with pytest.raises(Unavailable, match="try again"):
        stubbed.table.transact(WRITES)


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "InternalServerError"])
def test_a_throttled_read_is_unavailable(stubbed, code):
    stubbed.stub.add_client_error("get_item", code)

    with pytest.raises(Unavailable, match=code):
        stubbed.table.get(Key("A", "1"))


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"]
)
def test_every_other_error_is_raised_as_it_is(stubbed, code):
    stubbed.stub.add_client_error("get_item", code)
    stubbed.stub.add_client_error("transact_write_items", code)

    with pytest.raises(ClientError, match=code):
        stubbed.table.get(Key("A", "1"))
    with pytest.raises(ClientError, match=code):
        stubbed.table.transact(WRITES)


@pytest.mark.parametrize("error", [ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError])
def test_no_answer_is_unavailable(monkeypatch, stubbed, error):
    def fail(**_):
        raise error(endpoint_url="https://dynamodb", error="timed out")

    monkeypatch.setattr(stubbed.client, "get_item", fail)

    with pytest.raises(Unavailable, match="no answer"):
        stubbed.table.get(Key("A", "1"))


def test_a_commit_whose_answer_was_lost_is_sent_again_under_the_same_token(stage):
    tokens = []

    def fail_once(request, **_):
        tokens.append(json.loads(request.body)["ClientRequestToken"])
        return AWSResponse(request.url, 500 if len(tokens) == 1 else 200, {}, RawAnswer(b"{}"))

    stage.dynamodb.meta.events.register_first("before-send.dynamodb.TransactWriteItems", fail_once)

    DynamoTable(stage.dynamodb, "lineage").transact(WRITES)

    assert len(tokens) == 2
    assert len(set(tokens)) == 1


def test_numbers_come_back_whole_and_bytes_as_bytes(stage):
    item = {
        "pk": "A",
        "sk": "1",
        "n": 2**70,
        "no": False,
        "nothing": None,
        "raw": b"\x00\xff",
        "list": [1, {}],
    }
    table = DynamoTable(stage.dynamodb, "lineage")

    table.transact([PutItem(item, None)])

    found = table.get(Key("A", "1"))
    assert found == item
    assert type(found["n"]) is int


def test_a_stored_fraction_or_set_is_an_integrity_error():
    with pytest.raises(IntegrityError, match="isn't whole"):
        from_attributes({"n": {"N": "0.5"}})
    with pytest.raises(IntegrityError, match="type SS"):
        from_attributes({"n": {"SS": ["a"]}})


def test_a_fraction_cannot_be_stored():
    with pytest.raises(TiltyardError, match="float"):
        to_attributes({"n": 0.5})


def test_the_schema_names_both_indexes_with_all_attributes():
    schema = tables.lineage_schema()

    indexes = {index["IndexName"]: index for index in schema["GlobalSecondaryIndexes"]}
    assert indexes.keys() == {"inverse", "listing"}
    assert [key["AttributeName"] for key in indexes["inverse"]["KeySchema"]] == ["ipk", "isk"]
    assert {index["Projection"]["ProjectionType"] for index in indexes.values()} == {"ALL"}


def test_adapters_and_clients_are_made_once_and_forgotten_together(stage):
    first = aws.open_lineage(stage.settings)

    again = aws.open_lineage(stage.settings)
    aws.forget()

    assert again is first
    assert aws.open_lineage(stage.settings) is not first
    assert aws.open_artifacts(stage.settings)._client is aws.open_spool(stage.settings)._client


def test_a_stage_opened_from_its_settings_commits_and_reads(stage):
    lineage = aws.open_lineage(stage.settings)

    lineage.commit(replace(creation(new_model()), reason="because"))

    commitment = aws.open_pseudonyms(stage.settings).commitment("because")
    assert lineage.model("delays").changes == 1
    assert lineage.texts(frozenset({commitment})) == {commitment: "because"}
