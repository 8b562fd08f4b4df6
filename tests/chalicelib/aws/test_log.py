"""The transparency log's files on moto's S3, its head and pending entries on moto's DynamoDB."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber
from fakes import TestSigner
from lineage_examples import creation, new_model, registration

from chalicelib import aws
from chalicelib.aws.log import PAUSES_S, S3Log
from chalicelib.governance.notary import LATEST, notarise
from tiltyard.audit.checkpoint import VerifierKey, open_note
from tiltyard.audit.merkle import verify_inclusion
from tiltyard.audit.tiles import Tiles
from tiltyard.errors import IntegrityError, Unavailable

ORIGIN = "tiltyard.test.audit-bucket"


@pytest.fixture
def objects(stage):
    stage.s3.create_bucket(
        Bucket="audit-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return aws.open_log_objects(stage.settings)


def test_a_file_is_put_once(objects):
    assert objects.read("tile/0/000") is None
    assert objects.put_new("tile/0/000", b"first")
    assert not objects.put_new("tile/0/000", b"second")
    assert objects.read("tile/0/000") == b"first"


def test_the_latest_checkpoint_is_swapped_by_who_read_it_last(objects):
    assert objects.swap(LATEST, b"1", tag=None)
    assert not objects.swap(LATEST, b"2", tag=None)
    content, tag = objects.read_tagged(LATEST)
    assert content == b"1"
    assert objects.swap(LATEST, b"2", tag=tag)
    assert not objects.swap(LATEST, b"3", tag=tag)
    assert objects.read(LATEST) == b"2"


def test_a_write_that_meets_another_one_of_the_same_moment_is_tried_again(stage):
    with Stubber(stage.s3) as stubber:
        stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        stubber.add_client_error("put_object", "PreconditionFailed", http_status_code=412)

        assert not S3Log(stage.s3, "audit-bucket").put_new("tile/0/000", b"x")


def test_writes_that_keep_meeting_are_for_another_time(stage):
    with Stubber(stage.s3) as stubber:
        for _ in range(1 + len(PAUSES_S)):
            stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)

        with pytest.raises(Unavailable):
            S3Log(stage.s3, "audit-bucket").put_new("tile/0/000", b"x")
        stubber.assert_no_pending_responses()


def test_the_notary_on_aws_logs_what_was_committed(stage, objects):
    lineage, table, signer = aws.open_lineage(stage.settings), aws.open_log(stage.settings), TestSigner()
    head = lineage.commit(creation(new_model()))
    for _ in range(30):
        head = lineage.commit(registration(head))

    assert notarise(table, objects, signer, origin=ORIGIN)

    checkpoint = open_note(objects.read(LATEST).decode(), VerifierKey(ORIGIN, signer.public_key()))
    tiles = Tiles(objects.read, checkpoint.size)
    assert (checkpoint.size, checkpoint.root) == (31, tiles.root())
    for index in range(31):
        verify_inclusion(tiles.leaf_hash(index), index, 31, tiles.inclusion_proof(index), checkpoint.root)
    assert [lineage.change("delays", number).index for number in range(1, 32)] == list(range(31))
    assert table.waiting(limit=1) == []


def test_a_checkpoint_that_nobody_signed_is_not_overwritten(stage, objects):
    aws.open_lineage(stage.settings).commit(creation(new_model()))
    objects.swap(LATEST, b"not a checkpoint", tag=None)

    with pytest.raises(IntegrityError):
        notarise(aws.open_log(stage.settings), objects, TestSigner(), origin=ORIGIN)

    assert objects.read(LATEST) == b"not a checkpoint"
