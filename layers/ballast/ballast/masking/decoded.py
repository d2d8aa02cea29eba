"""Decode an invocation's event, with the JSON, base64 and envelopes nested in its texts. Pure.

::

    {"body": "eyJ0ZXh0…", "isBase64Encoded": true}   API Gateway
    {"Records": [{"body": "{\\"Message\\": …}"}]}      SQS, and in it SNS or EventBridge
    {"context": {"x": "{\\"card\\": …}"}}              JSON in a caller's text

Masking must find every value that the function found. Base64 of JSON is read without being declared. Texts inside of
texts, their characters together and the depth of JSON have limits; below them a value is a list of its values. A text
that begins as JSON and is not gives the pairs in it.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

#: The most levels of texts inside texts, the deepest JSON, and the most characters in total.
_LEVELS, _DEEPEST, _MOST_CHARS = 6, 100, 16_000_000
_BLANK = "\ufeff \t\r\n"
_BASE64 = re.compile(r"[A-Za-z0-9+/_\r\n-]{8,}={0,2}\s*")
#: A string (a cut may have removed its closing quote), a number, or the colon after a name.
_TOKEN = re.compile(r'"(?P<text>(?:[^"\\]+|\\.)*)"?|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<colon>:)', re.DOTALL)
#: A key that is a field's name. Any other key is data: a card number, an address, a person's name.
_NAME = re.compile(r"[$A-Za-z_][A-Za-z_.:$-]{0,39}[0-9]{0,2}")


def sent(event: Any) -> Any:
    """Return ``event`` with the JSON of its texts under ``$read``, and each request in it under ``request``."""
    reading = _Reading()
    return {"event": reading.of(event, 0, _LEVELS), "requests": reading.requests}


def read_text(text: str) -> Any:
    """Return the value of JSON or of base64 of JSON; the pairs of a broken object; None for any other text.

    For JSON of a text (quoted twice) that text is returned.
    """
    said = text.strip(_BLANK)
    if said[:1] in ("{", "[", '"'):
        try:
            return from_json(said)
        except ValueError:
            return _pairs(said) if said[0] != '"' else None
    inner = _from_base64(said)
    return inner if inner is not None and inner.strip(_BLANK)[:1] in ("{", "[", '"') else None


def values_in(text: str) -> Iterator[Any]:
    """Yield the texts and numbers in a JSON text, and its keys that are data."""
    reading = _Reading()
    yield from _flat(reading.of([text], 0, _LEVELS, within=True)[1:])


def is_name(key: str) -> bool:
    """Return whether a key of JSON is a field's name and not data."""
    return _NAME.fullmatch(key) is not None


class _Reading:
    def __init__(self) -> None:
        self.requests: list[Any] = []
        self._left = _MOST_CHARS

    def of(self, value: Any, depth: int, levels: int, *, within: bool = False) -> Any:
        """Return ``value``, decoded. ``within``: it is in a request's context, which holds no other request."""
        if not isinstance(value, Mapping | list):
            return value
        if depth >= _DEEPEST:
            return list(_flat(value))
        read: list[Any] = []
        if isinstance(value, list):
            made = [self.of(inner, depth + 1, levels, within=within) for inner in value]
            for inner in value:
                read += self._text(inner, depth, levels, within=within)
            return made + read
        fields: dict[str, Any] = {}
        for name, inner in value.items():
            inside = within or name == "context"
            fields[name] = self.of(inner, depth + 1, levels, within=inside)
            read += self._text(inner, depth, levels, within=inside)
        if not within and isinstance(fields.get("context"), Mapping):
            self.requests.append({"request": {"context": fields["context"]}})
        return fields | ({"$read": read} if read else {})

    def _text(self, text: Any, depth: int, levels: int, *, within: bool) -> list[Any]:
        if not isinstance(text, str) or not levels or len(text) > self._left:
            return []
        inner = read_text(text)
        if inner is None or (within and isinstance(inner, _Pairs)):  # a text that only begins with a bracket
            return []
        self._left -= len(text)
        if isinstance(inner, _Pairs):
            self.requests.append({"request": {"context": inner}})
        if isinstance(inner, str):
            return [inner, *self._text(inner, depth, levels - 1, within=within)]
        return [self.of(inner, depth + 1, levels - 1, within=within)]


class _Pairs(dict[str, list[Any]]):
    """The values behind each name in a text that is no JSON."""


def _pairs(text: str) -> _Pairs:
    made, last, name = _Pairs(), None, ""
    for token in _TOKEN.finditer(text):
        if token["colon"]:
            name, last = str(last if last is not None else name), None
            continue
        if last is not None:
            made.setdefault(name, []).append(last)
        last = token["number"] if token["number"] else _unquoted(token["text"])
    if last is not None:
        made.setdefault(name, []).append(last)
    return made


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _from_base64(text: str) -> str | None:
    if len(text) > _MOST_CHARS or not _BASE64.fullmatch(text):
        return None
    plain = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _flat(value: Any) -> Iterator[Any]:
    """Yield the texts and numbers in JSON at any depth, and its keys that are data."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, Mapping):
            yield from (key for key in one if not is_name(key))
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        elif one is not None and not isinstance(one, bool):
            yield one
