"""A person's approval of a call: the reasons to ask for it, the answer, and whether it still holds.

::

    no reason to ask ─▶ goes on
    a reason, and the call's own record says that it has ended ─▶ ends as recorded
    a reason ─▶ approval_needed (why, bound to what) ─▶ ApprovalRequired: the workflow asks the people
      answered: rejected ─▶ denied
                approved ─▶ the binding, computed again ─ the same ─▶ goes on (``call.intended`` consumes the approval)
                                                        └ changed ─▶ approval_void ─▶ asked again, 3 times at most
      not signed (forged, or changed since) ─▶ as if nobody had answered; if the workflow has waited: approval_void
      no answer in time ─▶ approval_answered by nobody ─▶ refuse │ fallback: denied │ park: asked again, ApprovalParked
        (believed only if the executor's own table has it; else it is forged, and counts as not signed)

``approval_answered`` has one key a round, and the first write decides: a person's answer, or the executor's "nobody
answered" after the wait. So an answer at the last moment either counts, or its author is told that it was too late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import ToolCall
from ballast.contracts.person import how_many
from ballast.contracts.wire import canonical, sha256
from ballast.errors import AnswerUnsigned, ApprovalParked, ApprovalRequired, NotSigned, RetryLater, RuleViolation
from ballast.folds.approvals import ApprovalRound
from ballast.folds.opening import renewed
from ballast.log.events import ApprovalAnswered, ApprovalNeeded, ApprovalVoid, Approved
from ballast.masking import error_text
from ballast.money.amounts import dollars
from ballast.playbook import Effect, OnUnanswered, ToolFailed
from ballast.playbook.load import policy_version
from ballast.playbook.rules import require_result, run_rule
from ballast.values import dataclass
from functions.executor.attempt import Attempt, differing
from functions.executor.record import CallOutcome
from functions.executor.rules import (
    asks_again,
    derived,
    last_rejection,
    tainted,
    typed_by_a_person,
    unvouched,
    words_only,
)

#: After so many void approvals of a call people are not asked again: the call changes faster than they answer.
MAX_VOIDS = 3
#: Most characters of a comment that are quoted.
_QUOTED = 200
#: Most bytes of a precondition's value that are recorded; of a larger one only the hash is.
_MAX_PRECONDITION_BYTES = 4 * 1024
_PARTS = frozenset({"tool", "arguments_sha256", "policy", "cost_microusd", "precondition_sha256"})


def approved(attempt: Attempt) -> CallOutcome | None:
    """Return the outcome of a call that may not act, denied or failed; None where it may act. A rule.

    Raises ``ApprovalRequired`` or ``ApprovalParked`` where people must be asked first.
    """
    if attempt.moving.begun:
        return None  # the table of moves says that it has begun: it was approved, or needed no approval
    if attempt.state.status == "intended":
        _check_begun(attempt)
        return None
    try:
        return _approved(attempt)
    except ToolFailed as failed:
        return CallOutcome.without_effect("failed", attempt.cut(error_text(failed)))


def _approved(attempt: Attempt) -> CallOutcome | None:
    rounds = attempt.rounds
    if not rounds:
        why = why_a_person_must_approve(attempt)
        return _ask(attempt, 1, why, binding_of(attempt)) if why else None
    rounds = (*rounds[:-1], _believed(attempt, rounds[-1]))
    latest = rounds[-1]
    if _was_forged(attempt, latest):
        return _void(attempt, rounds, ["signature"], binding_of(attempt))
    if latest.answer is None and attempt.task.unanswered and latest.number <= max(1, attempt.task.asked):
        latest = _nobody_answered(attempt, latest)
    if latest.answer is None:
        if (ended := _has_ended(attempt)) is not None:
            return ended
        raise _waits(attempt, parked=latest.parked)
    if latest.unanswered:
        return _unanswered(attempt, latest)
    if not latest.answer.approve:
        return _denied(f"A person rejected it. {latest.answer.comment}".strip())
    now = binding_of(attempt)
    changed = [] if latest.void is not None else _moved(attempt, latest, now)
    if "arguments" in changed and "policy" not in changed:
        _check_stable(attempt, latest)
    if latest.void is None and not changed:
        return None
    return _void(attempt, rounds, changed, now)


def _check_stable(attempt: Attempt, latest: ApprovalRound) -> None:
    """Raise ``RuleViolation`` if the playbook now reads the proposal as other arguments than people were shown.

    Asking again would not help: people would always approve a call that differs from the one that is executed.
    """
    needed = latest.needed
    if needed is None or attempt.state.proposed is not None:
        return
    if needed.proposed_sha256 == attempt.proposed_sha256:
        fields = differing(needed.arguments, attempt.state.call.arguments)
        raise RuleViolation(
            f"{attempt.tool.name}: {fields}: has another value than people approved. Its validator must not change it."
        )


def _check_begun(attempt: Attempt) -> None:
    """Raise ``NotSigned`` where a call that has begun needs an approval and has none.

    Its intention does not show that it was approved: every function that may append to the log could have written it.
    """
    rounds = attempt.rounds
    latest = rounds[-1] if rounds else None
    if latest is not None and latest.answer is not None and latest.void is None and latest.answer.approve:
        same = same_call(_asked(latest), latest.answer, attempt.state.call)
        if same and not _not_what_was_approved(attempt, latest.answer):
            return
    if why_a_person_must_approve(attempt.as_proposed):
        raise NotSigned("It needs an approval signed by a person, and has none.")


def _believed(attempt: Attempt, latest: ApprovalRound) -> ApprovalRound:
    """Return the round, without a "nobody answered" that the executor's own table does not have.

    That event is unsigned: it may have replaced a person's rejection, or have been written before anybody was asked.
    """
    if latest.answer is None or not latest.unanswered:
        return latest
    if attempt.recorded.has_unanswered(attempt.task.run_id, latest.answer):
        return latest
    _disbelieve(attempt, latest.number)
    return replace(latest, answer=None)


def _disbelieve(attempt: Attempt, number: int) -> None:
    event = attempt.history.turn.by_seq.get(ApprovalAnswered.key(*attempt.at, number))
    if event is not None:
        attempt.disbelieve(event)


def _was_forged(attempt: Attempt, latest: ApprovalRound) -> bool:
    """Say whether the workflow has waited for people, and the event in the place of their answer is not signed."""
    if latest.answer is not None or attempt.task.unanswered or attempt.task.asked < latest.number:
        return False
    here = (attempt.task.index, latest.number)
    return any(
        event.name == ApprovalAnswered.NAME and (event.index, event.round) == here for event in attempt.history.unsigned
    )


def _moved(attempt: Attempt, latest: ApprovalRound, now: Binding) -> list[str]:
    """Return the names of the parts that are not as they were approved."""
    answer = latest.answer
    assert answer is not None
    return sorted({*moved(_asked(latest), answer, now), *_not_what_was_approved(attempt, answer)})


def _asked(latest: ApprovalRound) -> Binding | None:
    """Return the binding of the approval that people were asked for."""
    return Binding.read(latest.needed.binding) if latest.needed is not None else None


def _not_what_was_approved(attempt: Attempt, answer: ApprovalAnswered) -> list[str]:
    """Return the names of the parts outside the binding that do not match: the call that people were shown, and the
    number of approvers from the tool's group.

    The request for approval is in the log, which other functions can write as well.
    """
    group = attempt.tool.approval.approvers
    approvals = answer.approvals or (Approved(by=str(answer.by)),)
    given = how_many(one.by for one in approvals if group is None or one.group == group)
    seen = answer.call_sha256
    other_call = seen is not None and not attempt.was_shown(seen, changed=answer.changes_arguments)
    return ["approvals"] * (given < attempt.tool.approval.people) + ["call"] * other_call


def _void(
    attempt: Attempt, rounds: Sequence[ApprovalRound], changed: Sequence[str], now: Binding
) -> CallOutcome | None:
    """Record once that an approval is void, and ask again."""
    latest = rounds[-1]
    if latest.void is None:
        latest = replace(latest, void=_record_void(attempt, latest.number, changed, now))
    return _asked_again(attempt, latest, now, voids=1 + sum(one.void is not None for one in rounds[:-1]))


def _record_void(attempt: Attempt, number: int, changed: Sequence[str], now: Binding | None) -> ApprovalVoid:
    void = ApprovalVoid(
        turn=attempt.task.turn,
        index=attempt.task.index,
        round=number,
        tool=attempt.tool.name,
        moved=tuple(changed),
        binding=now.recorded if now is not None else None,
    )
    return attempt.record(void)


def _asked_again(attempt: Attempt, latest: ApprovalRound, now: Binding, *, voids: int) -> CallOutcome | None:
    """Ask again after a void approval, a few times; return None where no reason to ask is left."""
    if voids >= MAX_VOIDS:
        return _denied(
            f"It was approved {voids} times, and each time what the approval relied on had changed "
            "before it could act. Nothing was done."
        )
    why = why_a_person_must_approve(attempt)
    if why and latest.void is not None and "signature" in latest.void.moved:
        why = [*why, "somebody has forged or changed the last answer to this approval in the log"]
    return _ask(attempt, latest.number + 1, why, now, parked=latest.parked) if why else None


def consumed(attempt: Attempt) -> dict[str, Any] | None:
    """Return the approval that a call acts on, for its intention, which consumes the approval."""
    rounds = attempt.rounds
    if not rounds or rounds[-1].void is not None or not attempt.state.approved_by:
        return None
    latest = rounds[-1]
    bound = (latest.needed.binding if latest.needed is not None else None) or {}
    return {"round": latest.number, "binding": bound.get("sha256"), "by": list(attempt.state.approved_by)}


def _nobody_answered(attempt: Attempt, latest: ApprovalRound) -> ApprovalRound:
    """Record that nobody answered and return the round with that answer.

    Raises ``RetryLater`` where a person was faster: they may have approved other arguments than these.
    """
    nobody = ApprovalAnswered(
        turn=attempt.task.turn,
        index=attempt.task.index,
        round=latest.number,
        escalation_id=latest.requested.escalation_id if latest.requested is not None else None,
        approve=None,
        by=None,
        comment="",
        **renewed(attempt.history.opening.limits, attempt.now),
    )
    said = attempt.recorded.record_unanswered(attempt.task.run_id, nobody)
    try:
        recorded = attempt.record(said)
    except AnswerUnsigned:  # a forged answer has its key
        return replace(latest, answer=said)
    if recorded.approve is not None:
        raise RetryLater(f"{attempt.idempotency_key}: a person's answer came at the last moment and counts; try again.")
    if canonical(recorded.body) != canonical(said.body):  # somebody else has written it
        _disbelieve(attempt, latest.number)
        _record_void(attempt, latest.number, ["signature"], None)
    return replace(latest, answer=said)


def _unanswered(attempt: Attempt, latest: ApprovalRound) -> CallOutcome:
    choice = OnUnanswered(attempt.tool.approval.on_unanswered or attempt.playbook.agent.on_unanswered)
    if choice is OnUnanswered.PARK and not latest.parked:
        asked_because = latest.needed.why if latest.needed is not None else ()
        why = [*(asked_because or why_a_person_must_approve(attempt)), *_lost_change(latest)]
        return _ask(attempt, latest.number + 1, why, binding_of(attempt), parked=True)
    followed = OnUnanswered.REFUSE if choice is OnUnanswered.PARK else choice
    return replace(_denied("It needs a person's approval, and nobody answered in time."), unanswered=followed)


def _lost_change(latest: ApprovalRound) -> list[str]:
    """Return, for a round that ended without the approvals, that the arguments which somebody changed do not stay.

    Nobody has approved the changed call, so people are asked about the one that was proposed.
    """
    changed = next((given.by for given in reversed(latest.given) if given.changes_arguments), None)
    if changed is None:
        return []
    return [
        f"this is the call as it was proposed: {changed} had changed it, and not enough people approved that in time"
    ]


def _ask(attempt: Attempt, number: int, why: Sequence[str], binding: Binding, *, parked: bool = False) -> CallOutcome:
    """Record what people are asked to approve and the binding of their answer; then let the workflow ask.

    Returns the outcome of a call that has ended already; else raises ``ApprovalRequired`` or ``ApprovalParked``.
    """
    if (ended := _has_ended(attempt)) is not None:
        return ended
    needed = ApprovalNeeded(
        turn=attempt.task.turn,
        index=attempt.task.index,
        round=number,
        tool=attempt.tool.name,
        arguments=attempt.state.call.arguments,
        proposed_sha256=attempt.proposed_sha256,
        why=tuple(attempt.cut(one) for one in why),
        approvals=attempt.tool.approval.people,
        approvers=attempt.tool.approval.approvers,
        binding=binding.recorded,
        parked=parked,
    )
    raise _waits(attempt, parked=attempt.record(needed).parked)


def _has_ended(attempt: Attempt) -> CallOutcome | None:
    """Return an outcome if the executor's own record says that the call has ended; None where people may be asked.

    An earlier attempt may have ended it and died before it wrote the event. The outcome returned here is recorded under
    the lease of the key, where the earlier record is found, and counts.
    """
    if attempt.tool.effect is not Effect.WRITE or attempt.recorded.find(attempt.task.run_id, attempt.at) is None:
        return None
    return _denied("It had ended before anybody was asked to approve it.")


def _waits(attempt: Attempt, *, parked: bool) -> ApprovalRequired | ApprovalParked:
    if parked:
        return ApprovalParked(f"{attempt.tool.name} still waits for a person's approval.")
    return ApprovalRequired(f"{attempt.tool.name} needs a person's approval.")


def _denied(message: str) -> CallOutcome:
    return CallOutcome.without_effect("denied", message)


# Why a person must approve


def _own_rule(attempt: Attempt) -> str | None:
    """Return the reason of the tool's own rule, ``Approval.if_``."""
    tool = attempt.tool
    return tool.approval.why(tool.name, attempt.args, attempt.request, attempt.so_far)


def _no_room(attempt: Attempt) -> str | None:
    """Return the reason if a window of the business's own money is full and the playbook says ``on_full: ask``."""
    return attempt.moving.no_room


def _too_costly(attempt: Attempt) -> str | None:
    """Return the reason if the declared cost is above the agent's ``approve_over_microusd``."""
    most, cost = attempt.playbook.agent.approve_over_microusd, attempt.cost_microusd
    if most is None or cost is None or cost <= most:
        return None
    return f"its declared cost is ${dollars(cost)}, over ${dollars(most)}"


def _made_before(attempt: Attempt) -> str | None:
    """Return the reason if the same call was made before and the tool has ``repeat="ask"``."""
    return "the same call was made before in this run" if asks_again(attempt) else None


def _rejected(attempt: Attempt) -> str | None:
    """Return the reason if people have rejected the same call in this run and nobody has approved it since."""
    before = last_rejection(attempt)
    if before is None:
        return None
    words = f': "{before.comment[:_QUOTED]}"' if before.comment else ""
    return f"{before.by} has rejected the same call in this run (turn {before.turn}, call {before.index}){words}"


#: The reasons to ask a person, in the order in which people read them.
#: Each returns a text that continues "Asked because …", or None.
_REASONS: tuple[Callable[[Attempt], str | None], ...] = (
    _own_rule,
    _no_room,
    _too_costly,
    _made_before,
    _rejected,
    tainted,
    unvouched,
    derived,
    typed_by_a_person,
    words_only,
)


def why_a_person_must_approve(attempt: Attempt) -> list[str]:
    """Return every reason to ask a person; empty where no person must be asked."""
    return [why for reason in _REASONS if (why := reason(attempt)) is not None]


# The binding of an approval. If any part of it has changed when the call is to act, the approval is void.


@dataclass(frozen=True)
class Binding:
    """The parts that an approval is bound to. ``precondition``: the value that it read, if that is small."""

    tool: str
    arguments_sha256: str
    policy: str
    cost_microusd: int | None
    precondition_sha256: str
    precondition: Any = None

    @classmethod
    def read(cls, asked: Mapping[str, Any] | None) -> Binding | None:
        """Return the binding of a recorded approval round; None where its parts do not have its hash.

        The answer is signed and the request is not, so the parts count only with the hash that was signed.
        """
        if asked is None or not set(asked) >= _PARTS:  # an early version had no binding
            return None
        read = cls(**{name: asked[name] for name in _PARTS})
        return read if asked["sha256"] == read.sha256 else None

    @property
    def sha256(self) -> str:
        """The hash of all parts, to which an answer is bound."""
        return sha256(canonical(self._parts))

    @property
    def recorded(self) -> dict[str, Any]:
        """The binding as the log has it."""
        return {"sha256": self.sha256, **self._parts, "precondition": self.precondition}

    @property
    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PARTS}


def binding_of(attempt: Attempt) -> Binding:
    """Return the binding of the call as it stands.

    Raises ``ToolFailed`` where the precondition cannot be met, ``RuleViolation`` where it breaks, ``RetryLater`` for an
    outage behind it.
    """
    read = _precondition(attempt)
    text = canonical(read)
    return Binding(
        tool=attempt.tool.name,
        arguments_sha256=arguments_sha256(attempt.state.call),
        policy=policy_version(attempt.playbook, attempt.tool),
        cost_microusd=attempt.cost_microusd,
        precondition_sha256=sha256(text),
        precondition=read if len(text) <= _MAX_PRECONDITION_BYTES else None,
    )


def arguments_sha256(call: ToolCall) -> str:
    """Return the hash of the arguments, which does not depend on the spelling of their JSON."""
    return sha256(canonical(call.arguments))


def moved(asked: Binding | None, answer: ApprovalAnswered, now: Binding) -> list[str]:
    """Return the names of the parts that have changed since people were asked; empty where the approval holds.

    If the person changed the arguments, neither the arguments nor a lower cost count as changed. An answer to another
    request, or to one without a binding, gives ``["binding"]`` alone.
    """
    if asked is None or answer.binding != asked.sha256:
        return ["binding"]
    changed = answer.changes_arguments
    cost, before = now.cost_microusd or 0, asked.cost_microusd or 0
    differs = {
        "arguments": asked.arguments_sha256 != now.arguments_sha256 and not changed,
        "precondition": asked.precondition_sha256 != now.precondition_sha256,
        "tool": asked.tool != now.tool,
        "policy": asked.policy != now.policy,
        "cost": cost > before or (cost != before and not changed),
    }
    return sorted(name for name, really in differs.items() if really)


def same_call(asked: Binding | None, answer: ApprovalAnswered, call: ToolCall) -> bool:
    """Say whether an approved call that has begun is the call that the answer approved."""
    if asked is None or answer.binding != asked.sha256 or asked.tool != call.tool:
        return False
    return answer.changes_arguments or asked.arguments_sha256 == arguments_sha256(call)


def _precondition(attempt: Attempt) -> Any:
    rule, name = attempt.tool.approval.precondition, attempt.tool.name
    if rule is None:
        return None

    def reads() -> Any:
        with consequences(f"What the precondition of {name} reads"):
            read = require_result(rule(attempt.args, attempt.context), "JSON")
        canonical(read)  # a value that cannot be hashed or recorded must fail here
        return read

    return run_rule(f"{name}: precondition", reads, rule, may_raise=(ToolFailed,))
