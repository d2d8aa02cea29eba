"""How a signal stands in the log, and what is said of it to the agent. Pure.

``model.responded`` records with a decision what is to be done about its calls; the executor obeys that, whatever
the fold's thresholds are by then::

    "despair": [{"index": 1, "step": "notice", "kind": "same_call", "count": 2, "same_as": [2, 1], "answer": true}]

``model.requested`` records in the same form what the agent is told about the calls of the completion that it
comes ``after``, now that their outcomes are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ballast.folds.loops.ladder import Kind, Rung, Sign
from ballast.folds.loops.memory import Position
from ballast.log.events import LoopSignal, ModelResponded

if TYPE_CHECKING:
    from ballast.run import Run

_STEPS = {Rung.NOTICE: "notice", Rung.FORBID: "forbid"}
_RUNGS = {step: rung for rung, step in _STEPS.items()}


def recorded(signs: Mapping[int, Sign]) -> tuple[LoopSignal, ...]:
    """Return the signals of one turn, by the position of their calls, as they are recorded."""
    return tuple(
        LoopSignal(
            index=index,
            step=_STEPS[sign.rung],
            kind=sign.kind.value,
            count=sign.count,
            same_as=sign.same_as,
            answer=sign.answer,
        )
        for index, sign in sorted(signs.items())
    )


def verdict_on(run: Run, at: Position) -> Sign | None:
    """Return what was recorded with the decision about the call at ``at``, if anything."""
    turn, index = at
    responded = run.fact(ModelResponded, turn)
    found = next((one for one in responded.despair if one.index == index), None) if responded is not None else None
    if found is None:
        return None
    return Sign(Kind(found.kind), _RUNGS[found.step], found.count, found.same_as, found.answer)


def seen(tool: str, sign: Sign) -> str:
    """Return in one sentence what was seen of a call of ``tool``."""
    turn, index = sign.same_as
    first = f"call {index} of turn {turn}"
    match sign.kind:
        case Kind.SAME_CALL:
            return f"This is the same call of {tool} as {first}, for the {_nth(sign.count)} time."
        case Kind.CYCLE:
            return f"The same calls go round and round since {first}, for the {_nth(sign.count)} time."
        case Kind.NEAR_EQUAL:
            return f"This asks {tool} nearly the same as {first}, for the {_nth(sign.count)} time."
        case Kind.SAME_ERROR:
            return f"{tool} has failed in the same way {sign.count} times in a row, since {first}."
        case Kind.UNCHANGED:
            return f"{tool} has brought the same result for {sign.count} different calls in a row, since {first}."
        case Kind.SPIRAL:
            return (
                f"{tool} writes nearly the same as before, about the same things as {first}, {sign.count} times by now."
            )
        case Kind.OTHER_WORDS:
            return (
                f"{tool} writes about the same things as {first}, in other words or amounts, {sign.count} times by now."
            )


def notice(tool: str, sign: Sign) -> str:
    """Return what the agent is told beside the result of a call."""
    if sign.kind is Kind.OTHER_WORDS:
        return f"Notice: {seen(tool, sign)} Go on where each says or does something new; otherwise end your turn."
    given = " Nothing was written since, so this is the answer that was recorded then." if sign.answer else ""
    return (
        f"Notice: {seen(tool, sign)}{given} Going on like this brings nothing new: use what you have, try something "
        f"really different, or end your turn. Otherwise {tool} will be forbidden, and then somebody else takes over."
    )


def refusal(tool: str, sign: Sign) -> str:
    """Return why a call of a forbidden tool is refused, and what to do instead."""
    return (
        f"{tool} is forbidden until something is written or a person speaks. {seen(tool, sign)} Use what you have, "
        "another tool, or end your turn. If you call it again, somebody else takes over."
    )


def _nth(count: int) -> str:
    return f"{count}{ {2: 'nd', 3: 'rd'}.get(count, 'th') }"
