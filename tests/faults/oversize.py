"""Replies of a model, requests and answers of people that exceed every bound."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from localcloud.converse.source import Reply
from tests.faults.plan import Plan
from tests.faults.world import World

Content = list[Any]


class Oversize(Plan):
    """In its turn number so the model says too much.

    Its bill stays honest: what was added counts as the few tokens that it may say at most, in this turn's
    output and in every later turn's input, and not by its length.
    """

    #: What the added text counts as. A provider never makes more than ``maxTokens``.
    TOKENS = 100

    def __init__(self, turn: int, swell: Callable[[Content], Content]) -> None:
        self._turn, self._swell, self.happened = turn, swell, False
        self._excess = 0

    def replying(self, world: World, turn: int, reply: Reply) -> Reply:
        body, usage = dict(reply.body), dict(reply.body["usage"])
        if turn == self._turn:
            self.happened = True
            content = list(body["output"]["message"]["content"])
            swollen = self._swell(content)
            self._excess = (len(json.dumps(swollen)) - len(json.dumps(content))) // 4 - self.TOKENS
            body["output"] = {"message": {"role": "assistant", "content": swollen}}
            usage["outputTokens"] += self.TOKENS
        elif turn > self._turn:
            usage["inputTokens"] = max(self.TOKENS, usage["inputTokens"] - max(0, self._excess))
        return Reply(body | {"usage": usage}, reply.wait_s)


def noise(size: int) -> str:
    """Return text of that many bytes that does not compress to nothing."""
    return "".join(hashlib.sha256(str(part).encode()).hexdigest() for part in range(size // 64 + 1))[:size]


def _long_text(content: Content) -> Content:
    return [{"text": noise(1024 * 1024)}, *content]


def _with_arguments(content: Content, more: Mapping[str, Any]) -> Content:
    return [
        {"toolUse": {**block["toolUse"], "input": {**block["toolUse"]["input"], **more}}}
        if "toolUse" in block
        else block
        for block in content
    ]


def _long_arguments(content: Content) -> Content:
    return _with_arguments(content, {"more": noise(200_000)})


def _deep_arguments(content: Content) -> Content:
    deep: Any = 0
    for _ in range(400):
        deep = [deep]
    return _with_arguments(content, {"deep": deep})


def _many_calls(content: Content) -> Content:
    return [block for block in content if "toolUse" in block] * 60 or content


OVERSIZE: dict[str, Callable[[Content], Content]] = {
    "a text of 1 MiB": _long_text,
    "arguments of 200 KB": _long_arguments,
    "arguments 400 deep": _deep_arguments,
    "60 times the calls": _many_calls,
}


class LongRequest(Plan):
    """Whoever sends the request sends far too much of it."""

    def __init__(self, swell: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._swell, self.happened = swell, False

    def asking(self, request: dict[str, Any]) -> dict[str, Any]:
        self.happened = True
        return self._swell(request)


def _long_context(request: dict[str, Any]) -> dict[str, Any]:
    return {**request, "context": {**request["context"], "more": noise(300_000)}}


LONG_REQUESTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a text of 300 KB": lambda request: {**request, "text": request["text"] + noise(300_000)},
    "a context of 300 KB": _long_context,
}
#: What people say at length, by what they are asked for.
AT_LENGTH: dict[str, Any] = {
    "approve": {"approve": True, "comment": noise(300_000)},
    "decision": {"decision": {"kind": "answer", "text": noise(300_000)}},
    "reply": {"reply": "O-1002. " + noise(300_000)},
}
