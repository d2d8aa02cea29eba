"""Prompt caching: where points stand, that prefixes keep their bytes, what is reserved and what is charged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import ExitReason, HandOver, Limits, Planner, RunRequest
from ballast.errors import PlaybookInvalid
from ballast.log.events import Charged, ModelRequested, SentAs
from ballast.models.card_file import CardFile
from ballast.models.catalog import Catalog
from ballast.money import TokenCounts
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.agent import AgentConfig, Intent, read_agent
from ballast.playbook.first_prompt import why_no_attempt
from ballast.playbook.inference import Caching
from functions.agent.loops import detected_loops
from functions.agent.prompt import compose
from functions.agent.reply import read_completion
from functions.agent.request import converse_request
from functions.agent.usage import ReadUsage, charge_of, checked_usage
from localcloud.converse import PromptCache, Strict
from localcloud.converse.rules import refused
from localcloud.converse.source import CallableModel, said
from tests.functions.cloud import LEDGER
from tests.functions.endpoint import Endpoint, says
from tests.functions.stack import Stack
from tests.support.runs import STARTED, Story, wants

ROOT = Path(__file__).resolve().parents[3]
MODEL = "acme.a"
CLAUDES = {"places": ["tools", "system", "messages"], "least_tokens": 1}
NOVAS = {"places": ["system", "messages"], "least_tokens": 1}
RATES = {
    "input": 1_000_000,
    "output": 5_000_000,
    "cache_read": 100_000,
    "cache_write_5m": 1_250_000,
    "cache_write_1h": 2_000_000,
}
READS = wants(("read_note", {"note_id": "n-1"}))


def catalog(cache: Mapping[str, Any] | None, **facts: Any) -> Catalog:
    """Return the catalog of one model, with those facts of its cache points."""
    usual = {"name": "A", "context_window": 200_000, "max_output": 4_000, "cache": cache}
    usual["prices"] = [{"version": "1", **RATES}]
    return Catalog(CardFile(vendor="Acme", as_of=date(2026, 11, 29), models={MODEL: {**usual, **facts}}))


def playbook(**agent: Any) -> Playbook:
    made = load_playbook(LEDGER, check_models=False)
    return replace(made, agent=made.agent.model_copy(update=agent))


def asks(story: Story, turn: int, models: Catalog, of: Playbook, *, attempt: int = 1) -> ModelRequested:
    """Return the next attempt, as the agent composes it."""
    run = story.run
    requested = compose(
        run,
        turn,
        attempt=attempt,
        priced=models.price(MODEL, on=date.max),
        card=models.card(MODEL),
        playbook=of,
        loops=detected_loops(run, of),
        shown=lambda body: body,
    )
    assert isinstance(requested, ModelRequested), requested
    return requested


def conversation(
    models: Catalog, of: Playbook, turns: int, *, limits: Limits | None = None, results: Any = "Buy milk."
) -> Iterator[tuple[ModelRequested, dict[str, Any]]]:
    """Yield each turn's attempt and request in a run that reads a note again and again."""
    story = Story(limits=limits or Limits()).opened()
    for turn in range(1, turns + 1):
        requested = asks(story, turn, models, of)
        yield requested, converse_request(story.run, requested, stack="desk")
        story.replies(story.record(requested), READS)
        story.executes(turn, 1, "ok", {"turn": turn, "text": results})


def points(request: Mapping[str, Any]) -> list[str]:
    """Return the places of a request's cache points."""
    found = ["tools"] * ("cachePoint" in request.get("toolConfig", {}).get("tools", [{}])[-1])
    found += ["system"] * ("cachePoint" in request.get("system", [{}])[-1])
    for at, message in enumerate(request["messages"]):
        found += [f"messages.{at}" for block in message["content"] if "cachePoint" in block]
    return found


# Where points stand


def test_points_stand_after_tools_and_system_and_roll_with_the_messages() -> None:
    sent = [points(request) for _, request in conversation(catalog(CLAUDES), playbook(), 3)]

    assert sent == [
        ["tools", "system", "messages.0"],
        ["tools", "system", "messages.0", "messages.2"],
        ["tools", "system", "messages.2", "messages.4"],
    ]


@pytest.mark.parametrize(
    ("cache", "sent"),
    [
        (None, []),
        (NOVAS, ["system", "messages.2", "messages.4"]),
        ({**CLAUDES, "most_points": 3}, ["system", "messages.2", "messages.4"]),
        ({**CLAUDES, "most_points": 1}, ["messages.4"]),
        ({**CLAUDES, "after_results": False}, ["tools", "system", "messages.0"]),
        ({**CLAUDES, "places": ["messages"]}, ["messages.2", "messages.4"]),
        ({**CLAUDES, "least_tokens": 4_096}, []),
        # No more tokens than that are cached: the points stay where the prefix surely is not longer.
        ({**CLAUDES, "most_tokens": 50}, []),
    ],
)
def test_points_keep_to_the_models_card(cache: Any, sent: list[str]) -> None:
    models = catalog(cache)
    *_, (requested, request) = conversation(models, playbook(), 3)

    assert points(request) == sent
    assert list(requested.sent_as.cache_points or ()) == sent
    body = {name: value for name, value in request.items() if name != "modelId"}
    assert refused(json.loads(json.dumps(body)), MODEL, models) is None


AFTER_TEXTS = {**NOVAS, "after_results": False}


def only_after_texts(**facts: Any) -> Catalog:
    """Return the catalog of a model that takes a point only after a text, and texts beside results."""
    return catalog({**AFTER_TEXTS, **facts}, text_beside_results=True)


def taken(request: Mapping[str, Any], models: Catalog) -> bool:
    body = {name: value for name, value in request.items() if name != "modelId"}
    refusal = refused(json.loads(json.dumps(body, default=str)), MODEL, models)
    assert refusal is None, refusal
    return True


def test_where_a_point_stands_only_after_a_text_each_message_of_results_ends_with_the_same_one() -> None:
    models = only_after_texts()
    sent = list(conversation(models, playbook(), 4))

    assert [points(request) for _, request in sent] == [
        ["system", "messages.0"],
        ["system", "messages.0", "messages.2"],
        ["system", "messages.2", "messages.4"],
        ["system", "messages.4", "messages.6"],
    ]
    for (_, request), (_, after) in pairwise(sent):
        assert taken(request, models)
        assert cached_prefixes(after)[-2] == cached_prefixes(request)[-1]
    for message in sent[-1][1]["messages"][2::2]:
        kinds = [next(iter(block)) for block in message["content"] if "cachePoint" not in block]
        assert kinds == ["toolResult", "text"]


@pytest.mark.parametrize(
    ("agent", "facts", "card"),
    [
        ({"cache": False}, AFTER_TEXTS, {"text_beside_results": True}),
        ({}, {**AFTER_TEXTS, "places": ["system"]}, {"text_beside_results": True}),
        ({}, {**AFTER_TEXTS, "after_results": True}, {"text_beside_results": True}),
        ({}, AFTER_TEXTS, {"text_beside_results": False}),
        ({}, None, {"text_beside_results": True}),
    ],
)
def test_no_text_is_added_where_it_makes_no_place_for_a_point(agent: Any, facts: Any, card: Any) -> None:
    models = catalog(facts, **card)
    for _, request in conversation(models, playbook(**agent), 3):
        assert taken(request, models)
        for message in request["messages"][2::2]:
            assert [block for block in message["content"] if "text" in block] == []


@pytest.mark.parametrize(
    ("beside", "kinds", "sent"),
    [
        (True, ["toolResult", "text", "cachePoint"], ["system", "messages.0", "messages.2"]),
        (False, ["toolResult"], ["system", "messages.0"]),
    ],
)
def test_a_message_of_results_with_a_text_gets_no_second_one(beside: bool, kinds: list[str], sent: list[str]) -> None:
    models, story = catalog(AFTER_TEXTS, text_beside_results=beside), Story().opened()
    story.replies(story.record(asks(story, 1, models, playbook())), READS)
    story.executes(1, 1, "ok", {"text": "Buy milk."})
    story.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP))
    story.person(3, HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Look again."))

    request = converse_request(story.run, asks(story, 4, models, playbook()), stack="desk")

    assert [next(iter(block)) for block in request["messages"][-1]["content"]] == kinds
    assert points(request) == sent
    assert taken(request, models)


def test_the_text_after_results_is_counted_in_the_prompts_size_and_bound() -> None:
    with_text, without = (
        [requested for requested, _ in conversation(models, playbook(), 3)]
        for models in (only_after_texts(), catalog(NOVAS, text_beside_results=True))
    )

    more = [one.sent_bytes - other.sent_bytes for one, other in zip(with_text, without, strict=True)]
    bounds = [
        (one.prompt_bound or 0) - (other.prompt_bound or 0) for one, other in zip(with_text, without, strict=True)
    ]
    size = len('{"text":"Continue."},')
    assert (more, bounds) == ([0, size, 2 * size], [0, size, 2 * size])


def test_a_count_of_a_prompt_in_another_form_bounds_no_later_one() -> None:
    before, after = catalog(NOVAS, text_beside_results=True), only_after_texts()
    story = Story().opened()
    for turn in (1, 2):
        requested = asks(story, turn, before, playbook())
        story.replies(story.record(requested), {**READS, "usage": {"inputTokens": 900, "outputTokens": 9}})
        counted = story.written[-1]
        story.written[-1] = counted.model_copy(update={"body": {**counted.body, "gen_ai.request.model": MODEL}})
        story.executes(turn, 1, "ok", {"text": "Buy milk."})

    same, other = (asks(story, 3, models, playbook()).prompt_bound or 0 for models in (before, after))

    assert same < 2_000
    assert other > asks(story, 3, after, playbook()).sent_bytes > same


def test_a_prefix_that_is_surely_too_short_gets_no_point_of_its_own() -> None:
    models, made = catalog({**CLAUDES, "least_tokens": 3_000}), playbook(instructions="x" * 20_000)
    (requested, _), *_ = conversation(models, made, 1)

    assert requested.sent_as.cache_points == ("system", "messages.0")


def with_a_picture() -> Story:
    """Return an opened run whose request came with a picture."""
    story = Story()
    name, sha256 = "receipt", "0" * 64
    key = f"attachments/acme/{story.request.run_id}/{sha256}"
    picture = {
        "name": name,
        "format": "png",
        "bytes": 90_000,
        "sha256": sha256,
        "key": key,
        "width": 900,
        "height": 900,
    }
    story.opened()
    (opened,) = story.written
    story.written = [opened.model_copy(update={"body": {**opened.body, "attachments": [picture]}})]
    return story


PICTURES = {"formats": ["png"], "most": 9, "most_bytes": 10**6}


def test_a_prompt_of_a_picture_and_few_words_is_not_surely_too_short() -> None:
    models = catalog({**CLAUDES, "least_tokens": 4_096}, images=PICTURES)

    assert asks(with_a_picture(), 1, models, playbook()).sent_as.cache_points == ("messages.0",)


@pytest.mark.parametrize(
    ("cache", "last"), [(CLAUDES, ["image", "cachePoint"]), (AFTER_TEXTS, ["cachePoint", "image"])]
)
def test_a_point_stands_before_a_picture_where_it_stands_only_after_a_text(cache: Any, last: list[str]) -> None:
    models, story = catalog(cache, images=PICTURES), with_a_picture()

    request = converse_request(story.run, asks(story, 1, models, playbook()), stack="desk")

    assert [next(iter(block)) for block in request["messages"][0]["content"]][-2:] == last


def test_points_stop_rolling_where_the_model_caches_no_more_tokens() -> None:
    sent = [
        points(request)
        for _, request in conversation(catalog({**NOVAS, "most_tokens": 3_000}), playbook(), 4, results="x" * 3_000)
    ]

    assert sent[1:] == [["system", "messages.0", "messages.2"]] * 3


@pytest.mark.parametrize(
    ("agent", "cache", "ttl"),
    [
        ({}, {}, None),
        ({"cache": Caching(ttl="1h")}, {"ttls": ["5m", "1h"]}, "1h"),
        ({"cache": Caching(ttl="1h")}, {"ttls": ["5m"]}, None),
        ({"cache": Caching(ttl="5m")}, {"ttls": ["5m", "1h"]}, None),
    ],
)
def test_a_point_lives_as_long_as_the_playbook_says_where_the_model_takes_it(agent: Any, cache: Any, ttl: Any) -> None:
    (requested, request), *_ = conversation(catalog({**CLAUDES, **cache}), playbook(**agent), 1)

    assert request["system"][-1]["cachePoint"] == {"type": "default"} | ({"ttl": ttl} if ttl else {})
    assert requested.sent_as.cache_ttl == (ttl or "5m")


@pytest.mark.parametrize("agent", [{"cache": False}, {}])
def test_nothing_is_cached_where_it_is_off_or_no_second_request_is_expected(agent: Any) -> None:
    limits = Limits() if agent else Limits(turns=1)
    (requested, request), *_ = conversation(catalog(CLAUDES), playbook(**agent), 1, limits=limits)

    assert points(request) == []
    assert requested.sent_as.cache_points == ()


def test_nothing_is_cached_for_an_intent_without_tools() -> None:
    without = replace(playbook(), tools={})
    (_, request), *_ = conversation(catalog(CLAUDES), without, 1)

    assert (points(request), "toolConfig" in request) == ([], False)


def test_the_last_turn_reads_what_earlier_turns_wrote_and_writes_nothing_for_a_next_one() -> None:
    sent = [points(request) for _, request in conversation(catalog(NOVAS), playbook(), 3, limits=Limits(turns=3))]

    assert sent[1:] == [["system", "messages.0", "messages.2"], ["system", "messages.0", "messages.2"]]


def test_a_second_attempt_at_the_last_turn_is_the_last_one_too() -> None:
    models, story = catalog(NOVAS), Story(limits=Limits(turns=2)).opened()
    story.replies(story.record(asks(story, 1, models, playbook())), READS)
    story.executes(1, 1, "ok", {"text": "Buy milk."})
    first = story.record(asks(story, 2, models, playbook()))
    story.breaks(first, ExitReason.MODEL_THROTTLED)

    assert asks(story, 2, models, playbook(), attempt=2).sent_as.cache_points == ("system", "messages.0")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Caching()),
        ("cache: on", Caching()),
        ("cache: off", False),
        ("cache: {ttl: 1h}", Caching(ttl="1h")),
        ("cache: {ttl: 2h}", None),
        ("cache: 1h", None),
    ],
)
def test_one_line_of_agent_yaml_says_how_prompts_are_cached(tmp_path: Path, line: str, expected: Any) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(f"name: tester\nmodel: m\ninstructions: Keep notes.\n{line}\n")

    if expected is None:
        with pytest.raises(PlaybookInvalid, match="cache"):
            read_agent(file)
    else:
        assert read_agent(file).cache == expected


# Prefixes keep their bytes


def cached_prefixes(request: Mapping[str, Any]) -> list[str]:
    """Return the prompt up to each of its cache points, as it is sent."""
    before: list[Any] = []
    found = []
    for block in (
        *request.get("toolConfig", {}).get("tools", []),
        *request.get("system", []),
        *(block for message in request["messages"] for block in ({"role": message["role"]}, *message["content"])),
    ):
        if "cachePoint" in block:
            found.append(json.dumps(before))
        else:
            before.append(block)
    return found


#: Prints each prefix of four turns of two runs, by a process of its own.
_PRINTS = """
import json
from tests.functions.agent.test_caching import CLAUDES, cached_prefixes, catalog, conversation, playbook
made = conversation(catalog(CLAUDES), playbook(), 4, results={"b": {"z": 1, "a": "é"}, "a": None})
print(json.dumps([cached_prefixes(request) for _, request in made]))
"""


def test_each_process_sends_the_same_bytes_and_each_turn_begins_with_what_the_turn_before_cached() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", _PRINTS],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    turns = json.loads(printed[0])

    assert printed[0] == printed[1]
    assert len({tuple(prefixes[:2]) for prefixes in turns}) == 1  # tools; tools and system
    assert [after[2] for after in turns[1:]] == [before[-1] for before in turns[:-1]]


def test_the_prefix_does_not_hold_what_varies_between_requests() -> None:
    texts = ("Where is my order O-1?", "Cancel it.")
    stories = [
        Story(request=RunRequest(request_id=f"r-{at}", tenant=f"t-{at}", text=text)).opened()
        for at, text in enumerate(texts)
    ]
    first, second = (
        converse_request(story.run, asks(story, 1, catalog(CLAUDES), playbook()), stack="desk") for story in stories
    )

    assert cached_prefixes(first)[:2] == cached_prefixes(second)[:2]
    assert cached_prefixes(first)[2] != cached_prefixes(second)[2]


def test_a_forbidden_tool_does_not_rewrite_the_prefix() -> None:
    made = playbook(limits=Limits(turns=12))
    sent = list(conversation(catalog(CLAUDES), made, 8, limits=Limits(turns=12)))

    assert any(requested.loop_signals for requested, _ in sent)  # the same call again and again
    assert len({tuple(cached_prefixes(request)[:2]) for _, request in sent}) == 1
    assert all("tools" not in one.model_fields_set for one, _ in sent[1:])


def test_an_intent_with_fewer_writing_tools_has_a_prefix_of_its_own() -> None:
    made = playbook(intents={"narrow": Intent(writes=())})
    wide, narrow = (
        converse_request(story.run, asks(story, 1, catalog(CLAUDES), made), stack="desk")
        for story in (
            Story(request=RunRequest(request_id="r", text="Note it.", intent=intent)).opened()
            for intent in (None, "narrow")
        )
    )

    assert len(narrow["toolConfig"]["tools"]) < len(wide["toolConfig"]["tools"])


# Money


@pytest.mark.parametrize(
    ("agent", "cache", "rate"),
    [
        ({}, CLAUDES, "cache_write_5m"),
        ({"cache": Caching(ttl="1h")}, {**CLAUDES, "ttls": ["5m", "1h"]}, "cache_write_1h"),
        ({"cache": False}, CLAUDES, "input"),
        ({}, {**CLAUDES, "least_tokens": 4_096}, "input"),
        ({}, {**CLAUDES, "most_tokens": 50}, "input"),  # no place for a point
        ({}, None, "cache_write_1h"),  # such a model may cache by itself
    ],
)
def test_an_attempt_is_reserved_at_the_dearest_class_that_it_can_meet(agent: Any, cache: Any, rate: str) -> None:
    models, made = catalog(cache), playbook(**agent)
    (requested, _), *_ = conversation(models, made, 1)

    bound = requested.prompt_bound or 0
    assert requested.reserved_microusd == -(-bound * RATES[rate] // 1_000_000) + requested.max_tokens * 5
    request, price, card = Story().request, models.price(MODEL, on=date.max).price(), models.card(MODEL)
    assert why_no_attempt(made, request, Limits(cost_microusd=requested.reserved_microusd), price, card) is None


def answers_in_turn(request: Mapping[str, Any], model: str) -> Any:
    """Call a tool, with one estimate of the prompt: the double counts one with cache points by block, others whole."""
    call = {"toolUse": {"toolUseId": "1", "name": "read_note", "input": {"note_id": "n-1"}}}
    reply = said([call], "tool_use", request)
    counted = PromptCache(lambda: STARTED).used(request, model, None, looks_back=False).input
    usage = {
        **reply.body["usage"],
        "inputTokens": counted,
        "totalTokens": counted + reply.body["usage"]["outputTokens"],
    }
    return replace(reply, body={**reply.body, "usage": usage})


@settings(deadline=None, max_examples=25)
@given(
    miss_one_in=st.integers(1, 4),
    seed=st.integers(0, 99),
    turns=st.integers(1, 6),
    size=st.integers(0, 4_000),
    ttl=st.sampled_from([None, "1h"]),
    least=st.sampled_from([1, 300, 1_024]),
)
def test_no_attempt_costs_more_than_its_reservation_however_often_the_cache_misses(
    miss_one_in: int, seed: int, turns: int, size: int, ttl: Any, least: int
) -> None:
    models = catalog({**CLAUDES, "least_tokens": least, "ttls": ["5m", "1h"]})
    made, story = playbook(cache=Caching(ttl=ttl)), Story(limits=Limits(turns=8)).opened()
    cache = PromptCache(lambda: STARTED, miss_one_in=miss_one_in, seed=seed)
    model = Strict(CallableModel(answers_in_turn), models=models, cache=cache)
    for turn in range(1, turns + 1):
        requested = asks(story, turn, models, made)
        request = converse_request(story.run, requested, stack="desk")
        body = json.loads(json.dumps({name: value for name, value in request.items() if name != "modelId"}))
        reply = model.reply(body, MODEL).body
        charge = charge_of(requested, read_completion(reply, turn).usage, None, models)

        assert charge.usage_disbelieved is None
        assert charge.cost_microusd == models.price(MODEL, on=date.max).price().cost(tokens_in(charge))
        assert charge.cost_microusd <= requested.reserved_microusd
        assert bool(charge.cache_write_tokens) <= bool(requested.sent_as.cache_points)
        story.replies(story.record(requested), reply)
        story.executes(turn, 1, "ok", {"turn": turn, "text": "n" * size})


def tokens_in(charge: Charged) -> TokenCounts:
    written, kept = charge.cache_write_tokens or 0, charge.cache_write_1h_tokens or 0
    return TokenCounts(
        input=charge.input_tokens or 0,
        output=charge.output_tokens or 0,
        cache_read=charge.cache_read_tokens or 0,
        cache_write_5m=written - kept,
        cache_write_1h=kept,
    )


@pytest.mark.parametrize(
    ("form", "reported", "counted", "why"),
    [
        ({}, TokenCounts(10, 1, 20, 30, 40), TokenCounts(10, 1, 20, 30, 40), None),
        ({"cache_points": ()}, TokenCounts(10, 1), TokenCounts(10, 1), None),
        (
            {"cache_points": ()},
            TokenCounts(10, 1, 20),
            TokenCounts(30, 1),
            "20 cached tokens of a prompt without cache points",
        ),
        (
            {"cache_points": ()},
            TokenCounts(10, 1, 20, 30, 40),
            TokenCounts(100, 1),
            "90 cached tokens of a prompt without cache points",
        ),
        ({"cache_points": ("system",), "cache_ttl": "5m"}, TokenCounts(1, 1, 2, 3), TokenCounts(1, 1, 2, 3), None),
        (
            {"cache_points": ("system",), "cache_ttl": "5m"},
            TokenCounts(1, 1, 2, 3, 4),
            TokenCounts(1, 1, 2, 7),
            "4 tokens written for an hour, where no cache point lives so long",
        ),
        ({"cache_points": ("system",), "cache_ttl": "1h"}, TokenCounts(1, 1, 2, 3), TokenCounts(1, 1, 2, 0, 3), None),
        (
            {"cache_points": ("system",), "cache_ttl": "5m"},
            TokenCounts(60, 1, 30, 20),
            TokenCounts(60, 1, 20, 20),
            "110 prompt tokens where 100 are possible",
        ),
    ],
)
def test_cached_tokens_that_no_point_allows_are_not_believed(
    form: Any, reported: TokenCounts, counted: TokenCounts, why: str | None
) -> None:
    requested = ModelRequested(turn=1, attempt=1, reserved_microusd=0, prompt_bound=100, sent_as=SentAs(**form))

    found = checked_usage(ReadUsage(reported), requested)

    assert found.tokens == counted
    assert found.why == why


@pytest.mark.parametrize(
    ("used", "saved", "percent"),
    [
        ({"cacheReadInputTokens": 0, "cacheWriteInputTokens": 1_000}, -750, 0),  # 3 micro-dollars a token, writes 3.75
        ({"cacheReadInputTokens": 900, "cacheWriteInputTokens": 50}, 2_392, 90),  # reads 0.3
        ({}, None, None),  # too short for the cache: no miss
    ],
)
def test_a_call_tells_what_the_cache_read_and_saved(
    stack: Stack, model: Endpoint, used: dict[str, int], saved: int | None, percent: float | None
) -> None:
    stack.environs["planner"]["MODEL_ID"] = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
    run_id = stack.open()
    prompt = 1_000 - sum(used.values())
    model.will(says("Done.", usage={"inputTokens": prompt, "outputTokens": 10, **used}))

    stack.plan(run_id)

    assert stack.body(run_id, "0001.model.responded").get("cache_saved_microusd") == saved
    [line] = stack.lines()
    assert line.get("CacheReadPercent") == (None if percent is None else [percent])


def test_a_cache_that_neither_reads_nor_writes_is_a_miss_where_the_prefix_is_surely_long_enough(
    stack: Stack, model: Endpoint
) -> None:
    stack.environs["planner"]["MODEL_ID"] = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"  # from 1,024 tokens on
    for text, counted in (("Tidy my notes.", 1_500), ("Tidy my notes. " * 200, 2_600)):
        model.will(says("Done.", usage={"inputTokens": counted, "outputTokens": 10}))
        stack.plan(stack.open(text=text))

    # Of the first prompt's tokens the provider's own may be the most: perhaps it was too short.
    assert [line.get("CacheReadPercent") for line in stack.lines()] == [None, [0]]


def test_cached_tokens_of_a_prompt_without_points_are_no_hit(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_ID"] = "global.anthropic.claude-haiku-4-5-20251001-v1:0"  # from 4,096 tokens on
    run_id = stack.open()
    model.will(says("Done.", usage={"inputTokens": 100, "outputTokens": 10, "cacheReadInputTokens": 900}))

    stack.plan(run_id)

    answered = stack.body(run_id, "0001.model.responded")
    assert "cached tokens" in answered["usage_disbelieved"]
    assert (answered["cost_microusd"], "cache_saved_microusd" in answered) == (1_050, False)
    assert all("CacheReadPercent" not in line for line in stack.lines())


def test_caching_is_on_by_default() -> None:
    assert AgentConfig(name="n", model="m", instructions="Keep notes.").cache == Caching()
