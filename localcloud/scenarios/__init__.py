"""Scenarios: scripted runs with an ending to expect, one folder each.

``scenario.yaml`` holds the request, the people's answers and what must be true at the end;
``script.yaml`` is what the model says. To add one, add a folder.
"""

from localcloud.scenarios.scenario import Scenario, find, names, unmet

__all__ = ["Scenario", "find", "names", "unmet"]
