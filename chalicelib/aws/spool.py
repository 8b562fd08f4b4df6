"""Objects of the lake bucket: telemetry too large for a queue message, and the rows themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.aws.faults import ABSENT, code_of, passing_faults
from tiltyard.errors import InvalidInput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "spool/"
UNSENT = "unsent/"

# Segments that don't start with a dot, so that no key leaves the prefix in any tool.
_KEY = re.compile(r"(?!\.)[A-Za-z0-9_=.-]+(/(?!\.)[A-Za-z0-9_=.-]+)*")


class S3Spool:
    """The `Spool` and `SpoolReader` ports; keys are relative to ``spool/``."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write(self, key: str, content: bytes) -> None:
        path = PREFIX + _checked(key)
        with passing_faults("spooling a record"):
            self._client.put_object(Bucket=self._bucket, Key=path, Body=content)

    def read(self, key: str) -> bytes | None:
        return _read(self._client, self._bucket, PREFIX + _checked(key))

    def unsent(self, limit: int) -> Sequence[str]:
        with passing_faults("listing the spool"):
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=PREFIX + UNSENT, MaxKeys=limit)
        return [found["Key"].removeprefix(PREFIX) for found in answer.get("Contents", [])]

    def delete(self, key: str) -> None:
        path = PREFIX + _checked(key)
        with passing_faults("deleting a spooled record"):
            self._client.delete_object(Bucket=self._bucket, Key=path)


class S3Lake:
    """The `Lake` port; keys are whole and begin with ``rows/``."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write(self, key: str, content: bytes) -> None:
        path = _checked(key)
        with passing_faults("writing to the lake"):
            self._client.put_object(
                Bucket=self._bucket, Key=path, Body=content, ContentType="application/x-ndjson"
            )

    def read(self, key: str) -> bytes | None:
        return _read(self._client, self._bucket, _checked(key))

    def keys(self, prefix: str) -> Iterator[str]:
        path = f"{_checked(prefix.removesuffix('/'))}/"
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=path))
        while True:
            # Around the request alone: what the caller does with a page is no fault of the lake's.
            with passing_faults("listing the lake"):
                page = next(pages, None)
            if page is None:
                return
            yield from (found["Key"] for found in page.get("Contents", []))


def _read(client: S3Client, bucket: str, key: str) -> bytes | None:
    try:
        with passing_faults("reading the lake"):
            answer = client.get_object(Bucket=bucket, Key=key)
            with answer["Body"] as body:
                return body.read()
    except ClientError as exc:
        if code_of(exc) in ABSENT:
            return None
        raise


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"{key!r} isn't a key: segments of letters, digits and '_=.-' between '/'")
    return key
