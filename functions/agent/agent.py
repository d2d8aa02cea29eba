"""The agent's turn: read the log, reserve, ask a model, record its reply, decide.

::

    read log ─▶ decided already? ─yes─▶ same decision
       │no
       ▼
    which agent? ─none─▶ hand over (recorded)
       │
       ▼
    limit? ─yes─▶ hand over (recorded)
       │no
       ▼
    spend breaker? ─open─▶ hand over (recorded)
       │closed
       ▼
    which model? ─none left─▶ hand over (recorded)
       │
       ▼
    its circuit? ─open─▶ the next model
       │closed
       ▼
    model.requested (the reservation) ─▶ Converse ─▶ model.responded │ model.failed ─▶ again, or the next model
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from ballast.attachments.prompt import with_content
from ballast.attachments.store import ReadContents
from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.decision import LIMITS
from ballast.contracts.limits import HistoryUsed
from ballast.contracts.wire import canonical
from ballast.errors import AttemptInProgress, RetryLater, RuleViolation, RunEnded
from ballast.log.event import Event
from ballast.log.events import Charged, ModelFailed, ModelRequested, ModelResponded, PlanDecided
from ballast.log.run_log import RunLog
from ballast.metrics import MetricLine, metric_line, usd
from ballast.models.retirement import days_left, retired, retires_soon
from ballast.money import TokenCounts
from ballast.playbook import Playbook
from ballast.playbook.agents import handed, in_charge, limits_reached
from ballast.run import Run
from ballast.values import dataclass
from functions.agent.ask import (
    AttemptChoice,
    Attempts,
    GiveUp,
    NextAttempt,
    call_s,
    next_model,
    pause_s,
    pauses_for_a_person,
)
from functions.agent.caching import surely_cached
from functions.agent.circuits import CircuitOpen, Circuits
from functions.agent.converse import Converse, ModelFailure
from functions.agent.decision import Decider
from functions.agent.loops import loop_signals, loop_stopped_line
from functions.agent.reply import Completion, read_completion
from functions.agent.request import converse_request
from functions.agent.usage import charge_fields, charge_of, charge_of_failure

#: Characters of a provider's error that are recorded.
_DETAIL_CHARS = 500
#: Seconds kept for recording a call's outcome before the workflow or Lambda cuts this function.
_RESERVE_S = 1


@dataclass(frozen=True)
class Agent:
    """The agent: it asks a model, with the playbook's instructions and tools."""

    log: RunLog
    contents: ReadContents
    choice: AttemptChoice
    model: Converse
    circuits: Circuits
    playbook: Playbook
    stack: str
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    emit: Callable[[str], None]
    region: str = ""

    def plan(self, task: PlanTask, *, invocation: str, remaining_ms: Callable[[], int]) -> PlanSummary:
        """Return this turn's decision.

        ``invocation`` tells this attempt from a concurrent one; ``remaining_ms`` returns the time left to this Lambda.
        Raises ``RetryLater`` if another attempt may help.
        """
        run = self.log.follow(task.run_id, task.turn)
        decided = run.proposals.get(task.turn)
        if decided is not None:
            return PlanSummary.of(decided.decision, parallel=decided.parallel)
        try:
            playbook = in_charge(self.playbook, run, task.turn)
        except RuleViolation as nobody:
            return self._hand_over(run, task, GiveUp(ExitReason.NO_AGENT, note=str(nobody)))
        agent = replace(self, playbook=playbook, choice=replace(self.choice, playbook=playbook))
        return agent._propose(run, task, invocation, remaining_ms)

    def _propose(self, run: Run, task: PlanTask, invocation: str, remaining_ms: Callable[[], int]) -> PlanSummary:
        """Return the decision of the agent in charge."""
        passed_over: dict[str, str] = {}
        history = HistoryUsed(events=task.history, to_undo=len(run.to_undo))
        while True:  # each pass makes one attempt or skips one model
            chosen = self.choice.next(run, task.turn, passed_over, history)
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
                if failure.of_model:
                    continue  # it is passed over for the rest of the turn, as the log says
                if not failure.again:
                    return self._hand_over(run, task, GiveUp(failure.reason, note=failure.detail))
                self._wait(run, task, chosen, failure, passed_over, remaining_ms)
                continue
            completion = read_completion(reply, task.turn)
            return self._responded(run, requested, completion, history, self._ms_since(started))

    def _ask(self, run: Run, requested: ModelRequested, within_s: float) -> dict[str, Any]:
        """Reserve, ask, and return the reply. Raises ``ModelFailure``, ``AttemptInProgress``."""
        run_id = run.run_id
        # Before the reservation: what cannot be read costs nothing.
        agent = self.playbook.agent.name if self.playbook.others else None
        request = converse_request(run, requested, stack=self.stack, agent=agent)
        if run.attachments:
            request = with_content(request, partial(self.contents.read, run.opening.request.tenant, run_id))
        recorded = self.log.record(run_id, requested)
        if recorded.invocation != requested.invocation:
            raise AttemptInProgress(f"{run_id} turn {requested.turn}: another attempt has already asked the model.")
        # Settle records the ending before it adds up the charges, and a later turn counts only events that it has read.
        # Without this check an agent that was timed out but still runs could spend money that neither of them counts.
        if self.log.goes_on_after(run_id, requested.turn):
            raise RunEnded(f"{run_id} has ended, or has continued without turn {requested.turn}; no model was asked.")
        return self.model.reply(request, within_s=within_s)

    def _wait(
        self,
        run: Run,
        task: PlanTask,
        chosen: NextAttempt,
        failure: ModelFailure,
        passed_over: dict[str, str],
        remaining_ms: Callable[[], int],
    ) -> None:
        """Return if the next attempt is at another model, or none is left. Raises ``RetryLater`` for this one again."""
        attempts, model = Attempts.of(run, task.turn), chosen.requested.model
        if next_model(chosen.models, attempts, passed_over) != model:
            return
        left_s = self._left_s(run)
        pause = pause_s(attempts, failure.retry_after_s, left_s=left_s)
        if pause is None:
            passed_over[model] = f"Not enough time is left to wait for {model}."
            return
        self.sleep(max(0.0, min(pause, remaining_ms() / 1000 - _RESERVE_S)))
        raise RetryLater(f"{task.run_id} turn {task.turn}, attempt {attempts.number}: {failure.detail}")

    def _responded(
        self, run: Run, requested: ModelRequested, completion: Completion, history: HistoryUsed, latency_ms: int
    ) -> PlanSummary:
        decider = Decider(run, requested.turn, self.playbook, partial(self._successor, run))
        decision, refused = decider.decide(completion, history)
        charge = charge_of(requested, completion.usage, completion.tier, self.playbook.models, self.region)

        def responded(decided: CallTools | Answer | HandOver, **more: Any) -> ModelResponded:
            return ModelResponded(
                **charge_fields(charge),
                latency_ms=latency_ms,
                message=completion.message,
                stop_reason=completion.stop_reason,
                exit_reason=completion.reason,
                decision=decided,
                parallel=isinstance(decided, CallTools) and self.playbook.side_by_side(c.tool for c in decided.calls),
                **more,
                **({"refused_answer": refused} if refused else {}),
            )

        unasked: dict[str, str] = {}
        if isinstance(decision, HandOver) and decision.agent and completion.decision is not None:
            why = self._why_no_taker(run, requested, responded(decision))
            if why is not None:
                decision, unasked = completion.decision, {"refused_hand_over": why}
        signals = loop_signals(run, requested.turn, decision, self.playbook)
        reached = self._reached(run, decision.reason) if isinstance(decision, HandOver) else {}
        stands = self.log.record(
            run.run_id, responded(decision, **unasked, **reached, **({"despair": signals} if signals else {}))
        )
        self._report_call(run, requested, charge, completion.tokens, latency_ms)
        if why := charge.usage_disbelieved:
            self.emit(_usage_disbelieved_line(run.run_id, requested.seq, requested.model, why))
        if stands.attempt != requested.attempt:
            # Another attempt at this turn answered first. Its decision stands; this one only cost money.
            late = ModelFailed(
                **charge_fields(charge),
                latency_ms=latency_ms,
                exit_reason=completion.reason,
                error="another attempt answered first",
            )
            self.log.record(run.run_id, late)
        self._report_limit(stands.decision)
        return PlanSummary.of(stands.decision, parallel=stands.parallel)

    def _why_no_taker(self, run: Run, requested: ModelRequested, responded: ModelResponded) -> str | None:
        """Return why no model of the agent to which ``responded`` hands over could be asked next; None if one can."""
        assert isinstance(responded.decision, HandOver)
        taker = handed(self.playbook, responded.decision.agent or "", run.opening.request.intent)
        at = self.clock().isoformat()
        made = [
            Event(run_id=run.run_id, seq=one.seq, at=at, body=json.loads(canonical(one.body)))
            for one in (requested, responded)
        ]
        return replace(self.choice, playbook=taker).why_not_asked(run.with_event(*made), requested.turn + 1)

    def _failed(self, run: Run, requested: ModelRequested, failure: ModelFailure, latency_ms: int) -> Run:
        """Record the failed attempt, and return the run with it."""
        charge = charge_of_failure(requested, charged=failure.charged)
        self.log.record(
            run.run_id,
            ModelFailed(
                **charge_fields(charge), exit_reason=failure.reason, error=failure.detail, latency_ms=latency_ms
            ),
        )
        self._report_call(run, requested, charge, None, latency_ms)
        return self.log.follow(run.run_id, requested.turn)

    def _hand_over(self, run: Run, task: PlanTask, because: GiveUp) -> PlanSummary:
        decided = PlanDecided(
            turn=task.turn,
            planner=Planner.AGENT,
            decision=HandOver(to=self._successor(run, because.reason), reason=because.reason),
            **({} if because.note is None else {"note": because.note}),
            **({} if because.breaker is None else {"breaker": because.breaker}),
            **self._reached(run, because.reason),
        )
        run = run.with_event(self.log.append(task.run_id, decided))
        stands = run.proposals[task.turn].decision
        self._report_limit(stands)
        if isinstance(stands, HandOver) and stands.reason is ExitReason.LOOP:
            self.emit(loop_stopped_line(run))
        return PlanSummary.of(stands)

    def _reached(self, run: Run, reason: ExitReason) -> dict[str, Any]:
        """Return what is recorded of the limits that caused the decision."""
        found = limits_reached(run, self.playbook, reason)
        return {"reached": found} if found else {}

    def _report_limit(self, decision: CallTools | Answer | HandOver) -> None:
        limit = LIMITS.get(decision.reason) if isinstance(decision, HandOver) else None
        if limit is not None:
            self.emit(metric_line({"LimitsReached": 1}, dimensions={"limit": limit}))

    def _successor(self, run: Run, reason: ExitReason) -> Planner:
        if pauses_for_a_person(reason, self.playbook.agent):
            return Planner.PERSON
        intent = run.opening.request.intent
        starts_clean = self.playbook.agent.starts_clean(intent)
        has_fallback = intent in self.playbook.fallbacks
        return run.successor(Planner.AGENT, has_fallback=has_fallback, starts_clean=starts_clean)

    def _report_call(
        self, run: Run, requested: ModelRequested, charge: Charged, tokens: TokenCounts | None, latency_ms: int
    ) -> None:
        card, today, form = self.playbook.models.card(requested.model), self.clock().date(), requested.sent_as
        caches = bool(form.cache_points and tokens is not None)
        if tokens is not None and caches and not tokens.cache_read + tokens.cache_write:
            counted = min(tokens.prompt, requested.prompt_bound or 0)
            caches = surely_cached(run.prompt.extended(requested, run), counted, card, form)
        line = model_call_line(
            reserved_microusd=requested.reserved_microusd,
            cost_microusd=charge.cost_microusd,
            tokens=tokens,
            latency_ms=latency_ms,
            caches=caches,
        )
        self.emit(line)
        if self.playbook.others:
            self.emit(agents_line(self.playbook.agent.name, charge.cost_microusd))
        notice, left = retired(card, requested.model, today) or retires_soon(card, requested.model, today), None
        if notice and (left := days_left(card, today)) is not None:
            fields = {"level": "WARNING", "model": requested.model, "notice": notice}
            self.emit(metric_line({"ModelDaysLeft": left}, fields=fields))

    def _left_s(self, run: Run) -> float:
        """Return the seconds left until the workflow cuts the agent."""
        return (run.opening.agent_until_ms - self._now_ms()) / 1000

    def _now_ms(self) -> int:
        return int(self.clock().timestamp() * 1000)

    def _ms_since(self, started: datetime) -> int:
        return max(0, int((self.clock() - started).total_seconds() * 1000))


def model_call_line(
    *, reserved_microusd: int, cost_microusd: int, tokens: TokenCounts | None, latency_ms: int, caches: bool = False
) -> MetricLine:
    """Return the metric line of one model call: its reservation, and the charge that replaced it.

    ``caches``: its prompt had cache points, and was not too short for the cache: that would be no miss.
    """
    values: dict[str, int | Decimal] = {
        "ReservedUsd": usd(reserved_microusd),
        "CostUsd": usd(cost_microusd),
        "ModelCalls": 1,
        "ModelLatency": latency_ms,
    }
    if tokens is not None:
        values["Tokens"] = tokens.prompt + tokens.output
        if caches:
            values["CacheReadPercent"] = 100 * tokens.cache_read // tokens.prompt
    return metric_line(values)


def agents_line(agent: str, cost_microusd: int) -> MetricLine:
    """Return the metric line of one model call of one of several agents: their number is small, and known."""
    return metric_line({"CostUsd": usd(cost_microusd), "ModelCalls": 1}, dimensions={"agent": agent})


def _usage_disbelieved_line(run_id: str, seq: str, model: str, why: str) -> str:
    return metric_line({"UsageDisbelieved": 1}, fields={"run_id": run_id, "seq": seq, "model": model, "why": why})
