"""Loops: signals that the agent repeats itself, and the ladder of reactions.

::

    signal                                  notice  forbid  what comes of it
    the same call again                        2nd     3rd  notice: the recorded answer, and nothing runs
    a cycle of two to four calls           2nd lap 3rd lap  (a lap more where it writes) all its tools at once
    the same class of error                    3rd     4th  forbid: ToolForbidden, until something is written
    varied calls, the same result              3rd     5th          or a person speaks
    writes about the same, in like words       4th     7th  (no write takes it back)
    writes about the same, in other words      6th   never  (each may say something new)
    nearly the same search                     2nd     4th  a forbidden tool is called again: hand over, ``loop``

A tool is forbidden only after a notice in an earlier turn: no rung is skipped within one reply.
``similarity`` compares calls, ``signals`` counts, ``ladder`` decides, ``detect`` folds a run's calls in one pass. Each
call is compared with a bounded number of others. Thresholds and their reasons: docs/loops.md.
"""

from ballast.folds.loops.detect import Loops, detect, detect_proposed
from ballast.folds.loops.ladder import Kind, Rung, Signal, as_recorded, described, notice, recorded_signal, refusal
from ballast.folds.loops.similarity import Search, target_of

__all__ = [
    "Kind",
    "Loops",
    "Rung",
    "Search",
    "Signal",
    "as_recorded",
    "described",
    "detect",
    "detect_proposed",
    "notice",
    "recorded_signal",
    "refusal",
    "target_of",
]
