"""What a playbook is written with: tools, fallbacks and ``agent.yaml``.

Imports ``ballast.contracts``, ``ballast.errors`` and ``ballast.folds`` only; no AWS client at import.
"""

from ballast.playbook.agent import AgentConfig, Intent
from ballast.playbook.fallback import CallFailed, Fallback, GiveUp, fallback
from ballast.playbook.load import Playbook, load_playbook
from ballast.playbook.tool import Effect, Tool, ToolContext, ToolFailed, tool
from ballast.validation import Earlier, Grounded, Untrusted

__all__ = [
    "AgentConfig",
    "CallFailed",
    "Earlier",
    "Effect",
    "Fallback",
    "GiveUp",
    "Grounded",
    "Intent",
    "Playbook",
    "Tool",
    "ToolContext",
    "ToolFailed",
    "Untrusted",
    "fallback",
    "load_playbook",
    "tool",
]
