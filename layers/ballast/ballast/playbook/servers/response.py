"""The response to one request of JSON-RPC, looked for in a body while that is read. Pure."""

import codecs
import re
from typing import Any

from ballast.contracts.wire import read_digits

_BOM, _LINE_ENDS = codecs.BOM_UTF8, re.compile(rb"\r\n|\n|\r")


class ResponseIn:
    """The response to one request, looked for in a body while that is read: JSON, or events of a stream.

    Each byte is looked at once, and each event as soon as it is whole, whatever follows it. Other messages are the
    server's own notifications and requests: this client offers nothing that they could ask for.
    """

    def __init__(self, wanted: object) -> None:
        """``wanted``: the id of the request."""
        self.found: dict[str, Any] | None = None
        self._wanted, self._head, self._is_json, self._begun = wanted, bytearray(), False, False
        self._line, self._after_cr, self._data = bytearray(), False, list[bytes]()

    def read_on(self, part: bytes) -> bool:
        """Take the next part of the body, and say whether more of it is needed."""
        if not self._begun:
            self._head = (self._head + part).lstrip()
            if len(self._head) <= len(_BOM) and self._head == _BOM[: len(self._head)]:
                return True  # the first character after it decides
            part, self._head = bytes(self._head).removeprefix(_BOM).lstrip(), bytearray()
            if not part:
                return True
            self._begun, self._is_json = True, part[:1] in (b"{", b"[")
        if self._is_json:
            self._head += part
        else:
            self._take(part)
        return self.found is None

    def at_the_end(self) -> dict[str, Any] | None:
        """Return the response, None if the body has none. Of an event that has not ended, whole JSON is one as well."""
        if self.found is None and self._is_json:
            self._look(bytes(self._head))
        elif self.found is None:
            self._take(b"\n\n")
        return self.found

    def _take(self, part: bytes) -> None:
        if not part:
            return
        if self._after_cr:
            part = part.removeprefix(b"\n")
        self._after_cr = part.endswith(b"\r")
        *whole, rest = _LINE_ENDS.split(part)
        for line in whole:
            self._end_line(bytes(self._line) + line)
            self._line.clear()
            if self.found is not None:
                return
        self._line += rest

    def _end_line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            self._look(b"\n".join(self._data))
            self._data.clear()

    def _look(self, text: bytes) -> None:
        try:
            found: Any = read_digits(text.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return
        for one in found if isinstance(found, list) else [found]:
            ours = isinstance(one, dict) and "method" not in one and self._wanted is not None
            if ours and one.get("id") == self._wanted and not isinstance(one.get("id"), bool):
                self.found = one
                return


def response_in(body: bytes, wanted: object) -> dict[str, Any] | None:
    """Return the response to a request in a whole body, None if it is not there; see ``ResponseIn``."""
    response = ResponseIn(wanted)
    response.read_on(body)
    return response.at_the_end()
