"""``ballast answer``: what is typed becomes exactly one kind of answer, or a clear refusal."""

from typing import Any

import pytest

from ballast.errors import InvalidInput, MayNotAnswer
from cli.commands.answer import answer, answer_on_stack, confirmed, payload_of
from cli.parser import parser

ESCALATION = {"kind": "escalation", "reason": "no_fallback"}
APPROVAL = {"kind": "approval", "reason": "approval_required"}


def typed(*words: str, to: dict[str, Any] = ESCALATION) -> dict[str, Any]:
    return payload_of(parser().parse_args(["answer", "esc-1", *words]), to, by="Dana")


def test_say_is_an_answer() -> None:
    assert typed("--say", "Done.") == {"by": "Dana", "decision": {"kind": "answer", "text": "Done."}}


def test_back_to_agent_carries_guidance_and_budget_in_whole_micro_dollars() -> None:
    decision = typed("--back-to-agent", "--guidance", "Offer a voucher.", "--add-budget", "0.1")["decision"]

    assert decision == {
        "kind": "hand_over",
        "to": "agent",
        "reason": "guidance",
        "guidance": "Offer a voucher.",
        "add_budget_microusd": 100_000,
    }


def test_back_to_agent_may_name_another_agent() -> None:
    assert typed("--back-to-agent", "--guidance", "g", "--agent", "billing")["decision"]["agent"] == "billing"


@pytest.mark.parametrize(
    ("amount", "microusd"), [("0", 0), ("0.000001", 1), ("$1.10", 1_100_000), ("99999.000007", 99_999_000_007)]
)
def test_a_budget_is_never_rounded(amount: str, microusd: int) -> None:
    decision = typed("--back-to-agent", "--guidance", "g", "--add-budget", amount)["decision"]

    assert decision["add_budget_microusd"] == microusd


@pytest.mark.parametrize("amount", ["-1", "ten", "0.0000001", "nan", "inf", "", "1,5"])
def test_a_budget_that_is_no_amount_is_refused_by_name(amount: str) -> None:
    with pytest.raises(InvalidInput, match="--add-budget"):
        typed("--back-to-agent", "--guidance", "g", f"--add-budget={amount}")


def test_calls_are_proposed_in_the_order_in_which_they_were_typed() -> None:
    decision = typed("--call", "look_up_order", '{"order_id": "O-1"}', "--call", "cancel_order", "{}")["decision"]

    assert decision == {
        "kind": "call_tools",
        "calls": [
            {"tool": "look_up_order", "arguments": {"order_id": "O-1"}},
            {"tool": "cancel_order", "arguments": {}},
        ],
    }


@pytest.mark.parametrize(("arguments", "complaint"), [("{", "are not JSON"), ("[]", "must be a JSON object")])
def test_arguments_that_are_no_object_are_refused_before_they_are_sent(arguments: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=f"--call cancel_order: the arguments {complaint}"):
        typed("--call", "cancel_order", arguments)


@pytest.mark.parametrize(("option", "approve"), [("--approve", True), ("--reject", False)])
def test_an_approval_is_given_or_not(option: str, approve: bool) -> None:
    answer = typed(option, "--comment", "because", to=APPROVAL)

    assert answer == {"by": "Dana", "approve": approve, "comment": "because"}


def test_approving_an_escalation_carries_out_what_was_proposed() -> None:
    proposed = {"kind": "call_tools", "calls": [{"tool": "cancel_order", "arguments": {}}]}

    assert typed("--approve", to=ESCALATION | {"proposed_decision": proposed})["decision"] == proposed


@pytest.mark.parametrize(
    ("words", "to", "complaint"),
    [
        ([], ESCALATION, "No answer was given. Answer with --say TEXT"),
        ([], APPROVAL, "Answer with --approve or --reject"),
        (["--say", "x"], APPROVAL, "Answer with --approve or --reject"),
        (["--approve"], ESCALATION, "no decision was proposed"),
        (["--reject"], ESCALATION, "no call waits for approval"),
        (["--say", "  "], ESCALATION, "--say: the answer is empty"),
        (["--back-to-agent"], ESCALATION, "--guidance: say what"),
        (["--say", "x", "--guidance", "y"], ESCALATION, "--guidance goes with --back-to-agent"),
        (["--say", "x", "--agent", "billing"], ESCALATION, "--agent goes with --back-to-agent"),
        (["--say", "x", "--add-budget", "1"], ESCALATION, "--add-budget goes with --back-to-agent"),
        (["--say", "x", "--comment", "y"], ESCALATION, "--comment goes with --approve or --reject"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(words: list[str], to: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        typed(*words, to=to)


def test_two_kinds_of_answer_at_once_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        typed("--say", "x", "--approve")

    assert stopped.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


# What is approved


def test_an_approval_is_of_what_was_shown() -> None:
    shown = APPROVAL | {"binding": "b" * 64}

    assert typed("--approve", to=shown)["binding"] == "b" * 64
    assert "binding" not in typed("--reject", to=shown)


def test_other_arguments_go_with_the_approval() -> None:
    assert typed("--approve", "--arguments", '{"times": 2}', to=APPROVAL)["arguments"] == {"times": 2}


@pytest.mark.parametrize(
    ("words", "to", "complaint"),
    [
        (("--reject", "--arguments", "{}"), APPROVAL, "--arguments goes with --approve"),
        (("--say", "x", "--arguments", "{}"), ESCALATION, "--arguments goes with --approve"),
        (("--approve", "--arguments", "{}"), ESCALATION, "--arguments: no call waits"),
        (("--approve", "--arguments", "{"), APPROVAL, "--arguments: the arguments are not JSON"),
        (("--approve", "--arguments", "[]"), APPROVAL, "--arguments: the arguments must be a JSON object"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(words: tuple[str, ...], to: Any, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        typed(*words, to=to)


def test_arguments_keep_their_digits_or_are_refused() -> None:
    kept = typed("--approve", "--arguments", '{"account": 9007199254740993, "share": 1.0}', to=APPROVAL)
    assert kept["arguments"] == {"account": 9_007_199_254_740_993, "share": 1.0}

    with pytest.raises(InvalidInput, match=r"12345678901234567\.89 has more digits .* send it as text"):
        typed("--approve", "--arguments", '{"amount": 12345678901234567.89}', to=APPROVAL)


def test_groups_go_with_an_answer_and_a_wrong_one_is_named() -> None:
    assert typed("--approve", "--group", "finance", "--group", "it", to=APPROVAL)["groups"] == ["finance", "it"]
    assert "groups" not in typed("--approve", to=APPROVAL)
    with pytest.raises(InvalidInput, match="--group 'a b'"):
        typed("--approve", "--group", "a b", to=APPROVAL)


def test_who_may_not_answer_is_told_who_may_and_how_to_say_so() -> None:
    told = {"ok": False, "error": "MayNotAnswer", "message": "esc-1: only members of finance approve this call."}

    with pytest.raises(MayNotAnswer, match=r"members of finance.*--by NAME.*--group NAME"):
        confirmed("esc-1", told)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--approve"], "--approve"),
        (["--reject", "--comment", "no"], "--reject"),
        (["--say", "Hello."], "--say"),
        (["--back-to-agent", "--guidance", "x"], "--back-to-agent"),
        (["--call", "t", "{}"], "--call"),
        (["--arguments", "{}"], "--arguments"),
        (["--by", "fay"], "--by"),
        (["--group", "it"], "--group"),
    ],
)
def test_an_answer_to_no_escalation_is_refused_and_not_taken_for_a_list(words: list[str], option: str) -> None:
    nothing: Any = None
    named = parser().parse_args(["answer", *words])

    for answering in (lambda: answer(named), lambda: answer_on_stack(named, nothing, nothing)):
        with pytest.raises(InvalidInput, match=rf"{option}: which escalation\? .*ballast answer ESC {option}\."):
            answering()
