"""The base class of contracts, JSON as Ballast reads and writes it, and readable validation errors."""

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, StringConstraints, ValidationError
from pydantic_core import from_json

from ballast.errors import BallastError, InvalidInput

#: The name of an agent, an intent, a tenant or a tool.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

#: Deeper JSON is refused: parsers have different limits of depth, and each must read what another one wrote.
MAX_DEPTH = 64
#: The most complaints in an error, and the most characters of a name and of a complaint: models pay for each.
_MAX_COMPLAINTS, _MAX_NAME_CHARS, _MAX_COMPLAINT_CHARS = 8, 200, 600
#: What a value that is no object and no list may be, and a name in an object as Python writes it.
_OF_JSON = (str, int, float, type(None))


def _plain(value: JsonValue) -> JsonValue:
    level: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            raise ValueError("must not contain NaN or infinity")
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise ValueError(f"must be nested less than {MAX_DEPTH} levels deep")


def _inside(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


#: JSON that every parser accepts.
Json = Annotated[JsonValue, AfterValidator(_plain)]
#: Non-blank text: Converse refuses blank text.
Text = Annotated[str, AfterValidator(_said)]

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound="Wire")


class Wire(BaseModel):
    """A frozen, closed, strict model that is read from and written to JSON.

    A model is built when it is first used: a function starts without those that it never reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def canonical(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN, ASCII.

    ASCII, because a lone surrogate in a model's output is legal JSON but illegal UTF-8.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def utf8_size(value: Any) -> int:
    """Return the size of ``value`` as JSON in bytes of UTF-8, without escapes.

    ``canonical`` is longer: six bytes for most non-Latin letters, twelve for an emoji.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def read_json(text: str | bytes, *, once: bool = False) -> Any:
    """Parse JSON. Raises ``ValueError``, also for a number whose digits a double would lose.

    ``once``: also for a repeated name in an object.
    """
    return json.loads(text, parse_float=_exactly, object_pairs_hook=_once if once else None)


def read_digits(text: str | bytes, *, once: bool = False) -> Any:
    """Parse JSON; a number whose digits a double would lose becomes its text. Raises ``ValueError``, also for NaN.

    ``once``: also for a repeated name in an object.
    """
    pairs = _once if once else None
    return json.loads(text, parse_float=_or_as_text, parse_constant=_no_number, object_pairs_hook=pairs)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def occurs_twice(text: str | bytes) -> bool:
    """Say whether JSON repeats a name in one of its objects: of its values, each parser keeps the one it likes."""
    try:
        json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return True
    return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(made := dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return made


def _exactly(digits: str) -> float:
    number = _or_as_text(digits)
    if isinstance(number, str):
        raise ValueError(
            f"the number {text_or_length(digits, 40)} has more digits than a JSON number keeps; send it as text"
        )
    return number


def _or_as_text(digits: str) -> float | str:
    """Return the number if a double keeps its digits (0.1, 1.10), else its text (12345678901234567.89)."""
    number = float(digits)
    return number if math.isfinite(number) and Decimal(repr(number)) == Decimal(digits) else digits


#: The largest integer below which every double is exact, so that no JSON parser loses a digit.
MAX_WHOLE = 2**53


def beyond_doubles(value: Any, path: str) -> str | None:
    """Return the path of an integer in JSON ``value`` that a double cannot hold; None if there is none."""
    if isinstance(value, dict):
        inside: Iterable[tuple[object, Any]] = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    else:
        too_long = isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_WHOLE
        return path if too_long else None
    return next((found for name, one in inside if (found := beyond_doubles(one, f"{path}.{name}"))), None)


def without_surrogates(text: str) -> str:
    """Return ``text`` without lone surrogates, which a model may write and other parsers refuse."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sha256(text: str) -> str:
    """Return the hex SHA-256 of ``text`` in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def text_or_length(text: str, most: int) -> str:
    """Return ``text``, or its length if it has more than ``most`` characters.

    For untrusted texts: cutting one could split a sensitive value, and no mask finds a part of a value.
    """
    return text if len(text) <= most else f"({len(text)} characters)"


def complaints(error: ValidationError, *, missing_first: bool = False, most: int = _MAX_COMPLAINTS) -> str:
    """Return one line that names the wrong fields and the allowed values, without the values that were sent.

    ``most``: how many fields are named.
    """
    parts = []
    items = error.errors(include_url=False, include_input=False)
    for item in sorted(items, key=lambda one: missing_first and one["type"] != "missing"):
        # An unknown field's name comes from the sender.
        where = text_or_length(".".join(str(step) for step in item["loc"]), _MAX_NAME_CHARS) or "(whole)"
        what = " ".join(item["msg"].split()).removeprefix("Value error, ")
        if item["type"] == "union_tag_invalid":  # its message would quote the sent value
            what = f"{item['ctx']['discriminator']} must be one of {item['ctx']['expected_tags']}"
        if len(what) > _MAX_COMPLAINT_CHARS:  # a playbook's validator may quote the value
            what = item["type"]
        parts.append(f"{' '.join(where.split())}: {what}")
    more = len(parts) - most
    return "; ".join(parts[:most] + ([f"and {more} more"] if more > 0 else []))


def parse(
    model: type[ModelT],
    data: Any,
    *,
    what: str,
    error: type[BallastError] = InvalidInput,
    most: int = _MAX_COMPLAINTS,
) -> ModelT:
    """Return ``data`` (a mapping of JSON values) as ``model``. Raises ``error``, which names the fields.

    ``what`` is the contract's name in the message, in which ``most`` fields are named. Validation is strict: a string
    is not a number. But an array may become a tuple, and a string an enum.
    """
    if not isinstance(data, Mapping):
        raise error(f"{what} must be a JSON object, not {type(data).__name__}.")
    return validated(model.model_validate_json, data, what=what, error=error, most=most)


def validated(
    read: Callable[[str], T],
    data: Any,
    *,
    what: str,
    error: type[BallastError],
    hint: str = "",
    most: int = _MAX_COMPLAINTS,
) -> T:
    """Return ``read`` of ``data`` as JSON text. Raises ``error``, which names the fields and ends with ``hint``."""
    try:
        return read(json.dumps(data, allow_nan=False))
    except ValidationError as problem:
        if problem.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
            raise error(f"{what} is not valid: {complaints(problem, most=most)}.{hint}") from None
    except (TypeError, ValueError, RecursionError):
        pass
    if other := list(islice(_other_values(data), most)):
        raise error(f"{what} is not valid: {'; '.join(other)}.{hint}")
    raise error(
        f"{what} is not JSON: {_no_json(data)}. Send text in UTF-8 and numbers that are finite, "
        f"and nest objects and lists less than {MAX_DEPTH} deep.{hint}"
    )


def _other_values(data: Any) -> Iterator[str]:
    """Yield what a caller's YAML may hold and JSON does not have, such as a date without quotation marks."""
    left: deque[tuple[str, Any]] = deque([("", data)])
    seen: set[int] = set()
    while left:
        path, value = left.popleft()
        if isinstance(value, Mapping | list | tuple):
            if id(value) in seen:
                continue
            seen.add(id(value))
            parts = value.items() if isinstance(value, Mapping) else enumerate(value)
            keys = [*value] if isinstance(value, Mapping) else []
            named = [(f"{path}.{text_or_length(str(key), _MAX_NAME_CHARS)}".lstrip("."), one) for key, one in parts]
            yield from (_no_value(path or "(whole)", key) for key in keys if not isinstance(key, _OF_JSON))
            left += named
        elif not isinstance(value, _OF_JSON):
            yield _no_value(path or "(whole)", value)


def _no_value(path: str, value: object) -> str:
    if isinstance(value, date):
        return f"{path}: {value} is a date, which JSON does not have. Write it in quotation marks"
    return f"{path}: holds a value of type {type(value).__name__}, which JSON does not have. Write a text"


def _no_json(data: Any) -> str:
    """Return the names of the fields of ``data`` that are not JSON."""
    wrong = []
    for name, value in data.items() if isinstance(data, Mapping) else ():
        try:
            from_json(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            wrong.append(text_or_length(" ".join(str(name).split()), _MAX_NAME_CHARS))
    return ", ".join(wrong[:_MAX_COMPLAINTS]) or "(whole)"
