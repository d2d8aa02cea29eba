"""What a person typed after ``ballast answer``, as the payload of the AnswerEscalation function. Pure."""

from argparse import Namespace
from typing import Any

from ballast.contracts import ExitReason, Planner, parse_decision
from ballast.contracts.wire import Name, read_json
from ballast.errors import InvalidInput
from ballast.money import micro_dollars

_CHOICES = "--say TEXT, --back-to-agent --guidance TEXT, --call TOOL JSON"


def reply(typed: Namespace, message: dict[str, Any], *, by: str) -> dict[str, Any]:
    """Return {"by", "decision"} or {"by", "approve", "comment", …}, as the escalation in ``message`` asks for.

    An approval is of what ``message`` shows: its binding goes with it, and other arguments where they were typed.
    Groups go with either, where they were typed.

    Raises ``InvalidInput`` naming the option that does not fit.
    """
    groups = {"groups": _groups(typed.group)} if typed.group else {}
    return _answered(typed, message, by) | groups


def _groups(typed: list[str]) -> list[str]:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(list[Name]).validate_python(typed)
    except ValidationError:
        raise InvalidInput(
            f"--group {', '.join(typed)!r}: is no group's name (letters, digits, `.`, `_`, `-`)."
        ) from None


def _answered(typed: Namespace, message: dict[str, Any], by: str) -> dict[str, Any]:
    _check_companions(typed)
    asks_approval = message.get("kind") == "approval"
    if typed.approve or typed.reject:
        if asks_approval:
            return {"by": by, "approve": bool(typed.approve), "comment": typed.comment or ""} | _of_what(typed, message)
        if typed.reject:
            raise InvalidInput(f"--reject: no call waits for an approval here. Answer with {_CHOICES}.")
        if typed.arguments is not None:
            raise InvalidInput("--arguments: no call waits for an approval here. Have it called: --call TOOL JSON.")
        return {"by": by, "decision": _as_proposed(message)}
    if asks_approval:
        raise InvalidInput("This escalation asks whether a call may happen: answer with --approve or --reject.")
    return {"by": by, "decision": _decision(typed)}


def _check_companions(typed: Namespace) -> None:
    """Refuse an option that would be ignored."""
    if not typed.back_to_agent:
        for option, value in (("--guidance", typed.guidance), ("--add-budget", typed.add_budget)):
            if value is not None:
                raise InvalidInput(f"{option} goes with --back-to-agent.")
    if typed.comment is not None and not (typed.approve or typed.reject):
        raise InvalidInput("--comment goes with --approve or --reject.")
    if typed.arguments is not None and not typed.approve:
        raise InvalidInput("--arguments goes with --approve.")


def _of_what(typed: Namespace, message: dict[str, Any]) -> dict[str, Any]:
    """Return what is approved: the binding of what was shown, and the arguments that somebody typed instead."""
    what = {"binding": message["binding"]} if typed.approve and message.get("binding") else {}
    return what if typed.arguments is None else what | {"arguments": _object("--arguments", typed.arguments)}


def _as_proposed(message: dict[str, Any]) -> dict[str, Any]:
    proposed = message.get("proposed_decision")
    if not isinstance(proposed, dict):
        raise InvalidInput(f"--approve: no decision was proposed in this escalation. Answer with {_CHOICES}.")
    return proposed


def _decision(typed: Namespace) -> dict[str, Any]:
    if typed.say is not None:
        if not typed.say.strip():
            raise InvalidInput("--say: the answer is empty. Write what the customer should read.")
        decision: dict[str, Any] = {"kind": "answer", "text": typed.say}
    elif typed.back_to_agent:
        if not (typed.guidance or "").strip():
            raise InvalidInput("--guidance: say what the agent should do differently; without it, it would fail again.")
        added = micro_dollars(typed.add_budget, what="--add-budget") if typed.add_budget is not None else 0
        decision = {
            "kind": "hand_over",
            "to": Planner.AGENT.value,
            "reason": ExitReason.GUIDANCE.value,
            "guidance": typed.guidance,
            "add_budget_microusd": added,
        }
    elif typed.call:
        decision = {"kind": "call_tools", "calls": [_call(tool, text) for tool, text in typed.call]}
    else:
        raise InvalidInput(f"Say how to answer: {_CHOICES}, or --approve where something is proposed.")
    parse_decision(decision)
    return decision


def _call(tool: str, text: str) -> dict[str, Any]:
    return {"tool": tool, "arguments": _object(f"--call {tool}", text)}


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        arguments = read_json(text)
    except ValueError as problem:
        raise InvalidInput(f"{option}: the arguments are not JSON ({problem}).") from None
    if not isinstance(arguments, dict):
        raise InvalidInput(f'{option}: the arguments must be a JSON object such as \'{{"order_id": "O-1001"}}\'.')
    return arguments
