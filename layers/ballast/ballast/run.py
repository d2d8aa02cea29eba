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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ballast.contracts import Effects, ExitReason, Planner, RunRequest, ToolCall
from ballast.contracts.notice import Outcome, RunEscalated
from ballast.folds.approvals import ApprovalRound, approval_given_up, approval_rounds, decided_by_operator
from ballast.folds.calls import CallState, Proposed, calls, proposals
from ballast.folds.conversation import Prompt, answered_prompt
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
from ballast.folds.usage import Usage, usage
from ballast.log.event import Event, facts, order
from ballast.log.events import Fact, RunEnded, RunOpened, RunRefused

if TYPE_CHECKING:
    from ballast.contracts.timeline import Timeline

FactT = TypeVar("FactT", bound=Fact)
Position = tuple[int, int]


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

    def with_event(self, *more: Event) -> Run:
        """Return the run with these events as well."""
        return Run(sorted((*self.events, *more), key=order), self.unsigned)

    def before(self, turn: int) -> Run:
        """Return the run as it was before ``turn``."""
        return Run(event for event in self.events if event.turn < turn)

    def only(self, keeps: Callable[[Event], bool]) -> Run:
        """Return the run as if there were only the events that ``keeps`` says."""
        return Run(filter(keeps, self.events))

    @cached_property
    def as_shown(self) -> Run:
        """The run as everybody may see it: sensitive values masked."""
        return Run(event.as_shown for event in self.events)

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
        return isinstance(other, Run) and self.events == other.events

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

    @cached_property
    def names(self) -> frozenset[str]:
        """The kinds of events that there are, such as ``call.settled``."""
        return frozenset(event.name for event in self.events)

    def facts(self, kind: type[FactT]) -> tuple[FactT, ...]:
        """Return what the events of one kind say, in their order. Raises ``LogCorrupt``."""
        if kind.NAME not in self.names:
            return ()
        if kind not in self._facts:
            self._facts[kind] = tuple(facts(self.events, kind))
        return self._facts[kind]

    @cached_property
    def _facts(self) -> dict[type[Fact], tuple[Any, ...]]:
        return {}

    def fact(self, kind: type[FactT], *at: int) -> FactT | None:
        """Return what the event of one kind at that position says; None where there is none."""
        found = self.by_seq.get(kind.key(*at))
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
        return self._calls_by_position.get((turn, index))

    @cached_property
    def _calls_by_position(self) -> Mapping[Position, CallState]:
        return {(state.turn, state.index): state for state in self.calls}

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
        covered = set(self.prompt.covers)
        return tuple(event for event in self.events if event.seq not in covered)
