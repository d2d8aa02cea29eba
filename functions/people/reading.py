"""Escalations as the API shows them: read from their table, never with the task token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ballast.contracts.decision import recorded_decision
from ballast.contracts.error_text import error_text
from ballast.contracts.notice import binding_shown
from ballast.errors import LogCorrupt
from ballast.http.paging import PAGE_BYTES, key_of, sent_bytes, token
from ballast.log.event import GARBLED, Event
from ballast.log.events import ApprovalRequested, EscalationOpened, RunEnded
from ballast.log.run_log import RunLog, Unreadable
from ballast.runtime import Runtime
from ballast.table import Item, Query, Table, differs, equals
from functions.people.contract import Escalation, EscalationPage, EscalationSummary
from functions.people.question import check_shown
from functions.people.table import EscalationsSettings

#: So many pages of the index are looked through for a page of escalations; then the caller asks for the next.
_MAX_LOOKS = 4
_KEY = {
    "escalation_id": r"esc-[a-z2-7]{16}",
    "opened_at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+00:00",
}
_SHOWN = (
    *("escalation_id", "run_id", "tenant", "kind", "reason", "summary", "opened_at", "answer_by"),
    *("answered_by", "answered_at"),
)
_READ = ("status", *_SHOWN)
#: What changes too often for the index, or is not needed to find anything.
_WHOLE = (
    *_READ,
    *("why", "given", "approvals_needed", "requested_by", "proposed_by", "guided_by", "approvers", "reminded_at"),
    *("binding", "arguments", "changed_by", "call_sha256", "turn", "call_index", "round"),
)

State = Literal["open", "answered"]


def _decision_of(opened: Event | None) -> tuple[dict[str, Any] | None, str | None]:
    """Return the decision that people were shown, and what is wrong with it: it is used as what it claims to be."""
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


@dataclass(frozen=True)
class Questions:
    """Reads escalations."""

    log: RunLog
    table: Table
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Questions:
        """Put it together; once per runtime."""
        return cls(runtime.get(RunLog.of), EscalationsSettings.of(runtime).table(runtime), runtime)

    def get(self, escalation_id: str) -> Escalation | None:
        """Return the escalation, None where there is none. Raises ``LogCorrupt`` where its call was changed since."""
        item = self.table.get({"escalation_id": escalation_id}, only=_WHOLE)
        if item is None or "tenant" not in item:
            return None
        run_id, turn, index = item["run_id"], item["turn"], item["call_index"]
        seq = EscalationOpened.key(turn)
        if index:
            seq = ApprovalRequested.key(turn, index, item.get("round", 1))
        unreadable: list[Unreadable] = []
        events = self.log.read_keys([(run_id, seq), (run_id, RunEnded.key())], unreadable)
        opened = events.get((run_id, seq))
        wrong = {one.seq: one.why for one in unreadable}
        facts = self._facts(item, ended=(run_id, RunEnded.key()) in events or RunEnded.key() in wrong)
        binding, arguments = item.get("binding"), item.get("arguments")
        decision, odd = _decision_of(opened)
        if opened is not None and odd is not None:
            wrong[seq] = odd
        check_shown(item, decision)
        if sent_bytes(decision) > PAGE_BYTES:
            decision = None
        if arguments is not None and decision:
            decision = {**decision, "calls": [decision["calls"][0] | {"arguments": json.loads(arguments)}]}
        requested_by = item.get("requested_by")
        asked = (requested_by,) if facts["kind"] == "question" and requested_by else ()
        facts |= {"binding": binding_shown(binding, None if arguments is None else json.loads(arguments))}
        return Escalation.model_validate(
            facts
            | {"changed_by": item.get("changed_by"), "asked": asked, "proposed_decision": decision}
            | {"corrupt": wrong.get(seq)}
        )

    def page(self, state: State, tenant: str | None, limit: int, next_token: str | None) -> EscalationPage:
        """Return one page, newest first; of every tenant where ``tenant`` is None.

        It may hold fewer than ``limit``, and still have a ``next``. Raises ``Problem`` for a token that is none.
        """
        asked = {"status": state, "tenant": tenant}
        after = key_of(next_token, asked, _KEY) if next_token is not None else None
        found: list[EscalationSummary] = []
        more, size = True, 0
        for _ in range(_MAX_LOOKS):
            items, last = self._look(state, tenant, limit - len(found), after)
            for one in self._summaries(self._whole(items)):
                if one.status != state:
                    continue
                size += sent_bytes(one.model_dump(mode="json"))
                if found and size > PAGE_BYTES:  # the page is full by its bytes: the next one begins here
                    key = {name: getattr(found[-1], name) for name in _KEY}
                    return EscalationPage(escalations=tuple(found), next=token(asked, key))
                found.append(one)
            more, after = last is not None, last or after
            if not more or len(found) >= limit:
                break
        return EscalationPage(escalations=tuple(found), next=token(asked, after) if more and after else None)

    def _look(
        self, state: State, tenant: str | None, limit: int, after: dict[str, str] | None
    ) -> tuple[list[Item], Item | None]:
        # A question is for the requester, who sees it in the run.
        for_people, of_status = differs("kind", "question"), equals("status", state)
        of_all = tenant is None
        index_key = {"status": state} if of_all else {"tenant": tenant}
        query = Query(
            of_status if of_all else equals("tenant", tenant),
            index="by_status" if of_all else "by_tenant",
            having=for_people if of_all else for_people & of_status,
            only=_READ,
            descending=True,
            limit=100,  # of what is looked at, not of what is found
            after=None if after is None else after | index_key,
        )
        page = self.table.page(query)
        if len(page.items) > limit:
            items = page.items[:limit]
            return items, {name: items[-1][name] for name in _KEY}
        return page.items, {name: page.after[name] for name in _KEY} if page.after else None

    def _whole(self, found: Sequence[Item]) -> list[Item]:
        """Return the items behind what an index found, in its order. Raises ``RetryLater``."""
        keys = [{"escalation_id": item["escalation_id"]} for item in found]
        whole = {item["escalation_id"]: item for item in self.table.batch_get(keys, only=_WHOLE)}
        return [whole[key] for item in found if (key := item["escalation_id"]) in whole]

    def _summaries(self, items: Sequence[Item]) -> list[EscalationSummary]:
        waiting = {item["run_id"] for item in items if item["status"] == "open"}
        unreadable: list[Unreadable] = []
        ended = self.log.read_keys([(run_id, RunEnded.key()) for run_id in sorted(waiting)], unreadable)
        runs = {run_id for run_id, _ in ended} | {one.run_id for one in unreadable}
        return [EscalationSummary.model_validate(self._facts(item, ended=item["run_id"] in runs)) for item in items]

    def _facts(self, item: Item, *, ended: bool) -> dict[str, Any]:
        facts: dict[str, Any] = {name: item[name] for name in (*_SHOWN, "reminded_at") if name in item}
        named = ("requested_by", "proposed_by", "changed_by") if facts["kind"] != "question" else ()
        parties = [who for name in named if (who := item.get(name))]
        parties += json.loads(item.get("guided_by", "[]")) if named else []
        facts |= {
            "why": tuple(json.loads(item.get("why", "[]"))),
            "approvals_needed": item.get("approvals_needed", 1),
            "approvals_given": tuple(one["by"] for one in json.loads(item.get("given", "[]"))),
            "may_not_answer": tuple(dict.fromkeys(parties)),
            "approvers": item.get("approvers"),
        }
        open_ = item["status"] == "open"
        expired = open_ and (ended or facts["answer_by"] < self.runtime.clock().isoformat())
        return facts | {"status": "expired" if expired else item["status"]}
