"""The double speaks Converse: the real boto3 client reads its replies and raises its errors."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from localcloud.converse import CallableModel, ConverseServer, ModelError, Reply, ScriptModel, Source
from localcloud.converse.source import STATUS

MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
ASK: dict[str, Any] = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


@contextmanager
def talking_to(source: Source, read_timeout: float = 300) -> Iterator[Any]:
    with ConverseServer(source) as server:
        yield client_of(server.url, read_timeout)


def client_of(url: str, read_timeout: float = 300) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout)
    session = boto3.Session("testing", "testing", region_name="eu-west-1")
    return session.client("bedrock-runtime", endpoint_url=url, config=config)


def test_a_reply_is_read_by_boto3() -> None:
    script = ScriptModel.of(
        [{"say": "Let me see.", "call": [{"tool": "look", "arguments": {"id": "Ö-1"}, "id": "own"}]}]
    )

    with talking_to(script) as client:
        reply = client.converse(**ASK)

    assert reply["output"]["message"] == {
        "role": "assistant",
        "content": [
            {"text": "Let me see."},
            {"toolUse": {"toolUseId": "own", "name": "look", "input": {"id": "Ö-1"}}},
        ],
    }
    assert reply["stopReason"] == "tool_use"
    assert reply["usage"]["totalTokens"] == reply["usage"]["inputTokens"] + reply["usage"]["outputTokens"] > 0


def test_the_source_gets_the_request_and_the_models_id() -> None:
    asked: list[str] = []

    def answer(request: Any, model_id: str) -> Reply:
        asked.append(model_id)
        return Reply({"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn"})

    model = CallableModel(answer)
    with talking_to(model) as client:
        client.converse(**ASK, inferenceConfig={"maxTokens": 7})

    assert asked == [MODEL]
    assert model.requests[0]["inferenceConfig"] == {"maxTokens": 7}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("code", list(STATUS))
def test_bedrocks_errors_arrive_under_their_names(code: str) -> None:
    def answer(request: Any, model_id: str) -> Reply:
        raise ModelError(code, "why")

    with talking_to(CallableModel(answer)) as client, pytest.raises(ClientError) as caught:
        client.converse(**ASK)

    assert type(caught.value) is getattr(client.exceptions, code)
    assert caught.value.response["Error"]["Message"] == "why"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == STATUS[code]


def test_an_error_that_bedrock_does_not_have_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="Bedrock has no error TeapotException"):
        ModelError("TeapotException", "short and stout")


def test_a_source_that_breaks_says_so_and_is_not_tried_again() -> None:
    def answer(request: Any, model_id: str) -> Reply:
        raise KeyError("oops")

    with (
        talking_to(CallableModel(answer)) as client,
        pytest.raises(ClientError, match=r"source failed: KeyError: 'oops'"),
    ):
        client.converse(**ASK)


def test_a_hung_model_is_cut_by_the_clients_timeout() -> None:
    with (
        talking_to(ScriptModel.of([{"hang_s": 30}]), read_timeout=0.2) as client,
        pytest.raises(HTTPClientError, match="Read timeout"),
    ):
        client.converse(**ASK)


def test_closing_cuts_off_who_still_waits() -> None:
    outcome: list[BaseException] = []

    def ask(client: Any) -> None:
        try:
            client.converse(**ASK)
        except BaseException as problem:
            outcome.append(problem)

    with ConverseServer(ScriptModel.of([{"hang_s": 3_600}])) as server:
        thread = threading.Thread(target=ask, args=(client_of(server.url, 3_600),))
        thread.start()
        while server.calls == 0:
            time.sleep(0.005)
    thread.join(300)

    assert not thread.is_alive()
    assert len(outcome) == 1


def test_each_reply_is_one_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would wait 40 ms for the acknowledgement of the first."""
    sent: list[int] = []

    def send(one: socket.socket, data: bytes, *flags: int) -> int:
        sent.append(len(data))
        return plain(one, data, *flags)

    plain = socket.socket.send
    with talking_to(ScriptModel.of([{"say": "x"}])) as client:
        monkeypatch.setattr(socket.socket, "send", send)  # the client sends by sendall

        for _ in range(3):
            client.converse(**ASK)

    assert len(sent) == 3


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/model/m/invoke", b"{}", "has only POST"),
        ("/model/m/converse", b"no", "not JSON"),
        ("/model/m/converse", b"[]", "object"),
    ],
)
def test_what_is_no_converse_request_is_refused(path: str, body: bytes, words: str) -> None:
    with ConverseServer(ScriptModel.of([{"say": "x"}])) as server, pytest.raises(HTTPError) as caught:
        urlopen(Request(server.url + path, body))

    assert caught.value.code == 400
    assert words in json.loads(caught.value.read())["message"]


RECORDED = Path(__file__).parents[4] / "shared" / "bedrock" / "converse-exchanges.jsonl"


@pytest.mark.skipif(not RECORDED.exists(), reason=f"NOT TESTED: the recorded exchanges are not here ({RECORDED})")
def test_the_recorded_exchanges_go_as_they_went_at_bedrock() -> None:
    exchanges = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    answers = iter([each["response"] for each in exchanges if each["status"] == 200])
    kinds: list[str] = []

    with ConverseServer(CallableModel(lambda request, model_id: Reply(next(answers)))) as server:
        for number, exchange in enumerate(exchanges):
            asked = Request(
                f"{server.url}/model/{exchange['model']}/converse", json.dumps(exchange["request"]).encode()
            )
            try:
                with urlopen(asked) as response:
                    status, body = response.status, json.load(response)
            except HTTPError as refusal:
                status, body = refusal.code, json.load(refusal)
                kinds.append(refusal.headers["x-amzn-errortype"].partition(":")[0])
            assert (status, body) == (exchange["status"], exchange["response"]), number
    assert kinds == ["ValidationException"]


def test_a_refusal_reaches_boto3_in_bedrocks_words() -> None:
    config = {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "array"}}}}]}

    with talking_to(ScriptModel.of([{"say": "x"}])) as client, pytest.raises(ClientError) as caught:
        client.converse(**ASK, toolConfig=config)

    assert type(caught.value) is client.exceptions.ValidationException
    assert caught.value.response["Error"]["Message"] == (
        "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object."
    )
