"""The record of a request: what came in, what went out, by column.

A message is the record as JSON, deflated when that pays: ``{…}`` as it is, or
``z1:`` and base64 of its zlib stream. What is over 900 KB goes to the lake's
spool and the message names the object; so does what the queue doesn't take. A
subject is a pseudonym here; the raw id went no further than the request.
"""

from __future__ import annotations

import base64
import logging
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from chalicelib.lineage.records import PolicyCopy
from chalicelib.ports import Queue, Sealer, Spool
from tiltyard.contract.signature import Signature
from tiltyard.errors import Unavailable
from tiltyard.runtime.judgement import Judged
from tiltyard.runtime.model import Answers

FORMAT = 1
MAX_MESSAGE = 900_000
"""Bytes; SQS takes 1 MiB, and a batch's overhead has to fit as well."""

_DEFLATE_FROM = 4_096
"""Bytes; a smaller record gains less than deflating it costs."""

_PREFIX = "z1:"

UNSENT = "unsent/"
"""Before the key of a record that no message names yet: the sweeper sends one."""

SEALED = "sealed telemetry"
MAX_LINE = 200_000
"""Characters of a log line's sealed part; CloudWatch takes 256 KB a line."""

log = logging.getLogger("tiltyard.serving")


class Asked(NamedTuple):
    """What the caller sent beside the rows; `at` is one event time, or one a row."""

    ids: Sequence[str]
    subjects: Sequence[str | None] | None = None
    at: str | Sequence[str] | None = None


def record(
    *,
    model: str,
    version: int,
    digest: str,
    role: str,
    signature: Signature,
    asked: Asked,
    answers: Answers,
    judged: Judged,
    policy: PolicyCopy | None,
    request_id: str,
    received_at: datetime,
) -> dict[str, Any]:
    """One request as a document of columns, each a list of n values.

    `asked.subjects` are pseudonyms; the signature's subject column is left out.
    """
    subject = signature.subject
    columns = answers.columns
    if subject is not None and subject in columns:
        columns = {name: values for name, values in columns.items() if name != subject}
    document: dict[str, Any] = {
        "format": FORMAT,
        "request_id": request_id,
        "received_at": received_at,
        "model": model,
        "version": version,
        "digest": digest,
        "role": role,
        "n": len(asked.ids),
        "ids": asked.ids,
        "columns": columns,
        "scores": answers.scores,
    }
    if asked.subjects is not None:
        document["subjects"] = asked.subjects
    if asked.at is not None:
        document["at"] = asked.at
    if policy is not None:
        document["policy"] = {"number": policy.number, "digest": policy.digest}
    if judged.warnings:
        document["warnings"] = {
            str(i): [w.to_json() for w in warnings] for i, warnings in judged.warnings.items()
        }
    if judged.decisions:
        # Each application of a rule counts; what was answered instead follows from the policy.
        document["decisions"] = {
            str(i): {"action": decision.action, "rules": decision.rules}
            for i, decision in judged.decisions.items()
        }
    return document


def encode(document: Mapping[str, Any]) -> str:
    """The message of a record."""
    plain = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)
    if len(plain) < _DEFLATE_FROM:
        return plain.decode()
    return _PREFIX + base64.b64encode(zlib.compress(plain, 1)).decode()


def decode(message: str) -> dict[str, Any]:
    """The record of a message.

    Raises
    ------
    ValueError
        If the message isn't one that `encode` made.
    """
    try:
        plain = zlib.decompress(base64.b64decode(message[3:])) if message.startswith(_PREFIX) else message
        document = orjson.loads(plain)
    except (zlib.error, ValueError) as exc:
        raise ValueError(f"not a telemetry message: {exc}") from exc
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"not a telemetry message of format {FORMAT}")
    return document


def send(
    document: Mapping[str, Any],
    *,
    queue: Queue,
    spool: Spool,
    sealer: Callable[[], Sealer] | None = None,
    is_required: bool = False,
) -> None:
    """One call of the queue; one object and one call when the message is too large for it.

    When the queue is away the record waits in the spool, from where the sweeper
    sends it. When that is away, too, it goes to the log, sealed, unless
    `is_required` asks for no answer rather than that. `sealer` is called then only:
    its client would cost every container's first answer.

    Raises
    ------
    Unavailable
        When the record could be kept nowhere that will do.
    """
    message = encode(document)
    key = f"{document['model']}/{document['received_at']:%Y-%m-%d/%H}/{document['request_id']}"
    try:
        if len(message) > MAX_MESSAGE:
            spool.write(key, message.encode())
            queue.send(reference(key))
        else:
            queue.send(message)
        return
    except Exception as exc:
        log.warning("telemetry of request %s couldn't be queued: %s", document["request_id"], exc)
    try:
        spool.write(UNSENT + key, message.encode())
        return
    except Exception as exc:
        log.warning("telemetry of request %s couldn't be spooled: %s", document["request_id"], exc)
        if is_required or sealer is None:
            raise Unavailable(
                "The record of this answer can't be kept now, so there is no answer; try again."
            ) from exc
    _seal(message, sealer(), request_id=str(document["request_id"]))


def reference(key: str) -> str:
    """The message that names an object of the spool."""
    return orjson.dumps({"format": FORMAT, "spool": key}).decode()


def _seal(message: str, sealer: Sealer, *, request_id: str) -> None:
    """Into the log, in lines that CloudWatch takes, with a metric that says so (embedded metric format)."""
    sealed = sealer.seal(message.encode())
    parts = [sealed[start : start + MAX_LINE] for start in range(0, len(sealed), MAX_LINE)]
    for number, part in enumerate(parts):
        line: dict[str, Any] = {
            "message": SEALED,
            "request_id": request_id,
            "part": number,
            "parts": len(parts),
            "sealed": part,
        }
        if number == 0:
            metric = {"Name": "TelemetrySealed", "Unit": "Count"}
            directive = {"Namespace": "Tiltyard", "Dimensions": [[]], "Metrics": [metric]}
            line |= {
                "TelemetrySealed": 1,
                "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
            }
        # Not by the log: what is around a line there would hide the metric.
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()
