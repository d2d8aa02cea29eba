"""Stand-ins, the scan for secrets, delta debugging and invariants of captured runs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts.timeline import Call, Feedback, Money, Timeline, Turn
from ballast.errors import InvalidInput
from ballast.masking import MASK
from ballast.playbook import Effect
from ballast.secret_scan import secrets_in
from cli.commands.capture import as_yaml, one_line
from cli.parser import INVARIANTS
from localcloud.capture.case import Case, doubles_of, why_not
from localcloud.capture.invariant import (
    EXPECTATIONS,
    Defect,
    answers_against,
    calls_lacking,
    can_be_met,
    check_mendable,
    defect_of_record,
    expected,
    last_people,
    sealed_arguments,
)
from localcloud.capture.personal import iban_check, luhn
from localcloud.capture.reduce import Reduction, ddmin
from localcloud.capture.stand_ins import StandIns, card, iban
from localcloud.capture.typed import check_same, with_stand_ins
from localcloud.scenarios import unmet


def timeline(*calls: Call, **fields: Any) -> Timeline:
    usual: dict[str, Any] = {"status": "unanswered", "ending": "", "reason": "loop"}
    return Timeline(run_id="run-x", turns=(Turn(turn=1, planner="agent", calls=calls),), **{**usual, **fields})


# Stand-ins


def test_the_same_value_gets_the_same_stand_in_however_it_is_spelled() -> None:
    made = StandIns().of({"text": "Jane.Roe@acme.com, DE89 3704 0044 0532 0130 00", "b": ["jane.roe@acme.com"]})
    again = StandIns().of("DE89370400440532013000")

    assert made["b"] == ["person1@example.com"]
    assert made["text"].startswith("person1@example.com, DE")
    assert made["text"][21:].replace(" ", "") == again
    assert [len(part) for part in made["text"][21:].split(" ")] == [4, 4, 4, 4, 4, 2]


@given(st.integers(1, 9_999), st.integers(13, 19))
def test_stand_ins_of_cards_and_accounts_have_valid_check_digits(number: int, length: int) -> None:
    made, account = card(number, length), iban(number % 100)

    assert len(made) == length
    assert luhn(made[:-1]) == int(made[-1])
    assert iban_check(account[:2], account[4:]) == account[2:4]


def test_a_card_keeps_its_length_and_its_first_digit() -> None:
    number = f"5{'2718281828459'}0"
    number = f"{number}{luhn(number)}"
    spelled = " ".join(number[at : at + 4] for at in range(0, 16, 4))

    made = StandIns().of(f"Card {spelled}.")

    assert number not in made.replace(" ", "")
    assert made.startswith("Card 5")
    assert luhn(made[5:24].replace(" ", "")[:-1]) == int(made[23])


@pytest.mark.parametrize(
    "text",
    [
        "dana@example.com",
        "4111 1111 1111 1111",
        "+1 555 0100",
        "O-1001 of 2026-11-29",
        "1234567890123456",
        "ops@x.test",
    ],
)
def test_what_is_nobodys_or_no_personal_value_stays(text: str) -> None:
    assert StandIns().of(text) == text


def test_stand_ins_are_nobodys_themselves() -> None:
    once = StandIns().of("jane@acme.com +49 170 1234567 DE89370400440532013000 5271828182845904")

    assert StandIns().of(once) == once


def test_a_masked_field_gets_a_form_by_its_name_and_schema_and_one_value_in_all_places() -> None:
    def schema_of(tool: str, path: tuple[str, ...]) -> dict[str, Any] | None:
        if not tool:
            return None
        return {"type": "string", "pattern": "^[0-9]{16}$"} if path[-1] == "card" else {"type": "integer", "minimum": 5}

    stand_ins = StandIns(schema_of)
    made = stand_ins.of(
        {
            "request": {"text": f"Pay with card {MASK}.", "context": {"customer_card": MASK}},
            "steps": [{"call": [{"tool": "pay", "arguments": {"card": MASK, "years": MASK}}]}],
        }
    )

    arguments = made["steps"][0]["call"][0]["arguments"]
    assert luhn(arguments["card"][:-1]) == int(arguments["card"][-1])
    assert made["request"]["text"] == f"Pay with card {arguments['card']}."
    assert made["request"]["context"]["customer_card"] == arguments["card"]
    assert arguments["years"] >= 5
    assert MASK not in json.dumps(made)


# Secrets


@pytest.mark.parametrize(
    "value",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE",
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "my token is ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
        "https://kim:" + "hunter22@example.com/x",
        "Authorization: Bearer " + "abcdef0123456789abcdef",
        "My password is Tr0ub4dor&3, thanks",
        "pass\u200bword: Tr0ub4dor&3",
        "api_key=9f8a7b6c5d4e3f2a1b",
        "Das Passwort lautet Geh3im!nis",
    ],
)
def test_what_looks_like_a_secret_is_named_with_its_place(value: str) -> None:
    assert [place for place, _ in secrets_in({"request": {"context": [value]}})] == ["request.context.0"]


@pytest.mark.parametrize("name", ["password", "apiKey", "db_password", "access-key", "client.secret", "Authorization"])
def test_a_field_that_is_named_as_a_secret_holds_one(name: str) -> None:
    assert [place for place, _ in secrets_in({"arguments": {name: "swordfish"}})] == [f"arguments.{name}"]


@pytest.mark.parametrize(
    "value",
    [
        "Please reset the password of A-1002.",
        "The token is invalid. Where is my order O-1001?",
        {"tokens_per_run": 4000, "input_tokens": 12, "secretary": "Kim"},
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        {"password": MASK},
    ],
)
def test_words_about_secrets_are_no_secrets(value: Any) -> None:
    assert list(secrets_in(value)) == []


# Delta debugging


@given(st.sets(st.integers(0, 30), max_size=4))
def test_ddmin_finds_exactly_the_parts_that_are_needed(needed: set[int]) -> None:
    assert set(ddmin(range(31), lambda kept: needed <= set(kept))) == needed


def test_one_part_alone_cannot_be_left_out_of_what_ddmin_returns() -> None:
    def holds(kept: Sequence[int]) -> bool:
        return sum(kept) % 7 == 3 and len(kept) > 1

    kept = ddmin([*range(1, 15), 10], lambda parts: holds(parts) or len(parts) == 15)

    assert holds(kept)
    assert not any(holds(kept[:at] + kept[at + 1 :]) for at in range(len(kept)))


STEPS = tuple({"say": str(at), "call": [{"tool": "a"}, {"tool": "b"}], "usage": {"inputTokens": 1}} for at in range(8))
CASE = Case({"text": "Hi", "intent": "x", "context": {"a": 1, "b": 2}}, STEPS, closing="Bye")


def needs(case: Case) -> bool:
    called = [(step["say"], call["tool"]) for step in case.steps for call in step["call"]]
    return ("5", "b") in called and "a" in case.request.get("context", {})


def test_a_case_is_shrunk_to_turns_then_calls_then_answers_and_its_request_stays() -> None:
    people = ({"by": "Kim", "approve": True},)
    reduction = Reduction(replace(CASE, by="Kim", people=people), needs, most=100)

    assert reduction.run() == Case(CASE.request, ({"say": "5", "call": [{"tool": "b"}]},), by="Kim", closing="Bye")
    assert reduction.tries < 30


@pytest.mark.parametrize("most", [0, 1, 4])
def test_the_bound_of_tries_keeps_the_best_so_far(most: int) -> None:
    reduction = Reduction(CASE, needs, most=most)

    assert needs(reduction.run())
    assert (reduction.tries, reduction.is_cut_short) == (most, True)


def test_ctrl_c_keeps_the_best_so_far() -> None:
    plays: list[Case] = []

    def shows(case: Case) -> bool:
        plays.append(case)
        if len(plays) == 4:
            raise KeyboardInterrupt
        return needs(case)

    reduction = Reduction(CASE, shows, most=100)

    assert len(reduction.run().steps) < len(STEPS)
    assert reduction.is_cut_short


# Invariants


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_every_invariant_of_the_command_is_known_and_the_record_violates_it(invariant: str) -> None:
    recorded = timeline(
        Call(index=1, tool="pay", outcome="ok", effect="write"),
        Call(index=2, tool="pay", outcome="refused", error="UnknownTool"),
        Call(index=3, tool="pay", outcome="failed"),
        status="answered",
        by="fallback",
        degraded=True,
        answer="No.",
    )
    if invariant == "cost":
        with pytest.raises(InvalidInput, match="cost_at_most"):
            expected([], invariant, recorded)
        return
    scenario = CASE.scenario(expected([], invariant, recorded))

    assert defect_of_record(scenario, recorded).kinds or invariant == "grounded"


@pytest.mark.parametrize(
    ("pattern", "made"),
    [
        ("^[^@]+@[^@]+$", "person1@example.com"),
        ("^[^@]+@[^@.]+$", "person1@example.com"),  # wrong itself
        ("^[+][0-9]+$", "+15550100001"),
        ("^[0-9]{5}$", "00001"),
        ("^Q-[A-Z]+$", "sealed-1"),
    ],
)
def test_a_field_without_a_telling_name_gets_a_form_that_fits_its_pattern(pattern: str, made: str) -> None:
    schema = {"type": "string", "pattern": pattern}

    assert StandIns(lambda _tool, _path: schema).of({"tool": "send", "arguments": {"to": MASK}})["arguments"] == {
        "to": made
    }


@pytest.mark.parametrize(
    ("said", "violated"),
    [
        ("status=answered", True),
        ("status=unanswered", False),
        ("reason=none", True),
        ("effects=pay", False),
        ("effects=none", True),
        ("cost_at_most=0.05", True),
        ("cost_at_most=0.06", False),
        ("failed=none", False),
    ],
)
def test_a_record_that_is_as_expected_has_no_defect(said: str, violated: bool) -> None:
    call = Call(index=1, tool="pay", outcome="ok", effect="write")
    recorded = timeline(call, money=Money(charged_microusd=55_000))
    scenario = CASE.scenario(expected([said], None, recorded))
    if violated:
        assert defect_of_record(scenario, recorded)
    else:
        with pytest.raises(InvalidInput, match="as expected"):
            defect_of_record(scenario, recorded)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("status", "NAME=VALUE"),
        ("colour=red", "NAME=VALUE"),
        ("status=fine", "must be one of answered"),
        ("cost_at_most=much", "must be an amount"),
        ("cost_at_most=-1", "must be an amount"),
        ("cost_at_most=NaN", "must be an amount"),
        ("degraded=maybe", "true or false"),
        ("by=nobody", "must be one of agent"),
        ("effects=nosuch", "the playbook has no tool nosuch. It has: look, pay"),
        ("effects=pay,look", "look reads, and effects are writes. Writes: pay"),
        ("effects=pay,,pay", "nothing beside a comma"),
        ("failed=nosuch", "the playbook has no tool nosuch"),
        *((f"{name}=", f"--expect {name}=: has no value") for name in EXPECTATIONS),
        ("forbidden= ", "--expect forbidden=: has no value. Write words that the answer may not have"),
    ],
)
def test_an_expectation_that_is_none_is_refused_by_name(said: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        expected([said], None, timeline(), {"pay": True, "look": False})


def test_an_expectation_is_given_once_and_words_may_be_more() -> None:
    with pytest.raises(InvalidInput, match="--expect status: is given twice"):
        expected(["status=answered", "status=failed"], None, timeline())
    assert expected(["answer=a", "answer=b"], None, timeline())["answer"] == ["a", "b"]


def test_the_calls_of_expected_writes_that_no_script_makes_are_told() -> None:
    expect = expected(["effects=pay,a,a", "failed=b"], None, timeline())

    assert calls_lacking(expect, replace(CASE, steps=CASE.steps[:1])) == ["pay", "a"]


def test_a_run_that_goes_on_cannot_be_captured() -> None:
    with pytest.raises(InvalidInput, match="status is waiting"):
        expected([], None, timeline(status="waiting"))


def test_another_way_of_being_wrong_is_another_defect() -> None:
    wrong = ["status: expected 'answered', was 'unanswered'"]
    one = Defect.of(timeline(Call(index=1, tool="pay", outcome="failed")), wrong)

    assert one == Defect.of(timeline(Call(index=2, tool="pay", outcome="failed")), wrong)
    assert one != Defect.of(timeline(), wrong)
    assert one != Defect.of(timeline(Call(index=1, tool="pay", outcome="failed"), reason="deadline"), wrong)
    assert Defect.of(timeline(), []) is None


def test_a_call_that_another_agent_makes_is_another_defect() -> None:
    def defect(by: str, agent: str = "desk") -> Defect | None:
        calls = (Call(index=1, tool="pay", outcome="refused", error="UnknownTool"),)
        turn = Turn(turn=1, planner="agent", by_agent=by, calls=calls)
        made = timeline(agent=agent).model_copy(update={"turns": (turn,)})
        return Defect.of(made, ["refused calls: expected [], was ['UnknownTool']"])

    assert defect("billing") != defect("")
    assert defect("desk") == defect("")


def test_another_amount_phrase_or_answer_is_another_defect() -> None:
    def defect(sentence: str, **fields: Any) -> Defect | None:
        return Defect.of(timeline(**fields), [sentence])

    assert defect("moved: expected 40, was 80") != defect("moved: expected 40, was 0")
    assert defect("forbidden: 'a' is in the answer: 'a b'") == defect("forbidden: 'a' is in the answer: 'a'")
    assert defect("forbidden: 'a' is in the answer: 'a b'") != defect("forbidden: 'b' is in the answer: 'a b'")
    lacks = "answer: expected 'paid', was"
    assert defect(f"{lacks} 'No O-1'", answer="No O-1, 2") == defect(f"{lacks} 'No O-3'", answer="No O-3, 4")
    assert defect(f"{lacks} 'No'", answer="No") != defect(f"{lacks} 'Who?'", answer="Who?")


def test_the_calls_of_expected_writes_stay_though_the_defect_keeps_them_from_happening() -> None:
    whole = replace(CASE, steps=CASE.steps[:2])
    expect = expected(["effects=a,b,other"], None, timeline())

    assert can_be_met(expect, replace(CASE, steps=CASE.steps[:1]), whole, {})
    assert not can_be_met(expect, replace(CASE, steps=({"call": [{"tool": "a"}]},)), whole, {})
    assert not can_be_met(expected(["effects=a,a"], None, timeline()), replace(CASE, steps=CASE.steps[:1]), whole, {})


def test_calls_that_move_money_or_write_stay_where_their_sum_or_an_item_is_expected() -> None:
    write, read = SimpleNamespace(effect=Effect.WRITE, moves=object()), SimpleNamespace(effect=Effect.READ, moves=None)
    tools: Any = {"a": write, "b": SimpleNamespace(effect=Effect.WRITE, moves=None), "c": read}
    calls = tuple({"call": [{"tool": name}]} for name in "abc")
    whole, without_a, without_b = (replace(CASE, steps=steps) for steps in (calls, calls[1:], (calls[0], calls[2])))

    moved, stored = ({"moved": "4"}, {"store": [{"table": "T", "key": {}, "attributes": None}]})

    assert [can_be_met(moved, one, whole, tools) for one in (without_a, without_b)] == [False, True]
    assert [can_be_met(stored, one, whole, tools) for one in (without_a, without_b)] == [False, False]
    assert can_be_met(stored, replace(CASE, steps=calls[:2]), whole, tools)


ANSWER, PAID = {"say": "It is done."}, {"call": [{"tool": "pay"}]}


@pytest.mark.parametrize(
    ("said", "steps", "by", "mendable"),
    [
        ([], (PAID, ANSWER), "agent", False),
        ([], (PAID, ANSWER), "fallback", True),
        (["by=fallback"], (PAID, ANSWER), "agent", True),
        (["by=fallback"], (ANSWER,), "agent", False),
        (["status=unanswered"], (ANSWER,), "agent", False),
        (["forbidden=done"], (ANSWER,), "agent", True),
        (["effects=none"], (PAID, ANSWER), "agent", True),
        (["by=agent"], (ANSWER,), "rollback", True),
    ],
)
def test_an_answer_that_a_script_repeats_is_not_judged_by_who_gave_it(
    said: list[str], steps: tuple[dict[str, Any], ...], by: str, mendable: bool
) -> None:
    call = Call(index=1, tool="pay", outcome="ok", effect="write")
    words = (Feedback(by="mia", verdict="wrong", note="booked twice"), Feedback(by="lee", verdict="right"))
    recorded = timeline(call, status="answered", by=by, answer="It is done.", feedback=words)
    case = replace(CASE, steps=steps)

    if mendable:
        check_mendable(expected(said, None, recorded), said, case, recorded)
        return
    with pytest.raises(InvalidInput, match=r"no fix could .*It wrote: pay\. mia says .*: booked twice\..*--expect"):
        check_mendable(expected(said, None, recorded), said, case, recorded)


STORE = "{table: T, key: {id: a}, attributes: {paid: 40}}"


def test_an_item_of_a_table_is_expected_as_a_scenario_has_it_and_its_value_is_the_defect() -> None:
    recorded = timeline(Call(index=1, tool="pay", outcome="ok", effect="write"), status="answered")
    expect = expected([f"store={STORE}", f"store={STORE}"], None, recorded)
    case = replace(CASE, last=last_people(expect, recorded))
    scenario = case.scenario(expect)

    wrong = [unmet(scenario, recorded, lambda _table, _key, paid=paid: {"paid": paid}) for paid in (40, 80, 120)]

    assert len(scenario.expect.store) == 2
    assert wrong[0] == []
    assert wrong[1] == ["store: T a: paid expected 40, was 80"] * 2
    assert Defect.of(recorded, wrong[1]) != Defect.of(recorded, wrong[2])
    assert defect_of_record(scenario, recorded).kinds == frozenset()  # playing it tells
    assert scenario.people[-1].approve == ("pay",)


@pytest.mark.parametrize(
    "item", ["x", "[1]", "{table: T}", "{table: T, key: {id: a}, attributes: {}}", "{table: T, kye: {}}", "{a: "]
)
def test_what_is_no_item_of_a_table_is_refused_with_its_form(item: str) -> None:
    with pytest.raises(InvalidInput, match=r"--expect store.*Write an item as in scenario\.yaml: \{table: ") as refused:
        expected([f"store={item}"], None, timeline())
    assert "attributes" in str(refused.value)


@pytest.mark.parametrize(("was", "told"), [("8.00", ["approve pay, whatever has been moved by then"]), ("2", [])])
def test_people_of_the_record_who_approved_more_money_than_is_expected_are_told(was: str, told: list[str]) -> None:
    case = replace(CASE, people=({"by": "b", "approve": True, "tool": "pay"},))

    assert answers_against({"moved": "4.00"}, case, [f"moved: expected 4.00, was {was}"]) == told


@pytest.mark.parametrize(
    ("said", "invariant", "approve"),
    [
        (["effects=none"], None, [False]),
        (["moved=0.00"], None, [False]),
        ([], "effects", [False]),
        ([], "refused", [False]),
        ([], "status", [False]),
        (["effects=pay,pay"], None, [("pay", "pay")]),
        (["moved=4.00"], None, [True]),
        (["moved=4.00", "effects=none"], None, [False]),
        (["moved=4.00", "effects=pay"], None, [("pay",)]),
    ],
)
def test_a_fix_that_asks_first_is_told_no_and_yes_where_the_test_wants_the_write(
    said: list[str], invariant: str | None, approve: list[object]
) -> None:
    recorded = timeline(Call(index=1, tool="pay", outcome="ok", effect="write"))
    case = replace(CASE, last=last_people(expected(said, invariant, recorded), recorded))

    people = case.scenario({"status": None}).people
    assert [one.approve for one in people] == approve
    # No call may go beyond the sum that is expected.
    at_most = next((word.partition("=")[2] for word in said if word.startswith("moved=")), None)
    assert [one.moves_at_most for one in people] == [Decimal(at_most) if at_most and approve != [False] else None]
    assert all(one.whenever_asked for one in people)  # another fix asks nobody, or several


# What is typed

MAIL, PAY = "otto.berg@acme.com", "4539 1488 0343 6467"
SAYS = {"text": f"Mail Otto at {MAIL}, card {PAY}.", "name": MASK}


@pytest.mark.parametrize(
    ("said", "made"),
    [
        (f"forbidden={MAIL}", "forbidden=person1@example.com"),
        (f"answer=Mail {MAIL.title()}", "answer=Mail person1@example.com"),
        (f"refused={MAIL}", "refused=person1@example.com"),
        ("forbidden=4539148803436467", "forbidden=4000000000000010"),
        ("answer=Mail Otto", "answer=Mail Otto"),
        ("answer=never said", "answer=never said"),
        ("effects=pay", "effects=pay"),
    ],
)
def test_what_is_typed_gets_the_stand_ins_of_the_record(said: str, made: str) -> None:
    stand_ins = StandIns()

    assert with_stand_ins([said], stand_ins, SAYS, stand_ins.of(SAYS)) == [made]


@pytest.mark.parametrize(
    "said",
    [
        "forbidden=acme.com",  # a part of a value
        "answer=otto.berg@",
        "answer=example.com",  # a part of a stand-in
        "forbidden=0343 6467",
        "answer=eva@acme.com",  # the record does not have it
        "reason=eva@acme.com",
    ],
)
def test_what_no_test_can_compare_is_refused_before_anything_is_played(said: str) -> None:
    stand_ins = StandIns()

    with pytest.raises(InvalidInput, match=r"--expect (forbidden|answer|reason): "):
        with_stand_ins([said], stand_ins, SAYS, stand_ins.of(SAYS))


def test_stand_ins_that_change_what_is_wrong_are_refused() -> None:
    one, other = (Defect(frozenset(kinds), ("answered", "agent", ""), ()) for kinds in (["a"], ["a", "b"]))

    check_same(one, one)
    with pytest.raises(InvalidInput, match="another defect"):
        check_same(one, other)


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x1b", "\u2028", "\ufeff", "\x85", "\U000e0041"])
def test_characters_that_show_nothing_are_escapes_in_the_file_and_all_others_are_as_they_were(hidden: str) -> None:
    said = {"say": f"Zürich {hidden}gnp.exe", hidden: ["Zürich\nzwei\tdrei"]}

    text = as_yaml(said)

    assert hidden not in text
    assert yaml.safe_load(text) == said
    assert "Zürich" in as_yaml({"say": "Zürich"})


def test_what_differs_from_the_record_names_a_call_that_was_refused() -> None:
    refused = timeline(Call(index=1, tool="pay", outcome="refused", error="UnknownTool"))
    paid = timeline(Call(index=1, tool="pay", outcome="ok"))

    assert why_not(CASE, refused, paid) == ["call 1: recorded pay refused (UnknownTool); now pay ok"]
    assert why_not(CASE, paid, paid) == []


# Doubles


def test_only_calls_that_ended_otherwise_get_a_double_in_the_order_of_the_record() -> None:
    def call(outcome: Any, **fields: Any) -> Call:
        return Call(index=1, tool="find", arguments={"id": 1}, outcome=outcome, **fields)

    recorded = timeline(call("failed", message="find: Not there."), call("ok", result={"a": 1}), call("refused"))
    played = timeline(call("ok", result={"a": 1}), call("ok", result={"a": 1}))

    assert doubles_of(recorded, played) == ({"tool": "find", "arguments": {"id": 1}, "fails": "Not there."},)
    assert doubles_of(recorded, None) == (
        {"tool": "find", "arguments": {"id": 1}, "fails": "Not there.", "times": 1},
        {"tool": "find", "arguments": {"id": 1}, "result": {"a": 1}},
    )


@pytest.mark.parametrize("length", [99, 100, 101, 500])
def test_a_description_is_as_long_as_a_scenario_may_have_it(length: int) -> None:
    made = one_line("a " * (length // 2) + "b" * (length % 2))

    assert CASE.document({}, made)["description"] == made
    assert 99 <= len(made) <= 100
    assert (made[-1] == "…") == (length > 100)


# What is sealed is a stand-in in the record's reading, and a mask in the log of a play


def _mail(to: str, text: str = "It is paid.", **fields: Any) -> Call:
    return Call(index=1, tool="mail", outcome="ok", effect="write", arguments={"to": to, "text": text}, **fields)


def test_a_defect_is_the_same_whatever_stands_for_its_sealed_values() -> None:
    stand_ins = StandIns()
    made = stand_ins.of(timeline(_mail(MASK, result={"to": MASK})).model_dump(mode="json"))
    recorded, played = Timeline.model_validate(made), timeline(_mail(MASK, result={"to": MASK}))
    wrong, hidden = ["effects: expected none; was ..."], stand_ins.hidden
    defect = Defect.of(recorded, wrong, hidden)

    assert MASK not in str(recorded)
    assert Defect.of(played, wrong, hidden) == defect
    assert doubles_of(recorded, played, hidden) == ()
    assert why_not(CASE, recorded, played, hidden) == []
    other = timeline(_mail(MASK, "It is not."))
    assert Defect.of(other, wrong, hidden) != defect
    assert '"text":"It is not."' in why_not(CASE, recorded, other, hidden)[0]


@pytest.mark.parametrize("shown", [f"Sent to {MASK}.", "Sent to sealed-1."])
def test_an_ending_that_must_not_come_again_is_told_without_its_sealed_values(shown: str) -> None:
    stand_ins = StandIns()
    document = timeline(_mail(MASK), answer=f"Sent to {MASK}.").model_dump(mode="json")
    recorded = Timeline.model_validate(stand_ins.of(document))
    writes = expected([], "effects", recorded, hides=stand_ins.hides)
    answer = expected([], "answer", recorded, hides=stand_ins.hides)
    again = timeline(_mail(MASK), answer=shown)

    assert sealed_arguments(recorded, stand_ins.hides) == ["mail.to"]
    for expect in (writes, answer):
        scenario = replace(CASE, last=last_people(expect, recorded)).scenario(expect)
        assert unmet(scenario, again, lambda _table, _key: None)
        other = timeline(_mail(MASK, "It is not."), answer="Nothing was sent.")
        assert unmet(scenario, other, lambda _table, _key: None) == []


@pytest.mark.parametrize(
    ("said", "against"),
    [
        (["effects=mail"], ["reject mail, which the test expects", "approve pay, which the test does not expect"]),
        (["effects=pay"], []),
        (["moved=4.00"], ["reject mail, which the test expects"]),
        (["refused=none"], []),
    ],
)
def test_what_people_of_the_record_say_against_the_test_is_told(said: list[str], against: list[str]) -> None:
    people = [{"by": "a", "approve": False, "tool": "mail"}, {"by": "b", "approve": True, "tool": "pay"}]
    expect = expected(said, None, timeline(status="answered"))

    assert answers_against(expect, replace(CASE, people=(*people, {"by": "c", "decision": {}}))) == against
