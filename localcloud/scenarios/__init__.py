"""Scenarios: scripted runs with an expected ending, one folder each.

``scenario.yaml`` holds the request, the people's answers and what must be true at the end;
``script.yaml`` holds the model's replies. To add a scenario, add a folder.
"""

from localcloud.scenarios.scenario import Scenario, find, names, unmet

__all__ = ["Scenario", "find", "names", "unmet"]
