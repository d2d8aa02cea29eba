"""Feedback in a report: complaints about a run that no reviewer or operator has looked into yet."""

from __future__ import annotations

from ballast.contracts.timeline import Feedback, Timeline

#: Who looks into what others say. The requester and members of the tenant only answer for themselves.
_LOOK = ("reviewer", "operator")


def looked_into(made: Timeline) -> Feedback | None:
    """Return the newest words of a reviewer or an operator by which the run was right; None if any "wrong" is newer."""
    for one in reversed(made.feedback):
        if one.verdict == "wrong":
            return None
        if one.role in _LOOK:
            return one
    return None


def open_complaints(made: Timeline) -> tuple[Feedback, ...]:
    """Return the words by which the run was wrong and that nobody has looked into."""
    last = max((at for at, one in enumerate(made.feedback) if one.verdict == "right" and one.role in _LOOK), default=-1)
    return tuple(one for one in made.feedback[last + 1 :] if one.verdict == "wrong")
