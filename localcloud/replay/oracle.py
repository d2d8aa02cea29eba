"""Everything that came from outside a run, as its record tells: replies, outcomes, answers, modes and failures.

The functions ask the oracle where they would ask a model, a tool, another run's money or a person. It answers for the
position that is asked about (turn and attempt, turn and call), from the events that are not written yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ballast.contracts import CallTools, ExitReason, HandOver, PlanSummary, RunRequest
from ballast.errors import RuleViolation
from ballast.log.event import Event
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalNeeded,
    ApprovalVoid,
    CallDoubted,
    CallIntended,
    CallRefused,
    CallSettled,
    EscalationAnswered,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PlanDecided,
    RunOpened,
    RunRefused,
)
from ballast.log.keys import Key
from ballast.money.breaker import CurrentMode, Mode
from ballast.money.moves import units
from ballast.playbook import Playbook, Tool
from ballast.playbook.agent import AgentConfig
from ballast.playbook.agents import in_charge
from localcloud.replay.lane import Replayed, Wait, Wanted
from localcloud.replay.playing import Died, Playing, RecordEnds
from localcloud.replay.recorded import RecordedRun, is_persons
from localcloud.stepfunctions.states import StateFailed, Stopped

Position = tuple[int, int]

#: How a provider's failure ends an attempt after which another one may help.
_AGAIN = (ExitReason.MODEL_THROTTLED, ExitReason.MODEL_UNAVAILABLE, ExitReason.MODEL_TIMEOUT)
#: Admit writes the opening at most so long after its reading of the clock: Lambda's limit for it.
_WRITTEN_WITHIN_MS = 30_000
#: A caller who waits shorter than this shortens nothing: ``LEAST_S`` of ``functions.lifecycle.admit``.
_LEAST_MS = 4_000
#: In the words for a window without room: ``Moving`` of ``functions.executor.moves``.
_NO_ROOM = ", and there is no room for it in "
_NOTHING = "(nothing)"
_TOO_LARGE = "(not recorded: too large for a reply)"
_GIVEN_UP = re.compile(r"It did not end \(([^()]{1,256})\), and is not tried again\.")
_ITS_ERROR = " Its last error: "
_NOT_VERIFIED = "Whether it happened could not be verified. "
_NOT_ASKED = "Whether it happened could not be asked."
_CIRCUIT = "The circuit of {} is open"
_AMOUNT = re.compile(r"\b\d{1,9}(?:\.\d{1,6})?\b")
_MOST_AMOUNTS = 6
#: The error of an attempt whose completion came after another one's.
_OVERTAKEN = "another attempt answered first"
_NO_TIME = "Not enough time is left to wait for {}."


@dataclass(frozen=True)
class Ran:
    """The end of a tool's run, as far as the record tells it.

    kind  outcome: as ``settled`` says; doubt, nothing: with ``message``
    at    the call of the record whose outcome it is
    """

    kind: str
    message: str = ""
    settled: CallSettled | None = None
    at: Position | None = None


@dataclass(frozen=True)
class Failed:
    """A model attempt that brought no completion.

    of_model  whether another model may take the request; None if the record does not say, and the code's rule decides
    """

    reason: ExitReason
    again: bool
    charged: bool
    detail: str
    retry_after_s: float | None
    took_ms: int | None = None
    of_model: bool | None = None


@dataclass(frozen=True)
class Hurry:
    """A caller who waited and so shortened a run: one that gives the recorded deadlines.

    The record has neither the time at which the request came nor the reading of the clock. Both deadlines are whole
    seconds from them, so there are times that give the same two.
    """

    came: datetime
    answer_within_s: int
    now: datetime

    @classmethod
    def of(cls, opened: RunOpened, at: str) -> Hurry | None:
        """Return it for the opening that was written ``at``; None if the run had its whole time."""
        written = datetime.fromisoformat(at)
        at_ms, reserve_ms = int(written.timestamp() * 1000), opened.deadline_ms - opened.agent_until_ms
        whole_ms = int(opened.limits["deadline_s"]) * 1000
        most_ms = int(opened.limits.get("fallback_reserve_s", whole_ms)) * 1000
        usual_ms = min(most_ms, whole_ms // 2 // 1000 * 1000)
        if reserve_ms == usual_ms and opened.deadline_ms - at_ms >= whole_ms - _WRITTEN_WITHIN_MS:
            return None
        now_ms = min(at_ms, opened.deadline_ms - 2 * reserve_ms, opened.deadline_ms - _LEAST_MS)
        waits_s = -(-(opened.deadline_ms - now_ms) // 1000)

        def moment(ms: int) -> datetime:
            return datetime.fromtimestamp(ms / 1000, tz=written.tzinfo)

        return cls(moment(opened.deadline_ms - waits_s * 1000), waits_s, moment(now_ms))


def wait_of(asked: Mapping[str, Any]) -> Wait:
    """Return the wait of a task that waits for a person."""
    return asked["kind"], asked["turn"], int(asked.get("index") or 0), int(asked.get("round") or 1)


class Oracle:
    """Answers for one replay."""

    def __init__(self, playing: Playing, moved: Mapping[Position, int] = {}) -> None:
        self._playing, self._recorded, self.moved = playing, playing.recorded.events, moved
        #: What calls wanted to move, at each look; and those that only a ceiling set by an operator can have let move.
        self.wanted: dict[Position, list[Wanted]] = {}
        self.raised: set[Position] = set()
        self.leased_microusd = 0
        #: What waits for a person: the coordinates, by task token.
        self.waiting: dict[str, Mapping[str, Any]] = {}

    # The request

    def request(self) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """Return the request as it was sent, and the rest of the execution's input.

        Raises ``LookupError`` if the record has no beginning.
        """
        first = self._recorded.fact(RunOpened) or self._recorded.fact(RunRefused)
        if first is None or first.request is None:
            raise LookupError("the record has neither 0000.run.opened nor 0000.run.refused with its request")
        request = self._as_sent(first.request, first.request_sha256)
        how: dict[str, Any] = {}
        if isinstance(first, RunOpened):
            if first.requested_by:
                how["requested_by"] = first.requested_by
            if first.on_behalf:
                how["on_behalf"] = list(first.on_behalf)
            if self.hurry is not None:
                how["answer_within_s"] = self.hurry.answer_within_s
        return request, how

    def _as_sent(self, request: Mapping[str, Any], digest: str | None) -> Mapping[str, Any]:
        """Return the request without the agent's name, if the caller left it out: only the digest tells."""
        for sent in (dict(request), {**request, "agent": None}):
            try:
                if RunRequest.model_validate(sent, strict=False).digest == digest:
                    return sent
            except ValueError:
                continue
        return request

    @property
    def hurry(self) -> Hurry | None:
        """Return how a waiting caller shortened the run; None if none did."""
        opened = self._recorded.fact(RunOpened)
        return None if opened is None else Hurry.of(opened, self._recorded[0].at)

    def admission(self, microusd: int) -> tuple[str, str, str | None] | None:
        """Return the refusal that other runs' money or an operator caused: error, message, when there is room.

        ``microusd``: what the run asks of the stack's budget.
        """
        self.leased_microusd = microusd
        refused = self._recorded.fact(RunRefused)
        if refused is None or refused.reason not in ("WindowFull", "TooManyRuns", "BreakerStopped"):
            return None
        return refused.reason, refused.message, refused.opens_at

    def extension(self, turn: int) -> str | None:
        """Return the error that kept a person's budget from being leased in that turn; None if it was leased."""
        if self._recorded.event(f"{turn:04d}.lease.extended") is not None:
            return None
        again = next((one for one in self._recorded if one.turn > turn and one.name == "escalation.opened"), None)
        return "WindowFull" if again is not None and again.body.get("reason") == "window_full" else "RunEnded"

    # Modes

    def mode(self, playbook: Playbook, turn: int | None) -> CurrentMode:
        """Return the spend breaker's mode that the functions saw at that turn; None: at admission."""
        if turn is None:
            refused = self._recorded.fact(RunRefused)
            return CurrentMode(Mode.STOPPED if refused and refused.reason == "BreakerStopped" else Mode.NORMAL)
        decided = self._recorded.fact(PlanDecided, turn)
        if decided is not None and decided.breaker is not None and not self._attempts_left(turn):
            held = decided.breaker
            since = datetime.fromisoformat(held.at)
            return CurrentMode(Mode(held.mode), by=held.by, reason=held.reason, since=since)
        asked = self._next_attempt(turn)
        agent = self._in_charge(playbook, turn)
        cheaper = agent.cheaper_model
        if asked is not None and cheaper is not None and asked.model == cheaper:
            usual = agent.model_at(self._intent, turn)
            if usual != cheaper and asked.model != agent.second_model:
                return CurrentMode(Mode.CHEAPER)
        return CurrentMode(Mode.NORMAL)

    def _in_charge(self, playbook: Playbook, turn: int) -> AgentConfig:
        try:
            return in_charge(playbook, self._playing.run, turn).agent
        except RuleViolation:  # nobody is, and no model is asked
            return playbook.agent

    @property
    def _intent(self) -> str | None:
        opened = self._recorded.fact(RunOpened)
        return opened.request.get("intent") if opened is not None else None

    def _next_attempt(self, turn: int) -> ModelRequested | None:
        event = self._playing.ahead(lambda one: one.turn == turn and one.name == ModelRequested.NAME)
        return event.fact if event is not None and isinstance(event.fact, ModelRequested) else None

    def _attempts_left(self, turn: int) -> bool:
        return self._next_attempt(turn) is not None

    def circuit_is_open(self, turn: int, model: str) -> bool:
        """Say whether the model was passed over in that turn because its circuit was open."""
        begins = _CIRCUIT.format(model)
        asked = self._next_attempt(turn)
        if asked is not None:
            return asked.passed_over.get(model, "").startswith(begins)
        decided = self._recorded.fact(PlanDecided, turn)
        return decided is not None and begins in (decided.note or "")

    # The model

    def asked(self, request: Mapping[str, Any]) -> None:
        """Note the request that an attempt sends. The record has its digest, so there is nothing to check."""

    def within(self, found: Event | Failed, seconds: float) -> Event | Failed:
        """Return the end of an attempt that may take so many seconds: as recorded."""
        return found

    def completion(self, turn: int, attempt: int) -> Event | Failed:
        """Return what an attempt brought: its completion, or its failure.

        Raises ``Died`` and ``StateFailed`` where the record shows that nobody waited for it.
        """
        responded = self._playing.ahead(lambda one: one.turn == turn and one.name == ModelResponded.NAME)
        fact = responded.fact if responded is not None else None
        mine = isinstance(fact, ModelResponded) and fact.attempt == attempt
        if responded is not None and mine and not self._is_late(responded):
            self._playing.wait_until(responded)
            return responded
        failed = self._playing.ahead(lambda one: one.seq == ModelFailed.key(turn, attempt))
        if failed is not None and failed.body.get("error") == _OVERTAKEN:
            self._playing.late.add(failed.seq)
            raise Died
        if failed is not None and not self._is_late(failed):
            self._playing.wait_until(failed)
            return self._failed(failed, turn)
        raise self._cut(turn, "a model call")

    def _failed(self, event: Event, turn: int) -> Failed:
        fact = event.fact
        assert isinstance(fact, ModelFailed)
        reason = ExitReason(fact.exit_reason or ExitReason.MODEL_UNAVAILABLE)
        waits = self._says_of_waiting(turn, fact.model)
        return Failed(
            reason,
            reason in _AGAIN,
            fact.cost_microusd > 0,
            fact.error,
            retry_after_s=9_999.0 if waits else None,
            took_ms=fact.latency_ms,
            of_model=reason not in _AGAIN and self._went_on_after(turn, fact.error),
        )

    def _went_on_after(self, turn: int, error: str) -> bool | None:
        """Say whether another model was looked for after a refusal; None if the record does not say.

        A refusal of the request is the whole note of the hand-over. A note that says more is about other models, too.
        """
        if self._next_attempt(turn) is not None:
            return True
        decided = self._recorded.fact(PlanDecided, turn)
        return True if decided is not None and decided.note not in (None, error) else None

    def _says_of_waiting(self, turn: int, model: str) -> bool:
        words = _NO_TIME.format(model)
        asked = self._next_attempt(turn)
        if asked is not None:
            return asked.passed_over.get(model) == words
        decided = self._recorded.fact(PlanDecided, turn)
        return decided is not None and words in (decided.note or "")

    def _is_late(self, event: Event) -> bool:
        """Whether the run had gone on without the event when it was written."""
        later = (one for one in self._playing.left if one.turn > event.turn and not is_persons(one))
        late = any(one.at < event.at for one in later if one.name in ("plan.decided", "escalation.opened", "run.ended"))
        if late:
            self._playing.late.add(event.seq)
        return late

    def _cut(self, turn: int, what: str) -> BaseException:
        """Return why nobody waited for what a planner does in that turn."""
        goes_on = (ModelRequested.NAME, PlanDecided.NAME)
        later = self._playing.ahead(lambda one: one.turn == turn and one.name in goes_on)
        if later is not None:
            self._playing.note(f"a process died during {what} of turn {turn}")
            return Died()
        return self.taken_over(turn) or self.stopped() or Died()

    def taken_over(self, turn: int) -> StateFailed | None:
        """Return the error by which the workflow replaced the planner of that turn, if the record shows one."""
        event = self._playing.ahead(lambda one: one.turn > turn and bool(one.body.get("handed_over")))
        follows = self._playing.ahead(lambda one: one.turn > turn and not is_persons(one))
        if event is None or follows is None or event.turn > turn + 2:
            return None
        cut = event.body["handed_over"]
        if cut.get("reason") == "model_timeout":
            return StateFailed("States.Timeout")
        return StateFailed(cut.get("error") or "Lambda.Unknown", "as recorded")

    def stopped(self) -> BaseException | None:
        """Return the end of the execution, if nothing but the run's ending is left of the record."""
        if not self._playing.only_the_end_is_left:
            return None
        if not self._playing.left:
            return RecordEnds("the record ends here")
        return Stopped()

    def settle_failed(self, ending: str) -> BaseException | None:
        """Return the error that kept the workflow's own Settle from ending the run so, if the record shows one."""
        ended = self._playing.ahead(lambda one: one.name == "run.ended")
        status = ended.body.get("status") if ended is not None else None
        if status not in ("failed", "aborted", "timed_out") or ending == status:
            return None
        self._playing.note(f"the workflow did not settle the run: it ended {status} from outside")
        return StateFailed("Lambda.Unknown", "as recorded") if status == "failed" else Stopped()

    # Calls

    def given_up(self, at: Position) -> StateFailed | None:
        """Return the error of the executor's last attempt at a call, if the record says that it was given up."""
        left = [event for event in self._of_call(at) if event.name != ApprovalAnswered.NAME]
        if not left or left[0].name != CallSettled.NAME or not isinstance(left[0].fact, CallSettled):
            return None
        message = left[0].fact.message
        found = _GIVEN_UP.search(message)
        if found is None:
            return None
        words = message.partition(_ITS_ERROR)[2]
        cause = '{"errorMessage": ' + _json(words) + ', "errorType": "RetryLater"}' if words else "as recorded"
        return StateFailed(found[1], cause)

    def executor_failed(self, turn: int) -> StateFailed | None:
        """Return the error by which a call of that turn was given up without an event, if the record shows it."""
        follows = self._playing.ahead(lambda one: one.turn > turn)
        cut = follows.body.get("handed_over") if follows is not None and follows.turn == turn + 1 else None
        if not isinstance(cut, Mapping) or cut.get("reason") != ExitReason.EXECUTOR_FAILED:
            return None
        return StateFailed(cut.get("error") or "Lambda.Unknown", "as recorded")

    def grounding(self, at: Position, found: Any, hidden: frozenset[str]) -> Any:
        """Return the sources of a call's values, those of the masked ones as its own event has them."""
        told = next((one.body for one in self._of_call(at) if "grounded" in one.body or "tainted" in one.body), {})
        return replace(
            found,
            known={**_without(found.known, hidden), **_only(told.get("grounded"), hidden)},
            tainted={**_without(found.tainted, hidden), **_only(told.get("tainted"), hidden)},
            derived={**_without(found.derived, hidden), **_only(told.get("derived"), hidden)},
            words_only=_without(found.words_only, hidden),
            ungrounded=tuple(one for one in found.ungrounded if one not in hidden),
            unvouched=tuple(one for one in found.unvouched if one not in hidden),
        )

    def run_of(self, at: Position, tool: str, *, writes: bool) -> Ran:
        """Return the end of the tool's run that comes next at that position. Raises ``Died``."""
        follows = next((one for one in self._of_call(at) if one.name in (CallDoubted.NAME, CallSettled.NAME)), None)
        fact = follows.fact if follows is not None else None
        match fact:
            case CallDoubted(nothing="done"):
                return Ran("nothing", fact.message)
            case CallDoubted(ran=True):
                return Ran("doubt", fact.message)
            case CallDoubted():
                return Ran(
                    "outcome", settled=CallSettled(turn=at[0], index=at[1], status="failed", message=fact.message)
                )
            case CallSettled():
                end = f"{tool}: "
                if not writes and fact.effect is None and fact.defect and fact.message.startswith(end):
                    words = fact.message.removeprefix(end).removesuffix(" Nothing was done.")
                    return Ran("nothing", words)
                if follows is not None:
                    self._playing.wait_until(follows)
                return Ran("outcome", settled=fact, at=at)
        if (stopped := self.stopped()) is not None:
            raise stopped
        self._playing.note(f"a process died while {tool} ran in turn {at[0]}")
        raise Died

    def charged(self, ran: Ran, tool: Tool, bound_microusd: int | None) -> int | None:
        """Return the charge of an outcome that is taken for reported; None where it has none."""
        return ran.settled.cost_microusd if ran.settled is not None else None

    def verified(self, at: Position) -> Ran | None:
        """Return what ``verify`` found; None where it found nothing."""
        follows = next((one for one in self._of_call(at) if one.name in (CallDoubted.NAME, CallSettled.NAME)), None)
        fact = follows.fact if follows is not None else None
        match fact:
            case CallSettled(status="ok"):
                return Ran("outcome", settled=fact)
            case CallSettled(status="unknown") if fact.message.startswith(_NOT_VERIFIED):
                return Ran("answered", fact.message.removeprefix(_NOT_VERIFIED))
            case CallDoubted(ran=False) if fact.message.startswith(_NOT_ASKED):
                return Ran("doubt", fact.message.removeprefix(_NOT_ASKED).strip())
        return None

    def looked(self, at: Position) -> str | None:
        """Return what ``verify`` found before the call was begun; None where it was not asked."""
        intended = self._recorded.fact(CallIntended, *at)
        return intended.looked if intended is not None else None

    def _of_call(self, at: Position) -> Iterator[Event]:
        return (one for one in self._playing.left if one.name.startswith("call.") and (one.turn, one.index) == at)

    def precondition(self, at: Position) -> Any:
        """Return what the tool's precondition read, as the next binding of the call has it."""
        for event in self._of_call(at):
            if isinstance(event.fact, ApprovalNeeded | ApprovalVoid) and event.fact.binding is not None:
                return event.fact.binding.get("precondition")
        rounds = self._playing.run.approvals(*at)
        needed = rounds[-1].needed if rounds else None
        return (needed.binding or {}).get("precondition") if needed is not None else None

    def failed_before(self, at: Position) -> str | None:
        """Return what a rule of the tool found missing: the call failed, and nobody had begun it."""
        left = [event for event in self._of_call(at) if event.name != ApprovalAnswered.NAME]
        settled = left[0].fact if len(left) == 1 else None
        if not isinstance(settled, CallSettled) or settled.status != "failed" or settled.latency_ms is not None:
            return None
        begun = self._recorded.fact(CallIntended, *at) is not None or settled.effect is not None or settled.defect
        return None if begun else settled.message

    def customer(self, at: Position) -> str | None:
        """Return whose money the call moves, as its intention has it."""
        intended = self._recorded.fact(CallIntended, *at)
        return intended.moves.customer if intended is not None and intended.moves is not None else None

    def no_room(self, at: Position, wanted: Wanted) -> str | None:
        """Return the words in which the call was told that a window had no room for its money; None if all had.

        What other runs had moved is in no event, and neither is a ceiling that an operator has set.
        """
        self.wanted.setdefault(at, []).append(wanted)
        match self._after_reserving(at):
            case CallRefused(error="MoveRefused", message=message):
                return message
            case ApprovalNeeded(why=why):
                return no_room_in(why)
        return None

    def may_lack_room(self, at: Position, wanted: Wanted) -> None:
        """Return if the record tells that there was room in the windows that other runs share, too."""

    def had_room(self, at: Position) -> bool:
        """Whether the record says that there was room: by its playbook's ceilings there is none."""
        found = isinstance(self._after_reserving(at), ApprovalNeeded | CallIntended)
        if found:
            self.raised.add(at)
            self._playing.note(f"an operator's ceiling gave call {at[1]} of turn {at[0]} room")
        return found

    def _after_reserving(self, at: Position) -> object:
        """Return what the record has next of that call: it tells whether there was room."""
        kinds = (CallRefused, ApprovalNeeded, CallIntended, CallSettled)
        return next((event.fact for event in self._of_call(at) if isinstance(event.fact, kinds)), None)

    def moved_by_others(self, at: Position) -> int:
        """Return what other runs are taken to have moved of the business's money when the call was looked at."""
        if at in self.moved:
            self._playing.note(f"other runs are taken to have moved {units(self.moved[at])} before turn {at[0]}")
        return self.moved.get(at, 0)

    # People

    def answer(self, token: str) -> Any:
        """Put in what people answered to what waits behind ``token``, and return the output of the state.

        Raises ``StateFailed`` if nobody answered, ``Stopped``, and ``RecordEnds``.
        """
        asked = self.waiting[token]
        turn, index, number = asked["turn"], int(asked.get("index") or 0), asked.get("round", 1)
        if asked["kind"] == "approval":
            return self._approval(turn, index, number)
        found = self._playing.ahead(lambda one: one.seq == EscalationAnswered.key(turn))
        if found is None:
            raise self._nobody()
        answered = self._playing.put(found).fact
        assert isinstance(answered, EscalationAnswered)
        return {
            "decision": PlanSummary.of(answered.decision).model_dump(mode="json"),
            "agent_until_ms": answered.agent_until_ms,
            "deadline_ms": answered.deadline_ms,
        }

    def _approval(self, turn: int, index: int, number: int) -> Any:
        seq = ApprovalAnswered.key(turn, index, number)
        decided = self._playing.ahead(lambda one: one.seq == seq)
        given = [
            one for one in self._of_call((turn, index)) if one.name == "call.approval_given" and one.round == number
        ]
        for one in given:
            self._playing.put(one)
        if decided is None or not is_persons(decided):
            if decided is not None or self._of_this_call((turn, index)):
                raise StateFailed("States.Timeout")
            raise self._nobody()
        self._playing.put(decided)
        return {}

    def _of_this_call(self, at: Position) -> bool:
        return any(True for _ in self._of_call(at))

    def _nobody(self) -> BaseException:
        ended = self._recorded.ending
        status = getattr(ended, "status", None)
        if status in ("aborted", "timed_out") and self._playing.only_the_end_is_left:
            return Stopped()
        if not self._playing.left:
            return RecordEnds("the record ends here: the run waits for a person")
        return StateFailed("States.Timeout")


def no_room_in(why: Iterable[str]) -> str | None:
    """Return the reason to ask a person that tells of windows without room; None if none does."""
    return next((one for one in why if _NO_ROOM in one), None)


def amounts_moved(recorded: RecordedRun, played: Replayed) -> Iterator[tuple[Position, int]]:
    """Yield the amounts, in micro-units, that the reasons to ask a person name, by the position of the call.

    From the call on at which ``played`` differs from the record.
    """
    differs = played.difference.seq[:4] if played.difference is not None else ""
    for event in recorded.events if differs else ():
        fact = event.fact if event.name == ApprovalNeeded.NAME and event.seq[:4] >= differs else None
        if isinstance(fact, ApprovalNeeded):
            named = dict.fromkeys(_AMOUNT.findall(" ".join(fact.why)))
            yield from ((fact.at, int(Decimal(one) * 1_000_000)) for one in list(named)[:_MOST_AMOUNTS])


def further(again: Replayed, played: Replayed, at: Position) -> bool:
    """Whether a run came further, to where it does not differ at that call any more."""
    if again.is_same or played.difference is None or again.difference is None:
        return again.is_same
    return again.checked > played.checked and Key.of(again.difference.seq).turn >= at[0]


def reply_of(event: Event) -> dict[str, Any]:
    """Return the Converse reply that was read as this completion."""
    fact = event.fact
    assert isinstance(fact, ModelResponded)
    content = [dict(block) for block in (fact.message or {}).get("content", ())]
    if content == [{"text": _TOO_LARGE}]:
        content = [{"text": ""}] * 1_001
    elif fact.exit_reason == ExitReason.EMPTY_ANSWER or (fact.refused_answer or ("",))[0] == "it said nothing":
        content = content[:-1] if content[-1:] == [{"text": _NOTHING}] else content
    calls = list(fact.decision.calls) if isinstance(fact.decision, CallTools) else []
    made = 0
    for block in content:
        use = block.get("toolUse")
        if not isinstance(use, Mapping) or use.get("type") == "server_tool_use":
            continue
        if made < len(calls):
            call = calls[made]
            block["toolUse"] = {**use, "toolUseId": call.call_id, "name": call.tool, "input": call.arguments}
        elif set(use.get("input", {})) == {"not_an_object"}:
            block["toolUse"] = {**use, "input": use["input"]["not_an_object"]}
        made += 1
    reply: dict[str, Any] = {"output": {"message": {"role": "assistant", "content": content}}}
    if fact.stop_reason not in (None, "None"):
        reply["stopReason"] = fact.stop_reason
    elif fact.exit_reason == ExitReason.MALFORMED_MODEL_OUTPUT and not isinstance(fact.decision, HandOver):
        return {}
    if fact.service_tier is not None:
        reply["serviceTier"] = {"type": fact.service_tier}
    return reply


def _without(found: Mapping[str, Any], paths: frozenset[str]) -> dict[str, Any]:
    return {path: value for path, value in found.items() if path not in paths}


def _only(found: Any, paths: frozenset[str]) -> dict[str, Any]:
    return {path: value for path, value in (found or {}).items() if path in paths}


def _json(text: str) -> str:
    import json

    return json.dumps(text)
