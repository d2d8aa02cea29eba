"""The request of each model, made from its card: Bedrock's double takes it, whatever the card and the run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ballast.contracts import ExitReason, HandOver, Limits, Planner
from ballast.folds.conversation import changed_prompts
from ballast.log.events import ModelRequested
from ballast.models.card_file import CardFile
from ballast.models.catalog import Catalog
from ballast.money.prices import CLASSES
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.agent import Guardrail
from ballast.playbook.inference import Inference
from ballast.run import Run
from functions.agent.converse import is_context_too_long
from functions.agent.loops import detected_loops
from functions.agent.prompt import compose
from functions.agent.request import converse_request
from localcloud.converse.rules import refused
from localcloud.converse.source import Reply, said
from localcloud.converse.strict import Strict
from tests.functions.cloud import LEDGER
from tests.functions.endpoint import Endpoint, reads, reply, says
from tests.functions.stack import Stack
from tests.support.runs import REQUEST, Story, asked_in
from tests.support.sampling import sampled

PLATFORM = Catalog()
_BUDGET = {"least": 1024, "additional_fields": {"thinking": {"type": "enabled", "budget_tokens": "$budget"}}}
_THINKING = st.none() | st.fixed_dictionaries(
    {
        "default": st.sampled_from(["no", "yes"]),
        "budget": st.sampled_from([None, _BUDGET]),
        "adaptive": st.sampled_from([None, {"additional_fields": {"thinking": {"type": "adaptive"}}}]),
        "given_back": st.sampled_from(["must", "may", "refused"]),
        "forbids": st.just(["temperature", "top_p", "forced_tool_choice"]),
    }
)
_DIALECT = st.sampled_from(
    [
        {"root_keys": None, "refs": True, "additional_properties": True},
        {"root_keys": ["type", "properties", "required"], "refs": False, "additional_properties": False},
        {"root_keys": None, "refs": False, "additional_properties": True, "unsupported": ["pattern", "title"]},
    ]
)
CARDS = st.fixed_dictionaries(
    {
        "system": st.booleans(),
        "temperature": st.booleans(),
        "top_p": st.booleans(),
        "temperature_with_top_p": st.booleans(),
        "thinking": _THINKING,
        "tool_schema": _DIALECT,
        "text_beside_results": st.booleans(),
        "result_status": st.booleans(),
        "result_json": st.booleans(),
        "strict_tools": st.booleans(),
        "structured_output": st.booleans(),
        "tool_use_id": st.sampled_from(["^[a-zA-Z0-9_-]{1,64}$", "^[a-zA-Z0-9]{9}$"]),
        "max_output": st.sampled_from([600, 4_000, 64_000]),
        "context_window": st.sampled_from([8_000, 200_000]),
        "cache": st.none()
        | st.fixed_dictionaries(
            {
                "places": st.lists(st.sampled_from(["tools", "system", "messages"]), min_size=1, unique=True),
                "least_tokens": st.sampled_from([1, 400]),
                "most_tokens": st.sampled_from([None, 1_000]),
                "most_points": st.integers(1, 4),
                "ttls": st.sampled_from([["5m"], ["5m", "1h"]]),
                "after_results": st.booleans(),
            }
        ),
    }
)
INFERENCE = st.builds(
    Inference,
    top_p=st.sampled_from([None, "0.9"]),
    thinking=st.sampled_from([None, False, 1_500, "adaptive"]),
    effort=st.sampled_from([None, "low"]),
    strict_tools=st.booleans(),
    structured_answers=st.booleans(),
)
REASONS = {"reasoningContent": {"reasoningText": {"text": "Look first.", "signature": "c2ln"}}}
USE = {"toolUse": {"toolUseId": "1", "name": "read_note", "input": {"note_id": "n-1"}}}
SERVER = [
    {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
    {"toolResult": {"toolUseId": "s", "content": [{"text": "Found."}]}},
]
CITED = {"citationsContent": {"content": [{"text": "It is in stock."}], "citations": []}}
CONTENTS = st.sampled_from(
    [[USE], [REASONS, USE, USE], [{"text": "I look."}, USE], [*SERVER, CITED, USE], [REASONS, {"text": "Hm."}, USE]]
)
#: What happens to each call, and whether a person hands back with guidance afterwards.
OUTCOMES = st.sampled_from(["ok", "failed", "refused", "denied"])


@cache
def ledger() -> Playbook:
    return load_playbook(LEDGER, check_models=False)


def catalog(**cards: dict[str, Any]) -> Catalog:
    """Return the catalog of models ``acme.NAME``."""
    common = {"prices": [{"version": "1"} | dict.fromkeys(CLASSES, 1)]}
    models = {f"acme.{name}": {**common, "name": name, **facts} for name, facts in cards.items()}
    return Catalog(CardFile(vendor="Acme", as_of=date(2026, 11, 29), models=models))


def asks(story: Story, turn: int, model: str, models: Catalog, playbook: Playbook) -> ModelRequested:
    """Record the next attempt as the agent does."""
    run = story.run
    requested = compose(
        run,
        turn,
        attempt=1,
        priced=models.price(model, on=date.max),
        card=models.card(model),
        playbook=playbook,
        loops=detected_loops(run, playbook),
        shown=lambda body: body,
    )
    assert isinstance(requested, ModelRequested), requested
    return requested


def wire(request: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``converse`` as the body that botocore sends."""
    return {name: value for name, value in json.loads(json.dumps(request)).items() if name != "modelId"}


def parsed(content: list[Any]) -> Any:
    """Return JSON as it comes from a parser: no two blocks are the same object."""
    return json.loads(json.dumps(content))


def with_inference(inference: Inference) -> Playbook:
    return replace(ledger(), agent=ledger().agent.model_copy(update={"inference": inference}))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=CARDS,
    second=CARDS,
    inference=INFERENCE,
    turns=st.lists(st.tuples(st.sampled_from("ab"), CONTENTS, OUTCOMES, st.booleans()), min_size=1, max_size=4),
    last=st.sampled_from("ab"),
)
def test_a_model_takes_every_request_that_is_made_from_its_card(
    first: dict[str, Any], second: dict[str, Any], inference: Inference, turns: list[Any], last: str
) -> None:
    models, playbook = catalog(a=first, b=second), with_inference(inference)
    limits = Limits(tokens_per_turn=600)
    story, turn = Story(request=REQUEST, limits=limits).opened(), 0
    issued: dict[str, str] = {}
    for name, content, outcome, noted in [*turns, (last, [], "", False)]:
        turn, model = turn + 1, f"acme.{name}"
        requested = asks(story, turn, model, models, playbook)
        request = converse_request(story.run, requested, stack="desk")
        refusal = refused(wire(request), model, models, issued)
        assert refusal is None, (refusal.rule.name, refusal.message)
        assert request["inferenceConfig"]["maxTokens"] <= models.card(model).max_output
        if not content:
            break
        issued.setdefault("c2ln", model)
        said = content
        if issued["c2ln"] != model:  # a signature is one model's
            said = [block for block in content if "reasoningContent" not in block]
        body = {"output": {"message": {"role": "assistant", "content": parsed(said)}}, "stopReason": "tool_use"}
        asked = story.record(requested)
        assert asked_in(asked).sent_as == requested.sent_as
        story.replies(asked, body | {"usage": {"inputTokens": 900, "outputTokens": 90}})
        for index in range(1, 1 + len(story.run.proposals[turn].calls)):
            story.executes(turn, index, outcome, {"text": "Ümlaut", "n": [1, None]})
        if noted:
            turn += 1
            story.decides(turn, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP))
            story.escalates(turn)
            turn += 1
            story.person(turn, HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Look again."))


CALLABLE = [one for one in PLATFORM.cards() if one.converse_api and one.tools and one.prices]
#: One of each vendor that thinks or does not, and caches or does not: these have requests of another form.
ONE_OF_EACH = {(one.vendor, one.thinking is None, one.cache is None): one.id for one in CALLABLE}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("base", sampled([one.id for one in CALLABLE], [*ONE_OF_EACH.values()]))
def test_each_model_of_the_platform_takes_a_run_with_calls_results_and_an_answer(
    stack: Stack, model: Endpoint, base: str
) -> None:
    card = PLATFORM.card(base)
    family = "in-region" if not card.families or "in-region" in card.families else card.families[0]
    stack.environs["planner"]["MODEL_ID"] = base if family == "in-region" else f"{family}.{base}"
    run_id = stack.open()
    model.will(reads("n-1", "n-2"))
    stack.plan(run_id)
    stack.execute(run_id, index=1)
    stack.execute(run_id, index=2)
    model.will(reply({"text": "I write."}, {"toolUse": {"toolUseId": "1", "name": "no_such", "input": {}}}))
    stack.plan(run_id, 2)
    stack.execute(run_id, 2)
    model.will(says("Done."))

    assert stack.plan(run_id, 3)["kind"] == "answer"  # the fixture asserts that nothing was refused


def story_of(models: Catalog, *content: Any, model: str = "acme.a") -> Story:
    """Return a run in which the model's reply had ``content``, a call among it, which was answered."""
    story = Story().opened()
    asked = story.record(asks(story, 1, model, models, ledger()))
    message = {"role": "assistant", "content": list(content)}
    story.replies(asked, {"output": {"message": message}, "stopReason": "tool_use"})
    story.executes(1, 1, "ok", {"b": 1, "a": "é"})
    return story


FACTS = {"context_window": 100_000, "max_output": 4_000}


@pytest.mark.parametrize(
    ("given_back", "model", "returned"),
    [("must", "acme.a", True), ("may", "acme.a", False), ("refused", "acme.a", False), ("must", "acme.b", False)],
)
def test_reasoning_goes_back_only_to_its_model_and_only_if_it_must(given_back: str, model: str, returned: bool) -> None:
    facts = {**FACTS, "thinking": {"given_back": given_back}}
    models = catalog(a=facts, b=facts)
    story = story_of(models, REASONS, USE)

    request = converse_request(story.run, asks(story, 2, model, models, ledger()), stack="desk")

    assert [next(iter(block)) for block in request["messages"][1]["content"]] == [
        *(["reasoningContent"] if returned else []),
        "toolUse",
    ]


# Reasoning that is bound to what stood before it


def reasons(signature: str) -> dict[str, Any]:
    return {"reasoningContent": {"reasoningText": {"text": "", "signature": signature}}}


class Thinker:
    """Replies with ``content``, of which each reasoning has a signature of its own."""

    def __init__(self) -> None:
        self.content: list[Any] = []
        self.made = 0

    def reply(self, request: Any, model_id: str, /) -> Reply:
        made = []
        for block in self.content:
            self.made += 1
            made.append(reasons(f"sig{self.made}") if "reasoningContent" in block else parsed([block])[0])
        return said(made, "tool_use", request)


def plays(turns: str, contents: list[Any], models: Catalog) -> list[list[str]]:
    """Return the signatures that each request sent back; Bedrock's double takes every request.

    ``turns`` has a letter a turn: the playbook's version; a capital letter asks another model.
    """
    thinker, story, sent = Thinker(), Story(limits=Limits(cost_microusd=10**9)).opened(), []
    double = Strict(thinker, models=models)
    for turn, version in enumerate(turns, start=1):
        agent = ledger().agent.model_copy(update={"instructions": f"Version {version.lower()}."})
        model = "acme.b" if version.isupper() else "acme.a"
        requested = asks(story, turn, model, models, replace(ledger(), agent=agent))
        request = wire(converse_request(story.run, requested, stack="desk"))
        thinker.content = contents[(turn - 1) % len(contents)]
        answer = double.reply(request, model).body
        found = [
            block["reasoningContent"] for one in request["messages"] for block in one["content"] if REASON in block
        ]
        sent.append([block["reasoningText"]["signature"].removeprefix("sig") for block in found])
        story.replies(story.record(requested), answer)
        for index in range(1, 1 + len(story.run.proposals[turn].calls)):
            story.executes(turn, index, "ok", {"text": "x"})
    return sent


REASON = "reasoningContent"
BOUND = {**FACTS, "thinking": {"default": "always", "given_back": "must", "bound": True}}


def both_models(facts: dict[str, Any]) -> Catalog:
    common = {**FACTS, "prices": [{"version": "1"} | dict.fromkeys(CLASSES, 1)]}
    models = {"acme.a": {**common, "name": "A", **facts}, "acme.b": {**common, "name": "B", **facts}}
    return Catalog(CardFile(vendor="Anthropic", as_of=date(2026, 11, 29), models=models))


@pytest.mark.parametrize(
    ("turns", "newest"),
    [
        ("aaaa", ["1", "3", "5"]),
        ("aab", []),
        ("aabb", ["5"]),
        ("aabba", []),
        ("aabbaa", ["9"]),
        ("abab", []),
        ("aBa", ["1"]),
        ("aaBBaa", ["1", "3", "9"]),
    ],
)
def test_bound_reasoning_goes_back_only_behind_what_it_was_made_behind(turns: str, newest: list[str]) -> None:
    sent = plays(turns, [[REASONS, USE]], both_models(BOUND))

    assert sent[-1] == newest


def test_reasoning_that_is_not_bound_goes_back_under_another_system_prompt() -> None:
    free = {**FACTS, "thinking": {"default": "always", "given_back": "must"}}

    assert plays("aab", [[REASONS, USE]], both_models(free))[-1] == ["1", "3"]


def test_bound_reasoning_behind_a_block_that_is_sent_otherwise_stays_behind() -> None:
    blank, words, image = {"text": " "}, {"text": "I look."}, {"image": {"format": "png", "source": {"bytes": "AA=="}}}

    def back(*content: Any) -> list[str]:
        return plays("aaa", [list(content), [REASONS, USE]], both_models(BOUND))[1]

    assert back(REASONS, words, REASONS, USE) == ["1", "3"]
    assert back(REASONS, USE, REASONS, USE) == ["1"]
    assert back(REASONS, blank, REASONS, USE) == ["1"]
    assert back(blank, REASONS, USE) == []
    assert back(image, REASONS, words, REASONS, USE) == []
    assert back(REASONS, *SERVER, REASONS, USE) == ["1"]
    assert back(REASONS, words, USE, words, REASONS) == ["1"]


def test_the_reasoning_of_an_older_version_that_recorded_no_prefix_stays_behind() -> None:
    models = both_models(BOUND)
    story = Story().opened()
    requested = asks(story, 1, "acme.a", models, ledger())
    assert requested.sent_as.prefix
    asked = story.record(
        requested.model_copy(update={"sent_as": requested.sent_as.model_copy(update={"prefix": None})})
    )
    message = {"role": "assistant", "content": [REASONS, USE]}
    story.replies(asked, {"output": {"message": message}, "stopReason": "tool_use"})
    story.executes(1, 1, "ok", {})

    request = converse_request(story.run, asks(story, 2, "acme.a", models, ledger()), stack="desk")

    assert REASON not in str(request["messages"])


@pytest.mark.parametrize("base", [one.id for one in PLATFORM.cards() if one.thinking and one.thinking.bound])
def test_the_models_whose_reasoning_is_bound_are_those_of_the_vendors_page(base: str) -> None:
    assert base.removeprefix("anthropic.claude-") in ("fable-5-1", "mythos-5-1", "opus-5-5", "sonnet-5-5", "haiku-5-5")
    assert PLATFORM.card(base).sources["thinking"]


# What of a reply goes back

NEVER_BACK: dict[str, Any] = {
    "image": {"image": {"format": "png", "source": {"bytes": "AA=="}}},
    "document": {"document": {"format": "txt", "name": "x", "source": {"bytes": "AA=="}}},
    "video": {"video": {"format": "mp4", "source": {"bytes": "AA=="}}},
    "audio": {"audio": {"format": "mp3", "source": {"bytes": "AA=="}}},
    "searchResult": {
        "searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}], "citations": {"enabled": False}}
    },
    "cachePoint": {"cachePoint": {"type": "default"}},
    "toolAddition": {"toolAddition": {"tool": {"name": "read_note"}}},
    "no signature": {"reasoningContent": {"reasoningText": {"text": "Hm."}}},
    "a blank signature": {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": ""}}},
    "unknown reasoning": {"reasoningContent": {"SDK_UNKNOWN_MEMBER": {"name": "new"}}},
    "no citation": {"citationsContent": {"content": [], "citations": []}},
    "blank": {"text": " \n"},
    "brand new": {"brandNew": {"x": 1}},
    "no text to guard": {"guardContent": {"image": {"format": "png", "source": {"bytes": "AA=="}}}},
    "a call of the provider": SERVER[0],
}


@pytest.mark.parametrize("kind", NEVER_BACK)
@pytest.mark.parametrize("model", ["acme.a", "acme.b"])
def test_what_cannot_stand_in_a_models_message_is_not_sent_back(kind: str, model: str) -> None:
    facts = {**FACTS, "thinking": {"default": "always", "given_back": "must"}}
    models = both_models(facts)
    story = story_of(models, *[NEVER_BACK[kind]] * 5, {"text": "I look."}, USE)

    request = converse_request(story.run, asks(story, 2, model, models, ledger()), stack="desk")

    refusal = refused(wire(request), model, models)
    assert refusal is None, refusal
    assert [next(iter(block)) for block in request["messages"][1]["content"]] == ["text", "toolUse"]


def test_words_of_a_kind_that_cannot_go_back_go_back_as_text() -> None:
    models = both_models(FACTS)
    new = {"title": "t", "location": {"SDK_UNKNOWN_MEMBER": {"name": "new"}}}
    cited = {"citationsContent": {"content": [{"text": "It is in stock."}], "citations": [new]}}
    story = story_of(models, {"guardContent": {"text": {"text": "Guarded."}}}, cited, CITED, USE)

    request = converse_request(story.run, asks(story, 2, "acme.a", models, ledger()), stack="desk")

    sent = request["messages"][1]["content"]
    assert sent[:3] == [{"text": "Guarded."}, {"text": "It is in stock."}, CITED]
    assert refused(wire(request), "acme.a", models) is None


def test_thinking_does_not_begin_behind_own_reasoning_that_cannot_go_back() -> None:
    facts = {**FACTS, "thinking": {"budget": _BUDGET, "given_back": "must"}}
    models, thinks = both_models(facts), with_inference(Inference(thinking=1_500))
    unsigned = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}

    for reason, goes_on in ((REASONS, True), (unsigned, False)):
        story = story_of(models, reason, USE)
        requested = asks(story, 2, "acme.a", models, thinks)
        request = converse_request(story.run, requested, stack="desk")

        assert _thinks(requested) is goes_on
        assert refused(wire(request), "acme.a", models) is None


def test_the_profile_of_a_model_is_the_same_model() -> None:
    haiku = "anthropic.claude-haiku-4-5-20251001-v1:0"
    story = story_of(PLATFORM, REASONS, USE, model=f"eu.{haiku}")

    request = converse_request(story.run, asks(story, 2, f"global.{haiku}", PLATFORM, ledger()), stack="desk")

    assert "reasoningContent" in request["messages"][1]["content"][0]


def test_another_model_gets_words_and_calls_and_nothing_that_only_a_provider_reads() -> None:
    models = catalog(a=FACTS, b=FACTS)
    story = story_of(models, *SERVER, CITED, {"text": "I look."}, USE)

    own, other = (
        converse_request(story.run, asks(story, 2, model, models, ledger()), stack="desk")["messages"][1]["content"]
        for model in ("acme.a", "acme.b")
    )

    kinds = ["toolUse", "toolResult", "citationsContent", "text", "toolUse"]
    assert [next(iter(block)) for block in own] == kinds
    assert other == [{"text": "It is in stock."}, {"text": "I look."}, own[-1]]


@pytest.mark.parametrize("model", ["acme.a", "acme.b"])
def test_text_behind_a_call_is_sent_before_it(model: str) -> None:
    models = catalog(a=FACTS, b=FACTS)
    story = story_of(models, {"text": "I look."}, USE, {"text": "Wait."}, USE, CITED)

    request = converse_request(story.run, asks(story, 2, model, models, ledger()), stack="desk")

    kinds = [next(iter(block)) for block in request["messages"][1]["content"]]
    said = "citationsContent" if model == "acme.a" else "text"
    assert kinds == ["text", "text", said, "toolUse", "toolUse"]


def test_thinking_does_not_begin_between_another_models_call_and_its_result() -> None:
    facts = {**FACTS, "thinking": {"budget": _BUDGET, "given_back": "must"}}
    models, thinks = catalog(a=FACTS, b=facts), with_inference(Inference(thinking=1_500))
    story = story_of(models, USE)

    between = asks(story, 2, "acme.b", models, thinks)
    at_first = asks(Story().opened(), 1, "acme.b", models, thinks)

    assert "thinking" not in str(between.sent_as)
    assert at_first.sent_as.additional_fields["thinking"]["budget_tokens"] == 1_500


def test_max_tokens_have_room_for_thinking_and_the_reservation_counts_it() -> None:
    facts = {**FACTS, "thinking": {"budget": _BUDGET}, "max_output": 9_000}
    models = catalog(a=facts)

    plain, thinks = (
        asks(Story().opened(), 1, "acme.a", models, with_inference(one))
        for one in (Inference(), Inference(thinking=3_000))
    )

    assert (plain.max_tokens, thinks.max_tokens) == (Limits().tokens_per_turn, Limits().tokens_per_turn + 3_000)
    assert thinks.max_tokens <= 9_000


def claude(**facts: Any) -> Catalog:
    """Return a catalog in which ``acme.a`` is a Claude that refuses a reply beyond its window."""
    card = {**FACTS, "name": "A", "prices": [{"version": "1"} | dict.fromkeys(CLASSES, 1)], "prefill": True}
    return Catalog(CardFile(vendor="Anthropic", as_of=date(2026, 11, 29), models={"acme.a": {**card, **facts}}))


@pytest.mark.parametrize("budget", [None, 3_000])
@pytest.mark.parametrize("size", [12_000, 18_000, 31_000, 78_000])
def test_a_claude_that_refuses_a_reply_beyond_its_window_is_never_asked_for_one(size: int, budget: int | None) -> None:
    facts = {"context_window": 22_000, "thinking": {"budget": _BUDGET, "given_back": "must"}, "max_output": 9_000}
    models, thinks = claude(**facts), with_inference(Inference(thinking=budget))
    story = Story(limits=Limits(input_tokens_per_turn=10**6, tokens_per_run=10**8)).opened()
    for turn in (1, 2):
        requested = asks(story, turn, "acme.a", models, thinks)
        request = wire(converse_request(story.run, requested, stack="desk"))
        assert refused(request, "acme.a", models) is None
        asked = story.record(requested)
        said = {"role": "assistant", "content": parsed([REASONS, USE] if _thinks(requested) else [USE])}
        story.replies(asked, {"output": {"message": said}, "stopReason": "tool_use"})
        story.executes(turn, 1, "ok", {"text": "n" * size})

    assert (turn, _thinks(requested)) == (2, bool(budget) and size < 18_000)


def _thinks(requested: ModelRequested) -> bool:
    return "thinking" in requested.sent_as.additional_fields


def test_a_claude_whose_reply_is_cut_at_its_window_thinks_also_where_its_room_is_in_doubt() -> None:
    facts = {"context_window": 8_000, "thinking": {"budget": _BUDGET}, "max_output": 9_000}
    thinks = with_inference(Inference(thinking=6_000))

    cut, refuses = (
        asks(Story().opened(), 1, "acme.a", claude(**facts, max_tokens_over_window=over), thinks)
        for over in (True, False)
    )

    assert (_thinks(cut), _thinks(refuses)) == (True, False)


def test_a_prompt_that_leaves_no_room_for_a_reply_is_refused_in_words_that_end_the_run_as_a_too_long_one_does() -> None:
    models = claude(context_window=22_000)
    request = wire(
        converse_request(Story().opened().run, asks(Story().opened(), 1, "acme.a", models, ledger()), stack="")
    )
    request["messages"][0]["content"].append({"text": "n" * 84_000})

    refusal = refused(request, "acme.a", models)

    assert refusal is not None
    assert "exceed context limit" in refusal.message
    assert is_context_too_long(refusal.rule.code, refusal.message)


def test_what_a_model_does_not_take_in_a_result_is_told_in_words() -> None:
    plain = {**FACTS, "result_json": False, "result_status": False, "text_beside_results": False}
    models = catalog(a=plain)
    story = story_of(models, USE)
    story.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP))
    story.person(3, HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Look again."))

    request = converse_request(story.run, asks(story, 4, "acme.a", models, ledger()), stack="desk")

    (block,) = request["messages"][-1]["content"]
    assert block["toolResult"].keys() == {"toolUseId", "content"}
    first, note = (part["text"] for part in block["toolResult"]["content"])
    assert first == '{"a": "é", "b": 1}'
    assert "Look again." in note


def test_a_model_without_system_prompts_gets_the_instructions_first() -> None:
    models = catalog(a={**FACTS, "system": False})

    request = converse_request(
        Story().opened().run, asks(Story().opened(), 1, "acme.a", models, ledger()), stack="desk"
    )

    assert "system" not in request
    assert request["messages"][0]["content"][0]["text"].startswith(ledger().agent.instructions.strip()[:20])


def test_without_tools_no_tool_config_is_sent_but_a_conversation_with_calls_has_one_that_offers_nothing() -> None:
    models = catalog(a=FACTS)
    none = replace(ledger(), tools={})
    story = Story().opened()
    first = asks(story, 1, "acme.a", models, none)
    assert "toolConfig" not in converse_request(story.run, first, stack="desk")
    asked = story.record(first)
    story.replies(asked, {"output": {"message": {"role": "assistant", "content": [USE]}}, "stopReason": "tool_use"})
    story.executes(1, 1, "refused")

    request = converse_request(story.run, asks(story, 2, "acme.a", models, none), stack="desk")

    assert [tool["toolSpec"]["name"] for tool in request["toolConfig"]["tools"]] == ["no_tool"]
    assert refused(wire(request), "acme.a", models) is None


def test_equal_prompts_have_equal_bytes_whether_they_come_from_memory_or_from_the_log() -> None:
    models = catalog(a={**FACTS, "text_beside_results": True})
    story = story_of(models, USE)
    fresh = converse_request(story.run, asks(story, 2, "acme.a", models, ledger()), stack="desk")
    asked = story.record(asks(story, 2, "acme.a", models, ledger()))
    story.replies(asked, {"output": {"message": {"role": "assistant", "content": [USE]}}, "stopReason": "tool_use"})
    story.executes(2, 1)

    later = converse_request(story.run, asks(story, 3, "acme.a", models, ledger()), stack="desk")

    assert json.dumps(later["messages"][:3]) == json.dumps(fresh["messages"])
    assert json.dumps(later["toolConfig"]) == json.dumps(fresh["toolConfig"])
    assert json.dumps(later["system"]) == json.dumps(fresh["system"])


def test_a_guardrail_and_what_joins_awss_bill_with_the_run_are_sent() -> None:
    models = catalog(a=FACTS)
    agent = ledger().agent.model_copy(update={"guardrail": Guardrail(id="gr1abc", version=3)})
    story, odd = Story().opened(), "de\u0161k" * 100
    requested = asks(story, 1, "acme.a", models, replace(ledger(), agent=agent))

    request = converse_request(story.run, requested, stack=odd)

    assert request["guardrailConfig"] == {"guardrailIdentifier": "gr1abc", "guardrailVersion": "3"}
    metadata = request["requestMetadata"]
    assert (metadata["run"], metadata["tenant"]) == (story.run.run_id, "default")
    assert metadata["stack"] == "sha256:" + hashlib.sha256(odd.encode()).hexdigest()
    assert refused(wire(request), "acme.a", models) is None


def test_what_was_sent_is_recorded_and_covered_by_the_digest() -> None:
    facts = {**FACTS, "thinking": {"budget": _BUDGET}, "result_status": False, "text_beside_results": True}
    models = catalog(a=facts)
    agent = with_inference(Inference(thinking=1_500)).agent
    agent = agent.model_copy(update={"guardrail": Guardrail(id="gr1abc", version="DRAFT")})
    story = Story().opened()
    requested = asks(story, 1, "acme.a", models, replace(ledger(), agent=agent))
    body = story.record(requested).body

    assert body["sent_as"] == {
        "card": "acme.a",
        "as_of": "2026-11-29",
        "own_reasoning": False,
        "result_status": False,
        "additional_fields": {"thinking": {"type": "enabled", "budget_tokens": 1_500}},
        "guardrail": {"id": "gr1abc", "version": "DRAFT"},
    }
    digests = {event.seq: event.digest for event in story.events}
    assert changed_prompts(story.run, digests) == ({}, 1)
    without = {**body, "sent_as": {**body["sent_as"], "additional_fields": {}}}
    forged = [one.model_copy(update={"body": without}) if one.seq == requested.seq else one for one in story.events]
    assert changed_prompts(Run(forged), digests)[0].keys() == {requested.seq}
