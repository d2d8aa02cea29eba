"""The opening of a run, and people's later grants to it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ballast.contracts import HandOver, Limits, Planner, RunRequest
from ballast.contracts.attachment import Kept
from ballast.contracts.wire import parse
from ballast.errors import LogCorrupt
from ballast.folds.calls import kept_files
from ballast.log.events import ApprovalAnswered, EscalationAnswered, LeaseExtended, RunOpened, RunRefused
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.run import Run, Turn


@dataclass(frozen=True)
class Opening:
    """An admitted run.

    limits              as admitted
    cost_ceiling_microusd  the admitted ceiling, plus what people added and Extend leased: of each grant the smaller
                        of the added and the leased amount
    agent_until_ms, deadline_ms  epoch milliseconds; every answer of a person renews them
    attachments         the request's files, checked
    requested_by        the requester's identity, if the caller was authenticated; they may not approve its calls
    granted_turn        the turn in which a person last handed back to the agent; turns and tool calls
                        are counted after it. 0 if no person did.
    """

    request: RunRequest
    request_sha256: str | None
    limits: Limits
    cost_ceiling_microusd: int
    agent_until_ms: int
    deadline_ms: int
    granted_turn: int
    requested_by: str | None = None
    attachments: tuple[Kept, ...] = ()


def opening(run: Run) -> Opening:
    """Return the opening of the run. Raises ``LogCorrupt`` if it was not admitted."""
    opened = run.fact(RunOpened)
    if opened is None:
        raise LogCorrupt("The log has no 0000.run.opened: the run was not admitted, or its log is incomplete.")
    limits = parse(Limits, opened.limits, what="limits", error=LogCorrupt)
    agent_until_ms, deadline_ms = run.over_turns("deadlines", (opened.agent_until_ms, opened.deadline_ms), _renewed)
    return Opening(
        request=parse(RunRequest, opened.request, what="request", error=LogCorrupt),
        request_sha256=opened.request_sha256,
        limits=limits,
        cost_ceiling_microusd=limits.cost_microusd + sum(one.leased_microusd for one in run.grants),
        agent_until_ms=agent_until_ms,
        deadline_ms=deadline_ms,
        granted_turn=run.grants[-1].turn if run.grants else 0,
        requested_by=opened.requested_by,
        attachments=kept_files(opened.attachments),
    )


def _renewed(before: tuple[int, int], turn: Turn) -> tuple[int, int]:
    """Return the deadlines after people's answers in ``turn``."""
    answers = (event.fact for event in turn.events if event.name in (EscalationAnswered.NAME, ApprovalAnswered.NAME))
    for answered in answers:
        assert isinstance(answered, EscalationAnswered | ApprovalAnswered)
        until_ms, deadline_ms = answered.agent_until_ms, answered.deadline_ms
        before = before[0] if until_ms is None else until_ms, before[1] if deadline_ms is None else deadline_ms
    return before


@dataclass(frozen=True)
class Grant:
    """A person handed the run back to the agent in that turn; ``leased_microusd`` is added to the ceiling.

    It is the smaller of the amount that the person added and the amount that was leased.
    """

    turn: int
    leased_microusd: int


def grants(run: Run) -> tuple[Grant, ...]:
    """Return the grants in order. A requester's reply renews the deadlines, and is not a grant."""
    opened = run.fact(RunOpened)
    # A log from before leases existed has no lease.extended either.
    leases = opened is not None and opened.lease is not None
    extended = {one.turn: one.microusd for one in run.facts(LeaseExtended)}
    found = []
    for answered in run.facts(EscalationAnswered):
        decision = answered.decision
        if answered.kind != "question" and isinstance(decision, HandOver) and decision.to is Planner.AGENT:
            added = decision.add_budget_microusd
            leased = min(added, extended.get(answered.turn, 0)) if leases else added
            found.append(Grant(answered.turn, leased))
    return tuple(found)


def requested(run: Run) -> RunRequest:
    """Return the request, admitted or not. Raises ``LogCorrupt``."""
    first = run.fact(RunOpened) or run.fact(RunRefused)
    if first is None:
        raise LogCorrupt("The log has neither 0000.run.opened nor 0000.run.refused: it is incomplete.")
    return parse(RunRequest, first.request, what="request", error=LogCorrupt)


def renewed(limits: Limits, now: datetime) -> dict[str, int]:
    """Return a run's new deadlines after a wait for people."""
    now_ms = int(now.timestamp() * 1000)
    return {
        "agent_until_ms": now_ms + (limits.deadline_s - limits.fallback_reserve_s) * 1000,
        "deadline_ms": now_ms + limits.deadline_s * 1000,
    }
