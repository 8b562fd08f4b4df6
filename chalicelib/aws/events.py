"""Events on an EventBridge bus and an SNS topic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.aws.faults import passing_faults
from tiltyard.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

SOURCE = "tiltyard"


class EventBridgeBus:
    """The `Announcer` port: the CloudEvent is the detail and its type the detail type."""

    def __init__(self, client: EventBridgeClient, name: str) -> None:
        self._client = client
        self._name = name

    def publish(self, event: Mapping[str, Any]) -> None:
        with passing_faults("putting an event"):
            answer = self._client.put_events(
                Entries=[
                    {
                        "EventBusName": self._name,
                        "Source": SOURCE,
                        "DetailType": str(event["type"]),
                        "Time": datetime.fromisoformat(event["time"]),
                        "Detail": json.dumps(event, ensure_ascii=False),
                    }
                ]
            )
        # The call succeeds whatever becomes of its entries.
        if answer["FailedEntryCount"]:
            entry = answer["Entries"][0]
            raise Unavailable(f"the bus refused an event: {entry.get('ErrorCode')}; try again")


class SnsTopic:
    """The `Announcer` port: the CloudEvent is the message, with attributes to filter by."""

    def __init__(self, client: SNSClient, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, event: Mapping[str, Any]) -> None:
        data = event["data"]
        attributes = {
            "type": event["type"],
            "team": data["team"],
            "model": data["model"],
            "severity": data.get("result", {}).get("severity"),
        }
        with passing_faults("publishing an event"):
            self._client.publish(
                TopicArn=self._arn,
                Message=json.dumps(event, ensure_ascii=False),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in attributes.items()
                    if value
                },
            )
