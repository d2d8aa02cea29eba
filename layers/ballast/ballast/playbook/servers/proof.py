"""The ends of a request that brought no result, and what each proves of its effect.

::

    RetryLater, NotNow    nothing was sent, or the server says that it did nothing now
    AsIfAgain             (context.py) it refused what may be a repetition: of an idempotent write, 404 and 410
    RemoteFailed          it did nothing; if it answers a key always alike, an earlier attempt did nothing either
      └ NotLookedAt       it did nothing now; of an earlier attempt this says nothing
          └ Unauthorized  the same: it let nobody in
    AnswerLost            it may have acted

One rule for all protocols: a key lets the executor send a call again. It makes no answer a proof that would be none
without it. Of a write, only four statuses of an OpenAPI server are plain ``RemoteFailed``: there the operation itself
answers. A status of an MCP server comes from its transport, before anybody looks at the key; and what a declaration
calls a refusal is said of the call that gets it ("already exists" is what the first one made). What a server says by
400 to 499 is believed of the request that it answers: one that acts and answers so all the same cannot be told.
"""

import re

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
#: Those of 400 to 499 that speak of who asks, of the connection or of the moment. No read says by them what is there.
SAY_NOTHING = _NOT_LET_IN | NOT_NOW | {407, 408, 421, 425, 426, 431}
#: Those of them, and of a declaration's own, that answer what the call asks for, so that a server which answers a key
#: always alike says by them what became of the first attempt. Others may come from who stands before it (a router, a
#: proxy), or be the first attempt's own doing: 404 of what it has deleted, 409 and 412 of what it has made.
_OF_THE_CALL = frozenset({400, 402, 422, 424})
#: Statuses by which a server says that something is gone. An MCP server says so of the session, also where it has given
#: none: a tool may have acted in it. Of an idempotent write, a repetition gets them.
GONE = frozenset({404, 410})
#: Those by which some servers say so of a session that they have given: 404 is the protocol's, 400 that of the usual
#: libraries. The others of ``REFUSALS`` speak of who asks, of the message's form, or of its size.
SESSION_UNKNOWN = GONE | {400, 405, 422, 424, 428}

#: JSON-RPC errors by which a server says that it did not begin. Of a write, only the first two prove it: libraries
#: answer with the others as well where a tool has acted and its result does not fit.
NEVER_BEGUN = frozenset({-32700, -32601})
NOT_BEGUN = NEVER_BEGUN | {-32600, -32602}
#: Those that say more than the status of HTTP beside them: they may come from a tool that has acted.
BEGUN_PERHAPS = frozenset({-32600, -32602, -32603})

#: Types of errors by which Lambda, or a runtime in its own words (``java.lang.OutOfMemoryError``, ``MemoryError``),
#: says that a function has ended under way: by its time, its memory, its stack, a crash. No declaration of the
#: function's errors speaks of them. A type that only looks so costs a person's look.
_ENDED_UNDER_WAY = re.compile(
    r"^(runtime|sandbox|extension|function|lambda|aws)\.|^sig[a-z]+$|memory|heap|stackoverflow|executionstack"
    r"|systemstack|recursion|time.?d?.?out|deadlineexceeded|exit(error|ed)?\b|exit status|killed|signalexception"
    r"|threadabort|^abort|interrupt(ed|error)|(^|\.)(task|operation)?cancell?ed(error|exception)$"
    r"|\bfatal\b|fatal(error|exception)|crash|panic|virtualmachine|threaddeath|executionengine"
    r"|internalerror|accessviolation|segmentation",
    re.IGNORECASE,
)
#: The same in the words of an error whose type does not say it.
_ENDED_IN_WORDS = re.compile(
    r"task timed out|(runtime|process) (exited|crashed)|exited (before|with)|exit status|signal: |out of memory"
    r"|cannot allocate memory|heap space|(reached|near) heap limit|maximum call stack|stack overflow",
    re.IGNORECASE,
)

#: Most characters of a server's words in a message.
_MAX_TOLD = 1_000


class AnswerLost(Exception):
    """The request was sent, and what the server did is not known. A write is in doubt.

    apart  the same in our own words alone, for other runs: without what the server says
    """

    def __init__(self, message: str, apart: str | None = None) -> None:
        super().__init__(message)
        self.apart = apart or "its answer was lost, or is none"


class NotNow(RetryLater):
    """Nothing was done now. ``apart``: as that of ``AnswerLost``."""

    def __init__(self, message: str, apart: str | None = None) -> None:
        super().__init__(message)
        self.apart = apart or "it cannot be called now"


class RemoteFailed(ToolFailed):
    """The server refused. ``status`` is that of HTTP, None for another protocol."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotLookedAt(RemoteFailed, NotSent):
    """Refused, perhaps before anybody looked at the call and its key: this says nothing about an earlier attempt."""


class Unauthorized(NotLookedAt):
    """The server let nobody in."""


def refused(status: int, message: str, *, of_the_call: bool = True) -> RemoteFailed:
    """Return the error of a refusal by a status of HTTP. ``of_the_call``: whether what answers has looked at its key.

    In MCP a status is the transport's, which knows nothing of a tool's keys.
    """
    if status in _NOT_LET_IN:
        return Unauthorized(message, status)
    return (RemoteFailed if of_the_call and status in _OF_THE_CALL else NotLookedAt)(message, status)


def refused_by_error(message: str) -> RemoteFailed:
    """Return the error of a refusal by an error of JSON-RPC, of an MCP tool or of a Lambda function.

    Whoever declares that an error means that nothing was done speaks of the call that gets it. Of a second one it may
    be the first one's doing, such as "already exists".
    """
    return NotLookedAt(message)


def is_functions_own(error_type: object, message: object = "") -> bool:
    """Say whether a Lambda function's own code has raised an error of that type, and was not ended under way."""
    if not isinstance(error_type, str) or not error_type.strip() or _ENDED_UNDER_WAY.search(error_type):
        return False
    return not _ENDED_IN_WORDS.search(message if isinstance(message, str) else "")


def told(text: str) -> str:
    """Return a server's text for a message that the planner reads, or its length: a cut may split a sensitive value."""
    return text_or_length(" ".join(in_utf8(text).split()), _MAX_TOLD)
