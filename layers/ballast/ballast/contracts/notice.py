"""Outgoing events, and the message in the escalation queue.

Versioned: a consumer refuses a major version that it does not know. Fields may be added to a version, so a consumer
ignores fields that it does not know. ``python -m localcloud.schemas`` writes the JSON Schemas in ``docs/events/`` from
these models.
"""

import base64
import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field

from ballast.contracts.decision import Effects
from ballast.contracts.request import RequestId
from ballast.contracts.wire import Name, Wire, canonical, sha256

#: The source of all events, on the account's default bus.
SOURCE = "ballast"
#: The version of the events' details and of the message in the escalation queue.
VERSION: Literal["1"] = "1"
#: An answer with more bytes of JSON is left out of events; the log has it.
MAX_ANSWER_BYTES = 64 * 1024

_ID = r"[a-z2-7]{16}$"
EventId = Annotated[
    str, Field(pattern=r"^evt-" + _ID, description="The same in every repeat of this event: deduplicate by it.")
]
EscalationId = Annotated[str, Field(pattern=r"^esc-" + _ID)]
RunIdOut = Annotated[str, Field(pattern=r"^run-[a-z2-7]{24}$")]
Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact.")]
At = Annotated[str, Field(description="ISO 8601, UTC.")]


def event_id(run_id: str, seq: str) -> str:
    """Return the id of the event about the log's entry ``seq``. Every attempt to send it has the same id."""
    digest = hashlib.sha256(f"{run_id}\0{seq}\0event".encode()).digest()
    return "evt-" + base64.b32encode(digest[:10]).decode("ascii").lower()


def binding_shown(binding: str | None, arguments: Any) -> str | None:
    """Return the hash of a call as people see it, bound to ``binding``.

    It changes with the ``arguments``, which are None until a person changes them.
    """
    return binding if arguments is None else sha256(canonical([binding, arguments]))


class Sent(Wire):
    """An outgoing value. Every field is present, and the schema requires it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Corrected(Sent):
    """An operator's correction of a settled run's total cost.

    The cost in the run's log does not change.
    """

    cost_usd: Usd
    by: Annotated[str, Field(description="The operator's name, as they gave it.")]
    reason: Annotated[str, Field(description="The operator's reason; may be empty.")] = ""
    at: At


class Notice(Sent):
    """The detail of an event about a run."""

    version: Literal["1"] = VERSION
    event_id: EventId
    run_id: RunIdOut
    request_id: RequestId
    tenant: Name
    at: At
    stack: Annotated[str, Field(description="The stack that ran it.")] = ""

    def of_stack(self, stack: str) -> Self:
        """Return the notice as ``stack`` sends it."""
        return self.model_copy(update={"stack": stack})

    @property
    def detail_type(self) -> str:
        """EventBridge's ``detail-type``: ``Run Answered`` for ``RunAnswered``."""
        return type(self).__name__.replace("Run", "Run ", 1)

    @property
    def detail(self) -> str:
        """The detail as JSON."""
        return canonical(self.model_dump(mode="json"))


class Outcome(Notice):
    """The end of a run.

    by        the planner that answered; null without an answer
    degraded  true if the answer is not the agent's
    reason    the reason of the ending; null if the run was answered
    effects   the state of its writes; at ``frozen`` a person must decide
    cost_usd  the cost according to the log, including reservations without an outcome
    corrected  an operator's correction of the cost, if one was made before this event was sent
    """

    status: str
    by: Literal["agent", "fallback", "rollback", "human"] | None = None
    degraded: bool = True
    reason: str | None = None
    effects: Effects | None = None
    answer: Annotated[str | None, Field(description="Untrusted text.")] = None
    answer_in_log: Annotated[bool, Field(description="The answer is too long for an event; the run's log has it.")] = (
        False
    )
    cost_usd: Usd
    corrected: Corrected | None = None


class RunAnswered(Outcome):
    """A run ended with an answer."""

    status: Literal["answered"] = "answered"


class RunFailed(Outcome):
    """A run ended without an answer."""

    status: Literal["unanswered", "failed", "aborted", "timed_out"]


class RunRefused(Outcome):
    """A run was not admitted; nothing was spent.

    message   what is wrong, and what to do
    opens_at  when there will be room, if the run was refused for lack of room
    """

    status: Literal["refused"] = "refused"
    message: str
    opens_at: At | None = None
    cost_usd: Usd = "0.00"


class RunEscalated(Notice):
    """A run waits for a person's decision."""

    status: Literal["waiting"] = "waiting"
    escalation_id: EscalationId
    reason: str
    answer_by: At


class EscalationMessage(Sent):
    """The message in the escalation queue: everything that a person needs to decide, without the task token.

    kind               ``escalation`` asks for a decision, ``approval`` for a yes or a no about one call
    summary            text for the person; untrusted where it quotes the request, the model or a tool
    proposed_decision  the decision that waits; null if nothing was proposed, or if it is too large
    answer_by          when the escalation expires
    why                of an approval: why a person must approve the call
    approvals_needed   how many different people must approve; ``approvals_given`` names those who have approved
    may_not_answer     people who requested the run, proposed or changed the call, or gave the agent guidance: they may
                       not decide
    approvers          the group whose members may approve; null if every reviewer may
    binding            the hash that an approval is bound to; send it back to approve exactly this call
    changed_by         who changed the arguments since the call was proposed: ``proposed_decision`` has the changed ones
    reminder           true if half of the time has passed without an answer
    sent               how often the message was sent, this time included; one ``escalation_id`` is one escalation
    look_with          the command that says why the run waits, what is unknown and what to type; "" from older versions
    """

    version: Literal["1"] = VERSION
    escalation_id: EscalationId
    run_id: RunIdOut
    tenant: Name
    kind: Literal["escalation", "approval"]
    reason: str
    summary: str
    proposed_decision: dict[str, Any] | None
    opened_at: At
    answer_by: At
    why: tuple[str, ...] = ()
    approvals_needed: int = 1
    approvals_given: tuple[str, ...] = ()
    may_not_answer: tuple[str, ...] = ()
    approvers: str | None = None
    binding: str | None = None
    changed_by: str | None = None
    reminder: bool = False
    sent: int = 1
    look_with: str = ""


#: All events, by detail-type.
NOTICES: dict[str, type[Notice]] = {
    "Run Answered": RunAnswered,
    "Run Failed": RunFailed,
    "Run Refused": RunRefused,
    "Run Escalated": RunEscalated,
}
