"""The agent's role may call the models that the playbook names, in every form of their names, and no others."""

import re
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from ballast.errors import PlaybookInvalid
from ballast.models.card import IN_REGION
from ballast.models.catalog import Catalog, partition_of
from cli.walls.rights import rights_of, role_of
from localcloud.cloud import PLAYBOOK, ROOT
from localcloud.iam import grants, needed_for_model
from localcloud.model_arns import model_arns as model_arns_on
from localcloud.model_arns import passed_over
from tests.template.rendered import Template

MODELS = Catalog()
DAY = date(2026, 12, 1)
model_arns = partial(model_arns_on, on=DAY)
HAIKU, NOVA, MICRO = "anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0", "amazon.nova-micro-v1:0"
ACCOUNT = "123456789012"
DESK = f"arn:aws:bedrock:eu-west-2:{ACCOUNT}:application-inference-profile/desk"
REGIONS = ("eu-west-2", "us-east-1", "ap-northeast-1", "ap-southeast-2", "ap-southeast-3")
#: Where no form of the desk's cheaper model is known to be served.
WITHOUT_NOVA = ("af-south-1", "il-central-1", "me-south-1", "me-west-1", "mx-central-1", "sa-east-1", "sa-west-1")


def may_call(arns: list[str], model_id: str, region: str = "eu-west-2") -> bool:
    """Say whether a role with these ARNs may call the model, as the local cloud's IAM has it."""
    policy: dict[str, Any] = {"Statement": [{"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": arns}]}
    return all(grants([policy], one) for one in needed_for_model("Converse", model_id, region, ACCOUNT))


def playbook(folder: Path, agent: str, models: str = "") -> Path:
    """Return a playbook in ``folder`` with these lines in its files."""
    (folder / "agent.yaml").write_text(f"name: a\ninstructions: Help.\n{agent}", encoding="utf-8")
    if models:
        (folder / "models.yaml").write_text(models, encoding="utf-8")
    return folder


def forms(base: str) -> list[str]:
    """Return the ids and ARNs under which the model can be called in eu-west-2 and us-east-1."""
    ids = [base if one == IN_REGION else f"{one}.{base}" for one in MODELS.card(base).families or (IN_REGION, "eu")]
    arns = [f"arn:aws:bedrock:{region}::foundation-model/{base}" for region in ("eu-west-2", "us-east-1")]
    arns += [f"arn:aws:bedrock:eu-west-2:{ACCOUNT}:inference-profile/{one}" for one in ids if one != base]
    return ids + arns


@pytest.fixture(scope="module")
def default(template: Template) -> list[str]:
    """The template's ``ModelArns``."""
    return str(template["Parameters"]["ModelArns"]["Default"]).split(",")


def test_the_role_may_call_what_the_parameter_says_and_nothing_else(deployed: Template) -> None:
    rights = rights_of(deployed, role_of(deployed, "AgentFunction"))

    assert [str(one) for one in rights if one.does("bedrock:InvokeModel")] == ["bedrock:InvokeModel on ModelArns"]


@pytest.mark.parametrize("region", REGIONS)
def test_the_desks_models_can_be_called_wherever_the_stack_is(region: str, default: list[str]) -> None:
    called = [MODELS.in_region(f"region.{base}", region) for base in (HAIKU, NOVA)]

    for arns, model_id in product([default, model_arns(PLAYBOOK, region)], called):
        assert may_call(arns, model_id, region), model_id


def test_the_desk_deploys_wherever_its_own_model_is_served_and_the_docs_name_where_nothing_is_cheaper() -> None:
    every = [
        name
        for one in get_session().get_data("partitions")["partitions"]
        for name in one["regions"]
        if name[-1].isdigit()
    ]
    served = [name for name in every if MODELS.in_region(f"region.{HAIKU}", name) != f"region.{HAIKU}"]
    without = []
    for region in served:
        told = [where for where, _ in passed_over(PLAYBOOK, region, on=DAY)]
        arns = model_arns(PLAYBOOK, region)
        assert may_call(arns, MODELS.in_region(f"region.{HAIKU}", region), region)
        assert any(NOVA in arn for arn in arns) is (told == [])
        without += [region] if told == ["agent.yaml: cheaper_model"] else []

    assert len(served) > 30
    assert tuple(sorted(without)) == WITHOUT_NOVA
    page = " ".join((ROOT / "docs" / "models.md").read_text(encoding="utf-8").split())
    assert f"is so in {', '.join(WITHOUT_NOVA[:-1])} and {WITHOUT_NOVA[-1]}" in page


@pytest.mark.parametrize("region", WITHOUT_NOVA[:1])
def test_a_model_that_stands_in_and_that_nothing_serves_is_named_with_those_that_are(
    region: str, tmp_path: Path
) -> None:
    ((_, why),) = passed_over(PLAYBOOK, region, on=DAY)
    assert f"no profile that {region} reaches" in why
    offered = re.findall(r"region\.[\w.:-]+(?<!\.)", why.partition("for example: ")[2])
    assert offered
    for one in offered:
        agent = f"model: region.{HAIKU}\ncheaper_model: {one}\n"
        assert may_call(model_arns(playbook(tmp_path, agent), region), MODELS.in_region(one, region), region)

    for field in ("model", "model_for"):
        named = f"model: region.{NOVA}\n" if field == "model" else f"model: region.{HAIKU}\n"
        named += f"model_for: [{{model: region.{NOVA}, from_turn: 2}}]\n" if field == "model_for" else ""
        with pytest.raises(PlaybookInvalid, match=f"{field}.*: in {region}: .*no profile that {region} reaches"):
            model_arns(playbook(tmp_path, named), region)
    with pytest.raises(PlaybookInvalid, match=r"cheaper_model: in .*no profile eu"):  # it does not follow the region
        model_arns(playbook(tmp_path, f"model: region.{HAIKU}\ncheaper_model: eu.{NOVA}\n"), region)

    said = f"models: {{{NOVA}: {{on_demand: [{region}]}}}}"
    assert may_call(model_arns(playbook(tmp_path, f"model: region.{NOVA}\n", said), region), NOVA, region)


@pytest.mark.parametrize(
    ("model", "region", "named"),
    [
        (NOVA, "eu-central-1", f"name eu.{NOVA}"),
        (f"arn:aws:bedrock:eu-central-1::foundation-model/{NOVA}", "", f"name eu.{NOVA}"),
        ("zai.glm-5", "us-east-1", "on_demand: [us-east-1]"),
        (f"region.{NOVA}", "il-central-1", f"({NOVA} in us-east-1, "),
    ],
)
def test_a_models_own_id_is_offered_only_where_it_is_known_to_be_served(
    tmp_path: Path, model: str, region: str, named: str
) -> None:
    with pytest.raises(PlaybookInvalid) as refused:
        model_arns(playbook(tmp_path, f"model: {model}\n"), region)

    assert named in str(refused.value)
    assert "not known to be served" in str(refused.value)


def test_an_arn_of_the_playbook_reaches_the_profile_behind_it_from_its_own_region(tmp_path: Path) -> None:
    for behind, why in ((f"us.{NOVA}", "no profile us. can be called there"), (f"apac.{NOVA}", "no profile apac.")):
        folder = playbook(tmp_path, f'model: "{DESK}"\n', f"arns: {{{DESK}: {behind}}}")
        with pytest.raises(PlaybookInvalid, match=f"in eu-west-2, of which the ARN is, {why}"):
            model_arns(folder)

    assert model_arns(playbook(tmp_path, f'model: "{DESK}"\n', f"arns: {{{DESK}: region.{NOVA}}}"))


@pytest.mark.parametrize("region", ["", *REGIONS])
def test_no_other_model_can_be_called(region: str, default: list[str]) -> None:
    arns = model_arns(PLAYBOOK, region) if region else default

    others = [form for base in MODELS.ids() if base not in (HAIKU, NOVA) for form in forms(base)]
    assert len(others) > 200
    assert [one for one in [*others, DESK] if may_call(arns, one, region or "eu-west-2")] == []


@pytest.mark.parametrize(
    ("named", "can", "cannot"),
    [
        (NOVA, [NOVA], [f"eu.{NOVA}"]),
        (f"eu.{NOVA}", [f"eu.{NOVA}"], [f"us.{NOVA}", f"global.{NOVA}"]),
        (f"global.{HAIKU}", [f"global.{HAIKU}"], [f"eu.{HAIKU}"]),
        (f"region.{NOVA}", [f"eu.{NOVA}"], [f"us.{NOVA}"]),
        (f"arn:aws:bedrock:eu-west-2::foundation-model/{NOVA}", [NOVA], [f"eu.{NOVA}"]),
        (f"arn:aws:bedrock:eu-west-2:{ACCOUNT}:inference-profile/eu.{NOVA}", [f"eu.{NOVA}"], [f"us.{NOVA}"]),
        (DESK, [DESK, NOVA], [f"eu.{NOVA}", DESK.replace("desk", "other")]),
    ],
)
@pytest.mark.parametrize("field", ["model: {}", "model: {2}\nsecond_model: {0}", "model: {2}\ncheaper_model: {0}"])
def test_a_model_can_be_called_in_the_form_in_which_it_is_named(
    tmp_path: Path, field: str, named: str, can: list[str], cannot: list[str]
) -> None:
    folder = playbook(tmp_path, field.format(named, None, MICRO), f"arns: {{{DESK}: {NOVA}}}")

    arns = model_arns(folder, "eu-west-2")

    assert [one for one in [named, *can] if not one.startswith("region.") and not may_call(arns, one)] == []
    assert [one for one in cannot if may_call(arns, one)] == []
    assert [one for one in forms("amazon.nova-lite-v1:0") if may_call(arns, one)] == []
    assert may_call(arns, MICRO) == ("{2}" in field)


def test_a_model_for_some_intents_can_be_called(tmp_path: Path) -> None:
    agent = f"model: {NOVA}\nintents: {{a: {{}}}}\nmodel_for: [{{model: eu.{HAIKU}, intents: [a]}}]\n"

    arns = model_arns(playbook(tmp_path, agent), "eu-west-2")

    assert may_call(arns, NOVA)
    assert may_call(arns, f"eu.{HAIKU}")


def test_model_id_stands_in_for_the_usual_models_alone(tmp_path: Path) -> None:
    agent = f"model: {NOVA}\nsecond_model: {MICRO}\nmodel_for: [{{model: eu.{HAIKU}, from_turn: 2}}]\n"

    arns = model_arns(playbook(tmp_path, agent), "eu-west-2", model_id="amazon.nova-lite-v1:0")

    assert [one for one in ("amazon.nova-lite-v1:0", MICRO, NOVA, f"eu.{HAIKU}") if may_call(arns, one)] == [
        "amazon.nova-lite-v1:0",
        MICRO,
    ]


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-gov-west-1", "aws-us-gov"), ("eu-west-2", "aws"), ("", "*")],
)
def test_arns_are_of_the_stacks_partition(tmp_path: Path, region: str, partition: str) -> None:
    folder = playbook(tmp_path, f"model: region.{NOVA}\n")

    assert {arn.split(":")[1] for arn in model_arns(folder, region)} == {partition}
    assert partition_of("cn-north-1") == "aws-cn"


@pytest.mark.parametrize("region", ["cn-north-1", "us-iso-east-1", "us-gov-west-1"])
def test_a_model_that_only_profiles_reach_is_refused_where_there_are_none(tmp_path: Path, region: str) -> None:
    with pytest.raises(PlaybookInvalid, match=f"model: in {region}: .*no profile that {region} reaches"):
        model_arns(playbook(tmp_path, f"model: region.{HAIKU}\n"), region)


@pytest.mark.parametrize(
    "model", [HAIKU, "anthropic.claude-sonnet-4-5-20250929-v1:0", "meta.llama3-2-90b-instruct-v1:0"]
)
def test_a_model_that_only_profiles_reach_is_refused_by_its_own_id(tmp_path: Path, model: str) -> None:
    with pytest.raises(PlaybookInvalid, match=r"has no form without an inference profile\. It has: us"):
        model_arns(playbook(tmp_path, f"model: {model}\n"))


_PROFILE_ARN = f"arn:aws:bedrock:eu-west-2:{ACCOUNT}:inference-profile/"


@pytest.mark.parametrize(
    ("model", "region", "why"),
    [
        ("foo.bar", "", "No model card for 'foo.bar'"),
        (f"apac.{HAIKU}", "", "no inference profile apac."),
        (f"apac.{HAIKU}", "ap-south-1", "no inference profile apac."),
        ("us.deepseek.r1-v1:0", "", "takes no tools"),
        (f"us.{HAIKU}", "eu-central-1", "in eu-central-1: no profile us. can be called there. It reaches eu., global."),
        (f"eu.{NOVA}", "us-east-1", "It reaches us., global."),
        (f"global.{HAIKU}", "us-gov-west-1", "It reaches us-gov."),
        (f"eu.{NOVA}", "cn-north-1", "It reaches none"),
        (DESK, "eu-central-1", "is of eu-west-2 (aws). Name one of the stack's own region."),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}", "eu-west-2", "is of us-east-1"),
        (f"{_PROFILE_ARN}us.{NOVA}", "eu-west-2", "no profile us. can be called there"),
        (DESK.replace("desk", "other"), "eu-west-2", "No model card"),
    ],
)
@pytest.mark.parametrize("given", ["ModelId", "agent.yaml"])
def test_a_model_that_the_stack_cannot_ask_is_refused_whoever_names_it(
    tmp_path: Path, given: str, model: str, region: str, why: str
) -> None:
    named, model_id = (NOVA, model) if given == "ModelId" else (model, "")
    folder = playbook(tmp_path, f'model: "{named}"\n', f"arns: {{{DESK}: {NOVA}}}")

    with pytest.raises(PlaybookInvalid) as refused:
        model_arns(folder, region, model_id=model_id)

    assert why in str(refused.value)
    assert f"{folder / 'agent.yaml'}: model: " in str(refused.value)


@pytest.mark.parametrize("agent", [f"model: {NOVA}\nmodel_for: [{{model: us.deepseek.r1-v1:0, intents: [a]}}]\n"])
def test_a_model_of_some_intents_may_take_no_tools(tmp_path: Path, agent: str) -> None:
    assert model_arns(playbook(tmp_path, f"{agent}intents: {{a: {{}}}}\n"), "us-east-1")


def test_an_agent_without_tools_may_have_a_model_without_tools(tmp_path: Path) -> None:
    assert model_arns(playbook(tmp_path, "model: us.deepseek.r1-v1:0\ntools: []\n"), "us-east-1")
