"""Give back telemetry that was sealed into the log.

``python -m infra.unseal --stage … --key … --bucket … FILE``. FILE holds log lines as
they were written; other lines are passed over::

    aws logs filter-log-events --log-group-name … --filter-pattern '"sealed telemetry"' \\
        --query 'events[].message' --output text

Each record is unsealed with the operator's own credentials (``kms:Decrypt`` on the
telemetry key) and put into the lake's spool, from where the sweeper sends it. Doing it
twice changes nothing: rows are counted once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable

import boto3

from chalicelib.aws.sealing import KmsSealer
from chalicelib.aws.spool import S3Spool
from chalicelib.serving.telemetry import SEALED, UNSENT, decode


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=argparse.FileType("r"))
    parser.add_argument("--stage", required=True, help="the stage that sealed them")
    parser.add_argument("--key", required=True, help="the stack's output TelemetryKeyId")
    parser.add_argument("--bucket", required=True, help="the stack's output LakeBucketName")
    chosen = parser.parse_args(arguments)
    sealer = KmsSealer(boto3.client("kms"), chosen.key, stage=chosen.stage)
    spool = S3Spool(boto3.client("s3"), chosen.bucket)
    records, torn = sealed_records(chosen.file)
    for request_id, sealed in records.items():
        message = sealer.unseal(sealed)
        model = decode(message.decode())["model"]
        spool.write(f"{UNSENT}{model}/unsealed/{request_id}", message)
    print(f"{len(records)} records are in the spool; the sweeper sends them within 5 minutes.")
    for request_id in torn:
        print(f"request {request_id}: lines are missing; take a longer span of the log", file=sys.stderr)
    return int(bool(torn))


def sealed_records(lines: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Sealed texts by request, and the requests of which lines are missing."""
    parts: dict[str, dict[int, str]] = defaultdict(dict)
    totals = {}
    for line in lines:
        start = line.find("{")
        try:
            found = json.loads(line[start:]) if start >= 0 else {}
        except ValueError:
            continue  # another line of the log
        if isinstance(found, dict) and found.get("message") == SEALED:
            parts[found["request_id"]][found["part"]] = found["sealed"]
            totals[found["request_id"]] = found["parts"]
    whole = {
        name: "".join(held[i] for i in sorted(held))
        for name, held in parts.items()
        if len(held) == totals[name]
    }
    return whole, sorted(set(parts) - set(whole))


if __name__ == "__main__":
    sys.exit(main())
