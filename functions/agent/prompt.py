"""The prompt of one attempt: what is new for the model, the reservation, and the digest. Pure.

::

    the run ─▶ new_messages ─▶ compose: form ─▶ bound ─▶ reservation ─▶ digest ─▶ model.requested
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ballast.attachments.prompt import (
    Bound,
    kept_in,
    with_files,
)
from ballast.contracts import ExitReason, Limits
from ballast.folds.conversation import Prompt, asked_with, in_full, prompt_digest
from ballast.folds.loops import Loops, as_recorded
from ballast.log.events import ModelRequested, ModelResponded
from ballast.log.keys import Key
from ballast.models.card import ModelCard
from ballast.money import ModelPrice
from ballast.playbook import Playbook
from ballast.playbook.agents import limits_now
from ballast.playbook.first_prompt import (
    PROVIDER_OVERHEAD_TOKENS,
    attempt_within,
    cache_ttl,
    estimate_of,
    first_prompt,
    input_bound,
    reserved_price,
    room_for,
    tool_config,
    why_not_in_window,
)
from ballast.run import Run
from functions.agent.caching import cache_points
from functions.agent.loops import loop_notices
from functions.agent.new_messages import new_messages
from functions.agent.request import (
    earlier_bytes,
    reasoning_sent_back,
    sent_as,
    sent_reply,
    shaped,
    shaped_alike,
    shaped_turn,
    with_prefix,
)
from functions.agent.usage import sent_bytes

#: Prompts have about 4 bytes a token. A reported count with more bytes a token may be right, but no bound uses it.
_USUAL_BYTES = 16
#: Tokens that a model may make of 100 of another's. Anthropic says up to 135 of its own newest vocabulary; most make
#: fewer. An estimate that is too low costs a refused request, one that is too high ends the run.
_OTHERS_PERCENT = 125
#: Stands in for the tools of a conversation that holds calls and offers none. The gate refuses a call of it.
_NO_TOOL = {
    "toolSpec": {
        "name": "no_tool",
        "description": "There is no tool for this request. Never call this one: answer in plain words.",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }
}


class TooSmall(Exception):
    """The window of a model that stands in is too small for the prompt; in words, without the model."""


def compose(
    run: Run,
    turn: int,
    *,
    attempt: int,
    priced: ModelPrice,
    card: ModelCard,
    playbook: Playbook,
    loops: Loops,
    shown: Callable[[dict[str, Any]], dict[str, Any]],
    stands_in: bool = False,
) -> ModelRequested | ExitReason:
    """Return what is recorded before the call, or the limit that forbids it.

    ``stands_in``: the model is not the usual one. Raises ``TooSmall`` for what hardly fits its window.
    ``priced`` and ``card`` are those of the model that is asked. ``shown`` masks the sensitive values of an event's
    body. Raises ``ModelRefused`` if the model has no price for the playbook's tier.
    """
    opened, agent = run.opening, playbook.agent
    taken = agent.inference.taken_by(card)
    tier = agent.service_tier
    price = priced.worst(tier)
    notices = loop_notices(loops, run)
    delta = ModelRequested(
        turn=turn,
        attempt=attempt,
        after=run.prompt.after,
        covers=[event.seq for event in run.unseen],
        messages=new_messages(run, notices, card),
        model=priced.model_id,
        sent_as=sent_as(card, taken, agent, opened.request.intent),
        reserved_microusd=0,
        price_version=priced.version,
        service_tier=tier,
        **_changed_parts(run.prompt, _with_tools(first_prompt(playbook, opened.request, card), run.prompt, card)),
        **({"despair": as_recorded(notices)} if notices else {}),
    )
    if taken.budget and _must_not_think(run, delta):
        taken = agent.inference.without_thinking().taken_by(card)
        delta = delta.model_copy(update={"sent_as": sent_as(card, taken, agent, opened.request.intent)})
    bound, estimate = _input_size(run, delta, card)
    size, limits = _sent_bytes(run, delta), limits_now(run, playbook)
    if stands_in and (why := why_not_in_window(card, estimate, limits, taken)):
        raise TooSmall(why)
    if taken.budget and not card.max_tokens_over_window and not room_for(card, taken, bound=bound.known):
        # Its ``max_tokens`` are more than its budget: the provider would refuse them beside a prompt of that size.
        taken = agent.inference.without_thinking().taken_by(card)
        form = sent_as(card, taken, agent, opened.request.intent)
        delta = delta.model_copy(update={"sent_as": form})
    if taken.temperature is not None:
        delta = delta.model_copy(update={"temperature": taken.temperature})
    delta = _with_cache(run, delta, card, playbook, limits, bound=bound.most, size=size)
    reservation = attempt_within(
        limits,
        reserved_price(price, card, delta.sent_as.cache_ttl),
        card,
        taken,
        bound=bound,
        estimate=estimate,
        tokens_so_far=run.counts.tokens,
        left_microusd=limits.cost_microusd - run.usage.charged_microusd,
    )
    if isinstance(reservation, ExitReason):
        return reservation
    requested = delta.model_copy(
        update={
            "max_tokens": reservation.max_tokens,
            "prompt_bound": bound.most,
            "sent_bytes": size,
            "reserved_microusd": reservation.microusd,
        }
    )
    masked_delta = _as_shown(requested, shown)
    requested = with_prefix(run, requested, masked_delta)
    masked = run.as_shown.prompt.extended(masked_delta, run.as_shown)
    return requested.model_copy(update={"prompt_sha256": prompt_digest(run, masked, requested.inference)})


def _with_cache(
    run: Run, delta: ModelRequested, card: ModelCard, playbook: Playbook, limits: Limits, *, bound: int, size: int
) -> ModelRequested:
    """Return ``delta`` with the cache points that are sent; unchanged for a model that takes none."""
    if card.cache is None:
        return delta
    prompt = run.prompt.extended(delta, run)
    texts = None if run.attachments else size
    ttl = cache_ttl(playbook, card, limits, tools=prompt.tools, bound=bound, size=texts)
    turns = run.counts.turns + (1 if delta.attempt == 1 else 0)
    points = cache_points(prompt, card, delta.sent_as, goes_on=turns < limits.turns) if ttl else ()
    cached = {"cache_points": points, **({"cache_ttl": ttl} if points else {})}
    return delta.model_copy(update={"sent_as": delta.sent_as.model_copy(update=cached)})


def _must_not_think(run: Run, delta: ModelRequested) -> bool:
    """Say whether the newest completion has calls without the reasoning that the model must get back with them.

    It is another model's, one of a model that did not think, or its reasoning cannot go back: the provider refuses to
    begin between a call and its result.
    """
    last = run.newest(ModelResponded) if run.prompt.after is not None else None
    if last is None or not delta.sent_as.own_reasoning:
        return False
    content = sent_reply(run, last, delta)["content"]
    return any("toolUse" in block for block in content) and "reasoningContent" not in content[0]


def _sent_bytes(run: Run, requested: ModelRequested) -> int:
    """Return the bytes of a prompt's texts."""
    prompt = run.prompt.extended(requested, run)
    new = shaped(in_full(requested, run), requested.sent_as)
    return sent_bytes(prompt.system, prompt.tools, new, before=earlier_bytes(run, requested))


def _with_tools(first: Prompt, before: Prompt, card: ModelCard) -> Prompt:
    """Return ``first`` with a tool that cannot be called if it has none and the conversation has calls.

    Bedrock refuses a conversation with calls and no tools. A model may call a tool that it was never offered.
    """
    if first.tools is not None or not any("toolUse" in block for one in before.messages for block in one["content"]):
        return first
    return replace(first, tools=tool_config([_NO_TOOL], card))


def _changed_parts(before: Prompt, first: Prompt) -> dict[str, Any]:
    """Return the instructions and the tools, each only if it differs from ``before``."""
    system = {"system": first.system} if first.system != before.system else {}
    return system | ({"tools": first.tools} if first.tools != before.tools else {})


def _as_shown(requested: ModelRequested, shown: Callable[[dict[str, Any]], dict[str, Any]]) -> ModelRequested:
    made = ModelRequested.read(Key.of(requested.seq), shown(requested.body))
    assert isinstance(made, ModelRequested)
    return made


def _input_size(run: Run, delta: ModelRequested, card: ModelCard) -> tuple[Bound, Bound]:
    """Return an upper bound of the prompt's tokens, and an estimate of them.

    The bound is the model's newest exact count plus the bytes of what is new since; without one, every byte of the
    prompt counts as a token. The estimate also reads what another model counted. Files count as ``card`` says.
    """
    form = delta.sent_as
    messages = in_full(delta, run)
    read = [*shaped(messages, form), *filter(None, [form.output_config])]
    new = input_bound(delta.system, delta.tools, read)
    files = [*kept_in(messages)]
    if delta.after is None:
        bound = with_files(new + PROVIDER_OVERHEAD_TOKENS, files, card)
        return bound, estimate_of(new, files, card, counted=PROVIDER_OVERHEAD_TOKENS)
    others: tuple[int, int] | None = None
    back = reasoning_sent_back(run, delta)
    for asked, responded in _earlier(run, delta):
        exact = _exact_tokens(asked, responded, delta)
        if exact is not None:
            return with_files(exact + new, files, card), estimate_of(new, files, card, counted=exact)
        # What came since: the completion, and the request that it answered, as this model gets them.
        *sent, reply = shaped_turn(run, asked, responded, delta, back)
        new += input_bound(None, None, [reply])
        if others is None and (counted := _others_tokens(asked, responded)) is not None:
            others = counted, new
        new += input_bound(asked.system, asked.tools, sent)
        files = [*kept_in(in_full(asked, run)), *files]
    bound = with_files(new + PROVIDER_OVERHEAD_TOKENS, files, card)
    if others is not None and not files:  # models count pictures and documents each in its way
        counted, since = others
        return bound, estimate_of(since, files, card, counted=counted)
    return bound, estimate_of(new, files, card, counted=PROVIDER_OVERHEAD_TOKENS)


def _earlier(run: Run, delta: ModelRequested) -> Iterator[tuple[ModelRequested, ModelResponded]]:
    """Yield the earlier requests of the conversation with their completions, the newest first."""
    after = delta.after
    while after is not None:
        responded = run.at(after).fact
        assert isinstance(responded, ModelResponded)
        asked = asked_with(run, responded)
        yield asked, responded
        after = asked.after


def _exact_tokens(asked: ModelRequested, last: ModelResponded, delta: ModelRequested) -> int | None:
    """Return the prompt and output tokens of ``last``; None if they are in doubt or no count of what is sent now.

    That is where another model counted them, or where its card has changed: each earlier message is sent otherwise.
    """
    if asked.model != delta.model or not _believed(asked, last) or not shaped_alike(asked.sent_as, delta.sent_as):
        return None
    return last.tokens


def _others_tokens(asked: ModelRequested, last: ModelResponded) -> int | None:
    """Return about how many tokens of this model are the prompt of ``last``, which another one counted."""
    if not _believed(asked, last):
        return None
    return -(-(last.tokens - (last.output_tokens or 0)) * _OTHERS_PERCENT // 100)


def _believed(asked: ModelRequested, last: ModelResponded) -> bool:
    if last.input_tokens is None or last.usage_disbelieved is not None:
        return False
    return (last.tokens - (last.output_tokens or 0)) * _USUAL_BYTES >= asked.sent_bytes
