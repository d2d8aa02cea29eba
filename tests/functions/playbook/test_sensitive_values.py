"""Which values of an event a playbook marks, also where a call fits no tool."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ballast.contracts.secret import MASK, Finder, masked
from ballast.playbook import load_playbook
from ballast.playbook.sensitive import sensitive_values

VAULT = load_playbook(Path(__file__).parents[2] / "e2e" / "vault")
CARD = "4111 1111 1111 1111"


def shown(body: Any) -> Any:
    return masked(body, Finder.of(sensitive_values(VAULT, body), VAULT.names))


@pytest.mark.parametrize(
    "arguments",
    [
        {"card_number": CARD},
        {"card_number": [CARD]},
        {"card_number": {"a": CARD}},
        {"cardNumber": CARD, "note": "x"},
        {"card": {"number": CARD}},
        json.dumps({"card_number": CARD}),
        json.dumps({"card_number": CARD})[:-1],
        "{'card_number': '4111 1111 1111 1111'",
        '{"card_number":4111111111111111,',
    ],
)
def test_arguments_that_the_tool_refuses_are_masked_as_well(arguments: Any) -> None:
    body = {"tool": "keep_card", "arguments": arguments, "error": "SchemaViolation", "message": f"{CARD} is none."}

    made = shown(body)

    assert "4111" not in json.dumps(made["arguments"])
    assert MASK in json.dumps(made["arguments"])
    assert (made["tool"], made["error"]) == ("keep_card", "SchemaViolation")


def test_a_mask_is_no_value() -> None:
    assert not list(sensitive_values(VAULT, {"tool": "keep_card", "arguments": {"card_number": MASK}}))


def test_a_result_of_another_type_is_not_printed() -> None:
    tool = VAULT.tools["keep_card"]
    kept: BaseModel = tool.returns.model_construct(card_number=["4111"])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tool.dump(kept) == {"card_number": ["4111"]}
