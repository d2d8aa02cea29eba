"""The causes of a run's outcome, the most important first, each as a clause that can follow "because".

One function a cause; ``causes`` has their order. Each reads the timeline only, and of it names, numbers and outcomes:
which causes there are, and which are told, never depends on the words of a message. Words are quoted.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ballast.contracts import Planner
from ballast.contracts.meaning import REFUSALS
from ballast.contracts.timeline import Approval, Call, Feedback, Pivot, Position, Signal, Timeline, Turn
from ballast.contracts.why import Cause, MoneyShare, TimeShare
from ballast.contracts.wire import canonical
from ballast.money.amounts import dollars
from ballast.values import dataclass
from ballast.why.approvals import anybody, rounds_told
from ballast.why.attempts import FAILED_MODEL, filtered, not_asked, stopped_by, told, tried
from ballast.why.ceilings import limit_of, place
from ballast.why.effects import (
    KEEPS,
    Names,
    found_out,
    inside,
    kept_in_rollback,
    left_standing,
    shown,
    undo_of,
    unrecorded_effects,
)
from ballast.why.feedback import looked_into
from ballast.why.money import FORBIDDEN, Miss, Spending, bound_calls, bound_replies
from ballast.why.other_runs import by_server
from ballast.why.words import QUOTED, clock, flat, meaning, named, percent, plain, planner_name, quoted, tool

#: Shares of the cost, in percent, from which the cache, the prompt's growth and the laps are causes.
_CACHE, _GROWTH, _LAPS = 10, 50, 20
#: More causes are counted and not told.
_MOST = 24
#: Tools that are named of the writes that stand, and people of those who say the same.
_FEW = 3
#: A provider's cache lives so long, at least, after its last use.
_CACHE_LIVES_S = 300
#: Turns of one kind that are told.
_SHOWN = 8
#: Characters of a result from which on it is large.
_LARGE = 20_000
#: Characters of a refusal's text: it says what to do at its end.
REFUSAL_CHARS = 480
#: The agents' own tool for a hand-over to another agent.
HAND_OVER = "hand_over"
#: A shorter run is not slow.
_SLOW_MS = 10_000
_BREAKER = ("breaker_open", "breaker_stopped")
#: Writes that outlived a rollback by their tools' declaration.
KEPT = "kept_in_rollback"
#: What people say of the run afterwards.
FEEDBACK = "feedback_wrong"
#: Reasons of the fallback and of the rollback themselves.
OWN_REASONS = (
    *("rollback_incomplete", "effect_frozen", "no_fallback", "fallback_gave_up", "fallback_failed"),
    *("planner_failed", "executor_failed", "effect_unknown", "history_limit", "deadline"),
)
#: What the workflow notes where a state took too long, or nobody answered: a reason beside it says so in words.
_TIMED_OUT = "States.Timeout"
#: The error's message says no more than its name does.
_PLAIN = ("UnknownTool", "ToolForbidden")
#: The rule that refuses a call, by the error's name. The gate refuses the rest.
RULES: Mapping[str, str] = {
    "Ungrounded": "grounding",
    "Tainted": "grounding",
    "ToolForbidden": "the loop rule",
    "RepeatRefused": "the repeat rule",
    "Unaffordable": "the cost ceiling",
    "MoveRefused": "the ceiling on the business's own money",
    "NotSigned": "the approval rule",
    "NotVouched": "the rule of scripts and undos",
}
#: Why a call was refused, by the error's name; {tool} is the tool.
REFUSED: Mapping[str, str] = {
    "UnknownTool": "there is no tool named {tool}",
    "MalformedArguments": "the arguments of {tool} were no JSON object",
    "SchemaViolation": "the arguments of {tool} did not fit its schema",
    "TooLarge": "the arguments of {tool} were too large",
    "RuleViolation": "a rule of {tool} does not allow the call",
    "Unaffordable": "{tool} could have cost more than the run had left",
    "MoveRefused": "a window of the business's own money had no room for {tool}",
    "Ungrounded": "{tool} named a value that neither the request nor a result names",
    "Tainted": "{tool} named a value that only untrusted text names",
    "ToolForbidden": "{tool} was forbidden because the agent repeated itself",
    "RepeatRefused": "{tool} was called again although nobody knows whether the first call happened",
    "NotSigned": "{tool} needs a person's signed approval and has none",
    "NotVouched": "nothing shows that the script or the rollback asked for {tool}",
}
#: Signals of loops in words, by their kind.
LOOPS = {
    "same_call": "it made the same call of {tool} {count} times",
    "cycle": "it repeated the same calls in the same order {count} times, {tool} among them",
    "near_equal": "it asked {tool} nearly the same {count} times",
    "same_error": "{tool} failed in the same way {count} times in a row",
    "write_spiral": "it wrote nearly the same with {tool} {count} times",
    "other_words": "it wrote about the same things with {tool} {count} times",
    "unchanged_result": "{tool} gave the same result for {count} different calls in a row",
}


@dataclass(frozen=True)
class Read:
    """What the causes are read from.

    ceilings  of turns in which a limit stopped the agent: what it allows and what was used, in words in brackets
    refusal   why it was not admitted, in words; "" if it was
    repeated  the calls that repeated earlier ones
    names     names of the calls
    changed   of calls whose approval became void: the facts that had changed, in words
    rewritten  turns of which the agent's instructions or tools were other ones than before
    """

    made: Timeline
    refusal: str
    ceilings: Mapping[int, str]
    repeated: frozenset[Position]
    names: Names
    changed: Mapping[Position, str]
    rewritten: frozenset[int]
    spending: Spending
    time: tuple[TimeShare, ...]

    def percent(self, microusd: int) -> int:
        """Return an amount as a share of the cost."""
        cost = self.made.spent_microusd + self.made.reserved_microusd
        return percent(microusd, cost)


def causes(read: Read) -> tuple[Cause, ...]:
    """Return the causes; those that say the same are one, and what a reached limit tells is not told again."""
    behind = {_identity(one) for turn in _stops(read.made) if (one := _behind(read, turn)) is not None}
    found: dict[tuple[str, str], Cause] = {}
    for one in _causes(read):
        if _identity(one) in behind:
            continue
        name = flat(one.name, 80)
        before = found.get((name, one.words))
        turns, calls = ({*before.turns}, {*before.calls}) if before is not None else (set(), set())
        merged = {"name": name, "turns": _turns({*one.turns} | turns), "calls": tuple(sorted({*one.calls} | calls))}
        found[name, one.words] = one.model_copy(update=merged)
    return tuple(found.values())


def bounded(found: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Return at most ``_MOST`` of the causes in their order, and how many more there are.

    The first of each name, then the second ones and so on: many of one kind push out none of another.
    """
    if len(found) <= _MOST:
        return found
    seen: Counter[str] = Counter()
    ranked = []
    for at, one in enumerate(found):
        ranked.append((seen[one.name], at))
        seen[one.name] += 1
    kept = sorted(at for _, at in sorted(ranked)[:_MOST])
    more = Cause(name="more", words=f"there are {len(found) - _MOST:,} more causes, see its trace")
    return (*(found[at] for at in kept), more)


def _identity(one: Cause) -> tuple[str, tuple[int, ...], tuple[Position, ...]]:
    return one.name, one.turns, one.calls


def _stops(made: Timeline) -> list[Turn]:
    """Return the turns after which another planner took over from the agent."""
    return [turn for turn in made.turns if turn.pivot and turn.pivot.giver == Planner.AGENT != turn.pivot.taker]


def _causes(read: Read) -> Iterator[Cause]:
    yield from _unreadable(read)
    yield from _not_admitted(read)
    yield from _cut_off(read)
    yield from _going_on(read)
    yield from _unknown_effects(read)
    stopped = _stops(read.made)
    for turn in reversed(stopped):
        yield from _stopped(read, turn)
    yield from _people(read)
    yield from _circuits(read)
    yield from _refused_calls(read)
    yield from _failed_calls(read)
    yield from _doubts(read)
    yield from _unlike(read)
    yield from _other_planners(read)
    yield from _standing(read)
    yield from _kept(read)
    yield from _failed_attempts(read)
    if not any(turn.pivot and turn.pivot.reason == "loop" for turn in stopped):
        yield from _laps(read)
    yield from _passed_over(read)
    yield from _bound(read)
    yield from _bound_calls(read)
    yield from _cache(read)
    yield from _agents(read)
    yield from _growth(read)
    yield from _slow(read)
    yield from _feedback(read)


# ── the log, the admission ───────────────────────────────────────────────────────────────────────────────────────


def _unreadable(read: Read) -> Iterator[Cause]:
    found = read.made.unreadable
    if not found:
        return
    by_reason: dict[str, list[str]] = defaultdict(list)
    for one in found[:_FEW]:
        by_reason[one.why].append(named(one.seq) or "one without a key")
    which = "; ".join(f"{' and '.join(keys)}: {quoted(why)}" for why, keys in by_reason.items())
    which += f"; and {len(found) - _FEW:,} more" if len(found) > _FEW else ""
    many = (
        "an entry of its log cannot be read" if len(found) == 1 else f"{len(found):,} entries of its log cannot be read"
    )
    words = f"{many}, so somebody or something changed it ({which})"
    yield Cause(name="log_unreadable", words=words, turns=_turns(one.turn for one in found))


def _not_admitted(read: Read) -> Iterator[Cause]:
    made = read.made
    if made.status == "refused":
        said, told = REFUSALS.get(made.reason), quoted(read.refusal, 2 * QUOTED)
        words = (
            (f"{said} ({told})" if told else said)
            if said
            else f"{told or 'the log does not say why'} ({named(made.reason)})"
        )
        yield Cause(name=made.reason or "NotAdmitted", words=words)


def _cut_off(read: Read) -> Iterator[Cause]:
    made = read.made
    if made.status not in ("aborted", "timed_out", "failed", "unanswered"):
        return
    last = made.turns[-1] if made.turns else None
    asked = last is not None and (
        (last.escalation is not None and not last.escalation.by) or any(one.outcome == "waiting" for one in last.calls)
    )
    while_ = " while it waited for people" if asked else f" in turn {last.turn}" if last else ""
    reason = f" ({meaning(made.reason)})" if made.reason else ""
    words = {
        "aborted": f"its execution was stopped{while_}",
        "timed_out": f"its execution lasted longer than it may{while_}",
        "failed": f"there is a defect in Ballast, or a run that could tell nobody{reason}",
        "unanswered": "nobody answered its escalation in time",
    }
    yield Cause(name=made.status, words=words[made.status], turns=(last.turn,) if last else ())


def _going_on(read: Read) -> Iterator[Cause]:
    """Yield the step that a run without an ending was in."""
    last = read.made.turns[-1] if read.made.turns else None
    if read.made.status != "open" or last is None:
        return
    asked = next((one for one in last.attempts if one.state == "open"), None)
    begun = next((call for call in last.calls if call.outcome == "open"), None)
    if asked is not None and last.decided is None:
        words = f"in turn {last.turn} the model {named(asked.model, 80)} was asked, and no reply is recorded"
    elif begun is not None:
        words = f"in turn {last.turn} {read.names(last.turn, begun)} has no outcome yet"
    else:
        return
    yield Cause(name="open", words=words, turns=(last.turn,))


# ── effects and the agent's end ──────────────────────────────────────────────────────────────────────────────────


def _unknown_effects(read: Read) -> Iterator[Cause]:
    settled = found_out(read.made)
    for turn, call in unrecorded_effects(read.made):
        name, why = read.names(turn, call), f": {quoted(call.message)}" if call.message else ""
        words = f"nobody knows whether {name} happened{why}"
        if found := settled.get((turn, call.index)):
            who = named(found.by, 60) or "an operator"
            what = "it happened" if found.happened else "it did not happen"
            words = f"it was unknown whether {name} happened{why}; later {who} found out that {what}"
        yield Cause(name="effect_unknown", words=words, turns=(turn,), calls=((turn, call.index),))


def _stopped(read: Read, turn: Turn) -> Iterator[Cause]:
    pivot = turn.pivot
    if pivot is None or pivot.taker == Planner.REQUESTER:
        return
    if pivot.reason == "effect_unknown" and any(unrecorded_effects(read.made)):
        return  # it is told with the effect
    yield Cause(name=pivot.reason or "stopped", words=_why_stopped(read, turn, pivot), turns=(turn.turn,))


def _why_stopped(read: Read, turn: Turn, pivot: Pivot) -> str:
    words = _own_words(read, turn, pivot)
    if not stopped_by(turn):
        return words
    failed = told(tried(turn.attempts), QUOTED)
    newest = turn.attempts[-1]
    if pivot.reason in (*FAILED_MODEL, newest.exit_reason):  # the attempts say it all
        return f"{failed}{_and_no_other(turn, newest.error)}"
    return f"{failed}, and then {words}"


def _and_no_other(turn: Turn, error: str) -> str:
    """Return what the planner noted besides the newest error: the models that it could not ask, and why."""
    note = turn.decided.note if turn.decided else ""
    if not error or not note.endswith(error):
        return ""
    rest = note.removesuffix(error).rstrip("; ")
    return f", and no other model could be asked ({quoted(rest)})" if rest else ""


def _noted(turn: Turn, pivot: Pivot) -> str:
    """Return what is noted with a hand-over, as a quotation; "" if its reason says it already."""
    noted = pivot.error or (turn.decided.note if turn.decided else "")
    return "" if noted == _TIMED_OUT else quoted(noted)


def _own_words(read: Read, turn: Turn, pivot: Pivot) -> str:
    reason = pivot.reason
    note = _noted(turn, pivot)
    if reason == "loop":
        return _loop(read, turn.turn)
    if reason in FAILED_MODEL:
        return f"{_since(read, turn)}no model could be asked{f' ({note})' if note else ''}"
    if reason in _BREAKER and turn.decided and (held := turn.decided.breaker):
        set_by = f", set by {named(held.by, 60)}" if held.by else ""
        why = f" ({quoted(held.reason)})" if held.reason else ""
        return (
            f"the spend breaker was at {named(held.mode, 40)}{set_by}{why}, so {_since(read, turn)}no model was called"
        )
    if stopped := filtered(turn, reason, QUOTED):
        return stopped
    limit = limit_of(reason)
    if limit:
        return _limit(read, turn, limit, reason)
    if reason == "answer_invalid" and (complaints := _complaints(read.made, turn)):
        return f"its answer was not sent: {quoted('; '.join(complaints), REFUSAL_CHARS)}"
    if reason == "planner_failed":
        late = "it took longer than it may" if pivot.error == _TIMED_OUT else note
        return f"the agent's function failed{f' ({late})' if late else ''}"
    return f"{meaning(reason) or 'the log does not say why'}{f' ({note})' if note else ''}"


def _since(read: Read, turn: Turn) -> str:
    """Return from when on no model was asked, if one was before."""
    asked = [one.turn for one in read.made.turns if one.attempts]
    if not asked or min(asked) > turn.turn:
        return ""
    if max(asked) > turn.turn:
        return f"in turn {turn.turn} "
    return f"from turn {turn.turn} on " if max(asked) < turn.turn else f"after the attempts of turn {turn.turn} "


def _complaints(made: Timeline, stopped: Turn) -> tuple[str, ...]:
    """Return why the newest answer that was not sent until that turn was not sent."""
    attempts = [one for turn in made.turns if turn.turn <= stopped.turn for one in turn.attempts if one.refused_answer]
    return attempts[-1].refused_answer if attempts else ()


def _limit(read: Read, turn: Turn, limit: str, reason: str) -> str:
    large = _unsent(read, turn, limit) if limit in _BY_TOKENS else ""
    if large and limit == "cost_microusd":
        return f"{meaning(reason)}{_place_of(read, turn)}; {large}"  # it has the amounts
    said = f"{meaning(reason)}{read.ceilings.get(turn.turn, '')}"
    if limit == "deadline_s" and read.time:
        most = read.time[0]
        share = percent(most.ms, sum(one.ms for one in read.time) or 1)
        if most.cause == "tool_attempts" and (doubted := _doubted_first(read)):
            return f"{doubted}, and checking it or trying it again took {share} % of the time; {said}"
        return f"{said}; {most_of('its time', most, share)}"
    if large:
        return f"{said}; {large}"
    if behind := _behind(read, turn):
        return f"{said}; {behind.words}"
    return said


def _doubted_first(read: Read) -> str:
    """Return which call was in doubt first, and why; "" if none was."""
    doubted = [(turn.turn, call) for turn in read.made.turns for call in turn.calls if call.doubts]
    if not doubted:
        return ""
    more = f" and of {_count(len(doubted) - 1, 'more call')}" if len(doubted) > 1 else ""
    turn, first = doubted[0]
    return f"the outcome of {read.names(turn, first)}{more} was in doubt ({quoted(first.doubts[0].message)})"


#: Limits that one large result may reach.
_BY_TOKENS = ("cost_microusd", "input_tokens_per_turn", "tokens_per_run")
#: What is behind a limit: the first kind of cause that there is.
_BEHIND: Mapping[str, Sequence[str]] = {
    "refused_calls": ("refused",),
    "tool_calls": ("laps", "refused", "failed", "calls"),
    "calls_per_tool": ("laps", "refused", "failed", "calls"),
    "turns": ("laps", "refused", "failed", "calls", "money"),
    "cost_microusd": ("money",),
    "tokens_per_run": ("money",),
    "input_tokens_per_turn": ("money",),
}


def _behind(read: Read, turn: Turn) -> Cause | None:
    """Return the cause that is told with the limit that stopped the agent in that turn; None if there is none."""
    limit = limit_of(turn.pivot.reason if turn.pivot else "")
    if limit in _BY_TOKENS and _unsent(read, turn, limit):
        return None
    kinds: Mapping[str, Callable[[Read], Iterator[Cause]]] = {
        "laps": _laps,
        "refused": _refused_calls,
        "failed": _failed_calls,
        "calls": lambda read: _calls_made(read, turn),
        "money": _most_money,
    }
    return next((one for kind in _BEHIND.get(limit, ()) for one in kinds[kind](read)), None)


def _calls_made(read: Read, stopped: Turn) -> Iterator[Cause]:
    """Yield the agent's calls up to that turn, where none of them explains the limit by itself."""
    found: dict[str, list[tuple[int, Call]]] = defaultdict(list)
    for turn in read.made.turns:
        for call in turn.calls if turn.planner == Planner.AGENT and turn.turn <= stopped.turn else ():
            found[call.tool].append((turn.turn, call))
    # Writes first: what was done in the world is worth more than how often something was read.
    most = sorted(found.values(), key=lambda calls: (not any(_wrote(one) for _, one in calls), -len(calls)))
    if not most:
        return
    every = [one for calls in most for one in calls]
    told = []
    for calls in most[:_FEW]:
        apart = len(calls) > 1 and len({canonical([one.arguments]) for _, one in calls}) == len(calls)
        told.append((tool(calls[0][1]), len(calls), "each with other arguments" if apart else ""))
    if len(most) == 1:
        ((name, _, how),) = told
        words = f"{_count(len(every), 'call')} of {name}{f', {how}' if how else ''}"
    else:
        parts = [f"{number:,} of {name}{f' ({how})' if how else ''}" for name, number, how in told]
        if others := most[_FEW:]:
            parts.append(f"{sum(map(len, others)):,} of {_count(len(others), 'other tool')}")
        words = f"{_count(len(every), 'call')}: {', '.join(parts[:-1])} and {parts[-1]}"
    words = f"until then it had made {words}"
    yield Cause(name="calls_made", words=words, turns=_turns(turn for turn, _ in every), calls=_at(every))


def _wrote(call: Call) -> bool:
    return call.effect == "write" and call.outcome in ("ok", "unknown", "open") and not call.repeats


def most_of(whose: str, part: MoneyShare | TimeShare, share: int) -> str:
    """Return that most of the money or the time has one cause; the largest of several parts may be less than most."""
    how = "most" if share > 50 else "the largest part"
    return f"{how} of {whose} went into {part.words} ({share} %)"


def _most_money(read: Read) -> Iterator[Cause]:
    if read.spending.shares:
        most = read.spending.shares[0]
        words = most_of("its money", most, read.percent(most.microusd))
        yield Cause(name=most.cause, words=words)


def _money_at(read: Read, turn: Turn) -> tuple[int, int | None]:
    """Return what was spent of the cost limit that stopped the agent, and the limit."""
    made = read.made
    tight = [one for one in (turn.decided.reached if turn.decided else ()) if one.limit == "cost_microusd"]
    if tight and tight[0].used is not None:
        return tight[0].used, tight[0].allowed
    return made.spent_microusd + made.reserved_microusd, made.ceilings.cost_microusd


def _place_of(read: Read, turn: Turn) -> str:
    """Return the cost limit with its place in brackets."""
    ceiling = _money_at(read, turn)[1]
    told = [place(one) for one in (turn.decided.reached if turn.decided else ()) if one.limit == "cost_microusd"]
    where = f"{' and '.join(told)}: " if told else ""
    return f" ({where}${dollars(ceiling)})" if ceiling is not None else ""


def _unsent(read: Read, stopped: Turn, limit: str) -> str:
    """Return in words the large result that no prompt has sent yet, if the money spent does not explain the limit."""
    made = read.made
    cost, ceiling = _money_at(read, stopped)
    if limit == "cost_microusd" and (ceiling is None or 2 * cost > ceiling):
        return ""
    asked = max((turn.turn for turn in made.turns if any(one.state == "responded" for one in turn.attempts)), default=0)
    sizes = [
        (call.left_out or len(json.dumps(call.result)), tool(call), turn.turn)
        for turn in made.turns
        if turn.turn >= asked
        for call in turn.calls
    ]
    size, name, at = max(sizes, default=(0, "", 0))
    if size < _LARGE:
        return ""
    would = (
        f"the next prompt would have had the result of {name} (turn {at}), {size:,} characters, in it, "
        "each of which counts as a token until the model has counted them"
    )
    if limit != "cost_microusd" or ceiling is None:
        return would
    last = next((one for turn in reversed(made.turns) for one in reversed(turn.attempts)), None)
    known = last is not None and 0 < last.reserved_microusd <= ceiling
    before = f" (for the attempt before, ${dollars(last.reserved_microusd)} was reserved)" if last and known else ""
    left = f"and so could have cost more than the ${dollars(ceiling - cost)} that was left{before}"
    return f"only ${dollars(cost)} was spent, but {would}, {left}"


def _loop(read: Read, stopped_in: int) -> str:
    signalled = [
        (one.signal, tool(one), one.error == FORBIDDEN)
        for turn in read.made.turns
        if turn.turn <= stopped_in
        for one in turn.calls
        if one.signal
    ]
    forbidden = ", was forbidden the tool" if any(one.step == "forbid" for one, _, _ in signalled) else ""
    if not signalled:
        return meaning("loop")
    # A call of a forbidden tool has no result: it counts for itself.
    signals = [one for one in signalled if not one[2]] or signalled
    signal, name, _ = max(signals, key=lambda one: (one[0].step == "forbid", one[0].count))
    again = sum(
        call.error == FORBIDDEN and call.outcome == "refused"
        for turn in read.made.turns
        if turn.turn <= stopped_in
        for call in turn.calls
    )
    went_on = f" and went on ({_count(again, 'more call')} of it {'was' if again == 1 else 'were'} refused)"
    said = LOOPS.get(signal.kind, "it repeated itself with {tool}").format(tool=name, count=signal.count)
    if signal.kind == "same_error":
        said += _same_error(read.made, signal)
    return f"the agent repeated itself: {said}; it was told so{forbidden}{went_on if again else ' and went on'}"


def _same_error(made: Timeline, signal: Signal) -> str:
    """Return the error that the first of the repeated calls had, in brackets."""
    found = [(turn.turn, call) for turn in made.turns for call in turn.calls if (turn.turn, call.index) == signal.first]
    for turn, call in found:
        said = refusal(made, turn, call)
        if call.outcome == "refused":
            said = f"refused by {RULES.get(call.error, 'the gate')}{f': {said}' if said else ''}"
        return f" ({said})" if said else ""
    return ""


# ── people, tools, other planners ────────────────────────────────────────────────────────────────────────────────


def _feedback(read: Read) -> Iterator[Cause]:
    """Yield what people say of the run afterwards, as one cause: many of them push out nothing."""
    given = read.made.feedback
    wrong, right = ([one for one in given if one.verdict == verdict] for verdict in ("wrong", "right"))
    if not wrong:
        return
    who = f"a person, {named(wrong[-1].by, 60)}, says"
    words = _said(wrong, who, "it was wrong", wrong[-1:])
    if right:
        looked = looked_into(read.made)
        later = "later " if given.index(right[0]) > given.index(wrong[-1]) else ""
        who = f"{named(right[-1].by, 60)} says"
        words += f"; {later}{_said(right, who, 'it was right', [*right[-1:], *([looked] if looked else [])])}"
    yield Cause(name=FEEDBACK, words=words)


def _said(given: Sequence[Feedback], alone: str, what: str, with_notes: Sequence[Feedback]) -> str:
    """Return what several people say, a few of them by name; with the notes of some."""
    notes = [f": {quoted(one.note)}" if one.note and one in with_notes else "" for one in given]
    if len(given) == 1:
        return f"{alone} that {what}{notes[0]}"
    shown = [f"{named(one.by, 60)}{note}" for one, note in zip(given, notes, strict=True)]
    others = [one for one in shown[:-1] if len(given) <= _FEW]
    return f"{len(given):,} people say that {what} ({'; '.join([*others, f'the newest, {shown[-1]}'])})"


def _people(read: Read) -> Iterator[Cause]:
    for turn in reversed(read.made.turns):
        for call in turn.calls:
            last = call.approvals[-1] if call.approvals else None
            if last is None:
                continue
            where, at = (turn.turn,), ((turn.turn, call.index),)
            goes_on = read.made.status in ("waiting", "open")
            before = rounds_told(call.approvals, goes_on=goes_on)
            if last.silent and anybody(call.approvals):
                words = f"{read.names(turn.turn, call)} did not get the approvals that it needs in time: {before}"
                yield Cause(name="approval_unanswered", words=words, turns=where, calls=at)
            elif last.silent:
                until = f" (until {clock(last.answer_by)})" if last.answer_by else ""
                words = f"nobody answered the request to approve {read.names(turn.turn, call)} in time{until}"
                yield Cause(name="approval_unanswered", words=words, turns=where, calls=at)
            elif last.approve is False:
                said = f": {quoted(last.comment)}" if last.comment else ""
                who = f"a person, {named(last.by, 60)}," if last.by else "a person"
                words = f"{who} rejected {read.names(turn.turn, call)}{said}{f' (before: {before})' if before else ''}"
                yield Cause(name="approval_rejected", words=words, turns=where, calls=at)
            elif call.outcome == "waiting":
                because = f", because {quoted('; '.join(last.why))}" if last.why else ""
                needs = "needs" if goes_on else "waited for"
                words = f"the call {read.names(turn.turn, call)} {needs} an approval{because}"
                words += f" ({before})" if before else ""
                yield Cause(name="approval_required", words=words, turns=where, calls=at)
            for one in call.approvals:  # after what became of the call: a void approval was asked for again
                if one.void:
                    changed = read.changed.get((turn.turn, call.index), "")
                    words = f"{void(one, read.names(turn.turn, call))}{f' ({changed})' if changed else ''}"
                    yield Cause(name="approval_void", words=words, turns=where, calls=at)


def _circuits(read: Read) -> Iterator[Cause]:
    by_circuit: dict[str, list[tuple[int, Call]]] = defaultdict(list)
    for turn in read.made.turns:
        for call in turn.calls:
            if call.circuit:
                by_circuit[call.circuit].append((turn.turn, call))
    for name, found in by_circuit.items():
        tools = _listed(read.names(turn, call) for turn, call in found)
        were = "was" if len(found) == 1 else "were"
        words = (
            f"the circuit of {named(name, 64)} was open, since it had failed too often, so {tools} {were} not executed"
        )
        yield Cause(name="circuit_open", words=words, turns=_turns(turn for turn, _ in found), calls=_at(found))


def _doubts(read: Read) -> Iterator[Cause]:
    for turn in read.made.turns:
        for call in turn.calls:
            if call.doubts and call.outcome in ("ok", "failed", "denied"):
                words = (
                    f"the outcome of {read.names(turn.turn, call)} was in doubt at first "
                    f"({quoted(call.doubts[-1].message)}); {_proved(call)}"
                )
                yield Cause(name="call_doubted", words=words, turns=(turn.turn,), calls=((turn.turn, call.index),))


def _unlike(read: Read) -> Iterator[Cause]:
    """Yield the servers that answered otherwise than they were pinned, whatever became of the calls."""
    for server, found in by_server(read.made).items():
        names = _listed(read.names(turn, call) for turn, call in found)
        them = "it was" if len(found) == 1 else "they were"
        words = (
            f"the server {named(server)} answered {names} otherwise than {them} pinned in servers/{named(server)}.yaml"
        )
        yield Cause(name="server_changed", words=words, turns=_turns(turn for turn, _ in found), calls=_at(found))


def _proved(call: Call) -> str:
    """Return how a call in doubt came out, and what shows it."""
    tries = _count(len(call.doubts), "attempt")
    if call.outcome != "ok":
        return f"it did not happen: {tries} ended in doubt, and a later check or attempt showed so"
    result = f" (its result: {quoted(plain(call.result), 80)})" if call.result else ""
    return f"it happened once: {tries} ended in doubt, and a later check or attempt showed so{result}"


def _refused_calls(read: Read) -> Iterator[Cause]:
    by_error: dict[tuple[str, str], list[tuple[int, Call]]] = defaultdict(list)
    for turn in read.made.turns:
        for call in turn.calls:
            if call.outcome == "refused" and call.error != "ToolForbidden":
                by_error[call.error, call.tool].append((turn.turn, call))
    for (error, _), found in sorted(by_error.items(), key=lambda one: -len(one[1])):
        call = found[-1][1]
        name = read.names(found[-1][0], call) if len(found) == 1 else tool(call)
        why = REFUSED[error].format(tool=name) if error in REFUSED else f"{name} was refused ({named(error, 60)})"
        if error == "UnknownTool" and (agent := _agent_of(read.made, found)):
            why = f"{agent} is offered no tool named {name}"
        said = "" if error in _PLAIN else _refusals(read.made, found)
        message = f" ({said})" if said else ""
        were = "was" if len(found) == 1 else "were"
        words = f"{_count(len(found), 'call')} {were} refused by {RULES.get(error, 'the gate')}: {why}{message}"
        yield Cause(name=error or "refused", words=words, turns=_turns(turn for turn, _ in found), calls=_at(found))


def _agent_of(made: Timeline, found: Sequence[tuple[int, Call]]) -> str:
    """Return the agent whose calls these are, for a sentence; "" if another planner made one of them.

    A tool that an agent is not offered may well be in the playbook: another agent's, or an undo.
    """
    turns = {turn.turn: turn for turn in made.turns}
    if any(turns[at].planner != Planner.AGENT for at, _ in found):
        return ""
    names = {turns[at].by_agent or made.agent for at, _ in found}
    return f"the agent {named(names.pop(), 80)}" if len(names) == 1 and all(names) else "the agent"


def refused_hand_over(made: Timeline, cause: Cause) -> bool:
    """Whether the cause is that the agent could not hand over to another one."""
    calls = {(turn.turn, call.index): call for turn in made.turns for call in turn.calls}
    found = [calls.get(at) for at in cause.calls]
    return bool(found) and all(one is not None and one.tool == HAND_OVER and one.outcome == "refused" for one in found)


def _refusals(made: Timeline, found: Sequence[tuple[int, Call]]) -> str:
    """Return the newest refusal's text, behind what the few before it were refused for where that is not the same."""
    newest = refusal(made, *found[-1])
    if found[-1][1].sourceless:
        values = (_sourceless(call) for _, call in found[:-1])
    else:
        values = (quoted(call.message.removeprefix(f"{call.tool}: "), QUOTED) for _, call in found[:-1])
    before = [one for one in dict.fromkeys(values) if one and not newest.startswith(one.rstrip('."…'))]
    return "; ".join([*before[-_FEW + 1 :], *([newest] if newest else [])])


def _sourceless(call: Call) -> str:
    """Return the arguments whose values have no source: ``amount_usd 93.00``."""
    values = ", ".join(f"{named(path, 60)} {shown(inside(call.arguments, path))}" for path in call.sourceless[:_FEW])
    return f"{values}, and {len(call.sourceless) - _FEW} more" if len(call.sourceless) > _FEW else values


def refusal(made: Timeline, turn: int, call: Call) -> str:
    """Return the text of a refusal, behind the values that have no source.

    Of a hand-over the gate names what may be wrong, the run's log what was.
    """
    if call.tool == HAND_OVER and call.error == "RuleViolation":
        arguments = call.arguments if isinstance(call.arguments, Mapping) else {}
        taker = arguments.get("agent")
        before, by, calls = _handed_over_before(made, turn, taker)
        if before:
            who = f"the agent {named(by, 80)} had handed over to the agent {named(str(taker), 80)}"
            return f"{who} in turn {before}, and may do so once"
        if calls > 1:
            return "it was not the only call of its turn"
    said = quoted(call.message.removeprefix(f"{call.tool}: "), REFUSAL_CHARS)
    if not call.sourceless:
        return said
    values = _sourceless(call)
    return f"{values}: {said}" if said else values


def _handed_over_before(made: Timeline, turn: int, taker: Any) -> tuple[int, str, int]:
    """Return the turn in which the agent had handed over to ``taker``, or 0; the agent; and the turn's calls."""
    now = next(one for one in made.turns if one.turn == turn)
    before = 0
    for one in made.turns:
        if one.turn >= turn:
            break
        if one.planner == Planner.PERSON and one.decided and one.decided.kind == "hand_over":
            before = 0  # what people hand back begins anew
        elif one.pivot and one.pivot.to_agent and (one.pivot.from_agent, one.pivot.to_agent) == (now.by_agent, taker):
            before = one.turn
    return before, now.by_agent, len(now.calls)


def _failed_calls(read: Read) -> Iterator[Cause]:
    by_tool: dict[str, list[tuple[int, Call]]] = defaultdict(list)
    for turn in read.made.turns:
        for call in turn.calls:
            if call.outcome == "failed" and not call.circuit:
                by_tool[call.tool].append((turn.turn, call))
    for failed in by_tool.values():
        call = failed[-1][1]
        many = f"{len(failed):,} calls of {tool(call)}"
        if len(failed) == 1:
            undoes = f", the undo of turn {call.undoes[0]}, call {call.undoes[1]}," if call.undoes else ""
            many = f"the call {read.names(failed[0][0], call)}{undoes}"
        message = f" ({quoted(call.message)})" if call.message else ""
        turns = _turns(turn for turn, _ in failed)
        yield Cause(name="tool_failed", words=f"{many} failed{message}", turns=turns, calls=_at(failed))


def _other_planners(read: Read) -> Iterator[Cause]:
    """Yield what stopped the planners after the agent."""
    for turn in read.made.turns:
        pivot = turn.pivot
        if pivot is None or pivot.giver not in (Planner.FALLBACK, Planner.ROLLBACK):
            continue
        if pivot.reason not in OWN_REASONS:
            continue  # an orderly end, or the reason of the planner before
        if pivot.reason == "effect_unknown" and any(unrecorded_effects(read.made)):
            continue  # it is told with the effect
        note = _noted(turn, pivot)
        words = f"{planner_name(pivot.giver)} handed over: {meaning(pivot.reason)}{f' ({note})' if note else ''}"
        yield Cause(name=pivot.reason, words=words, turns=(turn.turn,))


def _standing(read: Read) -> Iterator[Cause]:
    """Yield the writes that stand although the run has no answer, or a rollback could not undo them."""
    found = left_standing(read.made)
    if not found:
        return
    these, it = ("the write", "it") if len(found) == 1 else (f"{len(found):,} writes,", "them")
    names = _listed(read.names.short(turn, call) for turn, call in found)
    undos = "; ".join(dict.fromkeys(undo_of(read.made, turn, call) for turn, call in found[:_FEW]))
    comma = "" if len(found) == 1 else ","
    words = f"{these} {names}{comma} happened, and nothing has undone {it} ({undos})"
    yield Cause(name="effects_stand", words=words, turns=_turns(turn for turn, _ in found), calls=_at(found))


def _kept(read: Read) -> Iterator[Cause]:
    """Yield the writes that a rollback left as they were, since their tools say so."""
    found = kept_in_rollback(read.made)
    if not found:
        return
    names = _listed(read.names(turn, call) for turn, call in found)
    words = f"the write {names} happened before the rollback, and it stands: {KEEPS}"
    if len(found) > 1:
        why = KEEPS.replace("its tool keeps it", "their tools keep them")
        words = f"{len(found):,} writes, {names}, happened before the rollback, and they stand: {why}"
    yield Cause(name=KEPT, words=words, turns=_turns(turn for turn, _ in found), calls=_at(found))


# ── cost ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _failed_attempts(read: Read) -> Iterator[Cause]:
    """Yield the attempts that failed in turns of which they are not the cause that the agent was stopped for."""
    found = [
        (turn, one)
        for turn in read.made.turns
        if not (turn in _stops(read.made) and stopped_by(turn))
        for one in turn.attempts
        if one.state == "failed"
    ]
    if not found:
        return
    cost = sum(one.charged_microusd for _, one in found)
    stays = "it" if len(found) == 1 else "them"
    charged = f"; ${dollars(cost)} stays charged for {stays}" if cost else ""
    failed = {(turn.turn, one.model) for turn, one in found}
    replied = (
        one.model
        for turn in dict.fromkeys(turn.turn for turn, _ in found)
        for one in next(made for made in read.made.turns if made.turn == turn).attempts
        if one.state == "responded" and (turn, one.model) not in failed
    )
    others = ", ".join(dict.fromkeys(named(one, 80) for one in replied))
    instead = f"; then {others} replied" if others else ""
    groups = told(tried((one for _, one in found), together=True), QUOTED)
    words = f"{_count(len(found), 'attempt')} at the model failed: {groups}{instead}{charged}"
    yield Cause(name="attempts_failed", words=words, turns=_turns(turn.turn for turn, _ in found))


def _laps(read: Read) -> Iterator[Cause]:
    share = read.percent(read.spending.of("loop_laps"))
    if share >= _LAPS:
        made = [call for turn in read.made.turns for call in turn.calls if (turn.turn, call.index) in read.repeated]
        calls = f"{_count(len(read.repeated), 'call')} of {_listed(map(tool, made))}"
        failed_alike = all(call.signal is None or call.signal.kind == "same_error" for call in made)
        failed_alike &= not any(call.repeats or call.error == FORBIDDEN for call in made)
        which = "failed in the same way as earlier ones" if failed_alike else "repeated earlier calls"
        words = f"{share} % of its cost went into {calls} that {which}"
        turns = _turns(at[0] for at in read.repeated)
        yield Cause(name="loop_laps", words=words, turns=turns, calls=tuple(sorted(read.repeated)))


def _passed_over(read: Read) -> Iterator[Cause]:
    """Yield the models that were not asked, and those that were. The run's usual model stands in for none."""
    found: dict[tuple[str, str], list[tuple[Turn, str]]] = defaultdict(list)
    asked = {one.model for turn in read.made.turns for one in turn.attempts}
    for turn, attempt, model, why in not_asked(read.made):
        found[model, why].append((turn, attempt.model))
    for (model, why), others in found.items():
        names = ", ".join(dict.fromkeys(named(name, 80) for _, name in others if name != model))
        usual = read.made.model
        stood_in = model == usual and all(name != usual for _, name in others)
        instead = f", and {names} {'stood in' if stood_in else 'was asked'}" if names else ""
        because = f" ({quoted(why)})" if why else ""
        again = " again" if model in asked else ""
        words = f"the model {named(model, 80)} was not asked{again}{because}{instead}"
        yield Cause(name="model_passed_over", words=words, turns=_turns(turn.turn for turn, _ in others))


def _bound(read: Read) -> Iterator[Cause]:
    """Yield the replies that are charged at their bound, because their usage is missing or cannot be right."""
    found = bound_replies(read.made)
    if not found:
        return
    cost = sum(one.charged_microusd for _, one in found)
    why = "; ".join(dict.fromkeys(one.bound_because for _, one in found))
    them, they = ("it", "it") if len(found) == 1 else ("them", "they")
    words = (
        f"{_count(len(found), 'reply', 'replies')} came without a usage that can be right ({quoted(why)}): "
        f"${dollars(cost)} is charged for {them}, the most that {they} could have cost"
    )
    yield Cause(name="bound_replies", words=words, turns=_turns(turn for turn, _ in found))


def _bound_calls(read: Read) -> Iterator[Cause]:
    """Yield the calls of paid tools that are charged at their bound, because nobody said what they cost."""
    found = bound_calls(read.made)
    if not found:
        return
    cost = sum(one.charged_microusd for _, _, one in found)
    tools = _listed(tool(call) for _, call, _ in found)
    at = tuple(sorted({(turn, call.index) for turn, call, _ in found}))
    them, they = ("it", "it") if len(at) == 1 else ("them", "they")
    words = (
        f"{_count(len(at), 'call')} of {tools} failed without saying what {they} cost: "
        f"${dollars(cost)} is charged for {them}, the most that {they} could have cost"
    )
    yield Cause(name="bound_calls", words=words, turns=_turns(turn for turn, _, _ in found), calls=at)


def _cache(read: Read) -> Iterator[Cause]:
    missed = read.spending.misses
    share = read.percent(read.spending.of("cache_misses"))
    if not missed or share < _CACHE:
        return
    changed = [one for one in missed if one.turn in read.rewritten]
    expired = [one for one in missed if one not in changed and not one.cold and (one.pause_s or 0) >= _CACHE_LIVES_S]
    cold = [one for one in missed if one not in changed and one.cold]
    rest = [one for one in missed if one not in (*changed, *expired, *cold)]
    why = []
    if changed:
        at = _in_turns(changed[:1]).removeprefix("in ")
        why.append(f"the agent's instructions or tools had changed by {at}, as after a deployment")
    if expired:
        least = min(one.pause_s or 0 for one in expired) // 60
        more = " or more" if len(expired) > 1 else ""
        why.append(f"{least:,} min{more} passed before the attempt {_in_turns(expired)}")
    turns = [one.turn for one in missed]
    served = any(
        turn.turn > turns[0] and turn.turn not in turns and any(one.state == "responded" for one in turn.attempts)
        for turn in read.made.turns
    )
    did = (
        f"did not serve the prompt {_in_turns(missed)}"
        if served
        else f"stopped serving the prompt from turn {turns[0]} on"
    )
    words = (
        f"{' and '.join(why)}{', so ' if why else ''}the provider's cache {did}: "
        f"{sum(one.tokens for one in missed):,} tokens were paid for again, {share} % of the cost"
    )
    if cold:
        words += f" ({_in_turns(cold)} because the attempt before had put nothing into the cache)"
    if rest and why:
        words += f" ({_in_turns(rest)} for a reason that the log does not show)"
    yield Cause(name="cache_misses", words=words, turns=_turns(one.turn for one in missed))


def _in_turns(missed: Sequence[Miss]) -> str:
    turns = list(dict.fromkeys(one.turn for one in missed))
    told = ", ".join(map(str, turns[:_SHOWN]))
    return f"in turn{'' if len(turns) == 1 else 's'} {told}{', …' if len(turns) > _SHOWN else ''}"


def _agents(read: Read) -> Iterator[Cause]:
    found = [(turn, turn.pivot) for turn in read.made.turns if turn.pivot and turn.pivot.to_agent]
    if not found:
        return
    told = []
    for turn, pivot in found[:_FEW]:
        note = quoted(turn.decided.guidance if turn.decided else "", 80)
        names = f"{named(pivot.from_agent, 80)} handed over to the agent {named(pivot.to_agent, 80)}"
        said = f" ({note})" if note else ""
        told.append(f"the agent {names} in turn {turn.turn}{said}")
    more = f", and {len(found) - _FEW:,} more times" if len(found) > _FEW else ""
    words = ", then ".join(told) + more
    yield Cause(name="another_agent", words=words, turns=_turns(turn.turn for turn, _ in found))


def _growth(read: Read) -> Iterator[Cause]:
    share = read.percent(read.spending.of("prompt_growth"))
    sizes = [one.prompt_tokens for turn in read.made.turns for one in turn.attempts if one.state == "responded"]
    if share >= _GROWTH and sizes:
        words = f"{share} % of its cost is the growing prompt: {sizes[0]:,} tokens at first, {max(sizes):,} at most"
        yield Cause(name="prompt_growth", words=words)
    if share >= _GROWTH and (step := _largest_step(read.made)):
        turn, came, tokens = step
        words = (
            f"{tokens:,} tokens of the prompt came at once, with {came} (turn {turn}), "
            "and were sent again in each later prompt"
        )
        yield Cause(name="prompt_step", words=words, turns=(turn,))


def _largest_step(made: Timeline) -> tuple[int, str, int] | None:
    """Return the turn whose results lengthened the next prompt more than all others, with what came and its tokens."""
    asked = [(turn, one) for turn in made.turns for one in turn.attempts if one.state == "responded"]
    steps = [
        (after.prompt_tokens - one.prompt_tokens, turn)
        for (turn, one), (later, after) in pairwise(asked)
        if (turn.by_agent, one.model) == (later.by_agent, after.model)
    ]
    if len(steps) < 2:
        return None
    largest, turn = max(steps, key=lambda step: step[0])
    if not turn.calls or 2 * largest <= sum(tokens for tokens, _ in steps if tokens > 0):
        return None
    names = ", ".join(dict.fromkeys(map(tool, turn.calls)))
    return turn.turn, f"the result{'' if len(turn.calls) == 1 else 's'} of {names}", largest


def _slow(read: Read) -> Iterator[Cause]:
    whole = sum(one.ms for one in read.time)
    if whole < _SLOW_MS:
        return
    most = read.time[0]
    if most.cause not in ("model", "tools", "workflow") and 2 * most.ms > whole:
        words = f"{percent(most.ms, whole)} % of its time went into {most.words}"
        yield Cause(name=f"time_{most.cause}", words=words, turns=most.turns)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


#: What an approval is bound to, by the name in the log.
_BOUND = {
    "precondition": "the facts that it relied on (its precondition)",
    "arguments": "the arguments",
    "policy": "the playbook's code or rules",
    "cost": "its declared cost",
    "signature": "its signature",
    "binding": "what people were asked",
    "call": "the call that people were shown",
    "approvals": "the number of people who must approve",
}


def void(one: Approval, name: str) -> str:
    """Return in words that an approval became void, and why."""
    by = f" by {named(one.by, 60)}" if one.by else ""
    changed = ", ".join(dict.fromkeys(_BOUND.get(part, named(part, 80)) for part in one.void))
    return f"the approval of {name}{by} became void, because this had changed: {changed}"


def _listed(names: Iterable[str]) -> str:
    """Return a few names, and how many more there are."""
    all_of_them = list(dict.fromkeys(names))
    more = f" and {len(all_of_them) - _FEW:,} more" if len(all_of_them) > _FEW else ""
    return f"{', '.join(all_of_them[:_FEW])}{more}"


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def _at(found: Iterable[tuple[int, Call]]) -> tuple[Position, ...]:
    return tuple(sorted((turn, call.index) for turn, call in found))


def _turns(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({number for number in numbers if number}))
