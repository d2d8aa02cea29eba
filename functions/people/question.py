"""A question to people as its table holds it: what is asked, who said what so far, and the task token."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ballast.contracts.notice import binding_shown
from ballast.contracts.person import same_person
from ballast.contracts.wire import canonical, sha256
from ballast.errors import LogCorrupt

#: A proposed decision larger than this is left out of messages; the log and the API have it.
MAX_PROPOSED_BYTES = 64 * 1024


@dataclass(frozen=True)
class Given:
    """One person's approval. ``number`` counts the answers to the question; ``sha256`` tells a repeat.

    group  the group that the tool asks for and that they are of; None where it asks for none
    """

    by: str
    at: str
    sha256: str
    comment: str
    number: int
    group: str | None = None


@dataclass(frozen=True)
class Question:
    """One item of the escalations table.

    round       which asking about its call it is, of an approval
    task_token  empty where it was left out
    resumed     whether the run is known to have its answer
    reopened    whether an answer to it was taken once that never came on record
    answer_sha256, answered_by, comment  of the answer that decided it
    tenant      whose run it is; None of an older version's question
    requested_by  who asked for the run: they do not decide
    proposed_by  the person who proposed the call, of an approval; None where a model or a script did
    guided_by    who had guided the agent when it proposed the call
    changed_by   who changed the call's arguments last
    approvers    the group whose members approve; None where every reviewer may
    approvals_needed, given  how many people must approve, and who has
    answers     how many answers it has taken: every change of it adds one
    binding     the hash that an approval is bound to
    call_sha256  the hash of the call as people were asked about it; None of an older version's question
    arguments   what somebody changed the call's arguments to; None while they are as proposed
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
    comment: str = ""
    tenant: str | None = None
    requested_by: str | None = None
    proposed_by: str | None = None
    guided_by: tuple[str, ...] = ()
    changed_by: str | None = None
    approvers: str | None = None
    approvals_needed: int = 1
    given: tuple[Given, ...] = ()
    answers: int = 0
    binding: str | None = None
    call_sha256: str | None = None
    arguments: dict[str, Any] | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Question":
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
            comment=item.get("answer_comment", ""),
            tenant=item.get("tenant"),
            requested_by=item.get("requested_by"),
            proposed_by=item.get("proposed_by"),
            guided_by=tuple(json.loads(item.get("guided_by", "[]"))),
            changed_by=item.get("changed_by"),
            approvers=item.get("approvers"),
            approvals_needed=item.get("approvals_needed", 1),
            given=tuple(Given(**one) for one in json.loads(item.get("given", "[]"))),
            answers=item.get("answers", 0),
            binding=item.get("binding"),
            call_sha256=item.get("call_sha256"),
            arguments=None if arguments is None else json.loads(arguments),
        )

    @property
    def shown(self) -> str | None:
        """The hash of what people see: another one once somebody has changed the arguments."""
        return binding_shown(self.binding, self.arguments)

    @property
    def given_before(self) -> tuple[Given, ...]:
        """The approvals that count without the answer that decided it; who rejected it may have approved before."""
        decided = self.answered_by
        return tuple(one for one in self.given if decided is None or not same_person(one.by, decided))

    def given_by(self, person: str) -> Given | None:
        """Return that person's approval, if it still counts."""
        return next((one for one in self.given if same_person(one.by, person)), None)


def check_shown(item: Mapping[str, Any], decision: Any) -> None:
    """Return where ``decision``, as the log has it, is the call that people were asked about when it was opened.

    Raises ``LogCorrupt``: who approves what they are shown would approve another call.
    """
    asked, calls = item.get("call_sha256"), (decision or {}).get("calls")
    if asked is not None and calls and sha256(canonical(calls[0])) != asked:
        run_id, escalation_id = item["run_id"], item["escalation_id"]
        raise LogCorrupt(f"{run_id}: the call behind {escalation_id} was changed in the log after people were asked.")


def in_a_message(decision: Any) -> Any:
    """Return the proposed decision as a message has it: None where it is too large."""
    fits = decision is None or len(canonical(decision)) <= MAX_PROPOSED_BYTES
    return decision if fits else None


def as_text(given: tuple[Given, ...]) -> str:
    """Return approvals as the table holds them."""
    return canonical([asdict(one) for one in given])
