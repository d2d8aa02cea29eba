"""The ladder: notice, forbid, hand over. From counts to what is done about them, a rung a turn."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from ballast.folds.loops.memory import Position


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
class Sign:
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
_DEFIANCE = 2


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
class _Standing:
    """Where one tool stands: in which turns the agent was told and the tool forbidden, how often that was ignored.

    What ``lasts`` is not taken back by a write.
    """

    told: int
    lasts: bool
    forbidden: int | None = None
    why: Sign | None = None
    forbidden_lasts: bool = False
    defied: int = 0
    defied_turn: int = 0


@dataclass
class Ladder:
    """Who stands where. ``loop`` is the call at which the agent has to hand over, if there is one."""

    _tools: dict[str, _Standing] = field(default_factory=dict)
    loop: Position | None = None
    _loop_lasts: bool = False

    @property
    def rung(self) -> Rung:
        """The lowest rung that anything stands on."""
        if self.loop:
            return Rung.LOOP
        return Rung.FORBID if self.forbidden else Rung.NOTICE if self._tools else Rung.NONE

    @property
    def forbidden(self) -> dict[str, Sign]:
        """The forbidden tools, and why."""
        return {name: tool.why for name, tool in self._tools.items() if tool.why is not None}

    def climb(self, called: str, turn: int, sign: Sign, *, besides: Collection[str] = (), lasts: bool) -> Sign:
        """Take note of a signal at a call of the tool ``called`` and return it with what is really done.

        ``besides``: other tools that it is about as well. ``lasts``: no write in between can have changed it.
        """
        if sign.rung is Rung.NONE:
            return sign
        for name in {called, *besides}:
            tool = self._tools.get(name, _Standing(told=turn, lasts=lasts))
            tool = replace(tool, lasts=tool.lasts or lasts)
            if sign.rung >= Rung.FORBID and tool.told < turn and tool.forbidden is None:
                tool = replace(tool, forbidden=turn, why=sign, forbidden_lasts=lasts)
            self._tools[name] = tool
        if self._tools[called].forbidden is not None and sign.rung >= Rung.FORBID:
            return replace(sign, rung=Rung.FORBID, answer=False)
        return replace(sign, rung=Rung.NOTICE)

    def defy(self, name: str, at: Position, *, repeats: bool) -> Sign | None:
        """Return why a call of the tool is refused, or None where it is not forbidden.

        Where an earlier turn said so it counts; ``repeats``: the call was made before.
        """
        tool = self._tools.get(name)
        if tool is None or tool.why is None or tool.forbidden is None:
            return None
        turn = at[0]
        if tool.forbidden < turn and (repeats or tool.defied_turn < turn):
            defied = tool.defied + (_DEFIANCE if repeats else 1)
            self._tools[name] = tool = replace(tool, defied=defied, defied_turn=turn)
            if tool.defied >= _DEFIANCE and self.loop is None:
                self.loop, self._loop_lasts = at, tool.forbidden_lasts
        return tool.why

    def forked(self) -> Ladder:
        """Return a copy that goes its own way."""
        return replace(self, _tools=dict(self._tools))

    def written(self) -> None:
        """Something was written: only what no write can have changed still stands."""
        self._tools = {
            name: tool if tool.forbidden_lasts else replace(tool, forbidden=None, why=None, defied=0)
            for name, tool in self._tools.items()
            if tool.lasts
        }
        if not self._loop_lasts:
            self.loop = None
