"""The models that ``agent.yaml`` names are checked when a playbook loads, by their cards."""

import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.contracts import RunRequest
from ballast.errors import NotAdmitted, PlaybookInvalid
from ballast.playbook import load_playbook
from ballast.playbook.admission import Admissible
from ballast.playbook.first_prompt import least_tokens
from cli.commands.prices import problems
from functions.agent import handler as planner
from functions.lifecycle import admit
from localcloud.cloud import PLAYBOOK
from localcloud.model_arns import model_arns
from tests.functions.cloud import LEDGER
from tests.functions.stack import Stack
from tests.functions.variants import ledger_with, own_card, with_models

HAIKU, NOVA = "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-micro-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/desk"


@pytest.mark.sampled
@pytest.mark.parametrize("field", ["model", "second_model", "cheaper_model"])
@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("acme.oracle-v1:0", r"No model card for 'acme\.oracle-v1:0'.*\n\nmodels:\n  acme\.oracle-v1:0:"),
        ("anthropic.claude-haiku-4.5", r"Similar: .*anthropic\.claude-haiku-4-5-20251001-v1:0"),
        (f"sa.{NOVA}", f"It has: {NOVA}, us.{NOVA}"),
        (ARN, f"arns:\n  {ARN}: MODEL_ID"),
    ],
)
def test_a_wrong_model_fails_at_load_and_the_error_names_its_field(
    tmp_path: Path, field: str, model: str, why: str
) -> None:
    folder = ledger_with(tmp_path, **{field: model})

    with pytest.raises(PlaybookInvalid, match=rf"agent\.yaml: {field}: (?s:.*){why}"):
        load_playbook(folder)


@pytest.mark.parametrize(
    ("facts", "why"),
    [({"tools": False}, "takes no tools"), ({"converse_api": False}, "Converse"), ({"prices": []}, "No price")],
)
def test_a_model_that_cannot_be_an_agents_fails_at_load(tmp_path: Path, facts: dict[str, Any], why: str) -> None:
    folder = with_models(ledger_with(tmp_path, model="acme.one"), {"models": {"acme.one": own_card(**facts)}})

    with pytest.raises(PlaybookInvalid, match=rf"agent\.yaml: model: .*{why}"):
        load_playbook(folder)


def test_a_playbook_may_bring_a_card_and_name_the_model_behind_an_arn(tmp_path: Path) -> None:
    own = {"models": {"acme.one": own_card()}, "arns": {ARN: HAIKU}}
    folder = ledger_with(tmp_path, model=ARN, second_model="acme.one", cheaper_model="acme.one")

    loaded = load_playbook(with_models(folder, own))

    assert loaded.models.card(loaded.agent.model).name == "Claude Haiku 4.5"
    assert loaded.models.price("acme.one", on=date.max).price().output == 2_000_000


def test_a_broken_models_yaml_is_named(tmp_path: Path) -> None:
    own = {"models": {NOVA: {"temperatur": True}}}
    folder = with_models(ledger_with(tmp_path, model=NOVA, cheaper_model=None), own)

    with pytest.raises(PlaybookInvalid, match=r"models\.yaml: models\.amazon\.nova-micro-v1:0: temperatur"):
        load_playbook(folder)


def test_a_function_that_asks_no_model_reads_no_card(tmp_path: Path) -> None:
    folder = ledger_with(tmp_path, model="no-model")
    code = (
        "import sys; from ballast.playbook import load_playbook; load_playbook(sys.argv[1], check_models=False);"
        "print([one for one in sys.modules if one.startswith('ballast.models')])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, folder],
        env={"PYTHONPATH": str(Path("layers/ballast").resolve())},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("field", ["model", "second_model"])
def test_a_window_that_no_first_prompt_fits_into_fails_at_load(tmp_path: Path, field: str) -> None:
    playbook = load_playbook(LEDGER)
    needed = least_tokens(playbook, playbook.agent.model)
    assert 300 < needed < 3_000

    for window in (needed, needed - 1):
        own = {"models": {"acme.one": own_card(context_window=window, max_output=64)}}
        folder = with_models(ledger_with(tmp_path / str(window), **{field: "acme.one", "cheaper_model": None}), own)
        if window == needed:
            load_playbook(folder)
            continue
        with pytest.raises(PlaybookInvalid, match=rf"{field}: .*context_window of {window} tokens.* about {needed}\."):
            load_playbook(folder)


@pytest.mark.parametrize("field", ["model", "second_model", "cheaper_model"])
def test_a_model_without_what_the_playbook_insists_on_fails_at_load(tmp_path: Path, field: str) -> None:
    thinks = {"thinking": {"adaptive": {"additional_fields": {"thinking": {"type": "adaptive"}}}}}
    dear = {"version": "1", "input": 9_000_000, "output": 9_000_000}
    cards = {"acme.model": own_card(dear, **thinks), "acme.second_model": own_card(**thinks)}
    cards["acme.cheaper_model"] = own_card(**thinks)
    del cards[f"acme.{field}"]["thinking"]
    models = {name: f"acme.{name}" for name in ("model", "second_model", "cheaper_model")}
    insists = {"thinking": "adaptive", "required": ["thinking"]}
    folder = with_models(ledger_with(tmp_path, **models, inference=insists), {"models": cards})

    with pytest.raises(
        PlaybookInvalid, match=rf"agent\.yaml: {field}: .*does not think.*names thinking\. Name another"
    ):
        load_playbook(folder)


def test_a_setting_that_is_not_required_is_not_sent_to_a_model_that_does_not_take_it(tmp_path: Path) -> None:
    own = {"models": {"acme.one": own_card()}}
    folder = ledger_with(tmp_path, model="acme.one", cheaper_model=None, inference={"thinking": 2_000, "effort": "low"})

    loaded = load_playbook(with_models(folder, own))

    assert loaded.agent.inference.taken_by(loaded.models.card("acme.one")).additional_fields == {}


def test_arguments_that_contain_themselves_are_refused_for_a_model_that_follows_no_references(tmp_path: Path) -> None:
    folder = ledger_with(tmp_path, model="acme.one", second_model="acme.two", cheaper_model=None)
    follows = {"tool_schema": {"root_keys": None, "refs": True, "additional_properties": True}}
    cards = {"acme.one": own_card(**follows), "acme.two": own_card()}
    (Path(folder) / "tools" / "prune.py").write_text(RECURSIVE)

    with pytest.raises(
        PlaybookInvalid, match=r"second_model: .*arguments of prune contain themselves \(Tree in Tree\)"
    ):
        load_playbook(with_models(folder, {"models": cards}))

    cards["acme.two"] = own_card(**follows)
    assert "prune" in load_playbook(with_models(folder, {"models": cards})).tools


def test_arguments_that_grow_beyond_bounds_without_references_are_refused_by_the_tools_name(tmp_path: Path) -> None:
    folder = ledger_with(tmp_path, model="acme.one", cheaper_model=None)
    (Path(folder) / "tools" / "prune.py").write_text(
        RECURSIVE.replace("class Tree", DOUBLED).replace("Tree |", "L16 |")
    )

    with pytest.raises(
        PlaybookInvalid, match=r"model: .*arguments of prune have \d+ bytes of schema without references; 131072"
    ):
        load_playbook(with_models(folder, {"models": {"acme.one": own_card()}}))


def test_a_model_that_takes_no_tools_may_serve_intents_that_offer_none(tmp_path: Path) -> None:
    intents = yaml.safe_load((LEDGER / "agent.yaml").read_text(encoding="utf-8"))["intents"]
    folder = Path(
        ledger_with(tmp_path, model="acme.one", cheaper_model=None, intents={**intents, "chat": {"writes": []}})
    )
    with_models(str(folder), {"models": {"acme.one": own_card(), "acme.talks": own_card(tools=False)}})
    others = [{"model": "acme.talks", "intents": ["chat"]}]
    agent = yaml.safe_load((folder / "agent.yaml").read_text(encoding="utf-8"))
    (folder / "agent.yaml").write_text(yaml.safe_dump({**agent, "model_for": others}), encoding="utf-8")

    with pytest.raises(PlaybookInvalid, match=r"model_for\.1: .*takes no tools"):  # it offers the tools that read
        load_playbook(folder)

    reads = re.compile(r"effect=Read\(\)")
    for file in (folder / "tools").glob("*.py"):
        file.write_text(reads.sub("effect=Write(undo=None)", file.read_text(encoding="utf-8")), encoding="utf-8")
    assert load_playbook(folder).agent.model_at("chat", 1) == "acme.talks"
    assert list(problems(folder)) == []


def test_a_tool_whose_name_a_model_does_not_take_is_refused_for_it(tmp_path: Path) -> None:
    names = {"acme.one": own_card(), "acme.two": own_card(tool_name="^[a-z]{1,8}$")}
    folder = with_models(ledger_with(tmp_path, model="acme.one", second_model="acme.two", cheaper_model=None), {})

    with pytest.raises(
        PlaybookInvalid, match=r"agent\.yaml: second_model: .*\^\[a-z\]\{1,8\}\$\. Rename the tool, or name another"
    ):
        load_playbook(with_models(folder, {"models": names}))

    names["acme.two"] = own_card(tool_name="^[a-z_]{1,40}$")
    assert load_playbook(with_models(folder, {"models": names})).agent.second_model == "acme.two"


def test_a_card_that_contradicts_itself_fails_at_load(tmp_path: Path) -> None:
    cards = {"models": {"acme.one": own_card(max_output=100_001)}}
    folder = with_models(ledger_with(tmp_path, model="acme.one", cheaper_model=None), cards)

    with pytest.raises(
        PlaybookInvalid, match=r"model: .*models\.yaml: models\.acme\.one: max_output: is 100001, above"
    ):
        load_playbook(folder)


@pytest.mark.parametrize(("day", "loads"), [(date(2026, 3, 8), True), (date(2026, 3, 9), False), (None, True)])
def test_a_model_that_is_retired_by_that_day_fails_at_load(tmp_path: Path, day: date | None, loads: bool) -> None:
    cards = {"models": {"acme.one": own_card(retires="2026-03-09")}}
    folder = with_models(ledger_with(tmp_path, model="acme.one", cheaper_model=None), cards)

    if loads:
        load_playbook(folder, on=day, check_retired=day is not None)
        return
    load_playbook(folder, on=day)  # as a deployed function does
    with pytest.raises(PlaybookInvalid, match=r"model: The model 'acme\.one' .* served until 2026-03-09"):
        load_playbook(folder, on=day, check_retired=True)


@pytest.mark.parametrize("day", [date(2026, 11, 29), date(2029, 12, 31), date(2030, 1, 1)])
def test_a_model_without_a_price_on_that_day_fails_at_load(tmp_path: Path, day: date) -> None:
    later = own_card({"version": "1", "valid_from": "2030-01-01", "input": 1_000_000, "output": 2_000_000})
    folder = with_models(ledger_with(tmp_path, model="acme.one", cheaper_model=None), {"models": {"acme.one": later}})

    said = [one for one in problems(Path(folder), today=day) if "model: No price" in one]
    if day.year == 2030:
        load_playbook(folder, on=day)
        assert said == []
        return
    with pytest.raises(PlaybookInvalid, match=f"model: No price for the model 'acme.one' is valid on {day}"):
        load_playbook(folder, on=day)
    assert said
    with pytest.raises(PlaybookInvalid, match=f"is valid on {day}"):
        model_arns(Path(folder), on=day)


@pytest.mark.parametrize("field", ["model", "second_model", "cheaper_model", "model_for"])
def test_a_price_counts_from_its_first_day_on_for_whoever_loads_the_playbook(
    tmp_path: Path, stack: Stack, field: str
) -> None:
    today = stack.clock().date()
    cards = {"acme.now": own_card({"version": "1", "input": 9_000_000, "output": 9_000_000}), "acme.then": own_card()}
    named: dict[str, Any] = {"model": "acme.now", "cheaper_model": None, field: "acme.then"}
    if field == "model_for":
        named[field] = [{"model": "acme.then", "from_turn": 2}]
    folder = ledger_with(tmp_path, **named)
    first = today + timedelta(days=1)

    def of(day: str) -> None:
        price = {"version": "1", "valid_from": day, "input": 1_000_000, "output": 2_000_000}
        with_models(folder, {"models": {**cards, "acme.then": own_card(price)}})

    of("9000-01-01")
    with pytest.raises(PlaybookInvalid, match=rf"{field}.*: No price for the model 'acme\.then' is valid on 20"):
        load_playbook(folder)  # who names no day asks for today
    of(f"{first}")
    for build, function in ((planner.build, "planner"), (admit.Admission.of, "admit")):
        stack.environs[function] |= {"PLAYBOOK_DIR": str(folder)}
        with pytest.raises(PlaybookInvalid, match=rf"{field}.* is valid on {today}, the first one is from {first} on"):
            build(stack.cold(function))
    stack.clock.now += timedelta(days=1)
    for build, function in ((planner.build, "planner"), (admit.Admission.of, "admit")):
        assert build(stack.cold(function)).playbook.models.price("acme.then", on=first).version == "1"


@pytest.mark.parametrize("field", ["model", "second_model", "cheaper_model", "model_for.1"])
def test_a_service_tier_that_one_of_the_models_lacks_fails_at_load(tmp_path: Path, field: str) -> None:
    dear = {"version": "1", "input": 9_000_000, "output": 9_000_000, "tiers": {"flex": 50}}
    cards = {
        "acme.dear": own_card(dear),
        "acme.cheap": own_card(dear | {"input": 8_000_000}),
        "acme.lacks": own_card({"version": "1", "input": 7_000_000, "output": 7_000_000}),
    }
    named: dict[str, Any] = {"model": "acme.dear", "second_model": "acme.dear", "cheaper_model": "acme.cheap"}
    others = [{"model": "acme.cheap", "from_turn": 2}]
    folder = ledger_with(tmp_path / "good", **named, model_for=others, service_tier="flex")
    load_playbook(with_models(folder, {"models": cards}))

    wrong = {"model_for": [{"model": "acme.lacks", "from_turn": 2}]} if "." in field else {field: "acme.lacks"}
    folder = ledger_with(tmp_path / "bad", **{**named, "model_for": others, **wrong}, service_tier="flex")
    with_models(folder, {"models": cards})

    with pytest.raises(PlaybookInvalid, match=rf"agent\.yaml: {field}: No price for the service tier 'flex'"):
        load_playbook(folder)
    assert any(f"{field}: No price for the service tier" in one for one in problems(Path(folder)))
    with pytest.raises(PlaybookInvalid, match="No price for the service tier 'flex'"):
        model_arns(Path(folder), on=date.max)


def test_a_cheaper_model_that_nothing_serves_in_the_region_affords_no_request() -> None:
    desk, today = load_playbook(PLAYBOOK), date(2026, 12, 1)

    def admits(region: str, most: int, *, cheaper: bool) -> bool:
        request = RunRequest.model_validate(
            {"request_id": "r", "intent": "question", "text": "Why?", "limits": {"cost_microusd": most}}
        )
        admissible = Admissible(desk.in_region(region))
        try:
            admissible.check_affordable(request, admissible.limits(request), (), on=today, cheaper=cheaper)
        except NotAdmitted:
            return False
        return True

    usual = next(most for most in range(1_000, 60_000, 250) if admits("sa-east-1", most, cheaper=False)) - 250
    assert admits("eu-west-1", usual, cheaper=True)
    assert not admits("sa-east-1", usual, cheaper=True)


def test_the_check_of_prices_names_a_model_without_tools_that_an_intent_offers_some(tmp_path: Path) -> None:
    others = [{"model": "acme.talks", "intents": ["tidy"]}]
    folder = ledger_with(tmp_path, model="acme.one", cheaper_model=None, model_for=others)
    with_models(folder, {"models": {"acme.one": own_card(), "acme.talks": own_card(tools=False)}})

    assert [one for one in problems(Path(folder)) if "model_for.1" in one and "takes no tools" in one]


WHOLE = {"root_keys": None, "refs": True, "additional_properties": True}
OPEN = """\
from typing import Any

from ballast.playbook import Read, ToolContext, tool
from pydantic import BaseModel, ConfigDict


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    by: dict[str, Any]


@tool(effect=Read())
def filtered(args: Filters, ctx: ToolContext) -> dict[str, str]:
    \"\"\"List what passes the filters.\"\"\"
    return {}
"""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, None),
        ({"tools/filtered.py": OPEN}, "filtered: its arguments take fields of any name"),
    ],
)
def test_a_tool_that_no_provider_can_be_held_to_fails_at_load_where_strict_tools_are_required(
    tmp_path: Path, more: dict[str, str], why: str | None
) -> None:
    insists = {"strict_tools": True, "required": ["strict_tools"]}
    folder = Path(ledger_with(tmp_path, model="acme.one", cheaper_model=None, inference=insists))
    with_models(folder, {"models": {"acme.one": own_card(strict_tools=True, tool_schema=WHOLE)}})
    for name, content in more.items():
        (folder / name).write_text(content)

    if why is None:
        assert load_playbook(folder).agent.inference.strict_tools
    else:
        with pytest.raises(PlaybookInvalid, match=rf"agent\.yaml: model: .*names strict_tools\. {why}\. Change the"):
            load_playbook(folder)


def test_too_many_strict_tools_fail_at_load_where_they_are_required(tmp_path: Path) -> None:
    insists = {"strict_tools": True, "required": ["strict_tools"]}
    folder = Path(ledger_with(tmp_path, model="acme.one", cheaper_model=None, inference=insists))
    with_models(folder, {"models": {"acme.one": own_card(strict_tools=True, tool_schema=WHOLE)}})
    for number in range(20):
        text = OPEN.replace("dict[str, Any]", "str").replace("def filtered", f"def filtered_{number}")
        (folder / "tools" / f"filtered_{number}.py").write_text(text)

    with pytest.raises(PlaybookInvalid, match=r"a request has at most 20 strict tools"):
        load_playbook(folder)


@pytest.mark.parametrize(
    ("schema", "loads"),
    [
        ({"type": "object", "properties": {"order": {"type": "string", "maxLength": 9}}}, True),
        ({"type": "object", "properties": {"orders": {"type": "object"}}}, False),
        ({"type": "object"}, False),
    ],
)
def test_an_answer_that_no_provider_can_be_held_to_fails_at_load_where_it_is_required(
    tmp_path: Path, schema: dict[str, Any], loads: bool
) -> None:
    insists = {"structured_answers": True, "required": ["structured_answers"]}
    own = {"models": {"acme.one": own_card(structured_output=True, tool_schema=WHOLE)}}
    intents = yaml.safe_load((LEDGER / "agent.yaml").read_text(encoding="utf-8"))["intents"]
    intents = {**intents, "recovers": {"answer_schema": schema}}
    folder = ledger_with(tmp_path, model="acme.one", cheaper_model=None, inference=insists, intents=intents)

    if loads:
        load_playbook(with_models(folder, own))
    else:
        with pytest.raises(PlaybookInvalid, match=r"answer_schema of the intent recovers, and .*Name the type"):
            load_playbook(with_models(folder, own))


def test_the_old_name_of_the_temperature_still_counts_but_not_beside_the_new_one(tmp_path: Path) -> None:
    assert str(load_playbook(ledger_with(tmp_path, temperature=0.5)).agent.inference.temperature) == "0.5"

    with pytest.raises(PlaybookInvalid, match="temperature: is set twice"):
        load_playbook(ledger_with(tmp_path / "b", temperature=0.5, inference={"temperature": 0.5}))


def test_other_models_by_intent_and_by_turn_are_checked_and_the_first_entry_that_fits_counts(tmp_path: Path) -> None:
    others = [{"model": NOVA, "intents": ["recovers"]}, {"model": HAIKU, "from_turn": 3}]

    loaded = load_playbook(ledger_with(tmp_path, model_for=others)).agent

    assert [loaded.model_at("recovers", turn) for turn in (1, 3)] == [NOVA, NOVA]
    assert [loaded.model_at(None, turn) for turn in (2, 3, 9)] == [loaded.model, HAIKU, HAIKU]
    with pytest.raises(PlaybookInvalid, match=r"model_for\.2: No model card for 'acme\.x'"):
        load_playbook(ledger_with(tmp_path / "b", model_for=[others[0], {"model": "acme.x", "from_turn": 2}]))
    with pytest.raises(PlaybookInvalid, match="no intent nothing"):
        load_playbook(ledger_with(tmp_path / "c", model_for=[{"model": NOVA, "intents": ["nothing"]}]))


def test_the_models_of_intents_and_turns_follow_the_region_too(tmp_path: Path) -> None:
    others = [{"model": f"region.{NOVA}", "from_turn": 2}]

    loaded = load_playbook(ledger_with(tmp_path, model_for=others))

    assert loaded.in_region("eu-west-1").agent.model_at(None, 2) == f"eu.{NOVA}"
    assert loaded.in_region("us-east-1").agent.model_at(None, 2) == f"us.{NOVA}"


DOUBLED = (
    """class L0(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str = ""

"""
    + "".join(
        f"""
class L{n}(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    one: L{n - 1}
    other: L{n - 1}

"""
        for n in range(1, 17)
    )
    + "class Tree"
)
RECURSIVE = """
from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Read, ToolContext, tool


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    left: Tree | None = None


@tool(effect=Read())
def prune(args: Tree, ctx: ToolContext) -> str:
    \"\"\"Prune a tree.\"\"\"
    return "done"
"""
