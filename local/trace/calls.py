"""The calls of one turn, from the decision that proposed them and their ``call.*`` entries."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from ballast.contracts import Event
from local.trace.reading import listed, mapping, text, whole
from local.trace.timeline import Approval, Call, Outcome, Proposal

_SETTLED = frozenset(get_args(Outcome)) - {"open", "waiting", "refused"}


def calls(proposed: Any, events: Iterable[Event], undoes: Any = None) -> tuple[Call, ...]:
    """Return the calls by position: those that a decision proposed and those that have entries.

    ``undoes`` is the [turn, position] of the call that a rollback's decision takes back.
    """
    found = {
        index: Call(index=index, tool=text(call, "tool"), arguments=call.get("arguments"), undoes=_position(undoes))
        for index, call in enumerate(listed(proposed), start=1)
        if isinstance(call, Mapping)
    }
    for event in events:
        if event.name.startswith("call."):
            known = found.get(event.index, Call(index=event.index, tool=""))
            found[event.index] = replace(known, **_change(known, event.name, event.body))
    return tuple(found[index] for index in sorted(found))


def _change(call: Call, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"tool": text(body, "tool") or call.tool}
    if "arguments" in body:
        said["arguments"] = body["arguments"]
    undo = mapping(body, "undo")
    if undo:
        said["undo"] = Proposal(tool=text(undo, "tool"), arguments=undo.get("arguments"))
    match name:
        case "call.refused":
            said |= {"outcome": "refused", "error": text(body, "error"), "message": text(body, "message")}
        case "call.intended":
            said |= {"effect": text(body, "effect")}
        case "call.settled":
            status = text(body, "status")
            said |= {
                "outcome": status if status in _SETTLED else "unknown",
                "result": body.get("result"),
                "message": text(body, "message"),
                "latency_ms": whole(body.get("latency_ms")),
                "repeats": _position(body.get("repeat_of")),
            }
        case "call.approval_requested":
            said |= {"outcome": "waiting", "approval": Approval(escalation_id=text(body, "escalation_id"))}
        case "call.approval_answered":
            said |= {"outcome": "open", "approval": _answered(call, body)}
    return said


def _answered(call: Call, body: Mapping[str, Any]) -> Approval:
    asked = text(body, "escalation_id") or (call.approval.escalation_id if call.approval else "")
    return Approval(
        escalation_id=asked,
        approve=body.get("approve") is True,
        by=text(body, "by"),
        comment=text(body, "comment"),
    )


def _position(undoes: Any) -> str:
    match listed(undoes):
        case [int(turn), int(index)]:
            return f"turn {turn} call {index}"
    return ""
