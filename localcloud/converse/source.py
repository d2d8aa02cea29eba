"""The interface of a model behind the double: a Converse request in, a reply out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: Bedrock's errors and the HTTP status of each (API reference of ``Converse``).
STATUS = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}


class ModelError(Exception):
    """An error that Bedrock sends, after ``wait_s`` seconds. ``code`` is one of ``STATUS``."""

    def __init__(self, code: str, message: str, wait_s: float = 0.0) -> None:
        if code not in STATUS:
            raise ValueError(f"Bedrock has no error {code}; it has {', '.join(STATUS)}.")
        super().__init__(message)
        self.code, self.message, self.wait_s = code, message, wait_s


@dataclass(frozen=True)
class Reply:
    """A response of Converse, as JSON: output, stopReason, usage, metrics; sent after ``wait_s`` seconds.

    estimated  whether the usage is an estimate of ``said``, and not what a model or a script stated
    """

    body: Mapping[str, Any]
    wait_s: float = 0.0
    estimated: bool = False


class Source(Protocol):
    """A model."""

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        """Answer a Converse request (its JSON), or raise ``ModelError``. Called from many threads."""


@dataclass
class CallableModel:
    """A model for tests: a function from (request, model id) to a reply. ``requests`` records the requests."""

    answer: Callable[[Mapping[str, Any], str], Reply]
    requests: list[Mapping[str, Any]] = field(default_factory=list)

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        """Call the function."""
        self.requests.append(request)
        return self.answer(request, model_id)


def turns_taken(request: Mapping[str, Any]) -> int:
    """Return how many completions the conversation already has: the position in a script."""
    return sum(message.get("role") == "assistant" for message in request.get("messages", []))


def said(
    content: Sequence[Mapping[str, Any]],
    stop_reason: str,
    request: Mapping[str, Any],
    *,
    usage: Mapping[str, int] | None = None,
    latency_ms: int = 0,
) -> Reply:
    """Return ``content`` as a reply to ``request``; without ``usage``, estimate it from text lengths."""
    estimated = usage is None
    if usage is None:
        given = _tokens([request.get("system"), request.get("messages"), request.get("toolConfig")])
        made = _tokens(content)
        usage = {"inputTokens": given, "outputTokens": made, "totalTokens": given + made}
    return Reply(
        {
            "output": {"message": {"role": "assistant", "content": list(content)}},
            "stopReason": stop_reason,
            "usage": usage,
            "metrics": {"latencyMs": latency_ms},
        },
        wait_s=latency_ms / 1000,
        estimated=estimated,
    )


def _tokens(value: Any) -> int:
    """Return an estimate: four characters per token. No model's count, but deterministic."""
    return -(-len(json.dumps(value, ensure_ascii=False)) // 4)
