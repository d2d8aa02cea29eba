"""A run: its events, folded once, and everything that anybody asks of them.

::

    run = log.read(run_id)          the events in the order of the work
    run.usage.charged_microusd      each fold is computed when it is first asked for, and kept
    run.call(3, 1)                  one call, with what became of it
    run.facts(CallSettled)          the events of one kind, typed
    run.with_event(settled)         the same run, one event later

The folds are functions of a ``Run`` in ``ballast.folds``. They remember nothing, and ask the run for each other's
results. Any prefix of a log is a run. Events never change, so neither does a run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import is_
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ballast.contracts import Effects, ExitReason, Planner, RunRequest, ToolCall
from ballast.contracts.notice import Outcome, RunEscalated
from ballast.contracts.task import LAST_TURN
from ballast.folds.approvals import ApprovalRound, approval_given_up, approval_rounds, decided_by_operator
from ballast.folds.calls import CallState, Proposed, calls, calls_of, proposal, proposals
from ballast.folds.conversation import Prompt, answered_prompt, asked_with
from ballast.folds.cost import Cost, cost
from ballast.folds.counts import Counts, counts
from ballast.folds.effects import Standing, earlier, effects, ended_effects, frozen, standing, to_undo
from ballast.folds.moves import Moved, moves
from ballast.folds.opening import Grant, Opening, grants, opening, requested
from ballast.folds.outcome import outcome, to_announce
from ballast.folds.progress import Progress, progress
from ballast.folds.rejections import Rejection, rejected, rejected_before
from ballast.folds.sameness import Identity, identity
from ballast.folds.saved import StoppedLoop, saved
from ballast.folds.succession import successor, why_it_stopped
from ballast.folds.summary import proposed, summary
from ballast.folds.usage import CallCharge, Spent, Usage, call_charges, spent, usage
from ballast.log.event import Event, order
from ballast.log.events import Fact, ModelRequested, ModelResponded, RunEnded, RunOpened, RunRefused
from ballast.log.keys import Key

if TYPE_CHECKING:
    from ballast.contracts.timeline import Timeline

FactT = TypeVar("FactT", bound=Fact)
ValueT = TypeVar("ValueT")
Position = tuple[int, int]
#: What a chain of completions is folded with: the value so far, the request, the completion that answered it.
Step = Callable[[ValueT, ModelRequested, ModelResponded], ValueT]


class Turn:
    """The events of one turn, in the order of the work, and what follows from them alone. Turn 0 is the opening."""

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

    @cached_property
    def proposal(self) -> Proposed | None:
        """Its decision; None while nobody has decided."""
        return proposal(self)

    @cached_property
    def calls(self) -> tuple[CallState, ...]:
        """Its calls, by position, with what became of each."""
        return calls_of(self)

    @cached_property
    def call_charges(self) -> Mapping[int, tuple[CallCharge, ...]]:
        """What each attempt at its calls cost, by the call's position."""
        return call_charges(self)

    @cached_property
    def spent(self) -> Spent:
        """What its attempts and calls cost and counted."""
        return spent(self)


class Run(Sequence[Event]):
    """The events of one run, in the order of the work, and what they come to.

    unsigned  what claims to be a person's answer and is not signed: no part of the run
    """

    def __init__(self, events: Iterable[Event] = (), unsigned: Iterable[Event] = ()) -> None:
        self.events = tuple(events)
        self.unsigned = tuple(unsigned)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Run:
        """Return the run of these events; a run is returned as it is."""
        return events if isinstance(events, Run) else cls(events)

    @classmethod
    def _made_of(cls, turns: Mapping[int, Turn], unsigned: Iterable[Event], remembered: dict[Any, Any]) -> Run:
        made = cls((event for turn in turns.values() for event in turn.events), unsigned)
        made.__dict__ |= {"turns": turns, "remembered": remembered}
        return made

    def with_event(self, *more: Event, unsigned: Iterable[Event] | None = None) -> Run:
        """Return the run with these events as well. What it knows of turns that stay as they are is kept."""
        new: dict[int, list[Event]] = {}
        for event in more:
            new.setdefault(event.turn, []).append(event)
        turns = dict(self.turns)
        for number, events in new.items():
            before = turns[number].events if number in turns else ()
            turns[number] = Turn(number, sorted((*before, *events), key=order))
        goes_on = self.remembered if min(new, default=LAST_TURN) >= self.newest_turn else {}
        in_order = {number: turns[number] for number in sorted(turns)}
        made = self._made_of(in_order, self.unsigned if unsigned is None else unsigned, goes_on)
        if "as_shown" in self.__dict__ and self.as_shown is not self:
            made.__dict__["as_shown"] = self.as_shown.with_event(*(event.as_shown for event in more))
        return made

    def before(self, turn: int) -> Run:
        """Return the run as it was before ``turn``."""
        return self._made_of({number: one for number, one in self.turns.items() if number < turn}, (), {})

    def only(self, keeps: Callable[[Event], bool]) -> Run:
        """Return the run as if there were only the events that ``keeps`` says."""
        return Run(filter(keeps, self.events))

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
        return {number: Turn(number, events) for number, events in grouped.items()}

    def turn(self, number: int) -> Turn:
        """Return one turn; without events where there is none."""
        return self.turns.get(number) or Turn(number, ())

    @cached_property
    def newest_turn(self) -> int:
        """The newest turn with an entry, its ending apart; 0 before the first."""
        return max((number for number in self.turns if number < LAST_TURN), default=0)

    @cached_property
    def remembered(self) -> dict[Any, Any]:
        """What folds keep of the turns before the newest one, for this run and those that continue it."""
        return {}

    def along(self, after: str | None, name: str, start: ValueT, step: Step[ValueT]) -> ValueT:
        """Fold the conversation up to and with the completion ``after``, and remember the value at each completion.

        ``name`` tells folds apart. Raises ``LookupError`` where a part of the conversation is gone.
        """
        chain: list[tuple[ModelRequested, ModelResponded]] = []
        while after is not None and (name, after) not in self.remembered:
            responded = self.by_seq[after].fact
            if not isinstance(responded, ModelResponded):
                raise LookupError(after)
            requested = asked_with(self, responded)
            chain.append((requested, responded))
            after = requested.after
        value: ValueT = start if after is None else self.remembered[name, after]
        for requested, responded in reversed(chain):
            value = step(value, requested, responded)
            self.remembered.pop((name, requested.after), None)
            self.remembered[name, responded.seq] = value
        return value

    def over_turns(self, name: Hashable, start: ValueT, step: Callable[[ValueT, Turn], ValueT]) -> ValueT:
        """Fold the turns in their order, and remember the value before the newest one; a value is never changed.

        ``name`` tells folds apart.
        """
        after, value = cast(tuple[int, ValueT], self.remembered.get(name, (-1, start)))
        for number, turn in self.turns.items():
            if number <= after:
                continue
            value = step(value, turn)
            if number < self.newest_turn:
                self.remembered[name] = number, value
        return value

    # ── its events ───────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, at: int | slice) -> Event | tuple[Event, ...]:
        return self.events[at]

    def __len__(self) -> int:
        return len(self.events)

    def __eq__(self, other: object) -> bool:
        return self.events == (other.events if isinstance(other, Run) else other)

    __hash__ = None  # type: ignore[assignment]  # an event's body is a dict

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    @property
    def run_id(self) -> str:
        """The run's id. Raises ``LookupError`` where there is no event."""
        return self.events[0].run_id

    @cached_property
    def by_seq(self) -> Mapping[str, Event]:
        """The events by their key."""
        return {event.seq: event for event in self.events}

    def event(self, seq: str) -> Event | None:
        """Return the event under that key; None where there is none."""
        return self.turn(Key.of(seq).turn).by_seq.get(seq)

    @cached_property
    def names(self) -> frozenset[str]:
        """The kinds of events that there are, such as ``call.settled``."""
        return frozenset(name for turn in self.turns.values() for name in turn.by_name)

    def facts(self, kind: type[FactT]) -> tuple[FactT, ...]:
        """Return what the events of one kind say, in their order. Raises ``LogCorrupt``."""
        found = tuple(event.fact for event in self.named(kind))
        return cast(tuple[FactT, ...], found)

    def named(self, *kinds: type[Fact]) -> Iterator[Event]:
        """Yield the events of some kinds, in their order."""
        names = {kind.NAME for kind in kinds}
        for turn in self.turns.values():
            if len(kinds) == 1:
                yield from turn.by_name.get(kinds[0].NAME, ())
            elif not names.isdisjoint(turn.by_name):
                yield from (event for event in turn.events if event.name in names)

    def fact(self, kind: type[FactT], *at: int) -> FactT | None:
        """Return what the event of one kind at that position says; None where there is none."""
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
        """Whether it has an ending on record, also one that cannot be read."""
        return not self.names.isdisjoint((RunEnded.NAME, RunRefused.NAME))

    @cached_property
    def request(self) -> RunRequest:
        """What was asked for, whether it was admitted or not. Raises ``LogCorrupt``."""
        return requested(self)

    @cached_property
    def opening(self) -> Opening:
        """How it was opened, and what was granted to it since. Raises ``LogCorrupt`` if it was not."""
        return opening(self)

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        """What people granted to the agent: the turn, the budget that they added, and what of it was leased."""
        return grants(self)

    @cached_property
    def ending(self) -> RunEnded | RunRefused | None:
        """How it ended; None while it goes on."""
        ended = next((event.fact for event in self.events if event.name in (RunEnded.NAME, RunRefused.NAME)), None)
        assert ended is None or isinstance(ended, RunEnded | RunRefused)
        return ended

    @cached_property
    def outcome(self) -> Outcome | None:
        """The notice of how it ended; None while it goes on. Raises ``LogCorrupt``."""
        return outcome(self)

    @cached_property
    def to_announce(self) -> tuple[tuple[str, RunEscalated], ...]:
        """The escalations that nobody was told of, each with the key that marks it as told."""
        return to_announce(self)

    @cached_property
    def progress(self) -> Progress:
        """Where it stands."""
        return progress(self)

    def timeline(self, unreadable: Mapping[str, str] | None = None, *, run_id: str = "") -> Timeline:
        """Return its whole story, as everybody may see it, to be laid out; also of a log that is cut off or garbled.

        ``unreadable`` says what is wrong with entries of its log that are not among its events, by their key;
        ``run_id`` whose story it is where there is no event. Raises ``ValueError`` where there is none of the three.
        """
        from ballast.timeline import told  # who acts on a run does not pay for it

        return told(self, unreadable or {}, run_id)

    # ── what was decided ─────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def proposals(self) -> Mapping[int, Proposed]:
        """The decision of each turn, by turn."""
        return proposals(self)

    @cached_property
    def calls(self) -> tuple[CallState, ...]:
        """Every proposed call with its outcome, in the order of the work."""
        return calls(self)

    def call(self, turn: int, index: int) -> CallState | None:
        """Return the call at that position; None if nobody proposed it."""
        return next((state for state in self.turn(turn).calls if state.index == index), None)

    @cached_property
    def proposed(self) -> dict[str, object] | None:
        """The newest decision that calls tools and was not carried out, as JSON; None if there is none."""
        return proposed(self)

    @cached_property
    def why_it_stopped(self) -> ExitReason | None:
        """Why the agent was stopped; None if it was not, or goes on since."""
        return why_it_stopped(self)

    def successor(self, of: Planner, *, has_fallback: bool, starts_clean: bool = True) -> Planner:
        """Return the planner that takes over from ``of``; see ``ballast.folds.succession``."""
        return successor(of, self, has_fallback=has_fallback, starts_clean=starts_clean)

    @cached_property
    def stopped_loops(self) -> tuple[StoppedLoop, ...]:
        """The loops that were stopped, in order, and what each would have cost."""
        return saved(self)

    # ── what people said ─────────────────────────────────────────────────────────────────────────────────────

    def approvals(self, turn: int, index: int) -> tuple[ApprovalRound, ...]:
        """Return the rounds of asking people about the call at that position, oldest first."""
        return approval_rounds(self, turn, index)

    def approval_given_up(self, turn: int) -> bool:
        """Say whether a call of that turn waited for an approval in vain, and its tool wants another planner then."""
        return approval_given_up(self, turn)

    def decided_by_operator(self, turn: int) -> bool:
        """Say whether an operator proposed the calls of that turn."""
        return decided_by_operator(self, turn)

    def rejected(self, state: CallState) -> tuple[ToolCall, ...]:
        """Return the call that people rejected, in each form that it had; empty if nobody did."""
        return rejected(self, state)

    def rejected_before(self, at: Position, call: ToolCall, same: Identity = identity) -> Rejection | None:
        """Return the rejection of the same call before ``at``, if that is the last that people said to it."""
        return rejected_before(self, at, call, same)

    def summary(self, reason: str) -> str:
        """Return what a person must know to decide, in a few lines of plain text, untrusted where it quotes."""
        return summary(self, reason)

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def committed(self) -> tuple[CallState, ...]:
        """The writes that happened, or may have happened, in order."""
        return tuple(
            state for state in self.calls if state.effect == "write" and state.status in ("ok", "intended", "unknown")
        )

    @cached_property
    def standing(self) -> Standing:
        """The writes that happened, or may have, and were not undone since; calls are the same by their arguments."""
        return standing(self)

    def earlier(self, at: Position, call: ToolCall, same: Identity = identity) -> CallState | None:
        """Return the call before ``at`` that ``call`` repeats, or None."""
        return earlier(self, at, call, same)

    @cached_property
    def to_undo(self) -> tuple[CallState, ...]:
        """The effects with a recorded undo that nobody undid yet, newest first."""
        return to_undo(self)

    @cached_property
    def frozen(self) -> tuple[CallState, ...]:
        """The effects that stop a rollback: unknown ones, and those that the playbook leaves to a person."""
        return frozen(self)

    @property
    def must_roll_back(self) -> bool:
        """Whether a rollback has something to do, or to stop at."""
        return bool(self.to_undo or self.frozen)

    def effects(self, status: str) -> Effects:
        """Return how the effects of the run ended, if it ends with ``status``."""
        return effects(self, status)

    @property
    def ended_effects(self) -> Effects | None:
        """How the effects ended, by its ending; None if that does not say."""
        return ended_effects(self)

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def cost(self) -> Cost:
        """What it cost: what its log counts, and what an operator says instead."""
        return cost(self)

    @cached_property
    def usage(self) -> Usage:
        """What it has used: turns, calls, tokens, money."""
        return usage(self)

    @cached_property
    def counts(self) -> Counts:
        """What counts against the agent's limits, since a person last handed the run back to it."""
        return counts(self)

    @cached_property
    def moves(self) -> tuple[Moved, ...]:
        """What it moved of the business's own money, in the order of the log."""
        return moves(self)

    @property
    def is_unfinished(self) -> bool:
        """Whether a proposed call has no outcome."""
        return any(not state.ended for state in self.calls)

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def prompt(self) -> Prompt:
        """The conversation up to and with the newest completion; empty before the first."""
        return answered_prompt(self)

    @property
    def unseen(self) -> tuple[Event, ...]:
        """The events that no request on the conversation's chain covered."""
        covered = self.along(self.prompt.after, "covered", _NOTHING, _covered)
        return tuple(event for turn in self.turns.values() for event in turn.events if event.seq not in covered)


_NOTHING: frozenset[str] = frozenset()


def _covered(before: frozenset[str], requested: ModelRequested, _responded: ModelResponded) -> frozenset[str]:
    return before.union(requested.covers)
