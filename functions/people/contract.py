"""The forms of escalations and answers at the edge: what the people's functions take and the API returns."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from ballast.contracts import Decision, parse_decision
from ballast.contracts.notice import EscalationId
from ballast.contracts.task import RunId
from ballast.contracts.wire import Json, Name, Wire, canonical, sha256
from ballast.errors import InvalidInput

Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact", examples=["0.0123"])]
Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-03-01T12:00:00+00:00"])]


def _as_sent(value: Any, _handler: ValidatorFunctionWrapHandler) -> Any:
    """Check a decision as JSON, which allows an array for a tuple, and keep it as it was sent."""
    try:
        parse_decision(value)
    except InvalidInput as problem:
        raise ValueError(str(problem)) from None
    return value


def _has(field: str, kind: str) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"type": kind}}}


class Reply(Wire):
    """A person's answer: ``decision`` to an escalation, ``approve`` to a request for approval.

    comment    the reason; recorded with an approval
    arguments  with ``approve`` true: the call's arguments as you change them; they pass the same checks
    binding    with ``approve``: the ``binding`` of what you looked at; refused if that has changed since
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [_has("decision", "object"), _has("approve", "boolean")]})

    decision: Annotated[Decision, WrapValidator(_as_sent)] | None = None
    approve: bool | None = None
    comment: str = Field(default="", max_length=2_000)
    arguments: dict[str, Json] | None = None
    binding: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _is_one(self) -> "Reply":
        if (self.decision is None) == (self.approve is None):
            raise ValueError("send either decision or approve")
        return self


class PersonsAnswer(Wire):
    """A person's answer: a ``decision`` to an escalation, ``approve`` to a request for approval.

    by         who answers: over HTTP the caller's identity; whoever may invoke the function gives their own
    arguments  with ``approve``: the call's arguments as the person changed them
    binding    with ``approve``: the ``binding`` of what the person looked at; refused if that has changed since
    groups     the groups whose approvals ``by`` may give; over HTTP the caller's own
    """

    escalation_id: Annotated[str, Field(pattern=r"^esc-[a-z2-7]{16}$")]
    by: Annotated[str, Field(min_length=1, max_length=256)]
    decision: dict[str, JsonValue] | None = None
    approve: bool | None = None
    comment: Annotated[str, Field(max_length=2_000)] = ""
    arguments: dict[str, Json] | None = None
    binding: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    groups: tuple[Name, ...] = ()

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the answer, groups excepted: tells a repeat from another answer."""
        return sha256(canonical(self.model_dump(mode="json", exclude={"groups"})))


class Message(Wire):
    """The requester's reply to the agent's question: untrusted text."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]


class Answered(Wire):
    """The run goes on with the answer, or waits for ``still_needed`` more people to approve."""

    escalation_id: EscalationId
    run_id: RunId
    status: Literal["answered", "waiting"]
    still_needed: int


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

    corrupt     why the log's entry of the proposed decision cannot be read, if somebody changed it
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
