"""Between JSON values and DynamoDB's attribute values.

Smaller than boto3's own: every number here is an integer, so nothing becomes a Decimal.
"""

from collections.abc import Mapping
from typing import Any


def encode(value: Any) -> dict[str, Any]:
    """Return a string, integer, boolean, None, list or mapping as an attribute value."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, list | tuple):
        return {"L": [encode(each) for each in value]}
    if isinstance(value, Mapping):
        return {"M": {name: encode(each) for name, each in value.items()}}
    raise TypeError(f"{type(value).__name__} is not kept in the shop's tables.")


def decode(attribute: Mapping[str, Any]) -> Any:
    """Return an attribute value that ``encode`` wrote."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return int(value)
        case "NULL":
            return None
        case "L":
            return [decode(each) for each in value]
        case "M":
            return {name: decode(each) for name, each in value.items()}
    raise TypeError(f"Attribute type {kind} is not used in the shop's tables.")


def encode_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole item; what is None is left out."""
    return {name: encode(value) for name, value in item.items() if value is not None}


def decode_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``encode_item`` wrote, without the attributes that were left out."""
    return {name: decode(attribute) for name, attribute in item.items()}
