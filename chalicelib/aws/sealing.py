"""Records that could reach no store, sealed for the log: AES-256-GCM under a data key that KMS wraps."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from chalicelib.aws.faults import passing_faults
from tiltyard.errors import IntegrityError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_NONCE = 12
_LENGTH = 2


class KmsSealer:
    """The `Sealer` port. A sealed text is base64 of: the wrapped key and its length, nonce, ciphertext.

    The key is made anew for every record, since there are few of them, and is bound
    to the stage: what one stage sealed no other opens.
    """

    def __init__(self, client: KMSClient, key_id: str, *, stage: str) -> None:
        self._client = client
        self._key_id = key_id
        self._context = {"purpose": "tiltyard-telemetry", "stage": stage}

    def seal(self, content: bytes) -> str:
        # Here, for nothing else on the way to an answer needs it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        with passing_faults("sealing a record"):
            made = self._client.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=self._context
            )
        wrapped, nonce = made["CiphertextBlob"], os.urandom(_NONCE)
        sealed = AESGCM(made["Plaintext"]).encrypt(nonce, content, None)
        return base64.b64encode(len(wrapped).to_bytes(_LENGTH, "big") + wrapped + nonce + sealed).decode()

    def unseal(self, text: str) -> bytes:
        """What `seal` was given; raises `IntegrityError` for anything that it didn't make."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            content = base64.b64decode(text, validate=True)
        except ValueError as exc:
            raise IntegrityError("a sealed record isn't base64") from exc
        end = _LENGTH + int.from_bytes(content[:_LENGTH], "big")
        wrapped, nonce, sealed = content[_LENGTH:end], content[end : end + _NONCE], content[end + _NONCE :]
        try:
            answer = self._client.decrypt(
                CiphertextBlob=wrapped, KeyId=self._key_id, EncryptionContext=self._context
            )
            return AESGCM(answer["Plaintext"]).decrypt(nonce, sealed, None)
        except (self._client.exceptions.InvalidCiphertextException, InvalidTag, ValueError) as exc:
            raise IntegrityError("a sealed record was changed, or belongs to another stage") from exc
