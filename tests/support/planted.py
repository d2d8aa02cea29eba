"""Results of the planted playbook's tool ``look`` by request, shared by the test and the tool."""

from typing import Any

PLANTED: dict[str, dict[str, Any]] = {}
