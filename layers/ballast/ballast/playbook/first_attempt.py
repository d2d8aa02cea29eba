"""The first attempt of a run at a model: what it is told, what it costs at most, and which limit forbids it. Pure.

The planner writes the prompt with it, and Admit asks it before a run is opened: a run that cannot pay for one attempt
would do nothing but wake a person.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from ballast.contracts import RunRequest
from ballast.contracts.limits import Limits
from ballast.contracts.wire import Wire, canonical
from ballast.money import LEAST_USEFUL_TOKENS, Price, affordable
from ballast.playbook.gate import ASK_REQUESTER
from ballast.playbook.load import Playbook

#: Tokens that a provider may add to a prompt of its own accord, e.g. for the use of tools.
PROVIDER_OVERHEAD_TOKENS = 1_024

Blocks = list[dict[str, Any]]


class Question(Wire):
    """What the model sends."""

    question: Annotated[str, Field(min_length=1, max_length=2_000)]


_ASK_REQUESTER_SPEC: dict[str, Any] = {
    "toolSpec": {
        "name": ASK_REQUESTER,
        "description": (
            "Ask the person who sent the request one question, and wait for the reply. Only for what nobody "
            "else can know; it may take long. It must be the only call of its turn."
        ),
        "inputSchema": {"json": Question.model_json_schema()},
    }
}


def system_of(playbook: Playbook, intent: str | None) -> Blocks:
    """Return Converse's ``system`` for requests of that intent."""
    return [{"text": text} for text in playbook.agent.told(intent)]


def tools_of(playbook: Playbook, intent: str | None) -> dict[str, Blocks]:
    """Return Converse's ``toolConfig`` for requests of that intent."""
    offered = [made.spec for made in playbook.offered(intent)]
    return {"tools": [*offered, _ASK_REQUESTER_SPEC] if playbook.agent.ask_requester else offered}


def request_blocks(request: RunRequest) -> Blocks:
    """Return what the first message says of the request."""
    blocks = [{"text": request.text}]
    if request.context:
        facts = json.dumps(request.context, ensure_ascii=False, sort_keys=True)
        blocks.append({"text": f"Facts that the caller vouches for, as JSON: {facts}"})
    return blocks


def prompt_bound(system: Any, tools: Any, messages: Sequence[Any]) -> int:
    """Return an upper bound of a whole prompt's tokens. A token of any byte-pair vocabulary is at least one byte."""
    return len(canonical([system, tools, list(messages)])) + PROVIDER_OVERHEAD_TOKENS


def unpayable(playbook: Playbook, request: RunRequest, limits: Limits, price: Price | None) -> str | None:
    """Return what is wrong with the request's own limits where they forbid the first attempt, else None.

    ``limits`` are the run's, with the request's among them; ``price`` the model's, None where it has none: then the
    planner says so. What the playbook's limits forbid is no fault of the request.
    """
    own = request.limits
    if own is None:
        return None
    messages = [{"role": "user", "content": request_blocks(request)}]
    bound = prompt_bound(system_of(playbook, request.intent), tools_of(playbook, request.intent), messages)
    least = min(LEAST_USEFUL_TOKENS, limits.tokens_per_turn)
    if own.input_tokens_per_turn is not None and own.input_tokens_per_turn < bound:
        return _too_little("input_tokens_per_turn", own.input_tokens_per_turn, bound)
    if own.tokens_per_run is not None and own.tokens_per_run < bound + least:
        return _too_little("tokens_per_run", own.tokens_per_run, bound + least)
    if own.cost_microusd is None or price is None:
        return None
    tokens = min(limits.tokens_per_turn, limits.tokens_per_run - bound)
    if affordable(price, input_bound=bound, max_tokens=tokens, left_microusd=own.cost_microusd) is None:
        needed = price.worst_input_cost(bound) - (-least * price.output // 1_000_000)
        return _too_little("cost_microusd", own.cost_microusd, needed)
    return None


def _too_little(name: str, sent: int, needed: int) -> str:
    return (
        f"request: limits.{name} is {sent}, and one attempt at the model may take {needed}. Nothing was started, since "
        f"all that the run could do is to ask a person. Send {needed} or more, or leave it out."
    )
