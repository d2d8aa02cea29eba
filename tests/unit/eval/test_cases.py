"""Cases of recorded runs: asked again as they were asked, expected to end so again, or not."""

from typing import Any

import pytest

from ballast.errors import InvalidInput
from ballast.log.event import Event
from ballast.masking import MASK
from ballast.run import Run
from localcloud.eval.cases import Case, of_run
from localcloud.scenarios import Scenario, unmet
from localcloud.scenarios.scenario import ExpectedEffect

RUN_ID = "run-" + "a" * 24
LIMITS = {
    "turns": 6,
    "tool_calls": 10,
    "cost_microusd": 100_000,
    "input_tokens": 10_000,
    "output_tokens": 1_000,
    "deadline_s": 300,
}


def recorded(*more: tuple[str, dict[str, Any]], request: dict[str, Any] | None = None, **ending: Any) -> Run:
    asked = {"request_id": "r-1", "agent": "support", "text": "Cancel O-1.", "tenant": "acme", **(request or {})}
    opened = {"request": asked, "limits": LIMITS, "agent_until_ms": 1, "deadline_ms": 2}
    ended = {"status": "answered", "by": "agent", "answer": "It is cancelled.", "turn": 2, **ending}
    events = [
        ("0000.run.opened", opened),
        *more,
        ("9999.run.ended", {"spent_microusd": 0, "reserved_microusd": 0, **ended}),
    ]
    return Run(
        [
            Event(run_id=RUN_ID, seq=seq, at="2026-11-29T18:00:00+00:00", body=body)
            for seq, body in sorted(events, key=lambda one: one[0])
        ]
    )


def call(tool: str, arguments: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    decision = {"kind": "call_tools", "calls": [{"tool": tool, "arguments": arguments}]}
    return [
        ("0001.plan.decided", {"planner": "fallback", "decision": decision}),
        ("0001.call.1.intended", {"tool": tool, "arguments": arguments, "effect": "write", "key": "k"}),
        ("0001.call.1.settled", {"tool": tool, "status": "ok", "result": {}, "effect": "write"}),
    ]


def said(verdict: str, note: str = "", number: int = 1) -> tuple[str, dict[str, Any]]:
    seq = "9999.run.feedback" if number == 1 else f"9999.run.{number}.feedback"
    return seq, {"verdict": verdict, "by": f"p{number}", "role": "reviewer", "note": note}


def as_case(run: Run) -> Scenario:
    return of_run(run, run.timeline())


def wrong(scenario: Scenario, run: Run) -> list[str]:
    return unmet(scenario, run.timeline(), lambda _table, _key: None)


def test_a_run_must_end_so_again() -> None:
    run = recorded(*call("cancel_order", {"order_id": "O-1"}))

    made = as_case(run)

    assert (made.name, made.request.text, made.request.tenant) == (RUN_ID, "Cancel O-1.", "acme")
    assert made.expect.effects == (ExpectedEffect(tool="cancel_order", arguments={"order_id": "O-1"}),)
    assert wrong(made, run) == []
    assert wrong(made, recorded(*call("cancel_order", {"order_id": "O-2"})))
    assert wrong(made, recorded())
    assert wrong(made, recorded(*call("cancel_order", {"order_id": "O-1"}), status="unanswered", by=None))
    other_words = recorded(*call("cancel_order", {"order_id": "O-1"}), answer="Done.")
    assert wrong(made, other_words) == []


def test_a_run_that_people_call_wrong_must_not_end_so_again() -> None:
    effects = call("cancel_order", {"order_id": "O-1"})
    run = recorded(*effects, said("wrong", "Another order was meant."), said("right", number=2))

    made = as_case(run)

    assert wrong(made, run) == ["unlike: it ended in the same way again (status, by, effects)"]
    assert wrong(made, recorded(*effects, answer="Other words.")) != []  # the write is the fault, not the words
    assert wrong(made, recorded(*call("cancel_order", {"order_id": "O-2"}))) == []
    assert made.expect.judged is not None
    assert "Another order was meant." in made.expect.judged.rubric


def test_without_a_write_the_words_must_be_others_and_the_judge_is_tried_with_them() -> None:
    run = recorded(said("wrong", "It was never cancelled."))

    made = as_case(run)

    assert wrong(made, run) == ["unlike: it ended in the same way again (status, by, effects, answer)"]
    assert wrong(made, recorded(answer="I could not cancel it.")) == []
    assert made.expect.judged is not None
    assert made.expect.judged.wrong == ("It is cancelled.",)
    assert as_case(recorded(said("wrong"))).expect.judged is None  # nobody says what was wrong


def test_people_answer_as_they_did() -> None:
    decision = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Look again."}
    run = recorded(
        ("0002.escalation.opened", {"escalation_id": "esc-1", "reason": "loop"}),
        ("0002.escalation.answered", {"escalation_id": "esc-1", "by": "rae", "decision": decision}),
        ("0003.call.1.approval_requested", {"tool": "t", "escalation_id": "esc-2"}),
        ("0003.call.1.approval_given.1.1", {"by": "ann", "comment": "Fine.", "given": 1, "needed": 2}),
        (
            "0003.call.1.approval_answered",
            {"approve": True, "by": "ann, bob", "approvals": [{"by": "ann"}, {"by": "bob", "group": "finance"}]},
        ),
        ("0004.call.1.approval_answered", {"approve": None}),
        ("0005.call.1.approval_answered", {"approve": False, "by": "bob", "comment": "No."}),
    )

    made = as_case(run)

    assert [(one.by, one.approve, one.groups) for one in made.people] == [
        ("rae", None, ()),
        ("ann", True, ()),
        ("bob", True, ("finance",)),
        ("bob", False, ()),
    ]
    assert made.people[0].decision is not None
    assert made.people[0].decision["guidance"] == "Look again."


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (recorded(request={"text": f"My card is {MASK}."}), "sealed values"),
        (recorded(request={"context": {"card": MASK}}), "sealed values"),
        (
            recorded(request={"attachments": [{"name": "a.png", "format": "png", "sha256": "0" * 64, "bytes": 3}]}),
            "attachments",
        ),
        (recorded(status="aborted", by=None, answer=None), "it is aborted, so nothing can be expected"),
        (recorded(request={"text": 5}), "its log cannot be read"),
    ],
)
def test_what_cannot_be_asked_again_is_no_case_and_says_why(run: Run, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        as_case(run)

    assert str(refused.value).startswith(f"{RUN_ID}: ")
    assert why in str(refused.value)


def test_the_hash_is_of_what_is_asked_and_expected_by_whom() -> None:
    one, again = as_case(recorded(said("wrong", "No."))), as_case(recorded(said("wrong", "No.")))
    other = as_case(recorded(said("wrong", "Never.")))
    described = one.model_copy(update={"description": "else", "name": "else"})

    assert Case(one).sha256("j") == Case(again).sha256("j") == Case(described).sha256("j")
    assert len({Case(one).sha256("j"), Case(other).sha256("j"), Case(one).sha256("k")}) == 3
    without = as_case(recorded())
    assert Case(without).sha256("j") == Case(without).sha256("")  # no judge is asked


def test_of_what_people_said_only_the_first_approval_of_a_call_must_be_asked_for_again() -> None:
    decision = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Look again."}
    entries = (
        ("0002.escalation.answered", {"escalation_id": "esc-1", "by": "rae", "decision": decision}),
        ("0003.call.1.approval_answered", {"approve": True, "by": "ann"}),
        ("0003.call.1.approval_answered.2", {"approve": True, "by": "ann"}),  # the first one had become void
        ("0005.call.1.approval_answered", {"approve": False, "by": "bob"}),
    )

    assert [one.if_asked for one in as_case(recorded(*entries)).people] == [True, False, True, True]
    assert [one.if_asked for one in as_case(recorded(*entries, said("wrong"))).people] == [True] * 4


def test_how_long_a_case_may_take_and_who_need_not_be_asked_leave_its_hash_as_it_was() -> None:
    made = as_case(recorded(("0003.call.1.approval_answered", {"approve": True, "by": "ann"})))
    free = made.model_copy(update={"people": (made.people[0].model_copy(update={"if_asked": True}),)})

    assert Case(made.model_copy(update={"ends_within_s": 9})).sha256("") == Case(made).sha256("")
    assert Case(free).sha256("") == Case(made).sha256("")
    assert Case(made.model_copy(update={"people": ()})).sha256("") != Case(made).sha256("")
