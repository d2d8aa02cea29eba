"""Pure functions of a run's events: the prompt, the money, the calls, who is next, where it stands.

Each takes the events in the order of ``ballast.contracts.event.order``, any prefix of them, and
remembers nothing. Imports ``ballast.contracts``, ``ballast.errors`` and ``ballast.money.amounts`` only.
"""

from ballast.folds.approvals import ApprovalRound, approval_given_up, approval_rounds, decided_by_operator
from ballast.folds.calls import CallState, Proposed, calls, committed, find_call, proposals
from ballast.folds.conversation import Prompt, answered_prompt, prompt_digest, rebuild, unseen
from ballast.folds.cost import Correction, Cost, corrected, cost
from ballast.folds.counts import Counts, counts
from ballast.folds.effects import Standing, earlier, effects, frozen, must_roll_back, standing, to_undo
from ballast.folds.moves import Moved, moves, unfinished
from ballast.folds.opening import Opening, ending, opening
from ballast.folds.outcome import outcome, requested, to_announce
from ballast.folds.progress import Progress, progress
from ballast.folds.rejections import Rejection, rejected, rejected_before
from ballast.folds.sameness import identity, identity_of
from ballast.folds.saved import StoppedLoop, saved
from ballast.folds.succession import successor, why_it_stopped
from ballast.folds.summary import proposed, summary
from ballast.folds.usage import Usage, charged_at_last, usage

__all__ = [
    "ApprovalRound",
    "CallState",
    "Correction",
    "Cost",
    "Counts",
    "Moved",
    "Opening",
    "Progress",
    "Prompt",
    "Proposed",
    "Rejection",
    "Standing",
    "StoppedLoop",
    "Usage",
    "answered_prompt",
    "approval_given_up",
    "approval_rounds",
    "calls",
    "charged_at_last",
    "committed",
    "corrected",
    "cost",
    "counts",
    "decided_by_operator",
    "earlier",
    "effects",
    "ending",
    "find_call",
    "frozen",
    "identity",
    "identity_of",
    "moves",
    "must_roll_back",
    "opening",
    "outcome",
    "progress",
    "prompt_digest",
    "proposals",
    "proposed",
    "rebuild",
    "rejected",
    "rejected_before",
    "requested",
    "saved",
    "standing",
    "successor",
    "summary",
    "to_announce",
    "to_undo",
    "unfinished",
    "unseen",
    "usage",
    "why_it_stopped",
]
