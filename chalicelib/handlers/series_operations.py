"""The monitoring routes in the OpenAPI document's table."""

from __future__ import annotations

from chalicelib.handlers import series_schemas
from chalicelib.handlers.access import READ
from chalicelib.handlers.anomalies import LOOK
from chalicelib.handlers.operation import Operation
from tiltyard.errors import InvalidInput

SPAN = ("from", "to", "step", "version", "known_on")

OPERATIONS = (
    Operation(
        "get",
        "/v1/models/{model}/anomalies",
        "readAnomalies",
        "Odd rows to look at, the latest hour's first, personal columns masked",
        {200: series_schemas.OddRows},
        LOOK,
        parameters=("from", "to", "kind", "version", "limit", "cursor"),
        problems=(InvalidInput,),
    ),
    Operation(
        "get",
        "/v1/models/{model}/drift",
        "readDrift",
        "Drift of every column, of columns together and of the prediction, with verdicts",
        {200: series_schemas.Drift},
        READ,
        parameters=SPAN,
        problems=(InvalidInput,),
    ),
    Operation(
        "get",
        "/v1/models/{model}/quality",
        "readQuality",
        "Data quality by hour, day or week",
        {200: series_schemas.Quality},
        READ,
        parameters=SPAN,
        problems=(InvalidInput,),
    ),
)
