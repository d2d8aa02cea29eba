"""How a run began, what was granted to it since, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ballast.contracts import Event, HandOver, Limits, Planner, RunRequest
from ballast.contracts.decision import recorded_decision
from ballast.contracts.wire import parse
from ballast.errors import LogCorrupt
from ballast.folds.amount import amount


@dataclass(frozen=True)
class Opening:
    """What was admitted.

    limits              as admitted
    cost_ceiling_microusd  the admitted ceiling and what people added since, once it was leased too: of neither
                        more than the other says
    agent_until_ms, deadline_ms  epoch milliseconds; whatever a person answers renews them
    requested_by        who asked for the run, where the front door knew; they may not approve its calls
    granted_turn        the turn in which a person last handed back to the agent; counting of
                        turns and tool calls starts after it. 0 where nobody did.
    """

    request: RunRequest
    request_sha256: str
    limits: Limits
    cost_ceiling_microusd: int
    agent_until_ms: int
    deadline_ms: int
    granted_turn: int
    requested_by: str | None = None


def opening(events: Sequence[Event]) -> Opening:
    """Return how the run of ``events`` was opened. Raises ``LogCorrupt`` where it was not."""
    first = next((event for event in events if event.name == "run.opened"), None)
    if first is None:
        raise LogCorrupt("The log has no 0000.run.opened: the run was not admitted, or its log is incomplete.")
    body = first.body
    limits = parse(Limits, body["limits"], what="limits", error=LogCorrupt)
    ceiling, granted = limits.cost_microusd, 0
    leased = "lease" in body  # a log from before there were leases has no lease.extended either
    agent_until_ms, deadline_ms = body["agent_until_ms"], body["deadline_ms"]
    extended = {e.turn: amount(e.seq, e.body, "microusd") for e in events if e.name == "lease.extended"}
    for event in events:
        if event.name not in ("escalation.answered", "call.approval_answered"):
            continue
        agent_until_ms = event.body.get("agent_until_ms", agent_until_ms)
        deadline_ms = event.body.get("deadline_ms", deadline_ms)
        if event.name == "call.approval_answered" or event.body.get("kind") == "question":
            continue  # it gives the agent time, but nobody granted it anything
        decision = recorded_decision(event.body["decision"])
        if isinstance(decision, HandOver) and decision.to is Planner.AGENT:
            added = decision.add_budget_microusd
            ceiling += min(added, extended.get(event.turn, 0)) if leased else added
            granted = event.turn
    return Opening(
        request=parse(RunRequest, body["request"], what="request", error=LogCorrupt),
        request_sha256=body["request_sha256"],
        limits=limits,
        cost_ceiling_microusd=ceiling,
        agent_until_ms=agent_until_ms,
        deadline_ms=deadline_ms,
        granted_turn=granted,
        requested_by=body.get("requested_by"),
    )


def renewed(limits: Limits, now: datetime) -> dict[str, int]:
    """Return a run's new deadlines after people were waited for: what follows gets a time of its own."""
    now_ms = int(now.timestamp() * 1000)
    return {
        "agent_until_ms": now_ms + (limits.deadline_s - limits.fallback_reserve_s) * 1000,
        "deadline_ms": now_ms + limits.deadline_s * 1000,
    }


def ending(events: Sequence[Event]) -> Event | None:
    """Return the event that ended the run, or None while it goes on."""
    return next((event for event in events if event.name in ("run.ended", "run.refused")), None)
