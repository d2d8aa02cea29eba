"""The end of a report: the open facts of a run, and the commands to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from ballast.contracts import Planner
from ballast.contracts.timeline import Position, Timeline, Turn
from ballast.contracts.why import Cause, Command, Unknown
from ballast.money.amounts import dollars
from ballast.why.causes import quoted, standing, tool, unknown_effects

#: More of one kind are counted and not listed.
_MOST = 20
#: What may stand in a command as it is; anything else in the log was not written by Ballast.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NO_ROOM = ("WindowFull", "window_full", "TooManyRuns", "lease_failed")
_BREAKER = ("BreakerStopped", "breaker_open", "breaker_stopped")
_CODE = ("planner_failed", "executor_failed", "fallback_failed", "failed")


# ── what is unknown now ──────────────────────────────────────────────────────────────────────────────────────────


def unknown(made: Timeline, moved: Mapping[Position, str], *, settled: bool) -> Iterator[Unknown]:
    """Yield what nobody knows.

    moved    of the business's own money, by the call, in words
    settled  the log has the settlement, or there is no lease to settle
    """
    effects = list(unknown_effects(made))
    for turn, call in effects[:_MOST]:
        words = f"whether {tool(call)} (turn {turn}, call {call.index}) had its effect"
        if money := moved.get((turn, call.index)):
            words += f", and so whether {quoted(money, 60)} of the business's own money moved"
        yield Unknown(kind="effect", words=words, turn=turn)
    if len(effects) > _MOST:
        yield Unknown(kind="effect", words=f"whether {len(effects) - _MOST:,} more calls had their effect")
    for one in made.unreadable[:_MOST]:
        part = "a part of the entry" if one.partly else "the entry"
        yield Unknown(kind="entry", words=f"what {part} {quoted(one.seq, 80) or 'without a key'} said", turn=one.turn)
    if len(made.unreadable) > _MOST:
        yield Unknown(kind="entry", words=f"what {len(made.unreadable) - _MOST:,} more entries said")
    for seq in made.unknown[:_MOST]:
        yield Unknown(kind="entry", words=f"what {quoted(seq, 80)} means: this version does not know its kind")
    for waits, turn in list(_waiting(made))[-_MOST:]:
        yield Unknown(kind="people", words=waits, turn=turn)
    if made.status == "open":
        yield Unknown(kind="ending", words="whether it still runs or was cut off: its log has no ending")
    if made.reserved_microusd:
        words = f"what the attempts without an outcome cost: ${dollars(made.reserved_microusd)} is charged for them"
        yield Unknown(kind="money", words=words)
    if not settled:
        yield Unknown(kind="money", words="what its windows are charged: its lease is not settled yet")
    if made.duration_ms is None or made.duration_ms < 0:
        yield Unknown(kind="time", words="how long it took: the times in its log cannot be right")


def _waiting(made: Timeline) -> Iterator[tuple[str, int]]:
    if made.status not in ("waiting", "open"):  # after the ending nobody can answer any more
        return
    for turn in made.turns:
        asked = turn.escalation
        if asked and not asked.by:
            whom = "the requester" if turn.planner == Planner.REQUESTER else "a person"
            yield f"what {whom} answers to {_id(asked.escalation_id)}{_until(asked.answer_by)}", turn.turn
        for call in turn.calls:
            if call.outcome == "waiting" and call.approvals:
                last = call.approvals[-1]
                words = f"whether people approve {tool(call)} ({_id(last.escalation_id)}){_until(last.answer_by)}"
                yield words, turn.turn


def _until(answer_by: str) -> str:
    return f", until {quoted(answer_by, 40)}" if answer_by else ""


# ── what to type ─────────────────────────────────────────────────────────────────────────────────────────────────


def to_type(made: Timeline, causes: tuple[Cause, ...], moved: Mapping[Position, str], stack: str) -> Iterator[Command]:
    """Yield the commands, the most urgent first.

    moved  of the business's own money, by the call, in words
    stack  the deployed stack's name; "" for the local cloud
    """
    ballast = f"ballast --stack {shlex.quote(stack)}" if stack else "ballast"
    run = made.run_id if _ID.fullmatch(made.run_id) else "RUN"
    names = {one.name for one in causes}
    if made.unreadable:
        yield Command(command=f"{ballast} verify {run}", words="name the first event that does not fit; change nothing")
    yield from _effects(made, moved, ballast, run)
    yield from _answers(made, ballast)
    if "effects_stand" in names and made.status != "waiting":
        effects = ", ".join(f"{tool(call)} (turn {turn})" for turn, call in list(standing(made))[:_MOST])
        words = f"read what these wrote, and correct it in the business's system: {effects}"
        yield Command(command=f"{ballast} trace {run}", words=words)
    if names.intersection(_BREAKER):
        yield Command(command=f"{ballast} breaker", words="see the mode, since when, by whom, and why")
    if names.intersection(_NO_ROOM):
        yield Command(command=f"{ballast} budget", words="see the windows of all tenants together")
        tenant = made.tenant if _ID.fullmatch(made.tenant) else "TENANT"
        yield Command(command=f"{ballast} budget {tenant}", words="see this tenant's windows, and set them")
    if "MoveRefused" in names:
        tenant = made.tenant if _ID.fullmatch(made.tenant) else "TENANT"
        yield Command(command=f"{ballast} budget {tenant}", words="see what may be moved of the business's own money")
    if made.status == "refused" and stack:
        words = "put back its request if it came by a queue and lies among the dead letters"
        yield Command(command=f"{ballast} redrive", words=words)
    if names.intersection(_CODE):
        yield Command(command=f"{ballast} trace {run}", words="find the function that failed; read its log group")
    if made.reserved_microusd and made.status not in ("open", "waiting") and made.money.returned_microusd is not None:
        command = f'{ballast} budget --correct {run} --charged USD --reason "why"'
        yield Command(command=command, words="correct the charge, once you know what the attempts really cost")
    if made.spent_microusd + made.reserved_microusd and not made.unreadable:
        yield Command(command=f"{ballast} cost {run}", words="see the cost by turn, tool and model")
    all_of_it = "see its request" if made.status == "refused" else "see every prompt, reply and call"
    yield Command(command=f"{ballast} trace {run} --full", words=all_of_it)


def _effects(made: Timeline, moved: Mapping[Position, str], ballast: str, run: str) -> Iterator[Command]:
    for turn, call in list(unknown_effects(made))[:_MOST]:
        find = f"find out in the business's system whether {tool(call)} happened"
        if not (money := moved.get((turn, call.index))):
            words = f"see its arguments and its key (turn {turn}, call {call.index}); {find}"
            yield Command(command=f"{ballast} trace {run} --full", words=words)
            continue
        words = f"{find}; then settle the {quoted(money, 60)} that are held for it: no, or yes"
        command = f"{ballast} budget --move {run}.{turn:04d}.{call.index} --happened no"
        yield Command(command=command, words=words)


def _answers(made: Timeline, ballast: str) -> Iterator[Command]:
    if made.status not in ("waiting", "open"):
        return
    for turn in made.turns[-1:]:
        for call in turn.calls[:_MOST]:
            if call.outcome == "waiting" and call.approvals and (asked := _id(call.approvals[-1].escalation_id)):
                words = f"let {tool(call)} be made"
                yield Command(command=f"{ballast} answer {asked} --approve", words=words)
                yield Command(command=f'{ballast} answer {asked} --reject --comment "why"', words="or reject it")
        if turn.escalation and not turn.escalation.by and turn.planner != Planner.REQUESTER:
            yield from _decision(turn, ballast, _id(turn.escalation.escalation_id))


def _decision(turn: Turn, ballast: str, asked: str) -> Iterator[Command]:
    assert turn.escalation is not None
    more = " --add-budget 0.05" if turn.escalation.reason in ("cost_limit", *_BREAKER) else ""
    yield Command(command=f'{ballast} answer {asked} --say "…"', words="answer the caller yourself, and end the run")
    command = f'{ballast} answer {asked} --back-to-agent --guidance "…"{more}'
    yield Command(command=command, words="or let the agent go on")


def _id(escalation_id: str) -> str:
    return escalation_id if _ID.fullmatch(escalation_id) else "ESCALATION"
