"""Answers for a candidate lane: as recorded where the same is asked, else the end of what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ballast.contracts import ExitReason, HandOver, ToolCall
from ballast.contracts.service_tier import ServiceTier
from ballast.log.event import Event, order
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalGiven,
    ApprovalNeeded,
    ApprovalRequested,
    CallIntended,
    CallRefused,
    CallSettled,
    EscalationAnswered,
    EscalationOpened,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    RunEnded,
    RunRefused,
)
from ballast.money import TokenCounts
from ballast.playbook import Playbook, Tool
from ballast.run import Run
from localcloud.replay.candidate import CandidateEnds, CandidatePlaying
from localcloud.replay.declared_outcomes import another_outcome, charge_of
from localcloud.replay.lane import Ending, Wait, Wanted
from localcloud.replay.oracle import Failed, Oracle, Position, Ran, no_room_in, wait_of
from localcloud.replay.playing import RecordEnds
from localcloud.replay.recorded import is_persons
from localcloud.stepfunctions.states import StateFailed, Stopped

if TYPE_CHECKING:
    from localcloud.replay.candidate_machine import CandidateMachine

#: Seconds within which two moments may be in either order: a reply and the cut of its attempt; an answer of a person
#: and the end of the wait, which the workflow begins to count before people are asked; a pause and the time for it.
_NEAR_S, _CLOSE_S, _RETRY_S = 0.25, 5.0, 3.0
#: Of a request to a model: who asks, and how much it may say. Neither changes what the model reads.
_NOT_READ = ("inferenceConfig", "requestMetadata")
#: The ceilings of windows that other runs share.
_SHARED = ("customer_hour", "customer_day", "tenant_hour", "tenant_day", "all_hour", "all_day")
_PLAIN = "gen_ai.usage.input_tokens"
_WRITTEN = ("gen_ai.usage.cache_creation.input_tokens", "ballast.usage.cache_creation_1h.input_tokens")


class CandidateOracle(Oracle):
    """Answers for a candidate lane: as recorded where the same is asked, else ``CandidateEnds``."""

    _playing: CandidatePlaying

    def __init__(self, machine: CandidateMachine, moved: Mapping[Position, int]) -> None:
        super().__init__(machine.playing, moved)
        self._machine = machine
        self._request: Mapping[str, Any] = {}
        #: The attempt that is made, when it began, and whether the agent has as much time for it as in the record.
        self._asking, self._began, self._in_another_time = (0, 0), machine.playing.now, False
        #: How much later the clock may be: once the run is apart, it lacks what lies between a run's events.
        self._unsure_s = 0.0
        #: The turn in which an attempt was cut that was not in the record; what a real model said.
        self._cut_in, self._real = 0, object()

    @property
    def _playbook(self) -> Playbook:
        return self._machine.playbook

    # The model

    def asked(self, request: Mapping[str, Any]) -> None:
        """Note the request that an attempt sends."""
        self._request = request

    def completion(self, turn: int, attempt: int) -> Event | Failed:
        """Return what the attempt brought, if the record has the same request; else the lane's model is asked.

        Raises ``CandidateEnds`` where the lane has no model, or it fails.
        """
        try:
            return self._recorded_completion(turn, attempt)
        except CandidateEnds as unknown:
            model = self._machine.model
            asked = self._playing.run.event(ModelRequested.key(turn, attempt))
            if model is None or asked is None:
                raise
            self._playing.go_apart(asked, f"{unknown.why}; a real model was asked")
            self._playing.asked += 1
            found: Any = model(self._request, unknown)  # read as a reply, and not as a recorded event
            self._real = found
            return found  # type: ignore[no-any-return]

    def _recorded_completion(self, turn: int, attempt: int) -> Event | Failed:
        seq = ModelRequested.key(turn, attempt)
        self._check_time(turn, attempt)
        was, mine = self._recorded.event(seq), self._playing.run.event(seq)
        if was is None or mine is None:
            if any(one.name == ModelRequested.NAME for one in self._recorded.turn(turn).events):
                raise CandidateEnds(Ending.OFF_THE_RECORD, seq, "the model would have been asked once more")
            raise CandidateEnds(Ending.CENSORED, seq, "the agent would have gone on")
        other = self._another_request(was, mine)
        if other is not None:
            raise CandidateEnds(Ending.OFF_THE_RECORD, seq, other)
        found = self._of_the_record(turn, attempt) if self._playing.apart else super().completion(turn, attempt)
        self._check_length(seq, was, mine, found)
        return self._as_cached(was, mine, found)

    def _as_cached(self, was: Event, mine: Event, found: Event | Failed) -> Event | Failed:
        """Return the completion with its tokens as this attempt's cache points divide them.

        The last turn that a run may have writes nothing to the cache (``functions.agent.caching``), and a limit says
        which turn that is. What is written in the record is plain input then, if the record has read all that the turn
        before had cached. Otherwise, and where it is written now, the cost has a bound: ``slack_microusd``.
        """
        before, now = was.fact, mine.fact
        assert isinstance(before, ModelRequested)
        assert isinstance(now, ModelRequested)
        points = [_last_point(one.sent_as.cache_points or ()) for one in (before, now)]
        fact = found.fact if isinstance(found, Event) else None
        if points[0] == points[1] or not isinstance(found, Event) or not isinstance(fact, ModelResponded):
            return found
        plain, written = fact.input_tokens or 0, fact.cache_write_tokens or 0
        if points[1] > points[0]:
            self._playing.slack_microusd += self._cost(now, plain, written=True) - self._cost(now, plain, written=False)
            return found
        cached = [one for one in self._recorded.facts(ModelResponded) if one.turn < was.turn]
        whole = (cached[-1].cache_read_tokens or 0) + (cached[-1].cache_write_tokens or 0) if cached else 0
        if (fact.cache_read_tokens or 0) < whole:
            more = self._cost(now, written, written=True) - self._cost(now, written, written=False)
            self._playing.slack_microusd += more
        tokens = {name: 0 for name in _WRITTEN if name in found.body} | {_PLAIN: plain + written}
        return found.model_copy(update={"body": found.body | tokens})

    def _cost(self, asked: ModelRequested, tokens: int, *, written: bool) -> int:
        price = self._playbook.models.price_of(asked.price_version, asked.model).price(
            ServiceTier(asked.service_tier or ServiceTier.DEFAULT)
        )
        name = "cache_write_1h" if asked.sent_as.cache_ttl == "1h" else "cache_write_5m"
        return price.cost(TokenCounts(**{name if written else "input": tokens}))

    def _another_request(self, was: Event, mine: Event) -> str | None:
        """Return in what another request would be sent; None if it is the recorded one."""
        before, now = was.fact, mine.fact
        assert isinstance(before, ModelRequested)
        assert isinstance(now, ModelRequested)
        if before.model != now.model:
            return f"another model would be asked: {now.model}"
        if mine.seq not in self._playing.unlike and not self._playing.unlike and not self._playing.apart:
            return None
        until = order(was)
        recorded = self._recorded.only(lambda one: order(one) < until)
        sent = self._machine.request_of(recorded, before)
        apart = [
            name
            for name in sorted({*sent, *self._request})
            if name not in _NOT_READ and _without_points(sent.get(name)) != _without_points(self._request.get(name))
        ]
        settings = [_without_bound(one.get("inferenceConfig", {})) for one in (sent, self._request)]
        if settings[0] != settings[1]:
            apart.append("inferenceConfig")
        return f"another prompt would be sent ({', '.join(apart)})" if apart else None

    def _of_the_record(self, turn: int, attempt: int) -> Event | Failed:
        for event in self._recorded.turn(turn).events:
            fact = event.fact
            if isinstance(fact, ModelResponded) and fact.attempt == attempt:
                return event
            if isinstance(fact, ModelFailed) and fact.attempt == attempt:
                return self._failed(event, turn)
        raise CandidateEnds(Ending.OFF_THE_RECORD, ModelRequested.key(turn, attempt), "nobody waited for the reply")

    def _check_length(self, seq: str, was: Event, mine: Event, found: Event | Failed) -> None:
        """Raise ``CandidateEnds`` where another bound of the output gives another completion."""
        before, now = was.fact, mine.fact
        assert isinstance(before, ModelRequested)
        assert isinstance(now, ModelRequested)
        fact = found.fact if isinstance(found, Event) else None
        if before.max_tokens == now.max_tokens or not isinstance(fact, ModelResponded):
            return
        cut = fact.stop_reason == "max_tokens"
        if cut or (fact.output_tokens or 0) > now.max_tokens:
            how = "longer" if now.max_tokens > before.max_tokens else "shorter"
            why = f"the reply would be {how}: {now.max_tokens} output tokens, not {before.max_tokens}"
            raise CandidateEnds(Ending.OFF_THE_RECORD, seq, why)

    # Time

    def within(self, found: Event | Failed, seconds: float) -> Event | Failed:
        """Return the end of an attempt that is cut after so many seconds.

        As recorded, where the agent has the time that it had in the record. Else what comes within the time counts, and
        what does not is cut. Raises ``CandidateEnds`` where the record does not say what would have come.
        """
        if not self._in_another_time or found is self._real:
            return found  # a model that is asked for real is waited for
        turn, attempt = self._asking
        seq = ModelRequested.key(turn, attempt)
        took_ms = found.took_ms if isinstance(found, Failed) else found.body.get("latency_ms")
        took_s = (took_ms or 0) / 1000
        unsure_s = _NEAR_S + (self._unsure_s if self._playing.apart else 0)
        was_cut = isinstance(found, Failed) and found.reason is ExitReason.MODEL_TIMEOUT
        cut_as_then = was_cut and not self._playing.apart and abs(took_s - seconds) <= _NEAR_S
        if seconds - unsure_s < took_s <= seconds + _NEAR_S and not cut_as_then:
            raise CandidateEnds(Ending.OFF_THE_RECORD, seq, "the reply came when the agent's time would have been over")
        if took_s > seconds and not cut_as_then:
            self._cut_in = turn
            self._playing.now = self._began + timedelta(seconds=seconds)
            self._playing.part_at(ModelFailed.key(turn, attempt), f"the model is cut after {seconds:.0f} s")
            return Failed(ExitReason.MODEL_TIMEOUT, True, True, f"cut after {seconds:.0f} s", None, int(seconds * 1000))
        if was_cut and not cut_as_then:
            why = f"the model would have had {seconds:.0f} s for its reply, and not {took_s:.0f}"
            raise CandidateEnds(Ending.OFF_THE_RECORD, seq, why)
        if self._playing.apart:
            self._playing.now = self._began + timedelta(seconds=took_s)
        if isinstance(found, Failed) and found.again:
            self._check_wait(found, turn, attempt)
        return found

    def _check_wait(self, failed: Failed, turn: int, attempt: int) -> None:
        """Raise ``CandidateEnds`` where the record does not say whether the agent would wait to ask again."""
        event = self._recorded.event(ModelFailed.key(turn, attempt))
        again = self._recorded.event(ModelRequested.key(turn, attempt + 1))
        left_s = self._playing.run.opening.agent_until_ms / 1000 - self._playing.now.timestamp()
        waited_s = (moment(again) - moment(event)).total_seconds() if again and event else 0.0
        waited_s += self._unsure_s if self._playing.apart else 0
        shorter = failed.retry_after_s is not None and self._playing.more_time_ms(turn) < 0 and not self._playing.apart
        if shorter or (failed.retry_after_s is None and left_s > waited_s + _RETRY_S):
            return
        why = "the agent may not have had the time to wait and ask again"
        raise CandidateEnds(Ending.OFF_THE_RECORD, ModelRequested.key(turn, attempt), why)

    def _check_time(self, turn: int, attempt: int) -> None:
        """Note when an attempt begins. Raises ``CandidateEnds`` if it follows one that ended at another moment."""
        playing = self._playing
        self._asking, self._began = (turn, attempt), playing.now
        self._in_another_time = playing.apart or playing.more_time_ms(turn) != 0
        if not playing.apart:
            return
        if self._cut_in == turn:
            why = "the model would have been asked again, at another moment"
            raise CandidateEnds(Ending.OFF_THE_RECORD, ModelRequested.key(turn, attempt), why)
        failed = self._recorded.event(ModelFailed.key(turn, attempt - 1))
        again = self._recorded.event(ModelRequested.key(turn, attempt))
        self._unsure_s += 1.0 + ((moment(again) - moment(failed)).total_seconds() if again and failed else 0.0)

    def taken_over(self, turn: int) -> StateFailed | None:
        """Return the error by which the workflow replaced the planner. Raises ``CandidateEnds`` if it had more time."""
        found = super().taken_over(turn)
        is_timeout = found is not None and found.error == "States.Timeout"
        if is_timeout and not self._playing.apart and self._playing.more_time_ms(turn) > 0:
            seq = next(reversed(self._playing.run.events)).seq
            raise CandidateEnds(Ending.OFF_THE_RECORD, seq, "the agent would have had longer than the workflow let it")
        return found

    # Calls

    def run_of(self, at: Position, tool: str, *, writes: bool) -> Ran:
        """Return the outcome of the same call of the record. Raises ``CandidateEnds``."""
        mine, was = self._playing.run.call(*at), self._recorded.call(*at)
        assert mine is not None
        key, history = self._identity(mine.as_admitted), self._writes_before(self._playing.run, at)
        same_place = (
            not self._playing.apart
            and was is not None
            and self._identity(was.as_admitted) == key
            and self._ran(at)
            and self._writes_before(self._recorded, at) == history
        )
        if same_place:
            ran = super().run_of(at, tool, writes=writes)
            self._check_declared(at, at, tool)
            return ran
        found, place = None, at
        for turn, index, before in self._calls():
            state = self._recorded.call(turn, index)
            if state is None or state.status not in ("ok", "failed") or not self._ran((turn, index)):
                continue
            if before == history and self._identity(state.as_admitted) == key:
                found, place = self._recorded.fact(CallSettled, turn, index), (turn, index)
        if found is None:
            why = f"{tool} was never called with these arguments at this point of the record"
            raise CandidateEnds(Ending.OFF_THE_RECORD, CallIntended.key(*at), why)
        self._check_declared(at, place, tool)
        self._playing.now += timedelta(milliseconds=found.latency_ms or 0)
        return Ran("outcome", settled=found, at=place)

    def _check_declared(self, at: Position, recorded: Position, name: str) -> None:
        """Raise ``CandidateEnds`` if the recorded call's end depends on what the tool now declares otherwise."""
        then, deaths = self._machine.inferred.tools.get(name), self._machine.inferred.deaths
        why = another_outcome(self._machine.declared, then, name, self._recorded, recorded, deaths)
        if why is not None:
            raise CandidateEnds(Ending.OFF_THE_RECORD, CallIntended.key(*at), why)

    def charged(self, ran: Ran, tool: Tool, bound_microusd: int | None) -> int | None:
        """Return the charge as the tool declares it now; the lowest, with the rest as slack, if the record has none."""
        if ran.settled is None or ran.settled.cost_microusd is None or ran.at is None:
            return None
        declared = self._playbook.tools[tool.name]
        found = charge_of(declared, bound_microusd, ran.settled, self._recorded.fact(CallIntended, *ran.at))
        self._playing.slack_microusd += len(found) - 1
        return found[0]

    def _identity(self, call: ToolCall) -> str:
        return self._playbook.identity(call)

    def _ran(self, at: Position) -> bool:
        """Whether the record has that the tool of that call ran."""
        settled = self._recorded.fact(CallSettled, *at)
        if settled is not None and (settled.status == "denied" or settled.repeat_of is not None):
            return False
        begun = self._recorded.fact(CallIntended, *at) is not None
        return begun or (settled is not None and settled.latency_ms is not None)

    def _writes_before(self, run: Run, at: Position) -> tuple[str, ...]:
        """Return the run's writes before that call, each with its status, in the order of the work."""
        return tuple(key for position, key in self._committed(run) if position < at)

    def _committed(self, run: Run) -> Iterator[tuple[Position, str]]:
        for number in run.turns:
            for state in run.turn(number).committed:
                yield state.position, f"{state.status} {self._identity(state.as_admitted)}"

    def _calls(self) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """Yield the positions of the record's calls, each with the writes before it."""
        committed = list(self._committed(self._recorded))
        for number in self._recorded.turns:
            for state in self._recorded.turn(number).calls:
                yield number, state.index, tuple(key for place, key in committed if place < state.position)

    def precondition(self, at: Position) -> Any:
        """Return what the precondition of the same call read. Raises ``CandidateEnds``."""
        if not self._playing.apart:
            return super().precondition(at)
        for needed in reversed(self._recorded.facts(ApprovalNeeded)):
            mine, was = self._playing.run.call(*at), self._recorded.call(*needed.at)
            if mine and was and self._identity(mine.as_admitted) == self._identity(was.as_admitted):
                return (needed.binding or {}).get("precondition")
        why = "what a person's approval would rely on was never read"
        raise CandidateEnds(Ending.OFF_THE_RECORD, CallIntended.key(*at), why)

    def customer(self, at: Position) -> str | None:
        """Return whose money the same call moved."""
        if not self._playing.apart:
            return super().customer(at)
        mine = self._playing.run.call(*at)
        for intended in self._recorded.facts(CallIntended):
            was = self._recorded.call(*intended.at)
            if mine and was and intended.moves and self._identity(mine.as_admitted) == self._identity(was.as_admitted):
                return intended.moves.customer
        return None

    def no_room(self, at: Position, wanted: Wanted) -> str | None:
        """Return the words for windows without room, if the call asks for the same under the same rules.

        What the run itself has moved is known, and what other runs had moved is not. Raises ``CandidateEnds`` where
        that decides.
        """
        seq = CallIntended.key(*at)
        if self._playing.apart:
            if self._lacked_room(at):
                raise CandidateEnds(Ending.OFF_THE_RECORD, seq, "money would move for which there was no room")
            self.wanted.setdefault(at, []).append(wanted)
            return None
        words, before = super().no_room(at, wanted), self._machine.inferred.wanted.get(at, ())
        if wanted in before:
            return words
        then = next((one for one in before if one.micro == wanted.micro), before[0] if before else None)
        if then is None or words is not None or at in self._machine.inferred.raised or then.whose != wanted.whose:
            why = "whether there is room for the money that a call moves depends on what is not in the record"
            raise CandidateEnds(Ending.OFF_THE_RECORD, seq, why)
        return None

    def may_lack_room(self, at: Position, wanted: Wanted) -> None:
        """Raise ``CandidateEnds`` if windows that other runs share may have no room, and had room in the record."""
        before = [] if self._playing.apart else self._machine.inferred.wanted.get(at, ())
        if not before or wanted in before:
            return
        then = next((one for one in before if one.micro == wanted.micro), before[0])
        lower = any(getattr(wanted.ceilings, name) < getattr(then.ceilings, name) for name in _SHARED)
        if lower or wanted.micro > then.micro:
            why = "what other runs had moved decides whether there is room, and it is not in the record"
            raise CandidateEnds(Ending.OFF_THE_RECORD, CallIntended.key(*at), why)

    def had_room(self, at: Position) -> bool:
        """Whether the record says that there was room for the same move."""
        return not self._playing.apart and at in self._machine.inferred.raised and super().had_room(at)

    def _lacked_room(self, at: Position) -> bool:
        """Whether the same call found no room in the record."""
        mine, record = self._playing.run.call(*at), self._recorded
        found = [one.at for one in record.facts(CallRefused) if one.error == "MoveRefused"]
        found += [one.at for one in record.facts(ApprovalNeeded) if no_room_in(one.why)]
        known = (record.call(*place) for place in found)
        identity = self._identity(mine.as_admitted) if mine is not None else None
        return any(was is not None and self._identity(was.as_admitted) == identity for was in known)

    # The workflow

    def admission(self, microusd: int) -> tuple[str, str, str | None] | None:
        """Return the recorded refusal. Raises ``CandidateEnds`` where a smaller amount might have found room."""
        refused = super().admission(microusd)
        if refused is not None and refused[0] == "WindowFull" and microusd < self._machine.inferred.leased_microusd:
            why = "the request asks for less of the budget, for which there may have been room"
            raise CandidateEnds(Ending.OFF_THE_RECORD, RunRefused.key(), why)
        return refused

    def stopped(self) -> BaseException | None:
        """Return the end of the execution, if the record ends here."""
        return None if self._playing.apart else super().stopped()

    def answer(self, token: str) -> Any:
        """Put in what people answered, if they did so in time. Raises ``CandidateEnds`` where nobody was asked so.

        Raises ``StateFailed`` where the wait ends before the answer came.
        """
        asked = self.waiting[token]
        what = "approve a call" if asked["kind"] == "approval" else "decide"
        why = f"a person would be asked to {what} in turn {asked['turn']}"
        seq = next(reversed(self._playing.run.events)).seq
        if self._playing.apart:
            raise CandidateEnds(Ending.STOPPED_EARLIER, seq, why, waits=True)
        place = wait_of(asked)
        kind = ApprovalRequested if place[0] == "approval" else EscalationOpened
        key = kind.key(*place[1:]) if kind is ApprovalRequested else kind.key(place[1])
        mine, was = self._playing.run.event(key), self._recorded.event(key)
        if mine is not None and was is not None:
            if any(mine.body.get(name) != was.body.get(name) for name in ("approvals_needed", "approvers")):
                raise CandidateEnds(
                    Ending.STOPPED_EARLIER, seq, f"{why}, by other rules than in the record", waits=True
                )
            self._check_in_time(place, was, asked["timeout_s"])
            self._check_grant(place[1], key)
        return super().answer(token)

    def _check_in_time(self, place: Wait, opened: Event, now_s: int) -> None:
        """Return if the record's end of the wait comes in time. Raises ``StateFailed``, ``CandidateEnds``."""
        then_s, answer_by = self._machine.inferred.waits.get(place), opened.body.get("answer_by")
        if then_s is None or then_s == now_s:
            return
        asked_at = datetime.fromisoformat(answer_by) - timedelta(seconds=then_s) if answer_by else moment(opened)
        ends = asked_at + timedelta(seconds=now_s)
        key = EscalationAnswered.key(place[1]) if place[0] != "approval" else ApprovalAnswered.key(*place[1:])
        written = self._recorded.event(key)  # by the executor, if nobody answered
        answered = written if written is not None and is_persons(written) else None
        stopped = isinstance(super().stopped(), Stopped) and answered is None
        until = answered or (self._recorded.by_seq.get(RunEnded.key()) if stopped else None)
        if until is None:
            if isinstance(super().stopped(), RecordEnds):
                return
            if now_s > then_s:
                why = f"people would have had {now_s} s to answer, and not {then_s}"
                raise CandidateEnds(Ending.CENSORED, opened.seq, why)
            self._playing.saved += timedelta(seconds=then_s - now_s)
            return
        left_s = (ends - moment(until)).total_seconds()
        if now_s > then_s or left_s > _CLOSE_S:
            return
        if left_s > -_CLOSE_S:
            why = "a person answered when the time to answer would have been over"
            raise CandidateEnds(Ending.OFF_THE_RECORD, opened.seq, why)
        for one in self._of_call(place[1:3]) if place[0] == "approval" else ():
            if one.name == ApprovalGiven.NAME and one.round == place[3] and moment(one) <= ends:
                self._playing.put(one)
        self._playing.now = max(self._playing.now, ends - self._playing.saved)
        late_s = (moment(until) - asked_at).total_seconds()
        came = f"the answer came after {late_s:.0f} s" if answered is not None else "nobody had answered"
        self._playing.part_at(key, f"nobody answers within {now_s} s: {came}")
        raise StateFailed("States.Timeout")

    def _check_grant(self, turn: int, key: str) -> None:
        """Raise ``CandidateEnds`` if reviewers may not add the budget that one added, and might in the record."""
        answered = self._recorded.fact(EscalationAnswered, turn)
        if answered is None or not _added(answered):
            return
        given = sum(_added(one) for one in self._playing.run.facts(EscalationAnswered)) + _added(answered)
        if self._playbook.agent.max_grant_microusd < given <= self._machine.inferred.max_grant_microusd:
            why = "a reviewer could not have added the budget that one added"
            raise CandidateEnds(Ending.OFF_THE_RECORD, key, why)


def moment(event: Event) -> datetime:
    """Return when the record says that an event was written."""
    return datetime.fromisoformat(event.at)


def _added(answered: EscalationAnswered) -> int:
    decision = answered.decision
    return decision.add_budget_microusd if isinstance(decision, HandOver) else 0


def _last_point(points: Sequence[str]) -> int:
    """Return the message at which the last cache point stands; -1 if none stands in a message."""
    return max((int(one.removeprefix("messages.")) for one in points if one.startswith("messages.")), default=-1)


def _without_points(sent: Any) -> Any:
    """Return a part of a request without its cache points: no model reads them."""
    if isinstance(sent, Mapping):
        return {name: _without_points(value) for name, value in sent.items()}
    if isinstance(sent, list | tuple):
        return [_without_points(one) for one in sent if not (isinstance(one, Mapping) and "cachePoint" in one)]
    return sent


def _without_bound(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "maxTokens"}
