"""What the schemas of all domains are made of: their base, and the values that many of them hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Team = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/][A-Za-z0-9_.:/-]{0,62}$")]
Owner = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
Description = Annotated[str, StringConstraints(max_length=2000)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"\S")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[int, Field(ge=1, le=999_999)]
Time = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339 in UTC, to the millisecond")
]


class Schema(BaseModel):
    """Nothing that isn't named, nothing that is merely like it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
