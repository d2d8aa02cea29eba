"""The advice of a report: whether to act now, the open facts of a run, and the commands to type.

A command holds nothing that only its reader knows: there a ``"<placeholder>"`` stands, in quotation marks for what is
written in its place. The command line refuses it until it is filled in (``placeholder_in``).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from ballast.contracts import Planner
from ballast.contracts.task import LAST_TURN
from ballast.contracts.timeline import Call, Position, Timeline, Turn
from ballast.contracts.why import Command, Unknown
from ballast.money.amounts import dollars
from ballast.why.attempts import not_asked, refusals, remedies
from ballast.why.effects import Names, answered_by_a_person, kept_in_rollback, left_standing, unknown_effects
from ballast.why.feedback import open_complaints
from ballast.why.money import bound_calls, bound_replies
from ballast.why.other_runs import (
    BREAKER,
    by_server,
    defect,
    fallback_failed,
    mends,
    open_circuits,
    open_models,
    shared_with_other_runs,
)
from ballast.why.words import clock, named, planner_name, quoted

#: More of one kind are counted and not listed.
_MOST = 20
#: Things to do that the first line tells, and calls of each.
_FEW = 4
#: What may stand in a command as it is; anything else in the log was not written by Ballast.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NO_ROOM = ("WindowFull", "window_full", "TooManyRuns", "lease_failed")
_BREAKER = ("BreakerStopped", *BREAKER)
_CODE = ("planner_failed", "executor_failed", "fallback_failed", "failed")


#: What stands in a command in the place of what only its reader knows.
_PLACEHOLDER = re.compile(
    r"(?:\w+=)?<(why|USD|number|yes\|no|what you found|what to answer|what to do|document or address)>"
)


def placeholder_in(value: str) -> str:
    """Return the placeholder of a command that nobody filled in; "" if it is none."""
    found = _PLACEHOLDER.fullmatch(value)
    return f"<{found[1]}>" if found else ""


# ── whether to act ───────────────────────────────────────────────────────────────────────────────────────────────


def act(made: Timeline, moved: Mapping[Position, str], names: Names) -> tuple[bool, str]:
    """Return whether somebody has to act now, and what to do; or why nobody has to.

    What hits other runs too is looked at, also where nothing is left to do for this one.

    moved  of the business's own money, by the call, in words
    """
    own, shared = list(_to_do(made, moved, names)), list(shared_with_other_runs(made))
    if to_do := [*own, *shared]:
        more = f"; and {len(to_do) - _FEW:,} more" if len(to_do) > _FEW else ""
        rest = "" if own else f" For this run nobody has to act. {_at_rest(made)}".rstrip()
        return True, f"{'; '.join(to_do[:_FEW])}{more}.{rest}"
    return False, _at_rest(made)


def _at_rest(made: Timeline) -> str:
    """Return why nobody has to act on the run."""
    match made.status:
        case "waiting":
            until = answer_by(made)
            return f"The requester is asked{f', until {clock(until)}' if until else ''}."
        case "open":
            last = next((turn.at for turn in reversed(made.turns) if turn.at), made.opened_at)
            since = f" (its turn began at {clock(last)})" if last else ""
            return f"It still runs, unless it was cut off{since}. If it does not go on, look why."
        case "answered":
            who = planner_name(made.by) or "somebody"
            later = "; ".join(remedies(made, stopping=False))
            said = _script_s_answer(made)
            answered = f"{who[:1].upper()}{who[1:]} answered the caller{f': {said}' if said else ''}."
            if kept := kept_in_rollback(made):
                names = ", ".join(f"{named(call.tool)} (turn {turn}, call {call.index})" for turn, call in kept[:_FEW])
                names += f" and {len(kept) - _FEW:,} more" if len(kept) > _FEW else ""
                whose, it = ("its tool", "it was") if len(kept) == 1 else ("their tools", "they were")
                answered += f" The rollback left {names} as {it}, by the declaration of {whose}."
            return f"{answered}{f' Not urgent: {later}.' if later else ''}"
        case "refused":
            others = " Other requests are refused alike until there is room." if made.reason in _NO_ROOM else ""
            return f"Nothing was done.{others}"
        case "aborted":
            return "Somebody stopped it."
    return ""


def _script_s_answer(made: Timeline) -> str:
    """Return what the fallback answered, quoted: only people can tell whether it promises something."""
    if made.by != Planner.FALLBACK:
        return ""
    texts = [turn.decided.text for turn in made.turns if turn.decided and turn.decided.kind == "answer"]
    return quoted(texts[-1], 80) if texts else ""


def _to_do(made: Timeline, moved: Mapping[Position, str], names: Names) -> Iterator[str]:
    if made.unreadable:
        yield "its log was changed or damaged: verify it, and touch nothing until you know how"
    if effects := list(unknown_effects(made)):
        amounts = _amounts(effects, moved)
        its = "its" if len(effects) == 1 else "their"
        settle = f", and settle {its} {amounts}, unless somebody has done so already" if amounts else ""
        yield f"find out whether {_all(effects, names)} happened (look in the business's own system){settle}"
    if stands := left_standing(made):
        amounts = _amounts(stands, moved)
        it = "it stands" if len(stands) == 1 else "they stand"
        yield f"decide what becomes of {_all(stands, names)}: {it}{f', with {amounts}' if amounts else ''}"
    if made.status == "waiting":
        yield from _asked(made, names)
    if made.status in ("unanswered", "timed_out"):
        yield "answer the caller: nobody did"
    if made.status == "failed":
        yield "page whoever operates Ballast, and answer the caller: nobody did"
    yield from remedies(made, stopping=True)
    yield from mends(made)
    if said := open_complaints(made):
        newest = f"{named(said[-1].by, 60)} says"
        who = newest if len(said) == 1 else f"{len(said):,} people say (the newest, {named(said[-1].by, 60)})"
        yield f"look at what {who} was wrong, and say what you found"


def _all(found: Sequence[tuple[int, Call]], names: Names) -> str:
    """Return all of these calls: none is hidden behind what else is to do."""
    told = [
        f"{names(turn, call)}{f', the undo of turn {call.undoes[0]}, call {call.undoes[1]},' if call.undoes else ''}"
        for turn, call in found[:_FEW]
    ]
    more = f" and {len(found) - _FEW:,} more" if len(found) > _FEW else ""
    return f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 and not more else f"{', '.join(told)}{more}"


def _amounts(found: Sequence[tuple[int, Call]], moved: Mapping[Position, str]) -> str:
    """Return what these calls moved of the business's own money, each amount for itself."""
    amounts = [moved[turn, call.index] for turn, call in found if (turn, call.index) in moved]
    told = " and ".join(amounts[:_FEW])
    return f"{told} and {len(amounts) - _FEW:,} more amounts" if len(amounts) > _FEW else told


def _asked(made: Timeline, names: Names) -> Iterator[str]:
    last = made.turns[-1]
    until = f" by {clock(answer_by(made))}" if answer_by(made) else ""
    waiting = [call for call in last.calls if call.outcome == "waiting"]
    if waiting:
        yield f"approve or reject {', '.join(names(last.turn, call) for call in waiting[:_FEW])}{until}"
    elif last.planner != Planner.REQUESTER:
        yield f"answer the caller, or hand back to the agent,{until}" if until else "answer the caller, or hand back"


def answer_by(made: Timeline) -> str:
    """Return until when the run waits for people or for the requester; "" if it does not, or for ever."""
    if made.status != "waiting" or not made.turns:
        return ""
    last = made.turns[-1]
    if last.escalation and not last.escalation.by:
        return last.escalation.answer_by
    ends = [call.approvals[-1].answer_by for call in last.calls if call.outcome == "waiting" and call.approvals]
    return min((one for one in ends if one), default="")


# ── what is unknown now ──────────────────────────────────────────────────────────────────────────────────────────


def unknown(made: Timeline, moved: Mapping[Position, str], names: Names, *, settled: bool) -> Iterator[Unknown]:
    """Yield what nobody knows.

    moved    of the business's own money, by the call, in words
    settled  the log has the settlement, or there is no lease to settle
    """
    effects = list(unknown_effects(made))
    for turn, call in effects[:_MOST]:
        words = f"whether {names.short(turn, call)} happened"
        if money := moved.get((turn, call.index)):
            words += f", and so whether {money} of the business's own money moved"
        elif call.undoes and (money := moved.get(call.undoes)):
            words += f", and so whether {money} of the business's own money came back"
        yield Unknown(kind="effect", words=words, turn=turn)
    if len(effects) > _MOST:
        yield Unknown(kind="effect", words=f"whether {len(effects) - _MOST:,} more calls happened")
    for one in made.unreadable[:_MOST]:
        part = "a part of the entry" if one.partly else "the entry"
        yield Unknown(kind="entry", words=f"what {part} {named(one.seq, 80) or 'without a key'} said", turn=one.turn)
    if len(made.unreadable) > _MOST:
        yield Unknown(kind="entry", words=f"what {len(made.unreadable) - _MOST:,} more entries said")
    for number in _missing(made)[:_MOST]:
        yield Unknown(kind="entry", words=f"what was done in turn {number}: no entry of it can be read", turn=number)
    for seq in made.unknown[:_MOST]:
        yield Unknown(kind="entry", words=f"what {named(seq, 80)} means: this version does not know its kind")
    for waits, turn in list(_waiting(made, names))[-_MOST:]:
        yield Unknown(kind="people", words=waits, turn=turn)
    if made.status == "open":
        yield Unknown(kind="ending", words="whether it still runs or was cut off: its log has no ending")
    if made.reserved_microusd:
        words = f"what the attempts without an outcome cost: ${dollars(made.reserved_microusd)} is charged for them"
        yield Unknown(kind="money", words=words)
    if bound := bound_replies(made):
        cost = dollars(sum(one.charged_microusd for _, one in bound))
        what, whose = ("a reply", "its") if len(bound) == 1 else (f"{len(bound):,} replies", "their")
        words = f"what {what} without a usage that can be right really cost: ${cost} is charged, {whose} bound"
        yield Unknown(kind="money", words=words)
    if paid := bound_calls(made):
        cost = dollars(sum(one.charged_microusd for _, _, one in paid))
        what, whose = ("a failed attempt", "its") if len(paid) == 1 else (f"{len(paid):,} failed attempts", "their")
        words = f"what {what} at tools that cost money really cost: ${cost} is charged, {whose} bound"
        yield Unknown(kind="money", words=words)
    if not settled:
        leased = f"the ${dollars(made.money.leased_microusd)}" if made.money.leased_microusd else "what was"
        words = f"what it counts in its hour's and its day's budget: {leased} set aside for it is not settled yet"
        yield Unknown(kind="money", words=words)
    if made.duration_ms is None or made.duration_ms < 0:
        yield Unknown(kind="time", words="how long it took: the times in its log cannot be right")


def _missing(made: Timeline) -> list[int]:
    """Return the turns of a changed log of which no entry can be read."""
    if not made.unreadable:
        return []
    seen = {turn.turn for turn in made.turns if turn.at}
    named_ = {one.turn for one in made.unreadable if 0 < one.turn < LAST_TURN}
    return sorted((named_ | {turn.turn for turn in made.turns}) - seen)


def _waiting(made: Timeline, names: Names) -> Iterator[tuple[str, int]]:
    if made.status not in ("waiting", "open"):  # after the ending nobody can answer any more
        return
    for turn in made.turns:
        asked = turn.escalation
        if asked and not asked.by:
            whom = "the requester" if turn.planner == Planner.REQUESTER else "a person"
            yield (
                f"what {whom} answers to {named(asked.escalation_id) or 'what it asked'}{_until(asked.answer_by)}",
                turn.turn,
            )
        for call in turn.calls:
            if call.outcome == "waiting" and call.approvals:
                last = call.approvals[-1]
                asked_for = f"{names(turn.turn, call)} ({named(last.escalation_id) or 'no id'})"
                words = f"whether people approve {asked_for}{_until(last.answer_by)}"
                yield words, turn.turn


def _until(until: str) -> str:
    return f", until {clock(until)}" if until else ""


# ── what to type ─────────────────────────────────────────────────────────────────────────────────────────────────


def to_type(made: Timeline, moved: Mapping[Position, str], names: Names, stack: str) -> tuple[Command, ...]:
    """Return the commands, the most urgent first; what several things are read by stands once.

    They follow from names and numbers of the log alone, and are the same whatever somebody wrote.

    moved  of the business's own money, by the call, in words
    stack  the deployed stack's name; "" for a saved run of a local cloud, for which only what works there is told
    """
    ballast = f"ballast --stack {shlex.quote(stack)}" if stack else "ballast"
    run = made.run_id if _ID.fullmatch(made.run_id) else ""
    found: dict[str, Command] = {}
    for one in (
        *_urgent(made, moved, names, ballast, run),
        *_known_by_reason(made, ballast, run),
        *_last(made, ballast, run),
    ):
        if one.only_deployed and not stack:
            continue
        before = found.get(one.command)
        found[one.command] = one if before is None else _joined(before, one)
    return tuple(found.values())


def _joined(before: Command, one: Command) -> Command:
    return before.model_copy(update={"words": f"{before.words}; {one.words}"})


def _urgent(made: Timeline, moved: Mapping[Position, str], names: Names, ballast: str, run: str) -> Iterator[Command]:
    if made.unreadable and run:
        yield Command(command=f"{ballast} verify {run}", words="name the first event that does not fit; it only reads")
    if run:
        yield from _effects(made, moved, names, ballast, run)
    yield from _answers(made, names, ballast)
    if (stands := left_standing(made)) and run:
        more = f" and {len(stands) - _MOST:,} more" if len(stands) > _MOST else ""
        effects = ", ".join(names.short(turn, call) for turn, call in stands[:_MOST])
        these = "it" if len(stands) == 1 else "these"
        words = f"read what {these} wrote, and correct it in the business's system: {effects}{more}"
        yield Command(command=f"{ballast} trace {run}", words=words)


def _known_by_reason(made: Timeline, ballast: str, run: str) -> Iterator[Command]:
    """Yield what the reasons of the log call for: of its admission, its ending, its hand-overs and its refusals."""
    reasons = {made.reason, made.status, *(turn.pivot.reason for turn in made.turns if turn.pivot)}
    refused = {call.error for turn in made.turns for call in turn.calls if call.outcome == "refused"}
    tenant = f" {made.tenant}" if _ID.fullmatch(made.tenant) else ""
    if reasons.intersection(_BREAKER) and ballast != "ballast":  # a saved run's local cloud may be gone
        yield Command(command=f"{ballast} breaker", words="see the mode, since when, by whom, and why")
    if reasons.intersection(_NO_ROOM):
        yield Command(command=f"{ballast} budget", words="see the windows of all tenants together", only_deployed=True)
        if tenant:
            words = "see this tenant's windows, and set them"
            yield Command(command=f"{ballast} budget{tenant}", words=words, only_deployed=True)
        if ballast == "ballast":
            parameter, value = ("TenantRuns", "number") if "TooManyRuns" in reasons else ("TenantHourUsd", "USD")
            words = (
                "start a local cloud with more room: it gets its limits when it starts "
                "(TenantHourUsd, TenantDayUsd, AccountHourUsd, AccountDayUsd, TenantRuns, AccountRuns)"
            )
            yield Command(command=f'ballast up --parameter {parameter}="<{value}>"', words=words)
    if "MoveRefused" in refused and tenant:
        words = "see what this tenant may still move of the business's own money in its hour and its day"
        yield Command(command=f"{ballast} budget{tenant}", words=words, only_deployed=True)
    if made.status == "refused":
        words = "put back its request if it came by a queue and lies among the dead letters"
        yield Command(command=f"{ballast} redrive", words=words, only_deployed=True)
    yield from _of_servers(made)
    yield from _of_models(made, ballast, run)
    if reasons.intersection(_CODE) and run:
        at_fault = "find the script's turn; the reason names its file and line" if fallback_failed(made) else ""
        where = "its log group" if ballast != "ballast" else "what it printed, under logs/ in Ballast's own folder"
        yield Command(
            command=f"{ballast} trace {run}", words=at_fault or f"find the function that failed; read {where}"
        )
    is_settled = made.status not in ("open", "waiting") and made.money.returned_microusd is not None
    if (made.reserved_microusd or bound_replies(made) or bound_calls(made)) and is_settled and run:
        command = f'{ballast} budget --correct {run} --charged "<USD>" --reason "<why>"'
        words = "correct the charge, once you know what the attempts really cost, by the provider's bill"
        yield Command(command=command, words=words, only_deployed=True)


def _of_servers(made: Timeline) -> Iterator[Command]:
    """Yield what shows how a server differs from its pinned tools, and pins them anew."""
    for server, found in by_server(made).items():
        kind = found[0][1].unlike.kind if found[0][1].unlike else ""
        if _ID.fullmatch(server) and kind in ("openapi", "mcp", "lambda"):
            words = "see what the server says now, then pin the tool anew (--pin), and deploy"
            command = f'ballast import {kind} "<document or address>" --playbook . --name {server} --check'
            yield Command(command=command, words=words)


def _of_models(made: Timeline, ballast: str, run: str) -> Iterator[Command]:
    """Yield what shows why models refused, also those for which another one replied."""
    kinds = set(refusals(made, stopping=False))
    if kinds.intersection(("access", "not_found", "quota", "refused", "unasked")):
        words = "compare the models that the stack's role may call with those that agent.yaml names"
        yield Command(command="ballast models --check", words=words)
    if kinds.intersection(("not_found", "unasked")):
        words = "see whether each model of the playbook has a price and may be asked today"
        yield Command(command="ballast check", words=words)
    if kinds.intersection(("invalid", "refused")) and run:
        yield Command(command=f"{ballast} trace {run} --full", words="read the request that the model refused")


def _last(made: Timeline, ballast: str, run: str) -> Iterator[Command]:
    """Yield what shows the whole run."""
    if not run:
        return
    if shows := defect(made):
        words = f"make a regression test of it, since {shows}; with --expect you say what would have been right"
        # Of what the agent answered, only people know what was wrong with it.
        right = ' --expect "<what would have been right>"' if made.by == Planner.AGENT else ""
        yield Command(command=f"{ballast} capture {run}{right}", words=words)
    if open_complaints(made):
        command = f'{ballast} feedback {run} right --note "<what you found>"'
        words = "once it is mended, or was right: a later word of a reviewer or an operator takes it off the first line"
        yield Command(command=command, words=words)
    all_of_it = "see its request" if made.status == "refused" else "see every prompt, reply and call"
    if any(not_asked(made)):
        all_of_it += ", and each model that was passed over"
    if circuits := [*open_circuits(made), *open_models(made)]:
        names = ", ".join(named(one, 80) for one in circuits[:_FEW])
        all_of_it += f"; no command shows a circuit: look at {names}, and at what the newest runs say"
    yield Command(command=f"{ballast} trace {run} --full", words=all_of_it)
    if made.spent_microusd + made.reserved_microusd and not made.unreadable:
        yield Command(command=f"{ballast} cost {run}", words="see the cost by turn, tool and model")


def _effects(made: Timeline, moved: Mapping[Position, str], names: Names, ballast: str, run: str) -> Iterator[Command]:
    said = answered_by_a_person(made)
    person = f" ({said}; whether that is so, the log does not say)" if said else ""
    for turn, call in list(unknown_effects(made))[:_MOST]:
        name = names.short(turn, call)
        find = f"find out in the business's system whether {name} happened{person}"
        if not (money := moved.get((turn, call.index))):
            words = f"see its arguments and its key; {find}"
            yield Command(command=f"{ballast} trace {run} --full", words=words)
            continue
        words = (
            f"{find}; then settle its {money}, unless somebody has done so already (then it is refused). "
            "yes: they moved, and stay counted. no: they did not, and the hour and the day have room for them again"
        )
        command = f'{ballast} budget --move {run}.{turn:04d}.{call.index} --happened "<yes|no>"'
        yield Command(command=command, words=words, only_deployed=True)
        if ballast == "ballast":
            yield Command(command=f"{ballast} trace {run} --full", words=f"see its arguments and its key; {find}")


def _answers(made: Timeline, names: Names, ballast: str) -> Iterator[Command]:
    if made.status not in ("waiting", "open"):
        return
    for turn in made.turns[-1:]:
        for call in turn.calls[:_MOST]:
            if call.outcome != "waiting" or not call.approvals:
                continue
            if not (asked := _id(call.approvals[-1].escalation_id)):
                yield from _without_id(ballast)
            else:
                words = f"let {names(turn.turn, call)} be made"
                yield Command(command=f"{ballast} answer {asked} --approve", words=words)
                yield Command(command=f'{ballast} answer {asked} --reject --comment "<why>"', words="or reject it")
        open_ = turn.escalation is not None and not turn.escalation.by and turn.planner != Planner.REQUESTER
        if turn.escalation is not None and open_:
            asked = _id(turn.escalation.escalation_id)
            yield from _decision(turn, ballast, asked) if asked else _without_id(ballast)


def _without_id(ballast: str) -> Iterator[Command]:
    yield Command(command=f"{ballast} escalations", words="find what waits: its id in the log is none of Ballast's")


def _decision(turn: Turn, ballast: str, asked: str) -> Iterator[Command]:
    assert turn.escalation is not None
    more = ' --add-budget "<USD>"' if turn.escalation.reason in ("cost_limit", *_BREAKER) else ""
    words = "answer the caller yourself, and end the run"
    yield Command(command=f'{ballast} answer {asked} --say "<what to answer>"', words=words)
    command = f'{ballast} answer {asked} --back-to-agent --guidance "<what to do>"{more}'
    yield Command(command=command, words="or let the agent go on")


def _id(escalation_id: str) -> str:
    return escalation_id if _ID.fullmatch(escalation_id) else ""
