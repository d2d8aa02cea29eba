"""What one attempt sends and reserves: the prompt's delta, the worst case, the digest. Pure."""

from collections.abc import Callable
from typing import Any

from ballast.contracts import ExitReason
from ballast.contracts.service_tier import ServiceTier
from ballast.folds.conversation import Prompt, prompt_digest, said
from ballast.folds.loops import Despair, recorded
from ballast.log.events import ModelRequested, ModelResponded
from ballast.log.keys import Key
from ballast.money import PriceTable
from ballast.playbook import Playbook
from ballast.playbook.first_prompt import PROVIDER_OVERHEAD_TOKENS, attempt_within, first_prompt, input_bound
from ballast.run import Run
from functions.agent.completion import sendable
from functions.agent.despair import noticed
from functions.agent.prompt import new_messages
from functions.agent.reported import messages_bytes, sent_bytes

#: Prompts have about 4 bytes a token. A count by which they had more than so many may be right; no bound relies on it.
_USUAL_BYTES = 16


def compose(
    run: Run,
    turn: int,
    *,
    attempt: int,
    model_id: str,
    playbook: Playbook,
    prices: PriceTable,
    found: Despair,
    shown: Callable[[dict[str, Any]], dict[str, Any]],
) -> ModelRequested | ExitReason:
    """Return what is recorded before the call, or the limit that forbids it.

    ``found``: what the fold says about circles. ``shown``: a body of the run as everybody may see it.
    Raises ``ModelRefused`` where the model has no price.
    """
    opened = run.opening
    tier = playbook.agent.service_tier
    price = prices.worst(model_id, tier)
    told = noticed(found, run)
    delta = ModelRequested(
        turn=turn,
        attempt=attempt,
        after=run.prompt.after,
        covers=[event.seq for event in run.unseen],
        messages=new_messages(run, told),
        model=model_id,
        temperature=str(playbook.agent.temperature),
        reserved_microusd=0,
        price_version=prices.version,
        service_tier=tier,
        **_other_than(run.prompt, first_prompt(playbook, opened.request)),
        **({"despair": recorded(told)} if told else {}),
    )
    bound = _input_bound(run, delta)
    reservation = attempt_within(
        opened.limits,
        price,
        bound=bound,
        tokens_so_far=run.counts.tokens,
        left_microusd=opened.cost_ceiling_microusd - run.usage.charged_microusd,
    )
    if isinstance(reservation, ExitReason):
        return reservation
    requested = delta.model_copy(
        update={
            "max_tokens": reservation.max_tokens,
            "prompt_bound": bound,
            "sent_bytes": _sent_bytes(run, run.prompt.extended(delta)),
            "reserved_microusd": reservation.microusd,
        }
    )
    seen = run.as_shown.prompt.extended(_as_shown(requested, shown))
    return requested.model_copy(update={"prompt_sha256": prompt_digest(run, seen, requested.inference)})


def _sent_bytes(run: Run, prompt: Prompt) -> int:
    """Return the bytes of a prompt's texts; those of its messages so far are not counted anew."""

    def answered(before: tuple[int, int], requested: ModelRequested, responded: ModelResponded) -> tuple[int, int]:
        more = (*requested.messages, said(responded))
        return before[0] + len(more), before[1] + messages_bytes(more)

    count, size = run.along(prompt.after, "sent bytes", (0, 0), answered)
    return sent_bytes(prompt.system, prompt.tools, prompt.messages[count:], before=size)


def _other_than(before: Prompt, first: Prompt) -> dict[str, Any]:
    """Return the instructions and the tools where they are others than ``before``."""
    system = {"system": first.system} if first.system != before.system else {}
    return system | ({"tools": first.tools} if first.tools != before.tools else {})


def _as_shown(requested: ModelRequested, shown: Callable[[dict[str, Any]], dict[str, Any]]) -> ModelRequested:
    made = ModelRequested.read(Key.of(requested.seq), shown(requested.body))
    assert isinstance(made, ModelRequested)
    return made


def _input_bound(run: Run, delta: ModelRequested) -> int:
    """Return an upper bound of the prompt's tokens: the last exact count and the bytes of what is new.

    A count by another model says nothing, and neither does one that could not be right, or is hardly right.
    """
    new = input_bound(delta.system, delta.tools, delta.messages)
    if delta.after is None:
        return new + PROVIDER_OVERHEAD_TOKENS
    known = _exact(run, run.facts(ModelResponded)[-1], delta.model)
    if known is not None:
        return known + new
    before = run.prompt
    return new + input_bound(before.system, before.tools, before.messages) + PROVIDER_OVERHEAD_TOKENS


def _exact(run: Run, last: ModelResponded, model_id: str) -> int | None:
    """Return the tokens of ``last``, prompt and output, where its usage can be built on."""
    if last.input_tokens is None or last.usage_disbelieved is not None or last.model != model_id:
        return None
    asked = run.fact(ModelRequested, last.turn, last.attempt)
    prompt, sent = last.tokens - (last.output_tokens or 0), asked.sent_bytes if asked is not None else 0
    return None if prompt * _USUAL_BYTES < sent else last.tokens


def converse_request(run: Run, requested: ModelRequested) -> dict[str, Any]:
    """Return the arguments of ``converse`` for an attempt that the run does not have yet."""
    prompt = run.prompt.extended(requested)

    def answered(before: tuple[Any, ...], asked: ModelRequested, responded: ModelResponded) -> tuple[Any, ...]:
        return (*before, *map(sendable, asked.messages), sendable(said(responded)))

    messages = run.along(prompt.after, "sendable", (), answered)
    tier = requested.service_tier or ServiceTier.DEFAULT
    # The default one is not named: a model without tiers refuses the field.
    named = {} if tier == ServiceTier.DEFAULT else {"serviceTier": {"type": tier}}
    return named | {
        "modelId": requested.model,
        "system": sendable(prompt.system),
        "messages": [*messages, *map(sendable, prompt.messages[len(messages) :])],
        "toolConfig": sendable(prompt.tools),
        "inferenceConfig": {
            "maxTokens": requested.max_tokens,
            # boto3 takes a float here and nothing else.
            "temperature": float(requested.temperature or 0),
        },
    }
