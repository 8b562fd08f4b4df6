"""The OpenAPI 3.1 document, made of the models that validate and the table of operations."""

from __future__ import annotations

import functools
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import PREDICT
from chalicelib.handlers.problems import (
    MEDIA_TYPE,
    problem_details,
    status_of,
)
from tiltyard.errors import every_error

if TYPE_CHECKING:
    from pydantic import BaseModel

    from chalicelib.handlers.operation import Operation

bp = Blueprint(__name__)

JSON = dict[str, Any]

# Of the contract, which its routes begin with; releases of the software come and go under it.
API_VERSION = "1"

_DESCRIPTION = """\
The control plane of models in production. Errors are problem details (RFC 9457); every answer carries
`X-Request-Id`. Every role but `auditor` and `admin` acts within its teams; `admin` may do everything.
"""

_PARAMETERS: dict[str, JSON] = {
    "limit": {"in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}},
    "cursor": {"in": "query", "schema": {"type": "string"}, "description": "`next` of the page before"},
    "as_of": {"in": "query", "schema": {"type": "string", "format": "date-time"}},
    "number": {
        "in": "query",
        "schema": {"type": "integer", "minimum": 0},
        "description": "A policy that was put before; 0 is the default",
    },
    "version": {
        "in": "query",
        "schema": {"type": "integer", "minimum": 1},
        "description": "A version by its number, for `scientist` and `engineer`",
    },
    "Idempotency-Key": {
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "The same key with the same body is answered again and done once, for 24 hours",
    },
    "direction": {
        "in": "query",
        "schema": {"type": "string", "enum": ["ancestry", "impact", "both"], "default": "both"},
        "description": "What it came from, what came of it, or both",
    },
    "depth": {
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": 10, "default": 5},
        "description": "Edges to go from the start, at most",
    },
    "format": {
        "in": "query",
        "schema": {"type": "string", "enum": ["json", "openlineage"], "default": "json"},
        "description": "`openlineage` gives one document of events, without pages",
    },
    "model": {"in": "query", "schema": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$"}},
    "team": {
        "in": "query",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9/][A-Za-z0-9_.:/-]{0,62}$"},
        "description": "One of one's own teams, or any for who acts across teams",
    },
    "from": {
        "in": "query",
        "schema": {"type": "string"},
        "description": "An index (with a model, a change's number) or a time",
    },
    "to": {
        "in": "query",
        "schema": {"type": "string", "format": "date-time"},
        "description": "The end, now when left out",
    },
    "step": {
        "in": "query",
        "schema": {"type": "string", "enum": ["hour", "day", "week"], "default": "day"},
    },
    "known_on": {
        "in": "query",
        "schema": {"type": "string", "format": "date"},
        "description": "Leaves out rows that became known after that day",
    },
    "state": {
        "in": "query",
        "schema": {"enum": ["open", "acknowledged", "resolved", "all"]},
        "description": "Open and acknowledged ones without it",
    },
    "kind": {
        "in": "query",
        "schema": {"enum": ["anomalous", "out_of_range", "unseen_category"]},
        "description": "What was odd; `anomalous` without it",
    },
    "severity": {"in": "query", "schema": {"enum": ["info", "warning", "critical"]}},
    "size": {
        "in": "query",
        "schema": {"type": "integer", "minimum": 0},
        "description": "Entries of the log; the latest size without it",
    },
    "index": {"in": "query", "schema": {"type": "integer", "minimum": 0}},
    "change": {
        "in": "query",
        "schema": {"type": "integer", "minimum": 1},
        "description": "The number of the model's change",
    },
    "first": {
        "in": "query",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "description": "The size that one remembers",
    },
    "second": {"in": "query", "schema": {"type": "integer", "minimum": 1}},
    "If-Match": {
        "in": "header",
        "schema": {"type": "string"},
        "description": "The ETag that the change is made on; 412 when it is stale",
    },
}

# What the path's parameters may be.
_PATH: dict[str, JSON] = {
    "model": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$"},
    "alias": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$"},
    "version": {"type": "integer", "minimum": 1},
    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "webhook": {"type": "string"},
    "alert": {"type": "string"},
    "prediction": {"type": "string"},
    "release": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "name": {"type": "string", "pattern": r"^[a-z-]+\.(css|js|svg)$"},
}
_MODEL_OR_ALIAS: JSON = {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}(@[a-z][a-z0-9-]{0,62})?$"}

_HEADERS: dict[str, JSON] = {
    "RequestId": {"schema": {"type": "string"}, "description": "Names this request in the logs"},
    "ETag": {"schema": {"type": "string"}, "description": "The record's revision, for If-Match"},
    "Location": {"schema": {"type": "string"}},
}


@bp.route("/openapi.json", methods=["GET"])
@problem_details
def read_openapi() -> Response:
    """The document; asked without a token."""
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/json",
        "Cache-Control": "public, max-age=300",
    }
    return Response(_text(), headers=headers)


@functools.cache
def _text() -> str:
    return json.dumps(document(), separators=(",", ":"))


def document() -> JSON:
    """The whole document as JSON."""
    from chalicelib.handlers.operations import OPERATIONS

    paths: dict[str, JSON] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tiltyard", "version": API_VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "."}],
        "security": [{"bearer": []}],
        "paths": dict(paths),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "headers": _HEADERS,
            "schemas": _schemas(OPERATIONS),
        },
    }


def problem_types() -> dict[str, JSON]:
    """Every problem type by its URI."""
    return {
        f"/problems/{error.problem}": {"title": error.title, "status": status_of(error)}
        for error in every_error()
        if error.__module__ == "tiltyard.errors"
    }


def _operation(operation: Operation) -> JSON:
    made: JSON = {"operationId": operation.id, "summary": operation.summary}
    if operation.roles is None:
        made["security"] = []
    elif operation.roles:
        who = "any role" if "viewer" in operation.roles else ", ".join(sorted(operation.roles))
        made["description"] = f"Roles: {who}."
    parameters = [_path_parameter(name, operation) for name in re.findall(r"\{(\w+)\}", operation.path)]
    parameters += [{"name": name, **_PARAMETERS[name]} for name in operation.parameters]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": _content(operation.body.__name__)}
    made["responses"] = {**_answers(operation), **_problems(operation)}
    return made


def _path_parameter(name: str, operation: Operation) -> JSON:
    takes_alias = name == "model" and operation.roles == PREDICT
    schema = _MODEL_OR_ALIAS if takes_alias else _PATH[name]
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _answers(operation: Operation) -> JSON:
    answers = {}
    for status, body in operation.answers.items():
        headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
        if body is not None and body.__name__ in {"Model", "Version", "Alias", "Policy"}:
            headers["ETag"] = {"$ref": "#/components/headers/ETag"}
        if operation.method == "post" and "ETag" in headers:
            headers["Location"] = {"$ref": "#/components/headers/Location"}
        answer: JSON = {"description": operation.summary, "headers": headers}
        if body is not None:
            answer["content"] = _content(body.__name__)
        elif status != 204:
            answer["content"] = {media: {"schema": {"type": _written(media)}} for media in operation.media}
        answers[str(status)] = answer
    return answers


def _written(media: str) -> str:
    return "object" if media == "application/json" else "string"


def _problems(operation: Operation) -> JSON:
    by_status: dict[int, list[str]] = defaultdict(list)
    for error in operation.all_problems:
        by_status[status_of(error)].append(f"/problems/{error.problem}")
    return {
        str(status): {
            "description": "One of: " + ", ".join(f"`{name}`" for name in sorted(names)),
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, names in sorted(by_status.items())
    }


def _content(name: str) -> JSON:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _schemas(operations: tuple[Operation, ...]) -> JSON:
    from pydantic.json_schema import models_json_schema

    from chalicelib.handlers.schemas import Problem

    used: set[type[BaseModel]] = {Problem}
    for operation in operations:
        used.update(body for body in (operation.body, *operation.answers.values()) if body is not None)
    ordered = sorted(used, key=lambda model: model.__name__)
    _, made = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    schemas: JSON = made["$defs"]
    types = problem_types()
    schemas["Problem"]["properties"]["type"] = {
        "type": "string",
        "enum": sorted(types),
        "description": "\n".join(
            f"- `{name}` ({said['status']}): {said['title']}" for name, said in sorted(types.items())
        ),
    }
    return schemas
