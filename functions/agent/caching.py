"""Cache points of a prompt: choose their places, and put them into the request. Pure.

::

    tools │ system │ user, model, user, …, model, user     the prompt of a turn, and the points in it
          ●        ●                     ●           ●
          └────────┴ other runs          │           └ the next turn reads up to here
                                         └ what the last turn wrote, where a model looks for it only at a point

A prefix is read only if its bytes are the same, so nothing before the newest message may change from turn to turn:
tools and system are those of the agent and the intent, messages are appended, names in JSON are sorted.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, islice, takewhile
from math import inf
from typing import Any

from ballast.attachments.prompt import kept_in
from ballast.contracts.wire import utf8_size
from ballast.folds.conversation import Prompt
from ballast.log.events import SentAs
from ballast.models.card import Cache, ModelCard
from ballast.playbook.first_prompt import LEAST_BYTES_A_TOKEN, PROVIDER_OVERHEAD_TOKENS, input_bound

#: Bytes that a token has at least, on average, in a prompt of text and JSON. A model that caches up to a number of
#: tokens gets points where there surely are no more.
_USUAL_BYTES_A_TOKEN = 3
_MESSAGE = "messages."
#: Claude on Bedrock refuses a point right after a text document.
_NOT_AFTER = "document"
#: Ends a message of results where a point may stand only after a text.
_GO_ON = {"text": "Continue."}
#: Bedrock's lifetime of a point that names none.
_USUAL_TTL = "5m"


def cache_points(prompt: Prompt, card: ModelCard, form: SentAs, *, goes_on: bool) -> tuple[str, ...]:
    """Return the parts of the prompt, sent in ``form``, that end with a cache point, in order.

    ``goes_on`` is false for the last turn that a run may have: it reads what earlier turns wrote, and nothing would
    read what it writes.
    """
    cache = card.cache
    if cache is None:
        return ()
    tools = utf8_size(prompt.tools) if prompt.tools is not None else 0
    head = tools + utf8_size(prompt.system)
    points = []
    if "tools" in cache.places and prompt.tools is not None and _may_be_cached(tools, cache):
        points.append("tools")
    if "system" in cache.places and card.system and prompt.system and _may_be_cached(head, cache):
        points.append("system")
    if "messages" in cache.places:
        points += [f"{_MESSAGE}{at}" for at in _messages(prompt, head, cache, form, goes_on=goes_on)]
    return tuple(points[-cache.most_points :])


def surely_cached(prompt: Prompt, counted: int, card: ModelCard, form: SentAs) -> bool:
    """Say whether the prefix before the last point surely had the tokens that the model caches.

    ``counted``: the prompt's tokens by the provider. A byte after the point is a token at most, and what the provider
    added stands anywhere. A file after the point is not bounded here.
    """
    points, cache = form.cache_points, card.cache
    if not points or cache is None:
        return False
    last, messages = points[-1], list(prompt.messages)
    after: list[Any] = [*messages, *([prompt.system] if last == "tools" else [])]
    if last.startswith(_MESSAGE):
        at = int(last.removeprefix(_MESSAGE))
        content = ending_in_text(messages[at]["content"], form)
        after = [content[_place(content, form) :], *messages[at + 1 :]]
    if any(True for _ in kept_in({"content": one} if isinstance(one, list) else one for one in after if one)):
        return False
    return counted - PROVIDER_OVERHEAD_TOKENS - input_bound(None, None, after) >= cache.least_tokens


def _may_be_cached(size: int, cache: Cache) -> bool:
    """Say whether a prefix of ``size`` bytes may have as many tokens as the model caches."""
    return size // LEAST_BYTES_A_TOKEN >= cache.least_tokens and size <= _most_bytes(cache)


def _most_bytes(cache: Cache) -> float:
    return inf if cache.most_tokens is None else cache.most_tokens * _USUAL_BYTES_A_TOKEN


def _messages(prompt: Prompt, head: int, cache: Cache, form: SentAs, *, goes_on: bool) -> list[int]:
    """Return the last two messages of the user that may end with a point, in order.

    All but the last one were written by earlier turns.
    """
    messages: Sequence[Mapping[str, Any]] = prompt.messages
    until = len(messages) if goes_on else len(messages) - 1
    if cache.most_tokens is not None:
        sizes = accumulate(map(utf8_size, messages[:until]), initial=head)
        until = sum(1 for _ in takewhile(lambda size: size <= _most_bytes(cache), sizes)) - 1
    fitting = (
        at
        for at in range(until - 1, -1, -1)
        if messages[at]["role"] == "user" and _place(ending_in_text(messages[at]["content"], form), form)
    )
    return sorted(islice(fitting, 2))


def ending_in_text(content: Sequence[Mapping[str, Any]], form: SentAs) -> list[Mapping[str, Any]]:
    """Return a message with a text at its end, if it has results and the model takes a point only after a text.

    The text is always the same, and stands there in each later request: without it no prefix beyond the first result
    could be cached.
    """
    wants = not form.after_results and form.text_beside_results and any("toolResult" in block for block in content)
    return [*content, _GO_ON] if wants and "text" not in content[-1] else list(content)


def _place(content: Sequence[Mapping[str, Any]], form: SentAs) -> int:
    """Return the number of blocks before the point of a message; 0 if it takes none."""
    if not form.after_results and not form.text_beside_results and any("toolResult" in block for block in content):
        return 0  # its texts are sent in the last result
    place = len(content)
    while place and (_NOT_AFTER in content[place - 1] if form.after_results else "text" not in content[place - 1]):
        place -= 1
    return place


def with_cache_points(request: dict[str, Any], form: SentAs) -> dict[str, Any]:
    """Return the request with the cache points of ``form``."""
    if not form.cache_points:
        return request
    lives = {} if form.cache_ttl in (None, _USUAL_TTL) else {"ttl": form.cache_ttl}
    point = {"cachePoint": {"type": "default", **lives}}
    made, messages = dict(request), list(request["messages"])
    for part in form.cache_points:
        if part == "tools":
            made["toolConfig"] = {**made["toolConfig"], "tools": [*made["toolConfig"]["tools"], point]}
        elif part == "system":
            made["system"] = [*made["system"], point]
        else:
            at = int(part.removeprefix(_MESSAGE))
            content = messages[at]["content"]
            place = _place(content, form)
            messages[at] = {**messages[at], "content": [*content[:place], point, *content[place:]]}
    return {**made, "messages": messages}
