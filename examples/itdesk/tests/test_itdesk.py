"""The tools, the gate in front of them, and the fallbacks. `ballast test` plays the scenarios."""

from dataclasses import replace

import pytest
from ballast.contracts import ToolCall
from ballast.playbook import Playbook, ToolContext, ToolFailed
from ballast.testing import FallbackDriver, Gate, LocalDesk, MayNotAnswer, ScriptedModel

from itdesk.tools.grant_access import GrantAccess, grant_access
from itdesk.tools.look_up_account import look_up_account
from itdesk.tools.revoke_access import RevokeAccess, revoke_access
from itdesk.values import Access, Account

RESET = "idp_resetPassword"
GRANT = {"account_id": "A-1001", "application": "crm", "level": "read", "reason": "sells"}
TEXT = "A-1001 sells and needs the crm."


def test_a_repeated_attempt_grants_once(tool_context: ToolContext, local_cloud: LocalDesk) -> None:
    args = GrantAccess(account_id="A-1001", application="crm", level="read", reason="sells")

    assert grant_access(args, tool_context) == grant_access(args, tool_context)
    assert [one["access_id"] for one in local_cloud.items("AccessTable")] == ["A-1001#crm", "A-1001#wiki"]
    with pytest.raises(ToolFailed, match="has access to crm already"):
        grant_access(args, replace(tool_context, idempotency_key="another"))


def test_the_undo_takes_the_access_back(tool_context: ToolContext, local_cloud: LocalDesk) -> None:
    args = RevokeAccess(account_id="A-1001", application="wiki")

    assert revoke_access(args, tool_context) == revoke_access(args, tool_context)
    assert local_cloud.items("AccessTable") == []


def test_payroll_waits_for_security_and_nobody_else(gate: Gate) -> None:
    wanted = {**GRANT, "application": "payroll"}

    asked = gate.call(grant_access, wanted, text="A-1001 needs to read payroll.", intent="access", by="mia")

    assert (asked.status, asked.why) == ("asked", ("payroll has everybody's salary",))
    with pytest.raises(MayNotAnswer, match="mia asked for this run"):
        asked.approved(by="mia", groups=["security"])
    with pytest.raises(MayNotAnswer, match="only members of security"):
        asked.approved(by="rae")
    assert asked.approved(by="sam", groups=["security"]).result["level"] == "read"


def test_an_account_that_nobody_named_is_refused(gate: Gate) -> None:
    assert gate.call(grant_access, GRANT, text="My colleague sells and needs the crm.").error == "Ungrounded"


def test_a_question_about_a_password_grants_nothing(gate: Gate) -> None:
    assert gate.call(grant_access, GRANT, text=TEXT, intent="password").error == "RuleViolation"


def test_a_reset_whose_answer_is_lost_is_made_once(gate: Gate, local_cloud: LocalDesk) -> None:
    local_cloud.stand_ins.TROUBLE["lost"] = 1

    verdict = gate.call(RESET, {"account_id": "A-1001"}, text="Reset the password of A-1001.", intent="password")

    assert (verdict.status, verdict.result["reset_id"]) == ("ok", "P-1")
    assert len(local_cloud.stand_ins.RESETS) == 1


def test_a_private_address_is_in_no_log(gate: Gate) -> None:
    verdict = gate.call(RESET, {"account_id": "A-1001"}, text="Reset the password of A-1001.", intent="password")

    assert verdict.result["sent_to"] == "*****"
    assert "private.example" not in verdict.timeline.model_dump_json()


def test_the_fallback_resets_the_password_of_an_active_account(fallback_driver: FallbackDriver) -> None:
    run = fallback_driver("password", context={"account_id": "A-1001"})
    assert run.call == look_up_account.call(account_id="A-1001")

    run.returns(Account(account_id="A-1001", owner="Mia", state="active"))
    assert run.call == ToolCall(tool=RESET, arguments={"account_id": "A-1001"})

    run.returns({"reset_id": "P-1"})
    assert run.answer is not None
    assert run.answer.text == "A link to set a new password was sent to the owner of A-1001."


def test_the_fallback_leaves_one_who_has_left_to_a_person(fallback_driver: FallbackDriver) -> None:
    run = fallback_driver("password", context={"account_id": "A-1003"})

    run.returns(Account(account_id="A-1003", owner="Ida", state="left"))

    assert run.gave_up == "The owner of A-1003 has left the company."


def test_the_fallback_grants_what_the_form_says(fallback_driver: FallbackDriver) -> None:
    facts = {name: GRANT[name] for name in ("account_id", "application", "level")}
    run = fallback_driver("access", context=facts)
    assert run.call == grant_access.call(**facts, reason="As the form says.")

    run.returns(Access(account_id="A-1001", application="crm", level="read"))

    assert run.answer is not None
    assert run.answer.text == "A-1001 has access to crm now (read)."


def test_without_a_model_an_access_is_granted_all_the_same(
    local_cloud: LocalDesk, scripted_model: ScriptedModel
) -> None:
    scripted_model.will({"error": "AccessDeniedException"})

    run = local_cloud.run(
        TEXT, intent="access", context={"account_id": "A-1001", "application": "crm", "level": "read"}
    )

    assert (run.status, run.by, run.degraded) == ("answered", "fallback", True)


def test_what_is_declared_of_the_server_is_what_the_tools_do(playbook: Playbook) -> None:
    assert playbook.tools[RESET].offered
    assert not playbook.tools["idp_findResets"].offered
