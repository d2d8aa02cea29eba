"""Bedrock's prompt cache, as far as it shows in the usage of a reply. Pure but for the entries it keeps.

::

    prompt: tools, system, messages; cut at each cache point (and, where the model looks back, at each block before it)
             └── the longest prefix that is kept: cacheReadInputTokens
                 └── from there to the last point: cacheWriteInputTokens, by the point's lifetime in cacheDetails
                     └── the rest: inputTokens

- An entry is one model's, and holds the exact bytes of a prefix. A point whose prefix is shorter than the model's
  minimum is no error: nothing is cached.
- An entry lives for its point's lifetime from its last use: a hit renews it.
- Tokens are estimated (``tokens_of``), by the same rule for every part, so the parts add up.

Source: docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html (order of the parts, minimum, lifetime, hit,
lookback of about 20 blocks for Claude); strands-agents/harness-sdk#3677 and crmne/ruby_llm#832 (measured: expiry, and
that ``inputTokens`` is the rest alone).
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from ballast.attachments.files import WrongContent, measured
from localcloud.converse.images import image_size

#: Blocks before a point at which Claude looks for an entry.
LOOKBACK_BLOCKS = 20
_BYTES_A_TOKEN = 4
#: Claude's estimate of an image (platform.claude.com/docs/en/build-with-claude/vision), and its most for one.
_PIXELS_A_TOKEN, _MOST_IMAGE_TOKENS = 750, 1_600
_FILES = frozenset(("image", "document"))
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm\b(?:(?!endobj)[\s\S])*?(?<!end)stream\r?\n")
#: Bytes that are unpacked of one file at most.
_MOST_UNPACKED = 64 * 1024 * 1024
_LIVES = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1)}


class CachePoints(Protocol):
    """What a model card says of cache points (``ballast.models.card.Cache``)."""

    @property
    def least_tokens(self) -> int:
        """Tokens that must stand before a point."""

    @property
    def most_tokens(self) -> int | None:
        """Tokens that are cached at most; None for no limit."""

    @property
    def ttls(self) -> Sequence[str]:
        """Lifetimes of points; the first one is that of a point that names none."""


@dataclass(frozen=True)
class Usage:
    """Tokens of a prompt: read from the cache, written to it by lifetime, and the rest.

    has_points  whether the prompt has cache points at all
    """

    input: int
    read: int = 0
    written: tuple[tuple[str, int], ...] = ()
    has_points: bool = True

    def as_reported(self, output: int) -> dict[str, Any]:
        """Return Converse's ``usage``."""
        written = sum(tokens for _, tokens in self.written)
        usage: dict[str, Any] = {
            "inputTokens": self.input,
            "outputTokens": output,
            "totalTokens": self.input + self.read + written + output,
            "cacheReadInputTokens": self.read,
            "cacheWriteInputTokens": written,
        }
        if self.written:
            usage["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in self.written]
        return usage


@dataclass(frozen=True)
class _Cut:
    """A place in a prompt. ``ttl``: the lifetime of the point there; None where there is none."""

    digest: bytes
    tokens: int
    ttl: str | None


class PromptCache:
    """The entries of one account and region.

    clock     the time; entries age by it
    miss_one_in, seed   lets a look miss at random, one time in so many, as an overloaded cache does; 0 is never
    """

    def __init__(self, clock: Callable[[], datetime], *, miss_one_in: int = 0, seed: int = 0) -> None:
        self._clock, self._miss_one_in = clock, miss_one_in
        self._random = random.Random(seed)  # noqa: S311 - which look misses is no secret
        self._until: dict[tuple[str, bytes], tuple[datetime, timedelta]] = {}
        self._one_at_a_time = threading.Lock()

    def used(self, request: Mapping[str, Any], model_id: str, points: CachePoints | None, *, looks_back: bool) -> Usage:
        """Return the usage of a request that is taken, and keep what its cache points ask for.

        points      of the model's card; None for a model without
        looks_back  whether the model also tries the blocks before a point
        """
        cuts = list(_cuts(request, points))
        total = cuts[-1].tokens
        at = [index for index, cut in enumerate(cuts) if cut.ttl is not None]
        if points is None or not at:
            return Usage(input=total, has_points=bool(at))
        with self._one_at_a_time:
            now = self._clock()
            read = self._longest(model_id, cuts, at, looks_back, now)
            written = self._write(model_id, [cuts[index] for index in at], read, points, now)
        return Usage(total - read - sum(tokens for _, tokens in written), read, written)

    def _longest(self, model_id: str, cuts: Sequence[_Cut], at: Sequence[int], looks_back: bool, now: datetime) -> int:
        """Return the tokens of the longest prefix that is kept, and renew it and what it contains."""
        if self._miss_one_in and self._random.randrange(self._miss_one_in) == 0:
            return 0
        for index in reversed(at):
            for place in range(index, max(-1, index - (LOOKBACK_BLOCKS if looks_back else 0) - 1), -1):
                key = (model_id, cuts[place].digest)
                until, life = self._until.get(key, (now, timedelta()))
                if until > now:
                    self._until[key] = (now + life, life)
                    return cuts[place].tokens
        return 0

    def _write(
        self, model_id: str, points: Sequence[_Cut], read: int, takes: CachePoints, now: datetime
    ) -> tuple[tuple[str, int], ...]:
        written: dict[str, int] = {}
        done = read
        for cut in points:
            if cut.tokens < takes.least_tokens or (takes.most_tokens is not None and cut.tokens > takes.most_tokens):
                continue
            life = _LIVES[cut.ttl or takes.ttls[0]]
            self._until[(model_id, cut.digest)] = (now + life, life)
            if cut.tokens > done:
                written[cut.ttl or ""] = written.get(cut.ttl or "", 0) + cut.tokens - done
                done = cut.tokens
        return tuple(written.items())


def _cuts(request: Mapping[str, Any], points: CachePoints | None) -> Iterator[_Cut]:
    """Yield the prompt's places in order: after each block, with the point that stands there. The last is its end."""
    made, tokens = hashlib.sha256(), 0
    pending: _Cut | None = None
    for part, block in _parts(request):
        if "cachePoint" in block:
            ttl = block["cachePoint"].get("ttl") or (points.ttls[0] if points is not None else "5m")
            pending = _Cut(made.digest(), tokens, ttl)
            continue
        if pending is not None:
            yield pending
        text = canonical_bytes(block)
        made.update(part.encode() + len(text).to_bytes(8, "big") + text)
        tokens += tokens_in(block)
        pending = _Cut(made.digest(), tokens, None)
    yield pending or _Cut(made.digest(), 0, None)


def _parts(request: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the blocks in the order of the prompt, each with what it belongs to."""
    for tool in (request.get("toolConfig") or {}).get("tools") or ():
        yield "tool", tool
    for block in request.get("system") or ():
        yield "system", block
    for at, message in enumerate(request.get("messages") or ()):
        for block in message["content"]:
            yield f"{at}:{message['role']}", block


def canonical_bytes(value: Any) -> bytes:
    """Return a part of a request as it is compared: its JSON, in the order in which it was sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def tokens_in(block: Mapping[str, Any]) -> int:
    """Return the estimate of a block: an image by its pixels, a document by its text, anything else by its bytes."""
    files = 0
    bare = block
    if "toolResult" in block:
        content = block["toolResult"]["content"]
        texts = [one for one in content if not _FILES & one.keys()]
        files = sum(_file_tokens(one) for one in content if _FILES & one.keys())
        bare = {"toolResult": {**block["toolResult"], "content": texts}}
    elif _FILES & block.keys():
        return _file_tokens(block)
    return files + tokens_of(canonical_bytes(bare))


def _file_tokens(block: Mapping[str, Any]) -> int:
    ((kind, file),) = block.items()
    content = base64.b64decode(file["source"].get("bytes", ""))
    if kind == "image":
        width, height = image_size(content) or (0, 0)
        return min(-(-width * height // _PIXELS_A_TOKEN), _MOST_IMAGE_TOKENS)
    try:
        found = measured(file.get("format", "txt"), content)
    except WrongContent:
        return 0
    text, pages = int(found.get("most_text", len(content))), int(found.get("pages", 0))
    if content.startswith(b"%PDF-"):
        pages = pdf_pages(content)
    return -(-text // _BYTES_A_TOKEN) + pages * _MOST_IMAGE_TOKENS


def pdf_pages(content: bytes) -> int:
    """Count a PDF's page objects, in the file itself and in its object streams (ISO 32000-1, 7.5.7 and 7.7.3.3).

    A stream is unpacked whole, so a marker is found wherever a reader in parts would cut it.
    """
    pages, left = len(_PAGE.findall(content)), _MOST_UNPACKED
    for stream in _OBJECT_STREAM.finditer(content):
        end = content.find(b"endstream", stream.end())
        packed = content[stream.end() : end if end >= 0 else len(content)]
        with suppress(zlib.error):
            text = zlib.decompressobj().decompress(packed, max(1, left))
            left -= len(text)
            pages += len(_PAGE.findall(text))
    return pages


def tokens_of(text: bytes) -> int:
    """Return an estimate: a token for each four bytes of JSON. No model's count, but the same for the same bytes."""
    return -(-len(text) // _BYTES_A_TOKEN)
