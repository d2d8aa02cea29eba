"""A run: its events, and everything that is computed from them, once.

::

    run = log.read(run_id)          the events in the order of the work
    run.usage.charged_microusd      a fold: computed on first use, and kept
    run.call(3, 1)                  one call with its outcome
    run.facts(CallSettled)          the events of one kind, typed
    run.with_event(settled)         the same run, one event later

The folds are functions of a ``Run`` in ``ballast.folds``; they read each other's results from the run. Any prefix of a
log is a run. Events never change, so neither does a run.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from itertools import chain
from operator import attrgetter, is_, itemgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ballast.contracts import Effects, ExitReason, Planner, RunRequest, ToolCall
from ballast.contracts.attachment import Kept
from ballast.contracts.notice import Outcome, RunEscalated
from ballast.contracts.task import LAST_TURN
from ballast.folds.agents import AgentChange, Used, agent_at, agent_changes, used_by
from ballast.folds.append_only import PersistentDict
from ballast.folds.approvals import (
    ApprovalRound,
    Rejection,
    approval_given_up,
    approval_rounds,
    decided_by_operator,
    rejected,
    rejected_before,
)
from ballast.folds.calls import CallState, Identity, Proposed, calls_of, identity, proposal
from ballast.folds.conversation import Prompt, answered_prompt, asked_with
from ballast.folds.effects import Moved, Standing, earlier, effects, ended_effects, frozen, moves, standing, to_undo
from ballast.folds.feedback import Feedback, feedback_in
from ballast.folds.notices import outcome, proposed, summary, to_announce
from ballast.folds.opening import Grant, Opening, grants, opening, requested
from ballast.folds.progress import Progress, progress, successor, why_it_stopped
from ballast.folds.usage import (
    CallCharge,
    Cost,
    Counts,
    Spent,
    StoppedLoop,
    Usage,
    call_charges,
    cost,
    counts,
    spent,
    stopped_loops,
    usage,
)
from ballast.log.event import Event, order
from ballast.log.events import Fact, ModelRequested, ModelResponded, RunEnded, RunOpened, RunRefused
from ballast.log.keys import Key
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.contracts.timeline import Timeline

FactT = TypeVar("FactT", bound=Fact)
ValueT = TypeVar("ValueT")
Position = tuple[int, int]
#: A step of ``Run.along``: the value so far, a request, and the completion that answered it.
Step = Callable[[ValueT, ModelRequested, ModelResponded], ValueT]


class Turn:
    """The events of one turn, in the order of the work, and values computed from them alone. Turn 0 is the opening."""

    def __init__(self, number: int, events: Iterable[Event]) -> None:
        self.number, self.events = number, tuple(events)

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Event, ...]]:
        """Its events by their kind, such as ``call.settled``."""
        found: dict[str, list[Event]] = {}
        for event in self.events:
            found.setdefault(event.name, []).append(event)
        return {name: tuple(events) for name, events in found.items()}

    @cached_property
    def by_seq(self) -> Mapping[str, Event]:
        """Its events by their key."""
        return {event.seq: event for event in self.events}

    def facts(self, kind: type[FactT]) -> tuple[FactT, ...]:
        """Return the facts of one kind, in their order. Raises ``LogCorrupt``."""
        return tuple(cast(FactT, event.fact) for event in self.by_name.get(kind.NAME, ()))

    @cached_property
    def proposal(self) -> Proposed | None:
        """Its decision; None before one is recorded."""
        return proposal(self)

    @cached_property
    def calls(self) -> tuple[CallState, ...]:
        """Its calls with their outcomes, by position."""
        return calls_of(self)

    @cached_property
    def committed(self) -> tuple[CallState, ...]:
        """Its writes that happened, or may have happened."""
        return tuple(state for state in self.calls if state.is_committed)

    @cached_property
    def call_charges(self) -> Mapping[int, tuple[CallCharge, ...]]:
        """The cost of each attempt at its calls, by the call's position."""
        return call_charges(self)

    @cached_property
    def spent(self) -> Spent:
        """The cost and the counts of its attempts and calls."""
        return spent(self)


class Run(Sequence[Event]):
    """The events of one run, in the order of the work, and everything that is computed from them.

    unsigned  unsigned events that claim to be a person's answer; they are not part of the run

    A run never changes. A run with more events shares the turns of the earlier one, and the values of its folds up to
    the newest turn (``remembered``), so that a fold visits only the new turns.
    """

    def __init__(self, events: Iterable[Event] = (), unsigned: Iterable[Event] = ()) -> None:
        self.events = tuple(events)
        self.unsigned = tuple(unsigned)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Run:
        """Return the run of these events; a run is returned unchanged."""
        return events if isinstance(events, Run) else cls(events)

    @classmethod
    def _made_of(cls, turns: Mapping[int, Turn], unsigned: Iterable[Event], remembered: dict[Any, Any]) -> Run:
        made = cls.__new__(cls)
        made.unsigned = tuple(unsigned)
        made.__dict__ |= {"turns": turns, "remembered": remembered}
        return made

    def with_event(self, *more: Event, unsigned: Iterable[Event] | None = None) -> Run:
        """Return the run with these events as well."""
        new: dict[int, list[Event]] = {}
        for event in more:
            new.setdefault(event.turn, []).append(event)
        turns = dict(self.turns)
        for number, events in sorted(new.items(), key=itemgetter(0)):
            before = turns[number].events if number in turns else ()
            turns[number] = Turn(number, sorted((*before, *events), key=order))
        if self.turns and min(new, default=LAST_TURN) < self._numbers[-1]:
            turns = {number: turns[number] for number in sorted(turns)}
        # Remembered values end before the newest turn.
        goes_on = self.remembered if min(new, default=LAST_TURN) >= self.newest_turn else {}
        made = self._made_of(turns, self.unsigned if unsigned is None else unsigned, goes_on)
        if "as_shown" in self.__dict__:
            shown = [event.as_shown for event in more]
            if self.as_shown is not self:
                made.__dict__["as_shown"] = self.as_shown.with_event(*shown)
            elif all(map(is_, shown, more)):
                made.__dict__["as_shown"] = made
        return made

    def before(self, turn: int) -> Run:
        """Return the run as it was before ``turn``."""
        turns = dict(self.turns)
        for number in self._numbers[bisect_left(self._numbers, turn) :]:
            del turns[number]
        return self._made_of(turns, (), self.remembered if turn >= self.newest_turn else {})

    def only(self, keeps: Callable[[Event], bool]) -> Run:
        """Return the run of the events for which ``keeps`` is true."""
        return Run(filter(keeps, self.events))

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Its events, in the order of the work."""
        return tuple(chain.from_iterable(map(_EVENTS, self.turns.values())))

    @cached_property
    def as_shown(self) -> Run:
        """The run as everybody may see it: sensitive values masked."""
        shown = tuple(event.as_shown for event in self.events)
        return self if all(map(is_, shown, self.events)) else Run(shown)

    # ── its turns ────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def turns(self) -> Mapping[int, Turn]:
        """Its turns by their number, in order: 0 is the opening, ``LAST_TURN`` the ending."""
        grouped: dict[int, list[Event]] = {}
        for event in self.events:
            grouped.setdefault(event.turn, []).append(event)
        return {number: Turn(number, grouped[number]) for number in sorted(grouped)}

    def turn(self, number: int) -> Turn:
        """Return one turn; an empty one if it has no events."""
        return self.turns.get(number) or Turn(number, ())

    @cached_property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(self.turns)

    @cached_property
    def newest_turn(self) -> int:
        """The newest turn with an event, without the ending; 0 before the first."""
        before_the_ending = bisect_left(self._numbers, LAST_TURN)
        return self._numbers[before_the_ending - 1] if before_the_ending else 0

    @cached_property
    def remembered(self) -> dict[Any, Any]:
        """Values of folds, for this run and longer ones, each with the events that it covers."""
        return {}

    def along(self, after: str | None, name: str, start: ValueT, step: Step[ValueT]) -> ValueT:
        """Fold the conversation up to and with the completion ``after``, and remember the newest value.

        ``name`` identifies the fold. Raises ``LookupError`` if a part of the conversation is missing.
        """
        links: list[tuple[ModelRequested, ModelResponded]] = []
        value = start
        while after is not None:
            responded = self.at(after).fact
            if not isinstance(responded, ModelResponded):
                raise LookupError(after)
            requested = asked_with(self, responded)
            of, known = self.remembered.get((name, after), (None, start))
            if of is not None and of[0] is requested and of[1] is responded:
                value = known
                break
            links.append((requested, responded))
            after = requested.after
        for requested, responded in reversed(links):
            value = step(value, requested, responded)
            self.remembered.pop((name, requested.after), None)
            self.remembered[name, responded.seq] = (requested, responded), value
        return value

    def over_turns(self, name: Hashable, start: ValueT, step: Callable[[ValueT, Turn], ValueT]) -> ValueT:
        """Fold the turns in their order, and remember the value before the newest turn. Values must be immutable.

        ``name`` identifies the fold.
        """
        value, past, rest = self._since(name, start)
        for turn in past:
            value = step(value, turn)
        if past:
            self.remembered[name] = past[-1], value
        for turn in rest:
            value = step(value, turn)
        return value

    def gathered(self, name: Hashable, of: Callable[[Turn], Iterable[ValueT]]) -> tuple[ValueT, ...]:
        """Return the values of ``of`` for all turns, in order; remembered as in ``over_turns``."""
        value, past, rest = self._since(name, cast(tuple[ValueT, ...], ()))
        if past:
            value = (*value, *chain.from_iterable(map(of, past)))
            self.remembered[name] = past[-1], value
        return (*value, *chain.from_iterable(map(of, rest)))

    def _since(self, name: Hashable, start: ValueT) -> tuple[ValueT, Sequence[Turn], Sequence[Turn]]:
        """Return the remembered value, the completed turns after it, and the newest turn with the ending."""
        at, value = 0, start
        until, known = cast(tuple[Turn, ValueT], self.remembered.get(name, (Turn(0, ()), start)))
        if self.turns.get(until.number) is until:
            at, value = bisect_right(self._numbers, until.number), known
        over = max(at, bisect_left(self._numbers, self.newest_turn))
        past = [self.turns[number] for number in self._numbers[at:over]]
        return value, past, [self.turns[number] for number in self._numbers[over:]]

    # ── its events ───────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, at: int | slice) -> Event | tuple[Event, ...]:
        return self.events[at]

    def __len__(self) -> int:
        return self.over_turns("length", 0, lambda before, turn: before + len(turn.events))

    def __eq__(self, other: object) -> bool:
        return self.events == (other.events if isinstance(other, Run) else other)

    __hash__ = None  # type: ignore[assignment]  # an event's body is a dict

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    @property
    def run_id(self) -> str:
        """The run's id. Raises ``LookupError`` if it has no event."""
        first = next((turn for turn in self.turns.values()), Turn(0, ()))
        return first.events[0].run_id

    @cached_property
    def by_seq(self) -> Mapping[str, Event]:
        """The events by their key."""
        return {event.seq: event for event in self.events}

    def event(self, seq: str) -> Event | None:
        """Return the event under that key; None if there is none."""
        return self.turn(Key.of(seq).turn).by_seq.get(seq)

    def at(self, seq: str) -> Event:
        """Return the event under that key. Raises ``KeyError`` if there is none."""
        try:
            found = self.event(seq)
        except ValueError:  # not a key of the log
            found = None
        if found is None:
            raise KeyError(seq)
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The kinds of its events, such as ``call.settled``."""
        return self.over_turns("names", _NONE, _with_names)

    def facts(self, kind: type[FactT]) -> tuple[FactT, ...]:
        """Return the facts of one kind, in their order. Raises ``LogCorrupt``."""
        return self.gathered(("facts", kind), lambda turn: turn.facts(kind))

    def newest(self, kind: type[FactT]) -> FactT | None:
        """Return the last fact of one kind; None if there is none. Raises ``LogCorrupt``."""
        start = cast(FactT | None, None)
        return self.over_turns(("newest", kind), start, lambda before, turn: (before, *turn.facts(kind))[-1])

    def named(self, *kinds: type[Fact]) -> tuple[Event, ...]:
        """Return the events of some kinds, in their order."""
        names = frozenset(kind.NAME for kind in kinds)

        def of(turn: Turn) -> Iterable[Event]:
            return () if names.isdisjoint(turn.by_name) else (event for event in turn.events if event.name in names)

        return self.gathered(("events", names), of)

    def fact(self, kind: type[FactT], *at: int) -> FactT | None:
        """Return the fact of one kind at that position; None if there is none."""
        found = self.event(kind.key(*at))
        if found is None:
            return None
        fact = found.fact
        assert isinstance(fact, kind)
        return fact

    # ── how it began and ended ───────────────────────────────────────────────────────────────────────────────

    @property
    def is_open(self) -> bool:
        """Whether it was admitted."""
        return RunOpened.NAME in self.names

    @property
    def has_ended(self) -> bool:
        """Whether an ending is recorded, also one that cannot be read."""
        return not self.names.isdisjoint((RunEnded.NAME, RunRefused.NAME))

    @cached_property
    def request(self) -> RunRequest:
        """The request, admitted or not. Raises ``LogCorrupt``."""
        return requested(self)

    @cached_property
    def opening(self) -> Opening:
        """Its opening, including people's later grants. Raises ``LogCorrupt`` if it was not admitted."""
        return opening(self)

    @property
    def attachments(self) -> tuple[Kept, ...]:
        """Its files, in the order in which they came: those of the request, then those of results."""
        of_results = self.gathered("files", lambda turn: (one for call in turn.calls for one in call.attachments))
        return self.opening.attachments + of_results

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        """People's grants to the agent: the turn, the added budget, and the leased part of it."""
        return grants(self)

    @cached_property
    def ending(self) -> RunEnded | RunRefused | None:
        """Its ending; None while it goes on."""
        ended = next((event.fact for event in self.events if event.name in (RunEnded.NAME, RunRefused.NAME)), None)
        assert ended is None or isinstance(ended, RunEnded | RunRefused)
        return ended

    @cached_property
    def outcome(self) -> Outcome | None:
        """The notice of its ending; None while it goes on. Raises ``LogCorrupt``."""
        return outcome(self)

    @cached_property
    def to_announce(self) -> tuple[tuple[str, RunEscalated], ...]:
        """The escalations that are not announced yet, each with the key of its announcement."""
        return to_announce(self)

    @cached_property
    def progress(self) -> Progress:
        """Its status, the planner in charge, and the open calls and escalations."""
        return progress(self)

    def timeline(self, unreadable: Mapping[str, str] | None = None, *, run_id: str = "") -> Timeline:
        """Return its timeline, with sensitive values masked; also of a log that is cut off or garbled.

        ``unreadable`` has the errors of entries that could not be read and are not among its events, by key.
        ``run_id`` is needed only without events. Raises ``ValueError`` if all three are empty.
        """
        from ballast.timeline import told  # functions that act on a run do not need it

        return told(self, unreadable or {}, run_id)

    # ── what was decided ─────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def proposals(self) -> Mapping[int, Proposed]:
        """The decision of each turn, by turn. A completion that came too late is included; it was never executed."""
        return _Proposals(self)

    @cached_property
    def calls(self) -> tuple[CallState, ...]:
        """Every proposed call with its outcome, in the order of the work."""
        return self.gathered("calls", attrgetter("calls"))

    def call(self, turn: int, index: int) -> CallState | None:
        """Return the call at that position; None if nobody proposed it."""
        return next((state for state in self.turn(turn).calls if state.index == index), None)

    @cached_property
    def proposed(self) -> dict[str, object] | None:
        """The newest decision that calls tools and was not carried out, as JSON; None if there is none."""
        return proposed(self)

    @cached_property
    def why_it_stopped(self) -> ExitReason | None:
        """Why the agent was stopped; None if it was not stopped, or has continued since."""
        return why_it_stopped(self)

    def successor(self, of: Planner, *, has_fallback: bool, starts_clean: bool = True) -> Planner:
        """Return the planner that takes over from ``of``; see ``ballast.folds.progress``."""
        return successor(of, self, has_fallback=has_fallback, starts_clean=starts_clean)

    @cached_property
    def stopped_loops(self) -> tuple[StoppedLoop, ...]:
        """The loops that were stopped, in order, each with its estimated further cost."""
        return stopped_loops(self)

    # ── its agents ───────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def agent_changes(self) -> tuple[AgentChange, ...]:
        """The changes of the agent in charge, in order; empty in a run with one agent."""
        return agent_changes(self)

    def agent_at(self, turn: int) -> str:
        """Return the name of the agent in charge of that turn; "" if the log does not say it."""
        return agent_at(self, turn)

    def used_by(self, agent: str) -> Used:
        """Return what one agent used in its own turns."""
        return used_by(self, agent)

    # ── people's answers ─────────────────────────────────────────────────────────────────────────────────────

    def approvals(self, turn: int, index: int) -> tuple[ApprovalRound, ...]:
        """Return the rounds of asking people about the call at that position, oldest first."""
        return approval_rounds(self, turn, index)

    def approval_given_up(self, turn: int) -> bool:
        """Return whether nobody answered a call's approval in that turn, and the tool's rule is to hand over."""
        return approval_given_up(self, turn)

    def decided_by_operator(self, turn: int) -> bool:
        """Return whether an operator proposed the calls of that turn."""
        return decided_by_operator(self, turn)

    def rejected(self, state: CallState) -> tuple[ToolCall, ...]:
        """Return the call that people rejected, in each form that it had; empty if nobody rejected it."""
        return rejected(self, state)

    def rejected_before(self, at: Position, call: ToolCall, same: Identity = identity) -> Rejection | None:
        """Return the rejection of the same call before ``at``, if it is people's last answer to that call."""
        return rejected_before(self, at, call, same)

    def summary(self, reason: str) -> str:
        """Return the summary for the person who decides: plain text, untrusted where it quotes."""
        return summary(self, reason)

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def committed(self) -> tuple[CallState, ...]:
        """The writes that happened, or may have happened, in order."""
        return self.gathered("committed", attrgetter("committed"))

    @cached_property
    def standing(self) -> Standing:
        """The writes that happened, or may have happened, and are not undone."""
        return standing(self)

    def earlier(self, at: Position, call: ToolCall, same: Identity = identity) -> CallState | None:
        """Return the call before ``at`` that ``call`` repeats, or None."""
        return earlier(self, at, call, same)

    @cached_property
    def to_undo(self) -> tuple[CallState, ...]:
        """The effects with a recorded undo that are not undone yet, newest first."""
        return to_undo(self)

    @cached_property
    def frozen(self) -> tuple[CallState, ...]:
        """The effects that stop a rollback: unknown ones, and those that a person must decide on."""
        return frozen(self)

    @property
    def must_roll_back(self) -> bool:
        """Whether a rollback has an effect to undo, or an effect that stops it."""
        return bool(self.to_undo or self.frozen)

    def effects(self, status: str) -> Effects:
        """Return how the effects of the run ended, if it ends with ``status``."""
        return effects(self, status)

    @property
    def ended_effects(self) -> Effects | None:
        """The state of the effects according to its ending; None if the ending does not have it."""
        return ended_effects(self)

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def cost(self) -> Cost:
        """Its cost according to the log, and an operator's correction."""
        return cost(self)

    @cached_property
    def feedback(self) -> tuple[Feedback, ...]:
        """What people said of it afterwards: each person's newest words."""
        return feedback_in(self)

    @cached_property
    def usage(self) -> Usage:
        """Turns, calls, tokens and money that it has used."""
        return usage(self)

    @cached_property
    def counts(self) -> Counts:
        """Counts against the agent's limits since the last grant."""
        return counts(self)

    @cached_property
    def moves(self) -> tuple[Moved, ...]:
        """Its moves of the business's own money, in the order of the log."""
        return moves(self)

    @property
    def is_unfinished(self) -> bool:
        """Whether a proposed call has no outcome."""
        return not self.over_turns("all ended", True, _all_ended)

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def prompt(self) -> Prompt:
        """The conversation up to and with the newest completion; empty before the first."""
        return answered_prompt(self)

    @property
    def unseen(self) -> tuple[Event, ...]:
        """The events that no request on the conversation's chain covered; those about the run as a whole are none."""

        def answered(before: _Unseen, requested: ModelRequested, _: ModelResponded) -> _Unseen:
            return before.covering(self, requested)

        return self.along(self.prompt.after, "unseen", _Unseen(), answered).of(self, LAST_TURN)


class _Proposals(Mapping[int, Proposed]):
    def __init__(self, run: Run) -> None:
        self._run = run

    def __getitem__(self, turn: int) -> Proposed:
        found = self._run.turn(turn).proposal
        if found is None:
            raise KeyError(turn)
        return found

    def __iter__(self) -> Iterator[int]:
        return (number for number, turn in self._run.turns.items() if turn.proposal is not None)

    def __len__(self) -> int:
        return sum(turn.proposal is not None for turn in self._run.turns.values())


@dataclass(frozen=True)
class _Unseen:
    """At a completion: the keys that the conversation covers, and the uncovered events before ``turn``."""

    covered: PersistentDict[str, None] = field(default_factory=PersistentDict)
    turn: int = 0
    left: tuple[Event, ...] = ()

    def of(self, run: Run, before: int) -> tuple[Event, ...]:
        """Return the events of ``run`` before a turn that are not covered."""
        numbers = run._numbers
        since = numbers[bisect_left(numbers, self.turn) : bisect_left(numbers, before)]
        events = chain(self.left, *(run.turns[number].events for number in since))
        return tuple(event for event in events if event.seq not in self.covered)

    def covering(self, run: Run, requested: ModelRequested) -> _Unseen:
        """Return the state after the completion of one more request."""
        covering = replace(self, covered=self.covered.with_more(dict.fromkeys(requested.covers)))
        return replace(covering, turn=requested.turn, left=covering.of(run, requested.turn))


_NONE: frozenset[str] = frozenset()
_EVENTS = attrgetter("events")


def _with_names(before: frozenset[str], turn: Turn) -> frozenset[str]:
    return before if before.issuperset(turn.by_name) else before.union(turn.by_name)


def _all_ended(before: bool, turn: Turn) -> bool:
    return before and all(state.ended for state in turn.calls)
