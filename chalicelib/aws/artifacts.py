"""Content-addressed files on S3, under ``sha256/<hex>``.

An upload goes from the caller straight to S3. Its presigned request signs the
digest, the size and the media type, so S3 itself refuses other bytes; they are
checked again whenever they are read.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.aws.faults import ABSENT, code_of, passing_faults
from chalicelib.ports import Upload
from tiltyard.errors import ArtifactMissing, IntegrityError, InvalidInput, PayloadTooLarge

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD_LIFETIME = timedelta(minutes=15)

_SHA256 = re.compile(r"[0-9a-f]{64}")


class S3Artifacts:
    """The `ArtifactStore` port on a bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def size(self, sha256: str) -> int | None:
        key = _key(sha256)
        try:
            with passing_faults("looking for an artifact"):
                found = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as exc:
            if code_of(exc) not in ABSENT:
                raise
            return None
        return found["ContentLength"]

    def presign(self, sha256: str, *, size: int, media_type: str, now: datetime) -> Upload:
        checksum = _checksum(bytes.fromhex(_checked(sha256)))
        url = self._client.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._bucket,
                "Key": _key(sha256),
                "ChecksumSHA256": checksum,
                "ContentLength": size,
                "ContentType": media_type,
            },
            ExpiresIn=int(UPLOAD_LIFETIME.total_seconds()),
            HttpMethod="PUT",
        )
        headers = {
            "content-length": str(size),
            "content-type": media_type,
            "x-amz-checksum-sha256": checksum,
        }
        return Upload("PUT", url, headers, now + UPLOAD_LIFETIME)

    def read(self, sha256: str, *, limit: int) -> bytes:
        size = self.size(sha256)
        if size is None:
            raise ArtifactMissing(f"artifact {sha256} was never uploaded")
        if size > limit:
            raise PayloadTooLarge(f"artifact {sha256} has {size} bytes; at most {limit} are read here")
        with passing_faults("reading an artifact"):
            answer = self._client.get_object(Bucket=self._bucket, Key=_key(sha256))
            with answer["Body"] as body:
                # One byte more than was announced shows an object that was replaced in between.
                content = body.read(size + 1)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise IntegrityError(f"the stored bytes of artifact {sha256} have another digest")
        return content

    def write(self, content: bytes, *, media_type: str) -> str:
        digest = hashlib.sha256(content)
        with passing_faults("storing an artifact"):
            self._client.put_object(
                Bucket=self._bucket,
                Key=_key(digest.hexdigest()),
                Body=content,
                ContentType=media_type,
                ChecksumSHA256=_checksum(digest.digest()),
            )
        return digest.hexdigest()


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise InvalidInput(f"{sha256!r} isn't a SHA-256 in 64 lower-case hex digits")
    return sha256


def _key(sha256: str) -> str:
    return f"sha256/{_checked(sha256)}"


def _checksum(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
