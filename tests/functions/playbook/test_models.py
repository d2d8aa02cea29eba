"""The models that ``agent.yaml`` names are checked when a playbook loads, by their cards."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import PlaybookInvalid
from ballast.playbook import load_playbook
from tests.functions.variants import ledger_with, own_card, with_models

HAIKU, NOVA = "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-micro-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/desk"


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
    assert loaded.models.newest_price("acme.one").price().output == 2_000_000


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
