"""A candidate lane: one thing is changed, and the rest of a run is played as the record has it, as far as that holds.

An input of the record is used only where the same is asked for::

    a model's reply    the request that would be sent is the recorded one, but for the bound of its output
    a tool's outcome   the same call (tool, canonical arguments) after the same writes of the run
    a person's answer  the person is asked at the same place of the record
    a process's death  the baseline met it there, and nothing has differed before

Anything else was never recorded. The run ends there, as ``Ending`` says: it is known until there, and not after.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ballast.contracts import ExitReason, HandOver, ToolCall
from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import canonical
from ballast.errors import ProcessEnds
from ballast.folds.loops import ladder
from ballast.log.event import Event, order
from ballast.log.events import (
    ApprovalNeeded,
    CallIntended,
    CallRefused,
    CallSettled,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PlanDecided,
    RunRefused,
)
from ballast.log.vouching import vouching
from ballast.masking import error_text
from ballast.models.card_file import CardFile, over, read_cards
from ballast.models.catalog import OWN_FILE, Catalog
from ballast.money import TokenCounts
from ballast.playbook import Playbook
from ballast.run import Run
from ballast.validation import Grounding
from localcloud.converse.choose import Bedrock, model_source
from localcloud.moto_seams.replaced import replaced
from localcloud.replay.compare import Body, cause_of, first_difference, with_readings
from localcloud.replay.lane import Difference, Ending, Inferred, Replayed
from localcloud.replay.machine import Machine
from localcloud.replay.oracle import Failed, Oracle, Position, Ran
from localcloud.replay.playing import Died, Playing
from localcloud.replay.recorded import RecordedRun
from localcloud.replay.rules import Rules

#: Fields that no model and no person reads: money, versions, and digests over all of it.
HARMLESS = frozenset(
    {
        "limits",
        "lease",
        "made_of",
        "agent_until_ms",
        "deadline_ms",
        "price_version",
        "cost_microusd",
        "cache_saved_microusd",
        "reserved_microusd",
        "input_tokens_bound",
        "gen_ai.request.max_tokens",
        "prompt_sha256",
        "evidence",
        "spent_microusd",
        "leased_microusd",
        "charged_microusd",
        "returned_microusd",
        "beyond_microusd",
        "approval",
        "binding",
        "policy",
    }
)
#: By kind of event: fields that say what the run does next.
_STEERS: Mapping[str, tuple[str, ...]] = {
    "model.responded": ("decision",),
    "plan.decided": ("decision",),
    "call.settled": ("status", "result", "message", "notice"),
    "call.intended": ("arguments", "tool"),
    "call.refused": ("error", "message"),
    "escalation.opened": ("reason", "kind"),
}
_PLAIN = "gen_ai.usage.input_tokens"
_WRITTEN = ("gen_ai.usage.cache_creation.input_tokens", "ballast.usage.cache_creation_1h.input_tokens")
_FIRST_DAY = "1970-01-01"
#: Of a request to a model: who asks, and how much it may say. Neither changes what the model reads.
_NOT_READ = ("inferenceConfig", "requestMetadata")


class CandidateEnds(ProcessEnds):
    """The record has nothing for what the candidate asks: what is known of the run ends here.

    seq    the event after which nothing is known
    waits  whether the run waits for a person who was never asked
    """

    def __init__(self, ending: Ending, seq: str, why: str, *, waits: bool = False) -> None:
        super().__init__(why)
        self.ending, self.seq, self.why, self.waits = ending, seq, why, waits


class CandidatePlaying(Playing):
    """The log of a run that is played in a candidate lane.

    apart   whether the run does something else than the record: from then on events have no counterpart
    first   the first event that differs at all; ``parted``: the one with which the run comes apart
    unlike  events that differ in what a model or a person may read
    asked   attempts that a real model answered
    slack_microusd  what it may have cost more, where the record does not say how a prompt would have been cached
    """

    def __init__(self, recorded: RecordedRun, inferred: Inferred) -> None:
        super().__init__(recorded)
        self.apart = False
        self.first: Difference | None = None
        self.parted: Difference | None = None
        self.unlike: set[str] = set()
        self.slack_microusd = 0
        self.asked = 0
        self._due = Counter(inferred.deaths)

    def ahead(self, holds: Callable[[Event], bool]) -> Event | None:
        """Return the first recorded event for which ``holds`` that is still to come; None once the run is apart."""
        return None if self.apart else super().ahead(holds)

    @property
    def left(self) -> Sequence[Event]:
        """The recorded events that are still to come; none once the run is apart."""
        return () if self.apart else super().left

    def written(
        self, run_id: str, seq: str, body: Mapping[str, Any], index: Mapping[str, str], covers: Sequence[Event] | None
    ) -> Event:
        """Take an event that a handler writes; return it, or the one that is there."""
        there = self.run.event(seq) if self.run else None
        if there is not None:
            return there
        if not self.apart and self._due[seq] > 0:
            self._due[seq] -= 1
            raise Died
        made = _json(body)
        recorded = None if self.apart else self._left.get(seq)
        if recorded is None:
            return self._anew(run_id, seq, made, covers)
        if "invocation" in recorded.body:
            made["invocation"] = recorded.body["invocation"]
        made = self._inputs(recorded, self._with_readings(recorded, made))
        event = Event(run_id=run_id, seq=seq, at=recorded.at, body=made).with_stored(dict(recorded.stored))
        if covers is not None:
            event = vouching(event, self._covered(recorded, covers), [])
        self._skip_to(recorded)
        self._compare(event, recorded)
        del self._left[seq]
        self.run = self.run.with_event(event)
        self.checked.append(seq)
        self.wait_until(recorded)
        return event

    def _anew(self, run_id: str, seq: str, made: Body, covers: Sequence[Event] | None) -> Event:
        event = Event(run_id=run_id, seq=seq, at=self.now.isoformat(), body=made)
        self._come_apart(event, None)
        if covers is not None:
            event = vouching(event, covers, [])
        self.run = self.run.with_event(event)
        return event

    def go_apart(self, event: Event, why: str) -> None:
        """From this event on the run does something else, although the record may have one under that key."""
        known = self.recorded.by_seq.get(event.seq)
        self.parted = Difference(event.seq, "", known.shown if known is not None else None, event.shown, why)
        self.apart = True

    def _come_apart(self, event: Event, recorded: Event | None) -> None:
        """From this event on the run does something else."""
        was = recorded.shown if recorded is not None else None
        difference = Difference(event.seq, "", was, event.shown, _words(event))
        self.first, self.parted = self.first or difference, self.parted or difference
        self.apart = True

    def _part(self, difference: Difference) -> None:
        self.first = self.first or difference

    def _compare(self, event: Event, recorded: Event) -> None:
        difference = first_difference(event, recorded)
        if difference is None:
            return
        self._part(difference)
        names = {*event.body, *recorded.body}
        apart = {name for name in names if event.shown.get(name) != recorded.shown.get(name)}
        if not apart <= HARMLESS:
            self.unlike.add(event.seq)
        if apart.intersection(_STEERS.get(event.name, ())):
            self._come_apart(event, recorded)

    def _skip_to(self, recorded: Event) -> None:
        """Leave out what the record has of the same call before that event: people were asked, and are not now."""
        if not recorded.name.startswith("call."):
            return
        for one in self.left:
            same = one.name.startswith("call.") and (one.turn, one.index) == (recorded.turn, recorded.index)
            if same and order(one) < order(recorded):
                del self._left[one.seq]
                self._part(Difference(one.seq, "", one.shown, None, f"nobody is asked to approve in turn {one.turn}"))

    def _with_readings(self, recorded: Event, made: Body) -> Body:
        """Return the body with the readings of the clock; a changed deadline is as much later or sooner."""
        read = with_readings(recorded.name, made, recorded.body)
        if recorded.name != "run.opened" or made.get("limits") == recorded.body.get("limits"):
            return read
        then, now = recorded.body["limits"], made["limits"]
        later = (now["deadline_s"] - then["deadline_s"]) * 1000
        reserve = (now["fallback_reserve_s"] - then["fallback_reserve_s"]) * 1000
        moved = {"deadline_ms": later, "agent_until_ms": later - reserve}
        if not any(moved.values()):
            return read | {name: recorded.body[name] for name in moved if name in recorded.body}
        if "answer_within_s" in made or not all(name in recorded.body for name in moved):
            return made
        return made | {name: recorded.body[name] + by for name, by in moved.items()}

    def _inputs(self, recorded: Event, made: Body) -> Body:
        if made.get("price_version") != recorded.body.get("price_version"):
            return made  # another price: what a sealed text's size gave is not the record's
        return super()._inputs(recorded, made)

    def put(self, event: Event) -> Event:
        """Put an event in as it is recorded. An approval is bound to what the people are asked here."""
        if event.name in ("call.approval_answered", "call.approval_given") and event.body.get("binding"):
            asked = self.run.fact(ApprovalNeeded, event.turn, event.index, event.round)
            bound = (asked.binding or {}).get("sha256") if asked is not None else None
            if bound is not None and bound != event.body["binding"]:
                self._left.pop(event.seq, None)
                event = event.model_copy(update={"body": event.body | {"binding": bound}})
        return super().put(event)

    def missing(self) -> Difference | None:
        """Return the difference that counts: where the run comes apart, else the first one."""
        return self.parted or self.first


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
        other = self._other_question(was, mine)
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

    def _other_question(self, was: Event, mine: Event) -> str | None:
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


class CandidateMachine(Machine):
    """Plays runs in a candidate lane, beside what the baseline made of them."""

    playing: CandidatePlaying
    model: Callable[[Mapping[str, Any], CandidateEnds], Mapping[str, Any]] | None = None
    _inferred = Inferred()

    def _build(self, stack: ExitStack) -> None:
        rules = Rules.model_validate(self.lane.rules, strict=False)
        if self.lane.cards is not None:
            stack.enter_context(replaced(Catalog, "of_playbook", classmethod(partial(_with_cards, self.lane.cards))))
        if rules.loops:
            stack.enter_context(replaced(ladder, "THRESHOLDS", rules.thresholds))
        self._rules = rules
        if self.lane.asks:
            self.model = asking(self.lane.asks)
        super()._build(stack)
        if not rules.grounding:
            attempt = sys.modules["functions.executor.attempt"]
            stack.enter_context(replaced(attempt, "ground", lambda *_, **__: Grounding()))

    def _changed(self, playbook: Playbook) -> Playbook:
        return self._rules.changed(super()._changed(playbook))

    def play_beside(self, recorded: RecordedRun, baseline: Replayed) -> tuple[Replayed, CandidateEnds | None]:
        """Return what became of a run whose baseline came out, and where the record has no more to say."""
        self._inferred = baseline.inferred
        try:
            played, ends = self._play(recorded, baseline.inferred.moved), None
        except CandidateEnds as unknown:
            ends = unknown
            played = self._result(recorded, self.playing.missing(), unknown.ending, baseline.inferred.moved)
        played = replace(played, difference=self.playing.missing())
        return played, ends

    def request_of(self, run: Run, requested: ModelRequested) -> Mapping[str, Any]:
        """Return the request of a recorded attempt, as it was sent."""
        from functions.agent.request import converse_request

        return converse_request(run, requested, stack="replay")

    def _playing_of(self, recorded: RecordedRun) -> Playing:
        return CandidatePlaying(recorded, self._inferred)

    def _oracle_of(self, moved: Mapping[Position, int]) -> Oracle:
        return CandidateOracle(self, moved)


def asking(spec: str) -> Callable[[Mapping[str, Any], CandidateEnds], Mapping[str, Any]]:
    """Return a function that asks the model of ``--model`` for real. Raises ``InvalidInput``.

    Its failure leaves the run where the record had no more to say.
    """
    source = model_source(spec)

    def ask(request: Mapping[str, Any], unknown: CandidateEnds) -> Mapping[str, Any]:
        try:
            if isinstance(source, Bedrock):
                import boto3

                sent = {**request, "modelId": source.model_id}
                made: Mapping[str, Any] = boto3.client("bedrock-runtime").converse(**sent)
                return {name: made[name] for name in ("output", "stopReason", "usage") if name in made}
            sent = {name: value for name, value in request.items() if name != "modelId"}
            return source.reply(sent, str(request["modelId"])).body
        except Exception as problem:
            why = f"{unknown.why}; the model was asked and failed: {error_text(problem)}"
            raise CandidateEnds(Ending.OFF_THE_RECORD, unknown.seq, why) from problem

    return ask


def _with_cards(file: Path, kind: type[Catalog], folder: Path) -> Catalog:
    """Return the catalog of the playbook in ``folder`` with the cards of ``file`` over its own."""
    own, more = folder / OWN_FILE, read_cards(file)
    below = read_cards(own) if own.is_file() else CardFile()
    models = dict(below.models)
    for model, facts in more.models.items():
        before = dict(models.get(model, {}))
        prices = facts.get("prices")
        newest = [_at_any_time(prices[-1])] if isinstance(prices, list) and prices else []
        models[model] = over(before, dict(facts)) | ({"prices": newest} if newest else {})
    made = replace(
        below,
        vendor=more.vendor or below.vendor,
        as_of=more.as_of or below.as_of,
        sources={**below.sources, **more.sources},
        families={**below.families, **more.families},
        models=models,
        arns={**below.arns, **more.arns},
    )
    return kind(made, str(file))


def _at_any_time(price: Any) -> Any:
    """Return a price that counts on every day, under a version that no card has."""
    if not isinstance(price, dict):
        return price  # the card says what is wrong with it
    return price | {"valid_from": _FIRST_DAY, "version": f"what-if-{price.get('version', '')}"}


def _words(event: Event) -> str:
    """Return what the candidate does at an event that the record does not have so."""
    fact = event.fact
    where = f"turn {event.turn}"
    match fact:
        case ModelResponded() | PlanDecided():
            decided = fact.decision
            if isinstance(decided, HandOver):
                return (
                    f"the {fact.planner.value if isinstance(fact, PlanDecided) else 'agent'} hands over in {where}: "
                    + (f"{decided.reason}")
                )
            return f"another decision in {where}: {decided.kind}"
        case ModelRequested():
            return f"the model is asked in {where}"
        case CallRefused():
            return f"a call is refused in {where}: {fact.error}"
        case ApprovalNeeded():
            return f"a person must approve a call in {where}: {'; '.join(fact.why)}"
        case RunRefused():
            return f"the request is refused: {fact.reason}"
        case CallIntended():
            return f"a call is made in {where} that was not"
    return f"{event.name} in {where}; decided by {cause_of(event.name)}"


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


def _json(body: Mapping[str, Any]) -> Body:
    made: Body = json.loads(canonical(dict(body)))
    return made
