"""Recorded runs under a change: each run in the baseline lane, then in the candidate lane.

::

    baseline differs, or the run has no ending yet ────▶ not concluded
    candidate: an input is asked for that is recorded ─▶ goes on
               the run ends ─ as in the record ────────▶ same
                            └ with fewer agent turns ──▶ stopped earlier, else different
               it would have gone on ──────────────────▶ censored
               something else would have been asked ───▶ off the record

What a run did is told by a few numbers (``Told``), computed alike from the record and from the candidate's events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import islice

from ballast.contracts import HandOver, Planner
from ballast.log.event import GARBLED
from ballast.log.events import (
    ApprovalRequested,
    CallRefused,
    EscalationAnswered,
    EscalationOpened,
    ModelRequested,
    RunEnded,
    RunOpened,
    RunRefused,
)
from ballast.log.exported import ExportedRun
from ballast.log.keys import Key
from ballast.playbook import Playbook
from ballast.run import Run
from localcloud.replay.candidate import CandidateEnds
from localcloud.replay.candidate_machine import CandidateMachine
from localcloud.replay.lane import Difference, Ending, Lane, Replayed
from localcloud.replay.machine import Machine
from localcloud.replay.processes import Texts, recorded_in, spread
from localcloud.replay.recorded import RecordedRun

#: Runs that a process plays in one lane before it opens the other one.
_AT_ONCE = 32


class Result(StrEnum):
    """What became of a run: ``Ending``, without what only a baseline has."""

    SAME = "same"
    DIFFERENT = "different"
    STOPPED_EARLIER = "stopped earlier"
    CENSORED = "censored"
    OFF_THE_RECORD = "off the record"
    NOT_CONCLUDED = "not concluded"

    @property
    def is_exact(self) -> bool:
        """Whether the run is known to its end."""
        return self in (Result.SAME, Result.DIFFERENT, Result.STOPPED_EARLIER)


@dataclass(frozen=True)
class Told:
    """What a run did.

    status, by     its ending and who answered; "open" for a run that goes on, or waits
    cost_microusd  what it was charged, for models and tools
    ceiling_microusd  the most that it may be charged
    turns          turns in which a model was asked; ``calls``: the calls of all planners
    refused        calls that the gate refused
    people         approvals and decisions that people were asked for
    writes         its writes that happened or may have happened: tool and canonical arguments
    answer         the text of the answer
    """

    status: str
    by: str
    cost_microusd: int
    ceiling_microusd: int
    turns: int
    calls: int
    refused: int
    people: int
    writes: tuple[str, ...]
    answer: str

    @classmethod
    def of(cls, run: Run, *, without: str = "") -> Told:
        """Return what ``run`` did; the event under the key ``without`` does not count."""
        run = run.only(lambda event: event.seq != without) if without and run.event(without) else run
        ended, refused = run.fact(RunEnded), run.fact(RunRefused)
        cost = run.usage.charged_microusd if run.is_open or ended is not None else 0
        turns = [run.turn(number) for number in run.turns]
        writes = [state.as_admitted for turn in turns for state in turn.committed]
        return cls(
            status="refused" if refused is not None else ended.status if ended is not None else "open",
            by=str(ended.by or "") if ended is not None else "",
            cost_microusd=cost,
            ceiling_microusd=run.opening.cost_ceiling_microusd if run.fact(RunOpened) is not None else 0,
            turns=sum(bool(turn.facts(ModelRequested)) for turn in turns),
            calls=sum(len(turn.calls) for turn in turns),
            refused=len(run.facts(CallRefused)),
            people=len(run.facts(ApprovalRequested)) + len(run.facts(EscalationOpened)),
            writes=tuple(f"{one.tool} {json.dumps(one.arguments, sort_keys=True)}" for one in writes),
            answer=(ended.answer or "") if ended is not None else "",
        )


@dataclass(frozen=True)
class Compared:
    """One run, as it is recorded and as the candidate has it.

    recorded, candidate  what it did; the candidate's as far as it is known
    low, high   bounds of the candidate's cost in micro-dollars; equal if it is known. They hold unless a person hands
                a run back to the agent
    why         what decided: the first difference, or what the record does not have; ``at``: the key of that event
    parted      key of the event with which it first did something else than the record; "" if it never did
    fewer       writes of the record that the candidate does not make; of a run that is not known to its end, none
    more        writes that only the candidate makes
    agents      who was in charge of the run in the record: the agents' names
    models, tools  the ids of the models that it asked in the record, and the names of the tools that it called
    waits       whether it would wait for a person whom the record does not ask
    made_otherwise  what ran then and is another one in the baseline, by the names in ``made_of``: then the baseline is
                    not what was deployed
    asked       attempts that a real model answered: then the run is one sample, and no prediction
    """

    run_id: str
    source: str
    intent: str
    tenant: str
    result: Result
    recorded: Told
    candidate: Told
    low: int
    high: int
    why: str
    at: str
    fewer: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    waits: bool = False
    asked: int = 0
    notes: tuple[str, ...] = ()
    made_otherwise: tuple[str, ...] = ()
    parted: str = ""
    agents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()

    @property
    def saved_microusd(self) -> int:
        """What is saved for certain; negative where it would have cost more. Of bounds, the smaller saving."""
        return self.recorded.cost_microusd - self.high

    @property
    def turns_saved(self) -> int:
        """Agent turns that would not have been; 0 of a run that is not known to its end."""
        return self.recorded.turns - self.candidate.turns if self.result.is_exact else 0

    @property
    def people_more(self) -> int:
        """People asked more often (or, below 0, less often); 0 of a run that is not known to its end."""
        return self.candidate.people - self.recorded.people if self.result.is_exact else 0


def concluded(
    recorded: RecordedRun,
    played: Replayed,
    ends: CandidateEnds | None,
    playbook: Playbook,
    *,
    slack_microusd: int,
    asked: int,
) -> Compared:
    """Return what the candidate's lane says of a run whose baseline came out.

    ``playbook``: the candidate's; ``slack_microusd``: of its cost.
    """
    was = Told.of(recorded.events)
    seq = ends.seq if ends is not None else ""
    now = Told.of(played.events, without=seq if ends is not None and not ends.waits else "")
    low, high, waits = now.cost_microusd, now.cost_microusd, ends is not None and ends.waits
    if ends is None:
        result = _of_the_end(was, now)
        if slack_microusd and result is Result.SAME:
            result = Result.DIFFERENT
        if played.ending is Ending.NOT_REPLAYED or now.status == "open":
            result = Result.NOT_CONCLUDED
        high += slack_microusd
    else:
        result = Result(ends.ending.value)
        costs_no_more = has_left_the_agent(played.events) and not costly_tools(playbook)
        costs_no_more &= waits or not _is_handed_back(recorded, ends)
        high = low + slack_microusd if costs_no_more else max(low, now.ceiling_microusd)
    known = result.is_exact
    before, after = Counter(was.writes), Counter(now.writes)
    opened = recorded.opened
    request = opened.request if opened is not None else {}
    difference = played.difference
    return Compared(
        run_id=recorded.run_id,
        source=recorded.source,
        intent=str(request.get("intent") or ""),
        tenant=str(request.get("tenant") or "default"),
        result=result,
        recorded=was,
        candidate=now,
        low=low,
        high=high,
        why=ends.why if ends is not None else _why(result, was, now, difference),
        at=seq or (difference.seq if difference is not None and result is not Result.SAME else ""),
        fewer=tuple((before - after).elements()) if known else (),
        more=tuple((after - before).elements()),
        waits=waits,
        asked=asked,
        notes=played.notes,
        parted=difference.seq if difference is not None and result is not Result.SAME else "",
        agents=_agents_of(recorded, playbook),
        models=tuple(dict.fromkeys(one.model for one in recorded.events.facts(ModelRequested))),
        tools=_tools_of(recorded),
    )


def _agents_of(recorded: RecordedRun, playbook: Playbook) -> tuple[str, ...]:
    """Return the agents that had the run: the one that was asked, and those to which it was handed over."""
    asked = recorded.opened.request.get("agent") if recorded.opened is not None else None
    taken = [one.decision for one in recorded.events.proposals.values() if isinstance(one.decision, HandOver)]
    names = [asked or playbook.agent.name, *(one.agent for one in taken if one.to is Planner.AGENT and one.agent)]
    return tuple(dict.fromkeys(map(str, names)))


def _tools_of(recorded: RecordedRun) -> tuple[str, ...]:
    """Return the tools that the agent, the fallback or a person called, once each."""
    run = recorded.events
    return tuple(dict.fromkeys(call.call.tool for turn in run.turns for call in run.turn(turn).calls))


def has_left_the_agent(run: Run) -> bool:
    """Whether the agent has handed over: a model is asked again only if a person hands the run back.

    The requester's reply hands it back: who asks the requester has not left.
    """
    agents = [one for one in run.proposals.values() if one.planner is Planner.AGENT]
    decision = agents[-1].decision if agents else None
    return isinstance(decision, HandOver) and decision.to not in (Planner.AGENT, Planner.REQUESTER)


def _is_handed_back(recorded: RecordedRun, ends: CandidateEnds) -> bool:
    """Whether a person of the record hands the run back to the agent where, or after, the candidate ends."""
    answers = recorded.events.facts(EscalationAnswered)
    back = [one for one in answers if isinstance(one.decision, HandOver) and one.decision.to is Planner.AGENT]
    return any(one.turn >= Key.of(ends.seq).turn for one in back)


def costly_tools(playbook: Playbook) -> list[str]:
    """Return the tools whose calls may be charged. A fallback, a rollback and a person may call any tool."""
    return [name for name, tool in playbook.tools.items() if tool.cost_microusd not in (None, 0)]


def not_concluded(recorded: RecordedRun, baseline: Replayed) -> Compared:
    """Return the row of a run whose baseline does not come out."""
    why = str(baseline.difference or "; ".join(baseline.notes) or baseline.ending)
    try:
        told = Told.of(recorded.events)
        request = recorded.opened.request if recorded.opened is not None else {}
    except GARBLED:
        return unread(recorded.run_id, recorded.source, why)
    return replace(
        unread(recorded.run_id, recorded.source, why),
        intent=str(request.get("intent") or ""),
        tenant=str(request.get("tenant") or "default"),
        recorded=told,
        candidate=told,
        low=told.cost_microusd,
        high=told.cost_microusd,
        at=baseline.difference.seq if baseline.difference is not None else "",
        notes=baseline.notes,
        made_otherwise=baseline.made_otherwise,
    )


def unread(name: str, source: str, why: str) -> Compared:
    """Return the row of a run, or a file, that cannot be read."""
    nothing = Told("unread", "", 0, 0, 0, 0, 0, 0, (), "")
    return Compared(name, source, "", "", Result.NOT_CONCLUDED, nothing, nothing, 0, 0, why, "")


def _of_the_end(was: Told, now: Told) -> Result:
    if _as_seen(was) == _as_seen(now):
        return Result.SAME
    return Result.STOPPED_EARLIER if now.turns < was.turns else Result.DIFFERENT


def _as_seen(told: Told) -> tuple[object, ...]:
    """Return what counts as the same run: everything but what it might have been charged."""
    return tuple(value for name, value in vars(told).items() if name != "ceiling_microusd")


def _why(result: Result, was: Told, now: Told, difference: Difference | None) -> str:
    if result is Result.NOT_CONCLUDED and now.status == "open":
        return "the run has no ending yet"
    apart = [
        name for name in vars(was) if name not in ("ceiling_microusd",) and getattr(was, name) != getattr(now, name)
    ]
    if not apart:
        return "its last turn may be cached otherwise" if difference is not None else ""
    if apart == ["cost_microusd"]:
        return "the same turns at another price"
    return difference.why if difference is not None else f"another {', '.join(apart)}"


def compared(baseline: Lane, candidate: Lane, runs: Iterable[ExportedRun], *, workers: int = 2) -> Iterator[Compared]:
    """Yield each run as it is recorded and as the candidate has it, as soon as both are played."""
    return spread(
        runs,
        partial(_in_parts, baseline, candidate),
        partial(_of_texts, baseline, candidate),
        workers=workers,
        few=48,
        at_once=_AT_ONCE,
    )


def _in_parts(baseline: Lane, candidate: Lane, runs: Iterator[ExportedRun]) -> Iterator[Compared]:
    while some := list(islice(runs, _AT_ONCE)):
        yield from _of_both(baseline, candidate, [RecordedRun.of(one.events, one.title or one.source) for one in some])


def _of_texts(baseline: Lane, candidate: Lane, some: Texts) -> list[Compared]:
    return _of_both(baseline, candidate, list(recorded_in(some)))


def _of_both(baseline: Lane, candidate: Lane, runs: list[RecordedRun]) -> list[Compared]:
    with Machine(baseline) as machine:
        before = [machine.play(one) for one in runs]
    return beside(candidate, list(zip(runs, before, strict=True)))


def beside(candidate: Lane, runs: Iterable[tuple[RecordedRun, Replayed]]) -> list[Compared]:
    """Return what the candidate makes of each run, beside what the baseline made of it."""
    found = []
    with CandidateMachine(candidate) as machine:
        for one, played in runs:
            if played.is_same:
                after, ends = machine.play_beside(one, played)
                playing = machine.playing
                slack = playing.slack_microusd
                row = concluded(one, after, ends, machine.playbook, slack_microusd=slack, asked=playing.asked)
                found.append(replace(row, made_otherwise=played.made_otherwise))
            else:
                found.append(not_concluded(one, played))
    return found
