"""What an approval is bound to. Where any of it has moved when the call is to act, the approval is void."""

from collections.abc import Mapping
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical, sha256
from ballast.log.aws_errors import consequences
from ballast.playbook import ToolFailed
from ballast.playbook.defect import ask, ran
from ballast.playbook.policy import policy_version
from functions.executor.attempt import Attempt
from functions.executor.reasons import declared_cost

#: Larger than this, what a precondition read is recorded by its hash alone.
_MAX_PRECONDITION_BYTES = 4 * 1024
_PARTS = {"tool", "arguments_sha256", "policy", "cost_microusd", "precondition_sha256"}


def binding_of(attempt: Attempt) -> dict[str, Any]:
    """Return the binding of the call as it stands: a hash of all, and of each part.

    Raises ``ToolFailed`` where the precondition cannot be met, ``RuleViolation`` where it breaks, ``RetryLater`` for an
    outage behind it.
    """
    read = _precondition(attempt)
    parts: dict[str, Any] = {
        "tool": attempt.tool.name,
        "arguments_sha256": arguments_sha256(attempt.state.call),
        "policy": policy_version(attempt.playbook, attempt.tool),
        "cost_microusd": declared_cost(attempt),
        "precondition_sha256": sha256(canonical(read)),
    }
    small = len(canonical(read)) <= _MAX_PRECONDITION_BYTES
    return {"sha256": _whole(parts), **parts, "precondition": read if small else None}


def arguments_sha256(call: ToolCall) -> str:
    """Return the hash of the arguments, however their JSON was written."""
    return sha256(canonical(call.arguments))


def moved(asked: Mapping[str, Any], answer: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of what is no longer as it was when people were asked; empty where the approval holds.

    A person who changed the arguments meant to: neither they nor a cost that is lower for it count.
    Where the answer is not to this very question (or to one of a version that bound it to nothing), that is all.
    """
    if not answers(asked, answer):
        return ["binding"]
    changed = "arguments" in answer
    differs = {name: asked[f"{name}_sha256"] != now[f"{name}_sha256"] for name in ("arguments", "precondition")}
    differs |= {name: asked[name] != now[name] for name in ("tool", "policy")}
    cost, before = now["cost_microusd"] or 0, asked["cost_microusd"] or 0
    differs["arguments"] = differs["arguments"] and not changed
    differs["cost"] = cost > before or (cost != before and not changed)
    return sorted(name for name, really in differs.items() if really)


def answers(asked: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Say whether an answer is to this very question: bound to the hash that its parts, as they are there, have.

    An answer is signed and its question is not, so the parts count only together with the hash that was signed.
    """
    whole = set(asked) >= _PARTS and asked["sha256"] == _whole({name: asked[name] for name in _PARTS})
    return whole and answer.get("binding") == asked["sha256"]


def same_call(asked: Mapping[str, Any], answer: Mapping[str, Any], call: ToolCall) -> bool:
    """Say whether an approved call that was begun is the one that the answer let happen."""
    if not answers(asked, answer) or asked["tool"] != call.tool:
        return False
    return "arguments" in answer or asked["arguments_sha256"] == arguments_sha256(call)


def _whole(parts: Mapping[str, Any]) -> str:
    return sha256(canonical(dict(parts)))


def _precondition(attempt: Attempt) -> Any:
    rule, name = attempt.tool.precondition, attempt.tool.name
    if rule is None:
        return None

    def reads() -> Any:
        with consequences(f"What the precondition of {name} reads"):
            read = ran(rule(attempt.args, attempt.context), "JSON")
        canonical(read)  # what could not be hashed or recorded must fail here
        return read

    return ask(f"{name}: precondition", reads, rule, may_raise=(ToolFailed,))
