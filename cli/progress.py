"""One line of progress for each event, for a person who watches a run. Pure."""

from ballast.contracts import Answer, CallTools, HandOver
from ballast.contracts.meaning import meaning
from ballast.contracts.task import LAST_TURN
from ballast.log.event import Event
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalGiven,
    ApprovalRequested,
    ApprovalVoid,
    CallDoubted,
    CallIntended,
    CallRefused,
    CallSettled,
    EscalationAnnounced,
    EscalationAnswered,
    EscalationOpened,
    Fact,
    LeaseExtended,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    OfCall,
    PlanDecided,
    RunAnnounced,
    RunCorrected,
    RunEnded,
    RunFeedback,
    RunMoveSettled,
    RunOpened,
    RunRefused,
    RunReplied,
    RunSettled,
)
from ballast.log.garbled import mended
from cli.trace.text import as_text, clean, cut_short, span, usd

#: With these events a run asks a person, and waits.
ASKS = (EscalationOpened.NAME, ApprovalRequested.NAME)
_STYLES = {"call.refused": "red", "model.failed": "red", "run.refused": "red", "run.ended": "bold"}
#: The most characters of one line; the trace has the rest.
_MOST = 68


def progress(event: Event) -> tuple[str, str] | None:
    """Return the line for ``event`` and its style, or None if only its outcome is worth a line.

    An unknown entry is shown by its name.
    """
    fact = mended(event).fact
    # Messages to other systems, or repeated by the request that follows: not a step of the work.
    told = event.name.rpartition(".")[2] in ("announced", "replied", "approval_needed")
    if told or (isinstance(fact, CallIntended) and fact.effect == "read"):
        return None
    turn = f"turn {event.turn:<3}" if 0 < event.turn < LAST_TURN else f"{'run':8}"
    style = "magenta" if event.name in ASKS else _STYLES.get(event.name, "")
    said = clean(_said(event.name, fact), lines=False)
    return f"  {turn}  {said if len(said) <= _MOST else cut_short(said, _MOST - 2)}", style


def _said(name: str, fact: Fact) -> str:
    match fact:
        case RunOpened():
            return _opened(fact)
        case RunRefused():
            return f"not admitted: {fact.message}"
        case RunEnded():
            by = f" by {fact.by}" if fact.by else ""
            return f"{fact.status}{by}, {usd(fact.spent_microusd)} spent"
        case ModelRequested():
            return f"agent asks the model, reserving {usd(fact.reserved_microusd)}"
        case ModelResponded():
            return f"{_decision('agent', fact)} ({usd(fact.cost_microusd)})"
        case ModelFailed():
            detail = f" ({fact.error})" if fact.error else ""
            return f"model failed: {meaning(fact.exit_reason or '')}{detail}"
        case PlanDecided():
            return _decision(fact.planner, fact)
        case EscalationOpened():
            return f"escalated: {meaning(fact.reason)} ({fact.escalation_id})"
        case EscalationAnswered():
            return _decision(fact.by or "a person", fact)
        case LeaseExtended():
            return f"{usd(fact.microusd)} more leased" if fact.microusd else "no more budget leased"
        case RunSettled():
            back = usd(fact.returned_microusd)
            return f"settled: {usd(fact.charged_microusd)} charged, {back} returned to the budget"
        case RunCorrected():
            now, was = usd(fact.charged_microusd), usd(fact.was_microusd)
            return f"charge corrected from {was} to {now} by {fact.by}: {fact.reason}"
        case RunMoveSettled():
            what = "happened" if fact.happened else "did not happen"
            return f"{fact.by or 'an operator'} found out that turn {fact.call[0]}, call {fact.call[1]} {what}"
        case RunFeedback():
            return f"{fact.by or 'a person'} says that it did {fact.verdict}: {fact.note}".removesuffix(": ")
        case RunAnnounced() | EscalationAnnounced():
            return f"event sent: {fact.detail_type}"
        case RunReplied():
            return f"NOT replied: {fact.error}" if fact.error else "replied to the caller's queue"
        case OfCall():
            return _about_call(name, fact)
    return name


def _about_call(name: str, fact: OfCall) -> str:
    match fact:
        case CallIntended():
            return f"{fact.tool} allowed ({fact.effect})"
        case CallRefused():
            return f"{fact.tool or ''} REFUSED: {fact.error}: {fact.message}"
        case CallDoubted():
            return f"{fact.tool or ''} outcome uncertain: {fact.message}"
        case CallSettled():
            said = f": {fact.message}" if fact.message else ""
            took = "" if fact.latency_ms is None else f" in {span(fact.latency_ms)}"
            return f"{fact.tool or ''} {fact.status}{took}{said}"
        case ApprovalRequested():
            return f"asks for approval ({fact.escalation_id or ''})"
        case ApprovalGiven():
            return f"approved by {fact.by}, {fact.given} of {fact.needed}"
        case ApprovalAnswered(approve=None):
            return "nobody answered the approval request in time"
        case ApprovalAnswered():
            changed = ", with other arguments" if fact.changes_arguments else ""
            return f"{'approved' if fact.approve else 'rejected'} by {fact.by or ''}{changed}"
        case ApprovalVoid():
            return f"the approval is void: {', '.join(fact.moved)} had changed"
    return name


def _opened(fact: RunOpened) -> str:
    limits = fact.limits or {}
    ceiling = limits.get("cost_microusd")
    return (
        f"admitted: at most {usd(ceiling if isinstance(ceiling, int) else 0)}, {as_text(limits.get('turns'))} turns, "
        f"{as_text(limits.get('deadline_s'))} s"
    )


def _decision(planner: str, fact: ModelResponded | PlanDecided | EscalationAnswered) -> str:
    decision: object = fact.decision
    match decision:
        case CallTools(calls=calls):
            return f"{planner} proposes {', '.join(call.tool for call in calls)}"
        case Answer():
            return f"{planner} answers"
        case HandOver(to=to, reason=reason):
            return f"{planner} hands over to {to}: {meaning(reason)}"
    return f"{planner} decides"  # the decision cannot be read
