"""The calls of one turn, from the decision that proposed them and their ``call.*`` entries."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from ballast.log.event import Event
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
    elif name == "call.settled" and "undo" in body:
        said["undo"] = None  # what was intended as its undo could not be made, or there is nothing to undo
    match name:
        case "call.refused":
            said |= {"outcome": "refused", "error": text(body, "error"), "message": text(body, "message")}
        case "call.intended":
            said |= {"effect": text(body, "effect")}
        case "call.doubted":
            said |= {"message": f"in doubt: {text(body, 'message')}"}
        case "call.settled":
            status = text(body, "status")
            said |= {
                "outcome": status if status in _SETTLED else "unknown",
                "result": body.get("result"),
                "message": text(body, "message"),
                "latency_ms": whole(body.get("latency_ms")),
                "repeats": _position(body.get("repeat_of")),
            }
        case _ if name.startswith("call.approval_"):
            said |= _about_approval(call.approval or Approval(), name.removeprefix("call.approval_"), body)
    return said


def _about_approval(known: Approval, step: str, body: Mapping[str, Any]) -> dict[str, Any]:
    asked = text(body, "escalation_id") or known.escalation_id
    match step:
        case "needed":
            return {"outcome": "waiting", "approval": Approval(void=known.void, why=_texts(body.get("why")))}
        case "requested":
            return {"outcome": "waiting", "approval": replace(known, escalation_id=asked)}
        case "given":
            given = (*(() if "arguments" in body else known.given), text(body, "by"))
            return {"outcome": "waiting", "approval": replace(known, given=given, changed="arguments" in body)}
        case "answered" if body.get("approve") is None:
            return {"outcome": "open", "approval": replace(known, silent=True)}
        case "answered":
            people = [text(one, "by") for one in listed(body.get("approvals")) if isinstance(one, Mapping)]
            answered = replace(
                known,
                escalation_id=asked,
                approve=body["approve"] is True,
                by=", ".join(people) if people and body["approve"] is True else text(body, "by"),
                comment=text(body, "comment"),
                changed="arguments" in body,
            )
            return {"outcome": "open", "approval": answered}
        case "void":
            return {"outcome": "open", "approval": replace(known, void=_texts(body.get("moved")))}
    return {}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in listed(value) if isinstance(one, str))


def _position(undoes: Any) -> str:
    match listed(undoes):
        case [int(turn), int(index)]:
            return f"turn {turn} call {index}"
    return ""
