"""The envelope in which the log keeps a fact: the run, the key, the time, and the body as it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from ballast.contracts.decision import Planner
from ballast.contracts.wire import Wire, canonical, complaints, sha256
from ballast.errors import LogCorrupt
from ballast.log.events import KINDS, Fact, Other
from ballast.log.keys import SEQ, Key

#: Errors of reading a garbled event. Every writer of the log can put any item there.
GARBLED = (LogCorrupt, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
FactT = TypeVar("FactT", bound=Fact)


class Event(Wire):
    """A fact as the log keeps it.

    run_id  the run
    seq     its key; see ``Key``
    at      ISO 8601 UTC time at which it was written; never used for ordering
    body    its content, JSON; read it through ``fact``
    """

    run_id: str
    seq: str = Field(pattern=SEQ.pattern)
    at: str
    body: dict[str, Any]
    _shown: dict[str, Any] | None = None
    _stored: tuple[tuple[str, str], ...] = ()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Event:
        """Return a copy, with other fields where ``update`` has some."""
        made = super().model_copy(update=update, deep=deep)
        for computed in ("key", "name", "turn", "index", "fact", "digest", "as_shown"):
            vars(made).pop(computed, None)
        return made

    def with_shown(self, shown: dict[str, Any]) -> Event:
        """Return the same event, of which everybody may see ``shown``, and whose ``body`` few may."""
        made = self.model_copy()
        made._shown = shown
        return made

    @property
    def stored(self) -> tuple[tuple[str, str], ...]:
        """What the log keeps beside ``body``, by name: the attributes of indexes, the expiry, a hash of ciphertexts."""
        return self._stored

    def with_stored(self, stored: Mapping[str, str]) -> Event:
        """Return the same event, which knows what the log keeps beside its body."""
        made = self.model_copy()
        made._stored = tuple(sorted(stored.items()))
        return made

    @property
    def shown(self) -> dict[str, Any]:
        """The body as everybody may see it: sensitive values masked."""
        return self.body if self._shown is None else self._shown

    @cached_property
    def as_shown(self) -> Event:
        """The event as everybody may see it."""
        return self if self._shown is None else self.model_copy(update={"body": self._shown})

    @cached_property
    def key(self) -> Key:
        """The key in its parts."""
        return Key.of(self.seq)

    @cached_property
    def fact(self) -> Fact:
        """What it says. Raises ``LogCorrupt`` that names the event where its body is not as Ballast writes it."""
        try:
            return KINDS.get(self.name, Other).read(self.key, self.body)
        except ValidationError as problem:
            raise LogCorrupt(f"{self.run_id} {self.seq}: {complaints(problem)}.") from None
        except ValueError as problem:
            raise LogCorrupt(f"{self.run_id} {self.seq}: {problem}.") from None

    @cached_property
    def turn(self) -> int:
        """The turn that it belongs to; 0 is the opening, ``LAST_TURN`` the ending."""
        return self.key.turn

    @cached_property
    def name(self) -> str:
        """Subject and step without the numbers, e.g. ``call.settled``."""
        return self.key.name

    @cached_property
    def index(self) -> int:
        """The position within the turn (of a call, or a model attempt); 1 where the key has none."""
        return self.key.index

    @property
    def round(self) -> int:
        """Which asking for an approval, or which attempt in doubt, it belongs to, from 1."""
        return self.key.round

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the key and the body as it is shown: one for everybody, and no help in guessing a secret."""
        return sha256(f"{self.run_id}\0{self.seq}\0{canonical(self.shown)}")


def facts(events: Iterable[Event], kind: type[FactT]) -> Iterator[FactT]:
    """Yield what the events of one kind say, in their order. Raises ``LogCorrupt``."""
    for event in events:
        if event.name == kind.NAME:
            fact = event.fact
            assert isinstance(fact, kind)
            yield fact


#: What the executor writes where nobody answered: it says nothing, and lets nothing happen.
_NOBODYS = {"escalation_id", "approve", "by", "comment", "agent_until_ms", "deadline_ms"}


def is_a_persons(name: str, body: Mapping[str, Any]) -> bool:
    """Say whether only a person may make an event of that name with that body: it counts only with a signature.

    Answers to escalations and questions, approvals and rejections; and whatever claims a person as its planner. It is
    asked of bodies that may be garbled, so it reads them as they are.
    """
    if name in ("escalation.answered", "call.approval_given"):
        return True
    if name == "call.approval_answered":
        nobodys = body.get("approve", "") is None and body.get("by") is None and not body.get("comment")
        return not nobodys or not set(body) <= _NOBODYS
    return name == "plan.decided" and body.get("planner") not in (Planner.AGENT, Planner.FALLBACK, Planner.ROLLBACK)


def order(event: Event) -> tuple[int, int, int, int, int, int, int, str]:
    """Return the sort key that puts a run's events into the order of the work."""
    return event.key.place
