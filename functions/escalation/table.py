"""The escalations table as the answering side uses it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ballast.aws_errors import consequences
from ballast.errors import InvalidInput
from ballast.log.run_log import LogSettings
from ballast.runtime import Runtime, Settings
from functions.escalation.question import Question


class EscalationsSettings(Settings):
    """escalations_table: one item an escalation, with its token."""

    escalations_table: str


@dataclass(frozen=True)
class Forgetting:
    """Has every write say when DynamoDB's TTL removes the item: as long after it as the log keeps an event."""

    log: LogSettings
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> "Forgetting":
        """Put it together; once per runtime."""
        return cls(LogSettings.of(runtime), runtime.clock)

    def into(self, update: str, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return an update and its values, in DynamoDB's wire form, which says it as well."""
        expires_at = self.log.expires_at(self.clock())
        if expires_at is None:
            return update, dict(values)
        first, _, others = update.partition(" ")
        update = (
            f"SET expires_at = :expires_at, {others}" if first == "SET" else f"SET expires_at = :expires_at {update}"
        )
        return update, {**values, ":expires_at": {"N": str(expires_at)}}


#: An item beside the questions: what was added to one run's budget, by turn. Only people's functions write it.
_GRANTED = "granted_"


def _grants_of(run_id: str) -> dict[str, Any]:
    return {"escalation_id": {"S": f"grants-{run_id}"}}


class Changed(Exception):
    """Somebody else changed the question in between; look again."""


@dataclass(frozen=True)
class EscalationsTable:
    """Reads questions and changes them under a condition."""

    dynamodb: Any
    name: str
    forgetting: Forgetting

    @classmethod
    def of(cls, runtime: Runtime) -> "EscalationsTable":
        """Put it together; once per runtime."""
        name = EscalationsSettings.of(runtime).escalations_table
        return cls(runtime.client("dynamodb"), name, runtime.get(Forgetting.of))

    def find(self, escalation_id: str) -> Question:
        """Return the question, strongly consistent. Raises ``InvalidInput`` where there is none."""
        with consequences(self.what):
            found = self.dynamodb.get_item(
                TableName=self.name, Key={"escalation_id": {"S": escalation_id}}, ConsistentRead=True
            )
        if "Item" not in found:
            raise InvalidInput(f"escalation_id: there is no {escalation_id}; the message in the queue names it.")
        return Question.of(found["Item"])

    def change(self, escalation_id: str, update: str, only_if: str, values: dict[str, Any]) -> Question:
        """Change the question and return it as it is then. Raises ``Changed`` where the condition does not hold.

        ``#status`` is the question's status; ``values`` are text or whole numbers.
        """
        names = {"#status": "status"} if "#status" in update + only_if else None
        told = {f":{name}": {"N": str(one)} if isinstance(one, int) else {"S": one} for name, one in values.items()}
        update, told = self.forgetting.into(update, told)
        request: dict[str, Any] = {
            "TableName": self.name,
            "Key": {"escalation_id": {"S": escalation_id}},
            "UpdateExpression": update,
            "ExpressionAttributeValues": told,
            "ReturnValues": "ALL_NEW",
        }
        if names:
            request["ExpressionAttributeNames"] = names
        if only_if:
            request["ConditionExpression"] = only_if
        with consequences(self.what):
            try:
                changed = self.dynamodb.update_item(**request)
            except self.dynamodb.exceptions.ConditionalCheckFailedException:
                raise Changed(escalation_id) from None
        return Question.of(changed["Attributes"])

    def granted(self, run_id: str) -> dict[int, int]:
        """Return what people added to the run's budget, in micro-dollars by turn, whatever its log says by now."""
        with consequences(self.what):
            found = self.dynamodb.get_item(TableName=self.name, Key=_grants_of(run_id), ConsistentRead=True)
        kept = found.get("Item", {}).items()
        return {int(name[len(_GRANTED) :]): int(value["N"]) for name, value in kept if name.startswith(_GRANTED)}

    def grant(self, run_id: str, turn: int, microusd: int) -> None:
        """Remember that a person's answer in that turn added so much; the same again changes nothing."""
        update, told = self.forgetting.into(f"SET {_GRANTED}{turn:04d} = :added", {":added": {"N": str(microusd)}})
        with consequences(self.what):
            self.dynamodb.update_item(
                TableName=self.name,
                Key=_grants_of(run_id),
                UpdateExpression=update,
                ExpressionAttributeValues=told,
            )

    @property
    def what(self) -> str:
        """The table, in the words of an error."""
        return f"Table {self.name} (ESCALATIONS_TABLE)"
