"""The trace: ``Run.timeline()`` laid out in a terminal."""

from cli.trace.render import render

__all__ = ["render"]
