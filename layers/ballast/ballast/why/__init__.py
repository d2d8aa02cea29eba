"""The report on why a run ended so, computed from its log alone: no clock, no model.

::

    run.timeline() ─▶ laps ─▶ money ┐
                          └─▶ time  ├─▶ causes ─▶ sentence     ┐
                                    └─▶ whether to act, and how ├─▶ Why
    what it did, decisions, unknown, sooner ───────────────────┘

``contracts.why`` has the form of the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ballast.contracts import Planner
from ballast.contracts.timeline import Timeline
from ballast.contracts.why import Cause, Why
from ballast.log.event import GARBLED
from ballast.log.events import CallIntended, ModelRequested, RunEnded, RunOpened, RunRefused, RunSettled
from ballast.money.amounts import dollars
from ballast.run import Run
from ballast.why.advice import act, answer_by, to_type, unknown
from ballast.why.causes import FEEDBACK, KEPT, OWN_REASONS, Read, bounded, causes, refused_hand_over
from ballast.why.ceilings import ceilings
from ballast.why.decisions import decisions
from ballast.why.effects import Names, did, shown
from ballast.why.money import laps, spending
from ballast.why.sooner import Sooner, Stops, from_log, is_usable, is_worth_it
from ballast.why.time import durations
from ballast.why.words import flat, named, planner_name

__all__ = ["Sooner", "Stops", "explained", "from_log"]

_ENDED_SO = {
    "unanswered": "the run ended without an answer",
    "failed": "the run failed",
    "aborted": "the run was aborted",
    "timed_out": "the run timed out",
    "refused": "the run was not admitted, and nothing was spent",
    "corrupt": "the run's status cannot be read",
}
#: The ending itself: what led to it is told first.
_ENDINGS = ("unanswered", "aborted", "timed_out")
#: Causes that are told of a run whose log was changed.
_OF_A_CHANGED_LOG = (
    *("log_unreadable", "effect_unknown", "effects_stand", "unanswered", "failed", "aborted", "timed_out"),
    FEEDBACK,
)
#: Causes that came before another one, by the name of that one.
_BEFORE = {"approval_rejected": "approval_void", "approval_unanswered": "approval_void"}
#: Characters of the caller's words, and of the sentence; what else is known is among the causes.
_REQUEST, _SENTENCE = 200, 900
#: At most so many changed facts of an approval are told.
_FACTS = 4


def explained(run: Run, made: Timeline, *, stack: str = "", sooner: Sooner = from_log) -> Why:
    """Return the report on ``run``, whose timeline is ``made``.

    ``stack``: name of the deployed stack, for the commands to type; "" for the local cloud.
    """
    shown, repeated, limits = run.as_shown, laps(made), _limits(run)
    spent, time = spending(made, repeated), durations(made, shown, repeated)
    names, moved = Names(made), _moved(shown)
    stops = Stops() if made.unreadable else sooner(shown, made)
    worth = tuple(one for one in stops.found if is_worth_it(one, made) and is_usable(one, made, repeated))
    reached = ceilings(shown, made, limits)
    found = causes(
        Read(made, _refusal(run), reached, repeated, names, _changed(shown, made), _rewritten(run, made), spent, time)
    )
    if made.unreadable:  # what a changed log says of loops and of cost leads away from the change
        found = tuple(one for one in found if one.name in _OF_A_CHANGED_LOG)
    said, in_it = _outcome(made, found, names)
    told = tuple(
        one.model_copy(update={"words": _sentence(one.words), "in_sentence": one in in_it}) for one in bounded(found)
    )
    must_act, to_do = act(made, moved, names)
    return Why(
        run_id=made.run_id,
        status=made.status,
        must_act=must_act,
        act=to_do,
        sentence=said,
        request=_request(made),
        requested_by=made.requested_by,
        intent=made.intent,
        tenant=made.tenant,
        opened_at=made.opened_at,
        ended_at=made.ended_at,
        answer_by=answer_by(made),
        did=tuple(did(made)),
        causes=told,
        unknown=tuple(unknown(made, moved, names, settled=_is_settled(run, made))),
        to_type=to_type(made, moved, names, stack),
        cost_microusd=made.spent_microusd + made.reserved_microusd,
        ceiling_microusd=made.ceilings.cost_microusd,
        money=spent.shares,
        duration_ms=made.duration_ms if made.duration_ms is not None and made.duration_ms >= 0 else None,
        time=time,
        sooner=worth,
        sooner_note=stops.note if worth or stops.failed else "",
        decisions=tuple(decisions(made, reached, repeated, names)),
    )


def _limits(run: Run) -> Mapping[str, Any]:
    try:
        opened = run.fact(RunOpened)
    except GARBLED:
        return {}
    return opened.limits if opened and isinstance(opened.limits, Mapping) else {}


def _refusal(run: Run) -> str:
    try:
        refused = run.fact(RunRefused)
    except GARBLED:
        return ""
    return refused.message if refused else ""


def _changed(run: Run, made: Timeline) -> dict[tuple[int, int], str]:
    """Return what had changed of the facts that approvals relied on: ``state: at sea, then berthed``."""
    found: dict[tuple[int, int], str] = {}
    for turn in made.turns:
        for call in turn.calls:
            if any("precondition" in one for approval in call.approvals for one in approval.void):
                with suppress(*GARBLED):
                    found[turn.turn, call.index] = _between(run, turn.turn, call.index)
    return found


def _rewritten(run: Run, made: Timeline) -> frozenset[int]:
    """Return the turns of which the agent's instructions or tools were other ones than those it was asked with before.

    An event has them only where they differ from the request before, which may be another agent's.
    """
    agents = {turn.turn: turn.by_agent for turn in made.turns}
    system, tools = None, None
    of_agent: dict[tuple[str, str], Any] = {}
    found = set()
    try:
        for asked in run.facts(ModelRequested):
            system, tools = asked.system or system, asked.tools or tools
            key = agents.get(asked.turn, ""), asked.model
            if of_agent.setdefault(key, (system, tools)) != (system, tools):
                found.add(asked.turn)
            of_agent[key] = system, tools
    except GARBLED:
        return frozenset()
    return frozenset(found)


def _moved(run: Run) -> dict[tuple[int, int], str]:
    """Return what each call moves of the business's own money, in words."""
    try:
        begun = {one.at: one.moves for one in run.facts(CallIntended) if one.moves is not None}
        return {at: f"{dollars(move.micro)} {named(move.unit or '', 20)}".rstrip() for at, move in begun.items()}
    except GARBLED:
        return {}


def _between(run: Run, turn: int, index: int) -> str:
    for round_ in reversed(run.approvals(turn, index)):
        if round_.void is None or round_.needed is None:
            continue
        before, after = ((bound or {}).get("precondition") for bound in (round_.needed.binding, round_.void.binding))
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            return ""
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)][:_FACTS]
        return "; ".join(
            f"{named(str(name), 40)}: {shown(before.get(name))}, then {shown(after.get(name))}" for name in names
        )
    return ""


def _is_settled(run: Run, made: Timeline) -> bool:
    """Whether there is nothing left to settle: no ending yet, no lease, or the settlement is recorded."""
    names = {event.name for event in run}
    return RunEnded.NAME not in names or RunSettled.NAME in names or made.money.leased_microusd is None


def _outcome(made: Timeline, found: tuple[Cause, ...], names: Names) -> tuple[str, list[Cause]]:
    """Return the first cause, what followed from it, and the outcome in one sentence; and the causes in it.

    What people say of the run afterwards is later than its outcome: it stands at the end, and goes first.
    """
    main, told = _chain(made, found)
    said = [one for one in found if one.name == FEEDBACK]
    ending = _ended(made, names)
    while len(told) > 1 and sum(len(one.words) for one in told) + len(ending) > _SENTENCE:
        loose = [one for one in told if one is not main and one.name not in ("effects_stand", KEPT)]
        told.remove(next(iter(loose or [one for one in told if one is not main])))
    if sum(len(one.words) for one in (*told, *said)) + len(ending) > _SENTENCE:
        said = []
    words = [*(one.words for one in told), ending, *(f"afterwards {one.words}" for one in said)]
    return _sentence("; ".join(words)), [*told, *said]


def _chain(made: Timeline, found: tuple[Cause, ...]) -> tuple[Cause | None, list[Cause]]:
    """Return the main cause, and the causes of the outcome in the order in which they came to be.

    Writes that were left standing go first: what was done in the world is worth more than why.
    """
    rest = [one for one in found if one.name not in (*_ENDINGS, FEEDBACK)]
    ending = [one for one in found if one.name in _ENDINGS]
    if not rest:
        return next(iter(ending), None), ending
    # What outlived a rollback is told first, and is no reason of the outcome.
    main, by_name = next((one for one in rest if one.name != KEPT), rest[0]), {one.name: one for one in reversed(rest)}
    before = [one for one in rest if one.name == _BEFORE.get(main.name) and one.calls == main.calls][:1]
    over = by_name.get("another_agent")
    if over is not None and len(over.turns) > 1 and main.name != "another_agent" and made.status != "answered":
        before.append(over)
    if made.status != "answered" or made.by != Planner.AGENT:  # who was meant to go on could not
        before += [one for one in rest if one is not main and refused_hand_over(made, one)][:1]
    if made.status != "answered":  # what the agent did after nobody had approved something
        before += [one for one in rest if one.name == "approval_unanswered" and one is not main][:1]
    after: list[Cause] = []
    if made.status != "answered" or made.by != Planner.AGENT:
        # The planners after the agent say why people are asked; what is left to do stays, whatever the cause was.
        after = [one for one in rest[1:] if one.name in OWN_REASONS]
    stands = [one for one in rest if one.name in ("effects_stand", KEPT)]
    own = [one for one in after if one not in (*before, *stands)]
    if made.unreadable:
        return main, [main, *stands, *ending]
    return main, [*stands, *before, *([] if main in stands else [main]), *own[:2], *ending]


def _ended(made: Timeline, names: Names) -> str:
    turns = f"after {len(made.turns):,} turn{'' if len(made.turns) == 1 else 's'}"
    if made.by not in (Planner.AGENT, "") and 0 < made.agent_turns < len(made.turns):
        turns += f", {made.agent_turns:,} of them the agent's"
    match made.status:
        case "answered":
            by = next((one.escalation.by for one in reversed(made.turns) if one.escalation and one.escalation.by), "")
            person = named(by, 60) if made.by == Planner.PERSON and by else ""
            who = person or planner_name(made.by) or "somebody"
            instead = " instead of the agent" if made.by not in (Planner.AGENT, "") else ""
            return f"{who} answered{instead} {turns}"
        case "waiting":
            return f"the run waits for {_waits_for(made, names)}"
        case "open":
            return f"the run has no ending: it still runs, or was cut off in turn {len(made.turns)}"
    return _ENDED_SO.get(made.status, made.status)


def _waits_for(made: Timeline, names: Names) -> str:
    last = made.turns[-1]
    if last.planner == Planner.REQUESTER:
        return "the requester to reply to the agent's question"
    waiting = next((call for call in last.calls if call.outcome == "waiting"), None)
    return f"a person to approve {names(last.turn, waiting)}" if waiting else "a person to decide"


def _request(made: Timeline) -> str:
    """Return the first of the caller's words, as the timeline shows them."""
    said = made.request.get("text")
    return flat(said, _REQUEST) if isinstance(said, str) else ""


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '…', '?', '!')) else '.'}"
