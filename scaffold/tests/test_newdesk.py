"""The tools, the gate in front of them, and the fallback. `ballast test` plays the scenarios."""

from dataclasses import replace

import pytest
from ballast.playbook import ToolContext, ToolFailed
from ballast.testing import FallbackDriver, Gate, LocalDesk, ScriptedModel

from newdesk.accounts import Account
from newdesk.tools.look_up_account import look_up_account
from newdesk.tools.reinstate_account import ReinstateAccount, reinstate_account
from newdesk.tools.suspend_account import SuspendAccount, suspend_account

SUSPEND = {"account_id": "A-1001", "days": 7}
TEXT = "Suspend A-1001 for 7 days."


def test_a_repeated_attempt_changes_nothing_more(tool_context: ToolContext) -> None:
    args = SuspendAccount(account_id="A-1001", days=7)

    first, again = suspend_account(args, tool_context), suspend_account(args, tool_context)

    assert first == again == Account(account_id="A-1001", owner="Mia Lang", state="suspended", days=7)
    with pytest.raises(ToolFailed, match="suspended already"):
        suspend_account(args, replace(tool_context, idempotency_key="another"))


def test_the_undo_reinstates_the_account(tool_context: ToolContext) -> None:
    suspend_account(SuspendAccount(account_id="A-1001", days=7), tool_context)

    undone = reinstate_account(ReinstateAccount(account_id="A-1001"), replace(tool_context, idempotency_key="undo"))

    assert (undone.state, undone.days) == ("active", 0)


def test_an_account_that_nobody_named_is_refused(gate: Gate) -> None:
    assert gate.call(suspend_account, SUSPEND, text="Suspend my account for 7 days.").error == "Ungrounded"


def test_a_short_suspension_needs_nobody(gate: Gate) -> None:
    assert gate.call(suspend_account, SUSPEND, text=TEXT, intent="suspend").status == "ok"


def test_a_long_suspension_waits_for_a_person(gate: Gate) -> None:
    asked = gate.call(suspend_account, {**SUSPEND, "days": 90}, text="Suspend A-1001 for 90 days.")

    assert (asked.status, asked.why) == ("asked", ("90 days are more than 30",))
    assert asked.approved(by="rae").result["state"] == "suspended"


def test_a_question_changes_nothing_whatever_it_says(gate: Gate) -> None:
    assert gate.call(suspend_account, SUSPEND, text=TEXT, intent="account_status").error == "RuleViolation"


def test_the_fallback_suspends_an_active_account(fallback_driver: FallbackDriver) -> None:
    run = fallback_driver("suspend", context=SUSPEND)
    assert run.call == look_up_account.call(account_id="A-1001")

    run.returns(Account(account_id="A-1001", owner="Mia", state="active"))
    assert run.call == suspend_account.call(account_id="A-1001", days=7)

    run.returns(Account(account_id="A-1001", owner="Mia", state="suspended", days=7))
    assert run.answer is not None
    assert run.answer.text == "Account A-1001 is suspended for 7 days."


def test_the_fallback_leaves_a_missing_fact_to_a_person(fallback_driver: FallbackDriver) -> None:
    assert fallback_driver("suspend").gave_up == "The request's context has no account_id, or no days."


def test_a_whole_run_answers(local_cloud: LocalDesk, scripted_model: ScriptedModel) -> None:
    scripted_model.will((look_up_account, {"account_id": "A-1002"}), "Account A-1002 is suspended for 14 days.")

    run = local_cloud.run("Is A-1002 active?", intent="account_status")

    assert (run.status, run.by, run.effects) == ("answered", "agent", "none")
