"""Usage of a model attempt: read what the reply reports, check it, and charge the attempt. Pure.

::

    reported usage (untrusted)
      a part is not a count, or fewer tokens than the texts must have   no usage: the reservation stays charged
      (a reply with words, reasoning or calls has at least one token)
      a guardrail stepped in, so the text is not the model's            charged as reported: 0 for a blocked prompt
      more prompt or output than the attempt could have used            charged at the bound of that part
      cached tokens that the prompt's cache points do not allow         charged as what they allow
      anything else                                                     charged as reported

    model.requested  reserved_microusd, price_version, service_tier     the reservation, and the bound of every charge
    model.responded  the checked usage, at the tier that served it; never above the reservation
                     the reservation, if no usage is left
    model.failed     the reservation, if the provider may have charged; else nothing

A usage that cannot be right is recorded with the charge (``usage_disbelieved``, in words) and counted
(``UsageDisbelieved``).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import without_surrogates
from ballast.log.events import Charged, ModelRequested
from ballast.models.catalog import Catalog
from ballast.money import ModelPrice, Price, TokenCounts
from ballast.values import dataclass
from functions.agent.text import cited_text

#: A larger count is not a count: no provider has so many tokens in one reply.
_MOST_TOKENS = 10**12
#: Bytes a token has at most, in a text. Up to 17 were measured, in a text made only of the longest words that are one
#: token in today's vocabularies. A single token may have 61 bytes, so a short text proves only that there is one.
#: A token may have 128 bytes of one mark repeated (spaces, dashes, underscores): a run counts as a few marks, and the
#: longest run has at least a token per 256 bytes, twice the measured size.
_MOST_BYTES, _ONE_TOKEN_BYTES = 24, 64
_RUN = re.compile(r"(\r\n|[\W_])\1{7,}")
_RUN_MARKS, _RUN_BYTES = 8, 256
#: The provider renders the prompt, and a short one is mostly wrapping and schemas, so its size proves little. The next
#: prompt's bound is stricter (``prompt``).
_SHORT_PROMPT_BYTES, _MOST_SHORT_PROMPT_BYTES = 4_096, 600
_NO_TEXT = frozenset(("reasoningContent", "image", "document", "video", "audio"))
# Each has two spellings on the wire.
_CACHE_READ = ("cacheReadInputTokens", "cacheReadInputTokenCount")
_CACHE_WRITE = ("cacheWriteInputTokens", "cacheWriteInputTokenCount")


@dataclass(frozen=True)
class ReadUsage:
    """A reported usage after checks.

    tokens   the tokens to charge, no part above its bound; None if the reservation stays charged
    why      the part that cannot be right, in words; None if all of it can
    guarded  a guardrail stepped in: of a prompt that it blocked no token was used
    """

    tokens: TokenCounts | None
    why: str | None = None
    guarded: bool = False


def tokens_of(usage: Any) -> TokenCounts | None:
    """Return the reported tokens; None if input or output is missing, or if any part is not a count."""
    if not isinstance(usage, Mapping):
        return None
    counts = [_largest(usage, ("inputTokens",)), _largest(usage, ("outputTokens",))]
    # A missing cache count is zero; so is null, which gateways write.
    counts += [_largest(usage, names, absent=0) for names in (_CACHE_READ, _CACHE_WRITE)]
    long_lived, short_lived = _by_ttl(usage.get("cacheDetails"))
    given, made, read, written = counts
    if given is None or made is None or read is None or written is None or long_lived is None or short_lived is None:
        return None
    # The details divide the sum by TTL; if they add up to more than the sum, they count.
    return TokenCounts(
        input=given,
        output=made,
        cache_read=read,
        cache_write_5m=max(short_lived, written - long_lived),
        cache_write_1h=long_lived,
    )


def read_usage(usage: Any, blocks: Sequence[Mapping[str, Any]], *, guarded: bool = False) -> ReadUsage:
    """Return the usage of a reply, checked against the reply's content ``blocks`` alone.

    A reply without usage has no tokens and no ``why``. ``guarded``: a guardrail stepped in, so the texts are its own.
    They prove nothing about the model's tokens, and AWS charges no inference for a prompt that the guardrail blocked:
    https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-how.html
    """
    tokens = tokens_of(usage)
    if tokens is None:
        return ReadUsage(None, why="a part of the usage is not a count" if usage else None)
    if guarded:
        return ReadUsage(tokens, guarded=True)
    made = [part for block in blocks for part in _model_texts(block)]
    size = sum(_bytes(part) for part in made)
    calls = sum(isinstance(block.get("toolUse"), Mapping) for block in blocks)  # each has at least one token
    least = max(int(bool(made)), calls, _least(size - _ONE_TOKEN_BYTES, _MOST_BYTES))
    if tokens.output < least:
        called = f" and {calls} calls" if calls else ""
        return ReadUsage(None, why=f"{tokens.output} output tokens for {size} bytes of text{called}")
    return ReadUsage(tokens)


def _model_texts(block: Mapping[str, Any]) -> list[str]:
    """Return the texts of a block that the model made: words, reasoning and calls, with their names.

    The size of encrypted reasoning proves nothing: it counts as one character.
    """
    thought, use, guarded = block.get("reasoningContent"), block.get("toolUse"), block.get("guardContent")
    told = thought.get("reasoningText") if isinstance(thought, Mapping) else None
    shown = guarded.get("text") if isinstance(guarded, Mapping) else None
    texts = [block.get("text"), cited_text(block), *(_text_of(one) for one in (told, shown))]
    # Anything else than a text, such as a list of texts, is as long as its string form.
    made = [text for text in (one if isinstance(one, str) else str(one) for one in texts if one) if text.strip()]
    if isinstance(thought, Mapping) and thought.get("redactedContent"):
        made.append("-")
    if isinstance(use, Mapping):
        made += [str(use.get("name") or "-"), "" if use.get("input") is None else str(use["input"])]
    return made


def _text_of(part: Any) -> Any:
    return part.get("text") if isinstance(part, Mapping) else part


def _bytes(text: str) -> int:
    """Return the bytes of a text in UTF-8; a run of one mark counts as a few marks."""
    runs = [(len(_utf8(run[1])), len(_utf8(run.group()))) for run in _RUN.finditer(text)]
    counted = sum(min(whole, max(_RUN_MARKS * mark, whole * _MOST_BYTES // _RUN_BYTES)) for mark, whole in runs)
    return len(_utf8(text)) - sum(whole for _, whole in runs) + counted


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def checked_usage(usage: ReadUsage, requested: ModelRequested) -> ReadUsage:
    """Return ``usage`` checked against its attempt's ``model.requested`` as well.

    An attempt of an older version lacks some fields; a missing field is not a bound.
    """
    tokens, sent = usage.tokens, requested.sent_bytes
    if tokens is None or (usage.guarded and not tokens.prompt + tokens.output):
        return usage
    short, long = _least(sent, _MOST_SHORT_PROMPT_BYTES), _least(sent - _SHORT_PROMPT_BYTES, _MOST_BYTES)
    if tokens.prompt < max(short, long):
        return ReadUsage(None, why=f"{tokens.prompt} prompt tokens for {sent} bytes of prompt")
    tokens, why = _as_cached(tokens, requested)
    prompt_bound, output_bound = requested.prompt_bound, requested.max_tokens or None
    if prompt_bound is not None and tokens.prompt > prompt_bound:
        why.append(f"{tokens.prompt} prompt tokens where {prompt_bound} are possible")
        tokens = _at_most(tokens, prompt_bound)
    if output_bound is not None and tokens.output > output_bound:
        why.append(f"{tokens.output} output tokens where {output_bound} were asked for")
        tokens = replace(tokens, output=output_bound)
    return ReadUsage(tokens, "; ".join(why) or None)


def _as_cached(tokens: TokenCounts, requested: ModelRequested) -> tuple[TokenCounts, list[str]]:
    """Return ``tokens`` in the classes that the prompt's cache points allow, and what cannot be right, in words."""
    points, ttl = requested.sent_as.cache_points, requested.sent_as.cache_ttl
    cached = tokens.cache_read + tokens.cache_write
    if points is None or not cached:
        return tokens, []
    if not points:
        why = f"{cached} cached tokens of a prompt without cache points"
        return tokens.uncached, [why]
    if ttl == "1h":  # without details a write counts as one for five minutes
        return replace(tokens, cache_write_5m=0, cache_write_1h=tokens.cache_write), []
    if tokens.cache_write_1h:
        why = f"{tokens.cache_write_1h} tokens written for an hour, where no cache point lives so long"
        return replace(tokens, cache_write_5m=tokens.cache_write, cache_write_1h=0), [why]
    return tokens, []


def _at_most(tokens: TokenCounts, prompt: int) -> TokenCounts:
    """Return ``tokens`` with ``prompt`` of the prompt's tokens, the most expensive classes first."""
    kept, left = {}, prompt
    for name in ("cache_write_1h", "cache_write_5m", "input", "cache_read"):
        kept[name] = min(getattr(tokens, name), left)
        left -= kept[name]
    return TokenCounts(output=tokens.output, **kept)


def sent_bytes(system: Any, tools: Any, messages: Sequence[Mapping[str, Any]], *, before: int = 0) -> int:
    """Return the bytes of the parts of a prompt that every provider counts as text.

    Earlier reasoning is left out, since some providers drop it, and so are pictures and documents, which are not
    counted by bytes. A run of one mark counts as a few marks, as in tokenizers. ``before``: the ``messages_bytes`` of
    earlier messages.
    """
    listed = before + messages_bytes(messages)
    return _bytes(_json([system, tools, []])) + max(0, listed - len(","))


def messages_bytes(messages: Iterable[Mapping[str, Any]]) -> int:
    """Return the messages' part of ``sent_bytes``, each message with its comma."""
    contents = (message["content"] for message in messages if isinstance(message.get("content"), list))
    told = ([block for block in blocks if not _NO_TEXT & block.keys()] for blocks in contents)
    return sum(_bytes(_json(one)) + len(",") for one in told)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def tier_of(reply: Mapping[str, Any]) -> str | None:
    """Return ``serviceTier.type`` as it was sent; None if the reply has none."""
    tier = reply.get("serviceTier")
    kind = tier.get("type") if isinstance(tier, Mapping) else None
    return None if kind is None else without_surrogates(str(kind)[:64])


def _least(size: int, most_bytes: int) -> int:
    """Return the least number of tokens in ``size`` bytes of text, with at most ``most_bytes`` each."""
    return max(0, -(-size // most_bytes))


def _largest(usage: Mapping[str, Any], names: tuple[str, ...], *, absent: int | None = None) -> int | None:
    values = [usage[name] for name in names if usage.get(name) is not None]
    if not values:
        return absent
    return max(values) if all(_is_count(value) for value in values) else None


def _by_ttl(details: Any) -> tuple[int, int] | tuple[None, None]:
    """Return the tokens written for an hour and those for five minutes; an unknown TTL counts as an hour."""
    if details is None:
        return 0, 0
    if not isinstance(details, list | tuple):
        return None, None
    long_lived = short_lived = 0
    for one in details:
        if not isinstance(one, Mapping) or not _is_count(one.get("inputTokens")):
            return None, None
        if one.get("ttl") == "5m":
            short_lived += one["inputTokens"]
        else:
            long_lived += one["inputTokens"]
    return long_lived, short_lived


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS


# Charges


def charge_of(
    requested: ModelRequested, usage: ReadUsage, tier: str | None, models: Catalog, region: str = ""
) -> Charged:
    """Return the charge for a completion with that usage and reported tier: cost, price version, tokens, tier.

    The prices are those of the version by which the attempt was reserved, in the region of the stack: the reservation
    was made for the most expensive one.
    """
    tier = tier or ServiceTier.DEFAULT.value
    usage, reserved = checked_usage(usage, requested), requested.reserved_microusd
    why, cost = [usage.why] if usage.why else [], reserved
    saved: dict[str, int] = {}
    if usage.tokens is not None:
        price, known = _price(models.price_of(requested.price_version, requested.model, region), requested, tier)
        cost = price.cost(usage.tokens)
        if not known or cost > reserved:
            why.append("served in a tier that was not asked for")
        cost = min(cost, reserved)
        if usage.tokens != usage.tokens.uncached:
            saved = {"cache_saved_microusd": price.cost(usage.tokens.uncached) - cost}
    disbelieved = {"usage_disbelieved": "; ".join(why)} if why else {}
    return _charge(requested, cost, service_tier=tier, **_used(usage.tokens), **saved, **disbelieved)


def _price(priced: ModelPrice, requested: ModelRequested, tier: str) -> tuple[Price, bool]:
    """Return the price of a completion served in ``tier``; false if that tier was not asked for.

    A known tier that was not asked for is charged at the price of the one that was.
    """
    asked = requested.service_tier
    if asked is None or tier in (asked, ServiceTier.DEFAULT) or tier not in list(ServiceTier):
        return priced.served(tier), True
    return priced.worst(ServiceTier(asked)), False


def charge_of_failure(requested: ModelRequested, *, charged: bool) -> Charged:
    """Return the charge for an attempt without a completion; ``charged``: the provider may have charged it."""
    return _charge(requested, requested.reserved_microusd if charged else 0)


def charge_fields(charge: Charged) -> dict[str, Any]:
    """Return the fields that ``charge`` was built with, for the event of the attempt's outcome."""
    return {name: getattr(charge, name) for name in charge.model_fields_set}


def _charge(requested: ModelRequested, cost_microusd: int, **more: Any) -> Charged:
    return Charged(
        turn=requested.turn,
        attempt=requested.attempt,
        model=requested.model,
        cost_microusd=cost_microusd,
        price_version=requested.price_version,
        **more,
    )


def _used(tokens: TokenCounts | None) -> dict[str, int]:
    if tokens is None:
        return {}
    long_lived = {"cache_write_1h_tokens": tokens.cache_write_1h} if tokens.cache_write_1h else {}
    return {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write,
    } | long_lived
