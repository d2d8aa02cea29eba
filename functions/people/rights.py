"""Who may answer a question to people, and with what. Pure.

::

    a question to the requester ── only the requester, or a reviewer
    any other question ─────────── a reviewer, who is no party to it
      parties: who asked for the run; of an approval also who proposed the call, who changed its arguments, and of
               an agent's call everybody who guided the agent before: its words, or its values, may be theirs
      approvers: of an approval, the group that the tool names
      more than the playbook's max_grant_usd, a call that only undoes, or the rollback: an operator
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts import Answer, CallTools, HandOver, Planner
from ballast.contracts.person import same_person
from ballast.errors import MayNotAnswer
from ballast.http.identity import Caller
from ballast.log.event import GARBLED, Event
from ballast.log.events import ApprovalAnswered, EscalationAnswered
from ballast.money import dollars
from ballast.playbook import Playbook
from ballast.run import Run
from ballast.validation.index import Index
from ballast.validation.values import SearchValue, json_leaves
from functions.people.contract import Act, Escalation
from functions.people.question import Question

Decision = Answer | CallTools | HandOver


@dataclass(frozen=True)
class Party:
    """Somebody who decides nothing about the question, and why."""

    who: str
    why: str


def parties(question: Question, run: Run) -> tuple[Party, ...]:
    """Return who does not decide it: as the table has it and as the log has it, whichever says more."""
    asked = {question.requested_by, run.opening.requested_by}
    found = [Party(who, "asked for this run and decides nothing about it") for who in asked if who]
    if question.kind == "approval":
        proposers = {question.proposed_by, proposer(run, question.turn, question.index)}
        found += [Party(who, "proposed this call and may not approve it") for who in proposers if who]
        guides = dict.fromkeys((*question.guided_by, *guides_of(run, question.turn, question.index)))
        found += [Party(who, "guided the agent to this call and may not approve it") for who in guides]
        if question.changed_by:
            found.append(Party(question.changed_by, "changed this call's arguments and may not approve them"))
    return tuple(found)


def proposer(run: Run, turn: int, index: int) -> str | None:
    """Return the person who proposed the call; None where a model or a script did."""
    state = run.call(turn, index)
    if state is None or state.planner is not Planner.HUMAN:
        return None
    answered = run.fact(EscalationAnswered, turn)
    return answered.by if answered is not None else None


def guides_of(run: Run, turn: int, index: int) -> tuple[str, ...]:
    """Return who told the agent in words what to do before it proposed the call; nobody where it did not propose it.

    All of them: what the first one said is in the prompt for as long as the run lasts. So is a call that a person made,
    also where another one rejected it: whoever made one with a value of this call has guided the agent, and so has who
    named one when they approved another call.
    """
    state = run.call(turn, index)
    if state is None or state.planner is not Planner.AGENT:
        return ()
    leaves = json_leaves(state.as_admitted.arguments)
    wanted = [SearchValue.of(leaf.value, field=leaf.field) for leaf in leaves if leaf.field]
    said = [event for event in run if event.name in (EscalationAnswered.NAME, ApprovalAnswered.NAME)]
    before = [event.fact for event in said if event.turn <= turn]
    guiding = (
        fact.by
        for fact in before
        if isinstance(fact, EscalationAnswered | ApprovalAnswered) and fact.by and _guides(fact, turn, wanted)
    )
    return tuple(dict.fromkeys(guiding))


def _guides(answered: EscalationAnswered | ApprovalAnswered, turn: int, wanted: Sequence[SearchValue]) -> bool:
    match answered:
        case EscalationAnswered(decision=HandOver() as decision):
            return bool(decision.guidance.strip())
        case EscalationAnswered(decision=CallTools() as decision):
            return _names([call.arguments for call in decision.calls], wanted)
        case ApprovalAnswered(approve=True):
            return answered.turn < turn and _names(answered.comment, wanted)
    return False


def _names(said: Any, wanted: Sequence[SearchValue]) -> bool:
    """Say whether what somebody said names a telling one of these values: 0 and 1 tell nothing."""
    index = Index(json_leaves(said))
    telling = (one for one in wanted if str(one.leaf.value).strip() not in ("", "0", "1"))
    return any(index.holds(one, loose=True) for one in telling)


def check(question: Question, caller: Caller, run: Run) -> None:
    """Raise ``MayNotAnswer`` where the caller has no say in it at all."""
    where, who = question.escalation_id, caller.principal
    # The table's word first: it has it from the execution's input. The log's opening could be changed since.
    tenant = question.tenant or run.opening.request.tenant
    if question.kind == "question":
        asked = question.requested_by or run.opening.requested_by
        if caller.reviews(tenant) or (asked is not None and caller.sees(tenant) and same_person(asked, who)):
            return
        raise MayNotAnswer(f"{where}: only who asked for this run, or a reviewer, replies to its question.")
    for party in parties(question, run):
        if same_person(party.who, who):
            raise MayNotAnswer(f"{where}: {who} {party.why}; somebody else has to.")
    if not caller.reviews(tenant):
        raise MayNotAnswer(f"{where}: only a reviewer decides; {who} is none here (docs/http.md, Rights).")
    if question.kind == "approval" and question.approvers and question.approvers not in caller.groups:
        raise MayNotAnswer(f"{where}: only members of {question.approvers} approve this call; {who} is none.")


def check_decision(
    question: Question, decision: Decision, caller: Caller, granted: Callable[[], int], playbook: Playbook
) -> None:
    """Raise ``MayNotAnswer`` where the decision is beyond the rights of a caller who may decide.

    ``granted`` says what was added to the run's budget before, in micro-dollars.
    """
    if caller.operates:
        return
    where = question.escalation_id
    if isinstance(decision, CallTools):
        undoing = [call.tool for call in decision.calls if (tool := playbook.tools.get(call.tool)) and not tool.offered]
        if undoing:
            raise MayNotAnswer(f"{where}: {', '.join(undoing)} only undoes; an operator may call it, nobody else.")
    if isinstance(decision, HandOver) and decision.to is Planner.ROLLBACK:
        raise MayNotAnswer(
            f"{where}: decision.to: the rollback undoes what the run did; only an operator may hand over to it. "
            "Hand over to the agent or the fallback, answer, or ask an operator."
        )
    if isinstance(decision, HandOver) and decision.add_budget_microusd:
        most, together = playbook.agent.max_grant_microusd, granted() + decision.add_budget_microusd
        if together > most:
            raise MayNotAnswer(
                f"{where}: decision.add_budget_microusd: with it {dollars(together)} USD would be added to this run; "
                f"reviewers may add {dollars(most)} (max_grant_usd in agent.yaml). Add less, or ask an operator."
            )


def you_may(escalation: Escalation, caller: Caller) -> tuple[tuple[Act, ...], str | None]:
    """Return what the caller may do about what is shown, or why nothing: what a screen offers.

    It is a help, and not the check: that looks into the log, too.
    """
    who = caller.principal
    if escalation.status != "open":
        return (), f"It is {escalation.status}."
    if escalation.kind == "question":
        asked = any(same_person(one, who) for one in escalation.asked)
        reason = "Only who asked for the run, or a reviewer, replies."
        return (("reply",), None) if asked or caller.reviews(escalation.tenant) else ((), reason)
    if any(same_person(one, who) for one in escalation.may_not_answer):
        return (
            (),
            "You asked for this run, proposed or changed this call, or guided the agent to it: somebody else decides.",
        )
    if not caller.reviews(escalation.tenant):
        return (), "Only reviewers decide."
    if escalation.kind == "approval":
        if escalation.approvers and escalation.approvers not in caller.groups:
            return (), f"Only members of {escalation.approvers} approve this call."
        if escalation.proposed_decision is None:  # nobody approves what they cannot see
            return ("reject",), None
        return ("approve", "reject", "change"), None
    return ("decide", "grant", "undo") if caller.operates else ("decide", "grant"), None


def granted_microusd(run: Run, kept: Mapping[int, int], playbook: Playbook) -> int:
    """Return what people have added to the run's budget so far, by whatever says the most: nothing of it is forgotten.

    What claims to be a person's answer and is not signed any more (``run.unsigned``) grants nothing, and counts.
    ``kept``: by turn what the table of escalations has; no other function writes that.
    """
    most = playbook.agent.max_grant_microusd
    added = dict(kept)
    for event in (*run, *run.unsigned):
        if event.name == EscalationAnswered.NAME:
            added[event.turn] = max(added.get(event.turn, 0), _added(event, most))
    return sum(added.values())


def _added(event: Event, most: int) -> int:
    """Return what an answer adds; all that may be added where it cannot be read."""
    try:
        fact = event.fact
    except GARBLED:
        return most
    decision = fact.decision if isinstance(fact, EscalationAnswered) else None
    return decision.add_budget_microusd if isinstance(decision, HandOver) else 0
