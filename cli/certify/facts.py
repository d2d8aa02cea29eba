"""Answers of functions about a fact that another has changed: of a ``Read``, a ``precondition``, a ``moves_key``.

::

    asked ─ another deletes an item that was read ─ asked again here ═ asked in a new process
                                                    asked where reads may be old ═ the same
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cli.certify.rig import Rig, Sample
from localcloud.moto_seams.dynamodb import eventual_reads_answer_from
from localcloud.sessions import REGION

#: Most items that another deletes, one after the other.
_MOST_ITEMS = 3
KEEP_NOTHING = "Read it in each call: a cache in a module answers what was there before another changed it."
READ_STRONGLY = "Read with ConsistentRead=True by the table's own key: an index is always behind."


def remembered(
    rig: Rig, sample: Sample, read: Sequence[tuple[str, str]], here: Callable[[], str], away: Callable[[], str]
) -> str:
    """Return how an answer here differs from that of a new process after an item was deleted; "" for not at all.

    ``read``: what it follows from, as a new process has read it. Raises ``Away``.
    """
    for table, name in read[:_MOST_ITEMS] if rig.away is not None else ():
        rig.fresh(sample.before)
        here()
        rig.put(table, name, None)
        now, there = here(), away()
        if now != there:
            seen = f"After another had deleted {name} of {table} it said {now[:100]}"
            return f"{seen}, and in a new process {there[:100]}: it remembers what it has read."
    return ""


def behind(rig: Rig, sample: Sample, read: Sequence[tuple[str, str]], here: Callable[[], str]) -> str:
    """Return how an answer differs where reads that are not strongly consistent do not know of a deletion yet."""
    for table, name in read[:_MOST_ITEMS]:
        rig.fresh(sample.before)
        old = rig.held()
        rig.put(table, name, None)
        now = here()
        with eventual_reads_answer_from(REGION, old) as answered:
            stale = here()
        if answered and stale != now:
            seen = f"After another had deleted {name} of {table} it said {now[:100]}"
            return f"{seen}; and {stale[:100]} where a read that is not strongly consistent answers what was there."
    return ""
