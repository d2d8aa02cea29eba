"""Choose the next attempt: check the limits, the spend breaker and the models, then reserve its worst case.

::

    limit? ─▶ spend breaker? ─▶ a model left? ─▶ affordable? ─▶ NextAttempt
      └───────────┴──────────────────┴───────────────┴────────▶ GiveUp

    models, in order:
    the playbook's model (or the one that the spend breaker allows) ──fails──▶ again, after a pause ──fails──▶
    second_model ──fails──▶ again, after a pause ──fails──▶ GiveUp

A model is skipped while its circuit is open, if too little time is left to wait for it, or if it has refused the
request in this turn: it is gone, closed, or takes no such request. A model that stands in for the usual one is also
skipped where it has retired or has no price, and where the run does not fit it: its window, or a limit of which its
bound would use more. The same is asked before a hand-over, of the models of the agent that would go on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import date, datetime
from functools import partial
from typing import Any

from ballast.attachments.prompt import kept_in
from ballast.breaker_reader import Breakers
from ballast.contracts import ExitReason, HandOver, Limits, Planner
from ballast.contracts.attachment import Kept
from ballast.contracts.decision import LIMITS
from ballast.contracts.limits import HistoryUsed
from ballast.errors import ModelRefused
from ballast.folds.loops import Loops, Rung
from ballast.log.events import (
    BreakerHeld,
    EscalationAnswered,
    LeaseExtended,
    ModelFailed,
    ModelRequested,
    PlanDecided,
    RunOpened,
)
from ballast.models.catalog import FOLLOWS_REGION
from ballast.money.breaker import CurrentMode, Mode
from ballast.playbook import Playbook
from ballast.playbook.agent import AgentConfig
from ballast.playbook.agents import limits_now
from ballast.run import Run
from ballast.values import dataclass
from functions.agent.loops import detected_loops
from functions.agent.prompt import TooSmall, compose

#: Attempts at one turn, by all models together, each with its own reservation.
MAX_ATTEMPTS = 4
#: Longest wait inside this Lambda for a provider that sent ``Retry-After``.
MAX_PAUSE_S = 20
#: Failures after which another attempt at the same model says the same.
_REFUSED = (ExitReason.MODEL_REFUSED, ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED)
#: A model call needs at least this long.
LEAST_CALL_S = 1


@dataclass(frozen=True)
class NextAttempt:
    """The next attempt, and all models that can still be asked, its own included."""

    requested: ModelRequested
    models: tuple[str, ...]


@dataclass(frozen=True)
class GiveUp:
    """No model is asked. The note and the breaker that stopped the run are recorded with the hand-over."""

    reason: ExitReason
    note: str | None = None
    breaker: BreakerHeld | None = None


@dataclass(frozen=True)
class _Unusable:
    """The model that stands in for the usual one cannot be asked. ``why``: in words."""

    why: str


@dataclass(frozen=True)
class AttemptChoice:
    """Chooses attempts; ``model_id`` replaces the playbook's models; "" does not.

    shown  takes a run's id and an event's body, and returns the body with its sensitive values masked
    """

    breakers: Breakers
    playbook: Playbook
    model_id: str
    clock: Callable[[], datetime]
    shown: Callable[[str, dict[str, Any]], dict[str, Any]]

    def next(self, run: Run, turn: int, passed_over: Mapping[str, str], history: HistoryUsed) -> NextAttempt | GiveUp:
        """Return the next attempt at ``turn``; ``passed_over`` maps each model that is not asked to the reason."""
        attempts, now = Attempts.of(run, turn), self.clock()
        loops = detected_loops(run, self.playbook)
        reason = self._limit(run, turn, attempts, loops, history, now)
        if reason is not None:
            return GiveUp(reason)
        current = self.breakers.current_mode(
            run.opening.request.tenant, run_id=run.run_id, passed=breaker_passed_at(run)
        )
        return self._choose(run, turn, attempts, passed_over, loops, current)

    def why_not_asked(self, run: Run, turn: int) -> str | None:
        """Return why no model of the agent can be asked in ``turn`` with what ``run`` holds; None if one can.

        It is asked before ``run`` is handed over to the agent. The spend breaker and the run's time forbid the same to
        each agent, so they are told in the turn itself.
        """
        opening = run.opening
        current = self.breakers.current_mode(opening.request.tenant, run_id=run.run_id, passed=breaker_passed_at(run))
        loops = detected_loops(run, self.playbook)
        chosen = self._choose(run, turn, Attempts.of(run, turn), {}, loops, current, must_fit=True)
        if isinstance(chosen, GiveUp) and chosen.breaker is None:
            limit = LIMITS.get(chosen.reason, chosen.reason.value)
            return chosen.note or f"its next attempt would pass limits.{limit}."
        later = () if self.model_id else self.playbook.agent.models_for(opening.request.intent, from_turn=turn)
        return next((why for one in later if opening.attachments and (why := self._unfit(run, one))), None)

    def _choose(
        self,
        run: Run,
        turn: int,
        attempts: "Attempts",
        passed_over: Mapping[str, str],
        loops: Loops,
        current: CurrentMode,
        *,
        must_fit: bool = False,
    ) -> NextAttempt | GiveUp:
        """Return the next attempt at the first model that can be asked. ``must_fit``: the usual one as a stand-in."""
        now = self.clock()
        try:
            usual = self.model_id or self.playbook.agent.model_at(run.opening.request.intent, turn)
            model = allowed_model(current, self.playbook, usual, now.date())
            if isinstance(model, ExitReason):
                return GiveUp(model, breaker=breaker_held(current, now))
            if model != usual:
                saving = self._afford(run, turn, attempts, model, passed_over, loops, usual=usual)
                if not isinstance(saving, _Unusable):
                    return saving
                passed_over = {**passed_over, model: saving.why}
            chosen = self._afford(run, turn, attempts, usual, passed_over, loops, usual=usual, must_fit=must_fit)
            assert not isinstance(chosen, _Unusable)  # only a stand-in is
            return chosen
        except ModelRefused as refused:
            return GiveUp(ExitReason.MODEL_REFUSED, note=str(refused))

    def _limit(
        self, run: Run, turn: int, attempts: "Attempts", loops: Loops, history: HistoryUsed, now: datetime
    ) -> ExitReason | None:
        if run.approval_given_up(turn - 1):
            return ExitReason.APPROVAL_UNANSWERED
        limits, now_ms = limits_now(run, self.playbook), int(now.timestamp() * 1000)
        reason = limit_reached(run, limits, new_turn=attempts.number == 0, now_ms=now_ms)
        if reason is ExitReason.DEADLINE and attempts.reason is ExitReason.MODEL_TIMEOUT:
            # The deadline ended the call. The workflow ends at the same moment and reports the model as the cause, too.
            return ExitReason.MODEL_TIMEOUT
        if reason is None and not history.agent_has_room():
            return ExitReason.HISTORY_LIMIT
        if reason is None and loops.rung is Rung.LOOP:
            return ExitReason.LOOP
        return reason

    def _afford(
        self,
        run: Run,
        turn: int,
        attempts: "Attempts",
        model: str,
        passed_over: Mapping[str, str],
        loops: Loops,
        *,
        usual: str,
        must_fit: bool = False,
    ) -> "NextAttempt | GiveUp | _Unusable":
        """Return the next attempt at ``model`` or its second one; ``_Unusable`` if ``usual`` must be asked instead.

        A model that cannot be asked is passed over: it cannot be sent the files, it has refused in this turn, or it
        stands in and has retired, has no price, or the run does not fit it. ``must_fit``: the usual one is passed over
        for the same reasons.
        """
        on = self.clock().date()
        unusable: dict[str, str] = {}
        refused = False

        def composed(one: str) -> ModelRequested | GiveUp:
            """Return the attempt, or the limit that forbids it; of a model that stands in, in words."""
            if one.startswith(FOLLOWS_REGION):  # the playbook names it so, and its region serves it in no form
                raise ModelRefused(f"{one}: no form of the model is known to be served in the stack's region.")
            self.playbook.check_model(one, on=on)
            made = compose(
                run,
                turn,
                attempt=attempts.number + 1,
                priced=self.playbook.models.price(one, on=on),
                card=self.playbook.models.card(one),
                playbook=self.playbook,
                loops=loops,
                shown=partial(self.shown, run.run_id),
                stands_in=must_fit or one != usual,
            )
            if isinstance(made, ModelRequested):
                return made
            limit = LIMITS.get(made, made.value)
            return GiveUp(made, note=None if one == usual else f"{one} is not asked: it would pass limits.{limit}.")

        def why_unfit(one: str) -> str | None:
            try:
                made = composed(one)
            except TooSmall as window:
                return f"{one} {window}."
            return made.note if isinstance(made, GiveUp) else None

        models = candidates(model, self.playbook, saving=model != usual, on=on)
        for one in models:
            why = self._unfit(run, one, on=on if must_fit or one != usual else None) or self._refused(one, attempts)
            if why is None and attempts.number and one != model:
                # Before the first one is waited for: who is not asked takes no share of the attempts.
                with suppress(ModelRefused):
                    why = why_unfit(one)
            if why is not None:
                unusable[one] = why
        while True:
            left = tuple(one for one in models if one not in unusable)
            if model != usual and model in unusable:
                return _Unusable(unusable[model])
            chosen = next_model(left, attempts, passed_over) if left else None
            if chosen is None:
                failed = attempts.refusals
                notes = [*({**passed_over, **{m: why for m, why in unusable.items() if m not in failed}}).values()]
                notes += [attempts.error] if attempts.error else []
                reason = attempts.reason or ExitReason.MODEL_UNAVAILABLE
                if refused or (not left and attempts.reason is None):
                    reason = ExitReason.MODEL_REFUSED
                return GiveUp(reason, note="; ".join(notes) if notes else None)
            try:
                requested = composed(chosen)
            except TooSmall as window:
                unusable[chosen] = f"{chosen} {window}."
                continue
            except ModelRefused as refusal:
                if chosen == model != usual:
                    return _Unusable(str(refusal))
                passed_over, refused = {**passed_over, chosen: str(refusal)}, True
                continue
            if isinstance(requested, ModelRequested):
                passed_over = {**passed_over, **unusable}
                if passed_over:
                    requested = requested.model_copy(update={"passed_over": dict(passed_over)})
                return NextAttempt(requested, tuple(one for one in left if one not in passed_over))
            if requested.note is None:
                return requested
            unusable[chosen] = requested.note

    def _refused(self, model: str, attempts: "Attempts") -> str | None:
        """Return why the model is not asked again in this turn, after what it or another one refused."""
        if model in attempts.refusals:
            return attempts.refusals[model]
        windows = [self.playbook.models.card(one).context_window for one in attempts.too_long]
        if windows and self.playbook.models.card(model).context_window <= max(windows):
            return f"{model} has no larger window than the model that the conversation was too long for."
        return None

    def _unfit(self, run: Run, model: str, *, on: date | None = None) -> str | None:
        """Return why the model cannot be asked with the run's files; ``on``: nor at all on that day."""
        files: tuple[Kept, ...] = ()
        beside_results = False
        if run.attachments:
            # What the conversation holds: files of results that a model did not take were not sent to it.
            files = run.opening.attachments if run.prompt.after is None else tuple(kept_in(run.prompt.messages))
            beside_results = any(map(_files_beside_results, run.prompt.messages))
        return self.playbook.why_not_asked(model, files, on=on, beside_results=beside_results)


def _files_beside_results(message: Mapping[str, Any]) -> bool:
    blocks = message["content"]
    return any("toolResult" in block for block in blocks) and any(
        "image" in block or "document" in block for block in blocks
    )


def limit_reached(run: Run, limits: Limits, *, new_turn: bool, now_ms: int) -> ExitReason | None:
    """Return which of the ``limits_now`` forbids another call of the model, or None.

    Limits of tool calls are checked later, against the calls that a completion proposes: after the last allowed
    call the model may still answer. ``new_turn`` is false for another attempt at a turn that is counted already.
    """
    counts = run.counts
    if now_ms >= run.opening.agent_until_ms:
        return ExitReason.DEADLINE
    if new_turn and counts.turns >= limits.turns:
        return ExitReason.TURN_LIMIT
    if counts.refused_calls > limits.refused_calls:
        return ExitReason.REFUSED_CALL_LIMIT
    if run.usage.charged_microusd >= limits.cost_microusd:
        return ExitReason.COST_LIMIT
    return None


# Models


@dataclass(frozen=True)
class Attempts:
    """Attempts at one turn so far.

    tried   attempts per model, those without an outcome included
    reason, error   of the newest failure; None if none failed
    refusals        models that have refused the request, each with its words
    too_long        those of them for which the conversation is too long
    """

    tried: Mapping[str, int]
    reason: ExitReason | None = None
    error: str | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    too_long: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Run, turn: int) -> "Attempts":
        """Return the attempts that the run's log has for ``turn``."""
        here = Run(run.turn(turn).events)
        tried, failed = Counter(asked.model for asked in here.facts(ModelRequested)), here.facts(ModelFailed)
        if not failed:
            return cls(tried)
        refused = {one.model: one.error or "" for one in failed if one.exit_reason in _REFUSED}
        too_long = tuple(one.model for one in failed if one.exit_reason == ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED)
        return cls(tried, ExitReason(failed[-1].exit_reason or ""), failed[-1].error, refused, too_long)

    @property
    def number(self) -> int:
        """Attempts by all models."""
        return sum(self.tried.values())


def candidates(model: str, playbook: Playbook, *, saving: bool, on: date) -> tuple[str, ...]:
    """Return the models that may be asked, in order.

    ``saving``: the spend breaker asks for a cheaper model than usual; then the second one must not cost more than it
    ``on`` that day.
    """
    second = playbook.agent.second_model
    if second is None or second == model:
        return (model,)
    if saving and not _costs_no_more(second, model, playbook, on):
        return (model,)
    return (model, second)


def _costs_no_more(one: str, other: str, playbook: Playbook, on: date) -> bool:
    tier, models = playbook.agent.service_tier, playbook.models
    try:
        mine, others = models.price(one, on=on), models.price(other, on=on)
        return mine.is_cheaper_than(others, tier) or mine.worst(tier) == others.worst(tier)
    except ModelRefused:
        return False  # it has no price, so it could not be asked


def next_model(models: Sequence[str], attempts: Attempts, passed_over: Collection[str]) -> str | None:
    """Return the model of the next attempt; None when the agent gives up."""
    if attempts.number >= MAX_ATTEMPTS:
        return None
    each = MAX_ATTEMPTS // len(models)
    return next((one for one in models if one not in passed_over and attempts.tried.get(one, 0) < each), None)


def pause_s(attempts: Attempts, retry_after_s: float | None, *, left_s: float) -> float | None:
    """Return the seconds to wait here before the same model is asked again; None if too little time is left.

    Without a ``retry_after_s`` the workflow waits instead: its Retry takes up to 1, 2, 4 … seconds.
    """
    wait_s = 2 ** (attempts.number - 1) if retry_after_s is None else retry_after_s
    if wait_s > MAX_PAUSE_S or wait_s + LEAST_CALL_S > left_s:
        return None
    return 0 if retry_after_s is None else retry_after_s


def call_s(*, left_s: float, more_to_ask: bool) -> float:
    """Return the seconds that a call may take: those left, or half of them if another model can still be asked."""
    return max(LEAST_CALL_S, left_s / 2 if more_to_ask else left_s)


# The spend breaker


def allowed_model(current: CurrentMode, playbook: Playbook, model_id: str, on: date) -> str | ExitReason:
    """Return the model that the spend breaker allows, ``model_id`` or the playbook's cheaper one, or why none.

    The playbook's cheaper model counts only if it is cheaper than ``model_id`` ``on`` that day: ``MODEL_ID`` may have
    replaced the playbook's model.
    """
    agent, models = playbook.agent, playbook.models
    if current.mode is Mode.STOPPED:
        return ExitReason.BREAKER_STOPPED
    if current.mode is Mode.FALLBACK_ONLY:
        return ExitReason.BREAKER_OPEN
    if current.mode is Mode.CHEAPER and agent.cheaper_model is not None:
        try:
            cheaper, usual = models.price(agent.cheaper_model, on=on), models.price(model_id, on=on)
            return agent.cheaper_model if cheaper.is_cheaper_than(usual, agent.service_tier) else model_id
        except ModelRefused:
            return model_id
    return model_id


def pauses_for_a_person(reason: ExitReason, agent: AgentConfig) -> bool:
    """Say whether a run that stops for ``reason`` keeps its effects and waits for a person, without a rollback."""
    return reason is ExitReason.BREAKER_STOPPED or (reason is ExitReason.COST_LIMIT and agent.out_of_budget == "ask")


def breaker_held(current: CurrentMode, now: datetime) -> BreakerHeld:
    """Return the breaker as it is recorded with a hand-over.

    A person's grant lets the run pass a breaker that tripped no later than ``at``. The clock of the function that
    tripped it may be ahead of this one.
    """
    seen = max(now, current.since or now)
    return BreakerHeld(mode=current.mode.value, by=current.by, reason=current.reason, at=seen.isoformat())


def breaker_passed_at(run: Run) -> datetime | None:
    """Return the time up to which a person let this run pass the spend breaker, or None.

    A run that the breaker handed to a person passes it once the person hands it back with more budget. A breaker that
    trips later stops the run again. Added budget counts only once it is leased: without room in the windows, the run
    does not pass.
    """
    opened = run.fact(RunOpened)
    leases = opened is not None and opened.lease is not None
    extended = {one.turn for one in run.facts(LeaseExtended)}
    handed_over = granted = None
    for event in run.named(PlanDecided, EscalationAnswered):
        match event.fact:
            case PlanDecided(breaker=BreakerHeld(at=at)):
                handed_over = datetime.fromisoformat(at)
            case EscalationAnswered(decision=HandOver(to=Planner.AGENT) as back) as answered:
                adds = answered.kind != "question" and back.add_budget_microusd > 0
                if adds and handed_over is not None and (not leases or answered.turn in extended):
                    granted = handed_over
    return granted
