"""What travels in MLflow's scoring protocol and in the Open Inference Protocol v2.

For the OpenAPI document alone, which only the function `api` makes: the bodies are
checked in plain code (`serving.dataframes`, `serving.tensors`), for they depend on
the model's contract.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.handlers.schema_types import Name
from chalicelib.handlers.schemas import EventTime

Datatype = Literal[
    "BOOL",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
Row = dict[str, Any]
Parameters = dict[str, str | int | float | bool]
Rows = Annotated[list[Row], Field(min_length=1, max_length=5000)]
Shape = Annotated[list[int], Field(min_length=1, max_length=2)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataFrame(_Form):
    columns: list[str] = Field(description="Each once, every input of the contract among them")
    data: list[list[Any]] = Field(min_length=1, max_length=5000, description="Rows, a value a column")
    index: list[Any] | None = Field(None, description="One a row; not used")


class InvocationParams(_Form):
    """What `predict` takes beside the rows."""

    ids: list[str] | None = None
    subjects: list[str | None] | None = None
    at: EventTime | list[EventTime] | None = None


class InvocationRequest(_Form):
    """One of the four shapes."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [shape]}
                for shape in ("dataframe_split", "dataframe_records", "instances", "inputs")
            ]
        }
    )

    dataframe_split: DataFrame | None = None
    dataframe_records: Rows | None = None
    instances: Rows | None = None
    inputs: dict[str, list[Any]] | Rows | dict[str, str | int | float | bool | None] | None = Field(
        None, description="Values by column, rows, or one row's values by column"
    )
    params: InvocationParams | None = None


class InvocationAnswer(_Form):
    predictions: list[str | float | None] = Field(
        description="The decided values: a class label, a number, or null where a rule abstains"
    )


class ServerMetadata(_Form):
    name: str
    version: str
    extensions: list[str]


class ServerLive(_Form):
    live: bool


class ServerReady(_Form):
    ready: bool


class ModelReady(_Form):
    name: Name
    ready: bool


class TensorMetadata(_Form):
    name: str
    datatype: Datatype
    shape: Shape = Field(description="-1 for any number of rows")
    parameters: Parameters | None = Field(
        None, description="nullable and optional of an input; classes of scores, as JSON text"
    )


class ModelMetadata(_Form):
    name: Name
    versions: list[str] = Field(description="The one that answers")
    platform: str
    inputs: list[TensorMetadata] = Field(description="One a column of the contract")
    outputs: list[TensorMetadata]


class InputTensor(_Form):
    name: str
    datatype: Datatype
    shape: Shape = Field(description="[n] or [n, 1]; [n, k] for one tensor of all columns, all numbers")
    data: list[Any] = Field(description="Values in row-major order, flattened or nested")
    parameters: Parameters | None = Field(None, description="Tensors outside the JSON are refused")


class RequestedOutput(_Form):
    name: str
    parameters: Parameters | None = None


class InferenceRequest(_Form):
    id: str | None = Field(None, description="Echoed in the answer")
    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[RequestedOutput] | None = Field(None, description="All when left out")
    parameters: Parameters | None = Field(None, description="Not used, and echoed in the answer")


class OutputTensor(_Form):
    name: str
    datatype: Datatype
    shape: Shape
    data: list[str | float | None]


class InferenceAnswer(_Form):
    model_name: Name
    model_version: str
    id: str | None = None
    parameters: Parameters
    outputs: list[OutputTensor]
