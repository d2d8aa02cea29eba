"""Sensitive values of events by a playbook's marks, including calls that fit no tool."""

import json
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, ConfigDict, Field

from ballast.masking import MASK, Finder, masked
from ballast.playbook import Read, Sensitive, ToolContext, load_playbook, tool
from ballast.playbook.load import Playbook
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


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    tax_id: Annotated[str, Sensitive] = Field(alias="taxId")
    city: str = ""


class Charge(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    card: Annotated[str, Sensitive]
    pin: Annotated[int | None, Sensitive] = None
    note: str = ""
    count: int = 0
    inner: Inner | None = None
    lines: list[Inner] = []
    tags: dict[str, str] = {}


@tool(effect=Read())
def charge(args: Charge, ctx: ToolContext) -> str:
    """Charge."""
    return args.card


TILL = cast(
    Playbook,
    SimpleNamespace(
        tools={"charge": charge},
        agent=SimpleNamespace(sensitive=SimpleNamespace(context=())),
        names=frozenset({"charge", *charge.argument_names}),
    ),
)
NUMBER, TAX = "4111111111111111", "DE-swordfish"
SENT = {"card": NUMBER, "note": "gladly"}


def told(arguments: Any) -> tuple[str, str]:
    """Return refused arguments, and a text beside them, as they are shown."""
    text = f"Pay gladly with the card {NUMBER} of {TAX}, charge 17 EUR; note it."
    body = {"tool": "charge", "arguments": arguments, "message": text}
    made = masked(body, Finder.of(sensitive_values(TILL, body), TILL.names))
    return json.dumps(made["arguments"]), made["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        json.dumps(json.dumps(SENT)),
        json.dumps(json.dumps(json.dumps(SENT))),
        *([SENT], [json.dumps(SENT)], [[["card", NUMBER]]], int(NUMBER), NUMBER),
        *({"arguments": SENT}, {"arguments": json.dumps(SENT)}, {"tool": "charge", "arguments": SENT}),
        *({"count": NUMBER}, {"note": int(NUMBER)}, {"note": {"card": NUMBER}}, {"note": [NUMBER]}, {"tags": [NUMBER]}),
        *({"tags": {"a": {"b": NUMBER}}}, {"tags": NUMBER}, {NUMBER: "x"}, {"inner": {"card": NUMBER}}),
        *({"note": json.dumps(SENT)}, {"note": f"card={NUMBER}"}),
        f"{{card: '{NUMBER}', note: 'gladly'",
        f"card='{NUMBER}', note='gladly'",
        f"Card: {NUMBER}\nnote: gladly",
        f'<parameter name="card">{NUMBER}</parameter><parameter name="note">gladly</parameter>',
        f"<card>{NUMBER}</card>",
        f"card={NUMBER}&note=gladly",
        f"| card | note |\n| {NUMBER[:4]} {NUMBER[4:]} | x |",
        f"```json\n{json.dumps(SENT)}\n```",
        f"Charge {NUMBER} for me",
    ],
)
def test_what_no_field_takes_is_sensitive_whole_in_any_writing(arguments: Any) -> None:
    shown_arguments, text = told(arguments)

    assert NUMBER not in shown_arguments
    assert NUMBER[4:] not in shown_arguments
    assert text == f"Pay gladly with the card {MASK} of {TAX}, charge 17 EUR; note it."


@pytest.mark.parametrize(
    "arguments",
    [
        *({"inner": inner} for inner in (json.dumps({"taxId": TAX}), {"taxid": TAX}, [{"taxId": TAX}], TAX, [TAX])),
        *({"lines": lines} for lines in ({"taxId": TAX}, [json.dumps({"taxId": TAX})], [{"tax": TAX}], TAX)),
        *({"inner": {"taxId": TAX}}, {"inner": {"tax_id": TAX}}, {"taxId": TAX}, {"inner": f"taxId: {TAX}"}),
        *(f"inner:\n  taxId: {TAX}", f"taxId='{TAX}'", f'{{"inner": {{"taxId": "{TAX}"'),
    ],
)
def test_so_it_is_inside_of_a_nested_object(arguments: Any) -> None:
    shown_arguments, text = told(arguments)

    assert TAX not in shown_arguments
    assert text == f"Pay gladly with the card {NUMBER} of {MASK}, charge 17 EUR; note it."


def test_what_a_field_takes_and_what_is_short_or_a_name_masks_nothing_elsewhere() -> None:
    arguments = {
        "note": "gladly",
        "count": 17,
        "inner": {"taxid": 17, "city": "EUR"},
        "tool": "charge",
        "details": {"with": True, "the": None, "note": "gladly"},
    }

    shown_arguments, text = told(arguments)

    assert json.loads(shown_arguments) == {
        "note": MASK,  # in "details" nobody knows which note it is
        "count": 17,
        "inner": {"taxid": MASK, "city": "EUR"},
        "tool": MASK,
        "details": {MASK: None, "note": MASK},
    }
    assert text == f"Pay gladly with the card {NUMBER} of {TAX}, charge 17 EUR; note it."


@pytest.mark.sampled(2)
@pytest.mark.parametrize("text", ["a:" * 40_000, 'a="' * 30_000, "a='b=\"" * 20_000, "[" * 50_000, '"' * 50_000])
def test_a_long_text_is_read_in_a_moment(text: str) -> None:
    began = time.process_time()

    assert told(text)[0] == f'"{MASK}"'
    assert time.process_time() - began < 5
