"""What a playbook is written with: tools, fallbacks and ``agent.yaml``.

Imports contracts, errors, folds, money and validation of ``ballast`` only; no AWS client at import.
"""

from ballast.playbook.agent import AgentConfig, Intent
from ballast.playbook.approval import OnUnanswered
from ballast.playbook.context import ToolContext
from ballast.playbook.effects import Breaker, EffectPolicy, OnRollback, Repeat
from ballast.playbook.failed import ToolFailed
from ballast.playbook.fallback import CallFailed, Fallback, GiveUp, fallback
from ballast.playbook.load import Playbook, load_playbook
from ballast.playbook.once import Change
from ballast.playbook.run import RunSoFar
from ballast.playbook.tool import Effect, Tool, tool
from ballast.playbook.undeclared import undeclared_arguments
from ballast.validation import FreeText, Grounded, Kind, Sensitive, Untrusted

__all__ = [
    "AgentConfig",
    "Breaker",
    "CallFailed",
    "Change",
    "Effect",
    "EffectPolicy",
    "Fallback",
    "FreeText",
    "GiveUp",
    "Grounded",
    "Intent",
    "Kind",
    "OnRollback",
    "OnUnanswered",
    "Playbook",
    "Repeat",
    "RunSoFar",
    "Sensitive",
    "Tool",
    "ToolContext",
    "ToolFailed",
    "Untrusted",
    "fallback",
    "load_playbook",
    "tool",
    "undeclared_arguments",
]
