"""The public interface for authors of a playbook: tools, fallbacks and ``agent.yaml``.

Imports contracts, errors, folds, money and validation of ``ballast`` only; no AWS client at import.
"""

from typing import TYPE_CHECKING, Any

from ballast.contracts import ToolCall
from ballast.errors import RetryLater
from ballast.playbook.agent import AgentConfig, Intent
from ballast.playbook.context import Change, NotSent, ToolContext, ToolFailed
from ballast.playbook.declaration import (
    Approval,
    CallLimits,
    Circuit,
    Effect,
    EffectPolicy,
    OnRollback,
    OnUnanswered,
    Read,
    Repeat,
    Write,
)
from ballast.playbook.fallback import CallFailed, Fallback, GiveUp, fallback
from ballast.playbook.load import Playbook, load_playbook, undeclared_arguments
from ballast.playbook.rules import RunSoFar
from ballast.playbook.tool import Tool, tool
from ballast.validation import FreeText, Grounded, Kind, Sensitive, Untrusted

__all__ = [
    "AgentConfig",
    "Approval",
    "CallFailed",
    "CallLimits",
    "Change",
    "Circuit",
    "Effect",
    "EffectPolicy",
    "Fallback",
    "FreeText",
    "GiveUp",
    "Grounded",
    "Intent",
    "Kind",
    "NotSent",
    "OnRollback",
    "OnUnanswered",
    "Playbook",
    "Read",
    "Repeat",
    "RetryLater",
    "RunSoFar",
    "Sensitive",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolFailed",
    "Untrusted",
    "Write",
    "fallback",
    "load_playbook",
    "tool",
    "undeclared_arguments",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Return the old ``Breaker``: a playbook that still imports it gets an error that shows the new form."""
        if name == "Breaker":
            from ballast.playbook.old_declaration import Breaker

            return Breaker
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
