"""The table of operations that the OpenAPI document is made of: one entry a route and method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from chalicelib.handlers import protocol_schemas, schemas
from chalicelib.handlers.access import (
    DESCRIBE,
    OPERATE,
    PREDICT,
    PREDICT_VERSION,
    READ,
    REGISTER,
)
from tiltyard.errors import (
    ArtifactMissing,
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    Incompatible,
    InvalidBundle,
    InvalidInput,
    InvalidRows,
    LostRace,
    MalformedRequest,
    NotFound,
    NotReady,
    PayloadTooLarge,
    PolicyMisfit,
    PreconditionFailed,
    TiltyardError,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

Problems = tuple[type[TiltyardError], ...]

ALWAYS: Problems = (MalformedRequest, UnsupportedMediaType, TiltyardError, Unavailable)
WITH_TOKEN: Problems = (Unauthenticated, Forbidden)
WITH_BODY: Problems = (PayloadTooLarge, InvalidInput)
AS_WRITE: Problems = (IdempotencyMismatch, LostRace)

LIMIT, CURSOR, AS_OF, VERSION, NUMBER = "limit", "cursor", "as_of", "version", "number"
PAGED = (LIMIT, CURSOR)
KEYED = "Idempotency-Key"
CONDITIONAL = "If-Match"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `answers` maps a status to its body, `roles` of None means that no token is asked for.

    An empty `roles` means any token. `parameters` are query parameters and
    request headers by name; those of the path come from it. `media` are the
    types of an answer that has no schema of its own.
    """

    method: str
    path: str
    id: str
    summary: str
    answers: Mapping[int, type[BaseModel] | None]
    roles: frozenset[str] | None = None
    body: type[BaseModel] | None = None
    parameters: tuple[str, ...] = ()
    problems: Problems = field(default=())
    media: tuple[str, ...] = ("application/json",)

    @property
    def all_problems(self) -> frozenset[type[TiltyardError]]:
        found = {*self.problems, *ALWAYS}
        if self.roles is not None:
            found.update(WITH_TOKEN)
        if self.body is not None:
            found.update(WITH_BODY)
        if KEYED in self.parameters:
            found.update(AS_WRITE)
        if CONDITIONAL in self.parameters:
            found.add(PreconditionFailed)
        if "{model}" in self.path:
            found.add(NotFound)
        return frozenset(found)


def _inference(path: str, of: str, roles: frozenset[str]) -> tuple[Operation, ...]:
    """The Open Inference Protocol's operations on a model, or on one version of it."""
    what = of.lower()
    return (
        Operation(
            "get",
            path,
            f"read{of}Metadata",
            f"What a {what} takes and gives (OIP v2)",
            {200: protocol_schemas.ModelMetadata},
            roles,
            problems=(NotReady,),
        ),
        Operation(
            "get",
            f"{path}/ready",
            f"is{of}Ready",
            f"Whether a {what} answers (OIP v2)",
            {200: protocol_schemas.ModelReady},
            roles,
            problems=(NotReady,),
        ),
        Operation(
            "post",
            f"{path}/infer",
            f"inferBy{of}",
            f"Answer tensors by a {what} (OIP v2)",
            {200: protocol_schemas.InferenceAnswer},
            roles,
            protocol_schemas.InferenceRequest,
            problems=(InvalidRows, NotReady),
        ),
    )


_MODEL = "/v1/models/{model}"

_INFERENCE = "/v2/models/{model}"

OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/v1/health/live", "isLive", "Whether a function runs", {200: schemas.Health}),
    Operation("get", "/v1/health/ready", "isReady", "Whether the store answers", {200: schemas.Health}),
    Operation("get", "/openapi.json", "readOpenApi", "This document", {200: None}),
    Operation(
        "get",
        "/docs",
        "tryModel",
        "A page that sends a model its example row",
        {200: None},
        media=("text/html",),
    ),
    Operation(
        "get", "/docs/api", "browseApi", "This document in Swagger UI", {200: None}, media=("text/html",)
    ),
    Operation(
        "get",
        "/docs/assets/{release}/{name}",
        "readAsset",
        "A file of the pages",
        {200: None},
        problems=(NotFound,),
        media=("text/css", "text/javascript", "image/svg+xml"),
    ),
    Operation("get", "/v1/me", "readMe", "Who the caller is", {200: schemas.Me}, frozenset()),
    Operation(
        "post",
        "/v1/models",
        "createModel",
        "Create a model",
        {201: schemas.Model},
        REGISTER,
        schemas.NewModel,
        (KEYED,),
        (Conflict,),
    ),
    Operation(
        "get",
        "/v1/models",
        "listModels",
        "List the models of one's teams",
        {200: schemas.ModelPage},
        READ,
        parameters=PAGED,
    ),
    Operation("get", _MODEL, "readModel", "Read a model", {200: schemas.Model}, READ),
    Operation(
        "patch",
        _MODEL,
        "changeModel",
        "Change a model's owner, description or team",
        {200: schemas.Model},
        DESCRIBE,
        schemas.ModelChanges,
        (KEYED, CONDITIONAL),
    ),
    Operation(
        "post",
        "/v1/artifacts",
        "offerUpload",
        "Ask where to upload a file",
        {200: schemas.UploadOffer, 201: schemas.UploadOffer},
        REGISTER,
        schemas.FileToUpload,
        problems=(InvalidBundle,),
    ),
    Operation(
        "post",
        f"{_MODEL}/versions",
        "registerVersion",
        "Register an uploaded bundle; 200 when it is there already and wasn't rejected",
        {200: schemas.Version, 202: schemas.Version},
        REGISTER,
        schemas.NewVersion,
        (KEYED,),
        (InvalidBundle, ArtifactMissing),
    ),
    Operation(
        "get",
        f"{_MODEL}/versions",
        "listVersions",
        "List versions, newest first",
        {200: schemas.VersionPage},
        READ,
        parameters=PAGED,
    ),
    Operation(
        "get",
        f"{_MODEL}/versions/{{version}}",
        "readVersion",
        "Read a version",
        {200: schemas.Version},
        READ,
    ),
    Operation(
        "get",
        f"{_MODEL}/versions/{{version}}/contract",
        "readContract",
        "What a version takes: its signature and an example row",
        {200: schemas.Contract},
        READ,
        problems=(NotReady,),
    ),
    Operation(
        "get",
        f"{_MODEL}/aliases",
        "listAliases",
        "List aliases",
        {200: schemas.AliasPage},
        READ,
        parameters=PAGED,
    ),
    Operation("get", f"{_MODEL}/aliases/{{alias}}", "readAlias", "Read an alias", {200: schemas.Alias}, READ),
    Operation(
        "put",
        f"{_MODEL}/aliases/{{alias}}",
        "setAlias",
        "Point an alias at a version",
        {200: schemas.Alias, 201: schemas.Alias},
        OPERATE,
        schemas.AliasSetting,
        (KEYED, CONDITIONAL),
        (NotReady, Conflict),
    ),
    Operation(
        "delete",
        f"{_MODEL}/aliases/{{alias}}",
        "deleteAlias",
        "Delete an alias",
        {204: None},
        OPERATE,
        parameters=(KEYED, CONDITIONAL),
    ),
    Operation(
        "get",
        f"{_MODEL}/policy",
        "readPolicy",
        "Read the policy in force, or one that was put before",
        {200: schemas.Policy},
        READ,
        parameters=(NUMBER,),
    ),
    Operation(
        "put",
        f"{_MODEL}/policy",
        "putPolicy",
        "Put a policy in force",
        {200: schemas.Policy},
        OPERATE,
        schemas.PolicyDocument,
        (KEYED, CONDITIONAL),
    ),
    Operation(
        "post",
        f"{_MODEL}/promote",
        "promote",
        "Make a version the champion",
        {200: schemas.Swap},
        OPERATE,
        schemas.Promotion,
        (KEYED,),
        (Conflict, NotReady, Incompatible, PolicyMisfit),
    ),
    Operation(
        "post",
        f"{_MODEL}/rollback",
        "rollBack",
        "Make a past champion the champion again",
        {200: schemas.Swap},
        OPERATE,
        schemas.Rollback,
        (KEYED,),
        (Conflict, PolicyMisfit),
    ),
    Operation(
        "get",
        f"{_MODEL}/champion",
        "readChampion",
        "Who reigns, or reigned at a moment",
        {200: schemas.Champion},
        READ,
        parameters=(AS_OF,),
    ),
    Operation(
        "get",
        f"{_MODEL}/timeline",
        "readTimeline",
        "All reigns, newest first",
        {200: schemas.ReignPage},
        READ,
        parameters=PAGED,
    ),
    Operation(
        "post",
        f"{_MODEL}/predict",
        "predict",
        "Answer rows by the champion, by an alias (`name@alias`), or by a version",
        {200: schemas.PredictionAnswer},
        PREDICT,
        schemas.PredictionRequest,
        (VERSION,),
        (InvalidRows, NotReady),
    ),
    Operation(
        "post",
        f"{_MODEL}/invocations",
        "invoke",
        "Answer rows in one of the four shapes of MLflow's scoring protocol",
        {200: protocol_schemas.InvocationAnswer},
        PREDICT,
        protocol_schemas.InvocationRequest,
        (VERSION,),
        (InvalidRows, NotReady),
    ),
    Operation("get", "/v2", "readServer", "What serves (OIP v2)", {200: protocol_schemas.ServerMetadata}),
    Operation(
        "get",
        "/v2/health/live",
        "isServerLive",
        "Whether a function runs (OIP v2)",
        {200: protocol_schemas.ServerLive},
    ),
    Operation(
        "get",
        "/v2/health/ready",
        "isServerReady",
        "Whether the store answers (OIP v2)",
        {200: protocol_schemas.ServerReady},
    ),
    *_inference(_INFERENCE, "Model", PREDICT),
    *_inference(f"{_INFERENCE}/versions/{{version}}", "Version", PREDICT_VERSION),
)
