"""The base of every contract, JSON as Ballast understands it, and readable validation errors."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from ballast.errors import BallastError, InvalidInput

#: A name of ours: an agent, an intent, a tenant, a tool.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

ModelT = TypeVar("ModelT", bound="Wire")


class Wire(BaseModel):
    """A frozen, closed, strict value that is read from and written to JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def canonical(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN, ASCII.

    ASCII, because a lone surrogate in a model's output is legal JSON and illegal UTF-8.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    """Return the hex SHA-256 of ``text`` in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def complaints(error: ValidationError) -> str:
    """Return one line that names each wrong field and what is allowed, without echoing values."""
    parts = []
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(step) for step in item["loc"]) or "(whole)"
        parts.append(f"{where}: {item['msg']}")
    return "; ".join(parts)


def parse(model: type[ModelT], data: Any, *, what: str, error: type[BallastError] = InvalidInput) -> ModelT:
    """Return ``data`` (a mapping of JSON values) as ``model``, or raise ``error`` naming the fields.

    ``what`` is the contract's name in the message. Strictness is JSON's: a string is no
    number, but an array may become a tuple and a string an enum.
    """
    if not isinstance(data, Mapping):
        raise error(f"{what} must be a JSON object, not {type(data).__name__}.")
    try:
        return model.model_validate_json(json.dumps(data, allow_nan=False))
    except ValidationError as problem:
        raise error(f"{what} is not valid: {complaints(problem)}.") from None
    except (TypeError, ValueError) as problem:
        raise error(f"{what} is not JSON: {problem}.") from None
