"""A run whose model changes: the bound covers every prompt, an estimate says what fits, a refusal asks another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ballast.contracts import Limits
from ballast.money.breaker import Mode
from functions.agent.request import converse_request
from tests.functions.agent.test_requests import USE, asks, catalog, ledger, parsed
from tests.functions.breakers import by_hand
from tests.functions.endpoint import Endpoint, fails, reads, says
from tests.functions.stack import Stack
from tests.functions.variants import ledger_with, with_models
from tests.support.runs import Story
from tests.support.sampling import examples

FIRST = "anthropic.claude-3-5-sonnet-20240620-v1:0"
OTHER = "eu.amazon.nova-lite-v1:0"
ROOM = Limits(input_tokens_per_turn=10**7, tokens_per_run=10**9, cost_microusd=10**12, tokens_per_turn=500)
#: Long enough that a text which is not counted is more than the marks around the others.
SAID = st.builds(lambda letter, times: letter * times, st.sampled_from("xé漢"), st.integers(0, 6_000))
PLAIN = {"context_window": 10**6, "max_output": 4_000}
TOLD = {"context_window": 10**6, "max_output": 4_000, "tool_schema": {"root_keys": ["type", "properties"]}}


@settings(deadline=None, max_examples=examples(15, 60), suppress_health_check=[HealthCheck.too_slow])
@given(
    turns=st.lists(
        st.tuples(st.sampled_from("ab"), SAID, SAID, st.booleans()),
        min_size=2,
        max_size=6,
    )
)
def test_whichever_model_is_asked_when_the_bound_and_the_reservation_cover_a_token_for_each_byte(
    turns: list[tuple[str, str, str, bool]],
) -> None:
    """The worst tokenizer makes a token of each byte; a count of it stands for all that came before, or is missing."""
    models = catalog(a=PLAIN, b=TOLD)
    story = Story(limits=ROOM).opened()
    for turn, (name, said, result, counted) in enumerate(turns, 1):
        requested = asks(story, turn, f"acme.{name}", models, ledger())
        request = converse_request(story.run, requested, stack="desk")
        texts = [list(texts_in(request.get(part))) for part in ("system", "messages", "toolConfig")]
        worst = sum(len(one.encode()) for part in texts for one in part)
        assert requested.prompt_bound is not None
        assert requested.prompt_bound >= worst
        assert requested.reserved_microusd * 10**6 >= worst + requested.max_tokens  # each class costs 1 of a millionth
        usage = {"usage": {"inputTokens": worst, "outputTokens": 4 * len(said.encode()) + 200}} if counted else {}
        message = {"role": "assistant", "content": parsed([{"text": "." + said}, USE])}
        story.replies(
            story.record(requested), {"output": {"message": message}, "stopReason": "tool_use"} | usage, cost=10**9
        )
        story.executes(turn, 1, "ok", {"text": result})


def texts_in(part: Any) -> Any:
    """Yield the texts in a part of a request."""
    if isinstance(part, str):
        yield part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from texts_in(one)


def test_a_models_own_older_count_bounds_more_than_the_bytes_do() -> None:
    models, story = catalog(a=PLAIN, b=PLAIN), Story(limits=ROOM).opened()
    bounds = []
    for turn, name in enumerate("abab", 1):
        requested = asks(story, turn, f"acme.{name}", models, ledger())
        bounds.append(requested.prompt_bound or 0)
        content = [{"text": "word " * 8_000}, USE]
        body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use"}
        story.replies(story.record(requested), body | {"usage": {"inputTokens": 8_000 * turn, "outputTokens": 9_000}})
        story.executes(turn, 1, "ok", {"n": 1})

    assert 40_000 < bounds[1] < 60_000  # nothing is counted for b: the bytes
    assert bounds[2] < 17_000 + 50_000  # its own count of turn 1 and what came since
    assert bounds[3] < 25_000 + 55_000


# An estimate says what fits


def long_run(stack: Stack, model: Endpoint, **opened: Any) -> str:
    """Open a run, and let the model say 120 KB in its first turn, which it counts as 30,000 tokens."""
    run_id = stack.open(**opened)
    spoken = {"text": "These are words of it. " * 5_200}
    asked = reads("n-1", usage={"inputTokens": 1_000, "outputTokens": 30_000})
    body = json.loads(asked.body)
    body["output"]["message"]["content"].insert(0, spoken)
    model.will(type(asked)(json.dumps(body).encode()))
    stack.plan(run_id)
    stack.execute(run_id)
    return run_id


def own_models(tmp_path: Path, window: int, **fields: Any) -> str:
    """Return a playbook in which ``OTHER`` has that window."""
    return with_models(ledger_with(tmp_path, **fields), {"models": {OTHER[3:]: {"context_window": window}}})


def asked_models(stack: Stack, run_id: str) -> list[str]:
    return [event.body["gen_ai.request.model"] for event in stack.events(run_id) if event.name == "model.requested"]


@pytest.mark.parametrize(("window", "asked"), [(60_000, OTHER), (20_000, FIRST)])
def test_a_cheaper_model_is_asked_if_the_run_fits_it_and_else_the_usual_one_stays(
    stack: Stack, model: Endpoint, tmp_path: Path, window: int, asked: str
) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = own_models(tmp_path, window, cheaper_model=OTHER)
    run_id = long_run(stack, model, text="Look.")
    by_hand(stack, Mode.CHEAPER)
    model.will(says("Done."))

    assert stack.plan(run_id, 2)["kind"] == "answer"

    requested = stack.body(run_id, "0002.model.requested")
    assert asked_models(stack, run_id) == [FIRST, asked]
    assert requested["gen_ai.request.max_tokens"] == 500
    assert ("window" in str(requested.get("passed_over"))) == (asked == FIRST)
    if asked == OTHER:
        assert requested["input_tokens_bound"] > 100_000  # the reservation still counts each byte


def test_a_second_model_that_the_run_does_not_fit_takes_no_attempt_from_the_first(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = own_models(tmp_path, 20_000, second_model=OTHER)
    run_id = long_run(stack, model, text="Look.")
    model.will(*[fails(503, "ServiceUnavailableException")] * 3, says("Done."))
    for _ in range(3):
        with pytest.raises(Exception, match="attempt"):
            stack.plan(run_id, 2)

    assert stack.plan(run_id, 2)["kind"] == "answer"

    assert asked_models(stack, run_id) == [FIRST] * 5


# A refusal of the model


OF_MODEL = [
    (404, "ResourceNotFoundException", "This model version has reached the end of its life."),
    (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    (400, "ValidationException", "The provided model identifier is invalid."),
    (400, "ValidationException", "Invocation of model ID x with on-demand throughput isn\u2019t supported."),
    (400, "ValidationException", "This model doesn't support tool use."),
    (400, "ValidationException", "`temperature` is deprecated for this model."),
    (400, "ValidationException", "Malformed input request: #: extraneous key [topK] is not permitted"),
    (400, "ServiceQuotaExceededException", "No."),
    (404, "", "Not found."),
]
OF_CONTENT = [
    (400, "ValidationException", "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    (400, "ValidationException", "The text field in the ContentBlock object at messages.0.content.0 is blank."),
    (400, "ValidationException", "messages.0.content.1.image.source.base64.data: Could not process image"),
    (403, "ExpiredTokenException", "The security token included in the request is expired"),
    (403, "InvalidSignatureException", "Signature expired"),
]


@pytest.mark.sampled
@pytest.mark.parametrize(("status", "code", "message"), OF_MODEL)
@pytest.mark.parametrize("place", ["second_model", "cheaper_model"])
def test_a_refusal_of_the_model_asks_the_other_one_at_once(
    stack: Stack, model: Endpoint, tmp_path: Path, place: str, status: int, code: str, message: str
) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = own_models(tmp_path, 200_000, **{place: OTHER})
    run_id = stack.open(text="Look.")
    if place == "cheaper_model":
        by_hand(stack, Mode.CHEAPER)
    model.will(fails(status, code, message), says("Done."))

    assert stack.plan(run_id)["kind"] == "answer"

    order = [FIRST, OTHER]
    assert asked_models(stack, run_id) == (order if place == "second_model" else order[::-1])
    assert stack.body(run_id, "0001.model.failed")["cost_microusd"] == 0


@pytest.mark.parametrize(("status", "code", "message"), OF_CONTENT)
def test_a_refusal_of_the_content_or_the_caller_ends_the_agent(
    stack: Stack, model: Endpoint, tmp_path: Path, status: int, code: str, message: str
) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = own_models(tmp_path, 200_000, second_model=OTHER)
    run_id = stack.open(text="Look.")
    model.will(fails(status, code, message))

    assert stack.plan(run_id)["reason"] == "model_refused"

    assert asked_models(stack, run_id) == [FIRST]


@pytest.mark.parametrize(("window", "answered"), [(200_000, False), (200_001, True)])
def test_what_is_too_long_for_a_model_goes_to_one_with_a_larger_window(
    stack: Stack, model: Endpoint, tmp_path: Path, window: int, answered: bool
) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = own_models(tmp_path, window, second_model=OTHER)
    run_id = stack.open(text="Look.")
    model.will(fails(400, "ValidationException", "Input is too long for requested model."), says("Done."))

    summary = stack.plan(run_id)

    assert (summary["kind"] == "answer") == answered
    assert answered or summary["reason"] == "model_context_window_exceeded"
    assert asked_models(stack, run_id) == [FIRST, OTHER][: 1 + answered]


def test_a_model_that_refuses_is_not_asked_again_while_the_other_one_is_waited_for(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = own_models(tmp_path, 200_000, second_model=OTHER)
    run_id = stack.open(text="Look.")
    model.will(fails(404, "ResourceNotFoundException"), fails(429, "ThrottlingException"), says("Done."))
    with pytest.raises(Exception, match="attempt 2"):
        stack.plan(run_id)

    assert stack.plan(run_id)["kind"] == "answer"

    assert asked_models(stack, run_id) == [FIRST, OTHER, OTHER]
