"""The state machine's tasks and their results: coordinates, never content."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ballast.contracts.decision import Answer, CallTools, ExitReason, HandOver, Planner
from ballast.contracts.wire import Wire

#: The last turn number that a key of the log can carry; a run's ending uses it, so that it sorts last.
LAST_TURN = 9999
Turn = Annotated[int, Field(ge=1, lt=LAST_TURN)]
#: Characters of a cause at most: as many as Step Functions keeps.
MAX_CAUSE = 32_768
RunId = Annotated[str, Field(pattern=r"^run-[a-z2-7]{24}$")]


class HandedOver(Wire):
    """Set where the workflow itself took a planner out of charge: it hung or it failed."""

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
    unanswered  the last time was in vain
    events      what the call has taken of the execution's history; the workflow counts it
    given_up    the error of the last of all attempts: there will be no other one, so the call ends as it stands
    cause       what the workflow was told with it
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
    """Which attempt of the workflow's at a state a task is: each has a task token of its own.

    redrives    how often the execution was put back to work before
    entered_at  when the state was entered, ISO 8601
    retries     how often it was tried before
    """

    redrives: Annotated[int, Field(ge=0, le=9_999)] = 0
    entered_at: Annotated[str, Field(max_length=64)] = ""
    retries: Annotated[int, Field(ge=0, le=9_999)] = 0

    @property
    def order(self) -> str:
        """A text that sorts as the attempts came."""
        return f"{self.redrives:04d} {self.entered_at} {self.retries:04d}"


class OpenTask(Wire):
    """Tell the people, who have ``timeout_s`` to answer.

    ``index`` is the call that an approval is about, ``round`` how often it is asked with this time.
    A ``question`` is for the requester and not for the people. ``requested_by`` and ``tenant`` are those of the
    execution's input, which nobody can change; None from executions that an older version started.
    ``attempt`` tells which of several tokens is the newest.
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
    attempt: Asked = Asked()

    @model_validator(mode="after")
    def _names_its_call(self) -> Self:
        if self.kind == "approval" and self.index is None:
            raise ValueError("index: an approval is about one call; say which")
        return self


class PlanSummary(Wire):
    """A decision as the state machine sees it: its kind and the positions of its calls.

    ``adds_budget``: a person added some for the agent, which has to be leased before it is spent.
    """

    kind: Literal["call_tools", "answer", "hand_over"]
    calls: tuple[int, ...] = ()
    parallel: bool = False
    to: Planner | None = None
    reason: ExitReason | None = None
    adds_budget: bool = False

    @classmethod
    def of(cls, decision: CallTools | Answer | HandOver, *, parallel: bool = False) -> "PlanSummary":
        """Summarise ``decision``; ``parallel`` says that none of its calls writes."""
        if isinstance(decision, CallTools):
            return cls(kind="call_tools", calls=tuple(range(1, len(decision.calls) + 1)), parallel=parallel)
        if isinstance(decision, HandOver):
            adds = decision.to is Planner.AGENT and decision.add_budget_microusd > 0
            return cls(kind="hand_over", to=decision.to, reason=decision.reason, adds_budget=adds)
        return cls(kind="answer")
