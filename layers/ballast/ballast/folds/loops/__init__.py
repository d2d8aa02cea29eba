"""Despair: an agent that goes round in circles, found by a fold over the log, and the ladder it is led down.

::

    signal                                  notice  forbid  what comes of it
    the same call again                        2nd     3rd  notice: the recorded answer, and nothing runs
    a cycle of two to four calls           2nd lap 3rd lap  (a lap more where it writes) all its tools at once
    the same class of error                    3rd     4th  forbid: ToolForbidden, until something is written
    varied calls, the same result              3rd     5th          or a person speaks
    writes about the same, in like words       4th     7th  (no write takes it back)
    writes about the same, in other words      6th   never  (each may say something new)
    nearly the same search                     2nd     4th  a forbidden tool is called again: hand over, ``loop``

A tool is forbidden only after an earlier turn told the agent so: nobody is punished for what one reply repeats.
``resemblance`` says what is alike, ``memory`` counts, ``ladder`` decides, ``fold`` reads the log. Thresholds and their
reasons: docs/loops.md. One pass over the calls; nothing is compared with more than a bounded number of others.
"""

from ballast.folds.loops.fold import Despair, despair, verdicts
from ballast.folds.loops.ladder import Kind, Rung, Sign
from ballast.folds.loops.record import notice, recorded, refusal, seen, verdict_on
from ballast.folds.loops.resemblance import Search, target_of

__all__ = [
    "Despair",
    "Kind",
    "Rung",
    "Search",
    "Sign",
    "despair",
    "notice",
    "recorded",
    "refusal",
    "seen",
    "target_of",
    "verdict_on",
    "verdicts",
]
