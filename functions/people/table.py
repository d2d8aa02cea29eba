"""The escalations table as the answering side uses it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ballast.errors import InvalidInput
from ballast.log.run_log import LogSettings
from ballast.runtime import Runtime, Settings
from ballast.table import Condition, Item, Table, Update
from functions.people.question import Question


class EscalationsSettings(Settings):
    """escalations_table: one item an escalation, with its token."""

    escalations_table: str

    def table(self, runtime: Runtime) -> Table:
        """Return the table."""
        return Table.of(runtime, self.escalations_table, "ESCALATIONS_TABLE")


@dataclass(frozen=True)
class Forgetting:
    """Has every write say when DynamoDB's TTL removes the item: as long after it as the log keeps an event."""

    log: LogSettings
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> "Forgetting":
        """Put it together; once per runtime."""
        return cls(LogSettings.of(runtime), runtime.clock)

    def into(self, update: Update) -> Update:
        """Return an update which says it as well."""
        expires_at = self.log.expires_at(self.clock())
        return update if expires_at is None else replace(update, set={"expires_at": expires_at, **update.set})


#: An item beside the questions: what was added to one run's budget, by turn. Only people's functions write it.
_GRANTED = "granted_"


def _grants_of(run_id: str) -> Item:
    return {"escalation_id": f"grants-{run_id}"}


@dataclass(frozen=True)
class EscalationsTable:
    """Reads questions and changes them under a condition."""

    table: Table
    forgetting: Forgetting

    @classmethod
    def of(cls, runtime: Runtime) -> "EscalationsTable":
        """Put it together; once per runtime."""
        return cls(EscalationsSettings.of(runtime).table(runtime), runtime.get(Forgetting.of))

    def find(self, escalation_id: str) -> Question:
        """Return the question, strongly consistent. Raises ``InvalidInput`` where there is none."""
        found = self.table.get({"escalation_id": escalation_id})
        if found is None:
            raise InvalidInput(f"escalation_id: there is no {escalation_id}; the message in the queue names it.")
        return Question.of(found)

    def change(
        self, escalation_id: str, to: Mapping[str, Any], *, only_if: Condition, remove: Sequence[str] = ()
    ) -> Question | None:
        """Set attributes of the question and return it as it is then; None where the condition does not hold."""
        update = Update({"escalation_id": escalation_id}, set=to, remove=remove, only_if=only_if)
        changed = self.table.write(self.forgetting.into(update), show=True).item
        return None if changed is None else Question.of(changed)

    def granted(self, run_id: str) -> dict[int, int]:
        """Return what people added to the run's budget, in micro-dollars by turn, whatever its log says by now."""
        kept = self.table.get(_grants_of(run_id)) or {}
        return {int(name[len(_GRANTED) :]): value for name, value in kept.items() if name.startswith(_GRANTED)}

    def grant(self, run_id: str, turn: int, microusd: int) -> None:
        """Remember that a person's answer in that turn added so much; the same again changes nothing."""
        added = Update(_grants_of(run_id), set={f"{_GRANTED}{turn:04d}": microusd})
        self.table.write(self.forgetting.into(added))
