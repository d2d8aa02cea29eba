"""Agents of a run: which of the playbook's agents is in charge of each turn, and what each of them used.

::

    0000.run.opened  agent: triage          triage is in charge of turns 1, 2
    0002.model.responded  hand_over, agent: billing
                                            billing is in charge from turn 3 on
    0003.plan.decided  handed_over: agent   the workflow had replaced the agent: the hand-over of turn 2 came too late

A run of a playbook with one agent has no change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ballast.contracts import HandOver, Planner
from ballast.folds.usage import Counts, counts_after
from ballast.log.events import EscalationOpened, PlanDecided, RunOpened
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.run import Run, Turn


@dataclass(frozen=True)
class AgentChange:
    """After ``turn`` another agent goes on.

    giver, taker  the agents' names
    by            the agent itself, or a person who handed back to another agent
    """

    turn: int
    giver: str
    taker: str
    by: Planner


def agent_changes(run: Run) -> tuple[AgentChange, ...]:
    """Return the changes of the agent in charge, in order."""
    opened = run.fact(RunOpened)
    first = opened.agent if opened is not None else ""

    def after(before: tuple[AgentChange, ...], turn: Turn) -> tuple[AgentChange, ...]:
        if before and before[-1].turn == turn.number - 1 and _replaced_the_agent(turn):
            before = before[:-1]
        made = turn.proposal
        decision = made.decision if made is not None else None
        if made is None or not isinstance(decision, HandOver) or decision.agent is None:
            return before
        giver = before[-1].taker if before else first
        if decision.agent == giver or made.planner not in (Planner.AGENT, Planner.PERSON):
            return before
        return (*before, AgentChange(turn.number, giver, decision.agent, made.planner))

    return run.over_turns("agents", (), after)


def _replaced_the_agent(turn: Turn) -> bool:
    """Return whether the workflow had replaced the agent before this turn, because it hung or failed."""
    cuts = [fact.handed_over for fact in turn.facts(PlanDecided)]
    cuts += [fact.handed_over for fact in turn.facts(EscalationOpened)]
    return any(cut is not None and cut.planner is Planner.AGENT for cut in cuts)


def agent_at(run: Run, turn: int) -> str:
    """Return the name of the agent in charge of ``turn``; "" if the log does not say it."""
    taken = [change.taker for change in run.agent_changes if change.turn < turn]
    opened = run.fact(RunOpened)
    return taken[-1] if taken else (opened.agent if opened is not None else "")


@dataclass(frozen=True)
class Used:
    """What one agent used: its counts since the last grant, and all charges of its turns in micro-dollars."""

    counts: Counts
    charged_microusd: int


def used_by(run: Run, agent: str) -> Used:
    """Return what ``agent`` used in its own turns."""
    granted = run.opening.granted_turn if run.is_open else 0

    def after(before: Used, turn: Turn) -> Used:
        if agent_at(run, turn.number) != agent:
            return before
        counts = before.counts if turn.number <= granted else counts_after(before.counts, turn)
        return Used(counts, before.charged_microusd + turn.spent.spent_microusd + turn.spent.reserved_microusd)

    return run.over_turns(("used by", agent, granted, run.agent_changes), Used(Counts(), 0), after)
