"""The audit routes in the OpenAPI document's table."""

from __future__ import annotations

from chalicelib.handlers import audit_schemas
from chalicelib.handlers.access import READ
from chalicelib.handlers.operation import Operation
from tiltyard.errors import NotFound

OPERATIONS = (
    Operation(
        "get",
        "/v1/audit",
        "listAuditEntries",
        "The audit log (`auditor`, `admin`), or the changes of one model or of a team's own settings",
        {200: audit_schemas.AuditPage},
        READ,
        parameters=("model", "team", "from", "limit", "cursor"),
        problems=(NotFound,),
    ),
    Operation(
        "get",
        "/v1/audit/checkpoint",
        "readCheckpoint",
        "The latest signed checkpoint, or the one of a size",
        {200: audit_schemas.Checkpoint},
        READ,
        parameters=("size",),
        problems=(NotFound,),
    ),
    Operation(
        "get",
        "/v1/audit/proof/inclusion",
        "proveInclusion",
        "Proof that an entry is in the log, by index or by model and change",
        {200: audit_schemas.InclusionProof},
        READ,
        parameters=("index", "model", "change", "size"),
        problems=(NotFound,),
    ),
    Operation(
        "get",
        "/v1/audit/proof/consistency",
        "proveConsistency",
        "Proof that the log begins with the one of an earlier size",
        {200: audit_schemas.ConsistencyProof},
        READ,
        parameters=("first", "second"),
        problems=(NotFound,),
    ),
)
