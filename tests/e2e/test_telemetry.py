"""Telemetry on the deployed stack: what was answered is stored, counted and in the lake, a moment later."""

import gzip
import json
import time

import numpy as np
import pandas as pd


def waited_for(find, timeout_s=60):
    """What `find` gives as soon as it is true."""
    end = time.monotonic() + timeout_s
    while not (found := find()):
        assert time.monotonic() < end, f"nothing came within {timeout_s} s"
        time.sleep(0.2)
    return found


def test_every_row_of_a_request_is_stored_once(live, champion):
    ids = [f"telemetry-{number}" for number in range(300)]
    rows = pd.DataFrame({"height": np.linspace(-2, 2, 300), "width": np.linspace(2, -2, 300)})
    with live.client("caller") as client:
        client.predict(champion, rows, ids=ids)

    ledger = live.aws("dynamodb")

    def stored():
        item = ledger.get_item(
            TableName=live.outputs["LedgerTableName"],
            Key={"pk": {"S": f"P#{champion}#{ids[-1]}"}, "sk": {"S": "ROW"}},
        )
        return item.get("Item")

    item = waited_for(stored)
    bucket = live.outputs["LakeBucketName"]
    content = live.aws("s3").get_object(Bucket=bucket, Key=item["lake"]["S"])["Body"].read()
    lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert lines[int(item["line"]["N"])]["id"] == ids[-1]
    assert {line["id"] for line in lines} >= set(ids)
