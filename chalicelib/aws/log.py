"""The transparency log's files on S3, and the key that signs its checkpoints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.aws.faults import ABSENT, code_of, passing_faults
from tiltyard.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

_TAKEN = frozenset({"412", "PreconditionFailed"})
# Two conditional writes of one key at the same moment: S3 asks to try again.
_RACED = frozenset({"409", "ConditionalRequestConflict"})
_ED25519_BYTES = 32
PAUSES_S = (0.05, 0.2)


class S3Log:
    """The `LogObjects` port on the audit bucket, whose default retention locks every version of an object."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read(self, path: str) -> bytes | None:
        found = self.read_tagged(path)
        return None if found is None else found[0]

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        try:
            with passing_faults("reading the audit log"):
                answer = self._client.get_object(Bucket=self._bucket, Key=path)
                with answer["Body"] as body:
                    return body.read(), answer["ETag"]
        except ClientError as exc:
            if code_of(exc) in ABSENT:
                return None
            raise

    def put_new(self, path: str, content: bytes) -> bool:
        return self._put(path, content, {"IfNoneMatch": "*"})

    def swap(self, path: str, content: bytes, *, tag: str | None) -> bool:
        return self._put(path, content, {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag})

    def _put(self, path: str, content: bytes, condition: dict[str, str]) -> bool:
        for pause in PAUSES_S:
            try:
                return self._put_once(path, content, condition)
            except Unavailable:
                time.sleep(pause)
        return self._put_once(path, content, condition)

    def _put_once(self, path: str, content: bytes, condition: dict[str, str]) -> bool:
        try:
            with passing_faults("writing the audit log"):
                # A bucket with Object Lock takes only uploads that name a checksum.
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=path,
                    Body=content,
                    ChecksumAlgorithm="SHA256",
                    **condition,  # type: ignore[arg-type]
                )
        except ClientError as exc:
            if code_of(exc) in _TAKEN:
                return False
            if code_of(exc) in _RACED:
                raise Unavailable(f"{path} is being written by another notary; try again") from exc
            raise
        return True


class KmsSigner:
    """The `LogSigner` port: Ed25519 (RFC 8032) by a key that never leaves KMS."""

    def __init__(self, client: KMSClient, key_id: str) -> None:
        self._client = client
        self._key_id = key_id
        self._public_key: bytes | None = None

    def public_key(self) -> bytes:
        if self._public_key is None:
            with passing_faults("reading the audit log's public key"):
                answer = self._client.get_public_key(KeyId=self._key_id)
            # A SubjectPublicKeyInfo of Ed25519 ends with the key itself (RFC 8410, section 4).
            self._public_key = answer["PublicKey"][-_ED25519_BYTES:]
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        with passing_faults("signing a checkpoint"):
            answer = self._client.sign(
                KeyId=self._key_id,
                Message=message,
                MessageType="RAW",
                SigningAlgorithm="ED25519_SHA_512",
            )
        return answer["Signature"]
