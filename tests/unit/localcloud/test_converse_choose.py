"""The values of --model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput
from localcloud.converse import (
    Bedrock,
    ModelError,
    OpenAIModel,
    RecordedModel,
    Reply,
    ScriptModel,
    check_keys,
    check_that_it_answers,
    label_of,
    model_source,
    said,
)

EVENT = {
    "run_id": "run-" + "a" * 24,
    "seq": "0001.model.responded",
    "at": "2031-05-06T12:00:00+00:00",
    "body": {"message": {"content": []}, "stop_reason": "end_turn"},
}


def test_each_form_names_its_model(tmp_path: Path) -> None:
    for name, content in (
        ("script.yaml", {"turns": [{"say": "x"}]}),
        ("script.json", {"turns": [{"say": "x"}]}),
        ("log.json", [EVENT]),
        ("saved.json", {"version": 1, "events": [EVENT]}),
    ):
        (tmp_path / name).write_text(json.dumps(content))

    assert isinstance(model_source(str(tmp_path / "script.yaml")), ScriptModel)
    assert isinstance(model_source(str(tmp_path / "script.json")), ScriptModel)
    assert isinstance(model_source(str(tmp_path / "log.json")), RecordedModel)
    assert isinstance(model_source(str(tmp_path / "saved.json")), RecordedModel)
    assert isinstance(model_source("http://localhost:11434/v1#llama3.2:3b"), OpenAIModel)
    assert model_source("bedrock:eu.anthropic.x-v1:0") == Bedrock("eu.anthropic.x-v1:0")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("bedrock:", "lacks the model's id"),
        ("http://localhost:11434/v1", "lacks the model's name after a #"),
        ("http://localhost:11434/v1#", "lacks the model's name after a #"),
        ("nowhere.yaml", "no such file. Give a script"),
        ("gpt-4o", "no such file. Give a script"),
    ],
)
def test_what_is_no_model_is_refused_with_what_may_be_given(spec: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        model_source(spec)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        "http://127.0.0.1:1/v1?api-key=sk-SECRET#m",
        "http://sk-SECRET@127.0.0.1:1/v1#m",
        "https://user:sk-SECRET@models.example/v1#m",
        "https://user:sk-SECRET/x@models.example/v1#m",
        "http://user:sk-#SECRET@127.0.0.1:1/v1#m",
        "http://127.0.0.1:1/v1#m?key=sk-SECRET",
        "http://127.0.0.1:sk-SECRET/v1#m",
        "http://127.0.0.1:1/v1?api-key=sk-SECRET",
    ],
)
def test_a_credential_in_a_url_is_refused_and_not_repeated(spec: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        model_source(spec)

    assert "SECRET" not in str(caught.value)
    assert "BALLAST_MODEL_KEY" in str(caught.value)


@pytest.mark.parametrize("spec", ["HTTP://u:SECRET@h/v1#m", "ftp://SECRET@h/v1#m", "u:SECRET@h/v1#m", "h?key=SECRET#m"])
def test_what_only_resembles_a_url_is_not_repeated_either(spec: str) -> None:
    with pytest.raises(InvalidInput, match="OpenAI-compatible server") as caught:
        model_source(spec)

    assert "SECRET" not in str(caught.value)


def test_a_server_is_named_by_its_host_and_its_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = "https://models.example:8443/a/secret/path/v1#@cf/meta/llama:8b"
    assert label_of(spec) == "models.example:8443#@cf/meta/llama:8b"
    assert label_of("bedrock:x") == "bedrock:x"

    monkeypatch.setenv("BALLAST_MODEL_KEY", " sk-1 ")
    made = model_source(spec)
    assert isinstance(made, OpenAIModel)
    assert made._api_key == "sk-1"
    monkeypatch.setenv("BALLAST_MODEL_KEY", "sk-1\r\nX: y")
    with pytest.raises(InvalidInput, match="BALLAST_MODEL_KEY: must be printable ASCII") as caught:
        model_source(spec)
    assert "sk-1" not in str(caught.value)


def test_a_key_goes_to_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    model, judge = "https://models.example/v1#m", "https://judges.example:8443/v1#j"
    monkeypatch.setenv("BALLAST_MODEL_KEY", "sk-one")
    check_keys([model, model, "bedrock:x", "script.yaml"])

    with pytest.raises(InvalidInput, match="BALLAST_MODEL_KEY_JUDGES_EXAMPLE_8443") as caught:
        check_keys([model, judge])
    assert "sk-one" not in str(caught.value)

    monkeypatch.setenv("BALLAST_MODEL_KEY_JUDGES_EXAMPLE_8443", "sk-two")
    check_keys([model, judge])
    made = [model_source(spec) for spec in (model, judge)]
    assert [one._api_key for one in made if isinstance(one, OpenAIModel)] == ["sk-one", "sk-two"]
    monkeypatch.delenv("BALLAST_MODEL_KEY")
    alone = model_source(model)
    assert isinstance(alone, OpenAIModel)
    assert alone._api_key is None


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")

    with pytest.raises(InvalidInput, match="is not JSON"):
        model_source(str(tmp_path / "x.json"))


class Server(OpenAIModel):
    """A model that raises one error after the other, and then answers."""

    def __init__(self, *errors: ModelError) -> None:
        super().__init__("http://localhost:1/v1", "llama")
        self.errors, self.asked = list(errors), 0

    def within(self, timeout_s: float) -> "Server":
        return self

    def reply(self, request: Mapping[str, Any], _model_id: str, /) -> Reply:
        self.asked += 1
        assert request["inferenceConfig"]["maxTokens"] <= 16
        if self.errors:
            raise self.errors.pop(0)
        return said([{"text": "OK"}], "end_turn", request)


BUSY = ModelError("ThrottlingException", "slow down")
LOADING = ModelError("ServiceUnavailableException", "answered 503: loading")
GONE = ModelError("ServiceUnavailableException", "cannot be reached (refused). Is the server running?")
UNKNOWN = ModelError("ResourceNotFoundException", "answered 404: no such model")


@pytest.mark.parametrize("errors", [(), (BUSY,), (LOADING, BUSY)])
def test_a_model_that_answers_at_last_is_taken(errors: tuple[ModelError, ...]) -> None:
    server, pauses = Server(*errors), list[float]()

    check_that_it_answers(server, "spec", pause=pauses.append)

    assert server.asked == len(pauses) + 1 == len(errors) + 1


@pytest.mark.parametrize(
    ("errors", "asked", "words"),
    [
        ((GONE,), 1, "Is the server running"),
        ((UNKNOWN,), 1, "no such model"),
        ((BUSY,) * 3, 3, "slow down"),
        ((LOADING, UNKNOWN), 2, "no such model"),
        ((ModelError("ModelErrorException", "sent no chat completion"),), 1, "no chat completion"),
        ((ModelError("ModelTimeoutException", "did not answer within 60 s."),), 1, "within 60 s"),
        ((ModelError("AccessDeniedException", "answered 401: bad key"),), 1, "bad key"),
    ],
)
def test_a_model_that_does_not_answer_is_refused_with_its_reason(
    errors: tuple[ModelError, ...], asked: int, words: str
) -> None:
    server = Server(*errors)

    with pytest.raises(InvalidInput, match=rf"--model localhost.*does not answer.*nothing was started.*{words}"):
        check_that_it_answers(server, "http://localhost:1/v1#llama", pause=lambda _: None)

    assert server.asked == asked


class Odd(Server):
    """A server that answers each time with ``body``."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = body

    def reply(self, request: Mapping[str, Any], _model_id: str, /) -> Reply:
        self.asked += 1
        return Reply(self.body)


def _answer(content: list[Any], stop: str = "end_turn") -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop}


@pytest.mark.parametrize("body", [{}, {"ResponseMetadata": {}}, {"output": {}}, {"output": None}, _answer([])])
def test_an_answer_with_nothing_in_it_is_none(body: dict[str, Any]) -> None:
    server = Odd(body)

    with pytest.raises(InvalidInput, match=r"does not answer.*nothing was started.*without a message"):
        check_that_it_answers(server, "http://localhost:1/v1#llama", pause=lambda _: None)

    assert server.asked == 3


@pytest.mark.parametrize("body", [_answer([{"text": "OK"}]), _answer([], "max_tokens")])
def test_a_model_that_was_cut_while_it_thought_has_answered(body: dict[str, Any]) -> None:
    check_that_it_answers(Odd(body), "spec", pause=lambda _: None)


def test_bedrock_that_answers_with_an_empty_200_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.converse.choose._hello_to_bedrock", lambda *_: lambda: {"ResponseMetadata": {}})

    with pytest.raises(InvalidInput, match="EmptyReply"):
        check_that_it_answers(Bedrock("some-model"), "bedrock:some-model", pause=lambda _: None)


def test_files_are_not_asked(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("turns: [{error: ThrottlingException}]")

    check_that_it_answers(model_source(str(script)), str(script))
