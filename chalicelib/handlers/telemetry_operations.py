"""The routes on telemetry and its counts in the OpenAPI document's table."""

from __future__ import annotations

from chalicelib.handlers import telemetry_schemas
from chalicelib.handlers.access import DESCRIBE
from chalicelib.handlers.operation import Operation
from chalicelib.handlers.telemetry import EVERY_TEAM

OPERATIONS = (
    Operation(
        "post",
        "/v1/models/{model}/reconciliations",
        "reconcile",
        "Count a day's rows again from the lake, against its windows; `mend` puts right what differs",
        {200: telemetry_schemas.Reconciliation},
        DESCRIBE,
        telemetry_schemas.ReconciliationRequest,
    ),
    Operation(
        "get",
        "/v1/telemetry/dead-letters",
        "readTelemetryDeadLetters",
        "How much telemetry couldn't be counted in five attempts, and what is the matter with some of it",
        {200: telemetry_schemas.DeadLetters},
        EVERY_TEAM,
    ),
    Operation(
        "post",
        "/v1/telemetry/redrive",
        "redriveTelemetry",
        "Have telemetry counted again that couldn't be: up to 1,000 messages, within 20 seconds",
        {200: telemetry_schemas.TelemetryRedriven},
        EVERY_TEAM,
    ),
)
