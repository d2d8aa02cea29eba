"""Texts that may leave a function: an error's own, and any text with an invocation's values masked. Pure.

pydantic quotes the values that it refuses, a long one only by its beginning and end, which no mask would find. So its
quotes are removed, even from its text inside another error's.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import complaints
from ballast.errors import ends_the_process
from ballast.masking.decoded import is_name, sent
from ballast.masking.secret import DATA, MASK, Finder, Secret, as_text

_QUOTED = re.compile(r"input_value=.*?, input_type=[\w.<>]{1,200}\](?=\s|$|\\n|[\"'),.;:\]}])", re.DOTALL)


def error_text(problem: BaseException) -> str:
    """Return an error's text as valid UTF-8, whatever its class does in ``str``."""
    try:
        text = complaints(problem) if isinstance(problem, ValidationError) else str(problem)
    except BaseException as broken:
        if ends_the_process(broken):
            raise
        text = "(its text cannot be read)"
    return in_utf8(without_inputs(text))


def in_utf8(text: str) -> str:
    """Return ``text`` with ? for each lone surrogate: no table, queue or browser accepts one."""
    return text.encode("utf-8", "replace").decode("utf-8")


def without_inputs(text: str) -> str:
    """Return ``text`` without the values that pydantic quotes."""
    return _QUOTED.sub(f"input_value={MASK}]", text) if "input_value=" in text else text


def masked_context(text: str, event: Any) -> str:
    """Return a text with the values of an event's request context or call arguments masked."""
    found = {Secret(value) for name, value in _sent_values(sent(event), "") if name}
    return Finder.of(found).masked(text) if found else text


def _sent_values(value: Any, below: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not is_name(name):
                yield below, name
            yield from _sent_values(inner, name if name in DATA else below)
    elif isinstance(value, list):
        for inner in value:
            yield from _sent_values(inner, below)
    elif value is not None and not isinstance(value, bool):
        yield below, as_text(value)
