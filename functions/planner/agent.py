"""The agent: fold the log, reserve, ask the model once, record what it said, decide.

::

    read log ─▶ decided already? ─yes─▶ same decision
       │no
       ▼
    limit? ─yes─▶ hand over (recorded)
       │no
       ▼
    breaker? ─open─▶ hand over (recorded)
       │closed
       ▼
    model.requested (the reservation) ─▶ Converse ─▶ model.responded │ model.failed
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ballast.breaker import Breakers
from ballast.contracts import Answer, CallTools, Event, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.event import model_seq, plan_seq
from ballast.errors import AttemptInProgress, ModelRefused, RetryLater
from ballast.folds import approval_given_up, counts, opening, proposals, successor, usage
from ballast.log import RunLog
from ballast.money import PriceBook, TokenCounts
from ballast.playbook import Playbook
from functions.planner import settling
from functions.planner.completion import Completion, read_completion
from functions.planner.converse import Converse, ModelFailure
from functions.planner.despair import goes_round, loop_stopped, verdict
from functions.planner.limits import calls_limit, limit_reached
from functions.planner.metrics import limit_line, model_call
from functions.planner.question import asked
from functions.planner.request import compose, converse_request
from functions.planner.spending import asks_a_person, held, passed, permitted

#: Attempts at one turn, each with its own reservation.
MAX_ATTEMPTS = 4


@dataclass(frozen=True)
class Agent:
    """One planner: the model behind the playbook's instructions and tools."""

    log: RunLog
    breakers: Breakers
    model: Converse
    model_id: str
    playbook: Playbook
    prices: PriceBook
    clock: Callable[[], datetime]
    emit: Callable[[str], None]

    def plan(self, task: PlanTask, *, invocation: str) -> PlanSummary:
        """Return this turn's decision; ``invocation`` tells this attempt from a concurrent one.

        Raises ``RetryLater`` where another attempt may help.
        """
        events = self.log.read(task.run_id)
        decided = proposals(events).get(task.turn)
        if decided is not None:
            return PlanSummary.of(decided.decision, parallel=decided.parallel)
        failed = [event for event in events if event.name == "model.failed" and event.turn == task.turn]
        attempt = 1 + sum(event.name == "model.requested" and event.turn == task.turn for event in events)
        reason = limit_reached(
            opening(events), usage(events), counts(events), new_turn=attempt == 1, now_ms=self._now_ms()
        )
        if approval_given_up(events, task.turn - 1):
            reason = ExitReason.APPROVAL_UNANSWERED
        if reason is None and attempt > MAX_ATTEMPTS:
            reason = ExitReason(failed[-1].body["exit_reason"]) if failed else ExitReason.MODEL_UNAVAILABLE
        if reason is None and goes_round(events):
            reason = ExitReason.LOOP
        if reason is not None:
            return self._hand_over(events, task, reason)
        force = self.breakers.in_force(opening(events).request.tenant, run_id=task.run_id, passed=passed(events))
        model_id = permitted(force, self.playbook.agent, self.model_id)
        if isinstance(model_id, ExitReason):
            return self._hand_over(events, task, model_id, **held(force, self.clock()))
        try:
            prices = self.prices.at(self.clock())
            requested = compose(events, attempt=attempt, model_id=model_id, playbook=self.playbook, prices=prices)
        except ModelRefused as refused:
            return self._hand_over(events, task, ExitReason.MODEL_REFUSED, note=str(refused))
        if isinstance(requested, ExitReason):
            return self._hand_over(events, task, requested)
        return self._ask(events, task, attempt, requested | {"invocation": invocation})

    def _ask(self, events: Sequence[Event], task: PlanTask, attempt: int, body: dict[str, Any]) -> PlanSummary:
        requested = self.log.append(task.run_id, model_seq(task.turn, attempt, "requested"), body)
        if requested.body["invocation"] != body["invocation"]:
            raise AttemptInProgress(f"{task.run_id} turn {task.turn}: another attempt has asked the model already.")
        started = self.clock()
        try:
            reply = self.model.reply(converse_request(events, body))
        except ModelFailure as failure:
            return self._failed(events, task, attempt, body, failure, self._ms_since(started))
        completion = read_completion(reply, task.turn)
        return self._responded(events, task, attempt, body, completion, self._ms_since(started))

    def _responded(
        self,
        events: Sequence[Event],
        task: PlanTask,
        attempt: int,
        requested: dict[str, Any],
        completion: Completion,
        latency_ms: int,
    ) -> PlanSummary:
        decision = self._within_limits(events, completion)
        parallel = isinstance(decision, CallTools) and self.playbook.reads_only(call.tool for call in decision.calls)
        charge = settling.settled(requested, completion, self.prices) | {"latency_ms": latency_ms}
        body = charge | {
            "message": completion.message,
            "stop_reason": completion.stop_reason,
            "exit_reason": completion.reason,
            "decision": decision.model_dump(mode="json"),
            "parallel": parallel,
            **verdict(events, task.turn, decision),
        }
        recorded = self.log.append(task.run_id, model_seq(task.turn, attempt, "responded"), body)
        self._report(requested, charge, completion.tokens, latency_ms)
        if recorded.body["attempt"] != attempt:
            # Another attempt at this turn answered first: its decision stands, ours only cost money.
            self.log.append(
                task.run_id,
                model_seq(task.turn, attempt, "failed"),
                charge | {"exit_reason": completion.reason, "error": "another attempt answered first"},
            )
        stands = proposals([*events, recorded])[task.turn]
        self._count(stands.decision)
        return PlanSummary.of(stands.decision, parallel=stands.parallel)

    def _within_limits(self, events: Sequence[Event], completion: Completion) -> CallTools | Answer | HandOver:
        """Return the completion's decision, or the hand-over where it has none or asks for too many calls."""
        decision, reason = completion.decision, completion.reason
        if isinstance(decision, CallTools):
            too_many = calls_limit(opening(events).limits, counts(events), decision.calls)
            if too_many is not None:
                decision, reason = None, too_many
            elif self.playbook.agent.ask_requester and (question := asked(decision)):
                return question
        return decision or HandOver(to=self._successor(events, reason), reason=reason)

    def _failed(
        self,
        events: Sequence[Event],
        task: PlanTask,
        attempt: int,
        requested: dict[str, Any],
        failure: ModelFailure,
        latency_ms: int,
    ) -> PlanSummary:
        charge = settling.failed(requested, charged=failure.charged)
        self.log.append(
            task.run_id,
            model_seq(task.turn, attempt, "failed"),
            charge | {"exit_reason": failure.reason, "error": failure.detail, "latency_ms": latency_ms},
        )
        self._report(requested, charge, None, latency_ms)
        if failure.again and attempt < MAX_ATTEMPTS:
            raise RetryLater(f"{task.run_id} turn {task.turn}, attempt {attempt}: {failure.detail}")
        return self._hand_over(events, task, failure.reason, note=failure.detail)

    def _hand_over(self, events: Sequence[Event], task: PlanTask, reason: ExitReason, **more: Any) -> PlanSummary:
        decision = HandOver(to=self._successor(events, reason), reason=reason)
        body: dict[str, Any] = {"planner": Planner.AGENT, "decision": decision.model_dump(mode="json")}
        recorded = self.log.append(task.run_id, plan_seq(task.turn), body | more)
        stands = proposals([*events, recorded])[task.turn]
        self._count(stands.decision)
        if isinstance(stands.decision, HandOver) and stands.decision.reason is ExitReason.LOOP:
            self.emit(loop_stopped([*events, recorded]))
        return PlanSummary.of(stands.decision)

    def _count(self, decision: CallTools | Answer | HandOver) -> None:
        line = limit_line(decision.reason) if isinstance(decision, HandOver) else None
        if line is not None:
            self.emit(line)

    def _successor(self, events: Sequence[Event], reason: ExitReason) -> Planner:
        if asks_a_person(reason, self.playbook.agent):
            return Planner.HUMAN
        intent = opening(events).request.intent
        starts_clean = self.playbook.agent.starts_clean(intent)
        has_fallback = intent in self.playbook.fallbacks
        return successor(Planner.AGENT, events, has_fallback=has_fallback, starts_clean=starts_clean)

    def _report(
        self, requested: dict[str, Any], charge: dict[str, Any], tokens: TokenCounts | None, latency_ms: int
    ) -> None:
        reserved, cost = requested["reserved_microusd"], charge["cost_microusd"]
        self.emit(model_call(reserved_microusd=reserved, cost_microusd=cost, tokens=tokens, latency_ms=latency_ms))

    def _now_ms(self) -> int:
        return int(self.clock().timestamp() * 1000)

    def _ms_since(self, started: datetime) -> int:
        return max(0, int((self.clock() - started).total_seconds() * 1000))
