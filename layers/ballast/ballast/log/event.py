"""The envelope of a fact in the log: the run, the key, the time, and the stored body."""

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
    """A fact as it is stored in the log.

    run_id  the run
    seq     its key; see ``Key``
    at      when it was written, ISO 8601 in UTC; never used for ordering
    body    its content, JSON; read it through ``fact``
    """

    run_id: str
    seq: str = Field(pattern=SEQ.pattern)
    at: str
    body: dict[str, Any]
    _shown: dict[str, Any] | None = None
    _stored: tuple[tuple[str, str], ...] = ()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Event:
        """Return a copy with the fields of ``update``."""
        made = super().model_copy(update=update, deep=deep)
        for computed in ("key", "name", "turn", "index", "fact", "digest", "as_shown"):
            vars(made).pop(computed, None)
        return made

    def with_shown(self, shown: dict[str, Any]) -> Event:
        """Return the same event with ``shown`` as the body for everybody; only few may read its ``body``."""
        made = self.model_copy()
        made._shown = shown
        return made

    @property
    def stored(self) -> tuple[tuple[str, str], ...]:
        """Its other attributes in the log, by name: those of indexes, the expiry, a hash of ciphertexts."""
        return self._stored

    def with_stored(self, stored: Mapping[str, str]) -> Event:
        """Return the same event with its other attributes in the log."""
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
        """Its content as a typed fact. Raises ``LogCorrupt``, which names the event, for a garbled body."""
        try:
            return KINDS.get(self.name, Other).read(self.key, self.body)
        except ValidationError as problem:
            raise LogCorrupt(f"{self.run_id} {self.seq}: {complaints(problem)}.") from None
        except ValueError as problem:
            raise LogCorrupt(f"{self.run_id} {self.seq}: {problem}.") from None

    @cached_property
    def turn(self) -> int:
        """Its turn; 0 is the opening, ``LAST_TURN`` the ending."""
        return self.key.turn

    @cached_property
    def name(self) -> str:
        """Subject and step without the numbers, e.g. ``call.settled``."""
        return self.key.name

    @cached_property
    def index(self) -> int:
        """The position within the turn (of a call, or a model attempt); 1 if the key has none."""
        return self.key.index

    @property
    def round(self) -> int:
        """The round of approval, or the attempt in doubt, from 1."""
        return self.key.round

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the key and the masked body: the same for everybody, and useless for guessing a secret."""
        return sha256(f"{self.run_id}\0{self.seq}\0{canonical(self.shown)}")


def facts(events: Iterable[Event], kind: type[FactT]) -> Iterator[FactT]:
    """Yield the facts of one kind, in the order of the events. Raises ``LogCorrupt``."""
    for event in events:
        if event.name == kind.NAME:
            fact = event.fact
            assert isinstance(fact, kind)
            yield fact


#: The fields of the executor's own answer, which it writes if nobody answered. They approve nothing.
_NOBODYS = {"escalation_id", "approve", "by", "comment", "agent_until_ms", "deadline_ms"}


def is_a_persons(name: str, body: Mapping[str, Any]) -> bool:
    """Return whether only a person may write an event of that name with that body. It then needs a signature.

    True for answers to escalations, for approvals and rejections, and for each event that names a person
    as its planner. The body may be garbled, so it is read without validation.
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
