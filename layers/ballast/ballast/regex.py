"""Regular expressions that are compiled on first use: a cold start reads hundreds of them and matches few.

Imports nothing of Ballast.
"""

import re
from typing import Any, AnyStr, cast


class _Late:
    """Stands for a compiled expression. A method that was used once is its own attribute from then on."""

    def __init__(self, text: Any, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found


def regex(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what behaves as ``re.compile(text, flags)``; a mistake in ``text`` is raised by its first use."""
    return cast("re.Pattern[AnyStr]", _Late(text, flags))
