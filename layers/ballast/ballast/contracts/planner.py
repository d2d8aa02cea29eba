"""Who may propose: the planners of a run."""

from enum import StrEnum


class Planner(StrEnum):
    """A proposer. Only ``AGENT`` is a model; none of them acts."""

    AGENT = "agent"
    FALLBACK = "fallback"
    ROLLBACK = "rollback"
    HUMAN = "human"
