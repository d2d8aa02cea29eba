"""A model behind Bedrock's checks and Bedrock's prompt cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ballast.models.catalog import Catalog
from ballast.runtime import utc_now
from localcloud.converse.asked import Place, place_of, signature_of
from localcloud.converse.cache import PromptCache
from localcloud.converse.rules import platform_models, refused
from localcloud.converse.source import ModelError, Reply, Source

LOG = logging.getLogger(__name__)


class Strict:
    """``source``, asked only for what Bedrock would take, and billed as Bedrock bills.

    models  the cards; the platform's own by default
    cache   the prompt cache; by default one that ages by the real time

    A usage that the source estimated is replaced where the request has cache points; one that it states is kept.
    """

    def __init__(self, source: Source, *, models: Catalog | None = None, cache: PromptCache | None = None) -> None:
        self.source = source
        self._models = models or platform_models()
        self._cache = cache or PromptCache(utc_now)
        self._issued: dict[str, str] = {}
        self._behind: dict[str, set[Place]] = {}

    @classmethod
    def of(cls, source: Source, *, models: Catalog | None = None, clock: Callable[[], datetime] = utc_now) -> Strict:
        """Return ``source`` behind the checks; one that is already is returned unchanged."""
        return source if isinstance(source, Strict) else cls(source, models=models, cache=PromptCache(clock))

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        """Return the source's reply. Raises ``ModelError`` with Bedrock's code and words for a request it refuses."""
        refusal = refused(request, model_id, self._models, self._issued, self._behind)
        if refusal is not None:
            rule = refusal.rule
            LOG.warning("%s: refused as Bedrock does: %s (%s; %s)", model_id, refusal.message, rule.name, rule.source)
            raise ModelError(refusal.rule.code, refusal.message)
        reply = self.source.reply(request, model_id)
        card = self._models.card(model_id) if self._models.knows(model_id) else None
        for signature, before in signatures(reply.body):
            self._issued[signature] = card.id if card is not None else model_id
            said = {"role": "assistant", "content": before}
            self._behind.setdefault(signature, set()).add(place_of(request, [*request.get("messages", ()), said]))
        if not reply.estimated:
            return reply
        points = card.cache if card is not None else None
        looks_back = card is not None and card.vendor == "Anthropic"
        used = self._cache.used(request, model_id, points, looks_back=looks_back)
        if not used.has_points:
            return reply
        usage = used.as_reported(reply.body["usage"]["outputTokens"])
        return replace(reply, body={**reply.body, "usage": usage})


def signatures(reply: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the signatures of the reasoning in a reply, each with the blocks before it."""
    message = (reply.get("output") or {}).get("message") or {}
    blocks = message.get("content") or []
    for at, block in enumerate(blocks):
        signature = signature_of(block) if isinstance(block, Mapping) else None
        if signature is not None:
            yield signature, list(blocks[:at])
