"""An effect can be undone whatever the size of its form, and a call has the same form at every reading."""

from pathlib import Path
from typing import Any

import pytest

from ballast.errors import EffectUnknown, RetryLater
from tests.functions.approvals import answered, asks
from tests.functions.stack import Stack

FORMS = Path(__file__).parents[1] / "playbooks" / "forms"


@pytest.fixture
def forms(stack: Stack) -> Stack:
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(FORMS)
    return stack


def proposed(forms: Stack, tool: str, **arguments: Any) -> str:
    run_id = forms.open()
    forms.propose(run_id, {"tool": tool, "arguments": arguments})
    return run_id


def lines(number: int) -> list[dict[str, str]]:
    return [{"sku": f"S-{position}"} for position in range(number)]


def chain(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for _ in range(levels):
        tree = {"below": [tree]}
    return tree


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("place_order", {"lines": lines(600)}), ("plant", chain(7)), ("place_order", {"lines": lines(1)})],
    ids=["ten times its bytes", "deeper by its defaults", "small"],
)
def test_what_its_defaults_make_larger_is_undone(forms: Stack, tool: str, arguments: dict[str, Any]) -> None:
    run_id = proposed(forms, tool, **arguments)
    assert forms.execute(run_id) == "ok"

    forms.plan(run_id, 2, by="rollback")

    assert forms.execute(run_id, 2) == "ok"
    assert not forms.events(run_id).standing.effects


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("place_short_order", {"lines": lines(600)}), ("place_order", {"lines": lines(9_000)}), ("plant", chain(9))],
    ids=["the undo takes less", "the form has no bounds", "too deep as it is sent"],
)
def test_what_could_not_be_undone_is_refused_before_it_is_done(
    forms: Stack, tool: str, arguments: dict[str, Any]
) -> None:
    run_id = proposed(forms, tool, **arguments)

    assert forms.execute(run_id) == "refused"

    refused = forms.body(run_id, "0001.call.1.refused")
    assert refused["error"] == "TooLarge"
    assert "call.intended" not in [event.name for event in forms.events(run_id)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_undo_that_its_tool_would_refuse_is_not_recorded_as_one(forms: Stack, number: int) -> None:
    run_id = proposed(forms, "count_up", n=number)

    assert forms.execute(run_id) == "ok"

    settled = forms.body(run_id, "0001.call.1.settled")
    assert settled["undo"] is None
    assert "Its undo count_back could not be made: SchemaViolation: count_back: n: " in settled["message"]


def test_an_undo_in_a_type_that_json_lacks_is_one(forms: Stack) -> None:
    run_id = proposed(forms, "count_up", n=4)

    assert forms.execute(run_id) == "ok"
    assert forms.body(run_id, "0001.call.1.settled")["undo"]["arguments"] == {"n": 4}


def test_a_call_that_is_read_as_another_one_after_its_approval_is_refused_by_name_once(
    forms: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = proposed(forms, "pay_on", to="ann", day="")
    assert asks(forms, run_id)["arguments"]["day"] == "monday"
    answered(forms, run_id, approve=True)
    monkeypatch.setenv("DAY_OF_TEST", "tuesday")

    assert forms.execute(run_id, asked=1) == "refused"

    refused = forms.body(run_id, "0001.call.1.refused")
    assert (
        refused["message"] == "pay_on: day: has another value than people approved. Its validator must not change it."
    )
    assert "call.approval_void" not in [event.name for event in forms.events(run_id)]


def test_a_call_that_is_read_as_another_one_after_it_began_acts_no_second_time(
    forms: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = proposed(forms, "pay_on", to="bob", day="")
    with pytest.raises(RetryLater):
        forms.execute(run_id)
    monkeypatch.setenv("DAY_OF_TEST", "tuesday")

    with pytest.raises(EffectUnknown, match="pay_on: day: its arguments are read differently now"):
        forms.execute(run_id)
