"""One operation of the API as the OpenAPI document needs it, and what many of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from tiltyard.errors import (
    Forbidden,
    IdempotencyMismatch,
    InvalidInput,
    LostRace,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
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
