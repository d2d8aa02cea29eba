"""Canned responses of the fake API: a night at the support desk, in the shapes of the HTTP API."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ballast.contracts.timeline import Timeline
from ballast.log.event import Event, order
from ballast.run import Run
from ballast.why import explained
from functions.front.runs import timeline_page, why_fitting

#: The page's clock stands here.
NOW = datetime(2026, 11, 22, 3, 7, 12, tzinfo=UTC)


def ago(**span: float) -> str:
    """Return the ISO 8601 time so long before the page's now; negative spans lie ahead."""
    return (NOW - timedelta(**span)).isoformat()


def run_id(letter: str) -> str:
    return f"run-{letter * 24}"


def esc_id(letter: str) -> str:
    return f"esc-{letter * 16}"


def run(letter: str, status: str, **facts: Any) -> dict[str, Any]:
    """Return a Run of the API."""
    ended = status not in ("running", "waiting")
    return {
        "run_id": run_id(letter),
        "request_id": f"req-{letter}",
        "tenant": "harbour",
        "agent": "support",
        "intent": "refund",
        "status": status,
        "by": "agent" if status == "answered" else None,
        "degraded": False,
        "reason": None,
        "text": "My tent arrived torn: refund O-1004.",
        "escalation_id": None,
        "answer": "It is on its way." if status == "answered" else None,
        "cost_usd": "0.0158",
        "ceiling_usd": "0.15",
        "turns": 3,
        "opened_at": ago(minutes=9),
        "deadline_at": ago(minutes=8),
        "ended_at": ago(minutes=8, seconds=30) if ended else None,
        **facts,
    }


def escalation(letter: str, kind: str, **facts: Any) -> dict[str, Any]:
    """Return an escalation of the API: open unless ``facts`` say otherwise."""
    refund = {"tool": "refund_order", "arguments": {"order_id": "O-1004", "amount_usd": "480.00", "reason": "damaged"}}
    approval = kind == "approval"
    reason = "approval_required" if approval else "guardrail_intervened"
    request = "The tent of order O-1004 arrived torn. I have sent it back and want my 480 dollars."
    return {
        "escalation_id": esc_id(letter),
        "run_id": run_id("w"),
        "tenant": "harbour",
        "kind": kind,
        "answered_by": None,
        "answered_at": None,
        "reason": reason,
        "status": "open",
        "summary": f"Reason: {reason}.\nRequest (refund): {request}\n"
        '- turn 1, agent: look_up_order {"order_id":"O-1004"}: ok.\nUsed: 2 turns, 2 calls, $0.006751 of $0.15.',
        "proposed_decision": {"kind": "call_tools", "calls": [refund]} if approval else None,
        "opened_at": ago(minutes=42),
        "answer_by": ago(hours=-3),
        **facts,
    }


def event(seq: str, seconds: float, **body: Any) -> dict[str, Any]:
    return {"seq": seq, "at": (NOW - timedelta(minutes=9) + timedelta(seconds=seconds)).isoformat(), "body": body}


def requested(turn: int, seconds: float, *content: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": list(content)}]
    return event(f"{turn:04d}.model.requested", seconds, attempt=1, messages=messages, reserved_microusd=21_390)


def responded(turn: int, seconds: float, said: str, cost: int, **decision: Any) -> dict[str, Any]:
    calls = [{"toolUse": {"name": call["tool"], "input": call["arguments"]}} for call in decision.get("calls", [])]
    return event(
        f"{turn:04d}.model.responded",
        seconds,
        attempt=1,
        message={"role": "assistant", "content": [{"text": said}, *calls]},
        stop_reason="tool_use" if calls else "end_turn",
        exit_reason="tool_use" if calls else "end_turn",
        cost_microusd=cost,
        latency_ms=840,
        decision=decision,
        **{"gen_ai.usage.input_tokens": 2750, "gen_ai.usage.output_tokens": 65},
    )


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": name, "arguments": arguments}


#: A run that shows everything once: calls, a refusal, an approval, hand-overs, a person.
LOG: list[dict[str, Any]] = [
    event(
        "0000.run.opened",
        0,
        agent="support",
        model="eu.anthropic.claude-haiku-4-5",
        limits={"cost_microusd": 40_000, "turns": 4, "deadline_s": 60},
        agent_until_ms=1_795_316_342_000,
        deadline_ms=1_795_316_352_000,
        request={"text": "My tent arrived torn: refund O-1004.", "intent": "refund", "context": {"customer_id": "C-1"}},
    ),
    requested(1, 0.2, {"text": "My tent arrived torn: refund O-1004."}),
    responded(
        1, 1.1, "I look at the order.", 13_214, kind="call_tools", calls=[tool("look_up_order", order_id="O-9999")]
    ),
    event(
        "0001.call.1.refused",
        1.2,
        **tool("look_up_order", order_id="O-9999"),
        error="NotGrounded",
        message="order_id: O-9999 occurs nowhere in the request or in a result.",
    ),
    requested(2, 1.4, {"toolResult": {"status": "error", "content": [{"text": "order_id: O-9999 occurs nowhere"}]}}),
    responded(
        2,
        2.2,
        "Then the right one, and the refund.",
        14_926,
        kind="call_tools",
        calls=[tool("look_up_order", order_id="O-1004"), tool("refund_order", order_id="O-1004", amount_usd="480.00")],
    ),
    event("0002.call.1.intended", 2.3, effect="read", planner="agent", **tool("look_up_order", order_id="O-1004")),
    event(
        "0002.call.1.settled",
        2.4,
        tool="look_up_order",
        status="ok",
        latency_ms=18,
        result={"order_id": "O-1004", "status": "delivered", "note": "torn tent " * 80},
    ),
    event(
        "0002.call.2.approval_requested", 2.5, escalation_id=esc_id("b"), kind="approval", reason="approval_required"
    ),
    event(
        "0002.call.2.approval_answered", 60, escalation_id=esc_id("b"), approve=True, by="Lee", comment="It came back."
    ),
    event(
        "0002.call.2.intended",
        61,
        effect="write",
        planner="agent",
        **tool("refund_order", order_id="O-1004", amount_usd="480.00"),
        undo=tool("cancel_refund"),
    ),
    event(
        "0002.call.2.settled",
        62,
        tool="refund_order",
        status="unknown",
        latency_ms=4_100,
        message="The payment service did not answer; whether the money moved is not known.",
    ),
    requested(3, 63, {"text": "Go on."}),
    event(
        "0003.model.failed",
        65,
        exit_reason="model_throttled",
        error="ThrottlingException",
        cost_microusd=0,
        latency_ms=1900,
    ),
    event(
        "0004.plan.decided",
        66,
        planner="agent",
        decision={"kind": "hand_over", "to": "fallback", "reason": "turn_limit"},
    ),
    event(
        "0005.plan.decided",
        67,
        planner="fallback",
        note="A refund of unknown effect is nothing for a script.",
        decision={"kind": "hand_over", "to": "human", "reason": "effect_unknown"},
    ),
    event(
        "0006.escalation.opened", 68, escalation_id=esc_id("e"), kind="escalation", reason="effect_unknown", summary="…"
    ),
]


def timeline(letter: str, log: Sequence[dict[str, Any]], *, after: int = 0, limit: int = 100) -> dict[str, Any]:
    """Return the page of the timeline that the API makes of a log; what is no event of ours is unreadable there."""
    page: dict[str, Any] = timeline_page(_run_of(letter, log)[1], after, limit).model_dump(mode="json")
    return page


def why(letter: str, log: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the report that the API makes of a log."""
    report: dict[str, Any] = why_fitting(explained(*_run_of(letter, log), stack="ballast-prod")).model_dump(mode="json")
    return report


def _run_of(letter: str, log: Sequence[dict[str, Any]]) -> tuple[Run, Timeline]:
    wrong: dict[str, str] = {}
    events = []
    for one in log:
        try:
            if one.get("corrupt"):
                raise ValueError(one["corrupt"])
            events.append(Event(run_id=run_id(letter), seq=one["seq"], at=one["at"], body=one["body"]))
        except (ValueError, KeyError) as problem:
            wrong[str(one.get("seq", ""))] = str(problem)
    run = Run(sorted(events, key=order))
    return run, run.timeline(wrong, run_id=run_id(letter))


def logged(letter: str, log: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the answers about a run with that log: its events, its timeline, and the report on it."""
    path = f"GET /runs/{run_id(letter)}"
    told = {f"{path}/timeline": timeline(letter, log), f"{path}/why": why(letter, log)}
    return {f"{path}/events": {"events": list(log), "next": None}, **told}


def hours_ago(back: int) -> str:
    """Return the beginning of the hour so many hours before the current one."""
    return (NOW.replace(minute=0, second=0) - timedelta(hours=back)).isoformat()


def activity(**last: int) -> dict[str, Any]:
    """Return the last day's runs of the API: two answers an hour, one of them the fallback's; ``last`` is this hour."""
    hour = {"runs": 3, "answered": 2, "looked_at": 2, "by_others": 1}
    hours = [{"since": hours_ago(back), **hour, **(last if back == 0 else {})} for back in reversed(range(24))]
    return {"tenant": "default", "hours": hours}


def budget(*taken: str, tenant: str | None = None) -> dict[str, Any]:
    """Return the money windows of the API: ``taken`` are the newest hours, oldest first; before them nothing."""
    every = ["0.00"] * (24 - len(taken)) + list(taken)
    hours = [{"since": hours_ago(23 - at), "taken_usd": usd, "spent_usd": usd} for at, usd in enumerate(every)]
    day = {"since": hours_ago(3), "taken_usd": "12.50", "spent_usd": "12.00"}
    return {"tenant": tenant, "hour_limit_usd": "20.00", "day_limit_usd": "100.00", "day": day, "hours": hours}


def night() -> dict[str, Any]:
    """Return the answers of an API in trouble, keyed as ``FakeApi`` wants them."""
    waiting = run(
        "w", "waiting", cost_usd="0.02814", ceiling_usd="0.04", escalation_id=esc_id("e"), reason="effect_unknown"
    )
    late = run("l", "running", intent="order_status", opened_at=ago(minutes=30), deadline_at=ago(minutes=28))
    failed = run(
        "f", "failed", reason="planner_failed", cost_usd="0.15", opened_at=ago(hours=2), ended_at=ago(hours=1.9)
    )
    silent = run("u", "unanswered", reason="rolled_back", opened_at=ago(hours=7), ended_at=ago(hours=3))
    good = [
        run("a", "answered"),
        run("d", "answered", by="fallback", degraded=True, cost_usd="0.004", opened_at=ago(hours=1)),
    ]
    approval, decision = (
        escalation("b", "approval"),
        escalation("e", "escalation", opened_at=ago(hours=2), reason="effect_unknown"),
    )
    return {
        "GET /escalations": {"escalations": [approval, decision], "next": None},
        f"GET /escalations/{esc_id('b')}": approval,
        f"GET /escalations/{esc_id('e')}": decision,
        "GET /runs": {"runs": [waiting, *good, late, failed, silent], "next": "older"},
        "GET /runs?next=older": {
            "runs": [run("z", "answered", opened_at=ago(hours=20), cost_usd="0.01")],
            "next": None,
        },
        "GET /runs?status=running": {"runs": [late, run("r", "running", deadline_at=ago(seconds=-30))], "next": None},
        "GET /runs?status=failed": {"runs": [failed], "next": None},
        "GET /runs?status=timed_out": {"runs": [], "next": None},
        "GET /runs?status=unanswered": {"runs": [silent], "next": None},
        f"GET /runs/{run_id('w')}": waiting,
        **logged("w", LOG),
        "GET /activity": activity(runs=12, answered=6, looked_at=6, by_others=3),
        "GET /budget": budget("2.00", "13.00", "18.50"),
        "GET /escalations?status=answered": {"escalations": [], "next": None},
    }


def quiet() -> dict[str, Any]:
    """Return the answers of an API at which nothing was ever asked."""
    return {"GET /escalations": {"escalations": [], "next": None}, "GET /runs": {"runs": [], "next": None}}
