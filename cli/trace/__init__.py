"""A run's story on the screen: what ``Run.timeline()`` tells, laid out for a person who reads it at a glance."""

from cli.trace.render import render

__all__ = ["render"]
