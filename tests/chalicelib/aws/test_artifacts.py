"""Content-addressed files, spooled records and messages on moto's S3 and SQS."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from chalicelib import aws
from chalicelib.aws.artifacts import S3Artifacts
from chalicelib.aws.spool import S3Spool
from tiltyard.errors import ArtifactMissing, IntegrityError, InvalidInput, PayloadTooLarge, Unavailable

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTENT = b"a model's bytes"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def artifacts(stage):
    return aws.open_artifacts(stage.settings)


def test_what_was_written_is_read_back_under_its_digest(artifacts, stage):
    sha256 = artifacts.write(CONTENT, media_type="application/octet-stream")

    assert sha256 == DIGEST
    assert artifacts.size(DIGEST) == len(CONTENT)
    assert artifacts.read(DIGEST, limit=len(CONTENT)) == CONTENT
    stored = stage.s3.head_object(Bucket="artifacts-bucket", Key=f"sha256/{DIGEST}")
    assert stored["ContentType"] == "application/octet-stream"


def test_an_empty_file_is_a_file(artifacts):
    sha256 = artifacts.write(b"", media_type="text/plain")

    assert artifacts.size(sha256) == 0
    assert artifacts.read(sha256, limit=0) == b""


def test_what_was_never_uploaded_has_no_size_and_cannot_be_read(artifacts):
    assert artifacts.size(DIGEST) is None
    with pytest.raises(ArtifactMissing, match=DIGEST):
        artifacts.read(DIGEST, limit=100)


def test_what_is_too_large_is_refused_before_a_byte_is_downloaded(artifacts):
    artifacts.write(CONTENT, media_type="text/plain")
    downloads = []
    artifacts._client.meta.events.register("before-call.s3.GetObject", lambda **_: downloads.append(1))

    with pytest.raises(PayloadTooLarge, match=f"{len(CONTENT)} bytes; at most 3"):
        artifacts.read(DIGEST, limit=3)

    assert downloads == []


@pytest.mark.parametrize("stored", [b"other bytes, larger than announced", b"short", b"b model's bytes"])
def test_bytes_with_another_digest_are_never_returned(artifacts, stage, stored):
    stage.s3.put_object(Bucket="artifacts-bucket", Key=f"sha256/{DIGEST}", Body=stored)

    with pytest.raises(IntegrityError, match="another digest"):
        artifacts.read(DIGEST, limit=1000)


def test_an_upload_signs_digest_size_and_media_type(artifacts):
    upload = artifacts.presign(DIGEST, size=15, media_type="application/json", now=NOON)

    query = parse_qs(urlsplit(upload.url).query)
    assert upload.method == "PUT"
    assert urlsplit(upload.url).hostname == "artifacts-bucket.s3.eu-west-1.amazonaws.com"
    assert urlsplit(upload.url).path == f"/sha256/{DIGEST}"
    assert set(query["X-Amz-SignedHeaders"][0].split(";")) == {"host", *upload.headers}
    assert upload.headers == {
        "content-length": "15",
        "content-type": "application/json",
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(CONTENT).digest()).decode(),
    }
    assert query["X-Amz-Expires"] == ["900"]
    assert upload.expires_at == NOON + timedelta(minutes=15)


@pytest.mark.parametrize("name", ["", "A" * 64, "../" + "a" * 61, DIGEST[:-1], DIGEST + "0", DIGEST + "\n"])
def test_a_name_that_is_no_digest_is_refused_before_s3_is_asked(name):
    artifacts = S3Artifacts(None, "artifacts-bucket")

    for use in (
        lambda: artifacts.size(name),
        lambda: artifacts.read(name, limit=1),
        lambda: artifacts.presign(name, size=1, media_type="text/plain", now=NOON),
    ):
        with pytest.raises(InvalidInput, match="isn't a SHA-256"):
            use()


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [("403", 403, ClientError), ("503", 503, Unavailable), ("SlowDown", 503, Unavailable)],
)
def test_a_refused_look_is_not_taken_for_an_absent_file(stage, code, status, raised):
    with Stubber(stage.s3) as stub:
        stub.add_client_error("head_object", code, http_status_code=status)

        with pytest.raises(raised):
            S3Artifacts(stage.s3, "artifacts-bucket").size(DIGEST)


def test_a_spooled_record_lies_under_its_prefix(stage):
    aws.open_spool(stage.settings).write("telemetry/2026-03-01/0190.gz", b"record")

    stored = stage.s3.get_object(Bucket="lake-bucket", Key="spool/telemetry/2026-03-01/0190.gz")
    assert stored["Body"].read() == b"record"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a b", "a\n"])
def test_a_spool_key_that_leaves_the_prefix_is_refused_before_s3_is_asked(key):
    with pytest.raises(InvalidInput, match="isn't a key"):
        S3Spool(None, "lake-bucket").write(key, b"record")


def test_messages_reach_their_own_queue(stage):
    aws.open_telemetry_queue(stage.settings).send("counts")
    aws.open_examination_queue(stage.settings).send("version 3")

    def received(url):
        return [m["Body"] for m in stage.sqs.receive_message(QueueUrl=url).get("Messages", [])]

    assert received(stage.settings.telemetry_queue_url) == ["counts"]
    assert received(stage.settings.examination_queue_url) == ["version 3"]


def test_a_throttled_queue_is_unavailable(stage):
    queue = aws.open_telemetry_queue(stage.settings)
    with Stubber(queue._client) as stub:
        stub.add_client_error("send_message", "RequestThrottled")

        with pytest.raises(Unavailable, match="sending a message"):
            queue.send("counts")
