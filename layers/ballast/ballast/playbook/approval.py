"""What a tool may say about approvals, besides when it wants one."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.said import in_utf8
from ballast.contracts.wire import Name
from ballast.errors import PlaybookInvalid
from ballast.playbook.defect import Returned, ask

if TYPE_CHECKING:
    from ballast.playbook.run import RunSoFar

_GROUP: TypeAdapter[str] = TypeAdapter(Name)
#: More people than this nobody finds.
MAX_APPROVALS = 9


class OnUnanswered(StrEnum):
    """What follows where nobody answers a request for approval in time. Nothing was rejected.

    refuse    the planner is told that nobody answered, and goes on without the call
    fallback  another planner takes over
    park      people are asked anew, and have the agent's ``park_timeout_s``
    """

    REFUSE = "refuse"
    FALLBACK = "fallback"
    PARK = "park"


def choice(on_unanswered: str | None, approvals: int, where: str) -> OnUnanswered | None:
    """Return a tool's choice, checked with the number of people. Raises ``PlaybookInvalid``."""
    if not 1 <= approvals <= MAX_APPROVALS:
        raise PlaybookInvalid(f"{where}: approvals must be 1 to {MAX_APPROVALS} different people, not {approvals}.")
    if on_unanswered is not None and on_unanswered not in list(OnUnanswered):
        raise PlaybookInvalid(f"{where}: on_unanswered must be one of {', '.join(OnUnanswered)}, not {on_unanswered}.")
    return None if on_unanswered is None else OnUnanswered(on_unanswered)


def group(approvers: str | None, where: str) -> str | None:
    """Return the group of a tool's approvers, checked. Raises ``PlaybookInvalid``."""
    if approvers is None:
        return None
    try:
        return _GROUP.validate_python(approvers, strict=True)
    except ValidationError:
        raise PlaybookInvalid(
            f"{where}: approvers must be the name of one group, letters, digits and . _ -, not {approvers!r}."
        ) from None


def why_the_rule_asks(
    rule: Callable[..., bool | str] | None, tool: str, args: Any, request: RunRequest, run: "Callable[[], RunSoFar]"
) -> str | None:
    """Return why a tool's ``approve_if`` wants a person's approval, None where it does not.

    ``run`` is called only for a rule with three parameters: it reads the whole log. Raises ``RuleViolation`` where the
    rule breaks.
    """
    if rule is None:
        return None
    what = f"{tool}: approve_if"
    wants_run = ask(what, lambda: len(inspect.signature(rule).parameters) > 2, rule)
    given = (args, request, run()) if wants_run else (args, request)

    def asks() -> str | None:
        said: Any = rule(*given)
        if isinstance(said, str):
            return in_utf8(said) or None
        if said is None or isinstance(said, bool):
            return f"the rule of {tool} asks for it" if said else None
        raise Returned(said, "True, False, None, or a text that says why a person must look")

    return ask(what, asks, rule)
