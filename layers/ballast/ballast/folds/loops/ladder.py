"""The ladder of a loop: notice, forbid, hand over. A signal's record in the log, and its words for the agent.

``model.responded`` records the signals at its calls. The executor obeys the record, even if the thresholds have
changed since::

    "despair": [{"index": 1, "step": "notice", "kind": "same_call", "count": 2, "same_as": [2, 1], "answer": true}]

``model.requested`` records in the same form the notices about the calls of the previous completion, after their
outcomes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from ballast.folds.loops.signals import Position
from ballast.log.events import LoopSignal, ModelResponded
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.run import Run


class Kind(StrEnum):
    """The kinds of signals."""

    SAME_CALL = "same_call"
    CYCLE = "cycle"
    NEAR_EQUAL = "near_equal"
    SAME_ERROR = "same_error"
    UNCHANGED = "unchanged_result"
    SPIRAL = "write_spiral"
    OTHER_WORDS = "other_words"


class Rung(IntEnum):
    """A rung of the ladder; a higher number includes the lower ones."""

    NONE = 0
    NOTICE = 1
    FORBID = 2
    LOOP = 3


@dataclass(frozen=True)
class Signal:
    """A signal at one call.

    rung     the reaction to the call
    count    ordinal of this occurrence (2: the second time); of a cycle, the lap
    same_as  (turn, index) of the repeated call: with ``answer`` the call whose recorded answer is given again,
             otherwise the first call of the chain
    """

    kind: Kind
    rung: Rung
    count: int
    same_as: Position
    answer: bool = False


#: The counts of the notice and of the ban. Reasons: docs/loops.md.
THRESHOLDS: dict[Kind, tuple[int, int | None]] = {
    Kind.SAME_CALL: (2, 3),
    Kind.CYCLE: (2, 3),
    Kind.NEAR_EQUAL: (2, 4),
    Kind.SAME_ERROR: (3, 4),
    Kind.UNCHANGED: (3, 5),
    Kind.SPIRAL: (4, 7),
    Kind.OTHER_WORDS: (6, None),  # each may say something new
}
#: Calls of a forbidden tool after which the agent hands over. A repeated call counts twice.
_MOST_IGNORED = 2


def rung_of(kind: Kind, count: int) -> Rung:
    """Return the rung of a count of one kind, without regard to earlier notices."""
    notice, forbid = THRESHOLDS[kind]
    if forbid is not None and count >= forbid:
        return Rung.FORBID
    return Rung.NOTICE if count >= notice else Rung.NONE


def rung_of_spiral(count: int, alike: int) -> tuple[Kind, Rung]:
    """Return the kind and the rung of ``count`` writes about the same things, ``alike`` of them in similar words.

    Writes in other words lead to a notice, and never forbid the tool.
    """
    rung = rung_of(Kind.SPIRAL, alike)
    return (Kind.SPIRAL, rung) if rung is not Rung.NONE else (Kind.OTHER_WORDS, rung_of(Kind.OTHER_WORDS, count))


@dataclass(frozen=True)
class _ToolState:
    """One tool: the turns of the notice and of the ban, and the number of calls in spite of the ban.

    lasts, forbidden_lasts  a write does not end the notice, or the ban
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
    """The current rung of each tool. ``loop``: the call at which the agent must hand over, if there is one."""

    _tools: dict[str, _ToolState] = field(default_factory=dict)
    loop: Position | None = None
    _loop_lasts: bool = False

    @property
    def rung(self) -> Rung:
        """The highest rung in force."""
        if self.loop:
            return Rung.LOOP
        return Rung.FORBID if self.forbidden else Rung.NOTICE if self._tools else Rung.NONE

    @property
    def forbidden(self) -> dict[str, Signal]:
        """The forbidden tools, each with the signal that forbade it."""
        return {name: tool.why for name, tool in self._tools.items() if tool.why is not None}

    def climb(self, called: str, turn: int, signal: Signal, *, besides: Collection[str] = (), lasts: bool) -> Signal:
        """Record a signal at a call of the tool ``called``, and return it with the rung that applies.

        besides  other tools that the signal is about
        lasts    no write can end this signal
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
        """Return the signal for which a call of the tool is refused; None if the tool is not forbidden.

        The call counts as ignoring the ban if an earlier turn announced it. ``repeats``: the same call was made before.
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
        """Return an independent copy."""
        return replace(self, _tools=dict(self._tools))

    def written(self) -> None:
        """Keep only notices and bans that a write does not end."""
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
    """Return the signals of one turn, by the index of their calls, in the form of the log."""
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
    """Return the signal that was recorded with the decision for the call at ``at``; None if there is none."""
    turn, index = at
    responded = run.fact(ModelResponded, turn)
    found = next((one for one in responded.loop_signals if one.index == index), None) if responded is not None else None
    if found is None:
        return None
    return Signal(Kind(found.kind), _RUNGS[found.step], found.count, found.same_as, found.answer)


def described(tool: str, signal: Signal) -> str:
    """Return in one sentence what a signal at a call of ``tool`` means."""
    turn, index = signal.same_as
    first, count = f"call {index} of turn {turn}", signal.count
    match signal.kind:
        case Kind.SAME_CALL:
            return f"This is the same call of {tool} as {first}, for the {_nth(count)} time."
        case Kind.CYCLE:
            return f"The same calls have been repeated in the same order since {first}, for the {_nth(count)} time."
        case Kind.NEAR_EQUAL:
            return f"This asks {tool} nearly the same as {first}, for the {_nth(count)} time."
        case Kind.SAME_ERROR:
            return f"{tool} has failed in the same way {count} times in a row, since {first}."
        case Kind.UNCHANGED:
            return f"{tool} has returned the same result for {count} different calls in a row, since {first}."
        case Kind.SPIRAL:
            return f"{tool} writes nearly the same as before, about the same things as {first}, {count} times by now."
        case Kind.OTHER_WORDS:
            return f"{tool} writes about the same things as {first}, in other words or amounts, {count} times by now."


def notice(tool: str, signal: Signal) -> str:
    """Return the notice for the agent, which is sent with the result of a call."""
    said = described(tool, signal)
    if signal.kind is Kind.OTHER_WORDS:
        return f"Notice: {said} Continue if each call says or does something new; otherwise end your turn."
    given = " Nothing was written since, so this is the answer that was recorded then." if signal.answer else ""
    return (
        f"Notice: {said}{given} Repeating it gives nothing new: use what you have, try something "
        f"different, or end your turn. Otherwise {tool} will be forbidden, and then somebody else takes over."
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
