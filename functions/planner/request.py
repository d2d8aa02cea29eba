"""What one attempt sends and reserves: the prompt's delta, the worst case, the digest. Pure."""

import json
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from ballast.contracts import Event, ExitReason
from ballast.contracts.event import model_seq
from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import utf8_size
from ballast.folds import answered_prompt, counts, opening, prompt_digest, unseen, usage
from ballast.folds.conversation import extended
from ballast.folds.despair import Despair, recorded
from ballast.folds.usage import CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from ballast.money import LEAST_USEFUL_TOKENS, PriceTable, affordable
from ballast.playbook import Playbook
from functions.planner.completion import sendable
from functions.planner.despair import noticed
from functions.planner.prompt import new_messages
from functions.planner.question import SPEC
from functions.planner.reported import DISBELIEVED, OUTPUT_BOUND, PROMPT_BOUND, SENT_BYTES, sent_bytes

MODEL = "gen_ai.request.model"
#: Prompts have about 4 bytes a token. A count by which they had more than so many may be right; no bound relies on it.
_USUAL_BYTES = 16
#: Tokens that a provider may add to a prompt of its own accord, e.g. for the use of tools.
PROVIDER_OVERHEAD_TOKENS = 1_024


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
    system = [{"text": text} for text in playbook.agent.told(opened.request.intent)]
    offered = [made.spec for made in playbook.offered(opened.request.intent)]
    tools = {"tools": [*offered, SPEC] if playbook.agent.ask_requester else offered}
    if system != before.system:
        body["system"] = system
    if tools != before.tools:
        body["tools"] = tools
    bound = _input_bound(events, body, model_id)
    if bound > opened.limits.input_tokens_per_turn:
        return ExitReason.TOKEN_LIMIT
    max_tokens = min(opened.limits.tokens_per_turn, opened.limits.tokens_per_run - counts(events).tokens - bound)
    if max_tokens < min(LEAST_USEFUL_TOKENS, opened.limits.tokens_per_turn):
        return ExitReason.RUN_TOKEN_LIMIT
    reservation = affordable(
        price,
        input_bound=bound,
        max_tokens=max_tokens,
        left_microusd=opened.cost_ceiling_microusd - used.charged_microusd,
    )
    if reservation is None:
        return ExitReason.COST_LIMIT
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

    A token of any byte-pair vocabulary is at least one byte. A count by another model says nothing, and neither does
    one that could not be right, or is hardly right.
    """
    new = _bytes([delta.get("system"), delta.get("tools"), delta["messages"]])
    last = next((event for event in events if event.seq == delta["after"]), None)
    if last is None:
        return new + PROVIDER_OVERHEAD_TOKENS
    known = _exact(events, last, model_id)
    if known is not None:
        return known + new
    before = answered_prompt(events)
    return new + _bytes([before.system, before.tools, list(before.messages)]) + PROVIDER_OVERHEAD_TOKENS


def _exact(events: Sequence[Event], last: Event, model_id: str) -> int | None:
    """Return the tokens of ``last``, prompt and output, where its usage can be built on."""
    body = last.body
    if INPUT_TOKENS not in body or DISBELIEVED in body or body.get(MODEL) != model_id:
        return None
    prompt = sum(body.get(name, 0) for name in (INPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS))
    asked = model_seq(last.turn, body["attempt"], "requested")
    sent = next((event.body.get(SENT_BYTES, 0) for event in events if event.seq == asked), 0)
    return None if prompt * _USUAL_BYTES < sent else int(prompt + body.get(OUTPUT_TOKENS, 0))


def _bytes(value: Any) -> int:
    """Return the bytes of ``value`` as JSON in UTF-8, or of what a tokenizer that normalises texts makes of it."""
    size, text = utf8_size(value), json.dumps(value, ensure_ascii=False)
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return size
    return max(size, len(unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")))


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
