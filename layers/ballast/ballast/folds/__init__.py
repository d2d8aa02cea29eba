"""Pure functions of a run: the prompt, the money, the calls, who is next, where it stands.

Each takes a ``Run``, whatever prefix of a log it has, and remembers nothing; ``ballast.run`` computes each once. They
ask the run for each other's results. Imports ``ballast.contracts``, ``ballast.errors``, ``ballast.log.events`` and
``ballast.money.amounts`` only.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

# ruff: noqa: F401, I001  until every caller asks the run itself
from ballast.folds import (
    approvals as _approvals,
    calls as _calls,
    conversation as _conversation,
    cost as _cost,
    counts as _counts,
    effects as _effects,
    moves as _moves,
    opening as _opening,
    outcome as _outcome,
    progress as _progress,
    rejections as _rejections,
    sameness as _sameness,
    saved as _saved,
    succession as _succession,
    summary as _summary,
    usage as _usage,
)
from ballast.folds.approvals import ApprovalRound
from ballast.folds.calls import CallState, Proposed
from ballast.folds.conversation import Prompt, prompt_digest as _prompt_digest, rebuild as _rebuild
from ballast.folds.cost import Correction, Cost
from ballast.folds.counts import Counts
from ballast.folds.effects import Standing
from ballast.folds.moves import Moved
from ballast.folds.opening import Opening
from ballast.folds.progress import Progress
from ballast.folds.rejections import Rejection
from ballast.folds.sameness import identity, identity_of
from ballast.folds.saved import StoppedLoop
from ballast.folds.usage import Usage


def _run(events: Any) -> Any:
    from ballast.run import Run

    return Run.of(events)


def approval_given_up(events: Any, turn: int) -> bool:
    return _run(events).approval_given_up(turn)


def approval_rounds(events: Any, turn: int, index: int) -> Any:
    return _run(events).approvals(turn, index)


def answered_prompt(events: Any, *, as_shown: bool = False) -> Any:
    run = _run(events)
    return run.as_shown.prompt if as_shown else run.prompt


def calls(events: Any) -> Any:
    return _run(events).calls


def charged_at_last(events: Any, known: Any) -> int:
    return _usage.charged_at_last(_run(events), known)


def committed(events: Any) -> Any:
    return _run(events).committed


def cost(events: Any) -> Any:
    return _run(events).cost


def corrected(events: Any) -> Any:
    return _cost.corrected(_run(events))


def counts(events: Any) -> Any:
    return _run(events).counts


def decided_by_operator(events: Any, turn: int) -> bool:
    return _run(events).decided_by_operator(turn)


def earlier(events: Any, at: Any, call: Any, same: Any = identity) -> Any:
    return _run(events).earlier(at, call, same)


def effects(events: Any, status: str) -> Any:
    return _run(events).effects(status)


def ending(events: Any) -> Any:
    return next((event for event in events if event.name in ("run.ended", "run.refused")), None)


def find_call(events: Any, turn: int, index: int) -> Any:
    return _run(events).call(turn, index)


def frozen(events: Any) -> Any:
    return _run(events).frozen


def moves(events: Any) -> Any:
    return _run(events).moves


def must_roll_back(events: Any) -> bool:
    return _run(events).must_roll_back


def opening(events: Any) -> Any:
    return _run(events).opening


def outcome(events: Any) -> Any:
    return _run(events).outcome


def progress(events: Any) -> Any:
    return _run(events).progress


def prompt_digest(events: Any, prompt: Any, inference: Any) -> str:
    return _prompt_digest(_run(events), prompt, inference)


def proposals(events: Any) -> Any:
    return _run(events).proposals


def proposed(events: Any) -> Any:
    return _run(events).proposed


def rebuild(events: Any, requested: Any, *, as_shown: bool = False) -> Any:
    run = _run(events)
    return _rebuild(run.as_shown if as_shown else run, (requested.as_shown if as_shown else requested).fact)


def rejected(events: Any, state: Any) -> Any:
    return _run(events).rejected(state)


def rejected_before(events: Any, at: Any, call: Any, same: Any = identity) -> Any:
    return _run(events).rejected_before(at, call, same)


def requested(events: Any) -> Any:
    return _run(events).request


def saved(events: Any) -> Any:
    return _run(events).stopped_loops


def standing(events: Any, same: Any = identity) -> Any:
    return _effects.standing(_run(events), same)


def successor(of: Any, events: Any, *, has_fallback: bool, starts_clean: bool = True) -> Any:
    return _run(events).successor(of, has_fallback=has_fallback, starts_clean=starts_clean)


def summary(events: Any, reason: str) -> str:
    return _run(events).summary(reason)


def to_announce(events: Any) -> Any:
    return _run(events).to_announce


def to_undo(events: Any) -> Any:
    return _run(events).to_undo


def unfinished(events: Any) -> bool:
    return _run(events).is_unfinished


def unseen(events: Any, prompt: Any) -> Any:
    covered = set(prompt.covers)
    return tuple(event for event in events if event.seq not in covered)


def usage(events: Any) -> Any:
    return _run(events).usage


def why_it_stopped(events: Any) -> Any:
    return _run(events).why_it_stopped
