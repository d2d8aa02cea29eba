"""What one attempt sends and reserves: the prompt's delta, the worst case, the digest. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from ballast.contracts import ExitReason
from ballast.contracts.service_tier import ServiceTier
from ballast.folds import answered_prompt, counts, opening, prompt_digest, unseen, usage
from ballast.folds.conversation import extended
from ballast.folds.despair import Despair, recorded
from ballast.folds.usage import CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from ballast.log.event import Event
from ballast.log.keys import model_seq
from ballast.money import PriceTable
from ballast.playbook import Playbook
from ballast.playbook.opening import PROVIDER_OVERHEAD_TOKENS, attempt_within, input_bound, opening_prompt
from functions.planner.completion import sendable
from functions.planner.despair import noticed
from functions.planner.prompt import new_messages
from functions.planner.reported import DISBELIEVED, OUTPUT_BOUND, PROMPT_BOUND, SENT_BYTES, sent_bytes

MODEL = "gen_ai.request.model"
#: Prompts have about 4 bytes a token. A count by which they had more than so many may be right; no bound relies on it.
_USUAL_BYTES = 16


def compose(
    events: Sequence[Event],
    *,
    attempt: int,
    model_id: str,
    playbook: Playbook,
    prices: PriceTable,
    found: Despair,
    shown: Callable[[dict[str, Any]], dict[str, Any]],
) -> dict[str, Any] | ExitReason:
    """Return the body of ``model.requested``, or the limit that forbids the call.

    ``found``: what the fold says about circles. ``shown``: a body of the run as everybody may see it.
    Raises ``ModelRefused`` where the model has no price.
    """
    opened, used = opening(events), usage(events)
    tier = playbook.agent.service_tier
    price = prices.worst(model_id, tier)
    before = answered_prompt(events)
    told = noticed(found, before)
    body: dict[str, Any] = {
        "attempt": attempt,
        "after": before.after,
        "covers": [event.seq for event in unseen(events, before)],
        "messages": new_messages(events, before, told),
        **({"despair": recorded(told)} if told else {}),
    }
    told_first = opening_prompt(playbook, opened.request)
    if told_first.system != before.system:
        body["system"] = told_first.system
    if told_first.tools != before.tools:
        body["tools"] = told_first.tools
    bound = _input_bound(events, body, model_id)
    reservation = attempt_within(
        opened.limits,
        price,
        bound=bound,
        tokens_so_far=counts(events).tokens,
        left_microusd=opened.cost_ceiling_microusd - used.charged_microusd,
    )
    if isinstance(reservation, ExitReason):
        return reservation
    seen = answered_prompt(events, as_shown=True)
    whole = extended(before, body)
    inference = {
        "model": model_id,
        "max_tokens": reservation.max_tokens,
        "temperature": str(playbook.agent.temperature),
    }
    return body | {
        MODEL: inference["model"],
        OUTPUT_BOUND: inference["max_tokens"],
        "gen_ai.request.temperature": inference["temperature"],
        PROMPT_BOUND: bound,
        SENT_BYTES: sent_bytes(whole.system, whole.tools, whole.messages),
        "reserved_microusd": reservation.microusd,
        "price_version": prices.version,
        "service_tier": tier,
        "prompt_sha256": prompt_digest(events, extended(seen, shown(body)), inference),
    }


def _input_bound(events: Sequence[Event], delta: dict[str, Any], model_id: str) -> int:
    """Return an upper bound of the prompt's tokens: the last exact count and the bytes of what is new.

    A count by another model says nothing, and neither does one that could not be right, or is hardly right.
    """
    new = input_bound(delta.get("system"), delta.get("tools"), delta["messages"])
    last = next((event for event in events if event.seq == delta["after"]), None)
    if last is None:
        return new + PROVIDER_OVERHEAD_TOKENS
    known = _exact(events, last, model_id)
    if known is not None:
        return known + new
    before = answered_prompt(events)
    return new + input_bound(before.system, before.tools, list(before.messages)) + PROVIDER_OVERHEAD_TOKENS


def _exact(events: Sequence[Event], last: Event, model_id: str) -> int | None:
    """Return the tokens of ``last``, prompt and output, where its usage can be built on."""
    body = last.body
    if INPUT_TOKENS not in body or DISBELIEVED in body or body.get(MODEL) != model_id:
        return None
    prompt = sum(body.get(name, 0) for name in (INPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS))
    asked = model_seq(last.turn, body["attempt"], "requested")
    sent = next((event.body.get(SENT_BYTES, 0) for event in events if event.seq == asked), 0)
    return None if prompt * _USUAL_BYTES < sent else int(prompt + body.get(OUTPUT_TOKENS, 0))


def converse_request(events: Sequence[Event], body: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``converse`` for the attempt with that ``model.requested``."""
    prompt = extended(answered_prompt(events), body)
    tier = body.get("service_tier", ServiceTier.DEFAULT)
    # The default one is not named: a model without tiers refuses the field.
    named = {} if tier == ServiceTier.DEFAULT else {"serviceTier": {"type": tier}}
    return named | {
        "modelId": body[MODEL],
        "system": sendable(prompt.system),
        "messages": sendable(prompt.messages),
        "toolConfig": sendable(prompt.tools),
        "inferenceConfig": {
            "maxTokens": body[OUTPUT_BOUND],
            # boto3 takes a float here and nothing else.
            "temperature": float(body["gen_ai.request.temperature"]),
        },
    }
