"""The forms of answers at the edge: what the people's functions take, and what they return."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from ballast.contracts import Decision, parse_decision
from ballast.contracts.notice import EscalationId
from ballast.contracts.task import RunId
from ballast.contracts.wire import Json, Name, Wire, canonical, sha256
from ballast.errors import InvalidInput
from ballast.folds.feedback import BY_CHARS, NOTE_CHARS, Verdict
from ballast.http.identity import Role


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


class NewFeedback(Wire):
    """What a person says of a run that is over: whether it did right, and why. ``note`` is untrusted text."""

    verdict: Verdict
    note: Annotated[str, Field(max_length=NOTE_CHARS)] = ""


class PersonsFeedback(NewFeedback):
    """Feedback by IAM. ``by``: who speaks; whoever may invoke the function gives their own."""

    run_id: RunId
    by: Annotated[str, Field(min_length=1, max_length=BY_CHARS)]


class TakenFeedback(NewFeedback):
    """What is recorded of it: by whom, and by which right they spoke."""

    run_id: RunId
    by: str
    role: Role


class Answered(Wire):
    """The run goes on with the answer, or waits for ``still_needed`` more people to approve."""

    escalation_id: EscalationId
    run_id: RunId
    status: Literal["answered", "waiting"]
    still_needed: int
