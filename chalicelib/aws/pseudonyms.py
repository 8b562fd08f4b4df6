"""Pseudonyms under the stage's pepper: 32 random bytes that only KMS can unwrap.

The wrapped pepper is one item of the lineage table, made once for all time:
another pepper would give everybody another pseudonym and void every commitment.
It is unwrapped once a container and lives in memory only.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from chalicelib.aws.dynamo import DynamoTable
from chalicelib.aws.faults import passing_faults
from chalicelib.lineage import items
from chalicelib.lineage.items import Key
from chalicelib.lineage.pseudonyms import PEPPER_BYTES, KeyedPseudonyms
from chalicelib.lineage.writes import Absent, PutItem
from tiltyard.errors import IntegrityError, LostRace

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_KEY = Key(items.PEPPER, items.PEPPER)


class KmsPseudonyms:
    """The `Pseudonyms` port; fetches the pepper on first use, whichever thread comes first."""

    def __init__(self, kms: KMSClient, table: DynamoTable, *, key_id: str, stage: str) -> None:
        self._kms = kms
        self._table = table
        self._key_id = key_id
        # KMS unwraps it under the same context only: a pepper copied to another stage stays shut.
        self._context = {"purpose": "tiltyard-pepper", "stage": stage}
        self._lock = threading.Lock()
        self._unwrapped: KeyedPseudonyms | None = None

    def actor(self, name: str) -> str:
        return self._keyed.actor(name)

    def subject(self, subject_id: str) -> str:
        return self._keyed.subject(subject_id)

    def commitment(self, text: str) -> str:
        return self._keyed.commitment(text)

    def webhook_secret(self, webhook_id: str, rotation: int) -> str:
        return self._keyed.webhook_secret(webhook_id, rotation)

    @property
    def _keyed(self) -> KeyedPseudonyms:
        if self._unwrapped is None:
            with self._lock:
                # Who waited for the lock finds the work done.
                if self._unwrapped is None:
                    self._unwrapped = self._unwrap(self._stored() or self._made())
        return self._unwrapped

    def _unwrap(self, wrapped: bytes) -> KeyedPseudonyms:
        with passing_faults("unwrapping the pepper"):
            answer = self._kms.decrypt(
                CiphertextBlob=wrapped, KeyId=self._key_id, EncryptionContext=self._context
            )
        return KeyedPseudonyms(answer["Plaintext"])

    def _stored(self) -> bytes | None:
        item = self._table.get(_KEY)
        return None if item is None else bytes(item["wrapped"])

    def _made(self) -> bytes:
        """Put a new pepper if there is none, and take the one that is there then."""
        with passing_faults("making the pepper"):
            answer = self._kms.generate_data_key(
                KeyId=self._key_id, NumberOfBytes=PEPPER_BYTES, EncryptionContext=self._context
            )
        wrapped = answer["CiphertextBlob"]
        try:
            self._table.transact([PutItem(items.pepper_item(wrapped), Absent())])
        except LostRace as exc:
            # Another container was first, and its pepper is the stage's.
            stored = self._stored()
            if stored is None:
                raise IntegrityError("the pepper vanished while it was made") from exc
            return stored
        return wrapped
