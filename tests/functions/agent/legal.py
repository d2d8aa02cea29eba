"""Rules of Converse for a request that its service checks beyond botocore's shapes."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


def complaints(request: Mapping[str, Any]) -> list[str]:
    """Return what Bedrock would refuse in ``request``; empty if it is legal."""
    try:
        json.dumps(request, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return ["half of a surrogate pair"]
    return list(_complaints(request["messages"]))


def _complaints(messages: list[dict[str, Any]]) -> Iterator[str]:
    roles = [message["role"] for message in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        yield f"roles do not alternate from user to user: {roles}"
    seen: set[str] = set()
    open_calls: list[str] = []
    for at, message in enumerate(messages):
        content = message["content"]
        if not content:
            yield f"message {at} is empty"
        yield from (f"message {at}: blank text" for block in content if "text" in block and not block["text"].strip())
        yield from (f"message {at}: a block with {len(block)} members" for block in content if len(block) != 1)
        if message["role"] == "user":
            results = [block["toolResult"]["toolUseId"] for block in content if "toolResult" in block]
            if results != open_calls:
                yield f"message {at} answers {results}, asked was {open_calls}"
            continue
        uses = [block["toolUse"] for block in content if "toolUse" in block]
        answered = {block["toolResult"]["toolUseId"] for block in content if "toolResult" in block}
        ours = [use["toolUseId"] for use in uses if use.get("type") != "server_tool_use"]
        open_calls = [one for one in ours if one not in answered]
        for use in uses:
            if not use["toolUseId"] or use["toolUseId"] in seen:
                yield f"message {at}: the id {use['toolUseId']!r} is empty or came before"
            if not _NAME.match(use["name"]):
                yield f"message {at}: the name {use['name']!r}"
            if not isinstance(use["input"], dict):
                yield f"message {at}: input is no object"
            seen.add(use["toolUseId"])
