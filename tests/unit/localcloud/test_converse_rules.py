"""The Converse double refuses in Bedrock's words, and takes what Bedrock took."""

import base64
import copy
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.attachments.files import WrongContent, measured
from localcloud.converse import ModelError, ScriptModel
from localcloud.converse.images import image_size
from localcloud.converse.rules import refused
from localcloud.converse.service_rules import SERVICE_RULES
from localcloud.converse.strict import Strict
from tests.support.sampling import examples

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "bedrock" / "converse-exchanges.jsonl"
MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
OLDER_MODEL = "anthropic.claude-3-5-sonnet-20240620-v1:0"
TOOL = {"name": "look_up", "description": "Look it up.", "inputSchema": {"json": {"type": "object", "properties": {}}}}
USE = {"toolUseId": "t1", "name": "look_up", "input": {"id": "O-1"}}
RESULT: dict[str, Any] = {"toolUseId": "t1", "content": [{"json": {"x": 1}}], "status": "success"}
#: A legal request with everything that a run of the agent has.
LEGAL: dict[str, Any] = {
    "system": [{"text": "Be brief."}],
    "messages": [
        {"role": "user", "content": [{"text": "Where is it?"}]},
        {"role": "assistant", "content": [{"text": "I look."}, {"toolUse": USE}]},
        {"role": "user", "content": [{"toolResult": RESULT}]},
    ],
    "toolConfig": {"tools": [{"toolSpec": TOOL}]},
    "inferenceConfig": {"maxTokens": 100, "temperature": 0},
}
FOUND = {"source": "s", "title": "t", "content": [{"text": "x"}], "citations": {"enabled": False}}
PDF = {"name": "report", "format": "pdf", "source": {"bytes": "JVBERi0="}}
#: One pixel.
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
PNG = {"format": "png", "source": {"bytes": _PIXEL}}


def _wide(width: int) -> str:
    """Return the header of a PNG of one row."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)
    packed = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return base64.b64encode(packed).decode()


Change = Callable[[dict[str, Any]], Any]


def changed(change: Change) -> dict[str, Any]:
    request = copy.deepcopy(LEGAL)
    change(request)
    return request


def message_of(request: dict[str, Any], model_id: str = MODEL) -> str:
    refusal = refused(request, model_id)
    return "" if refusal is None else refusal.message


def turn(role: str, *blocks: Any) -> Change:
    """Append a message."""
    return lambda one: one["messages"].append({"role": role, "content": list(blocks)})


def last(*blocks: Any) -> Change:
    """Append blocks to the last message."""
    return lambda one: one["messages"][-1]["content"].extend(blocks)


def both(*changes: Change) -> Change:
    return lambda one: [change(one) for change in changes]


def put(value: Any, *path: Any) -> Change:
    """Set the value at ``path``."""

    def change(request: dict[str, Any]) -> None:
        inner: Any = request
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value

    return change


def drop(*path: Any) -> Change:
    """Remove the value at ``path``."""

    def change(request: dict[str, Any]) -> None:
        inner: Any = request
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]

    return change


_CALL, _ANSWER = ("messages", 1, "content", 1, "toolUse"), ("messages", 2, "content", 0, "toolResult")
_SAID = "The model returned the following errors: "
#: By rule: a change that breaks it, and the message.
BROKEN: list[tuple[str, Change, str]] = [
    (
        "form",
        put([], "toolConfig", "tools"),
        "1 validation error detected: Value at 'toolConfig.tools' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
    ),
    (
        "form",
        put("look up", *_CALL, "name"),
        "1 validation error detected: Value 'look up' at 'messages.2.member.content.2.member.toolUse.name' failed to "
        "satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
    ),
    ("form", put("x" * 65, *_CALL, "toolUseId"), "Member must have length less than or equal to 64"),
    ("form", put("", *_CALL, "toolUseId"), "Member must have length greater than or equal to 1"),
    ("form", put("t/1", *_ANSWER, "toolUseId"), "pattern: [a-zA-Z0-9_.:-]+"),
    ("form", put(1.5, "inferenceConfig", "temperature"), "Member must have value less than or equal to 1"),
    ("form", put(0, "inferenceConfig", "maxTokens"), "Member must have value greater than or equal to 1"),
    ("form", put([""], "inferenceConfig", "stopSequences"), "Value '' at 'inferenceConfig.stopSequences.1.member'"),
    ("form", put({f"k{n}": "v" for n in range(17)}, "requestMetadata"), "Value at 'requestMetadata' failed"),
    ("form", put({"run;id": "v"}, "requestMetadata"), "'requestMetadata.key' failed to satisfy"),
    ("form", put({"guardrailIdentifier": "A B", "guardrailVersion": "1"}, "guardrailConfig"), "guardrailIdentifier'"),
    ("form", put({"guardrailIdentifier": "g1", "guardrailVersion": "v1"}, "guardrailConfig"), "guardrailVersion'"),
    (
        "form",
        put(None, "messages", 1, "content"),
        "Value null at 'messages.2.member.content' failed to satisfy constraint: Member must not be null",
    ),
    ("form", put("tool", "messages", 1, "role"), "Member must satisfy enum value set: [user, assistant"),
    ("form", put({"type": "x"}, "toolConfig", "tools", 0, "cachePoint"), "Exactly one member must be set"),
    ("form", put("gone", *_ANSWER, "status"), "Member must satisfy enum value set: [success, error]"),
    ("form", last({"image": {**PNG, "format": "bmp"}}), "enum value set: [png, jpeg, gif, webp]"),
    ("form", put("hi", "prompt"), "Unknown member: prompt"),
    ("form", put("Hi", "messages"), "Value at 'messages' failed to satisfy constraint: Member must be a list"),
    (
        "starts with the user",
        put([], "messages"),
        "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
    ),
    ("starts with the user", drop("messages", 0), "A conversation must start with a user message."),
    (
        "roles alternate",
        turn("user", {"text": "Well?"}),
        "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between "
        "user and assistant roles and try again.",
    ),
    (
        "empty message",
        put([], "messages", 0, "content"),
        "The content field in the Message object at messages.0 is empty. "
        "Add a ContentBlock object to the content field and try again.",
    ),
    (
        "blank text",
        put(" \n", "messages", 1, "content", 0, "text"),
        "The text field in the ContentBlock object at messages.1.content.0 is blank. "
        "Add text to the text field, and try again.",
    ),
    ("blank system text", put([{"text": " "}], "system"), "SystemContentBlock object at system.0 is blank"),
    (
        "documents need a text",
        put([{"document": PDF}], "messages", 0, "content"),
        "A text block must be included when using documents.",
    ),
    (
        "blocks of calls need tools",
        drop("toolConfig"),
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    ),
    ("who calls and who answers", last({"toolUse": {**USE, "toolUseId": "t2"}}), "messages.2.content.1"),
    (
        "who calls and who answers",
        put([{"text": "x"}, {"toolUse": USE}, {"toolResult": {**RESULT, "toolUseId": "t9"}}], "messages", 1, "content"),
        "messages.1.content",
    ),
    (
        "a call is answered once",
        last({"toolResult": RESULT}),
        "The toolResult blocks at messages.2.content contain duplicate Ids: t1",
    ),
    (
        "each call is answered",
        put([{"text": "No."}], "messages", 2, "content"),
        "Expected toolResult blocks at messages.2.content for the following Ids: t1",
    ),
    (
        "each call is answered",
        put("t2", *_ANSWER, "toolUseId"),
        "Expected toolResult blocks at messages.2.content for the following Ids: t1",
    ),
    (
        "each call is answered",
        put([{"toolUse": USE}, {"toolUse": {**USE, "toolUseId": "t2"}}], "messages", 1, "content"),
        "Expected toolResult blocks at messages.2.content for the following Ids: t2",
    ),
    (
        "a result has its call",
        last({"toolResult": {**RESULT, "toolUseId": "t2"}}),
        "The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks of previous turn.",
    ),
    (
        "a result has its call",
        both(turn("assistant", {"text": "Done."}), turn("user", {"toolResult": RESULT})),
        "The number of toolResult blocks at messages.4.content exceeds the number of toolUse blocks of previous turn.",
    ),
    (
        "arguments, results and schemas are objects",
        put("O-1", *_CALL, "input"),
        "The format of the value at messages.1.content.1.toolUse.input is invalid. "
        "Provide a json object for the field and try again.",
    ),
    (
        "arguments, results and schemas are objects",
        put([1], *_ANSWER, "content", 0, "json"),
        "The format of the value at messages.2.content.0.toolResult.content.0.json is invalid. "
        "Provide a json object for the field and try again.",
    ),
    (
        "arguments, results and schemas are objects",
        put("{}", "toolConfig", "tools", 0, "toolSpec", "inputSchema", "json"),
        "The format of the value at toolConfig.tools.0.toolSpec.inputSchema.json is invalid.",
    ),
    (
        "an error says why",
        both(put([], *_ANSWER, "content"), put("error", *_ANSWER, "status")),
        "The content field at messages.2.content.0.toolResult cannot be empty when status value is error.",
    ),
    (
        "a schema is of type object",
        put({"anyOf": []}, "toolConfig", "tools", 0, "toolSpec", "inputSchema", "json"),
        "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
    ),
    (
        "a tool beside a cache point",
        both(
            put([{"cachePoint": {"type": "default"}}], "toolConfig", "tools"),
            put(LEGAL["messages"][:1], "messages"),
        ),
        "no tool",
    ),
    (
        "document names",
        last({"text": "See:"}, {"document": {**PDF, "name": "John's report.pdf"}}),
        "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
        "parentheses, and square brackets. The name can't contain more than one consecutive whitespace character. "
        "Check that the file name conforms to these restrictions and retry your request.",
    ),
    ("document names", last({"text": "See:"}, {"document": {**PDF, "name": "a  b"}}), "consecutive whitespace"),
    ("document names", last({"text": "See:"}, {"document": {**PDF, "name": "a\u3000b"}}), "whitespace"),
    ("document names", put([{"document": {**PDF, "name": "a.b"}}], *_ANSWER, "content"), "whitespace"),
    (
        "a document's name is unique",
        last({"text": "See:"}, {"document": PDF}, {"document": PDF}),
        "Messages can't contain duplicate document names. Rename the document and retry your request.",
    ),
    ("count of files", last(*[{"image": PNG}] * 21), "21 image blocks; at most 20"),
    ("count of files", last({"text": "x"}, *[{"document": PDF}] * 6), "6 document blocks; at most 5"),
    ("size of files", last({"image": {**PNG, "source": {"bytes": "A" * 5_300_000}}}), "more than 3932160 bytes"),
    (
        "content of images",
        last({"image": {**PNG, "source": {"bytes": "iVBORw0="}}}),
        "errors: The provided image does not match the specified image format.",
    ),
    (
        "pixels of images",
        last({"image": {**PNG, "source": {"bytes": _wide(8_001)}}}),
        "errors: messages.2.content.1.image.source.bytes: At least one of the image dimensions exceed max allowed "
        "size: 8000 pixels",
    ),
    ("whose files", put([{"image": PNG}, {"toolUse": USE}], "messages", 1, "content"), "messages.1.content.0"),
    (
        "whose blocks",
        put([{"searchResult": FOUND}, {"toolUse": USE}], "messages", 1, "content"),
        "messages.1.content.0: searchResult blocks can only be in a message of the user.",
    ),
    (
        "whose blocks",
        last({"citationsContent": {"content": [{"text": "So."}], "citations": []}}),
        "messages.2.content.1: citationsContent blocks can only be in a message of the assistant.",
    ),
    ("a whole guardrail", put({"guardrailIdentifier": "g1"}, "guardrailConfig"), "must be given together"),
    ("JSON Pointers", put(["stop_sequence"], "additionalModelResponseFieldPaths"), "not a JSON Pointer"),
    (
        "tool names are unique",
        put([{"toolSpec": TOOL}] * 2, "toolConfig", "tools"),
        f"{_SAID}tools: Tool names must be unique.",
    ),
    (
        "a call's id is unique",
        both(turn("assistant", {"toolUse": USE}), turn("user", {"toolResult": RESULT})),
        f"{_SAID}messages.3.content.0: `tool_use` ids must be unique",
    ),
    (
        "a result's text is not blank",
        put([{"text": " "}], *_ANSWER, "content"),
        f"{_SAID}messages.2.content.0.toolResult.content.0: text content blocks must contain non-whitespace text",
    ),
    ("the chosen tool exists", put({"tool": {"name": "gone"}}, "toolConfig", "toolChoice"), "Tool 'gone' not found"),
]


@pytest.mark.parametrize(("rule", "change", "says"), BROKEN, ids=[f"{n}-{one[0]}" for n, one in enumerate(BROKEN)])
def test_what_breaks_a_rule_is_refused_by_it_in_bedrocks_words(rule: str, change: Change, says: str) -> None:
    # Haiku takes messages of one role in a row.
    refusal = refused(changed(change), OLDER_MODEL if rule == "roles alternate" else MODEL)

    assert refusal is not None
    assert refusal.rule.name == rule
    assert says in refusal.message
    assert (refusal.message == says) or not says.endswith(("again.", "turn.", "documents."))


def test_each_rule_has_a_request_that_breaks_it_and_a_source() -> None:
    assert {rule for rule, *_ in BROKEN} | {"unknown model"} == {rule.name for rule in SERVICE_RULES}
    for rule in SERVICE_RULES:
        assert re.search(r"docs\.aws\.amazon\.com/|[\w.-]+/[\w.-]+#\d+", rule.source), rule.name


@pytest.mark.parametrize("model_id", ["invalid-model-id", "m", "acme.oracle-v1", "eu.some-model:0"])
def test_a_model_that_bedrock_does_not_have_is_refused(model_id: str) -> None:
    assert message_of(LEGAL, model_id) == "The provided model identifier is invalid."


LEGAL_CHANGES: dict[str, Change] = {
    "nothing": lambda one: None,
    "no tools where no call was made": both(drop("toolConfig"), put(LEGAL["messages"][:1], "messages")),
    "a text beside the result": last({"text": "Hurry."}),
    "an empty result that is no error": put([], *_ANSWER, "content"),
    "a name with an underscore": last({"text": "x"}, {"document": {**PDF, "name": "my_report (1) [a]"}}),
    "a system message of two parts": put([{"text": "a"}, {"text": "b"}], "system"),
    "metadata": put({"run": "r-1", "tenant": "a b", "stack": ""}, "requestMetadata"),
    "a guardrail": put({"guardrailIdentifier": "gr1", "guardrailVersion": "DRAFT"}, "guardrailConfig"),
    "a call that the provider answered": put(
        [
            {"toolUse": {**USE, "toolUseId": "s1", "type": "server_tool_use"}},
            {"toolResult": {**RESULT, "toolUseId": "s1"}},
            {"toolUse": USE},
        ],
        "messages",
        1,
        "content",
    ),
    "results in another order": both(
        put([{"toolUse": USE}, {"toolUse": {**USE, "toolUseId": "t2"}}], "messages", 1, "content"),
        put([{"toolResult": {**RESULT, "toolUseId": "t2"}}, {"toolResult": RESULT}], "messages", 2, "content"),
    ),
}


@pytest.mark.parametrize("name", LEGAL_CHANGES)
def test_what_is_legal_is_taken(name: str) -> None:
    assert message_of(changed(LEGAL_CHANGES[name])) == ""


def test_every_breach_of_form_is_reported_at_once() -> None:
    request = changed(both(put([], "toolConfig", "tools"), put(2, "inferenceConfig", "topP")))

    assert message_of(request).startswith("2 validation errors detected: ")


def test_a_refused_request_does_not_reach_the_model(caplog: pytest.LogCaptureFixture) -> None:
    asked = Strict(ScriptModel.of([{"say": "Hello."}]))

    with pytest.raises(ModelError, match="toolConfig field must be defined") as caught:
        asked.reply(changed(drop("toolConfig")), MODEL)

    assert caught.value.code == "ValidationException"
    assert f"{MODEL}: refused as Bedrock does: The toolConfig field must be defined" in caplog.text
    assert "blocks of calls need tools; langgenius/dify#17545" in caplog.text


@pytest.mark.skipif(not RECORDED.exists(), reason=f"NOT TESTED: the recorded exchanges are not here ({RECORDED})")
def test_what_bedrock_took_is_taken_and_what_it_refused_is_refused_in_the_same_words() -> None:
    exchanges = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]

    for number, exchange in enumerate(exchanges):
        expected = "" if exchange["status"] == 200 else exchange["response"]["message"]
        assert message_of(exchange["request"], unquote(exchange["model"])) == expected, number
    assert {exchange["status"] for exchange in exchanges} == {200, 400}


def test_an_image_of_8000_pixels_is_taken() -> None:
    request = changed(last({"image": {**PNG, "source": {"bytes": _wide(8_000)}}}))

    assert "dimensions" not in message_of(request)


_JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc4\x00\x03a\xff\xc2\x00\x08\x08\x00\x07\x00\x09\x03\xff\xda"
_RIFF = b"RIFF\0\0\0\0WEBP"


@pytest.mark.parametrize(
    ("file_format", "content", "size"),
    [
        ("png", base64.b64decode(_wide(300)), (300, 1)),
        ("gif", b"GIF89a\x2c\x01\x02\x00", (300, 2)),
        ("jpeg", _JPEG, (9, 7)),
        ("webp", _RIFF + b"VP8X\x0a\0\0\0\0\0\0\0\x2b\x01\x00\x01\x00\x00", (300, 2)),
        ("webp", _RIFF + b"VP8L\x05\0\0\0\x2f\x2b\x41\x01\x00", (300, 6)),
        ("webp", _RIFF + b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\x2c\x41\x02\x40", (300, 2)),
        ("png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0", None),
        ("gif", b"GIF89a\0\0\x02\0", None),
        ("jpeg", b"\xff\xd8\xff\xda", None),
        ("webp", _RIFF + b"VP8 ", None),
        ("png", b"", None),
    ],
)
def test_the_double_and_ballast_measure_an_image_alike_each_by_its_own_reader(
    file_format: str, content: bytes, size: tuple[int, int] | None
) -> None:
    assert image_size(content) == size
    if size is None:
        with pytest.raises(WrongContent):
            measured(file_format, content)
    else:
        assert measured(file_format, content) == {"width": size[0], "height": size[1]}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _header(side: int) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))


def _segment(marker: int, data: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def _frame(side: int, marker: int = 0xC0) -> bytes:
    return _segment(marker, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00")


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    made = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(made)) + b"WEBP" + made


_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_GIF_HEAD = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff"
_GIF_FRAME = b"\x2c\0\0\0\0" + struct.pack("<HH", 1200, 1200) + b"\0\x02\x01\0\0;"
_SCANNED = _segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"ab\xff\0\xff\xd0c"
_CANVAS = (b"VP8X", bytes(10))
_LOSSY = (b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 1200, 1200))
_LOSSLESS = (b"VP8L", b"\x2f" + struct.pack("<I", 1199 | 1199 << 14))
_LARGE_FRAME = (b"ANMF", bytes(6) + 2 * (1199).to_bytes(3, "little") + bytes(4))


@pytest.mark.parametrize(
    ("file_format", "content", "refused"),
    [
        ("gif", _GIF_HEAD + _GIF_FRAME, None),
        ("gif", _GIF_HEAD + b"\x21\xfe\x02ab\0\0" + _GIF_FRAME, None),
        ("gif", _GIF_HEAD[:10] + b"\0\0\0\x2c\x58\x02\x58\x02\x58\x02\x58\x02\x80" + bytes(7) + b"\0;", None),
        ("gif", _GIF_HEAD + b";" + _GIF_FRAME, "behind its end"),
        ("gif", _GIF_HEAD + b"?" + _GIF_FRAME, "among its blocks"),
        ("gif", _GIF_HEAD + b"\x21\xff\x0bNETSCAPE2.0\0" + _GIF_FRAME, "without data"),
        ("png", _PNG_HEAD + _header(1) + _header(1200) + _chunk(b"IEND", b""), "two headers"),
        ("png", _PNG_HEAD + _header(1) + _chunk(b"a?bc", b"") + _header(1200), "among its chunks"),
        ("png", _PNG_HEAD + _header(1) + _chunk(b"IEND", b"") + _header(1200), "behind its end"),
        ("png", _PNG_HEAD + _header(1) + _chunk(b"fcTL", struct.pack(">IIIII", 0, 600, 1200, 600, 0)), None),
        ("jpeg", b"\xff\xd8" + _frame(1) + _SCANNED + _frame(1200, 0xC2) + _SCANNED + b"\xff\xd9", None),
        ("jpeg", b"\xff\xd8" + _frame(1) + b"\0\x01" + _frame(1200), None),
        ("jpeg", b"\xff\xd8" + _frame(1) + b"\xff\0" + _frame(1200), None),
        ("jpeg", b"\xff\xd8" + _frame(1200, 0xDE) + _frame(1), None),
        ("jpeg", b"\xff\xd8" + _frame(1) + _SCANNED + b"\xff\xd9\xff\xd8" + _frame(1200), None),
        (
            "jpeg",
            b"\xff\xd8" + _segment(0xE1, b"Exif\xff\xd8" + _frame(1200)) + _frame(1) + _SCANNED + b"\xff\xd9",
            None,
        ),
        ("jpeg", b"\xff\xd8" + _frame(1) + _SCANNED + b"\xff\xd9\0ab" + _frame(1200), None),
        ("jpeg", b"\xff\xd8" + _frame(1) + _segment(0xF0, _frame(1200)) + _SCANNED, "0xF0"),
        ("jpeg", b"\xff\xd8" + _frame(1) + b"\xff\xd9" + _frame(1200), "before its picture"),
        ("jpeg", b"\xff\xd8" + _frame(1) + b"\xff\xe0\0\0" + _frame(1200), "shorter than its own length"),
        ("webp", _riff(_CANVAS, _LOSSY), "canvas of another size"),
        ("webp", _riff(_CANVAS, _LOSSLESS), "canvas of another size"),
        ("webp", _riff(_LOSSY, _CANVAS), "another place than first"),
        ("webp", _riff(_CANVAS, _LARGE_FRAME), None),
        ("webp", _riff(_CANVAS, (b"ANMF", bytes(16) + _riff(_LOSSY)[12:])), "canvas of another size"),
        ("webp", _riff((b"VP8 ", bytes(3) + b"\x9d\x01\x2a\x01\0\x01\0"), _LOSSY), None),
        ("webp", _riff((b"VP8 ", bytes(10)), _LOSSY), "without a header"),
        ("webp", _riff((b"EXIF", b"ab" + _riff(_LOSSY))), "in its metadata"),
    ],
)
def test_an_image_is_as_large_as_its_largest_header_or_frame(
    file_format: str, content: bytes, refused: str | None
) -> None:
    if refused is None:
        assert max(measured(file_format, content).values()) == 1200
    else:
        with pytest.raises(WrongContent, match=refused):
            measured(file_format, content)
    assert max(image_size(content) or (0, 0)) == 1200, "the double bills what some reader may show"


_PARTS = {
    "png": [_header(3), _header(900), _chunk(b"IEND", b""), _chunk(b"IDAT", b"ab"), _chunk(b"tEXt", _header(800))],
    "jpeg": [_frame(3), _frame(900, 0xC2), _SCANNED, _segment(0xE1, _frame(800)), b"\xff\xd9", b"\xff\xd8\xff\xe0\0\2"],
    "webp": [_riff(one)[12:] for one in (_CANVAS, _LOSSY, _LOSSLESS, _LARGE_FRAME, (b"EXIF", _riff(_LOSSY)))],
    "gif": [_GIF_FRAME[:-1], b"\x21\xfe\x02ab\0", b";", b"\0", _GIF_HEAD],
}
_HEADS = {"png": _PNG_HEAD + _header(1), "jpeg": b"\xff\xd8", "webp": _riff(), "gif": _GIF_HEAD}


@settings(deadline=None, max_examples=examples(150, 3_000))
@given(st.data(), st.sampled_from(sorted(_PARTS)))
def test_no_arrangement_of_an_images_parts_is_billed_above_its_measure(data: st.DataObject, file_format: str) -> None:
    parts = data.draw(st.lists(st.sampled_from([*_PARTS[file_format], b"ab"]), max_size=6))
    content = _HEADS[file_format] + b"".join(parts)

    try:
        found = measured(file_format, content)
    except WrongContent:
        return  # it is not taken
    width, height = image_size(content) or (0, 0)
    assert (found["width"] >= width, found["height"] >= height) == (True, True), parts
