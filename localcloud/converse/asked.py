"""A request to the Converse double, and the form of a rule about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ballast.contracts.wire import canonical, sha256
from ballast.models.card import ModelCard

#: Beginnings of model ids that name an inference profile; any other id is called in its region.
PROFILES = ("us", "us-gov", "eu", "apac", "jp", "au", "in", "ca", "sa", "global")

#: Where reasoning was made: what stood before it, and the signature of the reasoning before it.
Place = tuple[str, str | None]


@dataclass(frozen=True)
class Asked:
    """A request (the body, as JSON) to a model.

    card    what is known of the model; None if it has no card
    issued  signatures of reasoning that models returned, each with the model's base id
    behind  the same signatures, each with the places (``place_of``) at which it was returned
    """

    request: Mapping[str, Any]
    model_id: str
    card: ModelCard | None = None
    issued: Mapping[str, str] = field(default_factory=dict)
    behind: Mapping[str, Collection[Place]] = field(default_factory=dict)

    @cached_property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation."""
        return self.request.get("messages") or ()

    @cached_property
    def blocks(self) -> tuple[tuple[str, str, Mapping[str, Any]], ...]:
        """Each block with its place (``messages.2.content.0``) and role, in order."""
        return tuple(
            (f"messages.{at}.content.{index}", message["role"], block)
            for at, message in enumerate(self.messages)
            for index, block in enumerate(message["content"])
        )

    @cached_property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The entries of ``toolConfig.tools``."""
        return (self.request.get("toolConfig") or {}).get("tools") or ()

    @cached_property
    def specs(self) -> tuple[tuple[int, Mapping[str, Any]], ...]:
        """The declarations of tools, each with its position among ``tools``."""
        return tuple((at, tool["toolSpec"]) for at, tool in enumerate(self.tools) if "toolSpec" in tool)

    @cached_property
    def tool_choice(self) -> Mapping[str, Any]:
        """``toolConfig.toolChoice``; empty if it is left out."""
        return (self.request.get("toolConfig") or {}).get("toolChoice") or {}

    @cached_property
    def inference(self) -> Mapping[str, Any]:
        """``inferenceConfig``; empty if it is left out."""
        return self.request.get("inferenceConfig") or {}

    @cached_property
    def thinking(self) -> Mapping[str, Any]:
        """Claude's ``thinking`` among the model's own fields; empty if it is left out or switched off."""
        asked = (self.request.get("additionalModelRequestFields") or {}).get("thinking")
        return asked if isinstance(asked, dict) and asked.get("type") != "disabled" else {}

    @cached_property
    def family(self) -> str:
        """The inference profile that the model's id names; "in-region" for none."""
        first = self.model_id.partition(".")[0]
        return first if first in PROFILES else "in-region"

    @cached_property
    def calls(self) -> tuple[tuple[str, str, Mapping[str, Any]], ...]:
        """Each ``toolUse`` with the place of its block and its role."""
        return tuple((place, role, block["toolUse"]) for place, role, block in self.blocks if "toolUse" in block)

    @cached_property
    def results(self) -> tuple[tuple[str, str, Mapping[str, Any]], ...]:
        """Each ``toolResult`` with the place of its block and its role."""
        return tuple((place, role, block["toolResult"]) for place, role, block in self.blocks if "toolResult" in block)

    @cached_property
    def answered(self) -> tuple[Sequence[str], ...]:
        """The ids of each message's results."""
        return tuple(
            [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]
            for message in self.messages
        )

    @cached_property
    def called(self) -> tuple[Sequence[str], ...]:
        """The ids of each message's calls that the next message must answer.

        A call that the provider made itself is answered in its own message.
        """
        return tuple(
            [
                block["toolUse"]["toolUseId"]
                for block in message["content"]
                if "toolUse" in block
                and block["toolUse"].get("type") != "server_tool_use"
                and block["toolUse"]["toolUseId"] not in own
            ]
            for message, own in zip(self.messages, self.answered, strict=True)
        )

    @cached_property
    def files(self) -> Mapping[str, Sequence[tuple[str, str, Mapping[str, Any]]]]:
        """Place, role and value of each ``image`` and ``document``, those in tool results included."""
        found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {"image": [], "document": []}
        for place, role, block in self.blocks:
            for kind in block.keys() & found.keys():
                found[kind].append((place, role, block[kind]))
        for place, role, result in self.results:
            for index, part in enumerate(result["content"]):
                for kind in part.keys() & found.keys():
                    found[kind].append((f"{place}.toolResult.content.{index}", role, part[kind]))
        return found

    @cached_property
    def points(self) -> tuple[tuple[str, str, str, int, Mapping[str, Any]], ...]:
        """The cache points in the order of the prompt.

        Each with its part (``messages``), Bedrock's pointer (``#/messages/2/content/1``), the place of the block before
        it as Claude names it (``messages.2.content.0``), and the number of blocks before it there.
        """
        sections: list[tuple[str, str, Iterable[Mapping[str, Any]]]] = [
            ("tools", "#/toolConfig/tools", self.tools),
            ("system", "#/system", self.request.get("system") or ()),
        ]
        sections += [("messages", f"#/messages/{at}/content", one["content"]) for at, one in enumerate(self.messages)]
        found = []
        for part, pointer, blocks in sections:
            before = 0
            for at, block in enumerate(blocks):
                if "cachePoint" in block:
                    claudes = f"{pointer[2:].replace('/', '.')}.{before - 1}"
                    found.append((part, f"{pointer}/{at}", claudes, before, block["cachePoint"]))
                else:
                    before += 1
        return tuple(found)


@dataclass(frozen=True)
class Rule:
    """Something that Bedrock refuses.

    source    a page of documentation, or a public report as ``owner/repository#number``
    check     yields the message of each breach
    words     quoted from a report, or ours, where the source only describes what is refused
    by_model  the model refuses it, not the service: Bedrock puts "The model returned the following errors" before it
    """

    name: str
    source: str
    check: Callable[[Asked], Iterable[str]]
    words: Literal["quoted", "described"] = "quoted"
    code: str = "ValidationException"
    by_model: bool = False


def place_of(request: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> Place:
    """Return the place behind ``messages`` in a request.

    It is the digest of its instructions, tools and messages, without cache points and reasoning, and the signature of
    the newest reasoning in them.
    """
    tools = (request.get("toolConfig") or {}).get("tools")
    parts: list[Any] = [_checked(request.get("system") or ()), _checked(tools or ())]
    said = [(one["role"], _checked(one["content"])) for one in messages]
    parts += [[role, content] for role, content in said if content]
    before = [signature_of(block) for one in messages for block in one["content"]]
    return sha256(canonical(parts)), next((one for one in reversed(before) if one is not None), None)


def _checked(blocks: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [block for block in blocks if not block.keys() & {"cachePoint", "reasoningContent"}]


def signature_of(block: Mapping[str, Any]) -> str | None:
    """Return the signature of a block of reasoning, or what is encrypted in it; None for any other block."""
    reasoning = block.get("reasoningContent")
    if not isinstance(reasoning, Mapping):
        return None
    text = reasoning.get("reasoningText")
    found = text.get("signature") if isinstance(text, Mapping) else reasoning.get("redactedContent")
    return found if isinstance(found, str) else None


def decoded_size(base64_text: str) -> int:
    """Return the bytes that a text in base64 stands for, without its padding."""
    return len(base64_text.rstrip("=")) * 3 // 4


def card_rule(name: str, source: str, check: Callable[[Asked, ModelCard], Iterable[str]], **more: Any) -> Rule:
    """Return a rule for the models that have a card."""
    return Rule(name, source, lambda asked: () if asked.card is None else check(asked, asked.card), **more)
