"""Messages to and from SQS queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chalicelib.aws.faults import passing_faults
from chalicelib.ports import Letter

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# Of one ReceiveMessage.
BATCH = 10
# Long enough to send on what was received, short enough that others needn't wait for it.
HIDDEN_S = 30

_COUNTS: list[QueueAttributeNameType] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
]


class SqsQueue:
    """The `Queue` and the `DeliveryQueue` port; raises `Unavailable` when a message can't be handed over."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, body: str) -> None:
        with passing_faults("sending a message"):
            self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def postpone(self, receipt: str, seconds: int) -> None:
        with passing_faults("postponing a message"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
            )


class SqsGauge:
    """The `Gauge` port over queues' URLs by name."""

    def __init__(self, client: SQSClient, urls: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls

    def waiting(self) -> Mapping[str, int]:
        found = {}
        for name, url in self._urls.items():
            with passing_faults("asking how full a queue is"):
                answer = self._client.get_queue_attributes(
                    QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
                )
            found[name] = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        return found


class SqsDeadLetters:
    """The `DeadLetters` port."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def count(self) -> int:
        with passing_faults("counting dead letters"):
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=_COUNTS)
        return sum(int(answer["Attributes"].get(name, 0)) for name in _COUNTS)

    def receive(self) -> Sequence[Letter]:
        # A short wait asks every server that holds messages; without one, some are left out.
        with passing_faults("reading dead letters"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=1,
                VisibilityTimeout=HIDDEN_S,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [_letter(message) for message in answer.get("Messages", [])]

    def delete(self, receipt: str) -> None:
        with passing_faults("deleting a dead letter"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

    def release(self, receipt: str) -> None:
        with passing_faults("releasing a dead letter"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=0
            )


def _letter(message: MessageTypeDef) -> Letter:
    # A queue's dead letters keep the time at which they were sent to the queue itself.
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    return Letter(
        message["Body"], message["ReceiptHandle"], message["MessageId"], datetime.fromtimestamp(sent, UTC)
    )
