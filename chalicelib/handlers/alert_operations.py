"""The alert routes in the OpenAPI document's table."""

from __future__ import annotations

from chalicelib.handlers import alert_schemas
from chalicelib.handlers.access import READ
from chalicelib.handlers.alerts import ACT
from chalicelib.handlers.operation import KEYED, PAGED, Operation
from tiltyard.errors import Conflict, NotFound

_ONE = "/v1/alerts/{alert}"

OPERATIONS = (
    Operation(
        "get",
        "/v1/alerts",
        "listAlerts",
        "Alerts of your teams, newest first: the active ones, unless a state is named",
        {200: alert_schemas.AlertPage},
        READ,
        parameters=("state", "model", "severity", *PAGED),
        problems=(NotFound,),
    ),
    Operation(
        "get",
        _ONE,
        "readAlert",
        "An alert, with the figures that raised it",
        {200: alert_schemas.Alert},
        READ,
        problems=(NotFound,),
    ),
    Operation(
        "post",
        f"{_ONE}/acknowledge",
        "acknowledgeAlert",
        "Say that somebody is at it",
        {200: alert_schemas.Alert},
        ACT,
        alert_schemas.Acknowledgement,
        parameters=(KEYED,),
        problems=(NotFound, Conflict),
    ),
    Operation(
        "post",
        f"{_ONE}/resolve",
        "resolveAlert",
        "Say that it is taken care of, and how; it alerts again only after it was over once",
        {200: alert_schemas.Alert},
        ACT,
        alert_schemas.Resolution,
        parameters=(KEYED,),
        problems=(NotFound, Conflict),
    ),
)
