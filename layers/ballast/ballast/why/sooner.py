"""Limits and rules that would have stopped a run sooner, as far as its log alone proves it.

::

    agent's turns   1  2  3 │ 4  5  6  7 ── stopped
                    useful  │ brought nothing
                            └ a limit that just allows what came before stops the agent here

A limit is compared as the agent compares it, with the run's own counts. It would have changed nothing before that
turn, since no model sees its limits. Two answers are bounds: money is reserved before it is spent, so a cost limit may
stop the agent in an earlier turn; and the last turn that a run may have writes nothing to the provider's cache, so it
may be cheaper than recorded. What the next planner would have done then is in no log. Whoever plays runs again can
answer more: it implements ``Sooner`` (``localcloud.replay.sooner``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from ballast.contracts import Planner
from ballast.contracts.timeline import Position, Timeline, Turn
from ballast.contracts.why import Stop
from ballast.folds.usage import Counts
from ballast.log.event import GARBLED
from ballast.money.amounts import dollars
from ballast.run import Run
from ballast.why.ceilings import limit_of
from ballast.why.money import CHAINS, laps

#: The beginning of each note on answers that only the log gave.
LOG_ALONE = "From the log alone."
FROM_LOG = f"{LOG_ALONE} `ballast why` on the command line plays the run again with each change."
#: What is worth telling saves at least this part of the run's cost: a half.
_MUCH = 2


class Stops(NamedTuple):
    """What would have stopped a run sooner; ``note`` says how that is known.

    failed  the run should have been played again and could not be: ``note`` says why, whatever was found
    """

    found: Sequence[Stop] = ()
    note: str = ""
    failed: bool = False


class Sooner(Protocol):
    """Says what would have stopped a run sooner."""

    def __call__(self, run: Run, made: Timeline) -> Stops:
        """Return the changes that would have stopped ``run``, whose timeline is ``made``."""
        ...


def from_log(run: Run, made: Timeline) -> Stops:
    """Return the answers that need only the log: limits, and the first notice of a loop. A ``Sooner``."""
    idle = _brought_nothing(made, laps(made))
    if not idle or made.status == "open":  # what goes on may still bring something
        return Stops()
    try:
        found = (*_limits(run, made, idle), *_first_notice(made, idle))
    except GARBLED:  # a log that does not add up proves nothing
        return Stops()
    saving = sorted((one for one in found if one.saved_microusd > 0), key=lambda one: -one.saved_microusd)
    return Stops(saving, FROM_LOG if saving else "")


def is_worth_it(stop: Stop, made: Timeline) -> bool:
    """Whether a report tells the change: a write would not have been, or much of the cost would have been saved."""
    writes = any(
        call.effect == "write" and call.outcome in ("ok", "unknown") and not call.repeats and not call.undoes
        for turn in made.turns
        if turn.planner == Planner.AGENT and turn.turn >= stop.turn
        for call in turn.calls
    )
    cost = made.spent_microusd + made.reserved_microusd
    return writes or _MUCH * stop.saved_microusd >= cost


def is_usable(stop: Stop, made: Timeline, repeated: frozenset[Position]) -> bool:
    """Whether somebody could set the change: a limit has to leave the agent a useful act, and a reply that read it.

    A limit of turns, calls, money or time that stopped the agent came too soon: a lower one is no advice.
    """
    name, _, value = stop.change.partition("=")
    limit = name.removeprefix("limits.")
    if limit == name:
        return True  # a rule
    stopped = {limit_of(one.pivot.reason) for one in made.turns if one.pivot and one.pivot.giver == Planner.AGENT}
    if limit in stopped or (limit in _BUDGETS and stopped.intersection(_BUDGETS)):
        return False
    if limit in ("turns", "tool_calls") and value in ("0", "1"):
        return False  # no agent can look something up and act on it
    signals = [call.signal for turn in made.turns for call in turn.calls if call.signal]
    begin = {one.first for one in signals if one.first and one.kind in CHAINS}
    first = next((turn.turn for turn in made.turns if _acts(turn, repeated | begin)), None)
    newest_reply = stop.turn if limit in _WITH_THE_REPLY else stop.turn - 1
    return first is not None and first < newest_reply


#: Limits of all that an agent does; the others are of what it does wrong.
_BUDGETS = (
    "turns",
    "tool_calls",
    "calls_per_tool",
    "tokens_per_run",
    "input_tokens_per_turn",
    "cost_microusd",
    "deadline_s",
)
#: Limits that are compared with a reply, which the agent has read the results for.
_WITH_THE_REPLY = ("tool_calls", "calls_per_tool", "repeated_calls")


def _acts(turn: Turn, in_loops: frozenset[Position]) -> bool:
    """Whether a call of the turn brought something else than a loop's laps, its first one among them."""
    return turn.planner == Planner.AGENT and any(
        call.outcome in ("ok", "unknown", "waiting") and (turn.turn, call.index) not in in_loops for call in turn.calls
    )


def _brought_nothing(made: Timeline, repeated: frozenset[Position]) -> Sequence[Turn]:
    """Return the agent's last turns, from the first one on after which nothing new came of any."""
    idle: list[Turn] = []
    for turn in reversed(made.turns):
        if turn.planner != Planner.AGENT:
            if idle or _is_handed_back(turn):
                break  # what people said counts anew
            continue
        if not any(one.state == "responded" for one in turn.attempts):
            continue  # the agent was stopped here, or its model failed
        if _is_useful(turn, repeated):
            break
        idle.append(turn)
    return idle[::-1]


def _is_handed_back(turn: Turn) -> bool:
    """Whether people let the agent go on. Nobody did where the run still waits, or where a person answered it."""
    if turn.planner not in (Planner.PERSON, Planner.REQUESTER):
        return False
    return turn.decided.kind == "hand_over" if turn.decided else bool(turn.escalation and turn.escalation.by)


def _is_useful(turn: Turn, repeated: frozenset[Position]) -> bool:
    decided = turn.decided
    if decided is not None and decided.kind == "answer":
        return True
    if decided is not None and decided.kind == "hand_over" and decided.to in (Planner.REQUESTER, Planner.AGENT):
        return True
    return any(
        call.outcome not in ("refused", "failed", "denied") and (turn.turn, call.index) not in repeated
        for call in turn.calls
    )


def _limits(run: Run, made: Timeline, idle: Sequence[Turn]) -> Iterator[Stop]:
    limits, first = run.opening.limits, idle[0]
    before = run.before(first.turn)
    allowed = before.counts
    if 0 < allowed.turns < limits.turns:
        written = _writes_to_the_cache(made, before=first.turn)
        yield stop_in(made, f"limits.turns={allowed.turns}", first.turn, first.turn, at_least=written)
    refused = max(1, allowed.refused_calls)  # a limit of 0 lets no model correct itself
    for turn in idle:
        if run.before(turn.turn).counts.refused_calls > refused < limits.refused_calls:
            yield stop_in(made, f"limits.refused_calls={refused}", turn.turn, turn.turn)
            break
    for name, count in (("tool_calls", _tool_calls), ("repeated_calls", _repeated_calls)):
        value = count(allowed)
        for turn in idle if value or name != "tool_calls" else ():
            # Compared with what a reply proposes: the turn's own reply is paid for.
            if count(run.before(turn.turn + 1).counts) > value < getattr(limits, name):
                yield stop_in(made, f"limits.{name}={value}", turn.turn, turn.turn + 1)
                break
    spent = before.usage.charged_microusd
    if 0 < spent < run.opening.cost_ceiling_microusd:
        yield stop_in(made, f"limits.cost_microusd={spent}", first.turn, first.turn, at_latest=True, at_least=True)


def _tool_calls(counts: Counts) -> int:
    return counts.tool_calls


def _repeated_calls(counts: Counts) -> int:
    return counts.repeated_calls


def _first_notice(made: Timeline, idle: Sequence[Turn]) -> Iterator[Stop]:
    told = next((turn for turn in made.turns if any(call.signal for call in turn.calls)), None)
    if told is not None and any(turn.turn > told.turn for turn in idle):
        yield stop_in(made, "a hand-over at the first notice of the loop", told.turn, told.turn + 1)


def _writes_to_the_cache(made: Timeline, *, before: int) -> bool:
    """Whether the agent's last turn before that one wrote to the provider's cache."""
    agents = [one for one in made.turns if one.turn < before and one.planner == Planner.AGENT and one.attempts]
    return bool(agents) and any(attempt.cache_write_tokens for attempt in agents[-1].attempts)


def stop_in(
    made: Timeline, change: str, turn: int, saved_from: int, *, at_latest: bool = False, at_least: bool = False
) -> Stop:
    """Return the answer; the agent's turns from ``saved_from`` on would not have been."""
    agents = [one for one in made.turns if one.turn >= saved_from and one.planner == Planner.AGENT and one.attempts]
    sums = {one.turn: one.spent_microusd + one.reserved_microusd for one in made.turns}
    saved = sum(sums[one.turn] - sums.get(one.turn - 1, 0) for one in agents)
    after = agents[-1].turn + 1 if agents else 0
    ends = next((one.at_ms for one in made.turns if one.turn == after), made.duration_ms)
    begins = agents[0].at_ms if agents else None
    ms = ends - begins if ends is not None and begins is not None and ends >= begins else None
    when = f"in turn {turn}{' at the latest' if at_latest else ''}"
    took = "" if ms is None else f" and took {ms / 1000:.1f} s"
    least = "at least " if at_least else ""
    rest = f"; what it did after that cost {least}${dollars(max(0, saved))}{took}"
    return Stop(
        change=change,
        turn=turn,
        words=f"the agent would have been stopped {when}{rest}",
        saved_microusd=saved,
        saved_ms=ms,
        exact=not (at_latest or at_least),
    )
