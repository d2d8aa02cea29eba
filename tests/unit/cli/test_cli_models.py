"""``ballast models``: what the agent may call, and a check of the settings that a stack is deployed with."""

from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from cli import main
from cli.commands.models import Problem, problems, retirements
from cli.exits import Exit
from localcloud.cloud import PLAYBOOK, ROOT
from localcloud.model_arns import model_arns as model_arns_on

model_arns = partial(model_arns_on, on=date(2026, 12, 1))
NOVA, MICRO = "amazon.nova-pro-v1:0", "amazon.nova-micro-v1:0"

A_TOOL = """\
from ballast.playbook import Read, ToolContext, tool
from pydantic import BaseModel, ConfigDict

class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

@tool(effect=Read())
def look(args: Nothing, ctx: ToolContext) -> str:
    "Look."
    return ""
"""


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    (tmp_path / "agent.yaml").write_text(f"name: a\nmodel: eu.{NOVA}\ninstructions: Help.\n", encoding="utf-8")
    return tmp_path


def checked(playbook: Path, samconfig: str) -> int:
    file = playbook / "samconfig.toml"
    file.write_text(samconfig, encoding="utf-8")
    return main(["models", "--check", "--playbook", str(playbook), "--samconfig", str(file)])


def test_the_models_are_printed_as_a_parameter(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--playbook", str(playbook), "--region", "eu-west-1"]) == Exit.OK
    assert capsys.readouterr().out == (
        f"ModelArns=arn:aws:bedrock:eu-west-1:*:inference-profile/eu.{NOVA},"
        f"arn:aws:bedrock:*::foundation-model/{NOVA}\n"
    )

    assert main(["models", "--playbook", str(playbook), "--model", MICRO]) == Exit.OK
    assert capsys.readouterr().out == f"ModelArns=arn:*:bedrock:*::foundation-model/{MICRO}\n"


def test_what_is_no_region_or_has_no_settings_is_told(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--playbook", str(playbook), "--region", "eu-central-9"]) == Exit.USAGE
    assert "--region eu-central-9: is no region of AWS" in capsys.readouterr().err

    assert checked(playbook, "") == Exit.USAGE
    assert "has no [NAME.deploy.parameters], so nothing was compared" in capsys.readouterr().err

    assert checked(playbook, '[default.deploy.parameters]\nregion = "eu-central-9"\n') == Exit.USAGE
    assert "default: region eu-central-9: is no region of AWS" in capsys.readouterr().err


def test_the_settings_that_are_shipped_fit_the_playbook_that_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--check"]) == Exit.OK
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("region", ["", "eu-west-1", "eu-central-1"])
@pytest.mark.parametrize(
    "form",
    ["[default.deploy.parameters]\nparameter_overrides = {!r}", "[p.deploy.parameters]\nparameter_overrides = [{!r}]"],
)
def test_settings_that_name_the_playbooks_models_are_right(playbook: Path, form: str, region: str) -> None:
    said = f"ModelArns={','.join(model_arns(playbook, region))}"

    assert checked(playbook, form.format(said)) == Exit.OK
    assert checked(playbook, form.format(said.replace(":*:inference", ":123456789012:inference"))) == Exit.OK


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("Stage=dev", "lacks"),  # the template's default is the desk's
        (
            f"ModelArns=arn:*:bedrock:*::foundation-model/{NOVA}",
            f"lacks arn:*:bedrock:*:*:inference-profile/eu.{NOVA}.",
        ),
        ("ModelArns={right},arn:*:bedrock:*::foundation-model/a.b", "has arn:*:bedrock:*::foundation-model/a.b, which"),
        ("ModelArns={right} ModelId=amazon.nova-lite-v1:0", "lacks arn:*:bedrock:*::foundation-model/amazon.nova-lite"),
    ],
)
def test_settings_that_name_other_models_are_not(
    playbook: Path, overrides: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = overrides.replace("{right}", ",".join(model_arns(playbook)))

    code = checked(playbook, f'[prod.deploy.parameters]\nparameter_overrides = "{said}"')

    printed = capsys.readouterr().out
    assert code == Exit.USAGE
    assert f"prod: ModelArns {words}" in printed or f"and {words}" in printed
    assert f"ballast models --playbook {playbook}" in printed


def test_a_region_in_the_settings_is_the_stacks(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "[a.global.parameters]\nregion = 'eu-west-1'\n[a.deploy.parameters]\nparameter_overrides = ''"

    assert checked(playbook, said) == Exit.USAGE
    assert "--region eu-west-1`" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["not TOML", '[a.deploy.parameters]\nparameter_overrides = "it\'s"'])
def test_settings_that_cannot_be_read_are_named(playbook: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(playbook, text) == Exit.USAGE
    assert "samconfig.toml" in capsys.readouterr().err


def test_the_settings_that_are_compared_are_the_projects_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = tmp_path / "itdesk" / "itdesk"
    desk.mkdir(parents=True)
    (desk / "agent.yaml").write_text(f"name: a\nmodel: {MICRO}\ninstructions: Help.\n", encoding="utf-8")
    monkeypatch.chdir(desk.parent)

    assert main(["models", "--check"]) == Exit.USAGE
    assert f"{desk.parent}: has no samconfig.toml, so nothing was compared." in capsys.readouterr().err

    for value, code in ((",".join(model_arns(desk, "")), Exit.OK), ("arn:*:bedrock:*::foundation-model/x", Exit.USAGE)):
        (desk.parent / "samconfig.toml").write_text(
            f'[default.deploy.parameters]\nparameter_overrides = "ModelArns={value}"\n', encoding="utf-8"
        )
        assert main(["models", "--check"]) == code
    assert capsys.readouterr().out.startswith(f"{desk.parent / 'samconfig.toml'}: default: ModelArns lacks ")


def test_a_changed_playbook_is_noticed(tmp_path: Path) -> None:
    text = (PLAYBOOK / "agent.yaml").read_text(encoding="utf-8")
    (tmp_path / "agent.yaml").write_text(text.replace(NOVA, MICRO), encoding="utf-8")

    assert checked(tmp_path, (ROOT / "samconfig.toml").read_text(encoding="utf-8")) == Exit.USAGE


# What else a deployment needs

SONNET_4, RETIRED_ON = "us.anthropic.claude-sonnet-4-20250514-v1:0", date(2026, 10, 14)
APPLICATION_PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:guardrail/gr1"


def found(
    playbook: Path, overrides: str = "", *, agent: str = "", region: str = "", today: date = date(2026, 1, 1)
) -> list[str]:
    """Return the problems of a playbook with these lines more in ``agent.yaml``, deployed with these overrides."""
    with (playbook / "agent.yaml").open("a", encoding="utf-8") as file:
        file.write(agent)
    said = f"ModelArns={','.join(model_arns(playbook))} {overrides}"
    place = f"region = '{region}'\n" if region else ""
    samconfig = playbook / "samconfig.toml"
    samconfig.write_text(f'[prod.deploy.parameters]\n{place}parameter_overrides = "{said}"', encoding="utf-8")
    return list(problems(playbook, ROOT / "template.yaml", samconfig, today=today))


@pytest.mark.parametrize(
    ("guardrail", "granted", "region", "words"),
    [
        ("gr1", "gr1", "", ""),
        (ARN, "gr1", "eu-west-1", ""),
        (ARN, "gr1", "", ""),
        ("gr1", "", "", "GuardrailId is not set, and agent.yaml names the guardrail gr1"),
        ("gr1", "gr2", "", "GuardrailId is gr2, and agent.yaml names the guardrail gr1"),
        (ARN, "gr2", "eu-west-1", "Set it to gr1."),
        (ARN, "gr1", "eu-central-1", "cannot grant arn:aws:bedrock:eu-west-1"),
        (ARN.replace("aws", "aws-cn"), "gr1", "eu-west-1", "cannot grant arn:aws-cn"),
        (ARN.replace("bedrock", "lambda"), "gr1", "", "cannot grant arn:aws:lambda"),
        (None, "gr1", "", "GuardrailId is gr1, and agent.yaml names no guardrail"),
    ],
)
def test_the_role_may_apply_the_playbooks_guardrail_and_no_other(
    playbook: Path, guardrail: str | None, granted: str, region: str, words: str
) -> None:
    agent = f'guardrail: {{id: "{guardrail}", version: 1}}\n' if guardrail else ""

    said = found(playbook, f"GuardrailId={granted}" if granted else "", agent=agent, region=region)

    assert [one for one in said if "GuardrailId" in one] == ([one for one in said if words in one] if words else [])
    assert bool([one for one in said if "GuardrailId" in one]) is bool(words)


@pytest.mark.parametrize(
    ("days", "fails", "words"),
    [
        (-61, None, ""),
        (-60, False, "until 2026-10-14, 60 more days"),
        (-1, False, "1 more"),
        (0, True, "has been served until"),
    ],
)
def test_a_models_retirement_is_told_before_and_refused_from_its_day_on(
    playbook: Path, days: int, fails: bool | None, words: str
) -> None:
    said = found(playbook, agent=f"second_model: {SONNET_4}\n", today=RETIRED_ON + timedelta(days=days))

    assert [one.fails for one in said if isinstance(one, Problem)] == ([] if fails is None else [fails])
    assert all(f"second_model in {playbook / 'agent.yaml'}: " in one and words in one for one in said)


def test_a_model_that_modelid_replaces_may_be_retired(playbook: Path) -> None:
    text = (playbook / "agent.yaml").read_text(encoding="utf-8")
    (playbook / "agent.yaml").write_text(text.replace(f"eu.{NOVA}", SONNET_4), encoding="utf-8")

    assert list(retirements(playbook, RETIRED_ON))
    assert list(retirements(playbook, RETIRED_ON, model_id=MICRO)) == []


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1"])
@pytest.mark.parametrize(
    ("field", "fails"), [("model_for: [{{model: {}, from_turn: 2}}]", True), ("cheaper_model: {}", False)]
)
def test_a_model_that_follows_the_region_needs_a_profile_there_unless_it_stands_in(
    playbook: Path, region: str, field: str, fails: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    mythos = "region.anthropic.claude-mythos-5"  # us. alone
    text = (playbook / "agent.yaml").read_text(encoding="utf-8")
    (playbook / "agent.yaml").write_text(text.replace(f"eu.{NOVA}", f"region.{NOVA}"), encoding="utf-8")
    said = found(playbook, agent=f"{field.format(mythos)}\n", region=region)

    name = field.partition(":")[0]
    told = [one for one in said if name in one and f"no profile that {region}" in one]
    assert [getattr(one, "fails", None) for one in told] == [fails]
    code = main(["models", "--playbook", str(playbook), "--region", region])
    shown = capsys.readouterr()
    assert code == (Exit.USAGE if fails else Exit.OK)
    assert name in shown.err
    assert "mythos" not in shown.out
    assert main(["models", "--playbook", str(playbook), "--region", "us-east-1"]) == Exit.OK
    assert "mythos" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "region", "words"),
    [("foo.bar", "", "No model card"), ("us.deepseek.r1-v1:0", "", "no tools"), (f"us.{MICRO}", "eu-central-1", "us.")],
)
def test_a_model_id_that_no_stack_there_can_ask_is_refused(
    playbook: Path, model: str, region: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = found(playbook, f"ModelId={model}", region=region)
    code = main(["models", "--playbook", str(playbook), "--model", model, *(["--region", region] if region else [])])

    assert any("agent.yaml: model: " in one and words in one for one in said)
    assert code == Exit.USAGE
    assert words in capsys.readouterr().err


def test_more_models_than_a_parameter_can_hold_are_refused_with_the_remedy(
    playbook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arns = [f"{APPLICATION_PROFILE}/{'x' * 30}{at}" for at in range(40)]
    (playbook / "agent.yaml").write_text(
        f"name: a\nmodel: eu.{NOVA}\ninstructions: Help.\nmodel_for:\n"
        + "".join(f"  - {{model: '{arn}', from_turn: 2}}\n" for arn in arns),
        encoding="utf-8",
    )
    cards = "arns:\n" + "".join(f"  {arn}: {NOVA}\n" for arn in arns)
    (playbook / "models.yaml").write_text(cards, encoding="utf-8")

    assert main(["models", "--playbook", str(playbook)]) == Exit.USAGE
    printed = capsys.readouterr().err
    assert "CloudFormation takes 4096 in a parameter" in printed
    assert "Name fewer models in agent.yaml" in printed
    assert any("CloudFormation takes 4096" in one for one in found(playbook))


@pytest.mark.parametrize(
    "command",
    ["up --model http://127.0.0.1:9/v1#m --playbook", "test", "certify", "run hello --model bedrock:m --playbook"],
)
def test_a_playbook_with_a_retired_model_is_refused_before_anything_starts(
    playbook: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = (playbook / "agent.yaml").read_text(encoding="utf-8")
    (playbook / "agent.yaml").write_text(text.replace(f"eu.{NOVA}", SONNET_4), encoding="utf-8")
    (playbook / "__init__.py").touch()
    (playbook / "tools").mkdir()
    (playbook / "tools" / "look.py").write_text(A_TOOL, encoding="utf-8")

    assert main([*command.split(), str(playbook)]) == Exit.USAGE

    assert "served until 2026-10-14" in capsys.readouterr().err
