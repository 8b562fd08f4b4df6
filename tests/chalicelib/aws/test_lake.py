"""The lake on moto: whole keys, listed by folder."""

from __future__ import annotations

import pytest

from chalicelib import aws
from tiltyard.errors import InvalidInput

FOLDER = "rows/model=delays/version=1/day=2026-02-01/hour=06/"


def test_a_folder_is_listed_to_its_end(stage):
    lake = aws.open_lake(stage.settings)
    keys = [f"{FOLDER}{number:04d}.ndjson.gz" for number in range(1001)]
    for key in [*keys, FOLDER.replace("version=1/", "version=11/") + "x", FOLDER.replace("06/", "07/") + "x"]:
        stage.s3.put_object(Bucket=stage.settings.lake_bucket, Key=key, Body=b"")

    assert list(lake.keys(FOLDER)) == keys
    assert list(lake.keys(FOLDER.replace("06/", "08/"))) == []


@pytest.mark.parametrize("prefix", ["", "/", "rows/../spool/", "rows/model=a b/", "rows/*/"])
def test_what_is_no_folder_is_not_listed(stage, prefix):
    with pytest.raises(InvalidInput):
        list(aws.open_lake(stage.settings).keys(prefix))


def test_what_was_written_is_read_and_what_was_not_is_none(stage):
    lake = aws.open_lake(stage.settings)
    lake.write(f"{FOLDER}x", b"rows")

    assert lake.read(f"{FOLDER}x") == b"rows"
    assert lake.read(f"{FOLDER}y") is None
