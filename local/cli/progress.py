"""One line for each entry of the log, as it appears: what a person watches while a run goes on. Pure."""

from collections.abc import Mapping
from typing import Any

from ballast.contracts.task import LAST_TURN
from ballast.log.event import Event
from local.cli.follow import ASKS
from local.trace.clean import clean, cut_short
from local.trace.reading import listed, mapping, number, text, whole
from local.trace.words import meaning, span, usd

_STYLES = {"call.refused": "red", "model.failed": "red", "run.refused": "red", "run.ended": "bold"}
#: Characters of one line: what does not fit is in the trace.
_MOST = 68


def progress(event: Event) -> tuple[str, str] | None:
    """Return the line for ``event`` and its style, or None where its outcome alone is worth a line.

    An unknown entry is shown by its name.
    """
    # To other systems, or what comes with the request that follows; no step of the work.
    told = event.name.rpartition(".")[2] in ("announced", "replied", "approval_needed")
    if told or (event.name == "call.intended" and event.body.get("effect") == "read"):
        return None
    turn = f"turn {event.turn:<3}" if 0 < event.turn < LAST_TURN else f"{'run':8}"
    style = "magenta" if event.name in ASKS else _STYLES.get(event.name, "")
    said = clean(_said(event), lines=False)
    return f"  {turn}  {said if len(said) <= _MOST else cut_short(said, _MOST - 2)}", style


def _said(event: Event) -> str:
    body = event.body
    match event.name:
        case "run.opened":
            return _opened(body)
        case "run.refused":
            return f"not admitted: {text(body, 'message')}"
        case "run.ended":
            by = f" by {text(body, 'by')}" if body.get("by") else ""
            return f"{text(body, 'status')}{by}, {usd(number(body, 'spent_microusd'))} spent"
        case "model.requested":
            return f"asks the model (reserves {usd(number(body, 'reserved_microusd'))})"
        case "model.responded":
            return f"{_decision('agent', body)} ({usd(number(body, 'cost_microusd'))})"
        case "model.failed":
            detail = f" ({text(body, 'error')})" if body.get("error") else ""
            return f"model failed: {meaning(text(body, 'exit_reason'))}{detail}"
        case "plan.decided":
            return _decision(text(body, "planner"), body)
        case "escalation.opened":
            return f"escalated: {meaning(text(body, 'reason'))} ({text(body, 'escalation_id')})"
        case "escalation.answered":
            return _decision(text(body, "by") or "a person", body)
        case "run.settled":
            back = usd(number(body, "returned_microusd"))
            return f"settled: {usd(number(body, 'charged_microusd'))} charged, {back} goes back to the windows"
        case "run.corrected":
            now, was = usd(number(body, "charged_microusd")), usd(number(body, "was_microusd"))
            return f"corrected: {now} charged instead of {was}, by {text(body, 'by')}: {text(body, 'reason')}"
        case "run.announced" | "escalation.announced":
            return f"event sent: {text(body, 'detail_type')}"
        case "run.replied":
            return f"NOT replied: {text(body, 'error')}" if body.get("error") else "replied to the caller's queue"
        case _:
            return _about_call(event.name, body)


def _about_call(name: str, body: Mapping[str, Any]) -> str:
    match name:
        case "call.intended":
            return f"{text(body, 'tool')} passes the gate ({text(body, 'effect')})"
        case "call.refused":
            return f"{text(body, 'tool')} REFUSED: {text(body, 'error')}: {text(body, 'message')}"
        case "call.doubted":
            return f"{text(body, 'tool')} in doubt: {text(body, 'message')}"
        case "call.settled":
            took = whole(body.get("latency_ms"))
            said = f": {text(body, 'message')}" if body.get("message") else ""
            return f"{text(body, 'tool')} {text(body, 'status')}{'' if took is None else f' in {span(took)}'}{said}"
        case "call.approval_requested":
            return f"asks for an approval ({text(body, 'escalation_id')})"
        case "call.approval_given":
            return f"approved by {text(body, 'by')}, {number(body, 'given')} of {number(body, 'needed')}"
        case "call.approval_answered" if body.get("approve") is None:
            return "nobody answered the request for an approval in time"
        case "call.approval_answered":
            changed = ", with other arguments" if "arguments" in body else ""
            return f"{'approved' if body.get('approve') is True else 'rejected'} by {text(body, 'by')}{changed}"
        case "call.approval_void":
            moved = ", ".join(one for one in listed(body.get("moved")) if isinstance(one, str))
            return f"the approval is void: {moved} had changed"
        case _:
            return name


def _opened(body: Mapping[str, Any]) -> str:
    limits = mapping(body, "limits")
    return (
        f"admitted: at most {usd(number(limits, 'cost_microusd'))}, {number(limits, 'turns')} turns, "
        f"{number(limits, 'deadline_s')} s"
    )


def _decision(planner: str, body: Mapping[str, Any]) -> str:
    decision = mapping(body, "decision")
    match decision.get("kind"):
        case "call_tools":
            tools = [text(call, "tool") for call in listed(decision.get("calls")) if isinstance(call, Mapping)]
            return f"{planner} proposes {', '.join(tools)}"
        case "answer":
            return f"{planner} answers"
        case "hand_over":
            return f"{planner} hands over to {text(decision, 'to')}: {meaning(text(decision, 'reason'))}"
    return f"{planner} decides"
