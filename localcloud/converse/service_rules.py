"""Rules of the service itself for a Converse request, whatever the model: form, conversation, tools, files."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from localcloud.converse.asked import Asked, Rule, decoded_size
from localcloud.converse.form import breaches, refusal_of
from localcloud.converse.images import image_size

_API = "docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_"
_GUIDE = "docs.aws.amazon.com/bedrock/latest/userguide/"


# The service: form and model


def _form(asked: Asked) -> Iterator[str]:
    if found := breaches(asked.request, asked.model_id):
        yield refusal_of(found)


#: Providers of Bedrock's model ids.
_PROVIDERS = (
    "ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot(?:ai)?|nvidia|openai|qwen|stability"
    "|twelvelabs|writer|xai|zai"
)
_MODEL_ID = re.compile(rf"(?:[a-z-]{{2,8}}\.)?(?:{_PROVIDERS})\.[a-z0-9][a-z0-9.:-]*", re.IGNORECASE)


def _unknown_model(asked: Asked) -> Iterator[str]:
    if asked.card is None and not asked.model_id.startswith("arn:") and not _MODEL_ID.fullmatch(asked.model_id):
        yield "The provided model identifier is invalid."


# The conversation


def _starts_with_user(asked: Asked) -> Iterator[str]:
    if not asked.messages or asked.messages[0]["role"] == "assistant":
        yield (
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )


def _alternates(asked: Asked) -> Iterator[str]:
    if asked.card is not None and asked.card.consecutive_turns:
        return
    if any(one == other for one, other in pairwise(message["role"] for message in asked.messages)):
        yield (
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
            "between user and assistant roles and try again."
        )


def _empty_message(asked: Asked) -> Iterator[str]:
    for at, message in enumerate(asked.messages):
        if not message["content"]:
            yield (
                f"The content field in the Message object at messages.{at} is empty. "
                "Add a ContentBlock object to the content field and try again."
            )


def _blank_text(asked: Asked) -> Iterator[str]:
    for place, _, block in asked.blocks:
        if "text" in block and not block["text"].strip():
            yield (
                f"The text field in the ContentBlock object at {place} is blank. "
                "Add text to the text field, and try again."
            )


def _blank_system(asked: Asked) -> Iterator[str]:
    for at, block in enumerate(asked.request.get("system") or ()):
        if "text" in block and not block["text"].strip():
            yield (
                f"The text field in the SystemContentBlock object at system.{at} is blank. "
                "Add text to the text field, and try again."
            )


def _blank_result(asked: Asked) -> Iterator[str]:
    for place, _, result in asked.results:
        for index, part in enumerate(result["content"]):
            if "text" in part and not part["text"].strip():
                yield f"{place}.toolResult.content.{index}: text content blocks must contain non-whitespace text"


def _text_of_documents(asked: Asked) -> Iterator[str]:
    for message in asked.messages:
        blocks = message["content"]
        if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
            yield "A text block must be included when using documents."


# Calls and their results


def _tool_config(asked: Asked) -> Iterator[str]:
    if not asked.tools and (asked.calls or asked.results):
        yield "The toolConfig field must be defined when using toolUse and toolResult content blocks."


def _calls_by_the_model(asked: Asked) -> Iterator[str]:
    for place, role, _ in asked.calls:
        if role == "user":
            yield f"{place}: a toolUse block can only be in a message of the assistant."
    for at, message in enumerate(asked.messages):
        if message["role"] == "assistant" and asked.answered[at]:
            uses = {block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block}
            if not uses.issuperset(asked.answered[at]):
                yield f"messages.{at}.content: a toolResult block can only be in a message of the user."


def _repeated_results(asked: Asked) -> Iterator[str]:
    for at, ids in enumerate(asked.answered):
        if twice := _twice(ids):
            yield f"The toolResult blocks at messages.{at}.content contain duplicate Ids: {', '.join(twice)}"


def _unanswered_calls(asked: Asked) -> Iterator[str]:
    for at, (called, answered) in enumerate(zip(asked.called, asked.answered[1:], strict=False), start=1):
        if missing := [one for one in called if one not in answered]:
            yield f"Expected toolResult blocks at messages.{at}.content for the following Ids: {', '.join(missing)}"


def _orphaned_results(asked: Asked) -> Iterator[str]:
    for at, (called, answered) in enumerate(zip(((), *asked.called), asked.answered, strict=False)):
        if asked.messages[at]["role"] == "user" and len(answered) > len(called):
            yield (
                f"The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse blocks of "
                "previous turn."
            )


def _repeated_calls(asked: Asked) -> Iterator[str]:
    seen: set[str] = set()
    for place, _, use in asked.calls:
        if use["toolUseId"] in seen:
            yield f"{place}: `tool_use` ids must be unique"
        seen.add(use["toolUseId"])


def _json_values(asked: Asked) -> Iterator[str]:
    """Yield what is JSON, but no object: arguments, results, schemas."""
    for place, _, use in asked.calls:
        yield from _no_object(f"{place}.toolUse.input", use["input"])
    for place, _, result in asked.results:
        for index, part in enumerate(result["content"]):
            if "json" in part:
                yield from _no_object(f"{place}.toolResult.content.{index}.json", part["json"])
    for at, spec in asked.specs:
        yield from _no_object(f"toolConfig.tools.{at}.toolSpec.inputSchema.json", spec["inputSchema"]["json"])


def _no_object(place: str, value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"The format of the value at {place} is invalid. Provide a json object for the field and try again."


def _empty_error(asked: Asked) -> Iterator[str]:
    for place, _, result in asked.results:
        if result.get("status") == "error" and not result["content"]:
            yield f"The content field at {place}.toolResult cannot be empty when status value is error."


# Tools


def _schema_type(asked: Asked) -> Iterator[str]:
    for at, spec in asked.specs:
        if spec["inputSchema"]["json"].get("type") != "object":
            place = f"toolConfig.tools.{at}.toolSpec.inputSchema.json.type"
            yield f"The value at {place} must be one of the following: object."


def _tool_names(asked: Asked) -> Iterator[str]:
    if _twice([spec["name"] for _, spec in asked.specs]):
        yield "tools: Tool names must be unique."


def _no_tool(asked: Asked) -> Iterator[str]:
    if asked.tools and not any("toolSpec" in tool or "systemTool" in tool for tool in asked.tools):
        yield "toolConfig.tools has cache points and no tool."


def _chosen_tool(asked: Asked) -> Iterator[str]:
    chosen = asked.tool_choice.get("tool", {}).get("name")
    if chosen is not None and chosen not in [spec["name"] for _, spec in asked.specs]:
        yield f"Tool '{chosen}' not found in provided tools"


# Documents, pictures and the rest

_NAME = re.compile(r"(?!.*  )[a-zA-Z0-9_ ()\[\]-]+")
#: Files of one kind in a request, and bytes of each.
_MOST_FILES = {"image": (20, 3_932_160), "document": (5, 4_718_592)}
#: Pixels on a side of an image.
_MOST_PIXELS = 8_000


def _document_names(asked: Asked) -> Iterator[str]:
    for _, _, document in asked.files["document"]:
        if not _NAME.fullmatch(document["name"]):
            yield (
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
                "parentheses, and square brackets. The name can't contain more than one consecutive whitespace "
                "character. Check that the file name conforms to these restrictions and retry your request."
            )


def _names_of_documents_once(asked: Asked) -> Iterator[str]:
    if _twice([document["name"] for _, _, document in asked.files["document"]]):
        yield "Messages can't contain duplicate document names. Rename the document and retry your request."


def _count_of_files(asked: Asked) -> Iterator[str]:
    for kind, (most, _) in _MOST_FILES.items():
        if (count := len(asked.files[kind])) > most:
            yield f"The request has {count} {kind} blocks; at most {most} are allowed."


def _size_of_files(asked: Asked) -> Iterator[str]:
    for kind, (_, most) in _MOST_FILES.items():
        for place, _, file in asked.files[kind]:
            if decoded_size(file["source"].get("bytes", "")) > most:
                yield f"The {kind} at {place} has more than {most} bytes."


def _content_of_images(asked: Asked) -> Iterator[str]:
    for _, _, image in asked.files["image"]:
        # A picture in another of the formats is taken (recorded exchange 14).
        if "bytes" in image["source"] and image_size(base64.b64decode(image["source"]["bytes"])) is None:
            yield "The provided image does not match the specified image format."


def _pixels_of_images(asked: Asked) -> Iterator[str]:
    for place, _, image in asked.files["image"]:
        size = image_size(base64.b64decode(image["source"].get("bytes", "")))
        if size is not None and max(size) > _MOST_PIXELS:
            most = f"exceed max allowed size: {_MOST_PIXELS} pixels"
            yield f"{place}.image.source.bytes: At least one of the image dimensions {most}"


def _files_of_the_model(asked: Asked) -> Iterator[str]:
    for kind in _MOST_FILES:
        for place, role, _ in asked.files[kind]:
            if role == "assistant" and ".toolResult" not in place:
                yield f"{place}: {kind} blocks can only be in a message of the user."


#: Blocks of each role beside those that both may have, and those that have a rule of their own.
_ONLY = {
    "user": ("audio", "video", "searchResult"),
    "assistant": ("reasoningContent", "citationsContent"),
}


def _whose_blocks(asked: Asked) -> Iterator[str]:
    for place, role, block in asked.blocks:
        for owner, kinds in _ONLY.items():
            if role != owner and (found := [kind for kind in kinds if kind in block]):
                yield f"{place}: {found[0]} blocks can only be in a message of the {owner}."


def _half_a_guardrail(asked: Asked) -> Iterator[str]:
    config = asked.request.get("guardrailConfig") or {}
    if bool(config.get("guardrailIdentifier")) != bool(config.get("guardrailVersion")):
        yield "guardrailConfig: guardrailIdentifier and guardrailVersion must be given together."


def _pointers(asked: Asked) -> Iterator[str]:
    for one in asked.request.get("additionalModelResponseFieldPaths") or ():
        if not one.startswith("/"):
            yield f"additionalModelResponseFieldPaths: {one} is not a JSON Pointer."


def _twice(values: Sequence[str]) -> list[str]:
    """Return the values that occur more than once, each once."""
    return [one for one in dict.fromkeys(values) if values.count(one) > 1]


SERVICE_RULES: tuple[Rule, ...] = (
    Rule("form", "genkit-ai/aws-bedrock-js-plugin#43, openclaw/openclaw#12949, maximhq/bifrost#6732", _form),
    Rule("unknown model", f"{_GUIDE}troubleshooting-api-error-codes.html; recorded exchange 11", _unknown_model),
    Rule("starts with the user", "elastic/kibana#246393, pydantic/pydantic-ai#6255", _starts_with_user),
    # By the model's card: newer Claudes take them (theopenco/llmgateway#3127). Their calls are still answered in the
    # very next message, since nobody has shown otherwise.
    Rule("roles alternate", "langchain-ai/langchain-aws#130, cline/cline#431, ShishirPatil/gorilla#881", _alternates),
    Rule("empty message", "theopenco/llmgateway#3127", _empty_message),
    Rule("blank text", "OpenHands/OpenHands#5339, LibreChat-AI/agents#501", _blank_text),
    Rule("blank system text", f"{_API}SystemContentBlock.html", _blank_system, words="described"),
    Rule("documents need a text", "archestra-ai/archestra#4220", _text_of_documents),
    Rule("blocks of calls need tools", "langgenius/dify#17545, vxcontrol/pentagi#196", _tool_config),
    Rule("who calls and who answers", f"{_GUIDE}tool-use-inference-call.html", _calls_by_the_model, words="described"),
    Rule("a call is answered once", "BerriAI/litellm#20048", _repeated_results),
    Rule("each call is answered", "agno-agi/agno#6698, camel-ai/camel#3954", _unanswered_calls),
    Rule("a result has its call", "Just-Curieous/Curie#16, pydantic/pydantic-ai#2327", _orphaned_results),
    Rule("arguments, results and schemas are objects", "vercel/ai#19023, aws/aws-sdk-js-v3#7330", _json_values),
    Rule(
        "an error says why",
        "aws-samples/sample-multi-agent-orchestration-chat-on-agentcore#15",
        _empty_error,
    ),
    Rule("a schema is of type object", "earendil-works/pi#8279, aaif-goose/goose#5064", _schema_type),
    Rule("a tool beside a cache point", f"{_API}ToolConfiguration.html", _no_tool, words="described"),
    Rule("document names", "vercel/ai#20365, aws-samples/generative-ai-use-cases#1671", _document_names),
    Rule("count of files", f"{_API}Message.html", _count_of_files, words="described"),
    Rule("a document's name is unique", "maximhq/bifrost#7003", _names_of_documents_once),
    Rule("size of files", f"{_API}Message.html", _size_of_files, words="described"),
    Rule("content of images", "boto/boto3#4415, NousResearch/hermes-agent#55429", _content_of_images, by_model=True),
    Rule(
        "pixels of images",
        f"{_API}Message.html; microsoft/vscode-copilot-chat#4688, anthropics/claude-code#5147",
        _pixels_of_images,
        by_model=True,
    ),
    Rule("whose files", f"{_API}Message.html", _files_of_the_model, words="described"),
    Rule(
        "whose blocks",
        f"{_API}ContentBlock.html",
        _whose_blocks,
        words="described",
    ),
    Rule("a whole guardrail", f"{_API}GuardrailConfiguration.html", _half_a_guardrail, words="described"),
    Rule("JSON Pointers", f"{_API}Converse.html", _pointers, words="described"),
    Rule("tool names are unique", "tailcallhq/forgecode#892", _tool_names, by_model=True),
    Rule("a call's id is unique", "BerriAI/litellm#20049", _repeated_calls, words="described", by_model=True),
    Rule("a result's text is not blank", "NousResearch/hermes-agent#63983", _blank_result, by_model=True),
    Rule("the chosen tool exists", f"{_API}SpecificToolChoice.html", _chosen_tool, words="described", by_model=True),
)
