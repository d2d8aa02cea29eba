"""A script: the conversation's length selects the step; an invalid one is refused with file, step and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput
from localcloud.converse import ModelError, ScriptModel


def request(turns: int, text: str = "Hi") -> dict[str, Any]:
    user, assistant = {"role": "user", "content": [{"text": text}]}, {"role": "assistant", "content": [{"text": "…"}]}
    return {"messages": [user, *[assistant, user] * turns]}


def words(model: ScriptModel, asked: dict[str, Any]) -> Any:
    return model.reply(asked, "m").body["output"]["message"]["content"][0]["text"]


def failure(model: ScriptModel, asked: dict[str, Any]) -> tuple[str, float]:
    with pytest.raises(ModelError) as caught:
        model.reply(asked, "m")
    return caught.value.code, caught.value.wait_s


def test_the_step_is_that_of_the_conversation_whoever_asks_and_however_often() -> None:
    model = ScriptModel.of([{"say": "one"}, {"say": "two"}])

    assert [words(model, request(turns)) for turns in (0, 1, 0, 0, 1)] == ["one", "two", "one", "one", "two"]


def test_a_failing_step_comes_once_for_each_conversation() -> None:
    model = ScriptModel.of(
        [
            {"say": "one"},
            {"error": "ThrottlingException"},
            {"hang_s": 3},
            {"say": "two"},
            {"error": "ModelErrorException"},
        ]
    )

    assert words(model, request(0)) == "one"
    assert failure(model, request(1)) == ("ThrottlingException", 0)
    assert failure(model, request(1, "Another run")) == ("ThrottlingException", 0)
    assert failure(model, request(1)) == ("ModelTimeoutException", 3)
    assert words(model, request(1)) == "two"
    assert failure(model, request(2)) == ("ModelErrorException", 0)
    assert failure(model, request(2)) == ("ValidationException", 0)


def test_a_script_that_has_ended_says_so() -> None:
    with pytest.raises(ModelError, match=r"demo: script ended\. It has no turn 2") as caught:
        ScriptModel.of([{"say": "one"}], "demo").reply(request(1), "m")

    assert caught.value.code == "ValidationException"


def test_a_step_says_calls_stops_and_costs_what_it_is_told() -> None:
    call = {"tool": "a", "arguments": "{not json", "id": ""}
    model = ScriptModel.of(
        [
            {"call": [call, {"tool": "b"}], "stop": "max_tokens", "usage": {"inputTokens": 1}, "latency_ms": 250},
            {"stop": "guardrail_intervened", "usage": {}},
            {"raw": {"anything": [None]}},
        ]
    )

    first = model.reply(request(0), "m")
    assert [block["toolUse"] for block in first.body["output"]["message"]["content"]] == [
        {"toolUseId": "", "name": "a", "input": "{not json"},
        {"toolUseId": "script-1-2", "name": "b", "input": {}},
    ]
    assert (first.body["stopReason"], first.body["usage"], first.wait_s) == ("max_tokens", {"inputTokens": 1}, 0.25)
    assert first.body["metrics"] == {"latencyMs": 250}
    second = model.reply(request(1), "m").body
    assert (second["output"]["message"]["content"], second["stopReason"]) == ([], "guardrail_intervened")
    assert "usage" not in second
    assert model.reply(request(2), "m").body == {"anything": [None]}


def test_the_reckoned_usage_is_always_the_same_and_grows_with_the_text() -> None:
    model = ScriptModel.of([{"say": "x" * 400}])
    short, again, long = (model.reply(request(0, text), "m").body["usage"] for text in ("Hi", "Hi", "Hi" * 100))

    assert short == again
    assert long["inputTokens"] > short["inputTokens"]
    assert short["outputTokens"] >= 100


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_script_is_read_from_yaml_and_json(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"script{suffix}"
    path.write_text(json.dumps({"turns": [{"say": "hello"}]}))

    assert words(ScriptModel.read(path), request(0)) == "hello"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("turns: [{say: 1}]", "turns.0.say"),
        ("turns: [{say: a}, {cal: []}]", "turns.1.cal"),
        ("turns: [{call: [{arguments: {}}]}]", "turns.0.call.0.tool"),
        ("turns: [{error: Teapot}]", "turns.0.error"),
        ("turns: [{say: a, error: ThrottlingException}]", "exactly one of"),
        ("turns: [{}]", "exactly one of"),
        ("turns: [{hang_s: 0}]", "turns.0.hang_s"),
        ("turns: []", "turns"),
        ("turns", "is empty, or no mapping"),
        ("turns: [", "neither YAML nor JSON"),
        ("turns: [{say: a, at: 2020-01-01}]", "JSON does not have"),
    ],
)
def test_a_bad_script_is_refused_with_file_step_and_field(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    with pytest.raises(InvalidInput) as caught:
        ScriptModel.read(path)

    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)


def test_agents_that_hand_a_run_over_go_on_in_one_script() -> None:
    model = ScriptModel.of([{"say": "one"}, {"say": "two"}, {"error": "ThrottlingException"}, {"say": "three"}])

    def asked(agent: str, text: str, taken: int, run: str = "run-a") -> str:
        messages = [{"role": "user", "content": [{"text": text}]}]
        messages += [{"role": "assistant", "content": []}, {"role": "user", "content": []}] * taken
        named = {"requestMetadata": {"run": run, "agent": agent}}
        return str(model.reply({"messages": messages, **named}, "m").body["output"]["message"]["content"][0]["text"])

    assert [asked("triage", "Hi", 0), asked("triage", "Hi", 1), asked("triage", "Hi", 1)] == ["one", "two", "two"]
    with pytest.raises(ModelError):
        asked("billing", "Hi, and what was done", 0)
    assert asked("billing", "Hi, and what was done", 0) == "three"
    assert asked("triage", "Hi", 0, run="run-b") == "one"
    assert asked("triage", "Hi", 1) == "two"  # a late attempt at the turn before


def test_a_cache_point_that_moves_on_makes_no_other_conversation() -> None:
    model = ScriptModel.of([{"say": "one"}, {"error": "ThrottlingException"}, {"say": "two"}, {"say": "three"}])
    point, wrapped = {"cachePoint": {"type": "default"}}, {"guardContent": {"text": {"text": "Hi"}}}

    def asked(taken: int, *first: dict[str, object]) -> str:
        messages: list[dict[str, object]] = [{"role": "user", "content": list(first)}]
        messages += [{"role": "assistant", "content": []}, {"role": "user", "content": [point]}] * taken
        named = {"requestMetadata": {"run": "run-a", "agent": "triage"}}
        return str(model.reply({"messages": messages, **named}, "m").body["output"]["message"]["content"][0]["text"])

    assert asked(0, {"text": "Hi"}, point) == "one"
    with pytest.raises(ModelError):
        asked(1, {"text": "Hi"})
    assert asked(1, {"text": "Hi"}, point) == "two"
    assert asked(2, wrapped) == "three"


def test_the_steps_that_nobody_asked_for_are_known_by_their_numbers() -> None:
    model = ScriptModel.of([{"say": "one"}, {"error": "ThrottlingException"}, {"say": "two"}, {"say": "three"}])

    words(model, request(0))
    assert model.left_over() == [1, 2, 3]
    failure(model, request(1))
    words(model, request(1))

    assert model.left_over() == [3]
