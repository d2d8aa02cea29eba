"""A recorded run's completions are replayed in order."""

from typing import Any

import pytest

from ballast.errors import InvalidInput
from localcloud.converse import ModelError, RecordedModel

RUN = "run-" + "a" * 24


def entry(seq: str, **body: Any) -> dict[str, Any]:
    return {"run_id": RUN, "seq": seq, "at": "2031-05-06T12:00:00+00:00", "body": body}


def responded(seq: str, text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": [{"text": text}]}
    return entry(seq, message=message, stop_reason="end_turn", **more)


def asked(turns: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": []}, *[{"role": "assistant", "content": []}] * turns]}


def test_completions_come_in_the_order_of_the_work() -> None:
    usage = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 3}
    log = [
        responded("0010.model.responded", "two"),
        entry("0000.run.opened"),
        responded("0002.model.2.responded", "one", **usage),
    ]
    model = RecordedModel.of(log)

    first, second = model.reply(asked(0), "m").body, model.reply(asked(1), "m").body

    assert first["output"]["message"]["content"] == [{"text": "one"}]
    assert first["usage"] == {"inputTokens": 5, "outputTokens": 2, "cacheReadInputTokens": 3}
    assert second["output"]["message"]["content"] == [{"text": "two"}]
    assert second["usage"]["inputTokens"] > 0


def test_bytes_go_over_the_wire_as_base64() -> None:
    block = {"reasoningContent": {"redactedContent": {"$bytes": "aGk="}}}
    log = [entry("0001.model.responded", message={"content": [block]}, stop_reason="end_turn")]

    content = RecordedModel.of(log).reply(asked(0), "m").body["output"]["message"]["content"]

    assert content == [{"reasoningContent": {"redactedContent": "aGk="}}]


def test_beyond_its_end_a_recorded_run_says_so() -> None:
    with pytest.raises(ModelError, match="has 1 completions"):
        RecordedModel.of([responded("0001.model.responded", "one")]).reply(asked(1), "m")


@pytest.mark.parametrize(
    ("log", "words"),
    [([entry("0000.run.opened")], "has no completion"), ([{"seq": "x"}], "Event 1 of the log is not valid: run_id")],
)
def test_a_log_that_cannot_be_replayed_is_refused(log: list[Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        RecordedModel.of(log)
