"""Messages to and from SQS queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from chalicelib.aws.faults import passing_faults
from chalicelib.ports import Letter
from tiltyard.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Of one SendMessageBatch: entries, and bytes in all.
BATCH = 10
BATCH_BYTES = 256 * 1024
# Long enough to send on what was received, short enough that others needn't wait for it.
HIDDEN_S = 30


class SqsQueue:
    """The `Queue` and the `DeliveryQueue` port; raises `Unavailable` when a message can't be handed over."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, body: str) -> None:
        with passing_faults("sending a message"):
            self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def send_many(self, bodies: Sequence[str]) -> None:
        for batch in _batches(bodies):
            with passing_faults("sending messages"):
                answer = self._client.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(batch)],
                )
            refused = answer.get("Failed", [])
            if refused:
                codes = ", ".join(sorted({entry["Code"] for entry in refused}))
                raise Unavailable(
                    f"{len(refused)} of {len(batch)} messages weren't taken ({codes}); try again"
                )

    def postpone(self, receipt: str, seconds: int) -> None:
        with passing_faults("postponing a message"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
            )


class SqsDeadLetters:
    """The `DeadLetters` port."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def receive(self) -> Sequence[Letter]:
        # A short wait asks every server that holds messages; without one, some are left out.
        with passing_faults("reading dead letters"):
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=1, VisibilityTimeout=HIDDEN_S
            )
        return [Letter(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", [])]

    def delete(self, receipt: str) -> None:
        with passing_faults("deleting a dead letter"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

    def release(self, receipt: str) -> None:
        with passing_faults("releasing a dead letter"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=0
            )


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == BATCH or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch
