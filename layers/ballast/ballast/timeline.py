"""Build a ``Timeline`` from a ``Run``, also from a log that is cut off or garbled.

Decisions, calls, approvals, money and progress come from the run's folds. A garbled fact is shown as far as it can be
read, and listed as unreadable::

    events ─▶ masked ─▶ repaired (each fact as far as it can be read) ─▶ Run ─▶ turns ─▶ Timeline
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from ballast.contracts import Answer, HandOver, Planner, ToolCall
from ballast.contracts.attachment import kind_of
from ballast.contracts.meaning import meaning, planner_name
from ballast.contracts.task import LAST_TURN, HandedOver
from ballast.contracts.timeline import (
    Approval,
    Breaker,
    Call,
    CallAttempt,
    CallOutcome,
    Ceilings,
    Correction,
    Decided,
    Doubt,
    Feedback,
    ModelAttempt,
    Money,
    Piece,
    Pivot,
    Position,
    Proposal,
    ResultFile,
    SettledMove,
    Signal,
    Spent,
    Status,
    Timeline,
    Turn,
    TurnEscalation,
    Unlike,
    Unreadable,
)
from ballast.contracts.timeline import LimitReached as Reached
from ballast.errors import LogCorrupt
from ballast.folds.agents import AgentChange
from ballast.folds.approvals import ApprovalRound
from ballast.folds.calls import CallState, Proposed
from ballast.folds.conversation import in_full
from ballast.folds.feedback import feedback_in
from ballast.folds.settled_moves import settled_moves
from ballast.folds.usage import corrected
from ballast.log.event import GARBLED, Event
from ballast.log.events import (
    CallDoubted,
    CallIntended,
    CallRefused,
    CallSettled,
    EscalationAnswered,
    EscalationOpened,
    LimitReached,
    LoopSignal,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    OfCall,
    Other,
    PlanDecided,
    RunEnded,
    RunOpened,
    RunRefused,
    RunSettled,
)
from ballast.log.events import Unlike as Recorded
from ballast.log.garbled import mended
from ballast.log.keys import Key
from ballast.money.amounts import dollars

if TYPE_CHECKING:
    from ballast.run import Run

T = TypeVar("T")
_ENDINGS = frozenset({RunRefused.key(), RunEnded.key()})
_ENDED = frozenset(get_args(Status)) - {"waiting", "open", "corrupt"}
#: People are only asked; another planner is in charge of the following turns.
_ASKED = (Planner.PERSON, Planner.REQUESTER)
_UNREADABLE = 'Its status cannot be read: somebody changed its log. See "The log was touched" in docs/operating.md.'
#: Signals in words, by their kind in the log; {first} is the first call of the chain.
_SIGNALS = {
    "same_call": "the same call as {first}, {count} times by now",
    "cycle": "the same calls round and round since {first}, lap {count}",
    "near_equal": "nearly the same as {first}, {count} times by now",
    "same_error": "failed in the same way since {first}, {count} times in a row",
    "write_spiral": "writes nearly the same about the same things as {first}, {count} times by now",
    "other_words": "writes about the same things as {first} in other words, {count} times by now",
    "unchanged_result": "the same result for different calls since {first}, {count} in a row",
}
_STEPS = {"notice": "the agent is told", "forbid": "the tool is forbidden"}


def told(run: Run, wrong: Mapping[str, str], run_id: str) -> Timeline:
    """Return the run's timeline; see ``Run.timeline``."""
    if not run and not (wrong or run_id):
        raise ValueError("The log holds no entry of this run.")
    unreadable = [_unreadable(seq, why) for seq, why in wrong.items()]
    if not run:
        return Timeline(
            run_id=run_id,
            status="corrupt" if wrong else "open",
            ending=_UNREADABLE if wrong else "Nothing of it is in its log yet.",
            unreadable=tuple(unreadable),
        )
    shown = run.as_shown
    readable = [mended(event) for event in shown]
    for event, as_told in zip(shown, readable, strict=True):
        if as_told is not event:
            unreadable.append(_unreadable(event.seq, _why(event), partly=True))
    try:
        return _TimelineOf(shown if len(unreadable) == len(wrong) else type(run)(readable), unreadable).told()
    except GARBLED as problem:
        why = f"the log does not add up: {type(problem).__name__}"
        unreadable.append(Unreadable(seq="", why=why))
        return Timeline(run_id=run.run_id, status="corrupt", ending=_UNREADABLE, unreadable=tuple(unreadable))


def _unreadable(seq: str, why: str, *, partly: bool = False) -> Unreadable:
    try:
        turn = Key.of(seq).turn
    except ValueError:
        turn = 0
    return Unreadable(seq=seq, why=why, turn=turn if turn < LAST_TURN else 0, partly=partly)


def _why(event: Event) -> str:
    try:
        _ = event.fact
    except LogCorrupt as problem:
        return str(problem).removeprefix(f"{event.run_id} {event.seq}: ")
    return ""


def _known(ask: Callable[[], T], otherwise: T) -> T:
    """Return a fold's value; ``otherwise`` if the log is too garbled to compute it."""
    try:
        return ask()
    except GARBLED:
        return otherwise


class _TimelineOf:
    """The timeline of one run while it is built."""

    def __init__(self, run: Run, unreadable: Sequence[Unreadable]) -> None:
        self.run = run
        self.unreadable = tuple(sorted(unreadable, key=lambda one: one.seq))
        self.garbled = frozenset(one.seq for one in unreadable)
        self.unreadable_in: dict[int, list[Unreadable]] = defaultdict(list)
        for one in self.unreadable:
            self.unreadable_in[one.turn].append(one)

    def told(self) -> Timeline:
        run = self.run
        opened, refused, ended = run.fact(RunOpened), run.fact(RunRefused), run.fact(RunEnded)
        request = dict((opened or refused or RunRefused(reason="", message="")).request or {})
        turns = self.turns
        last = turns[-1] if turns else Turn(turn=0, planner="")
        status = self.status(ended, refused)
        reason = (ended and ended.reason) or (refused and refused.reason) or ""
        degraded = ended is not None and ended.degraded
        if degraded and not reason:
            reason = _known(lambda: run.why_it_stopped, None) or next(
                (turn.pivot.reason for turn in turns if turn.pivot and not turn.pivot.to_agent), ""
            )
        if status == "corrupt":
            ending = _UNREADABLE
        else:
            ending = _ending(status, ended.by if ended else None, reason, turns, refused.message if refused else "")
        opened_at, ended_at = run[0].at, self.at(ended.seq) if ended else ""
        limits = opened.limits if opened and opened.limits else {}
        # Sums in a garbled ending are not used.
        sums = ended if ended and ended.seq not in self.garbled else None
        charged = last.spent_microusd + last.reserved_microusd
        return Timeline(
            run_id=run.run_id,
            status=status,
            ending=ending,
            by=(ended and ended.by) or "",
            degraded=degraded,
            reason=reason,
            why=meaning(reason),
            answer=(ended and ended.answer) or (last.decided.text if last.decided else ""),
            tenant=_text(request.get("tenant")),
            intent=_text(request.get("intent")),
            request=request,
            requested_by=(opened and opened.requested_by) or "",
            on_behalf=tuple(opened.on_behalf) if opened else (),
            agent=opened.agent if opened else "",
            model=opened.model if opened else "",
            made_of=dict(opened.made_of) if opened else {},
            opened_at=opened_at,
            ended_at=ended_at,
            duration_ms=_between(opened_at, ended_at or max(event.at for event in run)),
            ceilings=Ceilings(
                cost_microusd=last.cost_ceiling_microusd or _whole(limits.get("cost_microusd")),
                turns=_whole(limits.get("turns")),
                tool_calls=_whole(limits.get("tool_calls")),
                deadline_s=_whole(limits.get("deadline_s")),
            ),
            spent_microusd=sums.spent_microusd if sums else last.spent_microusd,
            reserved_microusd=sums.reserved_microusd if sums else last.reserved_microusd,
            money=self.money(opened, charged),
            corrected=self.corrected,
            settled_moves=self.settled_moves,
            feedback=self.feedback,
            effects=(ended and ended.effects) or "",
            input_tokens=last.input_tokens,
            output_tokens=last.output_tokens,
            agent_turns=sum(bool(turn.attempts) for turn in turns),
            agent_calls=sum(len(turn.calls) for turn in turns if turn.planner == Planner.AGENT),
            tool_calls=last.tool_calls,
            refused_calls=sum(call.outcome == "refused" for turn in turns for call in turn.calls),
            turns=turns,
            unreadable=self.unreadable,
            unknown=tuple(e.seq for e in run if not 0 < e.turn < LAST_TURN and isinstance(e.fact, Other)),
        )

    def status(self, ended: RunEnded | None, refused: RunRefused | None) -> Status:
        if ended is not None and ended.status in _ENDED:
            found: Status = ended.status  # type: ignore[assignment]  # it is one of them: the line above
            return found
        if refused is not None:
            return "refused"
        if any(one.seq in _ENDINGS and not one.partly for one in self.unreadable):
            return "corrupt"
        last = self.turns[-1] if self.turns else None
        waits = last is not None and (
            (last.escalation is not None and not last.escalation.by)
            or any(call.outcome == "waiting" for call in last.calls)
        )
        return "waiting" if waits else "open"

    @property
    def corrected(self) -> Correction | None:
        """The operator's correction; None for an entry that is not in the form of a command."""
        whole = self.run.only(lambda event: event.seq not in self.garbled)
        said = corrected(whole)
        return None if said is None else Correction(**asdict(said))

    @property
    def settled_moves(self) -> tuple[SettledMove, ...]:
        """What operators found out about calls of unknown effect."""
        found = settled_moves(self.run.only(lambda event: event.seq not in self.garbled))
        return tuple(SettledMove(**asdict(one)) for one in found.values())

    @property
    def feedback(self) -> tuple[Feedback, ...]:
        """Each person's newest words; an entry that is not in the form of feedback is left out."""
        given = feedback_in(self.run.only(lambda event: event.seq not in self.garbled))
        return tuple(Feedback(verdict=one.verdict, by=one.by, role=one.role, note=one.note, at=one.at) for one in given)

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """The turns in order; a turn without entries is included, empty."""
        bare = [self.turn(number) for number in range(1, self.run.newest_turn + 1)]
        return self.summed(self.with_planners(bare))

    def turn(self, number: int) -> Turn:
        events, made = self.run.turn(number).events, self.run.turn(number).proposal
        return Turn(
            turn=number,
            planner=self.planner(events, made),
            at=events[0].at if events else "",
            at_ms=_between(self.run[0].at, events[0].at) if events else None,
            attempts=self.attempts(events),
            escalation=self.escalation(number),
            decided=self.decided(made) if made else None,
            calls=tuple(self.call(state, made) for state in self.calls.get(number, [])),
            unreadable=tuple(self.unreadable_in.get(number, ())),
            unknown=tuple(event.seq for event in events if isinstance(event.fact, Other)),
        )

    @staticmethod
    def planner(events: Iterable[Event], made: Proposed | None) -> str:
        """Return the planner of the turn, from the turn's own events; "" if they do not show it."""
        if made is not None and made.planner:
            return made.planner
        facts = [event.fact for event in events]
        for fact in facts:
            if isinstance(fact, EscalationOpened):
                return Planner.REQUESTER if fact.kind == "question" else Planner.PERSON
            if isinstance(fact, CallIntended) and fact.planner:
                return fact.planner
        return Planner.AGENT if any(isinstance(fact, ModelRequested | ModelFailed) for fact in facts) else ""

    def decided(self, made: Proposed) -> Decided | None:
        decision: Any = made.decision
        if decision is None:  # it cannot be read
            return None
        plan = self.run.fact(PlanDecided, made.turn)
        held = plan.breaker if plan else None
        said: dict[str, Any] = {}
        if isinstance(decision, Answer):
            said = {"text": decision.text}
        elif isinstance(decision, HandOver):
            leased = next((one.leased_microusd for one in self.run.grants if one.turn == made.turn), 0)
            said = {"to": decision.to, "reason": decision.reason, "guidance": decision.guidance}
            said |= {"add_budget_microusd": decision.add_budget_microusd, "leased_microusd": leased}
            recorded = plan or self.run.fact(ModelResponded, made.turn)
            said |= {"reached": tuple(map(_reached, recorded.reached if recorded else ()))}
        return Decided(
            kind=decision.kind,
            note=(plan and plan.note) or "",
            parallel=made.parallel,
            breaker=Breaker(mode=held.mode, by=held.by or "", reason=held.reason or "", at=held.at) if held else None,
            **said,
        )

    def escalation(self, turn: int) -> TurnEscalation | None:
        opened, answered = self.run.fact(EscalationOpened, turn), self.run.fact(EscalationAnswered, turn)
        if opened is None and answered is None:
            return None
        asked = opened or EscalationOpened(turn=turn, escalation_id="")
        return TurnEscalation(
            escalation_id=asked.escalation_id or (answered and answered.escalation_id) or "",
            kind=asked.kind or (answered and answered.kind) or "escalation",
            reason=asked.reason,
            why=meaning(asked.reason),
            summary=asked.summary,
            proposed=asked.proposed_decision,
            may_not_answer=asked.may_not_answer,
            by=(answered and answered.by) or "",
            answer_by=asked.answer_by or "",
            asked_at=self.at(asked.seq),
            answered_at=self.at(EscalationAnswered.key(turn)),
        )

    def at(self, seq: str) -> str:
        found = self.run.event(seq)
        return found.at if found else ""

    def with_planners(self, bare: Sequence[Turn]) -> list[Turn]:
        """Add the planner of every turn and the hand-over after it, also for a planner that died without an event."""
        named: list[Turn] = []
        in_charge: str = Planner.AGENT
        for position, turn in enumerate(bare):
            cut = self.handed_over(turn.turn + 1)
            planner = turn.planner or (cut and cut.planner) or in_charge
            after = bare[position + 1].planner if position + 1 < len(bare) else ""
            pivot, decided = None, turn.decided
            if decided is not None and decided.kind == "hand_over":
                pivot = Pivot(giver=planner, taker=decided.to, reason=decided.reason, why=meaning(decided.reason))
            elif cut and after:
                why = {"reason": cut.reason, "why": meaning(cut.reason), "error": cut.error or ""}
                pivot = Pivot(giver=cut.planner, taker=after, **why)
            in_charge = pivot.taker if pivot else (in_charge if planner in _ASKED else planner)
            if pivot and (change := self.agent_changes.get(turn.turn)):
                pivot = pivot.model_copy(update={"from_agent": change.giver, "to_agent": change.taker})
            agent = self.run.agent_at(turn.turn) if self.agent_changes and planner == Planner.AGENT else ""
            named.append(turn.model_copy(update={"planner": planner, "pivot": pivot, "by_agent": agent}))
        return named

    @cached_property
    def agent_changes(self) -> Mapping[int, AgentChange]:
        """The changes of the agent in charge, by turn."""
        none: tuple[AgentChange, ...] = ()
        return {change.turn: change for change in _known(lambda: self.run.agent_changes, none)}

    def handed_over(self, turn: int) -> HandedOver | None:
        """Return the planner that was replaced before that turn, and the reason."""
        cuts = (getattr(event.fact, "handed_over", None) for event in self.run.turn(turn).events)
        return next((cut for cut in cuts if isinstance(cut, HandedOver)), None)

    def summed(self, named: Iterable[Turn]) -> tuple[Turn, ...]:
        """Add running totals of money, tokens and calls."""
        opened = self.run.fact(RunOpened)
        ceiling = _whole(opened.limits.get("cost_microusd")) if opened and opened.limits else None
        raised = {one.turn: one.leased_microusd for one in self.run.grants}
        spent = reserved = read = written = proposed = 0
        summed: list[Turn] = []
        for turn in named:
            used = self.run.turn(turn.turn).spent
            spent += used.spent_microusd
            reserved += used.reserved_microusd
            read += used.input_tokens
            written += used.output_tokens
            proposed += len(turn.calls)
            ceiling = None if ceiling is None else ceiling + raised.get(turn.turn, 0)
            sums = {"spent_microusd": spent, "reserved_microusd": reserved, "cost_ceiling_microusd": ceiling}
            counted = {"input_tokens": read, "output_tokens": written, "tool_calls": proposed}
            summed.append(turn.model_copy(update=sums | counted))
        return tuple(summed)

    # ── the model ────────────────────────────────────────────────────────────────────────────────────────────

    def attempts(self, events: Iterable[Event]) -> tuple[ModelAttempt, ...]:
        found: dict[int, dict[str, Any]] = {}
        for event in events:
            fact = event.fact
            if isinstance(fact, ModelRequested):
                found.setdefault(fact.attempt, {}).update(_asked(fact, self.run), at=event.at)
            elif isinstance(fact, ModelResponded | ModelFailed):
                found.setdefault(fact.attempt, {"at": event.at}).update(_ended(fact))
        return tuple(ModelAttempt(**{"attempt": number, "state": "open"} | found[number]) for number in sorted(found))

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def calls(self) -> Mapping[int, Sequence[CallState]]:
        """The calls by turn: proposed ones, and those that only have entries."""
        states = {state.position: state for state in self.run.calls}
        stray: dict[Position, CallState] = {}
        for event in self.run:
            fact = event.fact
            if isinstance(fact, OfCall) and fact.at not in states:
                call = ToolCall.model_construct(tool=getattr(fact, "tool", None) or "", arguments=None, call_id="")
                known = stray.get(fact.at) or CallState(*fact.at, Planner.AGENT, call)
                if call.tool and not known.call.tool:
                    known = replace(known, call=call)
                stray[fact.at] = known.after(fact)
        found: dict[int, list[CallState]] = defaultdict(list)
        for at in sorted(states | stray):
            found[at[0]].append((states | stray)[at])
        return found

    def call(self, state: CallState, made: Proposed | None) -> Call:
        at = state.position
        rounds = self.run.approvals(*at)
        attempts = self.call_attempts(at)
        settled, refused = self.run.fact(CallSettled, *at), self.run.fact(CallRefused, *at)
        doubts = self.doubts.get(at, ())
        outcome = self.outcome(state, rounds)
        message = state.message if state.ended else ""
        if outcome == "open" and doubts:
            message = f"in doubt: {doubts[-1].message}"
        undo = state.undo
        if settled is not None and "undo" in settled.model_fields_set:
            undo = settled.undo  # the intended undo is not possible, or there is nothing to undo
        given = rounds[-1].given if rounds and rounds[-1].answer is None else ()
        changed = [one.arguments for one in given if "arguments" in one.model_fields_set]
        return Call(
            index=state.index,
            tool=state.call.tool,
            arguments=changed[-1] if changed else state.as_admitted.arguments,
            outcome=outcome,
            effect=state.effect or "",
            result=state.result,
            error=state.error,
            sourceless=(refused.sourceless or ()) if refused else (),
            message=message,
            notice=state.notice,
            latency_ms=settled.latency_ms if settled else None,
            charged_microusd=sum(one.charged_microusd for one in attempts),
            attempts=attempts,
            undo=Proposal(tool=undo.tool, arguments=undo.arguments) if undo else None,
            when_rolled_back=state.on_rollback or "",
            undoes=made.undoes if made else None,
            repeats=state.repeat_of,
            circuit=(settled.circuit or "") if settled else "",
            unlike=_unlike(settled.unlike) if settled and settled.unlike else None,
            signal=self.signals.get(at),
            approvals=tuple(self.approval(one) for one in rounds),
            doubts=doubts,
            files=tuple(map(_file, state.recorded_files)),
        )

    @staticmethod
    def outcome(state: CallState, rounds: Sequence[ApprovalRound]) -> CallOutcome:
        if state.status in ("proposed", "intended"):
            return "waiting" if rounds and rounds[-1].answer is None and rounds[-1].void is None else "open"
        if state.status == "refused":
            return "refused"
        return _outcome(state.status)

    def call_attempts(self, at: Position) -> tuple[CallAttempt, ...]:
        """Return the cost of each attempt that costs money."""
        charges = self.run.turn(at[0]).call_charges.get(at[1], ())
        return tuple(
            CallAttempt(
                attempt=number,
                outcome="open" if one.status is None else _outcome(one.status),
                reserved_microusd=one.reserved_microusd,
                charged_microusd=one.charged_microusd,
            )
            for number, one in enumerate(charges, start=1)
            if one.reserved_microusd or one.charged_microusd
        )

    @cached_property
    def doubts(self) -> Mapping[Position, tuple[Doubt, ...]]:
        found: dict[Position, tuple[Doubt, ...]] = {}
        for one in self.run.facts(CallDoubted):
            doubt = Doubt(attempt=one.round, message=one.message, ran=one.ran, at=self.at(one.seq))
            found[one.at] = (*found.get(one.at, ()), doubt)
        return found

    @cached_property
    def signals(self) -> Mapping[Position, Signal]:
        """The signals by call. The decision records what is done about a proposed call; the next prompt records what
        the agent is told after the outcomes."""
        found: dict[Position, Signal] = {}
        for event in self.run:
            fact = event.fact
            if isinstance(fact, ModelResponded):
                turn = fact.turn
            elif isinstance(fact, ModelRequested) and (after := (fact.after or "")[:4]).isdecimal():
                turn = int(after)
            else:
                continue
            for one in fact.loop_signals:
                found.setdefault((turn, one.index), _signal(one))
        return found

    def approval(self, one: ApprovalRound) -> Approval:
        needed, requested, answer = one.needed, one.requested, one.answer
        given: tuple[str, ...] = ()
        changed_by = ""
        for each in one.given:
            # Approvals of other arguments do not count, and the person who changed them is now the proposer.
            given = () if each.changes_arguments else (*given, each.by)
            changed_by = each.by if each.changes_arguments else changed_by
        approve = answer.approve if answer else None
        people = tuple(each.by for each in answer.approvals) if answer and approve else ()
        return Approval(
            round=one.number,
            escalation_id=(answer and answer.escalation_id) or (requested and requested.escalation_id) or "",
            why=(needed and needed.why) or (requested and requested.why) or (),
            approvals=max(needed.approvals if needed else 1, requested.approvals_needed if requested else 1),
            approvers=(needed and needed.approvers) or (requested and requested.approvers) or "",
            given=given,
            approve=approve,
            by=", ".join(people) or (answer and answer.by) or "",
            comment=answer.comment if answer else "",
            changed=answer.changes_arguments
            if answer
            else any("arguments" in each.model_fields_set for each in one.given),
            changed_by=changed_by,
            silent=one.unanswered,
            parked=one.parked,
            void=one.void.moved if one.void else (),
            answer_by=(requested and requested.answer_by) or "",
            asked_at=self.at(requested.seq) if requested else "",
            answered_at=self.at(answer.seq) if answer else "",
        )

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────

    def money(self, opened: RunOpened | None, charged: int) -> Money:
        models: dict[str, list[ModelAttempt]] = defaultdict(list)
        tools: dict[str, list[CallAttempt]] = defaultdict(list)
        for turn in self.turns:
            for attempt in turn.attempts:
                models[attempt.model].append(attempt)
            for call in turn.calls:
                for paid in call.attempts:
                    tools[call.tool].append(paid)
        lease = _whole(opened.lease.get("microusd")) if opened and opened.lease else None
        settled = self.run.fact(RunSettled)
        return Money(
            charged_microusd=charged,
            models=_dearest_first(models),
            tools=_dearest_first(tools),
            leased_microusd=None if lease is None else lease + sum(one.leased_microusd for one in self.run.grants),
            returned_microusd=settled.returned_microusd if settled else None,
            saved_microusd=_known(lambda: sum(one.saved_microusd for one in self.run.stopped_loops), 0),
        )


def _outcome(status: str) -> Literal["ok", "failed", "denied", "unknown"]:
    """Return a call's outcome; an unknown name (of a later version, or garbled) becomes ``unknown``."""
    match status:
        case "ok" | "failed" | "denied":
            return status
    return "unknown"


def _dearest_first(attempts: Mapping[str, Sequence[ModelAttempt | CallAttempt]]) -> tuple[Spent, ...]:
    made = [
        Spent(
            name=name,
            attempts=len(found),
            input_tokens=sum(one.prompt_tokens for one in found if isinstance(one, ModelAttempt)),
            output_tokens=sum(one.output_tokens for one in found if isinstance(one, ModelAttempt)),
            reserved_microusd=sum(one.reserved_microusd for one in found),
            charged_microusd=sum(one.charged_microusd for one in found),
        )
        for name, found in attempts.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.charged_microusd, one.name)))


def _asked(fact: ModelRequested, run: Run) -> dict[str, Any]:
    try:
        messages = in_full(fact, run)
    except (LogCorrupt, *GARBLED):  # a result is missing or garbled: the message still tells where it should be
        messages = fact.messages
    return {
        "model": fact.model,
        "price_version": fact.price_version,
        "prompt": pieces(list(messages)),
        "sent_as": {name: value for name, value in _settings(fact).items() if value is not None},
        "reserved_microusd": fact.reserved_microusd,
        "charged_microusd": fact.reserved_microusd,
        "passed_over": fact.passed_over,
    }


def _settings(fact: ModelRequested) -> dict[str, Any]:
    form = fact.sent_as.model_dump(by_alias=True, exclude_unset=True)
    return {"max_tokens": fact.max_tokens, "temperature": fact.temperature, **form}


def _ended(fact: ModelResponded | ModelFailed) -> dict[str, Any]:
    responded = isinstance(fact, ModelResponded)
    said: dict[str, Any] = {
        "state": "responded" if responded else "failed",
        "exit_reason": fact.exit_reason or "",
        "why": meaning(fact.exit_reason or ""),
        "input_tokens": fact.input_tokens or 0,
        "output_tokens": fact.output_tokens or 0,
        "cached_tokens": fact.cache_read_tokens or 0,
        "cache_write_tokens": fact.cache_write_tokens or 0,
        "cache_saved_microusd": fact.cache_saved_microusd or 0,
        "cost_microusd": fact.cost_microusd,
        "charged_microusd": fact.cost_microusd,
        "latency_ms": fact.latency_ms,
    }
    if fact.price_version:
        said["price_version"] = fact.price_version
    if isinstance(fact, ModelFailed):
        return said | {"error": fact.error}
    return said | {
        "completion": pieces(fact.message),
        "stop_reason": fact.stop_reason or "",
        "refused_answer": fact.refused_answer or (),
        "bound_because": _why_bound(fact),
    }


def _why_bound(fact: ModelResponded) -> str:
    """Return why a reply is charged at its bound; "" if its usage was taken as reported."""
    if not fact.cost_microusd:
        return ""
    return fact.usage_disbelieved or ("it has no usage" if fact.input_tokens is None else "")


def _unlike(one: Recorded) -> Unlike:
    return Unlike(server=one.server, kind=one.kind, tool=one.tool)


def _reached(one: LimitReached) -> Reached:
    """Return a limit that ended the agent's part, with its place and its value in words."""
    key = one.key or f"limits.{one.limit}"
    of = f" of {one.file}" if one.file else " of the request" if one.key else ""
    return Reached(
        limit=one.limit,
        allowed=one.allowed,
        used=one.used,
        agent=one.agent or "",
        file=one.file or "",
        key=one.key,
        words=f"{key}{of}: {amount_of(one.limit, one.allowed)} allowed",
    )


def amount_of(limit: str, value: int) -> str:
    """Return an amount of a limit with its unit: ``$0.25``, ``12 s``, ``6,000``."""
    match limit:
        case "cost_microusd":
            return f"${dollars(value)}"
        case "deadline_s":
            return f"{value:,} s"
    return f"{value:,}"


def _signal(one: LoopSignal) -> Signal:
    turn, index = one.same_as
    seen = _SIGNALS.get(one.kind, one.kind).format(first=f"turn {turn} call {index}", count=one.count)
    words = f"{seen}: {_STEPS.get(one.step, one.step)}"
    return Signal(kind=one.kind, step=one.step, count=one.count, first=one.same_as, words=words)


# ── Converse messages ────────────────────────────────────────────────────────────────────────────────────────────


def pieces(messages: Any) -> tuple[Piece, ...]:
    """Return the blocks of Converse messages (an array, or one message). The content may be any JSON."""
    found = messages if isinstance(messages, list) else [messages]
    return tuple(
        _piece(str(message.get("role", "")), block)
        for message in found
        if isinstance(message, Mapping)
        for block in _listed(message.get("content"))
    )


def _piece(role: str, block: Any) -> Piece:
    match block:
        case {"text": str(text)}:
            return Piece(role=role, kind="text", text=text)
        case {"reasoningContent": reasoning}:
            said = _mapping(_mapping(reasoning).get("reasoningText")).get("text")
            return Piece(role=role, kind="reasoning", text=_text(said) or "(encrypted)")
        case {"toolUse": {**use}}:
            return Piece(role=role, kind="tool_use", text=f"{_text(use.get('name'))} {_text(use.get('input'))}")
        case {"toolResult": {**result}}:
            said = " ".join(_text(_content(part)) for part in _listed(result.get("content")))
            return Piece(role=role, kind="tool_result", text=said, error=result.get("status") == "error")
        case {"image": {**file}} | {"document": {**file}}:
            kind = "image" if "image" in block else "document"
            return Piece(role=role, kind="other", text=file_text(kind, file))
    return Piece(role=role, kind="other", text=_text(block))


def attached(request: Mapping[str, Any]) -> list[str]:
    """Return the files of a recorded request, each in brief and with the name that its sender gave it."""
    files = (one for one in _listed(request.get("attachments")) if isinstance(one, Mapping))
    return [f"{file_text(kind_of(_text(one.get('format'))), one)} {_text(one.get('name'))}" for one in files]


def _file(one: Mapping[str, Any]) -> ResultFile:
    file_format = _text(one.get("format"))
    name, size = _text(one.get("name")), _whole(one.get("bytes"))
    return ResultFile(kind=kind_of(file_format), format=file_format, name=name, bytes=size)


def file_text(kind: str, file: Mapping[Any, Any]) -> str:
    """Return a file of a message in brief: ``[image png 12 kB]``."""
    size = _whole(_mapping(_mapping(file.get("source")).get("attachment")).get("bytes", file.get("bytes")))
    return f"[{kind} {_text(file.get('format'))}{'' if size is None else f' {-(-size // 1000)} kB'}]"


def _content(part: Any) -> Any:
    return part.get("text", part.get("json", dict(part))) if isinstance(part, Mapping) else part


def _text(value: Any) -> str:
    """Return a JSON value as text: a string unchanged, null as "", anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=repr)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _between(start: str, end: str) -> int | None:
    """Return the ms from one ISO 8601 time to another; None if one cannot be read."""
    try:
        return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000)
    except (TypeError, ValueError):
        return None


# ── the ending in a sentence ─────────────────────────────────────────────────────────────────────────────────────


def _ending(status: Status, by: str | None, reason: str, turns: Sequence[Turn], message: str) -> str:
    """Return how the run ended, as a sentence; ``message`` is the refusal's text."""
    why = f": {meaning(reason)}" if reason else ""
    match status:
        case "answered":
            return _answered(by or "", turns)
        case "unanswered":
            return f"Nobody answered in time{why}."
        case "refused":
            return f"Not admitted, nothing was spent: {message or meaning(reason) or 'the log does not say why'}"
        case "failed":
            return f"Ended without an answer{why}. This is a defect in Ballast: page someone."
        case "aborted":
            return f"Aborted by somebody{why}."
        case "timed_out":
            return f"The whole execution timed out{why}."
        case "waiting":
            return _waiting(turns[-1])
        case _:
            return f"No ending in the log: it still runs, or was cut off in turn {turns[-1].turn if turns else 0}."


def _answered(by: str, turns: Sequence[Turn]) -> str:
    asked = [turn.escalation for turn in turns if turn.escalation and turn.planner == Planner.PERSON]
    person = next((one.by for one in reversed(asked) if one.by), "")
    after = f"answered after {len(turns):,} turn{'' if len(turns) == 1 else 's'}"
    if by == Planner.PERSON and person:
        sentence = f"{person}, a person, {after}"
    else:
        name = planner_name(by) or "somebody"
        sentence = f"{name[:1].upper()}{name[1:]} {after}"
    first = next((turn.pivot for turn in turns if turn.pivot and not turn.pivot.to_agent), None)
    if by != Planner.AGENT and first:
        return f"{sentence}, because {planner_name(first.giver)} was stopped: {first.why}."
    return f"{sentence}, with the help of {person}." if by == Planner.AGENT and person else f"{sentence}."


def _waiting(turn: Turn) -> str:
    asked = turn.escalation.escalation_id if turn.escalation else ""
    if turn.planner == Planner.REQUESTER:
        return f"Waits for the requester: a reply to the agent's question is wanted (escalation {asked or 'unknown'})."
    what = "a decision"
    for call in turn.calls:
        if call.outcome == "waiting" and call.approvals:
            asked, what = call.approvals[-1].escalation_id, f"an approval of {call.tool}"
    return f"Waits for a person: {what} is wanted (escalation {asked or 'unknown'})."
