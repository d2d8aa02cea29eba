"""update_customer and restore_customer."""

from typing import Any

import pytest
from pydantic import ValidationError

from ballast.contracts import RunRequest
from ballast.playbook import Playbook, ToolFailed
from tests.functions.playbook.desk import Desk

ADDRESS = {"street": "1 New Street", "city": "Boston", "postal_code": "02110", "country": "US"}


def undo_of(playbook: Playbook, arguments: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Return the undo's arguments as the executor records them."""
    tool = playbook.tools["update_customer"]
    assert tool.undo == "restore_customer"
    assert tool.undo_arguments is not None
    return dict(tool.undo_arguments(tool.arguments.model_validate(arguments), result))


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("email", "Maria@New.example.com", "maria@new.example.com"),
        ("phone", "+49 40 5550101", "+49 40 5550101"),
        ("phone", "", ""),
        ("address", ADDRESS, ADDRESS),
        ("marketing_consent", False, False),
        ("notes", "Moved to Boston.", "Moved to Boston."),
    ],
)
def test_one_detail_changes_and_the_rest_stays(desk: Desk, field: str, value: object, kept: object) -> None:
    before = desk.run("look_up_customer", customer_id="C-1001")

    change = desk.run("update_customer", customer_id="C-1001", **{field: value})

    after = desk.run("look_up_customer", customer_id="C-1001")
    assert after == before | {field: kept, "version": 2}
    assert change["version"] == 2
    assert {name for name, old in change["previous"].items() if old is not None} == {field}
    assert change["previous"][field] == before[field]
    assert change["written"][field] == kept


def test_the_undo_restores_every_detail(desk: Desk, playbook: Playbook) -> None:
    before = desk.run("look_up_customer", customer_id="C-1002")
    arguments = {"customer_id": "C-1002", "phone": "+351 21 555 0100", "address": ADDRESS, "marketing_consent": True}
    change = desk.run("update_customer", **arguments)

    desk.run("restore_customer", key="k2", **undo_of(playbook, arguments, change))

    assert desk.run("look_up_customer", customer_id="C-1002") == before | {"version": 3}


def test_two_changes_of_a_run_are_undone_in_reverse(desk: Desk, playbook: Playbook) -> None:
    before = desk.run("look_up_customer", customer_id="C-1001")
    first = {"customer_id": "C-1001", "phone": "+1 555 0001"}
    second = {"customer_id": "C-1001", "phone": "+1 555 0002", "notes": "Called."}
    first_undo = undo_of(playbook, first, desk.run("update_customer", key="k1", **first))
    second_undo = undo_of(playbook, second, desk.run("update_customer", key="k2", **second))

    desk.run("restore_customer", key="k3", **second_undo)
    desk.run("restore_customer", key="k4", **first_undo)

    assert desk.run("look_up_customer", customer_id="C-1001") == before | {"version": 5}


def test_the_undo_leaves_alone_what_somebody_changed_since(desk: Desk, playbook: Playbook) -> None:
    arguments = {"customer_id": "C-1001", "phone": "+1 555 0001"}
    undo = undo_of(playbook, arguments, desk.run("update_customer", key="k1", **arguments))
    desk.run("update_customer", key="k2", customer_id="C-1001", phone="+1 555 0999")

    with pytest.raises(ToolFailed, match="changed again since"):
        desk.run("restore_customer", key="k3", **undo)

    assert desk.run("look_up_customer", customer_id="C-1001")["phone"] == "+1 555 0999"


def test_an_email_that_somebody_else_uses_is_not_taken(desk: Desk) -> None:
    with pytest.raises(ToolFailed, match="Another customer uses this e-mail"):
        desk.run("update_customer", customer_id="C-1001", email="m.silva@example.com")
    with pytest.raises(ToolFailed, match="no such customer"):
        desk.run("update_customer", customer_id="C-9999", notes="x")


def test_a_customer_may_keep_their_own_email(desk: Desk) -> None:
    change = desk.run("update_customer", customer_id="C-1001", email="maria.silva@example.com", notes="x")

    assert change["version"] == 2


def test_another_customer_is_out_of_reach(desk: Desk) -> None:
    with pytest.raises(ToolFailed, match="no such customer"):
        desk.with_context(customer_id="C-1001").run("update_customer", customer_id="C-1002", notes="x")


def test_a_change_of_nothing_is_refused_with_what_to_mend(playbook: Playbook) -> None:
    tool = playbook.tools["update_customer"]
    assert tool.validate is not None

    complaint = tool.validate(
        tool.arguments.model_validate({"customer_id": "C-1001"}), RunRequest(request_id="r", text="x")
    )

    assert complaint == "Send at least one detail to change besides customer_id."


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "not an address"},
        {"phone": "call me"},
        {"address": {"street": "1 New Street"}},
        {"address": ADDRESS | {"country": "Germany"}},
        {"marketing_consent": "yes"},
        {"notes": "x" * 2_001},
        {"name": "Somebody Else"},
    ],
)
def test_a_detail_of_the_wrong_form_never_reaches_the_table(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Desk(client=None).run("update_customer", customer_id="C-1001", **wrong)
