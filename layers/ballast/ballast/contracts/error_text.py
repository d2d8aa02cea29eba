"""The text of an error, safe to record or to raise again. Pure.

pydantic quotes the values that it refuses, a long one only by its beginning and end, which no mask would find. So its
quotes are removed, even from its text inside another error's.
"""

import re

from pydantic import ValidationError

from ballast.contracts.secret import MASK
from ballast.contracts.wire import complaints
from ballast.errors import ends_the_process

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
