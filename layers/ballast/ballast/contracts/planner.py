"""Who may propose: the planners of a run, and the requester, who may be asked."""

from enum import StrEnum


class Planner(StrEnum):
    """A proposer. Only ``AGENT`` is a model; none of them acts.

    ``REQUESTER`` is whoever sent the request: a hand-over to them is a question, and their reply
    goes back to the agent.
    """

    AGENT = "agent"
    FALLBACK = "fallback"
    ROLLBACK = "rollback"
    HUMAN = "human"
    REQUESTER = "requester"
