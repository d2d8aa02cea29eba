"""Answers for a candidate lane: as recorded where the same is asked, else the end of what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ballast.contracts import ExitReason, ToolCall
from ballast.contracts.service_tier import ServiceTier
from ballast.log.event import Event, order
from ballast.log.events import (
    ApprovalNeeded,
    CallIntended,
    CallSettled,
    ModelFailed,
    ModelRequested,
    ModelResponded,
)
from ballast.money import TokenCounts
from ballast.playbook import Playbook
from ballast.run import Run
from localcloud.replay.candidate import CandidateEnds, CandidatePlaying
from localcloud.replay.lane import Ending
from localcloud.replay.oracle import Failed, Oracle, Position, Ran

if TYPE_CHECKING:
    from localcloud.replay.candidate_machine import CandidateMachine

#: Of a request to a model: who asks, and how much it may say. Neither changes what the model reads.
_NOT_READ = ("inferenceConfig", "requestMetadata")
_PLAIN = "gen_ai.usage.input_tokens"
_WRITTEN = ("gen_ai.usage.cache_creation.input_tokens", "ballast.usage.cache_creation_1h.input_tokens")


class CandidateOracle(Oracle):
    """Answers for a candidate lane: as recorded where the same is asked, else ``CandidateEnds``."""

    _playing: CandidatePlaying

    def __init__(self, machine: CandidateMachine, moved: Mapping[Position, int]) -> None:
        super().__init__(machine.playing, moved)
        self._machine = machine
        self._request: Mapping[str, Any] = {}

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
            return found  # type: ignore[no-any-return]

    def _recorded_completion(self, turn: int, attempt: int) -> Event | Failed:
        seq = ModelRequested.key(turn, attempt)
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

    def within(self, found: Event | Failed, seconds: float) -> Event | Failed:
        """Return the end of an attempt that may take so many seconds: cut, if a changed deadline is sooner."""
        if not isinstance(found, Event) or not self._has_another_deadline:
            return found
        took_ms = found.body.get("latency_ms")
        if not isinstance(took_ms, int) or took_ms / 1000 <= seconds:
            return found
        self._playing.now -= timedelta(milliseconds=took_ms - int(seconds * 1000))
        return Failed(ExitReason.MODEL_TIMEOUT, True, True, f"cut after {seconds:.0f} s", None)

    @property
    def _has_another_deadline(self) -> bool:
        then, now = self._playing.recorded.opened, self._playing.run.opening
        return then is not None and then.deadline_ms != now.deadline_ms

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
            return super().run_of(at, tool, writes=writes)
        found = None
        for turn, index, before in self._calls():
            state = self._recorded.call(turn, index)
            if state is None or state.status not in ("ok", "failed") or not self._ran((turn, index)):
                continue
            if before == history and self._identity(state.as_admitted) == key:
                found = self._recorded.fact(CallSettled, turn, index)
        if found is None:
            why = f"{tool} was never called with these arguments at this point of the record"
            raise CandidateEnds(Ending.OFF_THE_RECORD, CallIntended.key(*at), why)
        self._playing.now += timedelta(milliseconds=found.latency_ms or 0)
        return Ran("outcome", settled=found)

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

    # The workflow

    def stopped(self) -> BaseException | None:
        """Return the end of the execution, if the record ends here."""
        return None if self._playing.apart else super().stopped()

    def answer(self, token: str) -> Any:
        """Put in what people answered. Raises ``CandidateEnds`` where the record asks nobody."""
        if not self._playing.apart:
            return super().answer(token)
        asked = self.waiting[token]
        what = "approve a call" if asked["kind"] == "approval" else "decide"
        why = f"a person would be asked to {what} in turn {asked['turn']}"
        raise CandidateEnds(Ending.STOPPED_EARLIER, next(reversed(self._playing.run.events)).seq, why, waits=True)


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
