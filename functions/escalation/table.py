"""The escalations table as the answering side uses it."""

from dataclasses import dataclass
from typing import Any

from ballast.errors import InvalidInput
from ballast.log.aws_errors import consequences
from ballast.runtime import Runtime, Settings
from functions.escalation.question import Question


class EscalationsSettings(Settings):
    """escalations_table: one item an escalation, with its token."""

    escalations_table: str


class Changed(Exception):
    """Somebody else changed the question in between; look again."""


@dataclass(frozen=True)
class EscalationsTable:
    """Reads questions and changes them under a condition."""

    dynamodb: Any
    name: str

    @classmethod
    def of(cls, runtime: Runtime) -> "EscalationsTable":
        """Put it together; once per runtime."""
        return cls(runtime.client("dynamodb"), EscalationsSettings.of(runtime).escalations_table)

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
        request: dict[str, Any] = {
            "TableName": self.name,
            "Key": {"escalation_id": {"S": escalation_id}},
            "UpdateExpression": update,
            "ExpressionAttributeValues": {
                f":{name}": {"N": str(value)} if isinstance(value, int) else {"S": value}
                for name, value in values.items()
            },
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

    @property
    def what(self) -> str:
        """The table, in the words of an error."""
        return f"Table {self.name} (ESCALATIONS_TABLE)"
