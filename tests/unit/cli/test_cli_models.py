"""``ballast models``: what the agent may call, and a check of the settings that a stack is deployed with."""

from pathlib import Path

import pytest

from cli import main
from cli.exits import Exit
from localcloud.cloud import PLAYBOOK, ROOT
from localcloud.model_arns import model_arns

NOVA, MICRO = "amazon.nova-pro-v1:0", "amazon.nova-micro-v1:0"


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


def test_the_settings_that_are_shipped_fit_the_playbook_that_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--check"]) == Exit.OK
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("region", ["", "eu-west-1", "us-east-1"])
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


def test_a_changed_playbook_is_noticed(tmp_path: Path) -> None:
    text = (PLAYBOOK / "agent.yaml").read_text(encoding="utf-8")
    (tmp_path / "agent.yaml").write_text(text.replace(NOVA, MICRO), encoding="utf-8")

    assert checked(tmp_path, (ROOT / "samconfig.toml").read_text(encoding="utf-8")) == Exit.USAGE
