"""Words of a report: quoted texts, names, shares and times. Everything from the log is untrusted and is cut."""

from __future__ import annotations

from datetime import UTC, datetime

from ballast.contracts.meaning import PLANNERS, REASONS
from ballast.contracts.timeline import Call

#: Quoted texts are cut to this many characters.
QUOTED = 160


def quoted(text: str, most: int = QUOTED) -> str:
    """Return untrusted text in one line of at most ``most`` characters, without a period at its end."""
    flat = " ".join(text[: 4 * most].split())
    return flat.rstrip(". ") if len(flat) <= most else f"{flat[: most - 1].rstrip()}…"


def meaning(reason: str) -> str:
    """Return a reason in words, an unknown one as it is; a log may hold any text in its place."""
    return REASONS.get(reason) or quoted(reason)


def planner_name(planner: str) -> str:
    """Return the planner as the subject of a sentence."""
    return PLANNERS.get(planner) or quoted(planner, 40)


def tool(call: Call) -> str:
    """Return the tool's name for a sentence."""
    return quoted(call.tool, 80) or "a call without a tool"


def percent(part: int, whole: int) -> int:
    """Return a share in percent, rounded half up. Every share of a report is rounded so, wherever it stands."""
    return (200 * part + whole) // (2 * whole) if whole > 0 else 0


def clock(at: str) -> str:
    """Return a time of the log as people read it: ``2026-03-01 12:26:04 UTC``; quoted if it is none."""
    try:
        return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (TypeError, ValueError, OverflowError):
        return quoted(at, 40)
