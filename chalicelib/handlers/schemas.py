"""What travels over the wire: pydantic models that validate requests and make the OpenAPI document.

Only the function `api` loads this module, and only when a body is read or the
document is asked for. A prediction's body is checked in plain code
(`serving.body`), and so is a policy's; their models here are for the document,
and a test holds both to the same bodies.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    RootModel,
    StringConstraints,
    model_validator,
)

from chalicelib.handlers.schema_types import (
    Description,
    Digest,
    Name,
    Number,
    Owner,
    Reason,
    Schema,
    Team,
    Time,
)
from chalicelib.lineage.records import Stage
from tiltyard.contract.faults import parse_time
from tiltyard.contract.signature import Task
from tiltyard.runtime.policy import Measure, When


def _has_zone(text: str) -> str:
    parse_time(text)
    return text


EventTime = Annotated[
    str,
    AfterValidator(_has_zone),
    Field(json_schema_extra={"format": "date-time"}, description="RFC 3339 with its time zone"),
]

MAX_FILE_BYTES = 64 * 2**20


class NewModel(Schema):
    name: Name
    team: Team
    task: Task
    owner: Owner | None = Field(None, description="Who answers for it; the caller when left out")
    description: Description = ""


class ModelChanges(Schema):
    """What is left out stays as it is."""

    owner: Owner | None = None
    description: Description | None = None
    team: Team | None = None


class Model(Schema):
    name: Name
    team: Team
    task: Task
    owner: str
    description: str
    created_at: Time
    versions: int = Field(ge=0, description="The number of the last version")
    changes: int = Field(ge=1, description="The number of the last change")


class FileToUpload(Schema):
    sha256: Digest
    size: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)] = Field(description="Bytes")
    media_type: Literal["application/octet-stream", "application/json"]


class Upload(Schema):
    """Send the bytes with `method` to `url`, with exactly these headers."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: Time


class UploadOffer(Schema):
    sha256: Digest
    present: bool
    upload: Upload | None = None


class NewVersion(Schema):
    manifest: dict[str, Any] = Field(description="manifest.json: format, task, files, framework, …")
    description: Description = ""


class File(Schema):
    sha256: Digest
    size: int


class Version(Schema):
    model: Name
    version: Number
    digest: Digest = Field(description="SHA-256 of the canonical manifest (RFC 8785)")
    stage: Stage
    files: dict[str, File]
    description: str
    registered_at: Time
    registered_by: str | None = Field(description="Null when the name was erased")
    examined_at: Time | None
    reasons: list[str] = Field(description="Why the examination rejected it")
    memory_bytes: int | None = Field(description="Measured size of a loaded session")


class Contract(Schema):
    signature: dict[str, Any] = Field(description="signature.json: task, columns, classes, threshold, …")
    example: dict[str, Any] | None = Field(
        description="A row ready to send to `predict`; no one's row where the model is about persons"
    )


class AliasSetting(Schema):
    version: Number
    pinned: bool | None = Field(
        None, description="A pinned alias neither moves nor goes; null leaves it as it is"
    )


class Alias(Schema):
    model: Name
    alias: Name
    version: Number
    digest: Digest
    pinned: bool


Level = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
ColumnName = Annotated[str, StringConstraints(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _is_off(value: bool) -> bool:
    if value:
        raise ValueError("must be an object with a level, or false to switch it off")
    return value


# Not a literal here either: 0 equals `false` there.
Off = Annotated[bool, Field(strict=True, json_schema_extra={"const": False}), AfterValidator(_is_off)]


class Uncertainty(Schema):
    level: Level | None = Field(None, description="Coverage of sets and intervals; 0.9 when left out")


class Anomaly(Schema):
    level: Level | None = Field(
        None, description="Share of usual rows that may be called anomalous; 0.01 when left out"
    )


class HumilityRule(Schema):
    """When something is odd, in these columns (any when left out), do this."""

    name: Name
    when: When
    action: Measure
    columns: Annotated[list[ColumnName], Field(min_length=1)] | None = Field(
        None, description="Not for `uncertain`: that is said of an answer, not of a column"
    )
    wider_than: Annotated[Finite, Field(gt=0)] | None = Field(
        None, description="Of `uncertain` for a regression: the width of an interval, in the target's unit"
    )
    value: str | Finite | None = Field(None, description="What an override answers: a class, or a number")

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.columns is not None and self.when == "uncertain":
            raise ValueError("an answer is uncertain, not a column of it")
        if self.wider_than is not None and self.when != "uncertain":
            raise ValueError("wider_than belongs to rules on `uncertain` only")
        if (self.value is not None) != (self.action == "override"):
            raise ValueError("an override has a value, and nothing else has")
        return self


class Monitoring(Schema):
    """What is left out gets its default."""

    alerts_a_year: Annotated[float, Field(ge=0.001, le=100)] | None = Field(
        None, description="False alerts a feature and year, at most; 0.7 when left out"
    )
    smallest_effect: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, description="Of drift, as a PSI beyond noise: smaller ones wake nobody; 0.02 when left out"
    )
    late_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Of a day's rows that may come late; 0.05 when left out"
    )
    runbook: Annotated[str, StringConstraints(pattern="^https://", max_length=500)] | None = Field(
        None, description="Where alerts say to look; their kind is appended after a #"
    )


class PolicyDocument(Schema):
    """What is left out gets its default; an empty `humility` is no rule at all."""

    # Not a literal: JSON's `true` equals 1 there.
    format: Annotated[int, Field(ge=1, le=1)]
    uncertainty: Uncertainty | Off | None = Field(None, description="false switches it off")
    anomaly: Anomaly | Off | None = Field(None, description="false switches it off")
    humility: Annotated[list[HumilityRule], Field(max_length=32)] | None = None
    telemetry: Literal["best-effort", "required"] | None = Field(
        None, description="`required`: rather no answer than one whose record is in no store"
    )
    monitoring: Monitoring | None = Field(None, description="What the watch may wake people for")


class Policy(Schema):
    model: Name
    number: int = Field(ge=0, description="Counts the policies that were put; 0 is the default")
    digest: Digest = Field(description="SHA-256 of the canonical document (RFC 8785)")
    document: PolicyDocument
    put_at: Time | None
    put_by: str | None = Field(description="Null when the name was erased, and for the default")


class Promotion(Schema):
    version: Number
    reason: Reason


class Archiving(Schema):
    reason: Reason


class Rollback(Schema):
    reason: Reason
    version: Number | None = Field(None, description="A past champion; the last one when left out")


class Swap(Schema):
    model: Name
    version: Number
    generation: int = Field(ge=1)
    started_at: Time
    previous: Number | None


class Champion(Schema):
    model: Name
    version: Number
    digest: Digest
    generation: int
    started_at: Time
    ended_at: Time | None = Field(description="Start of the next reign; null while it lasts")
    action: Literal["promote", "rollback"]
    approved_by: str | None = Field(description="Null when the name was erased")
    reason: str | None = Field(description="Null when the text was erased")
    change: int = Field(ge=1, description="The model's change that began it: proved by the audit log")


class Nobody(Schema):
    """The champion of a time at which nobody reigned."""

    model: Name
    version: None
    digest: None
    generation: None
    started_at: None
    ended_at: None
    action: None
    approved_by: None
    reason: None
    change: None


class Reigning(RootModel[Champion | Nobody]):
    """`Nobody` only for `as_of` before the first reign."""


class PredictionRequest(Schema):
    rows: list[dict[str, Any]] = Field(min_length=1, max_length=5000)
    ids: list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] | None = Field(
        None, description="One a row, no two alike; UUIDv7 when left out"
    )
    subjects: list[Annotated[str, StringConstraints(min_length=1, max_length=256)] | None] | None = Field(
        None, description="Persons that the rows are about, one a row; only pseudonyms are kept"
    )
    at: EventTime | list[EventTime] | None = Field(None, description="Event time, for all rows or one a row")
    explain: bool | None = Field(
        None, description="Say what each column did to the answer; for at most 20 rows, and 10 s of work"
    )


class Explanation(Schema):
    base: float = Field(description="The background rows' mean answer, on the scale")
    values: dict[str, float] = Field(
        description="What each column of the row added; with the base they sum to the row's own answer"
    )
    scale: Literal["log-odds", "probability", "value"]
    class_: str | None = Field(None, alias="class", description="The class that is explained")
    method: Literal["exact", "kernel"]
    coalitions: int = Field(description="Sets of columns that the values were made from")
    background: int = Field(description="Background rows that each set was tried with")
    seed: int
    error: float = Field(
        ge=0, description="Bound of the sampling error of any one value (three standard errors); 0 if exact"
    )


class StoredExplanation(Schema):
    model: Name
    version: Number
    id: str
    explanation: Explanation


class Warned(Schema):
    column: str
    kind: Literal["unseen_category", "out_of_range", "extreme", "combination"] = Field(
        description="extreme: far out in its column; combination: it goes least with the row's other values"
    )
    p: float | None = Field(None, description="Share of usual rows that look as odd")


class Prediction(Schema):
    id: str
    value: str | float | None = Field(
        description="A class label, or the predicted number; null where a rule abstains"
    )
    model_value: str | float | None = Field(None, description="The model's own, where a rule overrides it")
    score: float | None = Field(None, description="Probability of a binary model's positive class")
    scores: dict[str, float] | None = Field(
        None, description="Probability of each class of a multiclass model"
    )
    set: list[str] | None = Field(
        None, description="Classes that can't be ruled out at the policy's level, likeliest first"
    )
    interval: Annotated[list[float | None], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Lowest and highest value at the policy's level; null where there is no bound"
    )
    warnings: list[Warned]
    action: Literal["answer", "flag", "override", "abstain"]
    rules: list[str] | None = Field(None, description="Humility rules of the policy that fired")
    explanation: Explanation | None = None


class PredictionAnswer(Schema):
    model: Name
    version: Number
    role: str = Field(description="champion, the alias's name, or direct")
    policy: int = Field(ge=0, description="Number of the policy that judged; 0 where none was ever put")
    applied: dict[str, int] = Field(description="How many rows each humility rule fired for; none: {}")
    predictions: list[Prediction]


class Me(Schema):
    sub: str
    roles: list[str]
    teams: list[str]
    expires_at: Time


class Health(Schema):
    status: Literal["live", "ready"]


class Fault(Schema):
    pointer: str = Field(description="RFC 6901 pointer into the body; empty when it is in no one place")
    detail: str


class Problem(Schema):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int | None = None
    detail: str
    instance: str = Field(description="The request's id, as in X-Request-Id")
    errors: list[Fault] | None = None
    error: str | None = Field(None, description="detail and errors as one text, for clients of /v2")


Item = TypeVar("Item", bound=BaseModel)


class Page(Schema, Generic[Item]):
    items: list[Item]
    next: str | None = Field(description="Cursor of the next page; null on the last one")


class ModelPage(Page[Model]):
    pass


class VersionPage(Page[Version]):
    pass


class AliasPage(Page[Alias]):
    pass


class ReignPage(Page[Champion]):
    pass
