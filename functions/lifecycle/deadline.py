"""Until when a run is to be answered, and until when its agent may try. Pure.

::

    opened ───────── the agent ─────────▶ agent_until ── the fallback ──▶ deadline
                                           the playbook's reserve, half of the time at most

A caller who waits gets the answer of the agent or of the fallback within the time that it waits, where the
intent has a fallback. It says nothing about the run's limits: whatever a person answers renews the time by those.
"""

from dataclasses import dataclass
from datetime import datetime

from ballast.contracts import Limits, RunRequest

#: Below this there is no time for an agent and a fallback: whoever waits so briefly gets the run's address.
LEAST_S = 4


@dataclass(frozen=True)
class Deadline:
    """Epoch milliseconds."""

    agent_until_ms: int
    deadline_ms: int


def deadline(
    limits: Limits,
    request: RunRequest,
    *,
    now: datetime,
    came: datetime,
    answer_within_s: int | None,
    has_fallback: bool,
) -> Deadline:
    """Return the deadlines of a run that is opened ``now``.

    ``answer_within_s`` is for how long the caller waits from when it ``came``, None where nobody does. A request
    with a deadline of its own has that one; one without a fallback is not cut short, since nothing could answer
    in time but the agent.
    """
    now_ms = _ms(now)
    ends_ms = now_ms + limits.deadline_s * 1000
    asked = request.limits is not None and request.limits.deadline_s is not None
    if answer_within_s is not None and has_fallback and not asked:
        answer_by_ms = _ms(came) + answer_within_s * 1000
        if answer_by_ms - now_ms >= LEAST_S * 1000:
            ends_ms = min(ends_ms, answer_by_ms)
    reserve_ms = min(limits.fallback_reserve_s * 1000, (ends_ms - now_ms) // 2 // 1000 * 1000)
    return Deadline(agent_until_ms=ends_ms - reserve_ms, deadline_ms=ends_ms)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
