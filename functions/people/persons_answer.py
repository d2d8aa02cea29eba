"""What a person answers, and whether it is an answer to what was asked. Pure."""

from typing import Annotated

from pydantic import Field, JsonValue

from ballast.contracts import Answer, CallTools, HandOver, Planner, parse_decision
from ballast.contracts.wire import Json, Name, Wire, canonical, sha256
from ballast.errors import InvalidInput
from ballast.validation import answer_too_large
from functions.people.question import Question


class PersonsAnswer(Wire):
    """What a person answers: a ``decision`` to an escalation, ``approve`` to a request for approval.

    by         who answers: over HTTP the caller's identity; whoever may invoke the function says it themselves
    arguments  with ``approve``: what the call's arguments shall be instead
    binding    with ``approve``: the ``binding`` of what was looked at; refused where that has changed since
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
        """Hex SHA-256 of all of it: tells a repeat from another answer."""
        return sha256(canonical(self.model_dump(mode="json", exclude={"groups"})))


def checked(question: Question, answer: PersonsAnswer) -> Answer | CallTools | HandOver | None:
    """Return the answer's decision, None for an approval.

    Raises ``InvalidInput`` where it is no answer to this question. Who may give it, ``rights`` says.
    """
    if question.kind == "approval":
        _check_approval(answer)
        return None
    if answer.arguments is not None or answer.binding is not None:
        name = "arguments" if answer.arguments is not None else "binding"
        raise InvalidInput(f"{name}: goes with approve: true, where an approval is asked for.")
    if answer.decision is None or answer.approve is not None:
        raise InvalidInput("decision: this escalation asks for a decision; send an answer, calls or a hand-over.")
    decision = parse_decision(answer.decision)
    if isinstance(decision, Answer) and (long := answer_too_large(decision)):
        raise InvalidInput(f"decision.text: {long}. Shorten it, or say where the rest is.")
    if question.kind == "question":
        granted = isinstance(decision, HandOver) and decision.add_budget_microusd
        if not isinstance(decision, HandOver) or decision.to is not Planner.AGENT or granted:
            raise InvalidInput("decision: the agent asks the requester; their reply goes back to it as guidance.")
        return decision
    if isinstance(decision, HandOver) and decision.to is Planner.REQUESTER:
        raise InvalidInput("decision.to: a person cannot hand over to the requester; answer, or guide the agent.")
    if isinstance(decision, HandOver) and decision.to is Planner.HUMAN:
        raise InvalidInput("decision.to: a person cannot hand over to a person; leave the escalation open instead.")
    return decision


def _check_approval(answer: PersonsAnswer) -> None:
    if answer.approve is None or answer.decision is not None:
        raise InvalidInput("approve: this escalation asks for an approval; send only approve: true or false.")
    if answer.arguments is not None and not answer.approve:
        raise InvalidInput("arguments: go with approve: true; a rejected call is not carried out at all.")
