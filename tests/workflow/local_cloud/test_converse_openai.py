"""An OpenAI-compatible server behind Converse, against a fake one on this machine."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud.converse import ConverseServer, ModelError, OpenAIModel
from localcloud.converse.openai import from_openai, to_openai

TOOL = {"name": "look_up", "description": "Look it up.", "inputSchema": {"json": {"type": "object"}}}


class FakeServer(ThreadingHTTPServer):
    """Answers with ``status`` and ``answer`` after ``wait_s``; keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.status, self.answer, self.wait_s, self.redirect = 200, b"{}", 0.0, ""
        self.asked: list[tuple[str, dict[str, Any], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class FakeHandler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, json.loads(body), self.headers))
        time.sleep(self.server.wait_s)
        self.send_response(302 if self.server.redirect else self.server.status)
        if self.server.redirect:
            self.send_header("Location", self.server.redirect)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {}, self.headers))
        self.send_error(405)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def completion(**message: Any) -> bytes:
    finish = message.pop("finish", "stop")
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def test_a_conversation_goes_there_and_comes_back(fake: FakeServer) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"id": "O-1"}'}}
    fake.answer = completion(content="One moment.", tool_calls=[call], finish="tool_calls")
    session = boto3.Session("testing", "testing", region_name="eu-west-1")

    with ConverseServer(OpenAIModel(fake.url, "llama", api_key="secret")) as server:
        client = session.client(
            "bedrock-runtime", endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1})
        )
        reply = client.converse(
            modelId="anthropic.claude-3-5-sonnet-20240620-v1:0",
            system=[{"text": "Be brief."}, {"text": "Be kind."}],
            messages=[
                {"role": "user", "content": [{"text": "Where"}, {"text": "is it?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"toolUse": {"toolUseId": "t1", "name": "look_up", "input": {"a": 1}}},
                        {"toolUse": {"toolUseId": "t2", "name": "look_up", "input": {"a": 2}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "t1", "content": [{"json": {"x": "ö"}}], "status": "success"}},
                        {"toolResult": {"toolUseId": "t2", "content": [{"text": "no"}], "status": "error"}},
                        {"text": "A note."},
                    ],
                },
            ],
            toolConfig={"tools": [{"toolSpec": TOOL}], "toolChoice": {"any": {}}},
            inferenceConfig={"maxTokens": 50, "temperature": 0.0, "topP": 0.5, "stopSequences": ["END"]},
        )

    path, asked, headers = fake.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert asked == {
        "model": "llama",
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {"role": "user", "content": "Where\n\nis it?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "look_up", "arguments": '{"a": 1}'}},
                    {"id": "t2", "type": "function", "function": {"name": "look_up", "arguments": '{"a": 2}'}},
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": '{"x": "ö"}'},
            {"role": "tool", "tool_call_id": "t2", "content": "Error: no"},
            {"role": "user", "content": "A note."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "look_up", "description": "Look it up.", "parameters": {"type": "object"}},
            }
        ],
        "tool_choice": "required",
        "max_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["END"],
    }
    assert reply["output"]["message"]["content"] == [
        {"text": "One moment."},
        {"toolUse": {"toolUseId": "c1", "name": "look_up", "input": {"id": "O-1"}}},
    ]
    assert reply["stopReason"] == "tool_use"
    assert reply["usage"] == {"inputTokens": 12, "outputTokens": 3, "totalTokens": 15}


@pytest.mark.parametrize(
    ("finish", "calls", "stop_reason"),
    [
        ("stop", False, "end_turn"),
        ("stop", True, "tool_use"),
        (None, True, "tool_use"),
        ("tool_calls", True, "tool_use"),
        ("length", True, "max_tokens"),
        ("length", False, "max_tokens"),
        ("content_filter", False, "content_filtered"),
        ("something new", False, "end_turn"),
    ],
)
def test_each_finish_reason_is_a_stop_reason(finish: str | None, calls: bool, stop_reason: str) -> None:
    message: dict[str, Any] = {"content": "x"}
    if calls:
        message["tool_calls"] = [{"function": {"name": "f", "arguments": "{}"}}]

    assert from_openai({"choices": [{"message": message, "finish_reason": finish}]})["stopReason"] == stop_reason


@pytest.mark.parametrize(
    ("arguments", "given"),
    [('{"a": 1}', {"a": 1}), ('{"a": ', '{"a": '), ("", {}), (None, {}), ({"a": 1}, {"a": 1}), ("[1]", [1])],
)
def test_arguments_are_read_or_passed_on_as_they_are(arguments: Any, given: Any) -> None:
    calls = [{"id": None, "function": {"name": "f", "arguments": arguments}}]

    [block] = from_openai({"choices": [{"message": {"tool_calls": calls}}]})["output"]["message"]["content"]

    assert block == {"toolUse": {"toolUseId": "call-1", "name": "f", "input": given}}


def test_cached_tokens_are_counted_apart_and_a_missing_usage_stays_missing() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    choices = [{"message": {"content": ""}, "finish_reason": "stop"}]

    assert from_openai({"choices": choices, "usage": usage})["usage"] == {
        "inputTokens": 6,
        "outputTokens": 2,
        "totalTokens": 12,
        "cacheReadInputTokens": 4,
    }
    assert "usage" not in from_openai({"choices": choices})
    assert from_openai({"choices": choices})["output"]["message"]["content"] == []


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # Some servers count what was cached apart from the prompt's.
        ((10, 2, 400), {"inputTokens": 10, "outputTokens": 2, "totalTokens": 412, "cacheReadInputTokens": 400}),
        ((10, 2, 10), {"inputTokens": 0, "outputTokens": 2, "totalTokens": 12, "cacheReadInputTokens": 10}),
        ((None, 2, 0), None),
        ((10, "2", 0), None),
        ((10, None, None), None),
    ],
)
def test_a_usage_of_another_way_of_counting_is_read_and_one_that_is_none_is_left_out(
    usage: tuple[Any, Any, Any], counts: dict[str, int] | None
) -> None:
    given, made, cached = usage
    sent = {"prompt_tokens": given, "completion_tokens": made, "prompt_tokens_details": {"cached_tokens": cached}}

    response = from_openai({"choices": [{"message": {"content": "x"}}], "usage": sent})

    assert response.get("usage") == counts


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "42 km."}]}, "It is 42 km."),
        # Mistral's models that reason
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                      {"type": "text", "text": "Done."}]}, "Done."),
        ({"content": [{"type": "reasoning", "text": "Hm."}, {"text": "Done."}, "Bye."]}, "Done.Bye."),
        ({"content": [{"type": "output_text", "text": {"value": "Done.", "annotations": []}}]}, "Done."),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"content": {"type": "text", "text": "Done."}}, "Done."),
        # Cloudflare, where an object was asked for
        ({"content": {"status": "done"}}, '{"status": "done"}'),
        ({"content": 42}, "42"),
        ({"content": None, "refusal": "No."}, "No."),
        ({"content": [{"type": "thinking", "thinking": []}]}, None),
        ({"content": [{"type": "image_url", "image_url": {}}, 7, None]}, None),
        ({"content": []}, None),
    ],
)  # fmt: skip
def test_text_in_parts_or_in_an_object_is_kept_and_what_thinks_is_none(
    message: dict[str, Any], said: str | None
) -> None:
    content = from_openai({"choices": [{"message": message}]})["output"]["message"]["content"]

    assert content == ([] if said is None else [{"text": said}])


def test_what_was_cited_is_told_to_such_a_server_as_text() -> None:
    cited = {"citationsContent": {"content": [{"text": "It is "}, {"text": "42 km."}], "citations": []}}

    body = to_openai({"messages": [{"role": "assistant", "content": [cited]}]})

    assert body["messages"] == [{"role": "assistant", "content": "It is 42 km."}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"auto": {}}, "auto"),
        ({"any": {}}, "required"),
        ({"tool": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_a_tool_choice_is_translated(choice: dict[str, Any], expected: Any) -> None:
    body = to_openai({"messages": [], "toolConfig": {"tools": [{"toolSpec": TOOL}], "toolChoice": choice}})

    assert body["tool_choice"] == expected


def test_reasoning_is_left_out_and_an_image_is_refused() -> None:
    reasoning = {"reasoningContent": {"reasoningText": {"text": "hm"}}}

    body = to_openai({"messages": [{"role": "assistant", "content": [reasoning, {"text": "x"}]}]})

    assert body["messages"] == [{"role": "assistant", "content": "x"}]
    with pytest.raises(ModelError, match="image block has no counterpart"):
        to_openai({"messages": [{"role": "user", "content": [{"image": {}}]}]})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (401, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (422, "ValidationException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (502, "ModelErrorException"),
        (503, "ServiceUnavailableException"),
    ],
)
def test_an_http_error_is_bedrocks_error(fake: FakeServer, status: int, code: str) -> None:
    fake.status, fake.answer = status, b'{"error": {"message": "model not found"}}'

    with pytest.raises(ModelError, match=f"answered {status}: model not found") as caught:
        OpenAIModel(fake.url, "m").reply({"messages": []}, "m")

    assert caught.value.code == code


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}'])
def test_what_is_no_completion_is_a_model_error(fake: FakeServer, answer: bytes) -> None:
    fake.answer = answer

    with pytest.raises(ModelError, match="sent no chat completion") as caught:
        OpenAIModel(fake.url, "m").reply({"messages": []}, "m")

    assert caught.value.code == "ModelErrorException"


def test_a_slow_server_is_a_model_timeout(fake: FakeServer) -> None:
    fake.wait_s = 0.5

    with pytest.raises(ModelError, match="did not answer within") as caught:
        OpenAIModel(fake.url, "m", timeout_s=0.1).reply({"messages": []}, "m")

    assert caught.value.code == "ModelTimeoutException"


def test_a_server_that_is_not_there_is_unavailable_even_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with FakeServer() as gone:
        url = gone.url

    with pytest.raises(ModelError, match="Is the server running") as caught:
        OpenAIModel(url, "m").reply({"messages": []}, "m")

    assert caught.value.code == "ServiceUnavailableException"
    assert "refused" in caught.value.message


def test_the_key_stays_with_its_server_and_is_not_repeated(fake: FakeServer) -> None:
    model = OpenAIModel(fake.url, "llama", api_key="sk-secret")
    request = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    fake.status, fake.answer = 401, b'{"error": {"message": "Incorrect key: sk-secret"}}'
    with pytest.raises(ModelError) as refused:
        model.reply(request, "")
    assert "Incorrect key: ***" in refused.value.message

    with FakeServer() as other:
        other.redirect = f"{fake.url}/chat/completions"
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with pytest.raises(ModelError):
            OpenAIModel(other.url, "llama", api_key="sk-other").reply(request, "")
        other.shutdown()
    assert other.asked[0][2]["Authorization"] == "Bearer sk-other"
    assert [headers["Authorization"] for _, _, headers in fake.asked] == ["Bearer sk-secret", None]
