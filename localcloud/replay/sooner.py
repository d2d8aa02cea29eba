"""Find the changes that would have stopped a run sooner, by playing it again: a ``ballast.why.Sooner``.

::

    answers of the log ─▶ limits     ┐
    signals of loops   ─▶ thresholds ├─▶ candidate lanes beside one baseline ─▶ exact, or bounds
    writes unapproved  ─▶ approvals  ┘
    the baseline does not come out ──▶ the log's answers, and why they are not played

The playbook on this machine must be the one that recorded the run: the baseline shows whether it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ballast.contracts import Planner
from ballast.contracts.timeline import Timeline
from ballast.contracts.why import Stop
from ballast.folds.loops.ladder import THRESHOLDS, Kind
from ballast.masking import error_text
from ballast.money.amounts import dollars
from ballast.run import Run
from ballast.why import Stops, from_log
from ballast.why.sooner import LOG_ALONE, stop_in
from ballast.why.words import quoted
from localcloud.replay.lane import Lane, Replayed
from localcloud.replay.machine import Machine
from localcloud.replay.many import made_note
from localcloud.replay.recorded import RecordedRun
from localcloud.replay.what_if import Compared, Result, beside

PLAYED = "The run was played again with each change."
#: Changes that are played, at most: each takes a fraction of a second.
_MOST = 12
_LIMITS, _COST = "limits.", "limits.cost_microusd"


@dataclass(frozen=True)
class Change:
    """A change to play: of agent.yaml, or of the thresholds of ``--rules``. ``approves``: the tool that asks people."""

    name: str
    agent: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    approves: str = ""


@dataclass(frozen=True)
class PlayedSooner:
    """Plays runs that were recorded in the lane ``baseline``. A ``Sooner``."""

    baseline: Lane

    def __call__(self, run: Run, made: Timeline) -> Stops:
        """Return the changes that would have stopped ``run``; where it cannot be played, what its log proves."""
        told = from_log(run, made)
        changes = list(candidates(made, told))[:_MOST]
        if not changes:
            return told
        try:
            recorded = RecordedRun.of(run)
            with Machine(self.baseline) as machine:
                before = machine.play(recorded)
            if not before.is_same:
                return Stops(told.found, _not_played(_why_not(before)), failed=True)
            rows = [self._row(one, recorded, before) for one in changes]
        except Exception as problem:  # the rest of the report does not need it
            return Stops(told.found, _not_played(quoted(error_text(problem), 400)), failed=True)
        played = {one.name: _stop(one, row, made) for one, row in zip(changes, rows, strict=True)}
        left = [one for one in told.found if one.change not in played and not one.change.startswith(_COST)]
        found = [*filter(None, played.values()), *left]
        found.sort(key=lambda one: (not one.exact, -one.saved_microusd, -(one.saved_most_microusd or 0)))
        return Stops(found, PLAYED)

    def _row(self, change: Change, recorded: RecordedRun, before: Replayed) -> Compared:
        lane = replace(self.baseline, name=change.name, goes_on=True, changes=change.agent, rules=change.rules)
        return beside(lane, [(recorded, before)])[0]


def candidates(made: Timeline, told: Stops) -> Iterator[Change]:
    """Yield the changes that may have stopped the run; ``told``: the answers of its log."""
    for stop in told.found:
        name, _, value = stop.change.partition("=")
        if name == _COST:
            least = _least_cost(made, before=stop.turn)
            yield Change(f"{name}={least}", agent={name: least})
        elif name.startswith(_LIMITS):
            yield Change(stop.change, agent={name: int(value)})
    calls = [(turn, call) for turn in made.turns for call in turn.calls]
    signalled = {call.signal.kind for _, call in calls if call.signal is not None}
    for kind in Kind if told.found else ():
        notice, forbid = THRESHOLDS[kind]
        if kind in signalled and (forbid is None or forbid > notice):
            at_once = {"loops": {kind.value: {"notice": notice, "forbid": notice}}}
            yield Change(f"loops.{kind.value}.forbid={notice}", rules=at_once)
    if made.status == "open" or not _went_wrong(made):
        return
    writes = {
        call.tool: None
        for turn, call in calls
        if turn.planner == Planner.AGENT and call.effect == "write" and call.outcome in ("ok", "unknown")
        if not any(one.approve for one in call.approvals)
    }
    for tool in writes:
        name, rules = f"tools.{tool}.approval=always", {"tools": {tool: {"approval": "always"}}}
        yield Change(name, rules=rules, approves=tool)


def _least_cost(made: Timeline, *, before: int) -> int:
    """Return the cost limit that just allows each of the agent's turns before that one, with what it reserved."""
    allowed, spent = 1, 0
    for turn in made.turns:
        if turn.turn >= before:
            break
        for attempt in turn.attempts:
            allowed = max(allowed, spent + attempt.reserved_microusd)
        spent = turn.spent_microusd + turn.reserved_microusd
    return allowed


def _went_wrong(made: Timeline) -> bool:
    """Whether somebody may wish that a person had been asked before the run's effects."""
    plain = made.status == "answered" and not made.degraded
    return not plain or any(one.verdict == "wrong" for one in made.feedback)


def _why_not(before: Replayed) -> str:
    why = quoted(str(before.difference or "; ".join(before.notes) or before.ending), 400)
    return "; ".join([*made_note(before.made_otherwise), why])


def _not_played(why: str) -> str:
    return f"{LOG_ALONE} The run cannot be played again here (`ballast replay` shows more): {why}"


def _stop(change: Change, row: Compared, made: Timeline) -> Stop | None:
    """Return the answer; None if the change would have changed nothing, or saved neither money nor an effect."""
    least, most = row.recorded.cost_microusd - row.high, row.recorded.cost_microusd - row.low
    if row.result in (Result.SAME, Result.NOT_CONCLUDED) or (most <= 0 and not row.fewer):
        return None
    agents = [one for one in made.turns if one.planner == Planner.AGENT and one.attempts]
    left = agents[row.candidate.turns :]
    parted = row.parted[:4]
    turn = int(parted) if parted.isdecimal() else 0
    if turn == 0:
        return None
    told = stop_in(made, change.name, turn, left[0].turn if left else turn + 1)
    exact = row.low == row.high
    return told.model_copy(
        update={
            "words": f"{_happens(change, row, turn)}; {_costs(row, made.ceilings.cost_microusd)}",
            "saved_microusd": least,
            "saved_most_microusd": None if exact else most,
            "saved_ms": told.saved_ms if left and exact else None,
            "exact": exact,
            "played": True,
        }
    )


def _happens(change: Change, row: Compared, turn: int) -> str:
    if change.approves and row.waits:
        return f"a person would have been asked in turn {turn}, before {change.approves} acted"
    if row.result is Result.OFF_THE_RECORD and row.low != row.high:
        return f"it would have gone another way from turn {turn} on ({quoted(row.why)})"
    return f"the agent would have been stopped in turn {turn}"


def _costs(row: Compared, ceiling: int | None) -> str:
    was = f"instead of ${dollars(row.recorded.cost_microusd)}"
    if row.low != row.high and ceiling is not None and row.high >= ceiling:
        return "what the run would have cost then is not known"  # the most is its ceiling, which says nothing
    if row.low != row.high:
        return f"the run would have cost from ${dollars(row.low)} to ${dollars(row.high)} {was}"
    if not row.result.is_exact:
        return f"the run would have cost ${dollars(row.low)} {was}"
    then = f"been {row.candidate.status}"
    if row.waits:
        then = "waited for a person"
    elif row.candidate.status == "answered":
        by = {Planner.AGENT: "the agent", Planner.FALLBACK: "the fallback"}
        who = next((name for planner, name in by.items() if row.candidate.by == planner), "a person")
        then = f"been answered by {who}"
    return f"the run would have {then} and cost ${dollars(row.low)} {was}"
