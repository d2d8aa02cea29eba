"""The text of an error, as it may be recorded or raised further. Pure.

pydantic quotes the values that it refuses, and of a long one only its beginning and its end, which no mask finds. So
what it quotes is left out, also of its text in another error's.
"""

import re

from pydantic import ValidationError

from ballast.contracts.secret import MASK
from ballast.contracts.wire import complaints
from ballast.errors import ends_the_process

_QUOTED = re.compile(r"input_value=.*?, input_type=[\w.<>]{1,200}\](?=\s|$|\\n|[\"'),.;:\]}])", re.DOTALL)


def error_text(problem: BaseException) -> str:
    """Return what an error says, whatever its class makes of ``str``, as text that UTF-8 has."""
    try:
        text = complaints(problem) if isinstance(problem, ValidationError) else str(problem)
    except BaseException as broken:
        if ends_the_process(broken):
            raise
        text = "(its text cannot be read)"
    return in_utf8(without_inputs(text))


def in_utf8(text: str) -> str:
    """Return ``text`` with ? for each half of a surrogate pair: no table, queue or browser takes one."""
    return text.encode("utf-8", "replace").decode("utf-8")


def without_inputs(text: str) -> str:
    """Return ``text`` without the values that pydantic quotes in it."""
    return _QUOTED.sub(f"input_value={MASK}]", text) if "input_value=" in text else text
