"""The money that a call moves is reserved before the tool runs; no approval exceeds a window."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from ballast.contracts.why import Why
from ballast.errors import ApprovalRequired, EffectUnknown, InvalidInput, RetryLater
from ballast.log.evidence import check
from ballast.why import explained
from tests.functions.approvals import answered, asks
from tests.functions.cloud import client
from tests.functions.moves import DAY, HOUR, PURSE, aborted, adds_up, items, pay, run, status, window
from tests.functions.stack import LambdaDied, Stack, once
from tests.functions.writes import add


def refusal(stack: Stack, run_id: str, turn: int = 1, index: int = 1) -> dict[str, Any]:
    return stack.body(run_id, f"{turn:04d}.call.{index}.refused")


# One call


def test_what_happened_is_kept_in_every_window_of_its_time(purse: Stack) -> None:
    run_id = run(purse, pay("99.50"))

    assert purse.execute(run_id) == "ok"

    assert status(run_id) == "kept"
    for account in ("C-1", "tenant#default", "account"):
        assert (window(account, HOUR), window(account, DAY)) == (Decimal("99.5"), Decimal("99.5"))
    assert window(run_id) == Decimal("99.5")
    moved = purse.body(run_id, "0001.call.1.intended")["moves"]
    assert moved | {"customer": ""} == {
        "micro": 99_500_000, "unit": "EUR", "customer": "", "hour": HOUR, "day": DAY, "back": False,
    }  # fmt: skip
    assert "C-1" not in str(items())
    adds_up(purse, run_id)


@pytest.mark.parametrize(
    ("how", "tool", "became", "left"),
    [
        ("no", "pay_freely", "returned", 0),
        ("nothing_done", "pay_blindly", "returned", 0),
        ("lost", "pay_blindly", "begun", 50),
    ],
)
def test_what_surely_did_not_happen_goes_back_and_what_is_unknown_stays_held(
    purse: Stack, how: str, tool: str, became: str, left: int
) -> None:
    run_id = run(purse, pay("50", tool, how=how))

    with suppress(EffectUnknown):
        purse.execute(run_id)

    assert (status(run_id), window("account"), window(run_id)) == (became, left, left)
    adds_up(purse, run_id)


def test_a_tool_without_moves_sends_nothing_to_the_table(writes: Stack) -> None:
    sent: list[Any] = []
    for operation in ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "TransactWriteItems", "Query"):
        writes.on("executor", "dynamodb", operation, sent.append)
    run_id = run(writes, add("keyed_add"))

    assert writes.execute(run_id) == "ok"

    assert sent
    assert not [one for one in sent if "moves" in str(one.get("TableName")) or "budgets" in str(one)]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("float", "a Decimal or an integer, not float"), ("text", "not str"), ("none", "not NoneType"),
        ("true", "not bool"), ("negative", "at least 0"), ("nan", "finite"), ("inf", "finite"),
        ("seven_decimals", "at most six decimals"), ("huge", "at most 1000000000"), ("raises", "(KeyError)"),
        ("key_raises", "(KeyError)"), ("key_is_none", "whose money"),
    ],
)  # fmt: skip
def test_an_amount_or_a_customer_that_is_none_refuses_the_call(purse: Stack, what: str, says: str) -> None:
    run_id = run(purse, {"tool": "pay_oddly", "arguments": {"what": what}})

    assert purse.execute(run_id) == "refused"

    refused = refusal(purse, run_id)
    assert refused["error"] == "RuleViolation"
    assert says in refused["message"]
    assert "4111" not in str(purse.events(run_id))
    assert (purse.count("odd"), items()) == (0, {})


def test_a_customer_who_is_not_there_is_a_failure_of_the_call(purse: Stack) -> None:
    run_id = run(purse, {"tool": "pay_oddly", "arguments": {"what": "no_customer"}})

    assert purse.execute(run_id) == "failed"
    assert purse.body(run_id, "0001.call.1.settled")["message"] == "There is no such customer."


def test_nothing_moved_reserves_nothing(purse: Stack) -> None:
    run_id = run(purse, pay("0.00"))

    assert purse.execute(run_id) == "ok"
    assert items() == {}


# Approval by parts


def test_five_of_99_need_the_approval_that_one_of_480_needs(purse: Stack) -> None:
    whole = run(purse, pay("480", "pay"))
    assert purse.execute(whole) == "refused"  # beyond the run's own ceiling, whoever approves
    parts = run(purse, *(pay("99", "pay", text=str(n)) for n in range(5)))

    assert purse.execute(parts) == "ok"
    for index in range(2, 6):
        needed = asks(purse, parts, index)
        assert needed["why"] == ["with 99.00 paid today it is above 100"]

    assert (purse.count("C-1"), window("C-1")) == (1, 99)
    adds_up(purse, parts)


def test_parts_over_several_runs_are_parts_all_the_same(purse: Stack) -> None:
    first, second, other = (run(purse, pay("99", "pay", customer=name)) for name in ("C-1", "C-1", "C-2"))

    assert purse.execute(first) == "ok"
    asks(purse, second)
    assert purse.execute(other) == "ok"

    answered(purse, second, approve=True)
    assert purse.execute(second) == "ok"
    assert (window("C-1"), window("C-2")) == (198, 99)
    adds_up(purse, first, second, other)


def test_of_many_at_once_one_at_most_needs_nobody(purse: Stack) -> None:
    run_ids = [run(purse, pay("99", "pay")) for _ in range(32)]

    def execute(run_id: str) -> str:
        for _ in range(50):
            try:
                return purse.execute(run_id)
            except ApprovalRequired:
                return "asked"
            except RetryLater:
                continue
        raise AssertionError(run_id)

    with ThreadPoolExecutor(32) as pool:
        became = list(pool.map(execute, run_ids))

    assert became.count("ok") == purse.count("C-1") <= 1
    assert window("C-1") == 99 * became.count("ok")
    adds_up(purse, *run_ids)


def test_while_people_are_asked_nothing_is_held_and_a_rejection_moves_nothing(purse: Stack) -> None:
    run_id = run(purse, pay("150", "pay"))
    asks(purse, run_id)
    assert (status(run_id), window("C-1")) == ("returned", 0)

    answered(purse, run_id, approve=False)

    assert purse.execute(run_id) == "denied"
    assert window("C-1") == 0


def test_an_approval_takes_from_the_windows_of_the_time_when_the_money_moves(purse: Stack) -> None:
    run_id = run(purse, pay("150", "pay"))
    asks(purse, run_id)
    purse.clock.advance(2 * 3600)

    answered(purse, run_id, approve=True)

    assert purse.execute(run_id) == "ok"
    assert (window("C-1", HOUR), window("C-1", "hour#2026-03-01T14"), window("C-1")) == (0, 150, 150)


def test_what_a_dead_attempt_held_while_people_are_asked_is_given_back(purse: Stack) -> None:
    run_id = run(purse, pay("150", "pay"))
    purse.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.approval_needed"))
    with pytest.raises(LambdaDied):
        purse.execute(run_id)
    assert status(run_id) == "held"

    asks(purse, run_id)

    assert (status(run_id), window("C-1")) == ("returned", 0)


# The ceiling


@pytest.mark.parametrize(
    ("paid", "request_", "names"),
    [
        (
            [("100", "C-1")] * 3 + [("1", "C-1")],
            {},
            "the customer's hour (0.00 of 300.00 EUR left), which ends at 2026-03-01T13:00Z",
        ),
        ([("200", "C-1"), ("200", "C-2"), ("0.01", "C-3")], {"one": True}, "the run (0.00 of 400.00 EUR left)"),
        ([("250", f"C-{n}") for n in range(4)] + [("1", "C-9")], {}, "the tenant's hour, which ends"),
    ],
)  # fmt: skip
def test_beyond_a_window_a_call_is_refused_and_told_why(
    purse: Stack, paid: list[tuple[str, str]], request_: dict[str, bool], names: str
) -> None:
    calls = [pay(amount, customer=name, text=str(n)) for n, (amount, name) in enumerate(paid)]
    run_ids = [run(purse, *calls)] if request_.get("one") else [run(purse, call) for call in calls]
    places = [(run_ids[0], n) for n in range(1, len(calls) + 1)] if len(run_ids) == 1 else [(one, 1) for one in run_ids]

    became = [purse.execute(run_id, index=index) for run_id, index in places]

    assert became == ["ok"] * (len(calls) - 1) + ["refused"]
    refused = refusal(purse, places[-1][0], index=places[-1][1])
    assert refused["error"] == "MoveRefused"
    assert names in refused["message"]
    assert "1000" not in refused["message"]
    assert any("MovesRefused" in line for line in purse.lines())
    adds_up(purse, *run_ids)


def test_all_tenants_together_have_a_window_of_their_own(purse: Stack) -> None:
    for tenant in ("a", "b", "c", "d"):
        assert purse.execute(run(purse, pay("300"), tenant=tenant)) == "ok"

    last = run(purse, pay("1"), tenant="e")

    assert purse.execute(last) == "refused"
    assert "everybody's hour, which ends" in refusal(purse, last)["message"]


@pytest.mark.parametrize("by", ["human", "fallback", "rollback"])
def test_nobody_passes_the_ceiling(purse: Stack, by: str) -> None:
    run_id = purse.open()
    purse.propose(run_id, pay("400.01"), by=by)

    assert purse.execute(run_id) == "refused"
    assert purse.count("C-1") == 0


def test_an_approval_does_not_pass_the_ceiling_until_an_operator_raised_it(purse: Stack) -> None:
    for n in range(2):
        assert purse.execute(run(purse, pay("150", text=str(n)))) == "ok"
    approved, again = run(purse, pay("150", "pay")), run(purse, pay("150", "pay"))

    assert purse.execute(approved) == "refused"
    purse.invoke(
        "command",
        {"command": "budget", "tenant": "default", "customer": "C-1", "moves_hour": 10**9, "moves_day": 10**9},
    )
    asks(purse, again)
    answered(purse, again, approve=True)

    assert purse.execute(again) == "ok"
    assert window("C-1") == 450


def test_a_new_hour_has_room_again_as_far_as_the_day_goes(purse: Stack) -> None:
    assert purse.execute(run(purse, pay("300"))) == "ok"
    assert purse.execute(run(purse, pay("200.50"))) == "refused"
    purse.clock.advance(3600)
    assert purse.execute(run(purse, pay("200.50"))) == "ok"
    purse.clock.advance(3600)
    assert purse.execute(run(purse, pay("0.01"))) == "refused"


def test_with_on_full_ask_people_are_asked_and_only_a_raised_ceiling_helps(purse: Stack, tmp_path: Any) -> None:
    import shutil

    folder = tmp_path / "purse_that_asks"
    shutil.copytree(PURSE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    agent = folder / "agent.yaml"
    agent.write_text(agent.read_text("utf-8").replace("moves:\n", "moves:\n  on_full: ask\n"), "utf-8")
    for environ in purse.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(folder)
    full, raised = run(purse, pay("301")), run(purse, pay("301"))

    assert "An approval does not lift this ceiling" in asks(purse, full)["why"][0]
    answered(purse, full, approve=True)
    assert purse.execute(full) == "refused"

    asks(purse, raised)
    answered(purse, raised, approve=True)
    purse.invoke("command", {"command": "budget", "tenant": "default", "moves_customer_hour": 301_000_000})
    assert purse.execute(raised) == "ok"


# Undo


@pytest.mark.parametrize(("tool", "left"), [("pay", 0), ("pay_freely", 90)])
def test_an_undo_gives_back_where_the_tool_says_so(purse: Stack, tool: str, left: int) -> None:
    run_id = run(purse, pay("90", tool))
    purse.execute(run_id)

    purse.plan(run_id, 2, by="rollback")
    assert purse.execute(run_id, 2) == "ok"

    assert (window("C-1"), window(run_id)) == (left, left)
    assert purse.execute(run_id, 2) == "ok"
    assert window("C-1") == left
    adds_up(purse, run_id)


def test_an_undo_that_failed_gives_nothing_back(purse: Stack) -> None:
    run_id = run(purse, pay("90", "pay"))
    purse.execute(run_id)
    purse.propose(run_id, {"tool": "take_back", "arguments": {"payment_id": "other", "customer": "C-1"}}, turn=2)

    purse.execute(run_id, 2)

    assert window("C-1") == 90


# What an operator sees and says


def test_an_operator_sees_what_was_moved_and_what_is_set(purse: Stack) -> None:
    purse.execute(run(purse, pay("90")))
    order = {"tenant": "default", "moves_day": 500_000_000, "moves_run": 95_000_000}

    shown = purse.invoke("command", {"command": "budget"} | order)["moves"]

    assert shown == {
        "currency": "EUR",
        "windows": [
            {"window": HOUR, "limit": 1_000_000_000, "moved": 90_000_000},
            {"window": DAY, "limit": 500_000_000, "moved": 90_000_000},
        ],
        "run": 95_000_000,
        "each_customer": {"hour": 300_000_000, "day": 500_500_000},
        "set": ["moves_day", "moves_run"],
    }
    assert purse.execute(run(purse, pay("96", customer="C-2"))) == "refused"
    customer = purse.invoke("command", {"command": "budget", "tenant": "default", "customer": "C-1"})["moves"][
        "windows"
    ]
    assert [(one["limit"], one["moved"]) for one in customer] == [(300_000_000, 90_000_000), (500_500_000, 90_000_000)]
    everyone = purse.invoke("command", {"command": "budget"})["moves"]["windows"]
    assert [(one["limit"], one["moved"]) for one in everyone] == [
        (1_200_000_000, 90_000_000),
        (1_800_000_000, 90_000_000),
    ]
    forgotten = purse.invoke(
        "command", {"command": "budget", "tenant": "default", "forget": ["moves_day", "moves_run"]}
    )["moves"]
    assert (forgotten["set"], forgotten["run"]) == ([], 400_000_000)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ({"customer": "C-1"}, "customer"),
        ({"tenant": "default", "customer": "C-1", "moves_run": 1}, "moves_run"),
        ({"tenant": "default", "moves_hour": -1}, "moves_hour"),
        ({"tenant": "default", "moves_hour": 1.5}, "moves_hour"),
        ({"moves": 3}, "moves"),
    ],
)
def test_an_order_that_is_none_names_its_field(purse: Stack, order: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        purse.invoke("command", {"command": "budget"} | order)


@pytest.mark.parametrize(("happened", "became", "left"), [(True, "kept", 50), (False, "returned", 0)])
def test_an_unknown_effect_stays_held_until_a_person_says(purse: Stack, happened: bool, became: str, left: int) -> None:
    run_id = run(purse, pay("50", "pay_blindly", how="lost"))
    with pytest.raises(EffectUnknown):
        purse.execute(run_id)
    aborted(purse, run_id)
    assert (status(run_id), window("account")) == ("begun", 50)
    order = {"move": {"run_id": run_id, "turn": 1, "index": 1, "happened": happened}}

    purse.invoke("command", {"command": "budget"} | order)

    assert (status(run_id), window("account")) == (became, left)
    purse.invoke("command", {"command": "budget"} | order)  # the same again changes nothing
    assert (status(run_id), window("account")) == (became, left)
    other = {"move": order["move"] | {"happened": not happened}}
    with pytest.raises(InvalidInput, match="whose effect is unknown"):
        purse.invoke("command", {"command": "budget"} | other)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("happened", [True, False])
def test_what_an_operator_found_is_in_the_log_and_the_report_asks_no_more(
    purse: Stack, happened: bool, ended: bool
) -> None:
    run_id = run(purse, pay("50", "pay_blindly", how="lost"))
    with pytest.raises(EffectUnknown):
        purse.execute(run_id)
    if ended:
        aborted(purse, run_id)
    before = why(purse, run_id)
    order = {"run_id": run_id, "turn": 1, "index": 1, "happened": happened, "by": "ops-ann"}

    for _ in range(2):
        purse.invoke("command", {"command": "budget", "move": order})
    if not ended:
        aborted(purse, run_id)
    after, events = why(purse, run_id), purse.log.read(run_id)

    assert [one.seq for one in events if one.name == "run.move_settled"] == ["9999.run.move_settled"]
    assert "find out whether pay_blindly" in before.act
    assert "budget --move" in before.to_json()
    found = "happened" if happened else "did not happen"
    assert f"later ops-ann found out that it {found}" in after.to_json()
    for word in ("find out whether", "settle", "budget --move", "nobody knows whether"):
        assert word not in after.to_json()
    assert [one.state for one in after.did] == (["stands"] if happened else [])
    verdict = check(events)
    assert verdict.first is None
    assert verdict.late == (("9999.run.move_settled",) if ended else ())


def why(purse: Stack, run_id: str) -> Why:
    read = purse.log.read(run_id)
    return explained(read, read.timeline(), stack="s")


def test_a_call_in_no_doubt_is_not_settled_by_hand(purse: Stack) -> None:
    run_id = run(purse, pay("50"))
    order = {"move": {"run_id": run_id, "turn": 1, "index": 1, "happened": False}}
    with pytest.raises(InvalidInput, match="reserved nothing"):
        purse.invoke("command", {"command": "budget"} | order)
    purse.execute(run_id)

    with pytest.raises(InvalidInput, match="whose effect is unknown"):
        purse.invoke("command", {"command": "budget"} | order)
    assert window("account") == 50


def test_a_window_that_ttl_removed_is_not_made_anew_by_what_goes_back(purse: Stack) -> None:
    run_id = run(purse, pay("50", "pay_blindly", how="lost"))
    with pytest.raises(EffectUnknown):
        purse.execute(run_id)
    aborted(purse, run_id)
    for account, name in [key for key in items() if key[1] == HOUR]:
        client("dynamodb").delete_item(TableName="moves", Key={"account": {"S": account}, "window": {"S": name}})

    purse.invoke("command", {"command": "budget", "move": {"run_id": run_id, "turn": 1, "index": 1, "happened": False}})

    assert (status(run_id), window("account", DAY)) == ("returned", 0)
    assert not [key for key in items() if key[1] == HOUR]
