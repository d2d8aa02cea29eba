"""``ballast answer``: answer an escalation, or list those that wait."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import ExitReason, Planner, parse_decision
from ballast.contracts.wire import Name, read_json
from ballast.errors import InvalidInput, MayNotAnswer
from ballast.money import micro_dollars
from cli.commands.escalations import show
from cli.escalation_files import EscalationFiles, NobodyWaits
from cli.escalations import open_escalations, user
from cli.exits import Exit
from cli.saved_runs import state_folder
from cli.screen import Screen

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

#: A waiting process looks for answers several times a second; after this long without a result it is taken to hang.
CONFIRM_WITHIN_S = 20.0

#: What belongs to an answer, as the parser names it.
_PARTS = (
    *("approve", "reject", "say", "back_to_agent", "call", "guidance", "add_budget", "agent", "arguments", "comment"),
    *("by", "group"),
)
_CHOICES = "--say TEXT, --back-to-agent --guidance TEXT, --call TOOL JSON"


def answer(typed: Namespace) -> int:
    """Send the typed answer to the process that waits for it; return 0 once the run's function has accepted it.

    Raises ``NobodyWaits``, ``MayNotAnswer`` or ``InvalidInput`` if it was not accepted.
    """
    files, screen = EscalationFiles(state_folder(os.environ)), Screen()
    _check_named(typed)
    if typed.escalation is None:
        show(
            [{**escalation.message, "escalation_id": escalation.escalation_id} for escalation in files.waiting()],
            screen,
        )
        return Exit.OK
    escalation = files.find(typed.escalation)
    payload = payload_of(typed, escalation.message, by=typed.by or user())
    receipt = files.send(escalation.escalation_id, payload)
    result = files.wait_for(escalation.escalation_id, receipt, timeout_s=CONFIRM_WITHIN_S)
    run_id = confirmed(escalation.escalation_id, result)
    screen.line(f"Accepted: {escalation.escalation_id}. {_what_follows(run_id, result, ' in its own terminal.')}")
    return Exit.OK


def answer_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Send the typed answer to a deployed stack's function; return 0 once it was accepted. Raises as ``answer``."""
    from localcloud.functions import FunctionError

    _check_named(typed)
    waiting = open_escalations(cloud)
    if typed.escalation is None:
        show(waiting, screen)
        return Exit.OK
    found = [item for item in waiting if item["escalation_id"].startswith(typed.escalation)]
    if len(found) != 1:
        raise InvalidInput(
            f"{typed.escalation!r} matches {len(found)} open escalations. "
            "`ballast --stack NAME escalations` lists them."
        )
    message = found[0]
    payload = payload_of(typed, message, by=typed.by or user())
    try:
        taken = cloud.invoke("AnswerEscalationFunction", payload | {"escalation_id": message["escalation_id"]})
        result = {"ok": True, **taken}
    except FunctionError as problem:
        result = {"ok": False, "error": problem.name, "message": problem.message}
    run_id = confirmed(message["escalation_id"], result)
    screen.line(f"Accepted: {message['escalation_id']}. {_what_follows(run_id, result, '; see `ballast trace`.')}")
    return Exit.OK


def _check_named(typed: Namespace) -> None:
    """Refuse an answer, or a part of one, that names no escalation: only without any, those that wait are listed."""
    if typed.escalation is not None:
        return
    parts = vars(typed)
    given = [name for name in _PARTS if parts.get(name) not in (None, False, [])]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise InvalidInput(
            f"{option}: which escalation? Name it: ballast answer ESC {option}. `ballast answer` lists those that wait."
        )


def confirmed(escalation_id: str, result: Mapping[str, Any]) -> str:
    """Return the id of the run that continues.

    Raises ``InvalidInput``, ``MayNotAnswer`` or ``NobodyWaits`` if the answer was not accepted.
    """
    if result.get("ok") is not True:
        failure = f"{escalation_id}: not accepted: {result.get('message', 'no reason was given')}"
        if result.get("error") == "MayNotAnswer":
            raise MayNotAnswer(f"{failure} --by NAME says who answers, --group NAME whose approvals they give.")
        raise InvalidInput(failure) if result.get("error") == "InvalidInput" else NobodyWaits(failure)
    return str(result.get("run_id", ""))


def _what_follows(run_id: str, result: Mapping[str, Any], how: str) -> str:
    more = result.get("still_needed") or 0
    return f"The run {run_id} waits: {more} more must approve." if more else f"The run {run_id} goes on{how}"


def payload_of(typed: Namespace, message: Mapping[str, Any], *, by: str) -> dict[str, Any]:
    """Return the payload of AnswerEscalation: {"by", "decision"} or {"by", "approve", "comment", …}.

    An approval carries the binding of the call that ``message`` shows, and other arguments if some were typed. Both
    forms carry the typed groups. Raises ``InvalidInput``, which names the option to correct.
    """
    groups = {"groups": _groups(typed.group)} if typed.group else {}
    return _answered(typed, message, by) | groups


def _groups(typed: list[str]) -> list[str]:
    try:
        return TypeAdapter(list[Name]).validate_python(typed)
    except ValidationError:
        raise InvalidInput(
            f"--group {', '.join(typed)!r}: not a group name. Use letters, digits, `.`, `_` and `-`."
        ) from None


def _answered(typed: Namespace, message: Mapping[str, Any], by: str) -> dict[str, Any]:
    _check_companions(typed)
    asks_approval = message.get("kind") == "approval"
    if typed.approve or typed.reject:
        if asks_approval:
            return {"by": by, "approve": bool(typed.approve), "comment": typed.comment or ""} | _approved_call(
                typed, message
            )
        if typed.reject:
            raise InvalidInput(f"--reject: no call waits for approval here. Answer with {_CHOICES}.")
        if typed.arguments is not None:
            raise InvalidInput("--arguments: no call waits for approval here. To call a tool, use --call TOOL JSON.")
        return {"by": by, "decision": _as_proposed(message)}
    if asks_approval:
        raise InvalidInput("This escalation asks whether a call may be made. Answer with --approve or --reject.")
    return {"by": by, "decision": _decision(typed)}


def _check_companions(typed: Namespace) -> None:
    """Refuse an option that would be ignored."""
    if not typed.back_to_agent:
        for option, value in (
            ("--guidance", typed.guidance),
            ("--add-budget", typed.add_budget),
            ("--agent", typed.agent),
        ):
            if value is not None:
                raise InvalidInput(f"{option} goes with --back-to-agent.")
    if typed.comment is not None and not (typed.approve or typed.reject):
        raise InvalidInput("--comment goes with --approve or --reject.")
    if typed.arguments is not None and not typed.approve:
        raise InvalidInput("--arguments goes with --approve.")


def _approved_call(typed: Namespace, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the binding of the call that was shown, and the typed arguments that replace its own."""
    if typed.approve and message.get("corrupt"):
        raise InvalidInput(f"--approve: the call is not shown: {message['corrupt']} Answer with --reject.")
    what = {"binding": message["binding"]} if typed.approve and message.get("binding") else {}
    return what if typed.arguments is None else what | {"arguments": _object("--arguments", typed.arguments)}


def _as_proposed(message: Mapping[str, Any]) -> dict[str, Any]:
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
            raise InvalidInput(
                "--guidance: say what the agent should do differently. Without guidance it would fail again."
            )
        added = micro_dollars(typed.add_budget, what="--add-budget") if typed.add_budget is not None else 0
        decision = {
            "kind": "hand_over",
            "to": Planner.AGENT.value,
            "reason": ExitReason.GUIDANCE.value,
            "guidance": typed.guidance,
            "add_budget_microusd": added,
            **({} if typed.agent is None else {"agent": typed.agent}),
        }
    elif typed.call:
        decision = {"kind": "call_tools", "calls": [_call(tool, text) for tool, text in typed.call]}
    else:
        raise InvalidInput(f"No answer was given. Answer with {_CHOICES}, or --approve if a decision was proposed.")
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
