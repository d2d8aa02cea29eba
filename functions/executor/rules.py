"""The rules that a proposed call must pass before it acts: each lets it go on, settles it or refuses it.

::

    scripted        a fallback's call is the one that its script asks for here
    not_looping     a call in a loop gets its recorded answer, or its tool is forbidden
    not_repeated    a repeated call gets the recorded result, if its tool acts once a run
    grounded        every marked value has a source that may name it
    within_ceiling  the run can pay for the call

``approval`` has the rules about a person's approval, ``moving`` those about the business's own money, ``undo`` those
about undos. ``executor.RULES`` is their order. A rule returns None to let the call go on, or an outcome that settles
it, or raises a ``CallRefused``. The rules here read the run and write nothing.

The sources of the values that a call acts on::

    every marked value has a trusted source ─▶ goes on
    one has no source ─────────────▶ Ungrounded: it was invented
    an amount follows from known ones ─▶ a reason to ask a person, with how; a read that ``taint`` allows goes on
    one occurs only in untrusted text ─▶ the tool's ``taint``: refuse ─▶ Tainted
                                                               approve ─▶ a reason to ask a person
                                                               allow ──▶ goes on, and its result is untrusted, too
    one without a mark has no trusted source ─▶ a reason to ask, if the run has read untrusted text or has files
    a person proposes the call ─▶ either is a reason to ask another person
    one is named by a colleague's words alone ─▶ a reason to ask another person, whoever proposes the call
    one is named by the requester's words, and by others ─▶ a reason to ask: the words may be a "no" to them

The cost of a call is reserved within the run's ceiling before the call, and charged after it::

    call.intended  reserved_microusd: the declared worst case
    call.reserved  the same again, if the first attempt at a read died: it may have been charged
    call.settled   cost_microusd: the amount that the tool reported, else the amount that was reserved

A write is reserved once: under its key it has one effect and one cost, which the executor records with the outcome: the
attempt that settles the call from that record charges the recorded cost. Calls that cost money never run side by side,
so each sees what the others have reserved.
"""

from typing import Any

from ballast.contracts import CallTools, Planner
from ballast.contracts.wire import canonical
from ballast.errors import (
    AttemptInProgress,
    NotVouched,
    RepeatRefused,
    RunEnded,
    Tainted,
    ToolForbidden,
    Unaffordable,
    Ungrounded,
)
from ballast.folds.approvals import Rejection
from ballast.folds.calls import CallState
from ballast.folds.effects import UNKNOWN
from ballast.folds.loops import Rung, recorded_signal, refusal
from ballast.log.events import CallReserved
from ballast.log.run_log import RunLog
from ballast.money.amounts import dollars
from ballast.playbook import Effect, Repeat
from ballast.playbook.fallback import next_decision
from ballast.validation import WordsOnly
from functions.executor.attempt import Attempt
from functions.executor.record import CallOutcome

#: Arguments that a refusal names, at most.
_LISTED = 8


def scripted(attempt: Attempt) -> CallOutcome | None:
    """Let a fallback's call go on if the script asks for it here. Raises ``NotVouched``.

    A script is a pure function of the request and the results, so the executor runs it again: the log's word is not
    enough.
    """
    if attempt.state.planner is not Planner.FALLBACK:
        return None
    task, playbook = attempt.task, attempt.playbook
    script = playbook.fallbacks.get(attempt.request.intent or "")
    before = attempt.history.run.before(task.turn)
    decision = next_decision(playbook, script, attempt.request, before)[0] if script is not None else None
    asked = decision.calls if isinstance(decision, CallTools) else ()
    call = attempt.state.proposed or attempt.state.call
    its = asked[task.index - 1] if task.index <= len(asked) else None
    if its is None or its.tool != call.tool or canonical(its.arguments) != canonical(call.arguments):
        raise NotVouched(
            f"The script for {attempt.request.intent} does not ask for this call of {call.tool} here. Nothing was done."
        )
    return None


def not_looping(attempt: Attempt) -> CallOutcome | None:
    """Return the recorded answer of a read in a loop; None where the call may go on. Raises ``ToolForbidden``.

    Only a read that succeeded is answered from the log. A failed read may succeed now, and ``not_repeated`` decides
    about writes.
    """
    turn = attempt.history.turn
    sign = recorded_signal(turn, attempt.at)
    # A call that has begun goes on. If this turn has written something before this call, the recorded answer may be out
    # of date: the signal is older than the write.
    if sign is None or attempt.state.status == "intended" or turn.committed:
        return None
    if sign.rung is Rung.FORBID:
        raise ToolForbidden(refusal(attempt.tool.name, sign))
    if not sign.answer or attempt.tool.effect is not Effect.READ:
        return None
    earlier = attempt.history.run.call(*sign.same_as)
    if earlier is None or earlier.status != "ok":
        return None
    return CallOutcome("ok", result=earlier.result, repeat_of=sign.same_as, undo_made=True)


# The same call again


def not_repeated(attempt: Attempt) -> CallOutcome | None:
    """Return the recorded result of an earlier same call whose tool acts once a run; None where the call may act.

    Raises ``RepeatRefused`` where the earlier call is unknown: only a person may propose it again.
    """
    before = _repeated(attempt)
    if before is None:
        return None
    where = f"turn {before.turn}, call {before.index}"
    if before.status in UNKNOWN:
        if attempt.state.planner is Planner.PERSON:
            return None
        raise RepeatRefused(
            f"{attempt.tool.name} was called with the same arguments before ({where}), and nobody knows whether that "
            "happened. It was not repeated; a person must look."
        )
    if attempt.tool.policy.repeat is Repeat.ASK:
        return None  # ``approved`` asks
    return CallOutcome(
        "ok",
        result=before.result,
        undo_made=True,
        repeat_of=before.position,
        notice=f"Not executed again: this is the recorded result of the same call before ({where}).",
    )


def asks_again(attempt: Attempt) -> bool:
    """Say whether a person must approve the call because the same call was made before."""
    if attempt.tool.policy.repeat is not Repeat.ASK:
        return False
    return _repeated(attempt) is not None


def last_rejection(attempt: Attempt) -> Rejection | None:
    """Return an earlier rejection of the same call in the run; None without one, or with an approval since.

    None for a rollback, and for a plain read, about which nobody is ever asked: that saves reading the run.
    """
    tool = attempt.tool
    plain = tool.effect is Effect.READ and tool.taint == "allow" and tool.approval.if_ is None
    if attempt.state.planner is Planner.ROLLBACK or (plain and attempt.cost_microusd is None and tool.moves is None):
        return None
    return attempt.history.run.rejected_before(attempt.at, attempt.state.call, attempt.playbook.identity)


def _repeated(attempt: Attempt) -> CallState | None:
    """Return the earlier call that this one repeats, or None; None for a rollback, which undoes each effect by itself.

    A call that has begun is checked, too: its intention may be forged.
    """
    free = attempt.tool.policy.repeat is Repeat.ALLOW or attempt.state.planner is Planner.ROLLBACK
    if free:
        return None
    return attempt.history.run.earlier(attempt.at, attempt.state.call, attempt.playbook.identity)


# Sources of values


def grounded(attempt: Attempt) -> CallOutcome | None:
    """Let the call go on if its marked values have a source. Raises ``Ungrounded`` and ``Tainted``."""
    # A person who approved the arguments, or changed and approved them, has vouched for them.
    if attempt.state.approval is True or attempt.state.planner is Planner.PERSON:
        return None
    name, found = attempt.tool.name, attempt.grounding
    if found.ungrounded:
        raise Ungrounded(
            f"{name}: {_listed(found.ungrounded)} must occur in the request, in its facts or in the result of an "
            "earlier turn, and does not. Take it from there word for word, or find it out first.",
            arguments=sorted(found.ungrounded)[:_LISTED],
        )
    if found.tainted and attempt.tool.taint == "refuse":
        raise Tainted(
            f"{name}: {_listed(found.tainted)} occurs only in untrusted text. Use a value that the requester, "
            "a colleague or a trusted result names.",
            arguments=sorted(found.tainted)[:_LISTED],
        )
    return None


def tainted(attempt: Attempt) -> str | None:
    """Return why a person must approve values that only untrusted text names; None without such values."""
    found = attempt.grounding.tainted
    asks = attempt.tool.taint == "approve" or (attempt.tool.taint == "refuse" and _by_a_person(attempt))
    if not found or not asks:
        return None
    where = ", ".join(sorted(set(found.values())))
    return f"{_listed(found)} occurs only in untrusted text ({where})"


def unvouched(attempt: Attempt) -> str | None:
    """Return why a person must approve arguments without a mark that untrusted text may have named."""
    found = [path for path in attempt.grounding.unvouched if path not in attempt.grounding.words_only]
    if not found or attempt.tool.taint == "allow" or attempt.state.planner is Planner.PERSON:
        return None
    unnamed = f"no trusted source names {_listed(found)}, and the run has"
    if not attempt.grounding.files:
        return f"{unnamed} read untrusted text: it may have come out of that text"
    if attempt.grounding.only_files:
        return f"{unnamed} files, which are not searched: a file may have named it"
    return f"{unnamed} read untrusted text and has files, which are not searched: that text or a file may have named it"


def typed_by_a_person(attempt: Attempt) -> str | None:
    """Return why another person must approve a person's call: it has values that nothing in the run names."""
    found = attempt.grounding.ungrounded
    if not found or not _by_a_person(attempt):
        return None
    return f"a person typed {_listed(found)}, and nothing else in the run names it"


def words_only(attempt: Attempt) -> str | None:
    """Return why a person must approve values that only somebody's words name, with a quote of the words.

    The words may forbid the call as well as ask for it, and naming a value is no approval. The requester's words are
    enough if nobody else has named the value, or if a person proposes the call.
    """
    found = {path: said for path, said in attempt.grounding.words_only.items() if _is_asked(attempt, path, said)}
    if not found:
        return None
    quotes = dict.fromkeys(f'"{said.quote}" ({said.where})' for said in found.values() if said.quote)
    disputed = any(said.disputed for said in found.values())
    others = ", which untrusted text, a question of the agent's or a rejected call names as well" if disputed else ""
    return f"only somebody's words name {_listed(found)}{others}: {'; '.join([*quotes][:4]) or 'not shown'}"


def _is_asked(attempt: Attempt, path: str, said: WordsOnly) -> bool:
    tool, unmarked = attempt.tool, path in attempt.grounding.unvouched
    if tool.taint == "allow" and (said.disputed or unmarked):
        return False
    if attempt.state.planner is Planner.PERSON:
        return said.where == "person" and _by_a_person(attempt) and not unmarked
    return tool.taint != "allow" or tool.effect is Effect.WRITE


def _by_a_person(attempt: Attempt) -> bool:
    return attempt.state.planner is Planner.PERSON and attempt.tool.effect is Effect.WRITE


def derived(attempt: Attempt) -> str | None:
    """Return how amounts that nobody names follow from known ones, for a person to judge; None without such amounts."""
    found = attempt.grounding.derived
    if not found or attempt.tool.taint == "allow":
        return None
    how = "; ".join(f"{path} = {way}" for path, way in sorted(found.items())[:8])
    return f"no source names this amount, it was computed: {how}"


def sources_of_values(attempt: Attempt) -> dict[str, dict[str, str]]:
    """Return the sources of the values: ``grounded``, ``tainted``, ``derived`` of the intention; {} without marks."""
    found = attempt.grounding
    if attempt.state.approval is True or not (found.known or found.tainted or found.derived):
        return {}
    where = {"grounded": dict(found.known), "tainted": dict(found.tainted)}
    if found.derived:
        where["derived"] = dict(found.derived)
    return where


def _listed(fields: Any) -> str:
    return ", ".join(sorted(fields)[:_LISTED])


# Cost


def within_ceiling(attempt: Attempt) -> CallOutcome | None:
    """Let the call go on if the run can afford it. Raises ``Unaffordable``.

    It runs before people are asked, and again after they have approved: other calls may have spent money meanwhile.
    """
    if attempt.state.status == "intended":
        return None  # it is reserved already
    if not attempt.is_with_people:
        _check(attempt)
    return None


def reserve_anew(log: RunLog, attempt: Attempt, invocation: str) -> CallOutcome | None:
    """Reserve the cost of the second attempt at a read and return None; return the outcome of a third attempt.

    Raises ``AttemptInProgress`` where another process makes the second attempt, and ``RunEnded``.
    """
    if not attempt.cost_microusd:
        return None
    if CallReserved.key(*attempt.at) in attempt.history.turn.by_seq:
        message = f"{attempt.tool.name} was tried twice without an outcome and may have cost each time."
        return CallOutcome("failed", message=message)
    try:
        attempt.history.read_again()  # another process may have reserved since
        _check(attempt)
    except Unaffordable as refused:  # it failed and was not refused: its first attempt was made
        return CallOutcome("failed", message=str(refused))
    reserved = CallReserved(
        turn=attempt.task.turn,
        index=attempt.task.index,
        tool=attempt.tool.name,
        reserved_microusd=attempt.cost_microusd or 0,
        invocation=invocation,
    )
    if attempt.record(reserved).invocation != invocation:
        raise AttemptInProgress(f"{attempt.idempotency_key}: another attempt at this call has not ended; try again.")
    if log.goes_on_after(attempt.task.run_id, attempt.task.turn):  # see ``effect.intend``
        raise RunEnded(
            f"{attempt.idempotency_key}: the run has ended or continued without this call, so the call may not spend."
        )
    return None


def charge(attempt: Attempt, *, reserved_here: bool) -> int | None:
    """Return the charge of the ended attempt in micro-dollars; None for a tool that costs nothing.

    ``reserved_here``: this attempt reserved the cost, or nobody did. Else an earlier attempt did, and may have spent
    it, whether this one has run the tool or not.
    """
    bill, cost = attempt.context.bill, attempt.cost_microusd
    if bill.reported is not None:
        return bill.reported
    if cost is not None and reserved_here and not bill.begun:
        return 0
    return cost


def _check(attempt: Attempt) -> None:
    cost = attempt.cost_microusd
    if not cost:
        return
    run = attempt.history.run
    left = run.opening.cost_ceiling_microusd - run.usage.charged_microusd
    if cost > left:
        raise Unaffordable(
            f"{attempt.tool.name} may cost ${dollars(cost)}, and ${dollars(max(0, left))} are left of what this run "
            "may spend. Go on without it, or say what could not be done."
        )
