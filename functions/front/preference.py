"""What a caller prefers: the header ``Prefer`` (RFC 7240), as far as it is understood. Pure.

``wait=N``                  answer within N seconds: the run's answer, or a degraded one of its fallback
``respond-async, wait=N``   wait N seconds, but leave the run all of its time
"""

import re
from dataclasses import dataclass

#: Seconds; API Gateway itself waits for 30 at most.
MAX_WAIT_S = 25
_WAIT = re.compile(r"""(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,9})(?![0-9])""", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?![\w=-])", re.IGNORECASE)


@dataclass(frozen=True)
class Preference:
    """How long the caller waits, and whether the answer is wanted by then."""

    wait_s: int
    hurries: bool


def preference(prefer: str | None) -> Preference | None:
    """Return what is preferred, None where that is not to wait; what is not understood is ignored."""
    found = _WAIT.search(prefer or "")
    if found is None:
        return None
    return Preference(min(int(found[1]), MAX_WAIT_S), hurries=not _ASYNC.search(prefer or ""))
