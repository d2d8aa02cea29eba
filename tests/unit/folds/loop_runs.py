"""Logs of an agent that repeats itself, written call by call.

run = LoopRun().reads("search", {"query": "late order"}, result=["a"]).reads(…)
detect(Run.of(run.events)).rung
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ballast.contracts import CallTools, ExitReason, HandOver, Planner, ToolCall
from ballast.folds.loops import Loops, Signal, detect, detect_proposed
from ballast.log.event import Event
from ballast.log.events import CallIntended, CallRefused, CallSettled, EscalationAnswered, ModelResponded
from ballast.run import Run

RUN, AT = "run-circles", "2026-11-01T09:00:00+00:00"


@dataclass
class LoopRun:
    """A log that grows by a turn with each method; ``turn`` is the newest."""

    written: list[Event] = field(default_factory=list)
    turn: int = 0

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(self.written)

    @property
    def verdict(self) -> Loops:
        return detect(Run.of(self.events))

    def reads(self, tool: str = "look", arguments: Any = None, *, result: Any = "a result") -> "LoopRun":
        """A call that is answered with ``result``."""
        return self._called([(tool, arguments)], [{"status": "ok", "result": result}], "read")

    def writes(
        self, tool: str = "change", arguments: Any = None, *, status: str = "ok", planner: str = "agent"
    ) -> "LoopRun":
        """A call that writes, or fails to."""
        outcome = {"status": status, "result": {"done": True}, "message": "It is locked."}
        return self._called([(tool, arguments)], [outcome], "write", planner)

    def fails(self, tool: str = "look", arguments: Any = None, *, message: str = "Not found.") -> "LoopRun":
        """A read that fails."""
        return self._called([(tool, arguments)], [{"status": "failed", "message": message}], "read")

    def refused(self, tool: str = "look", arguments: Any = None, *, error: str = "SchemaViolation") -> "LoopRun":
        """A call that the executor refuses."""
        self._proposes([(tool, arguments)])
        body = {"tool": tool, "arguments": arguments, "error": error, "message": f"{tool}: no."}
        return self._write(CallRefused.key(self.turn, 1), body)

    def at_once(self, calls: Sequence[tuple[str, Any]], *, result: Any = "a result") -> "LoopRun":
        """Several reads in one reply."""
        return self._called(calls, [{"status": "ok", "result": result} for _ in calls], "read")

    def obeying(self, tool: str = "look", arguments: Any = None, *, result: Any = "a result") -> "LoopRun":
        """A read that the executor treats as the planner's verdict asks."""
        sign = self.on(tool, arguments)
        if sign is None or not (sign.answer or sign.rung == 2):
            return self.reads(tool, arguments, result=result)
        if sign.rung == 2:
            return self.refused(tool, arguments, error="ToolForbidden")
        self._proposes([(tool, arguments)])
        body = {"status": "ok", "result": result, "repeat_of": list(sign.same_as)}
        return self._write(CallSettled.key(self.turn, 1), body)

    def repeated(self, tool: str, arguments: Any = None, *, result: Any = "a result") -> "LoopRun":
        """A write that may be made once and is answered with the result that it had."""
        self._proposes([(tool, arguments)])
        return self._write(CallSettled.key(self.turn, 1), {"status": "ok", "result": result, "repeat_of": [1, 1]})

    def on(self, tool: str = "look", arguments: Any = None) -> Signal | None:
        """Return the verdict on such a call, were it proposed now."""
        return detect_proposed(Run.of(self.events), self.turn + 1, [ToolCall(tool=tool, arguments=arguments)]).get(1)

    def person(self, *, kind: str = "escalation") -> "LoopRun":
        """Somebody answers: a person hands back to the agent, or the requester replies (``question``)."""
        self.turn += 1
        decision = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Go on.")
        body = {"kind": kind, "decision": decision.model_dump(mode="json")}
        return self._write(EscalationAnswered.key(self.turn), body)

    def _called(
        self, calls: Sequence[tuple[str, Any]], outcomes: Sequence[dict[str, Any]], effect: str, planner: str = "agent"
    ) -> "LoopRun":
        self._proposes(calls, planner)
        for index, ((tool, arguments), outcome) in enumerate(zip(calls, outcomes, strict=True), start=1):
            intended = {"tool": tool, "arguments": arguments, "effect": effect, "undo": None}
            self._write(CallIntended.key(self.turn, index), intended)
            self._write(CallSettled.key(self.turn, index), outcome)
        return self

    def _proposes(self, calls: Sequence[tuple[str, Any]], planner: str = "agent") -> None:
        self.turn += 1
        decision = CallTools(calls=tuple(ToolCall(tool=tool, arguments=arguments) for tool, arguments in calls))
        body = {"attempt": 1, "cost_microusd": 0, "decision": decision.model_dump(mode="json"), "planner": planner}
        self._write(ModelResponded.key(self.turn) if planner == "agent" else f"{self.turn:04d}.plan.decided", body)

    def _write(self, seq: str, body: dict[str, Any]) -> "LoopRun":
        self.written.append(Event(run_id=RUN, seq=seq, at=AT, body=body))
        return self
