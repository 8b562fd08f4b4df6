"""Reading a request: its body, its conditions, its page, and who asks about which model.

Handlers open a `Call` and ask it for what they need. pydantic and the services
load inside functions, because every blueprint is imported by every function of
the zip and the predictor needs neither.
"""

from __future__ import annotations

import binascii
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from chalice.app import Request

from chalicelib.bootstrap import Container, container
from chalicelib.handlers import access
from chalicelib.handlers.access import Principal, principal_of, require
from chalicelib.lineage.records import Attempt, Model
from tiltyard.errors import (
    Conflict,
    Fault,
    IdempotencyMismatch,
    InvalidInput,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from tiltyard.runtime.identifiers import NAME

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from chalicelib.registry.rules import Precondition

    Body = TypeVar("Body", bound=BaseModel)

T = TypeVar("T")

MAX_BODY_BYTES = 1024 * 1024
MAX_FAULTS = 100
DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
_POLICY = re.compile(r"0|[1-9][0-9]{0,5}")
_ETAG = re.compile(r'"([0-9]{1,18})"')


@dataclass(frozen=True, slots=True)
class PageQuery:
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a known caller, and what is at hand to answer it."""

    request: Request
    at_hand: Container
    principal: Principal
    now: datetime

    def model(self, name: str, roles: Collection[str]) -> Model:
        """The model, when the caller may see it and holds one of `roles` for it."""
        model = self.at_hand.lineage.model(name) if NAME.fullmatch(name) else None
        require(self.principal, model.team if model else None, roles, what=f"model {name!r}")
        if model is None:
            raise NotFound(f"There is no model {name!r}, or it is not your team's.")
        return model

    def attempt(self, role: str) -> Attempt:
        return access.attempt(
            self.request, self.principal, role, pseudonyms=self.at_hand.pseudonyms, now=self.now
        )

    def attempt_on(self, model: Model, roles: Collection[str]) -> Attempt:
        return self.attempt(require(self.principal, model.team, roles, what=f"model {model.name!r}"))

    def once(self, attempt: Attempt, change: Callable[[], T], recall: Callable[[Mapping[str, Any]], T]) -> T:
        """Make a change, or answer again what the same ``Idempotency-Key`` made before.

        Raises
        ------
        IdempotencyMismatch
            When the key was used with another body.
        """
        made = self._made(attempt)
        if made is not None:
            return recall(made)
        try:
            return change()
        except Conflict:
            # The same request may have been on its way twice: then the winner's answer is ours too.
            made = self._made(attempt)
            if made is None:
                raise
            return recall(made)

    def _made(self, attempt: Attempt) -> Mapping[str, Any] | None:
        key = attempt.idempotency
        done = None if key is None else self.at_hand.lineage.done(key.key)
        if key is None or done is None:
            return None
        if done.body != key.body:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used with another body; take a new key for a new request."
            )
        return done.result


def open_call(request: Request) -> Call:
    """Raises `Unauthenticated` unless the authorizer named a caller whose token is still good."""
    at_hand = container()
    principal = principal_of(request, now=at_hand.wall())
    return Call(request, at_hand, principal, at_hand.clock())


def parse_body(request: Request, schema: type[Body]) -> Body:
    """The body by its schema.

    Raises
    ------
    UnsupportedMediaType
        When it isn't said to be JSON.
    MalformedRequest
        When it isn't JSON, or `PayloadTooLarge` above 1 MB.
    InvalidInput
        With a pointer to everything that breaks the schema.
    """
    from pydantic import ValidationError

    document = read_json(request)
    try:
        return schema.model_validate(document, strict=True)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidInput(
            "The body breaks its schema.", faults=[_fault(error) for error in errors[:MAX_FAULTS]]
        ) from exc


def read_json(request: Request) -> object:
    """The body as JSON (RFC 8259): no NaN, no infinities, no key twice in one object."""
    said = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if said != "application/json":
        raise UnsupportedMediaType(f"The body is said to be {said!r}; send application/json.")
    try:
        raw = request.raw_body
        content = raw.encode() if isinstance(raw, str) else raw
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise MalformedRequest("The body can't be decoded.") from exc
    if len(content) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"The body has {len(content)} bytes; at most {MAX_BODY_BYTES} are read here.")
    if not content.strip():
        raise MalformedRequest("The body is empty; send a JSON object.")
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_object)
    except UnicodeDecodeError as exc:
        raise MalformedRequest("The body isn't UTF-8.") from exc
    except RecursionError as exc:
        raise MalformedRequest("The body is nested too deeply.") from exc
    except ValueError as exc:
        raise MalformedRequest(f"The body isn't JSON: {exc}") from exc


def page_query(request: Request) -> PageQuery:
    """``?limit=`` (1 to 200) and ``?cursor=``."""
    given = query(request, "limit")
    if given is None:
        limit = DEFAULT_LIMIT
    elif given.isascii() and given.isdigit() and len(given) <= 3 and 1 <= int(given) <= MAX_LIMIT:
        limit = int(given)
    else:
        raise MalformedRequest(f"limit must be a whole number from 1 to {MAX_LIMIT}.")
    return PageQuery(limit, query(request, "cursor"))


def query(request: Request, name: str) -> str | None:
    """A query parameter; twice the same one is refused, because nobody can tell which was meant."""
    given = request.query_params
    values = given.getlist(name) if given is not None and name in given else []
    if len(values) > 1:
        raise MalformedRequest(f"{name} may be given once.")
    return str(values[0]) if values else None


def moment(request: Request, name: str) -> datetime | None:
    """A query parameter as an RFC 3339 time in UTC."""
    text = query(request, name)
    if text is None:
        return None
    try:
        # A plus in a query is a space to whoever decoded it.
        at = datetime.fromisoformat(text.replace(" ", "+"))
        if at.tzinfo is None:
            raise MalformedRequest(f"{name} needs a UTC offset, such as 2026-01-31T12:00:00Z.")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise MalformedRequest(f"{name} must be a time as in RFC 3339: 2026-01-31T12:00:00Z.") from exc


def version_number(text: str, model: str) -> int:
    """A version's number in a path; what can't be one names nothing."""
    if not _NUMBER.fullmatch(text):
        raise NotFound(f"{model!r} has no version {text!r}.")
    return int(text)


def policy_number(request: Request) -> int | None:
    """``?number=`` of a policy; 0 is the default."""
    given = query(request, "number")
    if given is None:
        return None
    if not _POLICY.fullmatch(given):
        raise MalformedRequest("number must be a whole number from 0 to 999999.")
    return int(given)


def etag(revision: int) -> str:
    return f'"{revision}"'


def if_match(request: Request) -> Precondition | None:
    """The ``If-Match`` header (RFC 9110 section 13.1.1); weak tags never match."""
    from chalicelib.registry.rules import Precondition

    header = request.headers.get("if-match")
    if header is None:
        return None
    if header.strip() == "*":
        return Precondition(None)
    tags = [tag.strip() for tag in header.split(",")]
    found = [_ETAG.fullmatch(tag) for tag in tags]
    if not all(re.fullmatch(r'(W/)?"[^"]*"', tag) for tag in tags):
        raise MalformedRequest('If-Match must be an ETag as it was sent, such as "3", or *.')
    return Precondition(frozenset(int(match[1]) for match in found if match))


def _fault(error: ErrorDetails) -> Fault:
    """One pydantic error as a fault with an RFC 6901 pointer."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in error["loc"])
    return Fault("".join(f"/{step}" for step in steps), error["msg"])


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the name {twice!r} is there twice in one object")
    return made
