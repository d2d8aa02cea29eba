"""Lambda: the HTTP API of escalations: list them, show them, take answers. Task tokens never leave the table."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from ballast.contracts.decision import recorded_decision
from ballast.contracts.error_text import error_text
from ballast.edge import guarded
from ballast.errors import LogCorrupt
from ballast.http.api import HttpApi
from ballast.http.describe import responses
from ballast.http.identity import Callers, CallerSettings
from ballast.http.paging import PAGE_BYTES, key_of, sent_bytes, token
from ballast.http.problem import not_found
from ballast.log.event import GARBLED, Event
from ballast.log.events import ApprovalRequested, EscalationOpened, RunEnded
from ballast.log.run_log import RunLog, Unreadable
from ballast.money import dollars
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from functions.people.answer import Answers, AnswerSettings, playbook_of
from functions.people.contract import Answered, EscalationPage, EscalationSummary, Message, PersonsAnswer, Reply
from functions.people.contract import Escalation as ShownEscalation
from functions.people.escalations_table import PAGE_KEY, Escalation, EscalationsTable
from functions.people.rights import you_may

_ESCALATION_ID = re.compile(r"esc-[a-z2-7]{16}")
_RUN_ID = re.compile(r"run-[a-z2-7]{24}")
_JSON = "application/json"
_FRESH = {"Cache-Control": "no-store"}
#: Most pages of the index that are read for one page of escalations; the caller then asks for the next.
_MAX_LOOKS = 4

State = Literal["open", "answered"]
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
    page = app.runtime.get(ShownEscalations.of).page(status, app.caller.tenant, limit, next_token)
    return Response(200, _JSON, page, dict(_FRESH))


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
    if not _RUN_ID.fullmatch(run_id):
        raise not_found("run of that id")
    run = app.runtime.get(RunLog.of).read(run_id)
    if not run or not app.caller.sees(run.request.tenant):
        raise not_found("run of that id")
    taken = app.runtime.get(Answers.of).reply(run_id, body.text, app.caller)
    return Response(202, _JSON, Answered.model_validate(taken), dict(_FRESH))


def _grantable(escalation_id: str) -> str:
    """Return what a reviewer may still add to the run's budget, in US dollars."""
    most = app.runtime.get(playbook_of).agent.max_grant_microusd
    escalation = app.runtime.get(EscalationsTable.of).find(escalation_id)
    return dollars(max(most - app.runtime.get(Answers.of).granted_microusd(escalation), 0))


def _escalation(escalation_id: str) -> ShownEscalation:
    """Return the escalation. Raises ``Problem`` (404), also if the caller may not see it."""
    found = app.runtime.get(ShownEscalations.of).get(escalation_id) if _ESCALATION_ID.fullmatch(escalation_id) else None
    if found is None or not app.caller.sees(found.tenant):
        raise not_found("escalation of that id")
    return found


@dataclass(frozen=True)
class ShownEscalations:
    """Escalations as the API shows them."""

    log: RunLog
    table: EscalationsTable
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "ShownEscalations":
        """Return the escalations of ``runtime``'s function."""
        return cls(runtime.get(RunLog.of), runtime.get(EscalationsTable.of), runtime)

    def get(self, escalation_id: str) -> ShownEscalation | None:
        """Return the escalation, None if there is none. Raises ``LogCorrupt`` if its call was changed in the log."""
        escalation = self.table.shown(escalation_id)
        if escalation is None:
            return None
        run_id, seq, ended = escalation.run_id, escalation.opened_key, RunEnded.key()
        unreadable: list[Unreadable] = []
        events = self.log.read_keys([(run_id, seq), (run_id, ended)], unreadable)
        opened = events.get((run_id, seq))
        wrong = {one.seq: one.why for one in unreadable}
        decision, odd = _decision_of(opened)
        if opened is not None and odd is not None:
            wrong[seq] = odd
        escalation.check_call(decision)
        if sent_bytes(decision) > PAGE_BYTES:
            decision = None
        requested_by = escalation.requested_by
        return ShownEscalation.model_validate(
            self._facts(escalation, ended=(run_id, ended) in events or ended in wrong)
            | {
                "binding": escalation.shown,
                "changed_by": escalation.changed_by,
                "asked": (requested_by,) if escalation.is_clarification and requested_by else (),
                "proposed_decision": escalation.with_changes(decision),
                "corrupt": wrong.get(seq),
            }
        )

    def page(self, state: State, tenant: str | None, limit: int, next_token: str | None) -> EscalationPage:
        """Return one page, newest first; of every tenant if ``tenant`` is None.

        It may hold fewer than ``limit``, and still have a ``next``. Raises ``Problem`` for a token that is not valid.
        """
        wanted = {"status": state, "tenant": tenant}
        after = key_of(next_token, wanted, PAGE_KEY) if next_token is not None else None
        found: list[EscalationSummary] = []
        more, size = True, 0
        for _ in range(_MAX_LOOKS):
            escalations, last = self.table.page(state, tenant, limit - len(found), after)
            for one in self._summaries(escalations):
                if one.status != state:
                    continue
                size += sent_bytes(one.model_dump(mode="json"))
                if found and size > PAGE_BYTES:  # the page is full by its bytes: the next one begins here
                    key = {name: getattr(found[-1], name) for name in PAGE_KEY}
                    return EscalationPage(escalations=tuple(found), next=token(wanted, key))
                found.append(one)
            more, after = last is not None, last or after
            if not more or len(found) >= limit:
                break
        return EscalationPage(escalations=tuple(found), next=token(wanted, after) if more and after else None)

    def _summaries(self, escalations: list[Escalation]) -> list[EscalationSummary]:
        waiting = {one.run_id for one in escalations if one.status == "open"}
        unreadable: list[Unreadable] = []
        ended = self.log.read_keys([(run_id, RunEnded.key()) for run_id in sorted(waiting)], unreadable)
        runs = {run_id for run_id, _ in ended} | {one.run_id for one in unreadable}
        return [EscalationSummary.model_validate(self._facts(one, ended=one.run_id in runs)) for one in escalations]

    def _facts(self, one: Escalation, *, ended: bool) -> dict[str, Any]:
        parties = () if one.is_clarification else (one.requested_by, one.proposed_by, one.changed_by, *one.guided_by)
        expired = one.status == "open" and (ended or one.answer_by < self.runtime.clock().isoformat())
        return {
            "escalation_id": one.escalation_id,
            "run_id": one.run_id,
            "tenant": one.tenant,
            "kind": one.kind,
            "reason": one.reason,
            "summary": one.summary,
            "status": "expired" if expired else one.status,
            "opened_at": one.opened_at,
            "answer_by": one.answer_by,
            "answered_by": one.answered_by,
            "answered_at": one.answered_at,
            "why": one.why,
            "approvals_needed": one.approvals_needed,
            "approvals_given": tuple(given.by for given in one.approvals),
            "may_not_answer": tuple(dict.fromkeys(who for who in parties if who)),
            "approvers": one.approvers,
            "reminded_at": one.reminded_at,
        }


def _decision_of(opened: Event | None) -> tuple[dict[str, Any] | None, str | None]:
    """Return the decision that people were shown, or None and why it cannot be shown: somebody changed the log."""
    if opened is None:
        return None, None
    try:
        fact = opened.fact
    except GARBLED as problem:
        return None, error_text(problem)
    proposed = fact.proposed_decision if isinstance(fact, EscalationOpened | ApprovalRequested) else None
    if proposed is None:
        return None, None
    try:
        recorded_decision(proposed)
    except (LogCorrupt, *GARBLED) as problem:
        return None, f"proposed_decision: {error_text(problem)}"
    return proposed, None


@made_at_init(Callers.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Answer API Gateway's ``event`` (HTTP API, payload 2.0)."""
    return app.answer(event, context, runtime or lambda_runtime())
