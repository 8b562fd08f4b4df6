"""Which of AWS's errors become ours: those that pass by themselves. All others are raised as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tiltyard.errors import Unavailable

# AWS's words for "too much at once" and "not now", over DynamoDB, S3, SQS and KMS. S3's answers to HEAD
# have no body, so botocore gives their status in place of a code.
THROTTLED = frozenset(
    {
        "429",
        "500",
        "503",
        "KMSInternalException",
        "DependencyTimeoutException",
        "InternalError",
        "InternalServerError",
        "KeyUnavailableException",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
# S3's words for an object that isn't there.
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_UNREACHABLE = (
    ConnectTimeoutError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def passing_faults(action: str) -> Iterator[None]:
    """Raise `Unavailable` for what the client's own retries didn't outlast; `action` says what was tried."""
    try:
        yield
    except ClientError as exc:
        if code_of(exc) not in THROTTLED:
            raise
        raise Unavailable(f"{action} was refused for now ({code_of(exc)}); try again") from exc
    except _UNREACHABLE as exc:
        raise Unavailable(f"{action} got no answer; try again") from exc
