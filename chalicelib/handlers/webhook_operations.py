"""The webhook routes in the OpenAPI document's table."""

from __future__ import annotations

from chalicelib.handlers import webhook_schemas
from chalicelib.handlers.access import OPERATE
from chalicelib.handlers.operation import CONDITIONAL, KEYED, PAGED, Operation
from chalicelib.handlers.webhooks import EVERY_LETTER, SEE
from tiltyard.errors import Conflict, NotFound

_ONE = "/v1/webhooks/{webhook}"

OPERATIONS = (
    Operation(
        "post",
        "/v1/webhooks",
        "createWebhook",
        "Have a team's changes sent to an address; the answer holds the secret",
        {201: webhook_schemas.WebhookWithSecret},
        OPERATE,
        webhook_schemas.NewWebhook,
        parameters=(KEYED,),
        problems=(Conflict,),
    ),
    Operation(
        "get",
        "/v1/webhooks",
        "listWebhooks",
        "A team's webhooks, by age",
        {200: webhook_schemas.WebhookPage},
        SEE,
        parameters=("team", *PAGED),
        problems=(NotFound,),
    ),
    Operation(
        "get",
        _ONE,
        "readWebhook",
        "A webhook, and how its last deliveries went",
        {200: webhook_schemas.Webhook},
        SEE,
        parameters=("team",),
        problems=(NotFound,),
    ),
    Operation(
        "patch",
        _ONE,
        "changeWebhook",
        "Change where a webhook leads, what it hears of, or switch it off",
        {200: webhook_schemas.Webhook},
        OPERATE,
        webhook_schemas.WebhookChanges,
        parameters=("team", KEYED, CONDITIONAL),
        problems=(NotFound,),
    ),
    Operation(
        "delete",
        _ONE,
        "deleteWebhook",
        "Delete a webhook",
        {204: None},
        OPERATE,
        parameters=("team", KEYED, CONDITIONAL),
        problems=(NotFound,),
    ),
    Operation(
        "post",
        f"{_ONE}/rotate",
        "rotateWebhookSecret",
        "Give a webhook another secret; the one before it signs, too, for 24 hours",
        {200: webhook_schemas.WebhookWithSecret},
        OPERATE,
        parameters=("team", KEYED, CONDITIONAL),
        problems=(NotFound,),
    ),
    Operation(
        "post",
        f"{_ONE}/test",
        "testWebhook",
        "Send a test event right away",
        {200: webhook_schemas.WebhookTest},
        OPERATE,
        parameters=("team",),
        problems=(NotFound,),
    ),
    Operation(
        "post",
        f"{_ONE}/redrive",
        "redriveWebhook",
        "Send a webhook again what it didn't take in ten attempts",
        {200: webhook_schemas.Redriven},
        OPERATE,
        parameters=("team",),
        problems=(NotFound,),
    ),
    Operation(
        "post",
        "/v1/events/redrive",
        "redriveEvents",
        "Send again whatever nobody took in ten attempts",
        {200: webhook_schemas.Redriven},
        EVERY_LETTER,
    ),
)
