"""An amount of money as an event has it. Every fold reads them here, so that one that is none is believed nowhere."""

from collections.abc import Mapping
from typing import Any

from ballast.errors import LogCorrupt


def amount(where: str, body: Mapping[str, Any], name: str) -> int:
    """Return ``body[name]``: whole millionths, 0 or more.

    ``where`` is the event's key. Raises ``LogCorrupt`` for anything else, as whoever may write the log can put there:
    less than nothing would give room, a fraction would spoil the books, and True is no 1.
    """
    found = body.get(name)
    if type(found) is not int or found < 0:
        raise LogCorrupt(f"{where}: {name} is no amount; it is a whole number of millionths, 0 or more.")
    return found
