"""Lambda: a person's answer. Recorded first, then the waiting run goes on with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, JsonValue

from ballast.contracts import Answer, CallTools, Event, ExitReason, HandOver, Planner, PlanSummary, parse_decision
from ballast.contracts.event import call_seq, escalation_seq
from ballast.contracts.wire import Wire, canonical, parse, sha256
from ballast.errors import EscalationClosed, InvalidInput
from ballast.folds import Opening, ending, opening, progress
from ballast.log import RunLog
from ballast.log.aws_errors import consequences
from ballast.runtime import Runtime, Settings, lambda_runtime


class AnswerSettings(Settings):
    """escalations_table: one item an escalation, with its token."""

    escalations_table: str


class PersonsAnswer(Wire):
    """What a person answers: a ``decision`` to an escalation, ``approve`` to a request for approval."""

    escalation_id: Annotated[str, Field(pattern=r"^esc-[a-z2-7]{16}$")]
    by: Annotated[str, Field(min_length=1, max_length=256)]
    decision: dict[str, JsonValue] | None = None
    approve: bool | None = None
    comment: Annotated[str, Field(max_length=2_000)] = ""


@dataclass(frozen=True)
class Answers:
    """Takes answers, each once."""

    log: RunLog
    dynamodb: Any
    stepfunctions: Any
    settings: AnswerSettings
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Answers":
        """Put it together; once per runtime."""
        return cls(
            RunLog.of(runtime),
            runtime.client("dynamodb"),
            runtime.client("stepfunctions"),
            AnswerSettings.of(runtime),
            runtime,
        )

    def take(self, answer: PersonsAnswer) -> dict[str, Any]:
        """Record ``answer`` and let the run go on. The same answer again is harmless.

        Raises ``InvalidInput`` and ``EscalationClosed``.
        """
        item = self._item(answer.escalation_id)
        decision = _checked(item, answer)
        events = self.log.read(item["run_id"]["S"])
        if ending(events) and "resumed_at" not in item:
            raise _closed(item)
        self._consume(answer)
        if "resumed_at" not in item:  # else the run has this very answer already
            if decision:
                output = self._decision(item, answer, decision, events)
            else:
                output = self._approval(item, answer, events)
            self._resume(item, output)
        return {"escalation_id": answer.escalation_id, "run_id": item["run_id"]["S"], "status": "answered"}

    def reply(self, run_id: str, text: str, by: str) -> dict[str, Any]:
        """Take the requester's ``text`` as the reply to the question that the run waits with.

        Raises ``EscalationClosed`` where it asks nothing.
        """
        waiting = progress(self.log.read(run_id))
        if waiting.escalation_id is None or waiting.reason != ExitReason.QUESTION:
            raise EscalationClosed(f"{run_id} asks the requester nothing now; see its status.")
        decision = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance=text)
        reply = PersonsAnswer(escalation_id=waiting.escalation_id, by=by, decision=decision.model_dump(mode="json"))
        return self.take(reply)

    def _item(self, escalation_id: str) -> dict[str, Any]:
        with consequences(self._table):
            found = self.dynamodb.get_item(
                TableName=self.settings.escalations_table,
                Key={"escalation_id": {"S": escalation_id}},
                ConsistentRead=True,
            )
        if "Item" not in found:
            raise InvalidInput(f"escalation_id: there is no {escalation_id}; the message in the queue names it.")
        item: dict[str, Any] = found["Item"]
        return item

    def _consume(self, answer: PersonsAnswer) -> None:
        """Mark the escalation as answered, once; the same answer may come again to finish what it began."""
        digest = sha256(canonical(answer.model_dump(mode="json")))
        nobody_answered = "#status = :open"
        the_same_answer = "answer_sha256 = :digest"
        with consequences(self._table):
            try:
                self.dynamodb.update_item(
                    TableName=self.settings.escalations_table,
                    Key={"escalation_id": {"S": answer.escalation_id}},
                    UpdateExpression=(
                        "SET #status = :answered, answer_sha256 = :digest, answered_by = :by, answered_at = :now"
                    ),
                    ConditionExpression=f"{nobody_answered} OR {the_same_answer}",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":open": {"S": "open"},
                        ":answered": {"S": "answered"},
                        ":digest": {"S": digest},
                        ":by": {"S": answer.by},
                        ":now": {"S": self.runtime.clock().isoformat()},
                    },
                )
            except self.dynamodb.exceptions.ConditionalCheckFailedException:
                raise EscalationClosed(f"{answer.escalation_id} was answered already, in another way.") from None

    def _renewed(self, opened: Opening) -> dict[str, int]:
        """Return the run's new deadlines. People are slow; what follows their answer gets a time of its own."""
        now_ms, limits = int(self.runtime.clock().timestamp() * 1000), opened.limits
        return {
            "agent_until_ms": now_ms + (limits.deadline_s - limits.fallback_reserve_s) * 1000,
            "deadline_ms": now_ms + limits.deadline_s * 1000,
        }

    def _approval(self, item: dict[str, Any], answer: PersonsAnswer, events: Sequence[Event]) -> dict[str, Any]:
        turn, index = int(item["turn"]["N"]), int(item["call_index"]["N"])
        self.log.append(
            item["run_id"]["S"],
            call_seq(turn, index, "approval_answered"),
            {
                "escalation_id": answer.escalation_id,
                "by": answer.by,
                "approve": answer.approve,
                "comment": answer.comment,
                **self._renewed(opening(events)),
            },
        )
        return {}

    def _decision(
        self,
        item: dict[str, Any],
        answer: PersonsAnswer,
        decision: Answer | CallTools | HandOver,
        events: Sequence[Event],
    ) -> dict[str, Any]:
        run_id, turn = item["run_id"]["S"], int(item["turn"]["N"])
        recorded = self.log.append(
            run_id,
            escalation_seq(turn, "answered"),
            {
                "escalation_id": answer.escalation_id,
                "kind": item["kind"]["S"],
                "by": answer.by,
                "decision": decision.model_dump(mode="json"),
                **self._renewed(opening(events)),
            },
        )
        summary = PlanSummary.of(parse_decision(recorded.body["decision"]))
        return {
            "decision": summary.model_dump(mode="json"),
            "agent_until_ms": recorded.body["agent_until_ms"],
            "deadline_ms": recorded.body["deadline_ms"],
        }

    def _resume(self, item: dict[str, Any], output: dict[str, Any]) -> None:
        client = self.stepfunctions
        with consequences("Step Functions"):
            try:
                client.send_task_success(taskToken=item["task_token"]["S"], output=canonical(output))
            except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist, client.exceptions.InvalidToken):
                raise _closed(item) from None
        with consequences(self._table):
            self.dynamodb.update_item(
                TableName=self.settings.escalations_table,
                Key={"escalation_id": item["escalation_id"]},
                UpdateExpression="SET resumed_at = :now",
                ExpressionAttributeValues={":now": {"S": self.runtime.clock().isoformat()}},
            )

    @property
    def _table(self) -> str:
        return f"Table {self.settings.escalations_table} (ESCALATIONS_TABLE)"


def _checked(item: dict[str, Any], answer: PersonsAnswer) -> Answer | CallTools | HandOver | None:
    """Return the answer's decision, None for an approval. Raises ``InvalidInput`` where it is no answer to this."""
    if item["kind"]["S"] == "approval":
        if answer.approve is None or answer.decision is not None:
            raise InvalidInput("approve: this escalation asks for an approval; send only approve: true or false.")
        return None
    if answer.decision is None or answer.approve is not None:
        raise InvalidInput("decision: this escalation asks for a decision; send an answer, calls or a hand-over.")
    decision = parse_decision(answer.decision)
    if item["kind"]["S"] == "question":
        granted = isinstance(decision, HandOver) and decision.add_budget_microusd
        if not isinstance(decision, HandOver) or decision.to is not Planner.AGENT or granted:
            raise InvalidInput("decision: the agent asks the requester; their reply goes back to it as guidance.")
        return decision
    if isinstance(decision, HandOver) and decision.to is Planner.REQUESTER:
        raise InvalidInput("decision.to: a person cannot hand over to the requester; answer, or guide the agent.")
    if isinstance(decision, HandOver) and decision.to is Planner.HUMAN:
        raise InvalidInput("decision.to: a person cannot hand over to a person; leave the escalation open instead.")
    return decision


def _closed(item: dict[str, Any]) -> EscalationClosed:
    return EscalationClosed(
        f"{item['escalation_id']['S']}: the run {item['run_id']['S']} no longer waits for it. "
        "Its log says how it went on."
    )


def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Take the answer in ``event`` (a ``PersonsAnswer``)."""
    answer = parse(PersonsAnswer, event, what="Answer")
    return (runtime or lambda_runtime()).get(Answers.of).take(answer)
