"""Lambda: the HTTP API of the people behind the escalations. Shows questions and takes answers."""

import re
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from ballast.edge import guarded
from ballast.http.describe import responses
from ballast.http.front import Front
from ballast.http.problem import not_found
from ballast.log.run_log import RunLog
from ballast.money import dollars
from ballast.runtime import Runtime, lambda_runtime
from functions.people.answer import Answers
from functions.people.approve import gates_playbook
from functions.people.contract import Answered, Escalation, EscalationPage, Message, Reply
from functions.people.persons_answer import PersonsAnswer
from functions.people.reading import Questions, State
from functions.people.rights import you_may
from functions.people.table import EscalationsTable

_ESCALATION_ID = re.compile(r"esc-[a-z2-7]{16}")
_JSON = "application/json"
_FRESH = {"Cache-Control": "no-store"}

app = Front()

_RUN_ID = re.compile(r"run-[a-z2-7]{24}")

ARunId = Annotated[str, Path(json_schema_extra={"pattern": f"^{_RUN_ID.pattern}$"})]
AnEscalationId = Annotated[str, Path(json_schema_extra={"pattern": f"^{_ESCALATION_ID.pattern}$"})]


@app.get(
    "/escalations",
    summary="List escalations",
    tags=["escalations"],
    operation_id="listEscalations",
    responses=responses(ok="A page of escalations."),
)
def list_escalations(
    status: Annotated[State, Query(description="Those that wait for an answer, or those that have one.")] = "open",
    limit: Annotated[int, Query(ge=1, le=50, description="At most so many.")] = 20,
    next_token: Annotated[
        str | None, Query(alias="next", max_length=1_000, description="The last page's `next`.")
    ] = None,
) -> Response[EscalationPage]:
    """Return a page of the tenant's escalations, or for an operator of everybody's, newest first."""
    page = app.runtime.get(Questions.of).page(status, app.caller.tenant, limit, next_token)
    return Response(200, _JSON, page, dict(_FRESH))


@app.get(
    "/escalations/<escalation_id>",
    summary="Show an escalation",
    tags=["escalations"],
    operation_id="getEscalation",
    responses=responses(404, ok="The escalation."),
)
def get_escalation(escalation_id: AnEscalationId) -> Response[Escalation]:
    """Return the escalation."""
    found = _escalation(escalation_id)
    may, why_not = you_may(found, app.caller)
    left = _grantable(escalation_id) if "grant" in may and not app.caller.operates else None
    yours = {"you_may": may, "you_may_not": why_not, "you_may_grant_usd": left}
    return Response(200, _JSON, found.model_copy(update=yours), dict(_FRESH))


@app.post(
    "/escalations/<escalation_id>",
    summary="Answer an escalation",
    description="The run goes on with the answer. The same answer again is harmless; another one is refused.",
    tags=["escalations"],
    operation_id="answerEscalation",
    responses=responses(404, 409, takes_a_body=True, ok="The answer is taken."),
)
def answer_escalation(escalation_id: AnEscalationId, body: Reply) -> Response[Answered]:
    """Take the answer, in the caller's name."""
    escalation = _escalation(escalation_id)
    taken = app.runtime.get(Answers.of).take(
        PersonsAnswer(
            escalation_id=escalation.escalation_id,
            by=app.caller.principal,
            # As it was sent: the type says what it was checked to be.
            decision=body.decision,  # type: ignore[arg-type]
            approve=body.approve,
            comment=body.comment,
            arguments=body.arguments,
            binding=body.binding,
        ),
        app.caller,
    )
    return Response(200, _JSON, Answered.model_validate(taken), dict(_FRESH))


@app.post(
    "/runs/<run_id>/messages",
    summary="Reply to the agent's question",
    description="A run that waits for the requester goes on with the reply; `GET /runs/{run_id}` shows the question.",
    tags=["runs"],
    operation_id="replyToQuestion",
    responses=responses(404, 409, takes_a_body=True, accepted="The reply is taken; the run goes on."),
)
def reply_to_question(run_id: ARunId, body: Message) -> Response[Answered]:
    """Take the requester's reply, in the caller's name."""
    if not _RUN_ID.fullmatch(run_id):
        raise not_found("run of that id")
    run = app.runtime.get(RunLog.of).read(run_id)
    if not run or not app.caller.sees(run.request.tenant):
        raise not_found("run of that id")
    taken = app.runtime.get(Answers.of).reply(run_id, body.text, app.caller)
    return Response(202, _JSON, Answered.model_validate(taken), dict(_FRESH))


def _grantable(escalation_id: str) -> str:
    """Return what a reviewer may still add to the run's budget, in US dollars."""
    most = app.runtime.get(gates_playbook).agent.max_grant_microusd
    question = app.runtime.get(EscalationsTable.of).find(escalation_id)
    return dollars(max(most - app.runtime.get(Answers.of).granted_microusd(question), 0))


def _escalation(escalation_id: str) -> Escalation:
    """Return the escalation; for a caller who may not see it there is none."""
    found = app.runtime.get(Questions.of).get(escalation_id) if _ESCALATION_ID.fullmatch(escalation_id) else None
    if found is None or not app.caller.sees(found.tenant):
        raise not_found("escalation of that id")
    return found


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Answer API Gateway's ``event`` (HTTP API, payload 2.0)."""
    return app.answer(event, context, runtime or lambda_runtime())
