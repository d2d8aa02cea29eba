"""Lambda: the HTTP API of people: list and show escalations, take answers, and feedback about runs.

Task tokens never leave the table.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from ballast.contracts.escalation import Escalation as ShownEscalation
from ballast.contracts.escalation import EscalationPage, EscalationSummary
from ballast.edge import guarded
from ballast.escalations import PAGE_KEY, ShownEscalations, State
from ballast.http.api import HttpApi
from ballast.http.describe import responses
from ballast.http.identity import Callers, CallerSettings
from ballast.http.paging import PAGE_BYTES, key_of, sent_bytes, token
from ballast.http.problem import not_found
from ballast.log.run_log import RunLog
from ballast.money import dollars
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from functions.people.answer import Answers, AnswerSettings, playbook_of
from functions.people.contract import Answered, Message, NewFeedback, PersonsAnswer, Reply, TakenFeedback
from functions.people.escalations_table import EscalationsTable
from functions.people.feedback import FeedbackTaker
from functions.people.rights import you_may

_ESCALATION_ID = re.compile(r"esc-[a-z2-7]{16}")
_RUN_ID = re.compile(r"run-[a-z2-7]{24}")
_JSON = "application/json"
_FRESH = {"Cache-Control": "no-store"}
#: Most pages of the index that are read for one page of escalations; the caller then asks for the next.
_MAX_LOOKS = 4

ARunId = Annotated[str, Path(json_schema_extra={"pattern": f"^{_RUN_ID.pattern}$"})]
AnEscalationId = Annotated[str, Path(json_schema_extra={"pattern": f"^{_ESCALATION_ID.pattern}$"})]

app = HttpApi()


class PeopleApiSettings(AnswerSettings, CallerSettings):
    """The environment of PeopleApi.

    run_log_table, payload_bucket, retention_days  the log (``LogSettings``)
    sensitive_key_arn, answer_key_arn, escalations_table, playbook_dir  to take answers (``AnswerSettings``)
    tenant_claim, reviewer_claim, operator_claim, group_claim  identities of AuthMode JWT (``CallerSettings``)
    iam_tenant_pattern, iam_reviewer_pattern, iam_operator_pattern, iam_person_pattern  identities of AuthMode IAM
    """


@app.get(
    "/escalations",
    summary="List escalations",
    tags=["escalations"],
    operation_id="listEscalations",
    responses=responses(ok="A page of escalations."),
)
def list_escalations(
    status: Annotated[State, Query(description="`open`: waits for an answer; `answered`: has one.")] = "open",
    limit: Annotated[int, Query(ge=1, le=50, description="The most to return.")] = 20,
    next_token: Annotated[
        str | None, Query(alias="next", max_length=1_000, description="The last page's `next`.")
    ] = None,
) -> Response[EscalationPage]:
    """Return a page of the tenant's escalations, newest first; an operator sees those of every tenant."""
    return Response(200, _JSON, _page(status, app.caller.tenant, limit, next_token), dict(_FRESH))


@app.get(
    "/escalations/<escalation_id>",
    summary="Show an escalation",
    tags=["escalations"],
    operation_id="getEscalation",
    responses=responses(404, ok="The escalation."),
)
def get_escalation(escalation_id: AnEscalationId) -> Response[ShownEscalation]:
    """Return the escalation."""
    found = _escalation(escalation_id)
    if sent_bytes(found.proposed_decision) > PAGE_BYTES:
        found = found.model_copy(update={"proposed_decision": None})
    may, why_not = you_may(found, app.caller)
    left = _grantable(escalation_id) if "grant" in may and not app.caller.operates else None
    yours = {"you_may": may, "you_may_not": why_not, "you_may_grant_usd": left}
    return Response(200, _JSON, found.model_copy(update=yours), dict(_FRESH))


@app.post(
    "/escalations/<escalation_id>",
    summary="Answer an escalation",
    description="The run goes on with the answer. The same answer again is harmless; a different one is refused.",
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
            # As it was sent; the type says what it was checked to be.
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
    _run(run_id)
    taken = app.runtime.get(Answers.of).reply(run_id, body.text, app.caller)
    return Response(202, _JSON, Answered.model_validate(taken), dict(_FRESH))


@app.post(
    "/runs/<run_id>/feedback",
    summary="Say whether a run did right",
    description="After its end, by whoever asked for it and by reviewers. New words of the same person replace their "
    "earlier ones. Nothing acts on it: it is shown, and selects runs (`GET /runs?feedback=wrong`).",
    tags=["runs"],
    operation_id="giveFeedback",
    responses=responses(404, 409, takes_a_body=True, ok="It is recorded."),
)
def give_feedback(run_id: ARunId, body: NewFeedback) -> Response[TakenFeedback]:
    """Record the caller's words about the run."""
    taken = app.runtime.get(FeedbackTaker.of).take(_run(run_id), body.verdict, body.note, app.caller)
    told = {"run_id": run_id, "verdict": taken.verdict, "note": taken.note, "by": taken.by, "role": taken.role}
    return Response(200, _JSON, TakenFeedback.model_validate(told), dict(_FRESH))


def _run(run_id: str) -> Run:
    """Return the run. Raises ``Problem`` (404), also if the caller may not see it."""
    run = app.runtime.get(RunLog.of).read(run_id) if _RUN_ID.fullmatch(run_id) else None
    if not run or not app.caller.sees(run.request.tenant):
        raise not_found("run of that id")
    return run


def _grantable(escalation_id: str) -> str:
    """Return what a reviewer may still add to the run's budget, in US dollars."""
    most = app.runtime.get(playbook_of).agent.max_grant_microusd
    escalation = app.runtime.get(EscalationsTable.of).find(escalation_id)
    return dollars(max(most - app.runtime.get(Answers.of).granted_microusd(escalation), 0))


def _escalation(escalation_id: str) -> ShownEscalation:
    """Return the escalation. Raises ``Problem`` (404), also if the caller may not see it."""
    found = app.runtime.get(_shown).get(escalation_id) if _ESCALATION_ID.fullmatch(escalation_id) else None
    if found is None or not app.caller.sees(found.tenant):
        raise not_found("escalation of that id")
    return found


def _shown(runtime: Runtime) -> ShownEscalations:
    """Return the escalations of ``runtime``'s function."""
    return ShownEscalations(runtime.get(RunLog.of), runtime.get(EscalationsTable.of).table, runtime.clock)


def _page(state: State, tenant: str | None, limit: int, next_token: str | None) -> EscalationPage:
    """Return one page, newest first; of every tenant if ``tenant`` is None.

    It may hold fewer than ``limit``, and still have a ``next``. Raises ``Problem`` for a token that is not valid.
    """
    wanted = {"status": state, "tenant": tenant}
    after: Mapping[str, str] | None = key_of(next_token, wanted, PAGE_KEY) if next_token is not None else None
    found: list[EscalationSummary] = []
    size = 0
    for _ in range(_MAX_LOOKS):
        summaries, after = app.runtime.get(_shown).page(state, tenant, limit - len(found), after)
        for one in summaries:
            size += sent_bytes(one.model_dump(mode="json"))
            if found and size > PAGE_BYTES:  # the page is full by its bytes: the next one begins here
                key = {name: getattr(found[-1], name) for name in PAGE_KEY}
                return EscalationPage(escalations=tuple(found), next=token(wanted, key))
            found.append(one)
        if after is None or len(found) >= limit:
            break
    return EscalationPage(escalations=tuple(found), next=token(wanted, after) if after else None)


@made_at_init(Callers.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Answer API Gateway's ``event`` (HTTP API, payload 2.0)."""
    return app.answer(event, context, runtime or lambda_runtime())
