"""Faults in a function of the workflow: each raises, or lets the handler run."""

from typing import Any

from ballast.errors import EffectUnknown, RetryLater


class Broken(Exception):
    """A defect with a name that the workflow does not know."""


def broken(payload: dict[str, Any]) -> None:
    raise Broken("a defect")


def broken_escalation(payload: dict[str, Any]) -> None:
    if payload["kind"] == "escalation":
        raise Broken("a defect")


def broken_approval(payload: dict[str, Any]) -> None:
    if payload["kind"] == "approval":
        raise Broken("a defect")


def down(payload: dict[str, Any]) -> None:
    """Every attempt at a call fails; its settlement does not."""
    if "given_up" not in payload:
        raise RetryLater("no room")


def doubted(payload: dict[str, Any]) -> None:
    raise EffectUnknown("It may have happened.")


def died(payload: dict[str, Any]) -> None:
    """Every attempt at a call ends with an unlisted error name; its settlement does not."""
    if "given_up" not in payload:
        raise Broken("a defect")


def out_of_memory(payload: dict[str, Any]) -> None:
    """Every attempt at the agent's call dies; the script's calls are made."""
    if "given_up" not in payload and payload["turn"] == 1:
        raise type("Runtime.OutOfMemory", (Exception,), {})("Signal: killed")


def down_for_good(payload: dict[str, Any]) -> None:
    down(payload)
    raise Broken("a defect")
