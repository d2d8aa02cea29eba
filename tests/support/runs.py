"""Builder of a run's log for tests, event by event, as Ballast's functions write it.

    story = Story().opened()
    asked = story.asks(1)
    story.replies(asked, wants(("look_up_order", {"order_id": "O-1"})))
    story.executes(1, 1, "ok", {"status": "shipped"})
    story.run.usage

``written`` is the order of writing, which is what a crash cuts off; ``events`` the order in which
the log is read. Requests are composed by the planner's own code, so their hashes are real.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Limits, Planner, RunRequest, ToolCall
from ballast.contracts.wire import canonical
from ballast.folds.conversation import prompt_digest
from ballast.log.event import Event, order
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalRequested,
    CallIntended,
    CallRefused,
    CallSettled,
    EscalationAnnounced,
    EscalationAnswered,
    EscalationOpened,
    Fact,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PlanDecided,
    RunEnded,
    RunOpened,
    RunRefused,
)
from ballast.playbook.agents import hand_over_of, to_agent
from ballast.run import Run
from functions.agent.decision import question_to_requester
from functions.agent.new_messages import new_messages
from functions.agent.reply import read_completion
from functions.people.open import escalation_id_of

STARTED = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
STARTED_MS = int(STARTED.timestamp() * 1000)
REQUEST = RunRequest(
    request_id="req-1", intent="order_status", text="Where is my order O-1?", context={"order_id": "O-1"}
)
SYSTEM = [{"text": "You are the support desk."}]
TOOLS = {"tools": [{"toolSpec": {"name": "look_up_order", "description": "…", "inputSchema": {"json": {}}}}]}
#: The tools of these runs that write, and what undoes them.
UNDO: dict[str, str | None] = {"refund_order": "cancel_refund", "cancel_refund": None, "send_letter": None}

Decided = CallTools | Answer | HandOver


@dataclass
class Story:
    """A run's log while it grows. Each method writes what one step of the work records.

    agents  the agent in charge of each turn of the agent, as the workflow went
    """

    request: RunRequest = REQUEST
    limits: Limits = field(default_factory=Limits)
    written: list[Event] = field(default_factory=list)
    agents: dict[int, str] = field(default_factory=dict)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, in order."""
        return tuple(sorted(self.written, key=order))

    @property
    def run(self) -> Run:
        """The run as it is read now."""
        return Run(self.events)

    def record(self, fact: Fact) -> Event:
        """Record an event once, as the log does."""
        return self.write(fact.seq, fact.body)

    def write(self, seq: str, body: Mapping[str, Any]) -> Event:
        """Append once, as the log does: the first body under a key stays."""
        known = next((event for event in self.written if event.seq == seq), None)
        if known is not None:
            return known
        at = STARTED + timedelta(seconds=len(self.written))
        plain = json.loads(canonical(dict(body)))
        event = Event(run_id=self.request.run_id, seq=seq, at=at.isoformat(), body=plain)
        self.written.append(event)
        return event

    def opened(self) -> "Story":
        body = {
            "request": self.request.model_dump(mode="json"),
            "request_sha256": self.request.digest,
            "limits": self.limits.model_dump(mode="json"),
            "agent": "support",
            "model": "test-model",
            "agent_until_ms": STARTED_MS + (self.limits.deadline_s - self.limits.fallback_reserve_s) * 1000,
            "deadline_ms": STARTED_MS + self.limits.deadline_s * 1000,
        }
        self.write(RunOpened.key(), body)
        return self

    def refused(self, reason: str = "NotAdmitted") -> "Story":
        body = {"request": self.request.model_dump(mode="json"), "reason": reason, "message": "Not here."}
        self.write(RunRefused.key(), body)
        return self

    def asks(self, turn: int, *, reserved: int = 10_000) -> Event:
        """Reserve and ask the model: the next attempt at ``turn``."""
        run = self.run
        attempt = 1 + sum(one.turn == turn for one in run.facts(ModelRequested))
        first = {"system": SYSTEM, "tools": TOOLS} if run.prompt.system != SYSTEM else {}
        asked = ModelRequested(
            turn=turn,
            attempt=attempt,
            after=run.prompt.after,
            covers=[event.seq for event in run.unseen],
            messages=new_messages(run),
            reserved_microusd=reserved,
            model="test-model",
            max_tokens=1024,
            temperature="0",
            **first,
        )
        digest = prompt_digest(run, run.prompt.extended(asked, run), asked.inference)
        return self.record(asked.model_copy(update={"prompt_sha256": digest}))

    def replies(self, asked: Event, reply: Mapping[str, Any], *, cost: int = 4_000) -> Decided:
        """Record the completion of one attempt and return the decision that stands for its turn."""
        requested = asked_in(asked)
        turn, attempt = requested.turn, requested.attempt
        completion = read_completion(reply, turn)
        to = self.run.successor(Planner.AGENT, has_fallback=True)
        decision = completion.decision or HandOver(to=to, reason=completion.reason)
        if isinstance(decision, CallTools):
            sent = hand_over_of(decision.calls[0]) if len(decision.calls) == 1 else None
            decision = to_agent(sent) if sent else question_to_requester(decision) or decision
        charge: dict[str, Any] = {"turn": turn, "attempt": attempt, "cost_microusd": requested.reserved_microusd}
        if tokens := completion.tokens:
            charge["cost_microusd"] = min(cost, requested.reserved_microusd)
            charge |= {"input_tokens": tokens.input, "output_tokens": tokens.output}
            charge |= {"cache_read_tokens": tokens.cache_read, "cache_write_tokens": tokens.cache_write}
        responded = ModelResponded(
            **charge,
            message=completion.message,
            stop_reason=completion.stop_reason,
            exit_reason=completion.reason,
            decision=decision,
            parallel=isinstance(decision, CallTools) and not any(call.tool in UNDO for call in decision.calls),
        )
        recorded = self.record(responded).fact
        assert isinstance(recorded, ModelResponded)
        if recorded.attempt != attempt:
            self.record(ModelFailed(**charge, exit_reason=completion.reason))
        return self.run.proposals[turn].decision

    def breaks(self, asked: Event, reason: ExitReason = ExitReason.MODEL_THROTTLED, *, charged: bool = False) -> None:
        """Record that an attempt brought no completion."""
        requested = asked_in(asked)
        failed = ModelFailed(
            turn=requested.turn,
            attempt=requested.attempt,
            exit_reason=reason,
            error="…",
            cost_microusd=requested.reserved_microusd if charged else 0,
            latency_ms=3,
        )
        self.record(failed)

    def decides(self, turn: int, planner: Planner, decision: Decided, **more: Any) -> Decided:
        """Record a decision that no completion made; ``more`` is ``undoes``, ``note``, ``parallel``, …"""
        self.record(PlanDecided(turn=turn, planner=planner, decision=decision, **more))
        return self.run.proposals[turn].decision

    def asks_approval(self, turn: int, index: int) -> str:
        seq = ApprovalRequested.key(turn, index)
        return self._asks_people(seq, kind="approval", reason="approval_required")

    def approves(self, turn: int, index: int, approve: bool) -> None:
        escalation_id = escalation_id_of(self.request.run_id, ApprovalRequested.key(turn, index))
        body = {"escalation_id": escalation_id, "approve": approve, "by": "kim", "comment": "I looked."}
        self.write(ApprovalAnswered.key(turn, index), body)

    def intends(self, turn: int, index: int, call: ToolCall) -> None:
        """Record that a call was allowed; also all that is left of one that crashed."""
        undo = UNDO.get(call.tool)
        body: dict[str, Any] = {
            "tool": call.tool,
            "arguments": call.arguments,
            "effect": "write" if call.tool in UNDO else "read",
            "undo": {"tool": undo, "arguments": {}} if undo else None,
        }
        self.write(CallIntended.key(turn, index), body)

    def executes(self, turn: int, index: int, status: str = "ok", result: Any = None) -> None:
        """Execute a proposed call to its end: ok, failed, unknown, denied or refused."""
        call = self.run.proposals[turn].calls[index - 1]
        if status == "refused":
            body = {"tool": call.tool, "arguments": call.arguments, "error": "UnknownTool", "message": "No such tool."}
            self.write(CallRefused.key(turn, index), body)
            return
        if status != "denied":
            self.intends(turn, index, call)
        undo = UNDO.get(call.tool) if status == "ok" else None
        outcome = {"result": result} if status == "ok" else {"message": f"It was {status}."}
        settled = {"tool": call.tool, "status": status, "latency_ms": 5, **outcome}
        settled["undo"] = {"tool": undo, "arguments": {"of": f"{turn}.{index}"}, "call_id": ""} if undo else None
        self.write(CallSettled.key(turn, index), settled)

    def escalates(self, turn: int, reason: str = "no_fallback", *, kind: str = "escalation") -> str:
        """Ask people, or the requester if ``kind`` is ``question``."""
        return self._asks_people(EscalationOpened.key(turn), kind=kind, reason=reason)

    def _asks_people(self, seq: str, **body: str) -> str:
        escalation_id = escalation_id_of(self.request.run_id, seq)
        self.write(seq, {"escalation_id": escalation_id, "summary": "…", "answer_by": STARTED.isoformat(), **body})
        return escalation_id

    def announces(self, turn: int) -> None:
        """Record that the escalation was announced; it may come late."""
        self.write(EscalationAnnounced.key(turn), {"event_id": f"evt-{turn:04d}"})

    def person(self, turn: int, decision: Decided, *, kind: str = "escalation") -> Decided:
        """Record a person's answer to the escalation of ``turn``, or the requester's to a question."""
        now_ms = STARTED_MS + turn * 3_600_000
        escalation_id = escalation_id_of(self.request.run_id, EscalationOpened.key(turn))
        body: dict[str, Any] = {"escalation_id": escalation_id, "kind": kind, "by": "kim"}
        body |= {"decision": decision.model_dump(mode="json")}
        body |= {"agent_until_ms": now_ms + 110_000, "deadline_ms": now_ms + 120_000}
        self.write(EscalationAnswered.key(turn), body)
        return decision

    def ends(self, status: str = "answered", by: str | None = "agent") -> "Story":
        used = self.run.usage
        body: dict[str, Any] = {"status": status, "by": by, "degraded": by != "agent"}
        body |= {"spent_microusd": used.spent_microusd, "reserved_microusd": used.reserved_microusd}
        self.write(RunEnded.key(), body | ({"answer": "Done."} if by else {"reason": "deadline"}))
        return self

    @property
    def ceiling(self) -> int:
        """The run's cost ceiling, with what people added."""
        return self.run.opening.cost_ceiling_microusd


def asked_in(asked: Event) -> ModelRequested:
    """Return what ``Story.asks`` recorded."""
    fact = asked.fact
    assert isinstance(fact, ModelRequested)
    return fact


def says(text: str, stop_reason: str = "end_turn") -> dict[str, Any]:
    """Return Converse's reply with an answer."""
    return _reply([{"text": text}], stop_reason)


def wants(*calls: tuple[str, Any], stop_reason: str = "tool_use") -> dict[str, Any]:
    """Return Converse's reply that proposes ``calls`` (tool, arguments); ids repeat, as real ones do."""
    return _reply(
        [{"toolUse": {"toolUseId": "call_0", "name": tool, "input": arguments}} for tool, arguments in calls],
        stop_reason,
    )


def _reply(content: list[dict[str, Any]], stop_reason: str) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120},
    }
