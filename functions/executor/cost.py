"""Calls that cost money: reserved within the run's ceiling before they are made, settled by what they report.

::

    call.intended  reserved_microusd: the declared worst case
    call.reserved  the same again, where the first attempt at a read died: it may have been charged
    call.settled   cost_microusd: what the tool reported, else all that was reserved

A write is reserved once: under its key it has one effect, and costs once. Calls that cost are never made side
by side, so that each sees what the others have reserved.
"""

from ballast.errors import AttemptInProgress, RunEnded, Unaffordable
from ballast.log.events import CallReserved
from ballast.log.run_log import RunLog
from ballast.money.amounts import dollars
from functions.executor.attempt import Attempt
from functions.executor.call_outcome import CallOutcome


def within_ceiling(attempt: Attempt) -> CallOutcome | None:
    """Let the call go on where the run can afford it. A step of the executor. Raises ``Unaffordable``.

    It comes before people are asked, and again once they have approved: others may have spent meanwhile.
    """
    if attempt.state.status == "intended":
        return None  # it is reserved already
    if not attempt.is_with_people:
        _check(attempt)
    return None


def reserve_anew(log: RunLog, attempt: Attempt, invocation: str) -> CallOutcome | None:
    """Reserve for the second attempt at a read that costs, and return None; or the outcome of a third one.

    Raises ``AttemptInProgress`` where another process makes that attempt.
    """
    cost = attempt.cost_microusd
    if not cost:
        return None
    if CallReserved.key(*attempt.at) in attempt.history.turn.by_seq:
        message = f"{attempt.tool.name} was tried twice without an outcome and may have cost each time."
        return CallOutcome("failed", message=message)
    try:
        attempt.history.renew()  # another process may have reserved since
        _check(attempt)
    except Unaffordable as refused:  # too late to refuse the call: its first attempt was made
        return CallOutcome("failed", message=str(refused))
    reserved = CallReserved(
        turn=attempt.task.turn,
        index=attempt.task.index,
        tool=attempt.tool.name,
        reserved_microusd=cost,
        invocation=invocation,
    )
    if attempt.record(reserved).invocation != invocation:
        raise AttemptInProgress(f"{attempt.idempotency_key}: another attempt at this call has not ended.")
    if log.goes_on_after(attempt.task.run_id, attempt.task.turn):  # see ``intend``
        raise RunEnded(f"{attempt.idempotency_key}: the run has ended or gone on; nothing is paid for it any more.")
    return None


def charge(attempt: Attempt) -> int | None:
    """Return what is charged for the call once the attempt has ended; None for a tool that costs nothing."""
    bill, cost = attempt.context.bill, attempt.cost_microusd
    if bill.reported is not None:
        return bill.reported
    if cost is None:
        return None
    never_begun = not bill.begun and attempt.state.status != "intended"
    return 0 if never_begun else cost


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
