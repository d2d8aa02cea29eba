"""The ends of a request that brought no result, and what each proves of its effect.

::

    RetryLater, NotNow    nothing was sent, or the server says that it did nothing now
    RemoteFailed          it did nothing; if it answers a key always alike, an earlier attempt did nothing either
      └ NotLookedAt       it did nothing now; of an earlier attempt this says nothing
          └ Unauthorized  the same: it let nobody in
    AnswerLost            it may have acted

One rule for all protocols: a key lets the executor send a call again. It makes no answer a proof that would be none
without it. What a server says by 400 to 499 is believed: one that acts and answers so all the same cannot be told.
"""

from ballast.contracts.wire import text_or_length
from ballast.errors import RetryLater
from ballast.masking import in_utf8
from ballast.playbook.context import NotSent, ToolFailed

#: Statuses of HTTP by which a server says that it did nothing, and why not now.
NOT_NOW = frozenset({429})
#: Statuses by which a server says that it did nothing and will not. 409 is none of them: of a request with an
#: idempotency key it may say that the first one is still at work. 407, 421 and 5xx are a proxy's, which may have passed
#: the request on.
REFUSALS = frozenset(
    {400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 416, 417, 422, 424, 426, 428, 431, 451}
)
#: Those of them by which it has let nobody in.
_NOT_LET_IN = frozenset({401, 403})
#: Those of them, and of a declaration's own, that answer what the call asks for, so that a server which answers a key
#: always alike says by them what became of the first attempt. Others may come from who stands before it (a router, a
#: proxy), or be the first attempt's own doing: 404 of what it has deleted, 409 and 412 of what it has made.
_OF_THE_CALL = frozenset({400, 402, 422, 424})
#: Statuses by which an MCP server says that it does not know the session. A tool may have acted in it.
GONE = frozenset({404, 410})

#: JSON-RPC errors by which a server says that it did not begin. Of a write, only the first two prove it: libraries
#: answer with the others as well where a tool has acted and its result does not fit.
NEVER_BEGUN = frozenset({-32700, -32601})
NOT_BEGUN = NEVER_BEGUN | {-32600, -32602}
#: Those that say more than the status of HTTP beside them: they may come from a tool that has acted.
BEGUN_PERHAPS = frozenset({-32600, -32602, -32603})

#: Beginnings of the types of errors by which Lambda says that it has ended a function under way: by its time, its
#: memory, a crash. No declaration of the function's errors speaks of them.
_ENDED_UNDER_WAY = ("Runtime.", "Sandbox.", "Extension.", "Function.")

#: Most characters of a server's words in a message.
_MAX_TOLD = 1_000


class AnswerLost(Exception):
    """The request was sent, and what the server did is not known. A write is in doubt.

    apart  the same in our own words alone, for other runs: without what the server says
    """

    def __init__(self, message: str, apart: str | None = None) -> None:
        super().__init__(message)
        self.apart = apart


class NotNow(RetryLater):
    """Nothing was done now. ``apart``: as that of ``AnswerLost``."""

    def __init__(self, message: str, apart: str | None = None) -> None:
        super().__init__(message)
        self.apart = apart


class RemoteFailed(ToolFailed):
    """The server refused. ``status`` is that of HTTP, None for another protocol."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotLookedAt(RemoteFailed, NotSent):
    """Refused, perhaps before anybody looked at the call and its key: this says nothing about an earlier attempt."""


class Unauthorized(NotLookedAt):
    """The server let nobody in."""


def refused(status: int, message: str) -> RemoteFailed:
    """Return the error of a refusal by a status of HTTP."""
    if status in _NOT_LET_IN:
        return Unauthorized(message, status)
    return (RemoteFailed if status in _OF_THE_CALL else NotLookedAt)(message, status)


def refused_by_code(code: int, message: str) -> RemoteFailed:
    """Return the error of a refusal by a code of JSON-RPC."""
    return (NotLookedAt if code in NEVER_BEGUN else RemoteFailed)(message)


def is_functions_own(error_type: object) -> bool:
    """Say whether a Lambda function's own code has raised an error of that type."""
    return isinstance(error_type, str) and bool(error_type) and not error_type.startswith(_ENDED_UNDER_WAY)


def told(text: str) -> str:
    """Return a server's text for a message that the planner reads, or its length: a cut may split a sensitive value."""
    return text_or_length(" ".join(in_utf8(text).split()), _MAX_TOLD)
