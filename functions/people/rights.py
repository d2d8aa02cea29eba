"""Rights to answer an escalation, and with what. Pure.

::

    a clarification ────────── only the requester, or a reviewer
    a decision, an approval ── a reviewer who is not a party to it
      parties: the person who asked for the run; of an approval also those who proposed the call or changed its
               arguments, and of an agent's call all who guided the agent before: its words or values may be theirs
      approvers: of an approval, the group that the tool names
      more than the playbook's max_grant_usd, a call that only undoes, or the rollback: an operator
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ballast.contracts import Answer, CallTools, HandOver, Planner
from ballast.contracts.escalation import Act
from ballast.contracts.escalation import Escalation as ShownEscalation
from ballast.contracts.person import same_person
from ballast.errors import MayNotAnswer
from ballast.escalations import Escalation
from ballast.http.identity import Caller
from ballast.log.event import GARBLED, Event
from ballast.log.events import ApprovalAnswered, EscalationAnswered
from ballast.money import dollars
from ballast.playbook import Playbook
from ballast.run import Run
from ballast.validation.index import Index
from ballast.validation.values import SearchValue, json_leaves
from ballast.values import dataclass

Decision = Answer | CallTools | HandOver


@dataclass(frozen=True)
class Party:
    """Somebody who may not decide the escalation, and why."""

    who: str
    why: str


def parties(escalation: Escalation, run: Run) -> tuple[Party, ...]:
    """Return who may not decide it, by the table and by the log: either may have been changed to name fewer."""
    requesters = {escalation.requested_by, run.opening.requested_by}
    found = [Party(who, "asked for this run and decides nothing about it") for who in requesters if who]
    if escalation.is_approval:
        proposers = {escalation.proposed_by, proposer(run, escalation.turn, escalation.index)}
        found += [Party(who, "proposed this call and may not approve it") for who in proposers if who]
        guides = dict.fromkeys((*escalation.guided_by, *guides_of(run, escalation.turn, escalation.index)))
        found += [Party(who, "guided the agent to this call and may not approve it") for who in guides]
        if escalation.changed_by:
            found.append(Party(escalation.changed_by, "changed this call's arguments and may not approve them"))
    return tuple(found)


def proposer(run: Run, turn: int, index: int) -> str | None:
    """Return the person who proposed the call; None if a model or a script did."""
    state = run.call(turn, index)
    if state is None or state.planner is not Planner.PERSON:
        return None
    answered = run.fact(EscalationAnswered, turn)
    return answered.by if answered is not None else None


def guides_of(run: Run, turn: int, index: int) -> tuple[str, ...]:
    """Return who told the agent in words what to do before it proposed the call; empty if it did not propose it.

    Returns all of them, because their words stay in the prompt until the run ends. A person's own call stays there,
    too, even a rejected one. So whoever proposed a call with a value of this call has guided the agent, and so has
    whoever named such a value when they approved another call.
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
    """Say whether ``said`` names one of these values; 0, 1 and "" are too common to count."""
    index = Index(json_leaves(said))
    telling = (one for one in wanted if str(one.leaf.value).strip() not in ("", "0", "1"))
    return any(index.holds(one, loose=True) for one in telling)


def check(escalation: Escalation, caller: Caller, run: Run) -> None:
    """Raise ``MayNotAnswer`` if the caller may not answer it at all."""
    where, who = escalation.escalation_id, caller.principal
    # The table first: it has the tenant from the execution's input. The log's opening could have been changed since.
    tenant = escalation.tenant or run.opening.request.tenant
    if escalation.is_clarification:
        requester = escalation.requested_by or run.opening.requested_by
        if caller.reviews(tenant) or (requester is not None and caller.sees(tenant) and same_person(requester, who)):
            return
        raise MayNotAnswer(f"{where}: only the person who asked for this run, or a reviewer, may reply.")
    for party in parties(escalation, run):
        if same_person(party.who, who):
            raise MayNotAnswer(f"{where}: {who} {party.why}; another person has to answer.")
    if not caller.reviews(tenant):
        raise MayNotAnswer(f"{where}: only a reviewer decides, and {who} is not one here (docs/http.md, Rights).")
    if escalation.is_approval and escalation.approvers and escalation.approvers not in caller.groups:
        raise MayNotAnswer(f"{where}: only members of {escalation.approvers} approve this call, and {who} is not one.")


def check_decision(
    escalation: Escalation, decision: Decision, caller: Caller, granted: Callable[[], int], playbook: Playbook
) -> None:
    """Raise ``MayNotAnswer`` if the decision is beyond the rights of a caller who may decide.

    granted  returns what people added to the run's budget before, in micro-dollars
    """
    if caller.operates:
        return
    where = escalation.escalation_id
    if isinstance(decision, CallTools):
        undoing = [call.tool for call in decision.calls if (tool := playbook.tools.get(call.tool)) and not tool.offered]
        if undoing:
            raise MayNotAnswer(f"{where}: {', '.join(undoing)} only undoes; only an operator may call it.")
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


def you_may(shown: ShownEscalation, caller: Caller) -> tuple[tuple[Act, ...], str | None]:
    """Return what the caller may do about the escalation, or why nothing. For screens.

    A hint and not the check: ``check`` looks into the log as well.
    """
    who = caller.principal
    if shown.status != "open":
        return (), f"It is {shown.status}."
    if shown.kind == "question":
        is_requester = any(same_person(one, who) for one in shown.asked)
        reason = "Only the person who asked for the run, or a reviewer, may reply."
        return (("reply",), None) if is_requester or caller.reviews(shown.tenant) else ((), reason)
    if any(same_person(one, who) for one in shown.may_not_answer):
        return (
            (),
            "You asked for this run, proposed or changed this call, or guided the agent to it: somebody else decides.",
        )
    if not caller.reviews(shown.tenant):
        return (), "Only reviewers decide."
    if shown.kind == "approval":
        if shown.approvers and shown.approvers not in caller.groups:
            return (), f"Only members of {shown.approvers} approve this call."
        if shown.proposed_decision is None:  # nobody approves what they cannot see
            return ("reject",), None
        return ("approve", "reject", "change"), None
    return ("decide", "grant", "undo") if caller.operates else ("decide", "grant"), None


def granted_microusd(run: Run, kept: Mapping[int, int], playbook: Playbook) -> int:
    """Return what people have added to the run's budget so far, in micro-dollars: the larger of log and table, by turn.

    A person's answer whose signature is no longer valid (``run.unsigned``) grants nothing, but counts here.

    kept  the grants in the escalations table, by turn; only people's functions write them
    """
    most = playbook.agent.max_grant_microusd
    added = dict(kept)
    for event in (*run, *run.unsigned):
        if event.name == EscalationAnswered.NAME:
            added[event.turn] = max(added.get(event.turn, 0), _added(event, most))
    return sum(added.values())


def _added(event: Event, most: int) -> int:
    """Return what an answer adds; the most that may be added if it cannot be read."""
    try:
        fact = event.fact
    except GARBLED:
        return most
    decision = fact.decision if isinstance(fact, EscalationAnswered) else None
    return decision.add_budget_microusd if isinstance(decision, HandOver) else 0
