"""Sealed telemetry given back, on moto: from the log's lines into the spool."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from chalicelib.aws.sealing import KmsSealer
from chalicelib.aws.spool import S3Spool
from chalicelib.serving import telemetry
from infra.unseal import main


@pytest.fixture
def stage(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="lake")
        yield boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]


def test_records_come_back_to_the_spool(stage, tmp_path, capsys):
    message = telemetry.encode({"format": 1, "model": "delays", "request_id": "r-1", "n": 0})
    telemetry._seal(message, KmsSealer(boto3.client("kms"), stage, stage="prod"), request_id="r-1")
    line = capsys.readouterr().out
    log = tmp_path / "log"
    log.write_text(f"START RequestId\n{line}2026-02-01T06:15:00Z\tr-1\t{line}END\n")

    code = main([str(log), "--stage", "prod", "--key", stage, "--bucket", "lake"])

    spool = S3Spool(boto3.client("s3"), "lake")
    (key,) = spool.unsent(10)
    assert code == 0
    assert spool.read(key) == message.encode()
    assert "1 records are in the spool" in capsys.readouterr().out


def test_a_log_without_sealed_records_gives_none(stage, tmp_path, capsys):
    log = tmp_path / "log"
    log.write_text("START\nEND\n")

    assert main([str(log), "--stage", "prod", "--key", stage, "--bucket", "lake"]) == 0
    assert "0 records" in capsys.readouterr().out
