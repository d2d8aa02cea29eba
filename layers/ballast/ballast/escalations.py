"""Escalations as people read them: items of the escalations table, and what the log says of each.

An item has the facts and the parties; the log has the decision that is proposed, and whether the run has ended::

    item ─▶ Escalation ─┬─▶ EscalationSummary ── GET /escalations
    log ── proposal ────┴─▶ Escalation (contract) ── GET /escalations/{id}, ``ballast escalations``, messages

Everybody reads an item here. Only ``functions/people`` writes one: ``functions/people/escalations_table.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from ballast.contracts.decision import recorded_decision
from ballast.contracts.escalation import Escalation as ShownEscalation
from ballast.contracts.escalation import EscalationSummary
from ballast.contracts.notice import EscalationMessage, binding_shown
from ballast.contracts.person import same_person
from ballast.contracts.wire import canonical, sha256
from ballast.errors import LogCorrupt
from ballast.log.event import GARBLED, Event
from ballast.log.events import ApprovalAnswered, ApprovalRequested, EscalationAnswered, EscalationOpened, RunEnded
from ballast.log.run_log import RunLog, Unreadable
from ballast.masking import error_text
from ballast.table import Item, Query, Table, differs, equals
from ballast.values import dataclass

State = Literal["open", "answered"]

#: The attributes that the indexes have.
_INDEXED = (
    *("status", "escalation_id", "run_id", "tenant", "kind", "reason", "summary", "opened_at", "answer_by"),
    *("answered_by", "answered_at"),
)
#: What people are shown. The task token is not among it.
SHOWN = (
    *_INDEXED,
    *("why", "given", "approvals_needed", "requested_by", "proposed_by", "guided_by", "approvers", "reminded_at"),
    *("binding", "arguments", "changed_by", "call_sha256", "turn", "call_index", "round"),
)
#: Where a page of an index begins.
PAGE_KEY = {
    "escalation_id": r"esc-[a-z2-7]{16}",
    "opened_at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+00:00",
}
#: A proposed decision with more bytes is left out of messages; the log and the API have it.
MAX_PROPOSED_BYTES = 64 * 1024


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
    def of(cls, item: Mapping[str, Any]) -> Escalation:
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
    def may_not_answer(self) -> tuple[str, ...]:
        """The parties, who may not decide it. The requester and reviewers reply to a clarification: it has none."""
        parties = (self.requested_by, self.proposed_by, self.changed_by, *self.guided_by)
        return () if self.is_clarification else tuple(dict.fromkeys(who for who in parties if who))

    @property
    def approvals_before(self) -> tuple[Approval, ...]:
        """The approvals that count without the answer that decided it: the person who rejected may have approved."""
        decided = self.answered_by
        return tuple(one for one in self.approvals if decided is None or not same_person(one.by, decided))

    def approval_of(self, person: str) -> Approval | None:
        """Return that person's approval, if it still counts."""
        return next((one for one in self.approvals if same_person(one.by, person)), None)

    def proposal(self, opened: Event | None) -> dict[str, Any] | None:
        """Return the decision that people are asked about, as its opening in the log has it and with its changes.

        None if nothing was proposed. Raises ``LogCorrupt`` if somebody has changed the log: it is no decision, or not
        the call that people were asked about, so that they would approve another call than the one that they see.
        """
        try:
            fact = None if opened is None else opened.fact
        except GARBLED as problem:
            raise LogCorrupt(error_text(problem)) from None
        if not isinstance(fact, EscalationOpened | ApprovalRequested) or fact.proposed_decision is None:
            return None
        proposed: dict[str, Any] = fact.proposed_decision
        try:
            recorded_decision(proposed)
            calls = [sha256(canonical(call)) for call in proposed.get("calls", ())]
        except GARBLED as problem:
            raise LogCorrupt(f"proposed_decision: {error_text(problem)}") from None
        if self.is_approval and (len(calls) != 1 or self.call_sha256 not in (None, *calls)):
            raise LogCorrupt(
                f"{self.run_id}: the call behind {self.escalation_id} was changed in the log after people were asked."
            )
        return self.with_changes(proposed)

    def with_changes(self, decision: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the proposed ``decision`` with the arguments as they are now."""
        if self.arguments is None or decision is None:
            return decision
        return {**decision, "calls": [decision["calls"][0] | {"arguments": self.arguments}]}

    def message(self, proposed: Any, *, sent: int, reminder: bool = False) -> EscalationMessage:
        """Return the message to people about it; ``proposed``: the decision as it is now."""
        fields = {name: value for name, value in self._facts.items() if name in EscalationMessage.model_fields}
        fits = proposed is None or len(canonical(proposed)) <= MAX_PROPOSED_BYTES
        decision = proposed if fits else None
        more = {"binding": self.shown, "changed_by": self.changed_by, "sent": sent, "reminder": reminder}
        return EscalationMessage(**fields | more, proposed_decision=decision)

    def summary_at(self, now: datetime, *, ended: bool) -> EscalationSummary:
        """Return it in brief; ``ended``: its run has ended."""
        return EscalationSummary(**self._facts_at(now, ended=ended))

    def shown_at(self, now: datetime, *, ended: bool, proposed: Any, corrupt: str | None) -> ShownEscalation:
        """Return it as people see it, with the decision as it is now, or why that is not shown."""
        return ShownEscalation(
            **self._facts_at(now, ended=ended),
            binding=self.shown,
            changed_by=self.changed_by,
            asked=(self.requested_by,) if self.is_clarification and self.requested_by else (),
            proposed_decision=proposed,
            corrupt=corrupt,
        )

    def _facts_at(self, now: datetime, *, ended: bool) -> dict[str, Any]:
        expired = self.status == "open" and (ended or self.answer_by < now.isoformat())
        answered = {"answered_by": self.answered_by, "answered_at": self.answered_at, "reminded_at": self.reminded_at}
        return self._facts | answered | {"status": "expired" if expired else self.status}

    @property
    def _facts(self) -> dict[str, Any]:
        return {
            "escalation_id": self.escalation_id,
            "run_id": self.run_id,
            "tenant": self.tenant,
            "kind": self.kind,
            "reason": self.reason,
            "summary": self.summary,
            "opened_at": self.opened_at,
            "answer_by": self.answer_by,
            "why": self.why,
            "approvals_needed": self.approvals_needed,
            "approvals_given": tuple(given.by for given in self.approvals),
            "may_not_answer": self.may_not_answer,
            "approvers": self.approvers,
        }


@dataclass(frozen=True)
class ShownEscalations:
    """Escalations as every screen shows them, without their task tokens."""

    log: RunLog
    table: Table
    clock: Callable[[], datetime]

    def get(self, escalation_id: str) -> ShownEscalation | None:
        """Return the escalation; None if there is none. Raises ``RetryLater``."""
        item = self.table.get({"escalation_id": escalation_id}, only=SHOWN)
        if item is None or "tenant" not in item:
            return None
        [shown] = self._shown([Escalation.of(item)])
        return shown

    def open(self) -> list[ShownEscalation]:
        """Return all that wait for an answer, newest first, without clarifications. Raises ``RetryLater``."""
        found: list[ShownEscalation] = []
        after = None
        while True:
            escalations, after = self._page("open", None, 100, after)
            found += self._shown(escalations)
            if after is None:
                return [one for one in found if one.status == "open"]

    def page(
        self, state: State, tenant: str | None, limit: int, after: Mapping[str, str] | None
    ) -> tuple[list[EscalationSummary], Item | None]:
        """Return at most ``limit`` of that state, newest first, and the key that the next page begins after.

        Of every tenant where ``tenant`` is None; without clarifications, which the requester sees in the run. It may
        have fewer, and still a next page. Raises ``RetryLater``.
        """
        escalations, last = self._page(state, tenant, limit, after)
        waiting = {one.run_id for one in escalations if one.status == "open"}
        unreadable: list[Unreadable] = []
        events = self.log.read_keys([(run_id, RunEnded.key()) for run_id in sorted(waiting)], unreadable)
        runs = {run_id for run_id, _ in events} | {one.run_id for one in unreadable}
        found = [one.summary_at(self.clock(), ended=one.run_id in runs) for one in escalations]
        return [one for one in found if one.status == state], last

    def _shown(self, escalations: Sequence[Escalation]) -> list[ShownEscalation]:
        keys = {(one.run_id, seq) for one in escalations for seq in (one.opened_key, RunEnded.key())}
        unreadable: list[Unreadable] = []
        events = self.log.read_keys(sorted(keys), unreadable)
        wrong = {(one.run_id, one.seq): one.why for one in unreadable}
        found = []
        for one in escalations:
            opened, ended = (one.run_id, one.opened_key), (one.run_id, RunEnded.key())
            proposed, corrupt = None, wrong.get(opened)
            try:
                proposed = one.proposal(events.get(opened))
            except LogCorrupt as problem:
                corrupt = str(problem)
            has_ended = ended in events or ended in wrong
            found.append(one.shown_at(self.clock(), ended=has_ended, proposed=proposed, corrupt=corrupt))
        return found

    def _page(
        self, status: str, tenant: str | None, limit: int, after: Mapping[str, str] | None
    ) -> tuple[list[Escalation], Item | None]:
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
            after=None if after is None else {**after, **index_key},
        )
        page = self.table.page(query)
        items, last = page.items[:limit], page.after
        if len(page.items) > limit:
            last = items[-1]
        keys = [{"escalation_id": item["escalation_id"]} for item in items]
        whole = {item["escalation_id"]: item for item in self.table.batch_get(keys, only=SHOWN)}
        found = [whole[key] for item in items if (key := item["escalation_id"]) in whole]
        shown = [Escalation.of(item) for item in found if "tenant" in item]  # an older version wrote none
        return shown, {name: last[name] for name in PAGE_KEY} if last else None
