"""Bodies of the webhook routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from chalicelib.handlers.schema_types import Description, Name, Schema, Team, Time
from chalicelib.lineage.alerts import Severity

Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048),
    Field(json_schema_extra={"format": "uri"}, description="https://; nothing but the public Internet"),
]
Events = Annotated[
    list[Annotated[str, StringConstraints(max_length=64)]],
    Field(max_length=64, description="Actions (champion.promote) or groups of them (champion.*); none: all"),
]
Models = Annotated[list[Name], Field(max_length=50, description="None: all of the team's")]


class NewWebhook(Schema):
    team: Team
    url: Url
    events: Events = Field([])
    models: Models = Field([])
    description: Description = ""
    severity: Severity = Field("info", description="Of alerts, send those of it and above")


class WebhookChanges(Schema):
    """What is left out stays as it is."""

    url: Url | None = None
    events: Events | None = None
    models: Models | None = None
    description: Description | None = None
    severity: Severity | None = None
    enabled: bool | None = None


class DeliveryAttempt(Schema):
    at: Time
    event: str = Field(description="The event's id")
    detail: str


class Webhook(Schema):
    id: str
    team: Team
    url: str
    events: list[str]
    models: list[Name]
    description: str
    severity: Severity
    enabled: bool
    created_at: Time
    created_by: str | None = Field(description="Null once erased")
    rotation: int = Field(ge=1, description="Counts the secrets it has had")
    rotated_at: Time | None
    last_taken: DeliveryAttempt | None
    last_failed: DeliveryAttempt | None


class WebhookWithSecret(Webhook):
    secret: str | None = Field(
        description="Shown in this answer alone; null when a repeated request comes after another rotation"
    )


class WebhookPage(Schema):
    items: list[Webhook]
    next: str | None


class WebhookTest(Schema):
    event: str
    taken: bool = Field(description="Whether the receiver answered with 2xx")
    status: int | None = Field(description="Null when nobody answered")
    detail: str
    milliseconds: int = Field(ge=0)


class Redriven(Schema):
    moved: int = Field(ge=0, description="Deliveries that are on their way again")
    all: bool = Field(description="False when time ran out first: ask again")
