"""The usage and the service tier that a Converse reply reports, and how much of it can be right. Untrusted; pure.

::

    a part is no count, or fewer tokens than the texts can have   no usage: the reservation stays charged
    (a reply that says, thinks or calls anything has one)
    more prompt or output than the attempt could have used        charged at the bound of that part
    anything else                                                 charged as reported

What cannot be right is named (``why``), recorded with the charge and counted (``UsageDisbelieved``).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ballast.contracts.wire import without_surrogates
from ballast.log.events import ModelRequested
from ballast.money import TokenCounts
from functions.agent.spoken import cited_text

#: More tokens than any provider counts in one reply are no count.
_MOST_TOKENS = 10**12
#: Text has no more bytes a token than that: up to 17 were measured, for a text of nothing but the longest words that
#: are one token in the vocabularies of today. A single token may have 61, so that few bytes prove only that there is
#: one. Of one mark repeated (spaces, dashes, underscores) a token may have 128 bytes: a run of it counts as a few, with
#: as much room again, so that the longest run has a token for 256.
_MOST_BYTES, _ONE_TOKEN_BYTES = 24, 64
_RUN = re.compile(r"(\r\n|[\W_])\1{7,}")
_RUN_MARKS, _RUN_BYTES = 8, 256
#: A prompt is rendered by the provider: of a short one, that is wrapping and schemas for the most part, little is
#: certain. The next prompt's bound asks for more (``request``).
_SHORT_PROMPT_BYTES, _MOST_SHORT_PROMPT_BYTES = 4_096, 600
_NO_TEXT = frozenset(("reasoningContent", "image", "document", "video", "audio"))
# Two spellings were seen on the wire for each.
_CACHE_READ = ("cacheReadInputTokens", "cacheReadInputTokenCount")
_CACHE_WRITE = ("cacheWriteInputTokens", "cacheWriteInputTokenCount")


@dataclass(frozen=True)
class Weighed:
    """What is believed of a reported usage.

    tokens  what is charged, no part above its bound; None where the reservation is
    why     what cannot be right, in words of ours; None where nothing is against it
    """

    tokens: TokenCounts | None
    why: str | None = None


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


def read_usage(usage: Any, blocks: Sequence[Mapping[str, Any]]) -> Weighed:
    """Return the usage of a reply with the content ``blocks``, held against the reply alone.

    A reply without any usage has none, and nothing is wrong with it.
    """
    tokens = tokens_of(usage)
    if tokens is None:
        return Weighed(None, why="a part of the usage is no count" if usage else None)
    made = [part for block in blocks for part in _made(block)]
    size = sum(_bytes(part) for part in made)
    calls = sum(isinstance(block.get("toolUse"), Mapping) for block in blocks)  # each has a token for its own
    least = max(int(bool(made)), calls, _least(size - _ONE_TOKEN_BYTES, _MOST_BYTES))
    if tokens.output < least:
        called = f" and {calls} calls" if calls else ""
        return Weighed(None, why=f"{tokens.output} output tokens for {size} bytes of text{called}")
    return Weighed(tokens)


def _made(block: Mapping[str, Any]) -> list[str]:
    """Return the texts of a block that the model made: words, reasoning and calls, with their names.

    Reasoning that is encrypted has as many bytes as it likes; that there is some is all that it says.
    """
    thought, use, guarded = block.get("reasoningContent"), block.get("toolUse"), block.get("guardContent")
    told = thought.get("reasoningText") if isinstance(thought, Mapping) else None
    shown = guarded.get("text") if isinstance(guarded, Mapping) else None
    texts = [block.get("text"), cited_text(block), *(_text_of(one) for one in (told, shown))]
    # A text that is none, as a list of them, is as long as it is written.
    made = [text for text in (one if isinstance(one, str) else str(one) for one in texts if one) if text.strip()]
    if isinstance(thought, Mapping) and thought.get("redactedContent"):
        made.append("-")
    if isinstance(use, Mapping):
        made += [str(use.get("name") or "-"), "" if use.get("input") is None else str(use["input"])]
    return made


def _text_of(part: Any) -> Any:
    return part.get("text") if isinstance(part, Mapping) else part


def _bytes(text: str) -> int:
    """Return the bytes of a text in UTF-8, a run of one mark counted as a few of it."""
    runs = [(len(_utf8(run[1])), len(_utf8(run.group()))) for run in _RUN.finditer(text)]
    counted = sum(min(whole, max(_RUN_MARKS * mark, whole * _MOST_BYTES // _RUN_BYTES)) for mark, whole in runs)
    return len(_utf8(text)) - sum(whole for _, whole in runs) + counted


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def weighed(usage: Weighed, requested: ModelRequested) -> Weighed:
    """Return ``usage`` held against its attempt's ``model.requested`` as well.

    What the attempt says nothing of is no bound: an older version wrote it.
    """
    tokens, sent = usage.tokens, requested.sent_bytes
    if tokens is None:
        return usage
    short, long = _least(sent, _MOST_SHORT_PROMPT_BYTES), _least(sent - _SHORT_PROMPT_BYTES, _MOST_BYTES)
    if tokens.prompt < max(short, long):
        return Weighed(None, why=f"{tokens.prompt} prompt tokens for {sent} bytes of prompt")
    why = []
    prompt_bound, output_bound = requested.prompt_bound, requested.max_tokens or None
    if prompt_bound is not None and tokens.prompt > prompt_bound:
        why.append(f"{tokens.prompt} prompt tokens where {prompt_bound} are possible")
        tokens = _at_most(tokens, prompt_bound)
    if output_bound is not None and tokens.output > output_bound:
        why.append(f"{tokens.output} output tokens where {output_bound} were asked for")
        tokens = replace(tokens, output=output_bound)
    return Weighed(tokens, "; ".join(why) or None)


def _at_most(tokens: TokenCounts, prompt: int) -> TokenCounts:
    """Return ``tokens`` with so many of the prompt's, those of the dearest classes first."""
    kept, left = {}, prompt
    for name in ("cache_write_1h", "cache_write_5m", "input", "cache_read"):
        kept[name] = min(getattr(tokens, name), left)
        left -= kept[name]
    return TokenCounts(output=tokens.output, **kept)


def sent_bytes(system: Any, tools: Any, messages: Sequence[Mapping[str, Any]], *, before: int = 0) -> int:
    """Return the bytes of a prompt that every provider counts as text.

    Not earlier reasoning, which some leave out, nor pictures and documents, which none counts by their bytes. A run
    of one mark counts as a few of it, as tokenizers count it. ``before``: the ``messages_bytes`` of earlier messages.
    """
    listed = before + messages_bytes(messages)
    return _bytes(_json([system, tools, []])) + max(0, listed - len(","))


def messages_bytes(messages: Iterable[Mapping[str, Any]]) -> int:
    """Return the part of ``sent_bytes`` that messages have, each with the comma behind it."""
    contents = (message["content"] for message in messages if isinstance(message.get("content"), list))
    told = ([block for block in blocks if not _NO_TEXT & block.keys()] for blocks in contents)
    return sum(_bytes(_json(one)) + len(",") for one in told)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def tier_of(reply: Mapping[str, Any]) -> str | None:
    """Return ``serviceTier.type`` as it was sent; None where the reply has none."""
    tier = reply.get("serviceTier")
    kind = tier.get("type") if isinstance(tier, Mapping) else None
    return None if kind is None else without_surrogates(str(kind)[:64])


def _least(size: int, most_bytes: int) -> int:
    """Return how many tokens ``size`` bytes of text have at least, of ``most_bytes`` each."""
    return max(0, -(-size // most_bytes))


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
