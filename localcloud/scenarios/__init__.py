"""Scenarios: scripted runs with an expected ending, one folder each.

``scenario.yaml`` holds the request, the people's answers and what must be true at the end;
``script.yaml`` holds the model's replies. To add a scenario, add a folder. A playbook's own ones are in ``scenarios/``
of its project (``ballast test``).
"""

from localcloud.scenarios.scenario import Scenario, find, folder_of, names, unmet

__all__ = ["Scenario", "find", "folder_of", "names", "unmet"]
