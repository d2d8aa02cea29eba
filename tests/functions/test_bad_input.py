"""Every handler names a missing or wrong variable, and a wrong field of its event."""

from typing import Any

import pytest

from ballast.errors import BallastError, InvalidInput, PlaybookInvalid, SettingInvalid
from tests.functions.stack import Stack

RUN = "run-" + "a" * 24
TURN = {"run_id": RUN, "turn": 1}
#: A well-formed event of each function.
EVENTS: dict[str, dict[str, Any]] = {
    "intake": {"request_id": "r-1", "text": "Hello"},
    "consume": {"Records": []},
    "admit": {"request": {"request_id": "r-1", "text": "Hello"}},
    "extend": TURN,
    "command": {"command": "budget"},
    "settle": TURN | {"ending": "answer"},
    "planner": TURN,
    "fallback": TURN,
    "rollback": TURN,
    "executor": TURN | {"index": 1},
    "open": TURN | {"kind": "escalation", "reason": "turn_limit", "timeout_s": 60, "task_token": "t"},
    "answer": {"escalation_id": "esc-" + "a" * 16, "by": "ann", "approve": True},
}
_LOG = ("RUN_LOG_TABLE", "PAYLOAD_BUCKET")
NEEDED = {
    "intake": ("STATE_MACHINE_ARN",),
    "consume": ("STATE_MACHINE_ARN", "RUN_REQUEST_DEAD_LETTER_QUEUE_URL"),
    "admit": (*_LOG, "PLAYBOOK_DIR", "REPLY_QUEUE_PREFIX", "REQUESTER_TOKENS_TABLE"),
    "extend": (*_LOG, "ANSWER_KEY_ARN", "BUDGETS_TABLE", "TENANT_HOUR_USD"),
    "command": (*_LOG, "PLAYBOOK_DIR", "BUDGETS_TABLE", "MOVES_TABLE", "TENANT_RUNS"),
    "settle": (*_LOG, "REPLY_QUEUE_PREFIX", "REQUESTER_TOKENS_TABLE"),
    "planner": (*_LOG, "PLAYBOOK_DIR"),
    "fallback": (*_LOG, "PLAYBOOK_DIR"),
    "rollback": (*_LOG, "PLAYBOOK_DIR"),
    "executor": (*_LOG, "PLAYBOOK_DIR", "IDEMPOTENCY_TABLE", "MOVES_TABLE", "BUDGETS_TABLE"),
    "open": (*_LOG, "ESCALATIONS_TABLE", "ESCALATION_QUEUE_URL"),
    "answer": (*_LOG, "ESCALATIONS_TABLE"),
}


@pytest.mark.parametrize(("function", "variable"), [(name, one) for name, all_ in NEEDED.items() for one in all_])
def test_a_missing_variable_is_named(stack: Stack, function: str, variable: str) -> None:
    del stack.environs[function][variable]

    with pytest.raises(SettingInvalid, match=variable):
        stack.invoke(function, EVENTS[function])


@pytest.mark.parametrize("function", [name for name in NEEDED if name not in ("intake", "consume")])
def test_a_variable_that_is_no_number_is_named(stack: Stack, function: str) -> None:
    stack.environs[function]["RETENTION_DAYS"] = "a month"

    with pytest.raises(SettingInvalid, match="RETENTION_DAYS"):
        stack.invoke(function, EVENTS[function])


def test_a_model_timeout_that_is_no_number_is_named(stack: Stack) -> None:
    stack.environs["planner"]["MODEL_TIMEOUT_S"] = ""

    with pytest.raises(SettingInvalid, match="MODEL_TIMEOUT_S"):
        stack.invoke("planner", EVENTS["planner"])


@pytest.mark.parametrize("function", [name for name, needed in NEEDED.items() if "PLAYBOOK_DIR" in needed])
def test_a_playbook_that_is_not_there_is_named(stack: Stack, function: str) -> None:
    stack.environs[function]["PLAYBOOK_DIR"] = "/nowhere/at/all"

    with pytest.raises(PlaybookInvalid, match="/nowhere/at/all"):
        stack.invoke(function, EVENTS[function])


#: Function → (what is changed in its event, None to leave out; the field that the error names).
_OF_A_TURN = [
    ({"run_id": None}, "run_id"),
    ({"run_id": "run-1"}, "run_id"),
    ({"run_id": 7}, "run_id"),
    ({"turn": None}, "turn"),
    ({"turn": 0}, "turn"),
    ({"turn": "1"}, "turn"),
    ({"turn": 9999}, "turn"),
    ({"colour": "red"}, "colour"),
]
_OF_A_PLAN = [({"handed_over": {"from": "nobody", "reason": "deadline"}}, "handed_over.from"),
              ({"handed_over": {"from": "agent", "reason": "boredom"}}, "handed_over.reason")]  # fmt: skip
WRONG: dict[str, list[tuple[dict[str, Any], str]]] = {
    "planner": _OF_A_TURN + _OF_A_PLAN,
    "fallback": _OF_A_TURN + _OF_A_PLAN,
    "rollback": _OF_A_TURN + _OF_A_PLAN,
    "settle": _OF_A_TURN,
    "extend": _OF_A_TURN,
    "executor": [
        *_OF_A_TURN,
        ({"index": 0}, "index"),
        ({"index": None}, "index"),
        ({"unanswered": "no"}, "unanswered"),
    ],
    "open": [
        *_OF_A_TURN,
        ({"kind": "request"}, "kind"),
        ({"reason": None}, "reason"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"task_token": ""}, "task_token"),
        ({"task_token": None}, "task_token"),
    ],
}


@pytest.mark.parametrize(
    ("function", "change", "names"), [(name, *case) for name, cases in WRONG.items() for case in cases]
)
def test_a_wrong_field_of_the_event_is_named(stack: Stack, function: str, change: dict[str, Any], names: str) -> None:
    changed = EVENTS[function] | change
    event = {name: value for name, value in changed.items() if value is not None}

    with pytest.raises(InvalidInput, match=names):
        stack.invoke(function, event)


@pytest.mark.parametrize("function", ["planner", "fallback", "rollback", "executor", "open"])
def test_a_run_that_was_never_admitted_is_said_to_be_so(stack: Stack, function: str) -> None:
    with pytest.raises(BallastError, match=r"not admitted|has no call"):
        stack.invoke(function, EVENTS[function])

    assert stack.events(RUN) == ()


def test_two_functions_side_by_side_do_not_see_each_others_variables(stack: Stack) -> None:
    del stack.environs["fallback"]["PLAYBOOK_DIR"]
    run_id = stack.open(intent="silent")

    assert stack.plan(run_id, by="rollback")["to"] == "fallback"
    with pytest.raises(SettingInvalid, match="PLAYBOOK_DIR"):
        stack.plan(run_id, 2, by="fallback")
