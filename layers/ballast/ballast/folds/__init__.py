"""Pure functions of a run's events: the prompt, the money, the calls, who is next.

Each takes the events in the order of ``ballast.contracts.event.order``, any prefix of them, and
remembers nothing. Imports ``ballast.contracts`` only.
"""

from ballast.folds.calls import CallState, Proposed, calls, committed, find_call, proposals, to_undo
from ballast.folds.conversation import Prompt, answered_prompt, prompt_digest, rebuild, unseen
from ballast.folds.opening import Opening, ending, opening
from ballast.folds.succession import successor
from ballast.folds.summary import proposed, summary
from ballast.folds.usage import Usage, usage

__all__ = [
    "CallState",
    "Opening",
    "Prompt",
    "Proposed",
    "Usage",
    "answered_prompt",
    "calls",
    "committed",
    "ending",
    "find_call",
    "opening",
    "prompt_digest",
    "proposals",
    "proposed",
    "rebuild",
    "successor",
    "summary",
    "to_undo",
    "unseen",
    "usage",
]
