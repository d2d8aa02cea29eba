"""Answers of functions about a fact that another has changed: of a ``Read``, a ``precondition``, a ``moves_key``.

::

    asked ─ another deletes an item that was read ─ asked again here ═ asked in a new process
                                                    asked where reads may be old ═ the same
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from cli.certify.rig import End, Rig, Sample
from localcloud.moto_seams.dynamodb import eventual_reads_answer_from
from localcloud.sessions import REGION

#: Services whose answers a process may keep: they change by an operator's hand.
_MAY_BE_KEPT = ("secretsmanager.", "ssm.", "kms.", "sts.", "outside.")
#: Headers by which a GET asks whether what it knows is as it was: its server is asked all the same.
_VALIDATORS = re.compile(r"^(if-none-match|if-modified-since): .*\r\n", re.IGNORECASE | re.MULTILINE)
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


def other_requests(here: End, there: End) -> str:
    """Return which requests a new process makes that this one does not, or otherwise; "" for none.

    Both were made in fresh tables, whose connections are closed, so a client that sends something connects.
    """
    sent = [[_unvalidated(one) for one in end.wire] for end in (here, there)]
    if sent[0] != sent[1]:
        return f"sent other requests than in this one: {_first_other(*sent)}"
    asked = [_reads(end) for end in (here, there)]
    if asked[0] != asked[1]:
        return f"asked for {asked[1]}, and here {asked[0]}: this process remembers what it has read"
    if there.peers and not here.peers:
        return f"connected to {there.peers[0][0]}, and here to nothing: this process remembers what it has read"
    return ""


def _unvalidated(request: str) -> str:
    head, gap, body = request.partition("\r\n\r\n")
    return _VALIDATORS.sub("", f"{head}\r\n") + gap + body if head.startswith(("GET ", "HEAD ")) else request


def _reads(end: End) -> list[str]:
    found = [one for one in end.requests if not one.startswith(_MAY_BE_KEPT)]
    return sorted(found) if end.in_threads else found


def _first_other(here: list[str], there: list[str]) -> str:
    for one, other in zip([*here, "nothing more"], [*there, "nothing more"], strict=False):
        if one != other:
            return f"{other[:120]!r} and not {one[:120]!r}"
    return "fewer or more of them"
