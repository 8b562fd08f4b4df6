"""The lineage routes in the OpenAPI document's table."""

from __future__ import annotations

from chalicelib.handlers.access import READ
from chalicelib.handlers.lineage_schemas import LineageAnswer
from chalicelib.handlers.operation import Operation
from tiltyard.errors import NotFound

_WALK = ("direction", "depth", "format", "limit", "cursor")

OPERATIONS = (
    Operation(
        "get",
        "/v1/models/{model}/lineage",
        "readLineage",
        "What a version came from, and what came of it",
        {200: LineageAnswer},
        READ,
        parameters=("version", *_WALK),
    ),
    Operation(
        "get",
        "/v1/lineage/{digest}",
        "readLineageOfDigest",
        "The lineage of whatever has this digest: a version, a run, a data set, a file, a policy",
        {200: LineageAnswer},
        READ,
        parameters=_WALK,
        problems=(NotFound,),
    ),
)
