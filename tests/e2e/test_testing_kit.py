"""``ballast.testing``: what it says to a test that is wrong, and that no test depends on another one."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

import ballast.testing
from ballast.contracts import Answer, ExitReason, HandOver, Planner, RunRequest
from ballast.playbook import Circuit, Fallback, Playbook, ToolContext, load_playbook
from cli.commands.new import write
from functions.executor import downstream
from localcloud import testing
from localcloud.clock import WallClock
from localcloud.cloud import LocalCloud
from localcloud.scenarios.doubles import Double, doubled
from localcloud.testing import FallbackDriver, Gate, LocalDesk, ScriptedModel, verdict_of

SUSPEND = {"account_id": "A-1001", "days": 7}
LOOK_UP_SECOND = ("look_up_account", {"account_id": "A-1002"})


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalDesk, ScriptedModel]]:
    project = tmp_path_factory.mktemp("kit") / "kitdesk"
    write("kitdesk", project)
    playbook, model = load_playbook(project), ScriptedModel()
    with LocalCloud(project, model=model, clock=WallClock(sleep=lambda _: None)) as cloud:
        desk = LocalDesk(cloud, playbook, model)
        desk.listen()
        yield desk, model


@pytest.fixture
def desk(kit: tuple[LocalDesk, ScriptedModel]) -> Iterator[LocalDesk]:
    kit[1].forget()
    kit[0].restock()
    yield kit[0]
    kit[0].stop_open()


@pytest.fixture
def gate(kit: tuple[LocalDesk, ScriptedModel], desk: LocalDesk) -> Gate:
    return Gate(desk, kit[1])


def test_it_is_imported_by_the_name_in_the_docs() -> None:
    assert ballast.testing.Gate is testing.Gate
    assert ballast.testing.pytest_plugins == ["localcloud.testing"]
    with pytest.raises(AttributeError, match="has no attribute 'gate'"):
        ballast.testing.gate  # noqa: B018


def test_a_call_before_it_that_is_refused_fails_the_test(gate: Gate) -> None:
    with pytest.raises(AssertionError, match="after: look_up_account was refused: Ungrounded"):
        gate.call("suspend_account", SUSPEND, after=[("look_up_account", {"account_id": "A-1001"})])


def test_a_tool_that_there_is_not_is_refused_as_the_agents_call(gate: Gate) -> None:
    assert gate.call("no_such_tool").error == "UnknownTool"


def test_an_answer_to_a_call_that_waits_for_nobody_fails_the_test(gate: Gate) -> None:
    refused = gate.call("suspend_account", SUSPEND)

    with pytest.raises(AssertionError, match="does not wait for a person: refused Ungrounded"):
        refused.approved()


def test_a_call_without_an_outcome_is_unknown_and_nobody_can_approve_it(gate: Gate, desk: LocalDesk) -> None:
    asked = gate.call("suspend_account", {**SUSPEND, "days": 90}, text="A-1001 for 90 days")
    turn = asked.timeline.turns[0]
    begun = turn.model_copy(update={"calls": (asked.call.model_copy(update={"outcome": "open", "approvals": ()}),)})

    unknown = verdict_of(desk, asked.timeline.model_copy(update={"turns": (begun,)}), (1, 1))

    assert (asked.status, unknown.status) == ("asked", "unknown")
    with pytest.raises(AssertionError, match=r"not wait for a person: unknown .*waits for a decision: play it with"):
        unknown.rejected()


def test_a_rejected_call_is_denied_and_changes_nothing(gate: Gate, desk: LocalDesk) -> None:
    asked = gate.call("suspend_account", {**SUSPEND, "days": 90}, text="A-1001 for 90 days")

    denied = asked.rejected(by="rae", comment="Too long.")

    assert (denied.status, "Too long." in denied.message) == ("denied", True)
    assert {one["state"] for one in desk.items("AccountsTable") if one["account_id"] == "A-1001"} == {"active"}


def test_who_asked_may_not_approve_and_somebody_else_may(gate: Gate) -> None:
    asked = gate.call("suspend_account", {**SUSPEND, "days": 90}, text="A-1001 for 90 days", by="mia")

    with pytest.raises(ballast.testing.MayNotAnswer, match="mia asked for this run"):
        asked.approved(by="mia")

    assert asked.approved(by="rae").status == "ok"


def test_a_refusal_may_be_expected_and_an_acceptance_in_its_place_fails_the_test(
    desk: LocalDesk, kit: tuple[LocalDesk, ScriptedModel]
) -> None:
    call = ("suspend_account", {**SUSPEND, "days": 90})
    refused = {"by": "mia", "approve": True, "refused": True}
    kit[1].will(call, "Done.")
    made = desk.run("A-1001 for 90 days", by="mia", people=[refused, {"by": "rae", "approve": True}])
    assert made.status == "answered"

    kit[1].will(call, "Done.")
    with pytest.raises(AssertionError, match="answer of mia was accepted"):
        desk.run("A-1001 for 90 days", by="ida", people=[refused])


def test_an_answer_that_nobody_is_asked_for_fails_the_test(
    desk: LocalDesk, kit: tuple[LocalDesk, ScriptedModel]
) -> None:
    rae = {"by": "rae", "approve": True}
    for people, said in (([rae], "asked nobody, so the answer of rae"), ([{**rae, "refused": True}], "nobody knows")):
        kit[1].will("Done.")
        with pytest.raises(AssertionError, match=said):
            desk.run("A-1001 for 90 days", people=people)

    kit[1].will("Done.")
    assert desk.run("A-1001 for 90 days", people=[{**rae, "if_asked": True}]).status == "answered"


def test_a_call_that_one_person_changes_needs_another_who_has_seen_it(
    desk: LocalDesk, kit: tuple[LocalDesk, ScriptedModel]
) -> None:
    changes = {"by": "rae", "approve": True, "arguments": {**SUSPEND, "days": 10}}
    kit[1].will(("suspend_account", {**SUSPEND, "days": 90}), "Done.")

    waits = desk.run("A-1001 for 90 days", people=[changes])
    made = desk.follow(waits.run_id, [{"by": "bo", "approve": True}])

    assert (waits.status, made.status) == ("waiting", "answered")
    assert desk.items("AccountsTable")[0]["days"] == 10


def test_each_test_begins_with_the_seeded_tables(gate: Gate, desk: LocalDesk) -> None:
    seeded = desk.items("AccountsTable")
    gate.call("suspend_account", SUSPEND, text="A-1001 for 7 days")
    assert desk.items("AccountsTable") != seeded

    desk.restock()

    assert desk.items("AccountsTable") == seeded
    used = desk.cloud.session.client("dynamodb")
    left = {
        name: used.scan(TableName=desk.cloud.physical_id(name))["Count"]
        for name in ("BudgetsTable", "MovesTable", "IdempotencyTable", "ModelCircuitsTable")
    }
    assert set(left.values()) == {0}, left


def test_no_circuit_that_a_test_opened_is_open_in_the_next_one(
    gate: Gate, desk: LocalDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downstream, "_circuit", lambda *_: Circuit("accounts", failures=2, recovery_s=3_600))

    def looked_up(breaks: bool = False) -> str:
        with doubled(desk.cloud, [Double(tool="look_up_account", breaks="503")] if breaks else []):
            return gate.call("look_up_account", {"account_id": "A-1001"}, text="A-1001").message

    assert ["503" in looked_up(breaks=True) for _ in range(2)] == [True, True]
    assert looked_up().startswith("accounts failed too often and is not called for a while.")
    desk.restock()
    assert looked_up() == ""

    looked_up(breaks=True)
    desk.restock()
    looked_up(breaks=True)  # the first of this test
    assert looked_up() == ""


def test_a_run_that_asks_waits_until_the_test_ends(gate: Gate, desk: LocalDesk) -> None:
    asked = gate.call("suspend_account", {**SUSPEND, "days": 90}, text="A-1001 for 90 days")
    run_id = asked.timeline.run_id
    assert (asked.timeline.status, desk.cloud.status(run_id)) == ("waiting", "RUNNING")

    desk.stop_open()

    assert desk.cloud.status(run_id) != "RUNNING"


def test_a_write_whose_effect_stays_in_doubt_ends_as_on_aws(gate: Gate, desk: LocalDesk) -> None:
    """Six runs under its key, then the lease is waited for and ``verify`` decides: not ``executor_failed``."""
    with doubled(desk.cloud, [Double(tool="suspend_account", breaks="503")]):
        failed = gate.call("suspend_account", SUSPEND, text="A-1001 for 7 days")

    assert (failed.status, len(failed.call.doubts)) == ("failed", 6)
    assert failed.message.endswith("503. It did not happen.")


def test_a_prompt_can_be_read(desk: LocalDesk, kit: tuple[LocalDesk, ScriptedModel]) -> None:
    kit[1].will("Hello.")

    desk.run("Is A-1002 active?")

    [request] = kit[1].requests
    assert "Is A-1002 active?" in json.dumps(request["messages"])


def test_a_tools_client_has_the_rights_of_the_executor_and_no_other(desk: LocalDesk) -> None:
    context: ToolContext = testing.tool_context.__wrapped__(desk)  # type: ignore[attr-defined]
    table = context.environ["ACCOUNTS_TABLE"]

    assert "Item" in context.client("dynamodb").get_item(TableName=table, Key={"account_id": {"S": "A-1001"}})
    with pytest.raises(ClientError, match="AccessDenied"):
        context.client("dynamodb").delete_item(TableName=table, Key={"account_id": {"S": "A-1001"}})


# The fallback driver


def playbook_with(playbook: Playbook, script: Any) -> Playbook:
    changed: Any = SimpleNamespace(
        agent=playbook.agent, tools=playbook.tools, fallbacks={"suspend": Fallback(("suspend",), script)}
    )
    return changed  # type: ignore[no-any-return]


def test_a_fallback_that_is_no_function_of_its_results_fails_the_test(desk: LocalDesk) -> None:
    days = iter(range(1, 9))

    def script(request: RunRequest) -> Any:
        yield desk.playbook.tools["suspend_account"].call(account_id="A-1001", days=next(days))
        return "done"

    run = FallbackDriver(playbook_with(desk.playbook, script))("suspend")

    with pytest.raises(AssertionError, match="not a pure function of the results"):
        run.returns({"account_id": "A-1001", "owner": "x", "state": "active"})


def test_a_result_of_another_form_is_refused(desk: LocalDesk) -> None:
    run = FallbackDriver(desk.playbook)("suspend", context=SUSPEND)

    with pytest.raises(ValueError, match="account_id"):
        run.returns({"id": "A-1001"})


def test_a_script_that_yields_no_call_fails_the_test(desk: LocalDesk) -> None:
    def script(request: RunRequest) -> Any:
        yield "suspend_account"

    with pytest.raises(AssertionError, match="yield a tool's"):
        FallbackDriver(playbook_with(desk.playbook, script))("suspend")


@pytest.mark.parametrize(
    "ending", ["text", Answer(text="text"), HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_GAVE_UP)]
)
def test_each_way_to_end_is_told_apart(desk: LocalDesk, ending: Any) -> None:
    def script(request: RunRequest) -> Any:
        yield desk.playbook.tools["look_up_account"].call(account_id="A-1001")
        return ending

    run = FallbackDriver(playbook_with(desk.playbook, script))("suspend").fails("gone", "refused")
    assert run.gave_up == "look_up_account was refused: gone"

    run = FallbackDriver(playbook_with(desk.playbook, script))("suspend")
    run.returns({"account_id": "A-1001", "owner": "x", "state": "active"})
    assert (run.answer or run.hands_to) == (Answer(text="text") if ending == "text" else ending)
    with pytest.raises(AssertionError, match="has ended"):
        run.returns(None)


@pytest.mark.parametrize("ending", ["", None, 5, HandOver(to=Planner.FALLBACK, reason=ExitReason.FALLBACK_GAVE_UP)])
def test_an_ending_that_is_none_fails_the_test_as_it_fails_the_run(desk: LocalDesk, ending: Any) -> None:
    def script(request: RunRequest) -> Any:
        yield from ()
        return ending

    with pytest.raises((TypeError, ValueError), match="returned"):
        FallbackDriver(playbook_with(desk.playbook, script))("suspend")


def test_an_intent_without_a_fallback_is_told_those_that_there_are(desk: LocalDesk) -> None:
    with pytest.raises(AssertionError, match=r"No fallback serves the intent 'stop'\. There are: suspend\."):
        FallbackDriver(desk.playbook)("stop")


def test_the_plugin_needs_nothing_of_the_platforms_tests() -> None:
    text = (Path(testing.__file__)).read_text()

    assert "import tests" not in text
    assert "from tests" not in text


def test_two_calls_wait_and_each_is_approved_on_its_own(gate: Gate) -> None:
    first = gate.call("suspend_account", {**SUSPEND, "days": 90}, text="A-1001 for 90 days")
    second = gate.call(
        "suspend_account", {"account_id": "A-1002", "days": 80}, text="A-1002 for 80 days", after=[LOOK_UP_SECOND]
    )
    assert (first.status, second.status) == ("asked", "asked")

    newer, older = second.approved(by="rae"), first.approved(by="rae")

    assert (newer.status, older.status) == ("failed", "ok")  # A-1002 was suspended before
    assert (older.result["account_id"], len(older.timeline.turns)) == ("A-1001", 2)  # by its own replies


def test_a_run_that_asks_a_model_without_replies_fails_the_test(
    desk: LocalDesk, kit: tuple[LocalDesk, ScriptedModel]
) -> None:
    with pytest.raises(AssertionError, match=r"gave it no reply: call scripted_model\.will"):
        desk.run("A-1001 for 90 days")

    kit[1].will("Done.", "And more.")
    assert desk.run("A-1001 for 90 days").status == "answered"
    with pytest.warns(UserWarning, match="no run asked for reply 2 of a will"):
        kit[1].forget()
