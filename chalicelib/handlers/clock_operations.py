"""The clock's routes in the OpenAPI document's table."""

from __future__ import annotations

from chalicelib.handlers import clock_schemas
from chalicelib.handlers.clock import EVERY_TEAM
from chalicelib.handlers.operation import Operation
from tiltyard.errors import Conflict, InvalidInput

OPERATIONS = (
    Operation(
        "get",
        "/v1/clock",
        "readClock",
        "What time it is for decisions, and up to when hours are closed",
        {200: clock_schemas.Clock},
        frozenset(),
    ),
    Operation(
        "post",
        "/v1/clock",
        "tick",
        "Put a replay's clock forward on a local stage, and close the hours that are due by it",
        {200: clock_schemas.Clock},
        EVERY_TEAM,
        clock_schemas.TickRequest,
        problems=(Conflict, InvalidInput),
    ),
)
