"""The effects of a run: its writes, each undone or standing, and names that tell its calls apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ballast.contracts import Planner
from ballast.contracts.timeline import Call, Position, SettledMove, Timeline
from ballast.contracts.why import Did
from ballast.values import dataclass
from ballast.why.words import flat, named, plain, quoted, tool

#: Arguments that are told of one call, and their characters.
_TOLD, _CHARS = 3, 48
#: A string or a number as JSON that closes no quotation marks: what JSON escapes is seen.
_PLAIN = re.compile(r'"(?:[^"\'`\s]| (?! ))*"|-?[0-9.]+')
#: More writes are counted and not listed.
_MOST = 40


class Names:
    """Names of the calls of a run. Calls of one tool differ in turn and index, and in the arguments that are told."""

    def __init__(self, made: Timeline) -> None:
        of_tool: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for turn in made.turns:
            for call in turn.calls:
                of_tool[call.tool].append(call.arguments if isinstance(call.arguments, Mapping) else {})
        self._apart = {name: _apart(calls) for name, calls in of_tool.items()}
        self._alike = {name: _alike(calls) for name, calls in of_tool.items()}

    def __call__(self, turn: int, call: Call) -> str:
        """Return ``refund_order (turn 1, call 1: order_id O-1)``."""
        told = self._told(call)
        return f"{tool(call)} (turn {turn}, call {call.index}{f': {told}' if told else ''})"

    def short(self, turn: int, call: Call) -> str:
        """Return ``refund_order (turn 1, call 1)``, where the report has told its arguments before."""
        return f"{tool(call)} (turn {turn}, call {call.index})"

    def in_turn(self, call: Call, *, alone: bool) -> str:
        """Return the name in a line of its turn: ``refund_order (order_id O-1)``, with its index if not ``alone``."""
        told = self._told(call)
        parts = [*([] if alone else [f"call {call.index}"]), *([told] if told else [])]
        return f"{tool(call)} ({': '.join(parts)})" if parts else tool(call)

    def _told(self, call: Call) -> str:
        return arguments(call, self._apart.get(call.tool, ()), self._alike.get(call.tool, {}))


def _apart(calls: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of the arguments in which the calls differ."""
    if len(calls) < 2:
        return ()
    names = dict.fromkeys(str(name) for one in calls for name in one)
    return tuple(name for name in names if len({_exact(one.get(name)) for one in calls}) > 1)


def _alike(calls: list[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Return, by the arguments' names, the values in brief that stand for several values."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in calls:
        for name, value in one.items():
            found[str(name)][shown(value)].add(_exact(value))
    return {name: frozenset(brief for brief, of in known.items() if len(of) > 1) for name, known in found.items()}


def _exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _told_apart(value: Any) -> str:
    """Return a value whose brief form stands for others too: as JSON if that is short and plain, else with a mark."""
    exact = _exact(value)
    if len(exact) <= _CHARS and _PLAIN.fullmatch(exact):
        return exact
    mark = hashlib.sha256(exact.encode()).hexdigest()[:6]
    return f"{shown(value)} ({len(exact):,} characters, sha256 {mark})"


def arguments(
    call: Call, names: tuple[str, ...] | None = None, alike: Mapping[str, frozenset[str]] = MappingProxyType({})
) -> str:
    """Return some arguments of the call in brief: ``shipment_id S-1001, dock D1``; ``names``: only these.

    alike  by the arguments' names, the values in brief that stand for several values: these are told apart
    """
    found = call.arguments if isinstance(call.arguments, Mapping) else {}
    told = [(name, value) for name, value in found.items() if names is None or name in names]
    more = f", and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    words = [
        f"{shown(str(name))} {_told_apart(value) if brief in alike.get(str(name), ()) else brief}"
        for name, value in told[:_TOLD]
        for brief in (shown(value),)
    ]
    return ", ".join(words) + more


def inside(arguments: Any, path: str) -> Any:
    """Return the value at a path such as ``lines.0.sku``; None if it is not there."""
    value = arguments
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def shown(value: Any) -> str:
    """Return an argument's value in brief, quoted if it is no name or number."""
    return named(plain(value), _CHARS) or '""'


def did(made: Timeline) -> Iterator[Did]:
    """Yield each write that happened or may have happened, in order; and how many more there are."""
    undoing: dict[Position, list[tuple[int, Call]]] = defaultdict(list)
    for turn in made.turns:
        for call in turn.calls:
            if call.undoes:
                undoing[call.undoes].append((turn.turn, call))
    settled = found_out(made)
    unknown = {(turn, call.index) for turn, call in unknown_effects(made)}
    happened = _found_to_have_happened(made)
    left = {(turn, call.index) for turn, call in left_standing(made)}
    kept = {(turn, call.index) for turn, call in kept_in_rollback(made)}
    undone_by = _Undos(undoing, happened, settled.keys(), left, kept)
    found = [
        _did(turn.turn, call, undone_by, unknown=at in unknown, found=at in happened)
        for turn in made.turns
        for call in turn.calls
        for at in ((turn.turn, call.index),)
        if not call.undoes
        and not call.repeats
        and (at in unknown or at in happened or (_acts(call) and at not in settled))
    ]
    yield from found[:_MOST]
    if len(found) > _MOST:
        more = found[_MOST:]
        standing = sum(one.state != "undone" for one in more)
        words = f"{len(more):,} more writes, {standing:,} of them not undone: see its trace"
        yield Did(turn=more[0].turn, index=more[0].index, tool="", state="more", words=words)


def _acts(call: Call) -> bool:
    return call.effect == "write" and call.outcome in ("ok", "open")


@dataclass(frozen=True)
class _Undos:
    """The calls that undo each write; of calls in general: those that operators found to have happened, or looked up.

    left  the writes that were left standing
    kept  the writes that a rollback left as they were
    """

    of: Mapping[Position, list[tuple[int, Call]]]
    happened: Collection[Position]
    settled: Collection[Position]
    left: Collection[Position]
    kept: Collection[Position]


def _did(turn: int, call: Call, undos: _Undos, *, unknown: bool, found: bool) -> Did:
    undone_by, happened, settled = undos.of.get((turn, call.index), []), undos.happened, undos.settled
    left = (turn, call.index) in undos.left
    told = arguments(call)
    name = f"{tool(call)} (turn {turn}, call {call.index}{f': {told}' if told else ''})"
    worked = next((one for one in undone_by if one[1].outcome == "ok" or (one[0], one[1].index) in happened), None)
    state, words = "stands", "it happened, and it stands"
    if unknown:
        state, words = "unknown", "nobody knows whether it happened"
    elif found:
        words = "it happened, as an operator found out, and it stands"
    elif call.outcome == "open":
        state, words = "open", "it is under way: no outcome is recorded yet"
    if left and not undone_by:
        words += f"; {_not_tried(call)}"
    elif (turn, call.index) in undos.kept:
        words += f", also after the rollback; {_not_tried(call)}"
    if worked is not None:
        state, words = "undone", f"undone by {tool(worked[1])} (turn {worked[0]}, call {worked[1].index})"
    elif undone_by:
        at, last = undone_by[-1]
        why = f": {quoted(last.message)}" if last.message else ""
        learnt = last.outcome in ("unknown", "open") and (at, last.index) in settled
        if last.outcome == "unknown" and state == "stands" and not learnt:
            state, words = "unknown", "it happened"
        how = {"failed": "failed", "open": "has no outcome", "unknown": "may or may not have happened"}.get(
            last.outcome, f"was {last.outcome}"
        )
        how = "did not happen, as an operator found out" if learnt else how
        words = f"{words}; its undo, {tool(last)} (turn {at}, call {last.index}), {how}{why}"
    return Did(turn=turn, index=call.index, tool=flat(call.tool, 80), state=state, words=f"{name}: {words}")


def _not_tried(call: Call) -> str:
    """Return why nothing undid a write, by its tool's declaration."""
    if call.when_rolled_back == "keep":
        return KEEPS
    return f"its undo, {named(call.undo.tool) or 'a call'}, was not tried" if call.undo else "it has no undo"


#: Why a rollback leaves a write.
KEEPS = "its tool keeps it in a rollback (`on_rollback: keep`)"


def kept_in_rollback(made: Timeline) -> list[tuple[int, Call]]:
    """Return the writes that stand after a rollback because their tools keep them, if the run has an answer.

    Nobody has to decide about them. Where the run was cut off instead, they are among those that were left standing.
    """
    rolled_back = max((turn.turn for turn in made.turns if turn.planner == Planner.ROLLBACK), default=0)
    left = {(turn, call.index) for turn, call in left_standing(made)}
    return [
        (turn, call)
        for turn, call in standing(made)
        if turn < rolled_back and call.when_rolled_back == "keep" and (turn, call.index) not in left
    ]


def undo_of(made: Timeline, turn: int, call: Call) -> str:
    """Return what was done to undo a write that stands."""
    tries = [one for later in made.turns for one in later.calls if one.undoes == (turn, call.index)]
    if not tries:
        return _not_tried(call)
    return f"its undo, {tool(tries[-1])}, {'failed' if tries[-1].outcome == 'failed' else 'did not succeed'}"


def found_out(made: Timeline) -> dict[Position, SettledMove]:
    """Return what operators found out about calls of unknown effect, by call."""
    return {(one.turn, one.index): one for one in made.settled_moves}


def unknown_effects(made: Timeline) -> Iterator[tuple[int, Call]]:
    """Return the writes of which nobody knows whether they happened, with their turns."""
    found = found_out(made)
    return ((turn, call) for turn, call in unrecorded_effects(made) if (turn, call.index) not in found)


def unrecorded_effects(made: Timeline) -> Iterator[tuple[int, Call]]:
    """Yield the writes whose outcome the workflow never learned, with their turns; people may have found it out.

    A write without an outcome counts once the run has gone on, waits or has ended without it.
    """
    last = made.turns[-1].turn if made.turns else 0
    for turn in made.turns:
        for call in turn.calls:
            if call.effect == "read" or call.repeats:
                continue
            begun = call.outcome == "open" and call.effect == "write"
            over = made.status not in ("open",) or turn.turn < last
            if call.outcome == "unknown" or (begun and (over or call.doubts)):
                yield turn.turn, call


def _found_to_have_happened(made: Timeline) -> set[Position]:
    happened = {at for at, one in found_out(made).items() if one.happened}
    return {(turn, call.index) for turn, call in unrecorded_effects(made)} & happened


def standing(made: Timeline) -> Iterator[tuple[int, Call]]:
    """Yield the writes that happened and were not undone, with their turns."""
    happened = _found_to_have_happened(made)
    undone = {
        call.undoes
        for turn in made.turns
        for call in turn.calls
        if call.undoes and (call.outcome == "ok" or (turn.turn, call.index) in happened)
    }
    for turn in made.turns:
        for call in turn.calls:
            known = call.outcome == "ok" or (turn.turn, call.index) in happened
            acted = call.effect == "write" and known and not call.repeats
            if acted and not call.undoes and (turn.turn, call.index) not in undone:
                yield turn.turn, call


def left_standing(made: Timeline) -> list[tuple[int, Call]]:
    """Return the writes that stand although the run has no answer, or a rollback could not undo them."""
    short = any(turn.pivot and turn.pivot.reason in ("rollback_incomplete", "effect_frozen") for turn in made.turns)
    if not short and made.status not in ("unanswered", "failed", "timed_out", "aborted"):
        return []
    doubted = {call.undoes for _, call in unknown_effects(made) if call.undoes}  # whether these stand, nobody knows
    return [(turn, call) for turn, call in standing(made) if (turn, call.index) not in doubted]


def answered_by_a_person(made: Timeline) -> str:
    """Return who answered with which words, for a sentence; "" if no person did."""
    for turn in reversed(made.turns):
        decided = turn.decided
        if turn.planner == Planner.PERSON and decided is not None and decided.kind == "answer":
            who = named(turn.escalation.by, 60) if turn.escalation and turn.escalation.by else "a person"
            return f"{who} answered the caller: {quoted(decided.text) or 'nothing'}"
    return ""
