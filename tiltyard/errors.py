"""The error tree, the same on both sides of the wire.

::

    TiltyardError
    ├── InvalidInput              the caller can mend it
    │   ├── InvalidRows           rows that break the model's contract
    │   ├── InvalidBundle         a bundle whose files or manifest don't hold together
    │   │   └── UnsafeModel       an ONNX graph that the guard refuses
    │   ├── UnconvertibleModel    an estimator that can't become a faithful ONNX graph
    │   ├── ParityFailed          it converted, but answers differently
    │   ├── ArtifactMissing       an upload that never came
    │   └── IdempotencyMismatch   an idempotency key used again with another body
    ├── MalformedRequest          not the JSON (or cursor, or query) that was promised
    │   ├── PayloadTooLarge
    │   ├── UnsupportedMediaType
    │   └── MethodNotAllowed      a method that the route doesn't know
    ├── Unauthenticated           no token, or one that doesn't hold
    ├── Forbidden                 the role is missing
    ├── NotFound                  no such thing, or not for this team
    ├── Conflict                  true when it was sent, not any more
    │   ├── LostRace              somebody else changed it first
    │   ├── NotReady              a version that is still being examined, or was rejected
    │   ├── Incompatible          a version that callers of the champion can't call
    │   └── PolicyMisfit          a version that can't follow the model's policy
    ├── PreconditionFailed        a stale ``If-Match``
    ├── IntegrityError            stored bytes that don't match their digest
    └── Unavailable               try again later
        └── TooManyRequests       slower, please

Core code raises these and knows no status code; ``handlers/problems.py`` maps
them to RFC 9457 problem details, and the client maps `problem` back to the class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where.

    `pointer` is an RFC 6901 JSON pointer into the request body
    (``/rows/3/distance``), or empty when the fault is in no one place.
    """

    pointer: str
    detail: str

    def to_json(self) -> dict[str, str]:
        return {"pointer": self.pointer, "detail": self.detail}


class TiltyardError(Exception):
    """Base of every error that Tiltyard raises on purpose.

    `problem` is the stable last part of the problem's ``type`` and `title` its
    short name, both the same for every instance of a class.
    """

    problem: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong inside Tiltyard"

    def __init__(self, detail: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)

    def __str__(self) -> str:
        if not self.faults:
            return self.detail
        places = "; ".join(f"{f.pointer}: {f.detail}" if f.pointer else f.detail for f in self.faults)
        return f"{self.detail} ({places})"


class InvalidInput(TiltyardError):
    problem = "invalid-input"
    title = "The input is invalid"


class InvalidRows(InvalidInput):
    problem = "invalid-rows"
    title = "A row breaks the model's contract"


class InvalidBundle(InvalidInput):
    problem = "invalid-bundle"
    title = "The bundle's parts don't hold together"


class UnsafeModel(InvalidBundle):
    problem = "unsafe-model"
    title = "The ONNX graph is refused by the guard"


class UnconvertibleModel(InvalidInput):
    problem = "unconvertible-model"
    title = "The estimator can't become a faithful ONNX graph"


class ParityFailed(InvalidInput):
    problem = "parity-failed"
    title = "The converted model answers differently"


class ArtifactMissing(InvalidInput):
    problem = "artifact-missing"
    title = "An artifact was never uploaded"


class IdempotencyMismatch(InvalidInput):
    problem = "idempotency-mismatch"
    title = "The idempotency key was used with another request"


class MalformedRequest(TiltyardError):
    problem = "malformed-request"
    title = "The request can't be read"


class PayloadTooLarge(MalformedRequest):
    problem = "payload-too-large"
    title = "The request is too large"


class UnsupportedMediaType(MalformedRequest):
    problem = "unsupported-media-type"
    title = "The request's media type is not supported"


class MethodNotAllowed(MalformedRequest):
    problem = "method-not-allowed"
    title = "The resource doesn't know this method"


class Unauthenticated(TiltyardError):
    problem = "unauthenticated"
    title = "A valid bearer token is needed"


class Forbidden(TiltyardError):
    problem = "forbidden"
    title = "A role that may do this is missing"


class NotFound(TiltyardError):
    problem = "not-found"
    title = "There is no such thing here"


class Conflict(TiltyardError):
    problem = "conflict"
    title = "The request conflicts with the current state"


class LostRace(Conflict):
    """`keys` names what had changed, as far as it is known: (partition, sort key) of each record."""

    problem = "lost-race"
    title = "Somebody else changed it first"

    def __init__(
        self, detail: str, *, faults: Sequence[Fault] = (), keys: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail, faults=faults)
        self.keys = tuple(keys)


class NotReady(Conflict):
    problem = "not-ready"
    title = "The version can't be used in this stage"


class Incompatible(Conflict):
    problem = "incompatible"
    title = "Callers of the champion couldn't call this version"


class PolicyMisfit(Conflict):
    problem = "policy-misfit"
    title = "The version can't follow the model's policy"


class PreconditionFailed(TiltyardError):
    problem = "precondition-failed"
    title = "The resource changed since it was read"


class IntegrityError(TiltyardError):
    problem = "integrity-error"
    title = "Stored bytes don't match their digest"


class Unavailable(TiltyardError):
    problem = "unavailable"
    title = "Temporarily unavailable"


class TooManyRequests(Unavailable):
    problem = "too-many-requests"
    title = "Too many requests"


def every_error() -> Iterator[type[TiltyardError]]:
    """All classes of the tree, bases before their children."""
    waiting: list[type[TiltyardError]] = [TiltyardError]
    while waiting:
        cls = waiting.pop(0)
        yield cls
        waiting.extend(cls.__subclasses__())
