"""A recorded run, as a replay reads it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ballast.contracts import Planner
from ballast.contracts.task import LAST_TURN
from ballast.log.event import Event, is_a_persons
from ballast.log.events import ModelFailed, ModelRequested, ModelResponded, PlanDecided, RunEnded, RunOpened
from ballast.log.vouching import carries, vouched_keys
from ballast.run import Run


@dataclass(frozen=True)
class RecordedRun:
    """A run's log, in the order of the work, with each event's other attributes (``Event.stored``).

    source  where it comes from, for messages
    """

    run_id: str
    events: Run
    source: str = ""
    _shared: dict[str, object] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, events: Iterable[Event], source: str = "") -> RecordedRun:
        """Return the recorded run of ``events``. Sensitive values stay masked."""
        run = Run([event.as_shown for event in events])
        return cls(run.run_id, run, source)

    @cached_property
    def by_seq(self) -> Mapping[str, Event]:
        """The events by their key."""
        return self.events.by_seq

    @property
    def opened(self) -> RunOpened | None:
        """Its opening; None if it was refused or begins later."""
        return self.events.fact(RunOpened)

    @property
    def ended(self) -> RunEnded | None:
        """Its ending; None if it goes on or was refused."""
        return self.events.fact(RunEnded)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The keys of events that the run's endings vouch for and that the record does not have: it was cut."""
        vouched = [key for one in self.events if carries(one) for key in vouched_keys(one)]
        return tuple(key for key in dict.fromkeys(vouched) if key not in self.by_seq)

    @cached_property
    def beside(self) -> frozenset[str]:
        """The keys of what a second process wrote in a turn that another one's reply decided.

        Attempts that began after the reply, with their failures, and a hand-over: it had read the log before.
        """
        found: set[str] = set()
        for replied in self.events.facts(ModelResponded):
            of_turn, at = self.of_turn(replied.turn), self.by_seq[replied.seq].at
            began = {one.fact.attempt for one in of_turn if isinstance(one.fact, ModelRequested) and one.at > at}
            for one in of_turn:
                match one.fact:
                    case ModelRequested(attempt=attempt) | ModelFailed(attempt=attempt) if attempt in began:
                        found.add(one.seq)
                    case PlanDecided(planner=Planner.AGENT):
                        found.add(one.seq)
        return frozenset(found)

    @cached_property
    def lacks_attributes(self) -> bool:
        """Whether the record has no event's other attributes, as pages of the HTTP API: they are in the evidence."""
        return not any(one.stored for one in self.events)

    def of_turn(self, turn: int) -> tuple[Event, ...]:
        """Return the events of a turn."""
        return self.events.turn(turn).events

    def of_call(self, turn: int, index: int) -> Iterator[Event]:
        """Yield the events of a call."""
        return (one for one in self.of_turn(turn) if one.name.startswith("call.") and one.index == index)

    def where(self, holds: Callable[[Event], bool]) -> Iterator[Event]:
        """Yield the events for which ``holds``."""
        return filter(holds, self.events)


def is_persons(event: Event) -> bool:
    """Whether a person's function wrote the event: it is put in as it is recorded."""
    return is_a_persons(event.name, event.body)


def is_of_the_end(event: Event) -> bool:
    """Whether the event is about the run's ending."""
    return event.turn == LAST_TURN
