"""Messages to an SQS queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.faults import passing_faults

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsQueue:
    """The `Queue` port; raises `Unavailable` when a message can't be handed over for now."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, body: str) -> None:
        with passing_faults("sending a message"):
            self._client.send_message(QueueUrl=self._url, MessageBody=body)
