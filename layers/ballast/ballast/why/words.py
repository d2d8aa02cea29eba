"""Words of a report: quoted texts, names, shares and times.

Everything from the log is untrusted. A text of it stands in quotation marks that it cannot close, on the line of
Ballast's own words, and is cut. A name stands as it is if no sentence can be made of it, and is quoted otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ballast.contracts.meaning import PLANNERS, REASONS
from ballast.contracts.timeline import Call

#: Quoted texts are cut to this many characters.
QUOTED = 160
#: What stands without quotation marks: ids, names, numbers and times. It has no space, so it is no sentence.
_NAME = re.compile(r"-?[A-Za-z0-9_][A-Za-z0-9_.:@/#+%-]*")
#: What closes a quotation, or looks so: quotation marks of any script, and two apostrophes in a row.
_CLOSES = re.compile(
    '["\u00ab\u00bb\u02ba\u02dd\u02ee\u02f5\u02f6\u05f2\u05f4\u1cd3\u201c-\u201f\u2033\u2034\u2036\u2037\u2057\u2e42'
    "\u2760\u275d\u275e\u276e\u276f\u3003\u300c-\u300f\u301d-\u301f\uff02\U0001f676-\U0001f678]"
    "|['`\u00b4\u02b9\u02bb-\u02bd\u02ca\u02cb\u2018-\u201b\u2032\u2035\uff07\uff40]{2,}"
)


def flat(text: str, most: int = QUOTED) -> str:
    """Return untrusted text in one line of at most ``most`` characters that closes no quotation marks around it."""
    line = _CLOSES.sub("'", " ".join(text[: 4 * most].split()))
    return line.rstrip(". ") if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def quoted(text: str, most: int = QUOTED) -> str:
    """Return untrusted text in quotation marks; "" if there is none."""
    line = flat(text, most)
    return f'"{line}"' if line else ""


def named(text: str, most: int = 80) -> str:
    """Return a name of the log as it is, or quoted if it has not the form of a name; "" if there is none."""
    line = flat(text, most)
    return line if _NAME.fullmatch(line) else quoted(text, most)


def plain(value: Any) -> str:
    """Return a value of a result or an argument as people write it: ``refunded 120.00, lines 2, 3``; never as code."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(one)}".rstrip() for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "yes", False: "no"}[value]
    return value if isinstance(value, str) else json.dumps(value, default=repr)


def meaning(reason: str) -> str:
    """Return a reason in words, an unknown one as it is; a log may hold any text in its place."""
    return REASONS.get(reason) or named(reason)


def planner_name(planner: str) -> str:
    """Return the planner as the subject of a sentence."""
    return PLANNERS.get(planner) or named(planner, 40)


def tool(call: Call) -> str:
    """Return the tool's name for a sentence."""
    return named(call.tool) or "a call without a tool"


def percent(part: int, whole: int) -> int:
    """Return a share in percent, rounded half up. Every share of a report is rounded so, wherever it stands."""
    return (200 * part + whole) // (2 * whole) if whole > 0 else 0


def clock(at: str) -> str:
    """Return a time of the log as people read it: ``2026-03-01 12:26:04 UTC``; quoted if it is none."""
    try:
        return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (TypeError, ValueError, OverflowError):
        return named(at, 40)
