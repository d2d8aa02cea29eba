"""A run's log as a timeline that a tired person reads at a glance.

``timeline(events)`` is pure and yields plain values; ``render(timeline)`` draws them.
"""

from local.trace.fold import timeline
from local.trace.render import render
from local.trace.timeline import Timeline

__all__ = ["Timeline", "render", "timeline"]
