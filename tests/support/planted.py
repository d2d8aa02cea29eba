"""What the tool ``look`` of the planted playbook finds, by the run's request: the test's and the tool's."""

from typing import Any

PLANTED: dict[str, dict[str, Any]] = {}
