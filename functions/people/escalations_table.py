"""The escalations table: one item an escalation, with its task token.

An item is in the sparse index ``by_due`` under the time of its next look (``due_at``) for as long as there is something
to do about it: messages to send, or a run that may not have its answer yet. ``remind`` looks at what is due.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ballast.contracts import OpenTask
from ballast.contracts.notice import EscalationMessage, binding_shown
from ballast.contracts.person import same_person
from ballast.contracts.wire import canonical, sha256
from ballast.errors import InvalidInput, LogCorrupt
from ballast.log.events import ApprovalAnswered, ApprovalRequested, EscalationAnswered, EscalationOpened
from ballast.log.run_log import LogSettings
from ballast.runtime import Runtime, Settings
from ballast.table import Condition, Item, Query, Table, Update, absent, at_most, differs, equals

#: The only partition of the index of what is due.
DUE = "open"
#: An answer is normally recorded and the run resumed at once. After this time the function that took the answer has
#: ended: no function of people runs longer (``Timeout`` in template.yaml).
RESUMED_WITHIN = timedelta(minutes=2)
#: A proposed decision with more bytes is left out of messages; the log and the API have it.
MAX_PROPOSED_BYTES = 64 * 1024

_IS_DUE = ("due", "due_at")
_ANSWER = ("answered_at", "answered_by", "answer_sha256", "answer_comment")
#: All but the task token: only the function that resumes a run needs it.
_WITHOUT_TOKEN = (
    *("escalation_id", "run_id", "tenant", "kind", "status", "turn", "call_index", "round", "opened_at", "answer_by"),
    *("remind_at", "reminded_at", "sent", "sent_at", "changed_at", "given", "approvals_needed", "binding", "arguments"),
    *("call_sha256", "resumed_at", "answered_at", "answered_by"),
)
#: The attributes that the indexes have.
_INDEXED = (
    *("status", "escalation_id", "run_id", "tenant", "kind", "reason", "summary", "opened_at", "answer_by"),
    *("answered_by", "answered_at"),
)
#: What people are shown.
_SHOWN = (
    *_INDEXED,
    *("why", "given", "approvals_needed", "requested_by", "proposed_by", "guided_by", "approvers", "reminded_at"),
    *("binding", "arguments", "changed_by", "call_sha256", "turn", "call_index", "round"),
)
#: Where a page of an index begins.
PAGE_KEY = {
    "escalation_id": r"esc-[a-z2-7]{16}",
    "opened_at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+00:00",
}
#: The attributes of the item that keeps what was added to a run's budget: this prefix, then the turn.
_GRANTED = "granted_"


class EscalationsSettings(Settings):
    """escalations_table: one item an escalation, with its token."""

    escalations_table: str


@dataclass(frozen=True)
class Approval:
    """One person's approval. ``number`` counts the answers to the escalation; ``sha256`` tells a repeat.

    group  the group that the tool asks for, if the person is a member; None if it asks for none
    """

    by: str
    at: str
    sha256: str
    comment: str
    number: int
    group: str | None = None


@dataclass(frozen=True)
class Escalation:
    """One item of the table: something that waits for a person.

    kind        escalation (wants a decision) | approval | question (a clarification by the requester)
    status      open | answered | expired
    index, round  of an approval: the position of its call, and how often people have been asked about it
    task_token  "" where it was not read
    resumed     the run is known to have the answer
    reopened    an answer was taken once that never reached the log
    answer_sha256, answered_by, answered_at, comment  of the answer that decided it
    tenant      the run's; None if an older version wrote the item
    requested_by  who asked for the run: they do not decide
    proposed_by  of an approval: the person who proposed the call; None if a model or a script did
    guided_by   who had guided the agent when it proposed the call
    changed_by  who changed the call's arguments last
    approvers   the group whose members approve; None if every reviewer may
    approvals_needed, approvals  how many people must approve, and who has
    answers     the number of answers taken so far: every change counts it up
    binding     the hash that an approval is bound to
    call_sha256  the hash of the call as people were asked about it; None if an older version wrote the item
    arguments   the call's arguments as somebody changed them; None while they are as proposed
    opened_at, answer_by, reminded_at  ISO 8601, UTC
    """

    escalation_id: str
    run_id: str
    kind: str
    status: str
    turn: int
    index: int
    round: int
    task_token: str
    resumed: bool = False
    reopened: bool = False
    answer_sha256: str | None = None
    answered_by: str | None = None
    answered_at: str | None = None
    comment: str = ""
    tenant: str | None = None
    requested_by: str | None = None
    proposed_by: str | None = None
    guided_by: tuple[str, ...] = ()
    changed_by: str | None = None
    approvers: str | None = None
    approvals_needed: int = 1
    approvals: tuple[Approval, ...] = ()
    answers: int = 0
    binding: str | None = None
    call_sha256: str | None = None
    arguments: dict[str, Any] | None = None
    reason: str = ""
    summary: str = ""
    why: tuple[str, ...] = ()
    opened_at: str = ""
    answer_by: str = ""
    reminded_at: str | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Escalation":
        """Read an item; an older version's has fewer attributes."""
        arguments = item.get("arguments")
        return cls(
            escalation_id=item["escalation_id"],
            run_id=item["run_id"],
            kind=item["kind"],
            status=item["status"],
            turn=item.get("turn", 0),
            index=item.get("call_index", 0),
            round=item.get("round", 1),
            task_token=item.get("task_token", ""),
            resumed="resumed_at" in item,
            reopened="reopened_at" in item,
            answer_sha256=item.get("answer_sha256"),
            answered_by=item.get("answered_by"),
            answered_at=item.get("answered_at"),
            comment=item.get("answer_comment", ""),
            tenant=item.get("tenant"),
            requested_by=item.get("requested_by"),
            proposed_by=item.get("proposed_by"),
            guided_by=tuple(json.loads(item.get("guided_by", "[]"))),
            changed_by=item.get("changed_by"),
            approvers=item.get("approvers"),
            approvals_needed=item.get("approvals_needed", 1),
            approvals=tuple(Approval(**one) for one in json.loads(item.get("given", "[]"))),
            answers=item.get("answers", 0),
            binding=item.get("binding"),
            call_sha256=item.get("call_sha256"),
            arguments=None if arguments is None else json.loads(arguments),
            reason=item.get("reason", ""),
            summary=item.get("summary", ""),
            why=tuple(json.loads(item.get("why", "[]"))),
            opened_at=item.get("opened_at", ""),
            answer_by=item.get("answer_by", ""),
            reminded_at=item.get("reminded_at"),
        )

    @property
    def is_approval(self) -> bool:
        """It asks for a yes or a no about one call."""
        return self.kind == "approval"

    @property
    def is_clarification(self) -> bool:
        """The agent asks the requester."""
        return self.kind == "question"

    @property
    def opened_key(self) -> str:
        """The key of its opening in the log."""
        if self.is_approval:
            return ApprovalRequested.key(self.turn, self.index, self.round)
        return EscalationOpened.key(self.turn)

    @property
    def answer_key(self) -> str:
        """The key of the people's answer in the log."""
        if self.is_approval:
            return ApprovalAnswered.key(self.turn, self.index, self.round)
        return EscalationAnswered.key(self.turn)

    @property
    def shown(self) -> str | None:
        """The hash of what people see: a new one once somebody has changed the arguments."""
        return binding_shown(self.binding, self.arguments)

    @property
    def approvals_before(self) -> tuple[Approval, ...]:
        """The approvals that count without the answer that decided it: the person who rejected may have approved."""
        decided = self.answered_by
        return tuple(one for one in self.approvals if decided is None or not same_person(one.by, decided))

    def approval_of(self, person: str) -> Approval | None:
        """Return that person's approval, if it still counts."""
        return next((one for one in self.approvals if same_person(one.by, person)), None)

    def check_call(self, decision: Any) -> None:
        """Raise ``LogCorrupt`` if ``decision``, read from the log, is not the call that people were asked about.

        They would approve another call than the one that they are shown.
        """
        calls = (decision or {}).get("calls")
        if self.call_sha256 is not None and calls and sha256(canonical(calls[0])) != self.call_sha256:
            raise LogCorrupt(
                f"{self.run_id}: the call behind {self.escalation_id} was changed in the log after people were asked."
            )

    def with_changes(self, decision: Any) -> Any:
        """Return the proposed ``decision`` with the arguments as they are now."""
        if self.arguments is None or not decision:
            return decision
        return {**decision, "calls": [decision["calls"][0] | {"arguments": self.arguments}]}


def in_a_message(decision: Any) -> Any:
    """Return the proposed decision as a message has it: None if it is too large."""
    fits = decision is None or len(canonical(decision)) <= MAX_PROPOSED_BYTES
    return decision if fits else None


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

    def shown(self, escalation_id: str) -> Escalation | None:
        """Return the escalation as people may see it, without its token; None if there is none."""
        item = self.table.get({"escalation_id": escalation_id}, only=_SHOWN)
        return None if item is None or "tenant" not in item else Escalation.of(item)

    def page(
        self, status: str, tenant: str | None, limit: int, after: dict[str, str] | None
    ) -> tuple[list[Escalation], Item | None]:
        """Return at most ``limit`` escalations, newest first, and the key that the next page begins after.

        Of every tenant where ``tenant`` is None; without clarifications, which the requester sees in the run.
        Raises ``RetryLater``.
        """
        for_people, of_status = differs("kind", "question"), equals("status", status)
        of_all = tenant is None
        index_key = {"status": status} if of_all else {"tenant": tenant}
        query = Query(
            of_status if of_all else equals("tenant", tenant),
            index="by_status" if of_all else "by_tenant",
            having=for_people if of_all else for_people & of_status,
            only=_INDEXED,
            descending=True,
            limit=100,  # of what is looked at, not of what is found
            after=None if after is None else after | index_key,
        )
        page = self.table.page(query)
        items, last = page.items[:limit], page.after
        if len(page.items) > limit:
            last = items[-1]
        keys = [{"escalation_id": item["escalation_id"]} for item in items]
        whole = {item["escalation_id"]: item for item in self.table.batch_get(keys, only=_SHOWN)}
        found = [Escalation.of(whole[key]) for item in items if (key := item["escalation_id"]) in whole]
        return found, {name: last[name] for name in PAGE_KEY} if last else None

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
