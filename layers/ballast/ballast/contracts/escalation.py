"""Escalations as every screen shows them: what ``GET /escalations`` returns, and ``ballast escalations`` prints."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from ballast.contracts.notice import EscalationId
from ballast.contracts.task import RunId
from ballast.contracts.wire import Name, Wire

Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact", examples=["0.0123"])]
Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-03-01T12:00:00+00:00"])]
#: What a caller may do about an escalation.
Act = Literal["decide", "grant", "undo", "approve", "reject", "change", "reply"]


class EscalationSummary(Wire):
    """An escalation in brief: something that waits for a person.

    kind       escalation (wants a decision) | approval (a yes or a no about one call) | question (to the requester)
    status     open | answered | expired (the run no longer waits for it)
    summary    for a person to read; untrusted where it quotes the request, the model or a tool
    answer_by  it expires then
    why        of an approval: why a person must approve the call
    approvals_needed  how many different people must approve; ``approvals_given`` names those who have
    may_not_answer    those who asked for the run, proposed the call, guided the agent to it or changed its arguments:
                      they may not decide
    approvers         the group whose members approve; null if every reviewer may
    reminded_at       when people were reminded, after half of the time
    """

    escalation_id: EscalationId
    run_id: RunId
    tenant: Name
    kind: str
    reason: str
    summary: str
    status: Literal["open", "answered", "expired"]
    opened_at: Time
    answer_by: Time
    answered_by: str | None = None
    answered_at: Time | None = None
    why: tuple[str, ...] = ()
    approvals_needed: int = 1
    approvals_given: tuple[str, ...] = ()
    may_not_answer: tuple[str, ...] = ()
    approvers: str | None = None
    reminded_at: Time | None = None


class Escalation(EscalationSummary):
    """An escalation, with the decision that would be carried out: null if nothing was proposed or it cannot be shown.

    corrupt     why the log's entry of the proposed decision is not shown, if somebody changed it
    binding     the hash that an approval is bound to: send it back to approve exactly what is shown here
    changed_by  who changed the arguments since the call was proposed; ``proposed_decision`` has the changed ones
    asked       of a question: the requester
    you_may     what you may do about it: decide, grant (add budget), undo (call tools that only undo, or hand over to
                the rollback), approve, reject, change (the arguments), reply; empty if ``you_may_not`` says why
    you_may_grant_usd  with grant: what you may still add to the run's budget; null if there is no bound
    """

    proposed_decision: dict[str, JsonValue] | None = None
    corrupt: str | None = None
    binding: str | None = None
    changed_by: str | None = None
    asked: tuple[str, ...] = ()
    you_may: tuple[Act, ...] = ()
    you_may_not: str | None = None
    you_may_grant_usd: Usd | None = None


class EscalationPage(Wire):
    """Escalations, newest first. ``next`` is the token of the page that follows; null on the last one."""

    escalations: tuple[EscalationSummary, ...]
    next: str | None
