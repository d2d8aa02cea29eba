"""The decisions of a run and their rules: one line a turn, and one for each call that a rule or a person decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ballast.contracts import Planner
from ballast.contracts.timeline import Call, Position, Signal, Timeline, Turn
from ballast.contracts.why import TurnDecision
from ballast.money.amounts import dollars
from ballast.why.approvals import anybody, rounds_told
from ballast.why.attempts import filtered
from ballast.why.causes import LOOPS, RULES, refusal, void
from ballast.why.effects import Names
from ballast.why.words import QUOTED, clock, meaning, named, planner_name, quoted

#: More calls of a turn are counted and not listed.
_MOST = 8


def decisions(
    made: Timeline, ceilings: Mapping[int, str], repeated: frozenset[Position], names: Names
) -> Iterator[TurnDecision]:
    """Yield the decision of each turn.

    ceilings  the limits that ended the agent's part, in words in brackets, by the turn
    repeated  the calls that repeated earlier ones
    """
    refusals: dict[tuple[str, str, str], int] = {}
    for turn in made.turns:
        ruled = {
            call.index: _ruled(
                call,
                (turn.turn, call.index) in repeated,
                refusals.get((call.tool, call.error, call.message)) or refusal(made, turn.turn, call),
                goes_on=made.status in ("waiting", "open"),
            )
            for call in turn.calls
        }
        for call in turn.calls:
            if call.outcome == "refused" and call.message:
                refusals.setdefault((call.tool, call.error, call.message), turn.turn)
        yield TurnDecision(
            turn=turn.turn,
            planner=turn.planner,
            by_agent=turn.by_agent,
            at=turn.at,
            at_ms=turn.at_ms,
            decided=_decided(turn, made, names, ruled),
            rule=_rule(turn, made, ceilings),
            calls=tuple(_calls(turn, names, ruled)),
        )


def _decided(turn: Turn, made: Timeline, names: Names, ruled: Mapping[int, str]) -> str:
    decided = turn.decided
    if decided is None:
        if turn.escalation:
            whom = "the requester" if turn.planner == Planner.REQUESTER else "people"
            return f"{'waits for' if made.status in ('waiting', 'open') else 'asked'} {whom}"
        return "no decision is recorded"
    if decided.kind == "answer":
        return f"answer {quoted(decided.text)}".rstrip()
    if decided.kind == "hand_over":
        to = turn.pivot.to_agent if turn.pivot and turn.pivot.to_agent else ""
        added = f", with ${dollars(decided.leased_microusd)} more" if decided.leased_microusd else ""
        said = f" with {quoted(decided.guidance)}" if decided.guidance and turn.planner == Planner.PERSON else ""
        return f"hand over to {f'the agent {named(to, 80)}' if to else planner_name(decided.to)}{added}{said}"
    alone = len(turn.calls) == 1
    told = [
        f"{names.in_turn(call, alone=alone)}{'' if ruled[call.index] else _undoes(call) + ': ' + call.outcome}"
        for call in turn.calls[:_MOST]
    ]
    more = f" and {len(turn.calls) - _MOST} more" if len(turn.calls) > _MOST else ""
    return f"call {', '.join(told)}{more}" if told else "call tools"


def _undoes(call: Call) -> str:
    return f", the undo of turn {call.undoes[0]}, call {call.undoes[1]}" if call.undoes else ""


def _rule(turn: Turn, made: Timeline, ceilings: Mapping[int, str]) -> str:
    decided = turn.decided
    if turn.escalation:
        why = f"asked because {meaning(turn.escalation.reason)}" if turn.escalation.reason else "asked"
        unanswered = "no answer yet" if made.status in ("waiting", "open") else "nobody answered"
        return f"{why}; {f'answered by {named(turn.escalation.by, 60)}' if turn.escalation.by else unanswered}"
    failed = sum(one.state == "failed" for one in turn.attempts)
    tries = f" after {failed} failed attempt{'' if failed == 1 else 's'}" if failed else ""
    if decided is None:
        if turn.pivot:
            reason = meaning(turn.pivot.reason) or "no reason is recorded"
            return f"the workflow replaced {planner_name(turn.pivot.giver)}: {reason}"
        asked = any(one.state == "open" for one in turn.attempts)
        return f"a model was asked, and no reply is recorded{tries}" if asked else f"nothing is recorded{tries}"
    if decided.kind == "hand_over":
        if decided.breaker:
            return f"the spend breaker, at {named(decided.breaker.mode, 40)}{_by(decided.breaker.by)}"
        if stopped := filtered(turn, decided.reason, QUOTED):
            return stopped
        counted = f" ({failed} failed attempt{'' if failed == 1 else 's'})" if failed else ""
        return f"{meaning(decided.reason) or 'no reason is recorded'}{ceilings.get(turn.turn, '')}{counted}"
    match turn.planner:
        case Planner.AGENT:
            answered = next((one for one in turn.attempts if one.state == "responded"), None)
            if answered and answered.refused_answer:
                return f"its answer was not sent: {quoted('; '.join(answered.refused_answer))}"
            return f"the reply of {named(answered.model, 80) if answered else 'the model'}{tries}"
        case Planner.FALLBACK:
            return f"the script for {named(made.intent, 60) or 'the intent'}"
        case Planner.ROLLBACK:
            return "the recorded undo"
    return f"the decision of {planner_name(turn.planner)}" if turn.planner else "the log does not say whose"


def _by(name: str) -> str:
    return f", set by {named(name, 60)}" if name else ""


def _calls(turn: Turn, names: Names, ruled: Mapping[int, str]) -> Iterator[str]:
    alone = len(turn.calls) == 1
    told = [
        f"{names.in_turn(one, alone=alone)}{_undoes(one)}: {ruled[one.index]}" for one in turn.calls if ruled[one.index]
    ]
    yield from told[:_MOST]
    if len(told) > _MOST:
        yield f"and {len(told) - _MOST} more calls"


def _ruled(call: Call, again: bool, why: str | int, *, goes_on: bool) -> str:
    """Return what a rule or a person decided about the call; "" if it simply acted.

    why      of a refused call: the text, or the turn with the same one
    goes_on  the run has no ending
    """
    said = ""
    message = f": {quoted(call.message)}" if call.message else ""
    asked = call.approvals[-1] if call.approvals else None
    people = rounds_told(call.approvals, goes_on=goes_on)
    if call.outcome == "refused":
        told = isinstance(why, int)
        message = f", for the same reason as in turn {why}" if told else f": {why}" if why else ""
        said = f"refused by {RULES.get(call.error, 'the gate')} ({named(call.error, 60) or 'no error'}){message}"
    elif call.repeats:
        said = f"not executed again: the recorded result of turn {call.repeats[0]}, call {call.repeats[1]}"
    elif call.outcome == "waiting":
        said = "waits for an approval" if goes_on else "waited for an approval, and nobody answered"
        if people:
            said = f"{'waits' if goes_on else 'waited'} for an approval: {people}"
    elif asked and asked.silent:
        said = f"{call.outcome}: nobody answered the request for approval"
        if anybody(call.approvals) or len(call.approvals) > 1:
            said = f"{call.outcome}: {people}"
    elif asked and asked.approve is not None:
        verdict = "approved" if asked.approve else "rejected"
        said = f"{verdict} by {named(asked.by, 60) or 'somebody'}{_at(asked.answered_at)}, then {call.outcome}"
        said += f" (before: {people})" if people else ""
    elif call.outcome == "open":
        said = "no outcome in the log"
    elif call.outcome != "ok":
        said = f"{call.outcome}{message}"
    elif call.doubts:
        tries = f"{len(call.doubts)} attempt{'' if len(call.doubts) == 1 else 's'}"
        said = f"in doubt after {tries} ({quoted(call.doubts[-1].message)}), then ok"
    for one in reversed(call.approvals):
        if one.void:
            said = f"{void(one, 'the call')}; {said or call.outcome}"
    if call.signal and call.outcome != "refused":
        said = f"{said or call.outcome}; {_signal(call.signal)}"
    elif again and not said:
        said = f"{call.outcome}; it is part of the loop"
    return said


def _signal(signal: Signal) -> str:
    """Return the signal in Ballast's words; quoted if the log names a kind or a step that Ballast has not."""
    ours = signal.kind in LOOPS and signal.step in ("notice", "forbid")
    return signal.words if ours else quoted(signal.words)


def _at(at: str) -> str:
    return f" at {clock(at)}" if at else ""
