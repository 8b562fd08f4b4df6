"""Objects under ``spool/`` of the lake bucket: what is too large for a queue message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chalicelib.aws.faults import passing_faults
from tiltyard.errors import InvalidInput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "spool/"

# Segments that don't start with a dot, so that no key leaves the prefix in any tool.
_KEY = re.compile(r"(?!\.)[A-Za-z0-9_=.-]+(/(?!\.)[A-Za-z0-9_=.-]+)*")


class S3Spool:
    """The `Spool` port; keys are relative to ``spool/``."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write(self, key: str, content: bytes) -> None:
        if not _KEY.fullmatch(key):
            raise InvalidInput(
                f"{key!r} isn't a spool key: segments of letters, digits and '_=.-' between '/'"
            )
        with passing_faults("spooling a record"):
            self._client.put_object(Bucket=self._bucket, Key=PREFIX + key, Body=content)
