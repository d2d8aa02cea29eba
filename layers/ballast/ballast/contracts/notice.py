"""What Ballast tells others: the events that it sends and the message that its people get.

Versioned: a consumer refuses a major version that it does not know. Fields may be added to a
version, so a consumer ignores those that it does not know. The JSON Schemas in ``docs/events/``
are made of these models (``python -m localcloud.schemas``).
"""

import base64
import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field

from ballast.contracts.decision import Effects
from ballast.contracts.request import RequestId
from ballast.contracts.wire import Name, Wire, canonical, sha256

#: The source of every event of ours, on the account's default bus.
SOURCE = "ballast"
#: The contract of the events' details and of the people's message.
VERSION: Literal["1"] = "1"
#: An answer whose JSON is longer is left to the log: events travel, and others store them.
MAX_ANSWER_BYTES = 64 * 1024

_ID = r"[a-z2-7]{16}$"
EventId = Annotated[str, Field(pattern=r"^evt-" + _ID, description="The same whenever it is sent again: deduplicate.")]
EscalationId = Annotated[str, Field(pattern=r"^esc-" + _ID)]
RunIdOut = Annotated[str, Field(pattern=r"^run-[a-z2-7]{24}$")]
Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact.")]
At = Annotated[str, Field(description="ISO 8601, UTC.")]


def event_id(run_id: str, seq: str) -> str:
    """Return the id of the event about the log's entry ``seq``: the same for every attempt at sending it."""
    digest = hashlib.sha256(f"{run_id}\0{seq}\0event".encode()).digest()
    return "evt-" + base64.b32encode(digest[:10]).decode("ascii").lower()


def binding_shown(binding: str | None, arguments: Any) -> str | None:
    """Return the hash of what people see of a call that is bound to ``binding``.

    It is another one once somebody has changed the ``arguments``: None while they are as proposed.
    """
    return binding if arguments is None else sha256(canonical([binding, arguments]))


class Sent(Wire):
    """What is sent has every field; the schema says so."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Corrected(Sent):
    """What an operator says that a run cost, all in all, once it was settled: who, why, and when.

    It stands beside the cost that the run's own log counts, which stays what it is.
    """

    cost_usd: Usd
    by: Annotated[str, Field(description="Who says so, as the operator gave it.")]
    reason: Annotated[str, Field(description="Why; empty where nothing was given.")] = ""
    at: At


class Notice(Sent):
    """The detail of an event: which run it is about, and whose."""

    version: Literal["1"] = VERSION
    event_id: EventId
    run_id: RunIdOut
    request_id: RequestId
    tenant: Name
    at: At
    stack: Annotated[str, Field(description="The name of the stack that ran it.")] = ""

    def of_stack(self, stack: str) -> Self:
        """Return the notice as ``stack`` sends it."""
        return self.model_copy(update={"stack": stack})

    @property
    def detail_type(self) -> str:
        """EventBridge's ``detail-type``: ``Run Answered`` for ``RunAnswered``."""
        return type(self).__name__.replace("Run", "Run ", 1)

    @property
    def detail(self) -> str:
        """The detail as it is sent: JSON."""
        return canonical(self.model_dump(mode="json"))


class Outcome(Notice):
    """How a run ended.

    by        whose answer it is; null without one
    degraded  it is not the agent's own answer
    reason    why it ended so; null where it was answered
    effects   what became of what it wrote; ``frozen`` is for a person to look at
    cost_usd  what its log counts, reservations without an outcome included
    corrected  what an operator says that it cost, where one had corrected it before this was sent
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

    message   what to mend
    opens_at  when there will be room, where it was refused for want of it
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
    """The message in the escalation queue: all that a person needs to decide, and never the task token.

    kind               ``escalation`` wants a decision, ``approval`` a yes or a no about one call
    summary            for a person to read; untrusted where it quotes the request, the model or a tool
    proposed_decision  what would be done; null where nothing was proposed or it is too large for a message
    answer_by          after that nobody waits for the answer
    why                why a person must approve the call, of an approval
    approvals_needed   how many different people must approve, and ``approvals_given`` who has
    may_not_answer     who asked for the run, proposed the call, or guided the agent before it did: they do not decide
    approvers          the group whose members approve; null where every reviewer may
    binding            what an approval is bound to; send it back to approve exactly this
    reminder           half of the time has passed, and nobody has answered
    sent               how often it was sent, with this time: the same ``escalation_id`` is one question
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
    reminder: bool = False
    sent: int = 1


#: Every event that is sent, by its detail-type.
NOTICES: dict[str, type[Notice]] = {
    "Run Answered": RunAnswered,
    "Run Failed": RunFailed,
    "Run Refused": RunRefused,
    "Run Escalated": RunEscalated,
}
