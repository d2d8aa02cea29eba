"""Timelines of logs that tests wrote, in any order."""

from collections.abc import Iterable, Mapping

from ballast.contracts.timeline import Timeline
from ballast.log.event import Event, order
from ballast.run import Run


def timeline(events: Iterable[Event], corrupt: Mapping[str, str] | None = None, *, run_id: str = "") -> Timeline:
    """Return the timeline of these events; see ``Run.timeline``."""
    return Run(sorted(events, key=order)).timeline(corrupt, run_id=run_id)
