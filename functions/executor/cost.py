"""Calls that cost money: reserved within the run's ceiling before they are made, settled by what they report.

::

    call.intended  reserved_microusd: the declared worst case
    call.reserved  the same again, where the first attempt at a read died: it may have been charged
    call.settled   cost_microusd: what the tool reported, else all that was reserved

A write is reserved once: under its key it has one effect, and costs once. Calls that cost are never made side
by side, so that each sees what the others have reserved.
"""

from typing import Any

from ballast.errors import AttemptInProgress, RunEnded, Unaffordable
from ballast.folds import approval_rounds, ending, opening, usage
from ballast.log.keys import call_seq
from ballast.money.amounts import dollars
from functions.executor.attempt import Attempt, Outcome


def within_ceiling(attempt: Attempt) -> Outcome | None:
    """Let the call go on where the run can afford it. A step of the executor. Raises ``Unaffordable``.

    It comes before people are asked, and again once they have approved: others may have spent meanwhile.
    """
    if attempt.state.status == "intended":
        return None  # it is reserved already
    rounds = approval_rounds(attempt.history.turn, attempt.task.turn, attempt.task.index)
    if rounds and not (rounds[-1].answer or {}).get("approve"):
        return None  # people are being asked, or said no: that is what becomes of it
    _check(attempt)
    return None


def reservation(attempt: Attempt) -> dict[str, int]:
    """Return what ``call.intended`` says of the money; nothing for a tool that costs nothing."""
    cost = attempt.cost_microusd
    return {} if cost is None else {"reserved_microusd": cost}


def reserve_anew(attempt: Attempt, invocation: str) -> Outcome | None:
    """Reserve for the second attempt at a read that costs, and return None; or the outcome of a third one.

    Raises ``AttemptInProgress`` where another process makes that attempt.
    """
    cost = attempt.cost_microusd
    if not cost:
        return None
    seq = call_seq(attempt.task.turn, attempt.task.index, "reserved")
    if any(event.seq == seq for event in attempt.history.turn):
        message = f"{attempt.tool.name} was tried twice without an outcome and may have cost each time."
        return {"status": "failed", "message": message}
    try:
        attempt.history.renew()  # another process may have reserved since
        _check(attempt)
    except Unaffordable as refused:  # too late to refuse the call: its first attempt was made
        return {"status": "failed", "message": str(refused)}
    body = {"tool": attempt.tool.name, "reserved_microusd": cost, "invocation": invocation}
    if attempt.record(seq, body).body["invocation"] != invocation:
        raise AttemptInProgress(f"{attempt.idempotency_key}: another attempt at this call has not ended.")
    attempt.history.renew()
    if ending(attempt.history.run):  # see ``intend``
        raise RunEnded(f"{attempt.idempotency_key}: the run has ended; nothing is paid for it any more.")
    return None


def charge(attempt: Attempt) -> dict[str, int]:
    """Return what ``call.settled`` says of the money, once the attempt has ended."""
    bill, cost = attempt.context.bill, attempt.cost_microusd
    if bill.reported is not None:
        return {"cost_microusd": bill.reported}
    if cost is None:
        return {}
    never_begun = not bill.begun and attempt.state.status != "intended"
    return {"cost_microusd": 0 if never_begun else cost}


def _check(attempt: Attempt) -> None:
    cost = attempt.cost_microusd
    if not cost:
        return
    events: Any = attempt.history.run
    left = opening(events).cost_ceiling_microusd - usage(events).charged_microusd
    if cost > left:
        raise Unaffordable(
            f"{attempt.tool.name} may cost ${dollars(cost)}, and ${dollars(max(0, left))} are left of what this run "
            "may spend. Go on without it, or say what could not be done."
        )
