"""The one tool that is Ballast's own: asking the requester. Pure.

The model sees it like any other tool, where the playbook allows it. Nothing executes it: a turn
that asks, and asks only, is a hand-over to the requester, whose reply is the call's result.
"""

from collections.abc import Collection, Mapping

from pydantic import ValidationError

from ballast.contracts import CallTools, ExitReason, HandOver, Planner
from ballast.playbook import Playbook
from ballast.playbook.first_prompt import ASK_REQUESTER, Question
from ballast.run import Run
from functions.agent.prose import call_in_prose
from functions.agent.spoken import answer_of_object, spoken


def asked(decision: CallTools, tools: Collection[str] = ()) -> HandOver | None:
    """Return the hand-over to the requester where ``decision`` is one well-formed question, else None.

    It is well formed in words alone: without its reasoning, and without a call of one of the ``tools`` written as text.
    The executor refuses the call of any other one, and the model reads why.
    """
    if len(decision.calls) != 1 or decision.calls[0].tool != ASK_REQUESTER:
        return None
    try:
        sent = Question.model_validate(decision.calls[0].arguments)
    except ValidationError:
        return None
    said = answer_of_object(spoken(sent.question).text)
    if not said or call_in_prose(said, tools if isinstance(tools, Mapping) else {*tools, ASK_REQUESTER}):
        return None
    return HandOver(to=Planner.REQUESTER, reason=ExitReason.QUESTION, guidance=said)


def callable_by(playbook: Playbook) -> Mapping[str, Collection[str]]:
    """Return the names that the agent of the playbook may call, with those of each one's parameters."""
    return {name: made.argument_names for name, made in playbook.tools.items()} | {ASK_REQUESTER: ("question",)}


def reply_to(run: Run, turn: int) -> str | None:
    """Return what the requester replied to the question of ``turn``; None where it asked none.

    A question without a reply has the empty text.
    """
    asking = run.proposals.get(turn)
    if asking is None or not isinstance(asking.decision, HandOver) or asking.decision.to is not Planner.REQUESTER:
        return None
    reply = run.proposals.get(turn + 1)
    if reply is None or reply.planner is not Planner.REQUESTER or not isinstance(reply.decision, HandOver):
        return ""
    return reply.decision.guidance
