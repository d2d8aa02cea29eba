"""A source that refuses what Bedrock refuses, before its model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.converse.rules import refused
from localcloud.converse.source import ModelError, Reply, Source


class Strict:
    """``source`` behind Bedrock's checks (``localcloud.converse.rules``)."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        """Return the source's reply. Raises ``ModelError`` with Bedrock's code and words for a request it refuses."""
        if (refusal := refused(request, model_id)) is not None:
            raise ModelError(refusal.rule.code, refusal.message)
        return self.source.reply(request, model_id)
