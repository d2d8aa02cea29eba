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

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ballast.breaker import Breakers
from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.limits import HistoryUsed
from ballast.errors import AttemptInProgress, RetryLater, RunEnded
from ballast.log.events import Charged, ModelFailed, ModelRequested, ModelResponded, PlanDecided
from ballast.log.run_log import RunLog
from ballast.money import PriceBook, TokenCounts
from ballast.playbook import Playbook
from ballast.run import Run
from functions.agent import settling
from functions.agent.answering import checked
from functions.agent.choice import Choice, GiveUp, Next
from functions.agent.circuit import CircuitOpen, Circuits
from functions.agent.completion import Completion, read_completion
from functions.agent.converse import Converse, ModelFailure
from functions.agent.despair import loop_stopped, verdict
from functions.agent.limits import calls_limit
from functions.agent.metrics import limit_line, model_call, usage_disbelieved
from functions.agent.models import Attempts, call_s, next_model, pause_s
from functions.agent.question import asked, callable_by
from functions.agent.request import converse_request
from functions.agent.spending import asks_a_person

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
        run = self.log.follow(task.run_id, task.turn)
        decided = run.proposals.get(task.turn)
        if decided is not None:
            return PlanSummary.of(decided.decision, parallel=decided.parallel)
        passed_over: dict[str, str] = {}
        history = HistoryUsed(events=task.history, to_undo=len(run.to_undo))
        while True:  # each lap makes an attempt, or passes one model over
            chosen = self._choice().next(run, task.turn, passed_over, history)
            if isinstance(chosen, GiveUp):
                return self._hand_over(run, task, chosen)
            requested = chosen.requested.model_copy(update={"invocation": invocation})
            left_s = min(self._left_s(run), remaining_ms() / 1000) - _RESERVE_S
            within_s = call_s(left_s=left_s, more_to_ask=len(chosen.models) > 1)
            started = self.clock()
            try:
                reply = self.circuits.call(requested.model, lambda: self._ask(run, requested, within_s))  # noqa: B023  called now
            except CircuitOpen as circuit:
                passed_over[requested.model] = str(circuit)
                continue
            except ModelFailure as raised:
                failure = replace(raised, detail=self.log.cut(task.run_id, raised.detail, most=_DETAIL_CHARS))
                run = self._failed(run, requested, failure, self._ms_since(started))
                if not failure.again:
                    return self._hand_over(run, task, GiveUp(failure.reason, note=failure.detail))
                self._wait(run, task, chosen, failure, passed_over, remaining_ms)
                continue
            completion = read_completion(reply, task.turn)
            return self._responded(run, requested, completion, history, self._ms_since(started))

    def _choice(self) -> Choice:
        return Choice(self.breakers, self.prices, self.playbook, self.model_id, self.clock, self.log.shown)

    def _ask(self, run: Run, requested: ModelRequested, within_s: float) -> dict[str, Any]:
        """Reserve, ask, and return the reply. Raises ``ModelFailure``, ``AttemptInProgress``."""
        run_id = run.run_id
        recorded = self.log.record(run_id, requested)
        if recorded.invocation != requested.invocation:
            raise AttemptInProgress(f"{run_id} turn {requested.turn}: another attempt has asked the model already.")
        # Settle records the ending before it adds up what is charged, and later turns count what they have read:
        # without this look, a planner that was cut and is still about could spend what nobody sees reserved.
        if self.log.goes_on_after(run_id, requested.turn):
            raise RunEnded(f"{run_id} has ended, or gone on without turn {requested.turn}; no model is asked for it.")
        return self.model.reply(converse_request(run, requested), within_s=within_s)

    def _wait(
        self,
        run: Run,
        task: PlanTask,
        chosen: Next,
        failure: ModelFailure,
        passed_over: dict[str, str],
        remaining_ms: Callable[[], int],
    ) -> None:
        """Return where another model is asked at once, or none any more. Raises ``RetryLater`` to wait for this one."""
        attempts, model = Attempts.of(run, task.turn), chosen.requested.model
        if next_model(chosen.models, attempts, passed_over) != model:
            return
        left_s = self._left_s(run)
        pause = pause_s(attempts, failure.retry_after_s, left_s=left_s)
        if pause is None:
            passed_over[model] = f"{model} has no time to be waited for."
            return
        self.sleep(max(0.0, min(pause, remaining_ms() / 1000 - _RESERVE_S)))
        raise RetryLater(f"{task.run_id} turn {task.turn}, attempt {attempts.number}: {failure.detail}")

    def _responded(
        self,
        run: Run,
        requested: ModelRequested,
        completion: Completion,
        history: HistoryUsed,
        latency_ms: int,
    ) -> PlanSummary:
        turn, attempt = requested.turn, requested.attempt
        decision, refused = checked(
            run,
            self.playbook,
            turn,
            self._within_limits(run, completion, history),
            lambda reason: self._successor(run, reason),
            completion,
        )
        signs = verdict(run, turn, decision, self.playbook)
        charge = settling.settled(requested, completion, self.prices)
        stands = self.log.record(
            run.run_id,
            ModelResponded(
                **settling.given(charge),
                latency_ms=latency_ms,
                message=completion.message,
                stop_reason=completion.stop_reason,
                exit_reason=completion.reason,
                decision=decision,
                parallel=isinstance(decision, CallTools) and self.playbook.side_by_side(c.tool for c in decision.calls),
                **({"despair": signs} if signs else {}),
                **({"refused_answer": refused} if refused else {}),
            ),
        )
        self._report(requested, charge, completion.tokens, latency_ms)
        if why := charge.usage_disbelieved:
            self.emit(usage_disbelieved(run.run_id, requested.seq, requested.model, why))
        if stands.attempt != attempt:
            # Another attempt at this turn answered first: its decision stands, ours only cost money.
            late = ModelFailed(
                **settling.given(charge),
                latency_ms=latency_ms,
                exit_reason=completion.reason,
                error="another attempt answered first",
            )
            self.log.record(run.run_id, late)
        self._count(stands.decision)
        return PlanSummary.of(stands.decision, parallel=stands.parallel)

    def _within_limits(self, run: Run, completion: Completion, history: HistoryUsed) -> CallTools | Answer | HandOver:
        """Return the completion's decision, or the hand-over where it has none or asks for too many calls."""
        decision, reason = completion.decision, completion.reason
        if isinstance(decision, CallTools):
            too_many = calls_limit(run.opening.limits, run.counts, decision.calls)
            if too_many is None and not history.agent_has_room(len(decision.calls)):
                too_many = ExitReason.HISTORY_LIMIT
            if too_many is not None:
                decision, reason = None, too_many
            elif self.playbook.agent.ask_requester and (question := asked(decision, callable_by(self.playbook))):
                return question
        return decision or HandOver(to=self._successor(run, reason), reason=reason)

    def _failed(self, run: Run, requested: ModelRequested, failure: ModelFailure, latency_ms: int) -> Run:
        """Record that the attempt brought nothing, and return the run with it."""
        charge = settling.failed(requested, charged=failure.charged)
        self.log.record(
            run.run_id,
            ModelFailed(
                **settling.given(charge), exit_reason=failure.reason, error=failure.detail, latency_ms=latency_ms
            ),
        )
        self._report(requested, charge, None, latency_ms)
        return self.log.follow(run.run_id, requested.turn)

    def _hand_over(self, run: Run, task: PlanTask, because: GiveUp) -> PlanSummary:
        decided = PlanDecided(
            turn=task.turn,
            planner=Planner.AGENT,
            decision=HandOver(to=self._successor(run, because.reason), reason=because.reason),
            **({} if because.note is None else {"note": because.note}),
            **({} if because.breaker is None else {"breaker": because.breaker}),
        )
        run = run.with_event(self.log.append(task.run_id, decided))
        stands = run.proposals[task.turn].decision
        self._count(stands)
        if isinstance(stands, HandOver) and stands.reason is ExitReason.LOOP:
            self.emit(loop_stopped(run))
        return PlanSummary.of(stands)

    def _count(self, decision: CallTools | Answer | HandOver) -> None:
        line = limit_line(decision.reason) if isinstance(decision, HandOver) else None
        if line is not None:
            self.emit(line)

    def _successor(self, run: Run, reason: ExitReason) -> Planner:
        if asks_a_person(reason, self.playbook.agent):
            return Planner.HUMAN
        intent = run.opening.request.intent
        starts_clean = self.playbook.agent.starts_clean(intent)
        has_fallback = intent in self.playbook.fallbacks
        return run.successor(Planner.AGENT, has_fallback=has_fallback, starts_clean=starts_clean)

    def _report(self, requested: ModelRequested, charge: Charged, tokens: TokenCounts | None, latency_ms: int) -> None:
        reserved, cost = requested.reserved_microusd, charge.cost_microusd
        self.emit(model_call(reserved_microusd=reserved, cost_microusd=cost, tokens=tokens, latency_ms=latency_ms))

    def _left_s(self, run: Run) -> float:
        """Return the seconds until the workflow cuts the agent."""
        return (run.opening.agent_until_ms - self._now_ms()) / 1000

    def _now_ms(self) -> int:
        return int(self.clock().timestamp() * 1000)

    def _ms_since(self, started: datetime) -> int:
        return max(0, int((self.clock() - started).total_seconds() * 1000))
