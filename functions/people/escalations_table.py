"""The escalations table: one item an escalation, with its task token. ``ballast.escalations`` reads an item.

An item is in the sparse index ``by_due`` under the time of its next look (``due_at``) for as long as there is something
to do about it: messages to send, or a run that may not have its answer yet. ``remind`` looks at what is due.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from ballast.contracts import OpenTask
from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical
from ballast.errors import InvalidInput
from ballast.escalations import SHOWN, Approval, Escalation
from ballast.log.run_log import LogSettings
from ballast.runtime import Runtime, Settings
from ballast.table import Condition, Item, Query, Table, Update, absent, at_most, equals
from ballast.values import dataclass

#: The only partition of the index of what is due.
DUE = "open"
#: An answer is normally recorded and the run resumed at once. After this time the function that took the answer has
#: ended: no function of people runs longer (``Timeout`` in template.yaml).
RESUMED_WITHIN = timedelta(minutes=2)

_IS_DUE = ("due", "due_at")
_ANSWER = ("answered_at", "answered_by", "answer_sha256", "answer_comment")
#: All but the task token: only the function that resumes a run needs it.
_WITHOUT_TOKEN = (*SHOWN, "remind_at", "sent", "sent_at", "changed_at", "resumed_at")
#: The attributes of the item that keeps what was added to a run's budget: this prefix, then the turn.
_GRANTED = "granted_"


class EscalationsSettings(Settings):
    """escalations_table: one item an escalation, with its token."""

    escalations_table: str


def approvals_text(approvals: tuple[Approval, ...]) -> str:
    """Return approvals as the table holds them."""
    return canonical([asdict(one) for one in approvals])


def due_at(look_at: datetime) -> Item:
    """Return the attributes that make ``remind`` look at an item at that time."""
    return {"due": DUE, "due_at": look_at.isoformat()}


@dataclass(frozen=True)
class EscalationsTable:
    """Reads escalations and changes them under conditions.

    Every write sets when DynamoDB's TTL removes the item: as long after it as the log keeps an event.
    """

    table: Table
    log: LogSettings
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> "EscalationsTable":
        """Return the table of ``runtime``'s function."""
        name = EscalationsSettings.of(runtime).escalations_table
        return cls(Table.of(runtime, name, "ESCALATIONS_TABLE"), LogSettings.of(runtime), runtime.clock)

    def keep(
        self,
        task: OpenTask,
        facts: Mapping[str, Any],
        parties: Mapping[str, str | None],
        *,
        now: datetime,
        remind_at: datetime,
        look_at: datetime,
    ) -> Escalation | None:
        """Keep the escalation that ``task`` opens, with its token; None if the table has a newer token.

        An answer that came before this attempt stays; the token is renewed and the run waits again. Returns the
        escalation as it is then.

        facts    what people are told: escalation_id, tenant, summary, answer_by, …
        parties  requested_by, proposed_by and guided_by (JSON); None where there is nobody
        """
        values: dict[str, str | int] = {
            "run_id": task.run_id,
            "tenant": facts["tenant"],
            "turn": task.turn,
            "call_index": task.index or 0,
            "round": task.round,
            "kind": task.kind,
            "reason": task.reason,
            "summary": facts["summary"],
            "answer_by": facts["answer_by"],
            "remind_at": remind_at.isoformat(),
            **due_at(look_at),
            "task_token": task.task_token,
            "token_order": task.attempt.order,
            "approvals_needed": facts.get("approvals_needed", 1),
        }
        why = canonical(list(facts["why"])) if facts.get("why") else None
        more = {**parties, "approvers": facts.get("approvers"), "binding": facts.get("binding"), "why": why}
        more |= {"call_sha256": facts["call_sha256"]}
        values |= {name: value for name, value in more.items() if value}
        no_token_is_there = absent("token_order")
        none_is_newer = at_most("token_order", task.attempt.order)
        update = Update(
            {"escalation_id": facts["escalation_id"]},
            set=values,
            set_if_absent={"opened_at": now.isoformat(), "status": "open"},
            remove=["resumed_at", "reminded_at"],
            only_if=no_token_is_there | none_is_newer,
        )
        kept = self.table.write(self._expiring(update), show=True).item
        return None if kept is None else Escalation.of(kept)

    def find(self, escalation_id: str) -> Escalation:
        """Return the escalation with its token, strongly consistent. Raises ``InvalidInput`` if there is none."""
        found = self.table.get({"escalation_id": escalation_id})
        if found is None:
            raise InvalidInput(f"escalation_id: there is no {escalation_id}; the message in the queue names it.")
        return Escalation.of(found)

    def item(self, escalation_id: str) -> Item | None:
        """Return the item without its token, strongly consistent; None if there is none."""
        return self.table.get({"escalation_id": escalation_id}, only=_WITHOUT_TOKEN)

    def change(
        self, escalation_id: str, to: Mapping[str, Any], *, only_if: Condition, remove: Sequence[str] = ()
    ) -> Escalation | None:
        """Set attributes and return the escalation as it is then; None if the condition does not hold."""
        update = Update({"escalation_id": escalation_id}, set=to, remove=remove, only_if=only_if)
        changed = self.table.write(self._expiring(update), show=True).item
        return None if changed is None else Escalation.of(changed)

    def due(self, now: datetime, most: int) -> tuple[str, ...]:
        """Return the ids of at most ``most`` escalations that are due, longest overdue first."""
        it_is_due = equals("due", DUE) & at_most("due_at", now.isoformat())
        page = self.table.page(Query(it_is_due, index="by_due", limit=most))
        return tuple(item["escalation_id"] for item in page.items)

    def note_sent(self, message: EscalationMessage, now: datetime, *, look_at: datetime) -> None:
        """Note that ``message`` was sent, and when to look at its escalation again."""
        to = {"sent_at": now.isoformat(), "sent": message.sent} | due_at(look_at)
        self._update(message.escalation_id, to | ({"reminded_at": now.isoformat()} if message.reminder else {}))

    def postpone(self, escalation_id: str, look_at: datetime) -> None:
        """Look at it again at another time."""
        self._update(escalation_id, due_at(look_at))

    def close(self, escalation_id: str) -> None:
        """Mark it as expired, unless somebody has just answered; it is no longer due."""
        nobody_answered = equals("status", "open")
        if not self._update(escalation_id, {"status": "expired"}, remove=_IS_DUE, only_if=nobody_answered):
            self.clear_due(escalation_id)

    def clear_due(self, escalation_id: str) -> None:
        """Remove it from the index of what is due."""
        self._update(escalation_id, {}, remove=_IS_DUE)

    def reopen(self, escalation: Escalation, now: datetime) -> bool:
        """Forget the answer that the table has and the log has not, so that anybody may answer.

        False if nothing was changed: the same answer has just been sent again, or somebody else has reopened it.
        """
        to: Item = {"status": "open", "reopened_at": now.isoformat(), "changed_at": now.isoformat()} | due_at(now)
        if escalation.approvals:  # the approval that decided it does not count either
            to["given"] = approvals_text(escalation.approvals_before)
        answered_at = escalation.answered_at
        same_answer = absent("answered_at") if answered_at is None else equals("answered_at", answered_at)
        unchanged = equals("status", "answered") & absent("resumed_at") & same_answer
        return self._update(escalation.escalation_id, to, remove=_ANSWER, only_if=unchanged)

    def granted(self, run_id: str) -> dict[int, int]:
        """Return what people added to the run's budget, in micro-dollars by turn, independently of its log."""
        kept = self.table.get(_grants_of(run_id)) or {}
        return {int(name[len(_GRANTED) :]): value for name, value in kept.items() if name.startswith(_GRANTED)}

    def grant(self, run_id: str, turn: int, microusd: int) -> None:
        """Remember what a person's answer in that turn added to the run's budget. Repeatable."""
        added = Update(_grants_of(run_id), set={f"{_GRANTED}{turn:04d}": microusd})
        self.table.write(self._expiring(added))

    def _update(
        self, escalation_id: str, to: Item, *, remove: Sequence[str] = (), only_if: Condition | None = None
    ) -> bool:
        update = Update({"escalation_id": escalation_id}, set=to, remove=remove, only_if=only_if)
        return self.table.write(self._expiring(update)).written

    def _expiring(self, update: Update) -> Update:
        expires_at = self.log.expires_at(self.clock())
        return update if expires_at is None else replace(update, set={"expires_at": expires_at, **update.set})


def _grants_of(run_id: str) -> Item:
    return {"escalation_id": f"grants-{run_id}"}
