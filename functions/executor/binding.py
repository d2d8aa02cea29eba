"""What an approval is bound to. Where any of it has moved when the call is to act, the approval is void."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical, sha256
from ballast.log.events import ApprovalAnswered
from ballast.playbook import ToolFailed
from ballast.playbook.defect import ask, ran
from ballast.playbook.policy import policy_version
from functions.executor.attempt import Attempt
from functions.executor.reasons import declared_cost

#: Larger than this, what a precondition read is recorded by its hash alone.
_MAX_PRECONDITION_BYTES = 4 * 1024
_PARTS = frozenset({"tool", "arguments_sha256", "policy", "cost_microusd", "precondition_sha256"})


@dataclass(frozen=True)
class Binding:
    """What an approval is bound to: its parts. ``precondition``, what that read, is told where it is small."""

    tool: str
    arguments_sha256: str
    policy: str
    cost_microusd: int | None
    precondition_sha256: str
    precondition: Any = None

    @classmethod
    def read(cls, asked: Mapping[str, Any] | None) -> "Binding | None":
        """Return the binding of a recorded question; None where its parts do not have the hash that it says.

        An answer is signed and its question is not, so the parts count only together with the hash that was signed.
        """
        if asked is None or not set(asked) >= _PARTS:  # a version that bound it to nothing
            return None
        read = cls(**{name: asked[name] for name in _PARTS})
        return read if asked["sha256"] == read.sha256 else None

    @property
    def sha256(self) -> str:
        """The hash of all parts: what an answer is bound to."""
        return sha256(canonical(self._parts))

    @property
    def recorded(self) -> dict[str, Any]:
        """It as the log has it."""
        return {"sha256": self.sha256, **self._parts, "precondition": self.precondition}

    @property
    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PARTS}


def binding_of(attempt: Attempt) -> Binding:
    """Return the binding of the call as it stands.

    Raises ``ToolFailed`` where the precondition cannot be met, ``RuleViolation`` where it breaks, ``RetryLater`` for an
    outage behind it.
    """
    read = _precondition(attempt)
    text = canonical(read)
    return Binding(
        tool=attempt.tool.name,
        arguments_sha256=arguments_sha256(attempt.state.call),
        policy=policy_version(attempt.playbook, attempt.tool),
        cost_microusd=declared_cost(attempt),
        precondition_sha256=sha256(text),
        precondition=read if len(text) <= _MAX_PRECONDITION_BYTES else None,
    )


def arguments_sha256(call: ToolCall) -> str:
    """Return the hash of the arguments, however their JSON was written."""
    return sha256(canonical(call.arguments))


def moved(asked: Binding | None, answer: ApprovalAnswered, now: Binding) -> list[str]:
    """Return the names of what is no longer as it was when people were asked; empty where the approval holds.

    A person who changed the arguments meant to: neither they nor a cost that is lower for it count.
    Where the answer is not to this very question (or to one of a version that bound it to nothing), that is all.
    """
    if asked is None or answer.binding != asked.sha256:
        return ["binding"]
    changed = answer.changes_arguments
    cost, before = now.cost_microusd or 0, asked.cost_microusd or 0
    differs = {
        "arguments": asked.arguments_sha256 != now.arguments_sha256 and not changed,
        "precondition": asked.precondition_sha256 != now.precondition_sha256,
        "tool": asked.tool != now.tool,
        "policy": asked.policy != now.policy,
        "cost": cost > before or (cost != before and not changed),
    }
    return sorted(name for name, really in differs.items() if really)


def same_call(asked: Binding | None, answer: ApprovalAnswered, call: ToolCall) -> bool:
    """Say whether an approved call that was begun is the one that the answer let happen."""
    if asked is None or answer.binding != asked.sha256 or asked.tool != call.tool:
        return False
    return answer.changes_arguments or asked.arguments_sha256 == arguments_sha256(call)


def _precondition(attempt: Attempt) -> Any:
    rule, name = attempt.tool.approval.precondition, attempt.tool.name
    if rule is None:
        return None

    def reads() -> Any:
        with consequences(f"What the precondition of {name} reads"):
            read = ran(rule(attempt.args, attempt.context), "JSON")
        canonical(read)  # what could not be hashed or recorded must fail here
        return read

    return ask(f"{name}: precondition", reads, rule, may_raise=(ToolFailed,))
