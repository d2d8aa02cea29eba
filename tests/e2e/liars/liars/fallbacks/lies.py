"""One lie a fallback; each intent says which."""

import os
import random
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from ballast.contracts import RunRequest
from ballast.playbook import fallback
from ballast.playbook.fallback import Script

from ..tools.lies import honest_add

_CALLS: list[int] = []


@fallback(intent="clock")
def clock(request: RunRequest) -> Script:
    """Decide by the hour."""
    yield honest_add.call(id="a" if datetime.now(UTC).hour < 12 else "b")
    return "Done."


class _Asked(BaseModel):
    """When it was asked, by the clock that a library of C asks for a default."""

    at: datetime = Field(default_factory=datetime.utcnow)


@fallback(intent="default_clock")
def default_clock(request: RunRequest) -> Script:
    """Decide by the year."""
    yield honest_add.call(id="a" if _Asked().at.year > 1970 else "b")
    return "Done."


@fallback(intent="chance")
def chance(request: RunRequest) -> Script:
    """Decide by chance, once in a million."""
    yield honest_add.call(id="a")
    return "Done." if random.random() > 1e-6 else "Not done."


@fallback(intent="variable")
def variable(request: RunRequest) -> Script:
    """Decide by a variable."""
    yield honest_add.call(id=os.environ.get("NO_SUCH_VARIABLE", "a"))
    return "Done."


@fallback(intent="memory")
def memory(request: RunRequest) -> Script:
    """Decide by what the process remembers."""
    _CALLS.append(1)
    yield honest_add.call(id=str(len(_CALLS)))
    return "Done."


@fallback(intent="honest")
def honest(request: RunRequest) -> Script:
    """Decide by the request and the result."""
    done = yield honest_add.call(id="a")
    return f"{request.text} {done.count}"
