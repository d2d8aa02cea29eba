"""The ladder of a loop: notice, forbid, hand over; how a signal is recorded, and what the agent is told of it.

``model.responded`` records with a decision what is to be done about its calls; the executor obeys that, whatever
the fold's thresholds are by then::

    "despair": [{"index": 1, "step": "notice", "kind": "same_call", "count": 2, "same_as": [2, 1], "answer": true}]

``model.requested`` records in the same form what the agent is told about the calls of the completion that it
comes ``after``, now that their outcomes are known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from ballast.folds.loops.signals import Position
from ballast.log.events import LoopSignal, ModelResponded

if TYPE_CHECKING:
    from ballast.run import Run


class Kind(StrEnum):
    """What gives an agent in despair away."""

    SAME_CALL = "same_call"
    CYCLE = "cycle"
    NEAR_EQUAL = "near_equal"
    SAME_ERROR = "same_error"
    UNCHANGED = "unchanged_result"
    SPIRAL = "write_spiral"
    OTHER_WORDS = "other_words"


class Rung(IntEnum):
    """How far down the ladder; a higher one includes the lower ones."""

    NONE = 0
    NOTICE = 1
    FORBID = 2
    LOOP = 3


@dataclass(frozen=True)
class Signal:
    """A signal at one call.

    rung     what is done about the call
    count    the how many-th of its kind it is; of a cycle, which lap
    same_as  (turn, index) of the call that it repeats: one with an answer to give again where
             ``answer`` says so, otherwise the first of the chain
    """

    kind: Kind
    rung: Rung
    count: int
    same_as: Position
    answer: bool = False


#: From which count on the agent is told, and from which on the tool is forbidden. Reasons: docs/loops.md.
THRESHOLDS: dict[Kind, tuple[int, int | None]] = {
    Kind.SAME_CALL: (2, 3),
    Kind.CYCLE: (2, 3),
    Kind.NEAR_EQUAL: (2, 4),
    Kind.SAME_ERROR: (3, 4),
    Kind.UNCHANGED: (3, 5),
    Kind.SPIRAL: (4, 7),
    Kind.OTHER_WORDS: (6, None),  # each may say something new
}
#: A forbidden tool was called again: a call that was made before weighs as much as two new ones.
_MOST_IGNORED = 2


def rung_of(kind: Kind, count: int) -> Rung:
    """Return how far down that many of a kind lead, whatever was said before."""
    notice, forbid = THRESHOLDS[kind]
    if forbid is not None and count >= forbid:
        return Rung.FORBID
    return Rung.NOTICE if count >= notice else Rung.NONE


def rung_of_spiral(count: int, alike: int) -> tuple[Kind, Rung]:
    """Return what ``count`` writes about the same things are, ``alike`` of them in like words, and how far they lead.

    In other words they lead to a notice, and never take the tool away.
    """
    rung = rung_of(Kind.SPIRAL, alike)
    return (Kind.SPIRAL, rung) if rung is not Rung.NONE else (Kind.OTHER_WORDS, rung_of(Kind.OTHER_WORDS, count))


@dataclass(frozen=True)
class _ToolState:
    """Where one tool stands: in which turns the agent was told and the tool forbidden, how often that was ignored.

    What ``lasts`` is not taken back by a write.
    """

    told: int
    lasts: bool
    forbidden: int | None = None
    why: Signal | None = None
    forbidden_lasts: bool = False
    ignored: int = 0
    ignored_turn: int = 0


@dataclass
class Ladder:
    """Who stands where. ``loop`` is the call at which the agent has to hand over, if there is one."""

    _tools: dict[str, _ToolState] = field(default_factory=dict)
    loop: Position | None = None
    _loop_lasts: bool = False

    @property
    def rung(self) -> Rung:
        """The lowest rung that anything stands on."""
        if self.loop:
            return Rung.LOOP
        return Rung.FORBID if self.forbidden else Rung.NOTICE if self._tools else Rung.NONE

    @property
    def forbidden(self) -> dict[str, Signal]:
        """The forbidden tools, and why."""
        return {name: tool.why for name, tool in self._tools.items() if tool.why is not None}

    def climb(self, called: str, turn: int, signal: Signal, *, besides: Collection[str] = (), lasts: bool) -> Signal:
        """Take note of a signal at a call of the tool ``called`` and return it with what is really done.

        ``besides``: other tools that it is about as well. ``lasts``: no write in between can have changed it.
        """
        if signal.rung is Rung.NONE:
            return signal
        for name in {called, *besides}:
            tool = self._tools.get(name, _ToolState(told=turn, lasts=lasts))
            tool = replace(tool, lasts=tool.lasts or lasts)
            if signal.rung >= Rung.FORBID and tool.told < turn and tool.forbidden is None:
                tool = replace(tool, forbidden=turn, why=signal, forbidden_lasts=lasts)
            self._tools[name] = tool
        if self._tools[called].forbidden is not None and signal.rung >= Rung.FORBID:
            return replace(signal, rung=Rung.FORBID, answer=False)
        return replace(signal, rung=Rung.NOTICE)

    def refusal_of(self, name: str, at: Position, *, repeats: bool) -> Signal | None:
        """Return why a call of the tool is refused, or None where it is not forbidden.

        Where an earlier turn said so it counts; ``repeats``: the call was made before.
        """
        tool = self._tools.get(name)
        if tool is None or tool.why is None or tool.forbidden is None:
            return None
        turn = at[0]
        if tool.forbidden < turn and (repeats or tool.ignored_turn < turn):
            ignored = tool.ignored + (_MOST_IGNORED if repeats else 1)
            self._tools[name] = tool = replace(tool, ignored=ignored, ignored_turn=turn)
            if tool.ignored >= _MOST_IGNORED and self.loop is None:
                self.loop, self._loop_lasts = at, tool.forbidden_lasts
        return tool.why

    def forked(self) -> Ladder:
        """Return a copy that goes its own way."""
        return replace(self, _tools=dict(self._tools))

    def written(self) -> None:
        """Something was written: only what no write can have changed still stands."""
        self._tools = {
            name: tool if tool.forbidden_lasts else replace(tool, forbidden=None, why=None, ignored=0)
            for name, tool in self._tools.items()
            if tool.lasts
        }
        if not self._loop_lasts:
            self.loop = None


_STEPS = {Rung.NOTICE: "notice", Rung.FORBID: "forbid"}
_RUNGS = {step: rung for rung, step in _STEPS.items()}


def as_recorded(signals: Mapping[int, Signal]) -> tuple[LoopSignal, ...]:
    """Return the signals of one turn, by the position of their calls, as they are recorded."""
    return tuple(
        LoopSignal(
            index=index,
            step=_STEPS[signal.rung],
            kind=signal.kind.value,
            count=signal.count,
            same_as=signal.same_as,
            answer=signal.answer,
        )
        for index, signal in sorted(signals.items())
    )


def recorded_signal(run: Run, at: Position) -> Signal | None:
    """Return what was recorded with the decision about the call at ``at``, if anything."""
    turn, index = at
    responded = run.fact(ModelResponded, turn)
    found = next((one for one in responded.loop_signals if one.index == index), None) if responded is not None else None
    if found is None:
        return None
    return Signal(Kind(found.kind), _RUNGS[found.step], found.count, found.same_as, found.answer)


def described(tool: str, signal: Signal) -> str:
    """Return in one sentence what was seen of a call of ``tool``."""
    turn, index = signal.same_as
    first = f"call {index} of turn {turn}"
    match signal.kind:
        case Kind.SAME_CALL:
            return f"This is the same call of {tool} as {first}, for the {_nth(signal.count)} time."
        case Kind.CYCLE:
            return f"The same calls go round and round since {first}, for the {_nth(signal.count)} time."
        case Kind.NEAR_EQUAL:
            return f"This asks {tool} nearly the same as {first}, for the {_nth(signal.count)} time."
        case Kind.SAME_ERROR:
            return f"{tool} has failed in the same way {signal.count} times in a row, since {first}."
        case Kind.UNCHANGED:
            return f"{tool} has brought the same result for {signal.count} different calls in a row, since {first}."
        case Kind.SPIRAL:
            return f"{tool} writes nearly the same as before, about the same things as {first}, {signal.count} times by now."
        case Kind.OTHER_WORDS:
            return f"{tool} writes about the same things as {first}, in other words or amounts, {signal.count} times by now."


def notice(tool: str, signal: Signal) -> str:
    """Return what the agent is told beside the result of a call."""
    if signal.kind is Kind.OTHER_WORDS:
        return (
            f"Notice: {described(tool, signal)} Go on where each says or does something new; otherwise end your turn."
        )
    said = described(tool, signal)
    given = " Nothing was written since, so this is the answer that was recorded then." if signal.answer else ""
    return (
        f"Notice: {said}{given} Going on like this brings nothing new: use what you have, try something "
        f"really different, or end your turn. Otherwise {tool} will be forbidden, and then somebody else takes over."
    )


def refusal(tool: str, signal: Signal) -> str:
    """Return why a call of a forbidden tool is refused, and what to do instead."""
    said = described(tool, signal)
    return (
        f"{tool} is forbidden until something is written or a person speaks. {said} Use what you have, "
        "another tool, or end your turn. If you call it again, somebody else takes over."
    )


def _nth(count: int) -> str:
    return f"{count}{ {2: 'nd', 3: 'rd'}.get(count, 'th') }"
