"""The values of --model."""

import json
from pathlib import Path

import pytest

from ballast.errors import InvalidInput
from local.converse import Bedrock, OpenAIModel, RecordedModel, ScriptModel, model_source

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


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")

    with pytest.raises(InvalidInput, match="is not JSON"):
        model_source(str(tmp_path / "x.json"))
