"""The service's own app, called with an API Gateway event in this process, over ports that need no AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app import app
from chalicelib.bootstrap import Container
from chalicelib.handlers import answering
from chalicelib.lineage.records import Blob, Pointer, PolicyCopy, Target
from tiltyard.runtime.bundle import Bundle

MODEL = "bench"
TEAM = "bench"
ROUTE = "/v1/models/{model}/predict"
_MEMORY_BYTES = 50 * 2**20

Call = Callable[[], Any]


class NoQueue:
    """Takes the message and drops it: what the queue costs is the network's."""

    def send(self, body: str) -> None:
        pass


class OneModel:
    """The lineage and artifact stores of one model whose champion is `bundle`."""

    def __init__(self, bundle: Bundle, policy: PolicyCopy | None = None) -> None:
        files = bundle.manifest["files"]
        blobs = {name: Blob(entry["sha256"], entry["size"]) for name, entry in files.items()}
        self._contents = {blob.sha256: bundle.files[name] for name, blob in blobs.items()}
        target = Target(version=1, digest=bundle.digest, files=blobs, memory_bytes=_MEMORY_BYTES)
        self._pointer = Pointer(
            model=MODEL, team=TEAM, champion=target, started_at=None, policy=policy, revision=1
        )

    def pointer(self, model: str) -> Pointer | None:
        return self._pointer if model == MODEL else None

    def read(self, sha256: str, *, limit: int) -> bytes:
        return self._contents[sha256]


@dataclass(frozen=True)
class _Tunable:
    pointer_interval_s: float = 2.0
    session_memory_mb: int = 700


class Offline(Container):
    """The container of `OneModel`; whatever else is asked for isn't there."""

    def __init__(self, bundle: Bundle, policy: PolicyCopy | None = None) -> None:
        self._model = OneModel(bundle, policy)

    @cached_property
    def settings(self) -> Any:
        return _Tunable()

    @cached_property
    def lineage(self) -> Any:
        return self._model

    @cached_property
    def artifacts(self) -> Any:
        return self._model

    @cached_property
    def telemetry_queue(self) -> NoQueue:
        return NoQueue()

    @cached_property
    def spool(self) -> Any:
        return None


def prediction(body: bytes) -> Call:
    """A call of the whole handler with `body`; without the log line, which is another matter's cost."""
    answering._log = lambda request, answer: None  # type: ignore[assignment]
    request = event(body)
    return lambda: app(request, None)


def answered(body: bytes) -> list[dict[str, Any]]:
    """The predictions of one such call."""
    response = prediction(body)()
    if response["statusCode"] != 200:
        raise RuntimeError(f"the handler answered {response['statusCode']}: {response['body'][:500]}")
    found: list[dict[str, Any]] = json.loads(response["body"])["predictions"]
    return found


def event(body: bytes) -> dict[str, Any]:
    """What API Gateway (REST, proxy integration) sends for a prediction, with the authorizer's context."""
    headers = {
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "Authorization": "Bearer not-read-here",
        "Content-Type": "application/json",
        "Host": "example.execute-api.eu-central-1.amazonaws.com",
        "User-Agent": "python-httpx/0.28.1",
        "X-Amzn-Trace-Id": "Root=1-00000000-000000000000000000000000",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    path = ROUTE.format(model=MODEL)
    return {
        "resource": ROUTE,
        "path": path,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"model": MODEL},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": ROUTE,
            "httpMethod": "POST",
            "path": f"/prod{path}",
            "stage": "prod",
            "requestId": "00000000-0000-4000-8000-000000000000",
            "authorizer": {
                "sub": "bench",
                "exp": str(int(time.time()) + 86_400),
                "roles": "caller",
                "teams": TEAM,
            },
        },
        "body": body.decode(),
        "isBase64Encoded": False,
    }
