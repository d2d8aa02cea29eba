"""The state machine's tasks and their results: coordinates, never content."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ballast.contracts.decision import Answer, CallTools, ExitReason, HandOver, Planner
from ballast.contracts.wire import Wire

#: The highest turn number in a key of the log. A run's ending has it, so that the ending sorts last.
LAST_TURN = 9999
Turn = Annotated[int, Field(ge=1, lt=LAST_TURN)]
#: The most characters of a cause: Step Functions' own limit.
MAX_CAUSE = 32_768
RunId = Annotated[str, Field(pattern=r"^run-[a-z2-7]{24}$")]


class HandedOver(Wire):
    """The planner that the workflow replaced, because it hung or failed."""

    planner: Planner = Field(alias="from")
    reason: ExitReason
    error: str | None = None


class PlanTask(Wire):
    """Propose one decision for this turn. ``history``: events of the execution's history so far."""

    run_id: RunId
    turn: Turn
    handed_over: HandedOver | None = None
    history: Annotated[int, Field(ge=0)] = 0


class ExecuteTask(Wire):
    """Execute the call at ``index`` (from 1).

    asked       how often people were asked for its approval so far
    unanswered  nobody answered the last request for approval
    events      the call's events in the execution's history; the workflow counts them
    given_up    the error of the last attempt: no other one follows, so the call ends in its present state
    cause       the cause of that error, as the workflow received it
    """

    run_id: RunId
    turn: Turn
    index: Annotated[int, Field(ge=1)]
    asked: Annotated[int, Field(ge=0)] = 0
    unanswered: bool = False
    events: Annotated[int, Field(ge=0)] = 0
    given_up: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    cause: Annotated[str, Field(max_length=MAX_CAUSE)] | None = None


class Asked(Wire):
    """One attempt of the workflow at a state. Each attempt has its own task token.

    redrives    how often the execution was redriven before
    entered_at  when the workflow entered the state, ISO 8601
    retries     how often the state was tried before
    """

    redrives: Annotated[int, Field(ge=0, le=9_999)] = 0
    entered_at: Annotated[str, Field(max_length=64)] = ""
    retries: Annotated[int, Field(ge=0, le=9_999)] = 0

    @property
    def order(self) -> str:
        """A text that sorts in the order of the attempts."""
        return f"{self.redrives:04d} {self.entered_at} {self.retries:04d}"


class OpenTask(Wire):
    """Notify the people and wait up to ``timeout_s`` for their answer.

    ``index`` is the call that needs an approval, ``round`` the ordinal of this request for it.
    A ``question`` goes to the requester and not to the people. ``requested_by`` and ``tenant`` come from the
    execution's input, which nobody can change; they are None in executions that an older version started.
    ``attempt`` shows which of several tokens is the newest.
    """

    run_id: RunId
    turn: Turn
    kind: Literal["approval", "escalation", "question"]
    reason: str
    timeout_s: Annotated[int, Field(ge=1)]
    task_token: str = Field(min_length=1, max_length=2048)
    index: Annotated[int, Field(ge=1)] | None = None
    round: Annotated[int, Field(ge=1)] = 1
    handed_over: HandedOver | None = None
    requested_by: str | None = None
    tenant: str | None = None
    attempt: Asked = Asked.model_construct()  # builds no validator at import

    @model_validator(mode="after")
    def _names_its_call(self) -> Self:
        if self.kind == "approval" and self.index is None:
            raise ValueError("index: an approval is about one call; say which")
        return self


class PlanSummary(Wire):
    """The state machine's view of a decision: its kind and the positions of its calls.

    ``adds_budget``: a person added budget for the agent; it must be leased before it is spent.
    """

    kind: Literal["call_tools", "answer", "hand_over"]
    calls: tuple[int, ...] = ()
    parallel: bool = False
    to: Planner | None = None
    reason: ExitReason | None = None
    adds_budget: bool = False

    @classmethod
    def of(cls, decision: CallTools | Answer | HandOver, *, parallel: bool = False) -> "PlanSummary":
        """Return the summary of ``decision``. ``parallel``: none of its calls writes."""
        if isinstance(decision, CallTools):
            return cls(kind="call_tools", calls=tuple(range(1, len(decision.calls) + 1)), parallel=parallel)
        if isinstance(decision, HandOver):
            adds = decision.to is Planner.AGENT and decision.add_budget_microusd > 0
            return cls(kind="hand_over", to=decision.to, reason=decision.reason, adds_budget=adds)
        return cls(kind="answer")
