"""The agent: fold the log, reserve, ask the model once, record what it said, decide.

::

    read log ─▶ decided already? ─yes─▶ same decision
       │no
       ▼
    limit? ─yes─▶ hand over (recorded)
       │no
       ▼
    spend breaker? ─open─▶ hand over (recorded)
       │closed
       ▼
    which model? ─none is left─▶ hand over (recorded)
       │
       ▼
    its circuit? ─open─▶ the next model
       │closed
       ▼
    model.requested (the reservation) ─▶ Converse ─▶ model.responded │ model.failed ─▶ again, or the next model
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from ballast.breaker import Breakers
from ballast.contracts import Answer, CallTools, Event, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.event import model_seq, plan_seq
from ballast.contracts.history import HistoryUsed
from ballast.errors import AttemptInProgress, RetryLater, RunEnded
from ballast.folds import counts, opening, proposals, successor, to_undo
from ballast.log import RunLog
from ballast.money import PriceBook, TokenCounts
from ballast.playbook import Playbook
from functions.planner import settling
from functions.planner.answering import checked
from functions.planner.choice import Choice, GiveUp, Next
from functions.planner.circuit import CircuitOpen, Circuits
from functions.planner.completion import Completion, read_completion
from functions.planner.converse import Converse, ModelFailure
from functions.planner.despair import loop_stopped, verdict
from functions.planner.limits import calls_limit
from functions.planner.metrics import limit_line, model_call, usage_disbelieved
from functions.planner.models import Attempts, call_s, next_model, pause_s
from functions.planner.question import asked, callable_by
from functions.planner.reported import DISBELIEVED
from functions.planner.request import MODEL, converse_request
from functions.planner.spending import asks_a_person

#: So many characters of what a provider says of a failure are recorded.
_DETAIL_CHARS = 500
#: Seconds that are kept to record what came of a call, before the workflow or Lambda cuts this function.
_RESERVE_S = 1


@dataclass(frozen=True)
class Agent:
    """One planner: the model behind the playbook's instructions and tools."""

    log: RunLog
    breakers: Breakers
    model: Converse
    circuits: Circuits
    model_id: str
    playbook: Playbook
    prices: PriceBook
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    emit: Callable[[str], None]

    def plan(self, task: PlanTask, *, invocation: str, remaining_ms: Callable[[], int]) -> PlanSummary:
        """Return this turn's decision.

        ``invocation`` tells this attempt from a concurrent one; ``remaining_ms`` says how long this Lambda still
        lives. Raises ``RetryLater`` where another attempt may help.
        """
        events = self.log.read(task.run_id)
        decided = proposals(events).get(task.turn)
        if decided is not None:
            return PlanSummary.of(decided.decision, parallel=decided.parallel)
        passed_over: dict[str, str] = {}
        history = HistoryUsed(events=task.history, to_undo=len(to_undo(events)))
        while True:  # each lap makes an attempt, or passes one model over
            chosen = self._choice().next(events, task.turn, passed_over, history)
            if isinstance(chosen, GiveUp):
                return self._hand_over(events, task, chosen.reason, **chosen.more)
            requested = chosen.body | {"invocation": invocation}
            left_s = min(self._left_s(events), remaining_ms() / 1000) - _RESERVE_S
            within_s = call_s(left_s=left_s, more_to_ask=len(chosen.models) > 1)
            started = self.clock()
            try:
                reply = self.circuits.call(chosen.model, lambda: self._ask(events, task, requested, within_s))  # noqa: B023  called now
            except CircuitOpen as circuit:
                passed_over[chosen.model] = str(circuit)
                continue
            except ModelFailure as raised:
                failure = replace(raised, detail=self.log.cut(task.run_id, raised.detail, most=_DETAIL_CHARS))
                events = self._failed(events, task, requested, failure, self._ms_since(started))
                if not failure.again:
                    return self._hand_over(events, task, failure.reason, note=failure.detail)
                self._wait(events, task, chosen, failure, passed_over, remaining_ms)
                continue
            completion = read_completion(reply, task.turn)
            return self._responded(events, task, requested, completion, history, self._ms_since(started))

    def _choice(self) -> Choice:
        return Choice(self.breakers, self.prices, self.playbook, self.model_id, self.clock, self.log.shown)

    def _ask(self, events: Sequence[Event], task: PlanTask, body: dict[str, Any], within_s: float) -> dict[str, Any]:
        """Reserve, ask, and return the reply. Raises ``ModelFailure``, ``AttemptInProgress``."""
        requested = self.log.append(task.run_id, model_seq(task.turn, body["attempt"], "requested"), body)
        if requested.body["invocation"] != body["invocation"]:
            raise AttemptInProgress(f"{task.run_id} turn {task.turn}: another attempt has asked the model already.")
        # Settle records the ending before it adds up what is charged: without this look, a planner that was
        # cut from outside and is still about could spend what has gone back to the windows already.
        if self.log.has_ended(task.run_id):
            raise RunEnded(f"{task.run_id} has ended; the model is not asked for it any more.")
        return self.model.reply(converse_request(events, body), within_s=within_s)

    def _wait(
        self,
        events: Sequence[Event],
        task: PlanTask,
        chosen: Next,
        failure: ModelFailure,
        passed_over: dict[str, str],
        remaining_ms: Callable[[], int],
    ) -> None:
        """Return where another model is asked at once, or none any more. Raises ``RetryLater`` to wait for this one."""
        attempts = Attempts.of(events, task.turn)
        if next_model(chosen.models, attempts, passed_over) != chosen.model:
            return
        left_s = self._left_s(events)
        pause = pause_s(attempts, failure.retry_after_s, left_s=left_s)
        if pause is None:
            passed_over[chosen.model] = f"{chosen.model} has no time to be waited for."
            return
        self.sleep(max(0.0, min(pause, remaining_ms() / 1000 - _RESERVE_S)))
        raise RetryLater(f"{task.run_id} turn {task.turn}, attempt {attempts.number}: {failure.detail}")

    def _responded(
        self,
        events: Sequence[Event],
        task: PlanTask,
        requested: dict[str, Any],
        completion: Completion,
        history: HistoryUsed,
        latency_ms: int,
    ) -> PlanSummary:
        attempt = requested["attempt"]
        decision = self._within_limits(events, completion, history)
        decision, refused = checked(
            events, self.playbook, task.turn, decision, partial(self._successor, events), completion
        )
        parallel = isinstance(decision, CallTools) and self.playbook.side_by_side(call.tool for call in decision.calls)
        charge = settling.settled(requested, completion, self.prices) | {"latency_ms": latency_ms}
        body = charge | {
            "message": completion.message,
            "stop_reason": completion.stop_reason,
            "exit_reason": completion.reason,
            "decision": decision.model_dump(mode="json"),
            "parallel": parallel,
            **verdict(events, task.turn, decision, self.playbook),
            **refused,
        }
        recorded = self.log.append(task.run_id, model_seq(task.turn, attempt, "responded"), body)
        self._report(requested, charge, completion.tokens, latency_ms)
        if why := charge.get(DISBELIEVED):
            self.emit(usage_disbelieved(task.run_id, model_seq(task.turn, attempt, "requested"), requested[MODEL], why))
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

    def _within_limits(
        self, events: Sequence[Event], completion: Completion, history: HistoryUsed
    ) -> CallTools | Answer | HandOver:
        """Return the completion's decision, or the hand-over where it has none or asks for too many calls."""
        decision, reason = completion.decision, completion.reason
        if isinstance(decision, CallTools):
            too_many = calls_limit(opening(events).limits, counts(events), decision.calls)
            if too_many is None and not history.agent_has_room(len(decision.calls)):
                too_many = ExitReason.HISTORY_LIMIT
            if too_many is not None:
                decision, reason = None, too_many
            elif self.playbook.agent.ask_requester and (question := asked(decision, callable_by(self.playbook))):
                return question
        return decision or HandOver(to=self._successor(events, reason), reason=reason)

    def _failed(
        self,
        events: Sequence[Event],
        task: PlanTask,
        requested: dict[str, Any],
        failure: ModelFailure,
        latency_ms: int,
    ) -> tuple[Event, ...]:
        """Record that the attempt brought nothing, and return the events with it."""
        charge = settling.failed(requested, charged=failure.charged)
        self.log.append(
            task.run_id,
            model_seq(task.turn, requested["attempt"], "failed"),
            charge | {"exit_reason": failure.reason, "error": failure.detail, "latency_ms": latency_ms},
        )
        self._report(requested, charge, None, latency_ms)
        return self.log.read(task.run_id)

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

    def _left_s(self, events: Sequence[Event]) -> float:
        """Return the seconds until the workflow cuts the agent."""
        return (opening(events).agent_until_ms - self._now_ms()) / 1000

    def _now_ms(self) -> int:
        return int(self.clock().timestamp() * 1000)

    def _ms_since(self, started: datetime) -> int:
        return max(0, int((self.clock() - started).total_seconds() * 1000))
