"""Why a call needs a person's approval. Each reason is a function of the attempt; there may be several. Pure."""

from collections.abc import Callable

from ballast.money.amounts import dollars
from functions.executor.attempt import Attempt
from functions.executor.grounding import derived, tainted, typed, unvouched, worded
from functions.executor.repeat import asks_again, last_rejection

#: So many characters of a comment are quoted.
_QUOTED = 200
#: Returns a text that goes on after "Asked because …", or None.
Reason = Callable[[Attempt], str | None]


def own_rule(attempt: Attempt) -> str | None:
    """The tool's own rule: ``Approval.if_``."""
    tool = attempt.tool
    return tool.approval.why(tool.name, attempt.args, attempt.request, attempt.so_far)


def no_room(attempt: Attempt) -> str | None:
    """A window of the business's own money is full, and the playbook says ``on_full: ask``."""
    return attempt.moving.no_room


def too_costly(attempt: Attempt) -> str | None:
    """The declared cost of the call against the agent's ``approve_over_microusd``."""
    most, cost = attempt.playbook.agent.approve_over_microusd, declared_cost(attempt)
    if most is None or cost is None or cost <= most:
        return None
    return f"its declared cost is ${dollars(cost)}, over ${dollars(most)}"


def made_before(attempt: Attempt) -> str | None:
    """A tool with ``repeat="ask"``."""
    return "the same call was made before in this run" if asks_again(attempt) else None


def rejected(attempt: Attempt) -> str | None:
    """People have rejected the same call in this run: they said no to it, and nobody has said yes since."""
    before = last_rejection(attempt)
    if before is None:
        return None
    words = f': "{before.comment[:_QUOTED]}"' if before.comment else ""
    return f"{before.by} has rejected the same call in this run (turn {before.turn}, call {before.index}){words}"


def declared_cost(attempt: Attempt) -> int | None:
    """Return what the tool declares as the worst cost of a call; None where it declares none."""
    return attempt.cost_microusd


#: All of them, in the order in which people read them.
REASONS: tuple[Reason, ...] = (
    own_rule,
    no_room,
    too_costly,
    made_before,
    rejected,
    tainted,
    unvouched,
    derived,
    typed,
    worded,
)


def why_a_person_must_approve(attempt: Attempt) -> list[str]:
    """Return every reason; empty where nobody needs to be asked."""
    return [why for reason in REASONS if (why := reason(attempt)) is not None]
