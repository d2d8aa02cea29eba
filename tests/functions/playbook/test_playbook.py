"""The playbook as a whole: it loads, it is closed, and it costs the planner nothing to import."""

import json
import subprocess
import sys
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.playbook import Effect, Playbook, RunSoFar, Untrusted, undeclared_arguments
from ballast.playbook.rules import InWindow, MovedSoFar
from ballast.run import Run
from ballast.validation import leaves
from tests.functions.playbook.desk import Desk


def objects(schema: Any) -> list[dict[str, Any]]:
    """Return every object schema within ``schema``."""
    if isinstance(schema, list):
        return [found for each in schema for found in objects(each)]
    if not isinstance(schema, dict):
        return []
    inner = [found for each in schema.values() for found in objects(each)]
    return [schema, *inner] if schema.get("type") == "object" else inner


def test_it_loads_with_the_tools_and_fallbacks_of_a_support_desk(playbook: Playbook) -> None:
    assert {name: tool.effect for name, tool in playbook.tools.items()} == {
        "cancel_order": Effect.WRITE,
        "cancel_refund": Effect.WRITE,
        "look_up_customer": Effect.READ,
        "look_up_order": Effect.READ,
        "refund_order": Effect.WRITE,
        "reinstate_order": Effect.WRITE,
        "restore_customer": Effect.WRITE,
        "search_docs": Effect.READ,
        "update_customer": Effect.WRITE,
    }
    assert set(playbook.fallbacks) == {"order_status", "cancel_order", "refund"}
    assert set(playbook.agent.intents) >= set(playbook.fallbacks)


def test_every_schema_refuses_unknown_fields_and_describes_its_own(playbook: Playbook) -> None:
    for tool in playbook.tools.values():
        found = objects(tool.schema)

        assert found, tool.name
        assert all(each["additionalProperties"] is False for each in found), tool.name
        assert all("description" in each for each in tool.schema["properties"].values()), tool.name


def test_no_amount_of_money_is_a_json_number(playbook: Playbook) -> None:
    schemas = [(tool.name, tool.schema) for tool in playbook.tools.values()]
    schemas += [(tool.name, tool.result.json_schema(mode="serialization")) for tool in playbook.tools.values()]

    money = [
        (name, field, inner)
        for name, schema in schemas
        for each in objects(schema)
        for field, inner in each.get("properties", {}).items()
        if field.endswith("_usd")
    ]

    assert len(money) > 8
    assert all(inner["type"] == "string" for _, _, inner in money)


@pytest.mark.parametrize(
    ("amount", "today", "asked"),
    [
        ("100.00", "0", False),
        ("100.01", "0", True),
        ("0.01", "0", False),
        ("0.01", "100", True),
        ("99.99", "0.01", False),
        ("80.06", "399.94", True),  # the last part of 480.00
    ],
)
def test_what_a_customer_gets_above_a_hundred_dollars_a_day_needs_an_approval(
    playbook: Playbook, amount: str, today: str, asked: bool
) -> None:
    refund_order = playbook.tools["refund_order"]
    args = refund_order.arguments.model_validate({"order_id": "O-1004", "amount_usd": amount})
    moved = InWindow(Decimal(0), Decimal(today))
    run = RunSoFar((), Run.of(()).usage, windows=MovedSoFar(Decimal(0), moved, moved, moved))

    assert refund_order.approval.if_ is not None
    assert bool(refund_order.approval.if_(args, RunRequest(request_id="r", text="x"), run)) is asked


def test_the_undo_of_a_write_is_no_write_that_wants_an_undo(playbook: Playbook) -> None:
    undone = {tool.name: tool.undo for tool in playbook.tools.values() if tool.undo}

    assert undone == {
        "cancel_order": "reinstate_order",
        "refund_order": "cancel_refund",
        "update_customer": "restore_customer",
    }
    assert all(playbook.tools[undo].undo is None for undo in undone.values())


def test_intents_tighten_the_limits_of_the_agent(playbook: Playbook) -> None:
    agent = playbook.agent

    assert agent.limits.turns == 12
    assert agent.limits.tool_calls == 24
    assert agent.limits_for("order_status").turns < agent.limits.turns
    assert agent.limits_for("refund") == agent.limits
    assert agent.inference.temperature == Decimal(0)


def test_its_model_has_a_price(playbook: Playbook) -> None:
    assert playbook.models.price(playbook.agent.model, on=date.max).price().output > 0


def test_its_cheaper_model_is_cheaper_in_everything(playbook: Playbook) -> None:
    usual, other = playbook.agent.model, str(playbook.agent.cheaper_model)

    dear, cheap = (playbook.models.price(one, on=date.max).price() for one in (usual, other))

    assert 0 < cheap.input < dear.input
    assert 0 < cheap.output < dear.output


def test_the_planner_can_import_it_without_aws_and_without_the_search_library(playbook: Playbook) -> None:
    code = (
        "import json, sys; from ballast.playbook import load_playbook; load_playbook(sys.argv[1]);"
        "print(json.dumps([m for m in ('boto3', 'botocore', 'lunr', 'requests') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(playbook.folder)],
        env={"PYTHONPATH": str(playbook.folder.parents[1] / "ballast")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == []


def test_of_every_argument_it_is_said_where_its_values_must_come_from(playbook: Playbook) -> None:
    assert undeclared_arguments(playbook) == ()


#: What somebody outside of the shop writes: read back from a record it vouches for nothing.
OTHERS_WORDS = {
    "look_up_customer": {
        *("name", "email", "phone", "notes"),
        *("address.street", "address.city", "address.postal_code"),
    },
    "look_up_order": {"tracking_code", "lines.0.name", "customer_note"},
}


@pytest.mark.parametrize("tool", OTHERS_WORDS)
def test_what_others_write_is_marked_as_untrusted(playbook: Playbook, desk: Desk, tool: str) -> None:
    arguments = {"customer_id": "C-1005"} if tool == "look_up_customer" else {"order_id": "O-1006"}
    found = leaves(playbook.tools[tool].returns, desk.run(tool, **arguments), Untrusted)

    assert {one.path for one in found if one.mark is not None} == OTHERS_WORDS[tool]
