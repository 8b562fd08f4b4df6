"""HTTP: tokens, retries, and problem details back into errors.

A call is sent again only when that can't do harm: a read, or a write that
carries an ``Idempotency-Key`` (the service does it once and repeats its
answer). Waits double from half a second, with full jitter, and a
``Retry-After`` is respected.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from tiltyard.errors import (
    Conflict,
    Fault,
    Forbidden,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    TiltyardError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    every_error,
)

Token = str | Callable[[], str]
Json = Mapping[str, Any]

ATTEMPTS = 5
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
# API Gateway gives up on a function after 29 s.
TIMEOUT = httpx.Timeout(35.0, connect=5.0)

_AGAIN = frozenset({429, 502, 503, 504})
# Nothing came back; a read timeout is not among them, since five of those are minutes.
_BROKEN = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)

# For an answer without a problem type that this client knows.
_BY_STATUS: Mapping[int, type[TiltyardError]] = {
    400: MalformedRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    405: MethodNotAllowed,
    412: PreconditionFailed,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: InvalidInput,
    429: TooManyRequests,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: `body` is its JSON (empty for 204)."""

    status: int
    headers: Mapping[str, str]
    body: Any


def time_text(at: datetime | None) -> str | None:
    """A time for a query: UTC when it names no zone, None when there is none."""
    return None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


class Transport:
    """One connection pool to one Tiltyard. Safe to share between threads.

    Parameters
    ----------
    url
        Where the API lives, without ``/v1``.
    token
        A bearer token, or a function that gives the current one; it is called
        for every request, so let it cache.
    sleep
        Waits a number of seconds; tests pass their own.
    """

    def __init__(
        self,
        url: str,
        token: Token | None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is no URL of a Tiltyard: it must begin with https:// (or http://).")
        self.url = url.rstrip("/")
        self._token = token
        self._sleep = sleep
        self._http = httpx.Client(
            timeout=TIMEOUT, transport=transport, headers={"User-Agent": "tiltyard-python"}
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | None) -> Answer:
        given = {name: value for name, value in query.items() if value is not None}
        return self._call("GET", path, query=given, is_repeatable=True)

    def write(self, method: str, path: str, body: Json | None, *, if_match: str | None = None) -> Answer:
        """A change: it carries an idempotency key of its own, so it may be sent again."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if if_match is not None:
            headers["If-Match"] = if_match
        content = None if body is None else encode(body)
        return self._call(method, path, content=content, headers=headers, is_repeatable=True)

    def post(self, path: str, content: bytes, *, is_repeatable: bool) -> Answer:
        """A call that changes no record of the control plane."""
        return self._call("POST", path, content=content, is_repeatable=is_repeatable)

    def upload(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Send bytes to a presigned URL: without our token, with exactly the signed headers."""
        return self._repeat(
            lambda: self._http.request(method, url, content=content, headers=dict(headers)), True
        )

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool,
    ) -> Answer:
        def send() -> httpx.Response:
            sent = {"Accept": "application/json", **(headers or {}), **self._authorization()}
            if content is not None:
                sent["Content-Type"] = "application/json"
            return self._http.request(
                method, f"{self.url}{path}", params=query, content=content, headers=sent
            )

        response = self._repeat(send, is_repeatable)
        if response.is_success:
            return Answer(response.status_code, response.headers, _json(response))
        raise error_of(response)

    def _authorization(self) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def _repeat(self, send: Callable[[], httpx.Response], is_repeatable: bool) -> httpx.Response:
        attempts = ATTEMPTS if is_repeatable else 1
        for attempt in range(1, attempts + 1):
            try:
                response = send()
            except _BROKEN as exc:
                if attempt == attempts:
                    raise Unavailable(
                        f"{self.url} can't be reached ({exc}). Is it up, and is the URL right?"
                    ) from exc
                self._sleep(_wait(attempt))
            except httpx.HTTPError as exc:
                raise Unavailable(f"{self.url} didn't answer ({type(exc).__name__}: {exc}).") from exc
            else:
                if response.status_code not in _AGAIN or attempt == attempts:
                    return response
                self._sleep(_wait(attempt, response.headers.get("retry-after")))
        raise AssertionError("the last attempt returns or raises")


def encode(body: Json) -> bytes:
    """Compact JSON; NaN and infinity have none."""
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as exc:
        raise InvalidInput(f"The request can't be written as JSON: {exc}.") from exc


def error_of(response: httpx.Response) -> TiltyardError:
    """The error that an unsuccessful answer stands for: by its problem type, else by its status."""
    document = _json(response)
    problem = document if isinstance(document, Mapping) else {}
    slug = str(problem.get("type", "")).rpartition("/")[2]
    cls = next((c for c in every_error() if c.problem == slug), None) or _by_status(response.status_code)
    said = problem.get("detail") or problem.get("title") or problem.get("message") or response.text[:200]
    detail = str(said or response.reason_phrase)
    if response.status_code >= 500:
        request_id = response.headers.get("x-request-id", "unknown")
        detail = f"{detail} (status {response.status_code}, request {request_id})"
    errors = problem.get("errors")
    faults = [
        Fault(str(fault.get("pointer", "")), str(fault.get("detail", "")))
        for fault in (errors if isinstance(errors, list) else [])
        if isinstance(fault, Mapping)
    ]
    return cls(detail, faults=faults)


def _by_status(status: int) -> type[TiltyardError]:
    if status in {502, 503, 504}:
        return Unavailable
    return _BY_STATUS.get(status, TiltyardError)


def _json(response: httpx.Response) -> Any:
    if not response.content:
        return {}
    try:
        return response.json()
    except ValueError:
        return {}


def _wait(attempt: int, retry_after: str | None = None) -> float:
    wait = random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempt - 1)))
    if retry_after is not None and retry_after.isdigit():
        return max(wait, min(float(retry_after), LONGEST_WAIT_S))
    return wait
