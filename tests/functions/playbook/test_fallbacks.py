"""The fallbacks, driven as the fallback planner drives them, on the real tools."""

from typing import Any

import pytest

from ballast.contracts import RunRequest, ToolCall
from ballast.playbook import CallFailed, GiveUp, ToolFailed
from tests.functions.playbook.desk import PLAYBOOK, Desk


def request(intent: str, text: str = "Please help.", **context: Any) -> RunRequest:
    return RunRequest(request_id="r-1", intent=intent, text=text, context=context)


def play(desk: Desk, asked: RunRequest, *, deny: str | None = None) -> tuple[str, list[str]]:
    """Run the intent's script to its end; return its answer and the tools it called.

    ``deny`` names a tool whose calls a person rejects.
    """
    script = PLAYBOOK.fallbacks[asked.intent or ""](asked)
    called: list[str] = []
    try:
        call: ToolCall = next(script)
        while True:
            called.append(call.tool)
            if call.tool == deny:
                call = script.throw(CallFailed(call.tool, "denied", "A person rejected it."))
                continue
            assert isinstance(call.arguments, dict)
            try:
                result = desk.run(call.tool, key=f"k{len(called)}", **call.arguments)
            except ToolFailed as failed:
                call = script.throw(CallFailed(call.tool, "failed", str(failed)))
            else:
                call = script.send(PLAYBOOK.tools[call.tool].result.validate_python(result))
    except StopIteration as end:
        answer: str = end.value
        return answer, called


@pytest.mark.parametrize(
    ("order_id", "answer"),
    [
        ("O-1001", "Your order O-1001 was shipped on 2025-06-01. The tracking code is PW10015550."),
        ("O-1002", "Your order O-1002 is paid and being packed. It leaves on the next working day."),
        ("O-1003", "Your order O-1003 was delivered on 2025-05-28. The tracking code is PW10035550."),
        ("O-1005", "Your order O-1005 is cancelled."),
        ("O-1007", "Your order O-1007 came back to us on 2025-05-27. 30.00 of 120.00 USD was refunded."),
        (
            "O-1008",
            "Your order O-1008 of 2025-05-31 is waiting for your payment. It leaves as soon as the money is here.",
        ),
    ],
)
def test_order_status_puts_every_status_into_words(desk: Desk, order_id: str, answer: str) -> None:
    assert play(desk, request("order_status", order_id=order_id)) == (answer, ["look_up_order"])


def test_order_status_of_an_unknown_order_goes_to_a_person_with_the_reason(desk: Desk) -> None:
    with pytest.raises(GiveUp, match="O-9999 could not be read: There is no order O-9999"):
        play(desk, request("order_status", order_id="O-9999"))


def test_cancel_cancels_and_gives_the_money_back(desk: Desk) -> None:
    answer, called = play(desk, request("cancel_order", text="cancel O-1002 please"))

    assert answer == "Your order O-1002 is cancelled, and 84.50 USD goes back the way you paid."
    assert called == ["look_up_order", "cancel_order", "refund_order"]
    order = desk.run("look_up_order", order_id="O-1002")
    assert (order["status"], order["refundable_usd"]) == ("cancelled", "0.00")


def test_cancel_of_an_unpaid_order_moves_no_money(desk: Desk) -> None:
    answer, called = play(desk, request("cancel_order", order_id="O-1008"))

    assert answer == "Your order O-1008 is cancelled. Nothing was paid, so nothing is owed."
    assert called == ["look_up_order", "cancel_order"]


@pytest.mark.parametrize(
    ("order_id", "reason"), [("O-1001", "It can no longer be cancelled"), ("O-1005", "nothing left to cancel")]
)
def test_cancel_of_what_cannot_be_cancelled_says_so_and_changes_nothing(desk: Desk, order_id: str, reason: str) -> None:
    before = desk.records()

    answer, called = play(desk, request("cancel_order", order_id=order_id))

    assert reason in answer
    assert called == ["look_up_order"]
    assert desk.records() == before


def test_cancel_tells_a_person_how_far_it_came_when_the_refund_is_denied(desk: Desk) -> None:
    with pytest.raises(GiveUp, match=r"O-1002 is cancelled, but its 84\.50 USD was not refunded: A person rejected it"):
        play(desk, request("cancel_order", order_id="O-1002"), deny="refund_order")


def test_cancel_goes_to_a_person_when_it_is_not_allowed(desk: Desk) -> None:
    with pytest.raises(GiveUp, match="O-1002 was not cancelled: A person rejected it"):
        play(desk, request("cancel_order", order_id="O-1002"), deny="cancel_order")


@pytest.mark.parametrize(("order_id", "amount"), [("O-1005", "75.00"), ("O-1007", "90.00")])
def test_refund_gives_back_all_of_a_cancelled_or_returned_order(desk: Desk, order_id: str, amount: str) -> None:
    answer, called = play(desk, request("refund", order_id=order_id))

    assert answer.startswith(f"We have refunded {amount} USD for your order {order_id} (refund R-")
    assert called == ["look_up_order", "refund_order"]


def test_refund_of_a_delivered_order_is_the_amount_that_the_caller_vouches_for(desk: Desk) -> None:
    answer, _ = play(desk, request("refund", order_id="O-1003", amount_usd="12.50"))

    assert "refunded 12.50 USD" in answer
    assert desk.run("look_up_order", order_id="O-1003")["refunded_usd"] == "12.50"


def test_refund_never_takes_an_amount_from_the_text(desk: Desk) -> None:
    with pytest.raises(GiveUp, match=r"O-1003 is delivered, with 40\.00 USD refundable.*a person to judge"):
        play(desk, request("refund", text="Refund 40.00 USD of O-1003 now!"))


@pytest.mark.parametrize("amount", ["40.01", "0.00"])
def test_refund_of_an_amount_that_does_not_fit_goes_to_a_person(desk: Desk, amount: str) -> None:
    with pytest.raises(GiveUp, match=r"was vouched for, but 40\.00 USD of O-1003 is refundable"):
        play(desk, request("refund", order_id="O-1003", amount_usd=amount))


@pytest.mark.parametrize(
    ("order_id", "answer"),
    [
        ("O-1008", "Your order O-1008 was never paid, so there is nothing to refund."),
        ("O-1010", "Your order O-1010 was refunded in full: 39.50 USD."),
    ],
)
def test_refund_says_where_there_is_nothing_to_refund(desk: Desk, order_id: str, answer: str) -> None:
    assert play(desk, request("refund", order_id=order_id)) == (answer, ["look_up_order"])


def test_refund_that_a_person_denies_goes_to_a_person(desk: Desk) -> None:
    with pytest.raises(GiveUp, match="O-1005 was not refunded: A person rejected it"):
        play(desk, request("refund", order_id="O-1005"), deny="refund_order")


def test_a_script_that_does_not_know_the_order_calls_nothing(desk: Desk) -> None:
    for intent in PLAYBOOK.fallbacks:
        with pytest.raises(GiveUp, match="names an order"):
            play(desk.through(None), request(intent))
