"""The usage and the service tier that a Converse reply reports. Untrusted; pure.

A usage of which any part is no count is not used at all: the attempt's reservation stays charged. Neither is one
with far fewer output tokens than the reply can have: the next prompt's bound would be built on it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ballast.contracts.wire import plain
from ballast.money import TokenCounts

#: More tokens than any provider counts in one reply are no count.
_MOST_TOKENS = 10**12
#: A token of any vocabulary has fewer characters on average, by far; and a short reply proves nothing.
_MOST_CHARS, _FREE_CHARS = 64, 1_024
# Two spellings were seen on the wire for each.
_CACHE_READ = ("cacheReadInputTokens", "cacheReadInputTokenCount")
_CACHE_WRITE = ("cacheWriteInputTokens", "cacheWriteInputTokenCount")


def tokens_of(usage: Any) -> TokenCounts | None:
    """Return the reported tokens; None where input or output is missing, or anything that is there is no count."""
    if not isinstance(usage, Mapping):
        return None
    counts = [_largest(usage, ("inputTokens",)), _largest(usage, ("outputTokens",))]
    # An absent cache count is none; so is null, as gateways write it.
    counts += [_largest(usage, names, absent=0) for names in (_CACHE_READ, _CACHE_WRITE)]
    long_lived, short_lived = _by_ttl(usage.get("cacheDetails"))
    given, made, read, written = counts
    if given is None or made is None or read is None or written is None or long_lived is None or short_lived is None:
        return None
    # The details say how the sum divides; where they say more than the sum, they are believed.
    return TokenCounts(
        input=given,
        output=made,
        cache_read=read,
        cache_write_5m=max(short_lived, written - long_lived),
        cache_write_1h=long_lived,
    )


def believed(tokens: TokenCounts | None, blocks: Sequence[Mapping[str, Any]]) -> TokenCounts | None:
    """Return ``tokens``, or None where the text and calls in ``blocks`` are more than so many tokens can hold."""
    if tokens is None:
        return None
    made = [block.get("text") for block in blocks]
    made += [use.get("input") for block in blocks if isinstance(use := block.get("toolUse"), Mapping)]
    size = sum(len(str(one)) for one in made if one is not None)
    return tokens if size <= _MOST_CHARS * tokens.output + _FREE_CHARS else None


def tier_of(reply: Mapping[str, Any]) -> str | None:
    """Return ``serviceTier.type`` as it was sent; None where the reply has none."""
    tier = reply.get("serviceTier")
    kind = tier.get("type") if isinstance(tier, Mapping) else None
    return None if kind is None else plain(str(kind)[:64])


def _largest(usage: Mapping[str, Any], names: tuple[str, ...], *, absent: int | None = None) -> int | None:
    values = [usage[name] for name in names if usage.get(name) is not None]
    if not values:
        return absent
    return max(values) if all(_is_count(value) for value in values) else None


def _by_ttl(details: Any) -> tuple[int, int] | tuple[None, None]:
    """Return the tokens written for an hour and those for five minutes; an unknown time counts as the longer one."""
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
