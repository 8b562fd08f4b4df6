"""Items in DynamoDB's own form and back: whole numbers stay `int`, bytes stay bytes.

boto3's own serializers make every number a `Decimal` and cost several times more
on the prediction path, where an item is read for every confirmation of a pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.lineage.items import Item
from tiltyard.errors import IntegrityError, TiltyardError

Attributes = dict[str, Any]


def to_attributes(item: Mapping[str, Any]) -> Attributes:
    """Raises `TiltyardError` for a value that an item can't hold (a fraction, above all)."""
    return {name: to_attribute(value) for name, value in item.items()}


def to_attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):  # before int, which bool is a kind of
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, dict):
        return {"M": to_attributes(value)}
    if isinstance(value, list):
        return {"L": [to_attribute(part) for part in value]}
    raise TiltyardError(f"an item can't hold a {type(value).__name__}: {value!r}")


def from_attributes(attributes: Mapping[str, Any]) -> Item:
    """Raises `IntegrityError` for a value that Tiltyard never writes."""
    return {name: from_attribute(value) for name, value in attributes.items()}


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    if kind == "S" or kind == "BOOL" or kind == "B":
        return value
    if kind == "N":
        try:
            return int(value)
        except ValueError as exc:
            raise IntegrityError(f"a stored number isn't whole: {value}") from exc
    if kind == "M":
        return {name: from_attribute(part) for name, part in value.items()}
    if kind == "L":
        return [from_attribute(part) for part in value]
    if kind == "NULL":
        return None
    raise IntegrityError(f"a stored attribute has type {kind}, which Tiltyard never writes")
