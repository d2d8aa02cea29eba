"""The loop signal for an agent that writes about the same things in new words."""

from typing import Any

import pytest

from ballast.folds.loops import Kind, Rung
from tests.unit.folds.loop_runs import LoopRun

#: The same words, over and over.
SPIRAL = [f"{'the ' * n}draft of a report" for n in range(7)]


def test_ever_new_text_for_the_same_thing_is_noticed_then_forbidden_and_handed_over() -> None:
    run = LoopRun()
    rungs = []

    for words in [*SPIRAL, "report, the draft"]:
        sign = run.on("append", {"file": "F-13", "text": words})
        rungs.append((sign.kind, sign.rung) if sign else None)
        forbidden = sign is not None and sign.rung is Rung.FORBID
        arguments = {"file": "F-13", "text": words}
        run = run.refused("append", arguments, error="ToolForbidden") if forbidden else run.writes("append", arguments)

    told, stopped = (Kind.SPIRAL, Rung.NOTICE), (Kind.SPIRAL, Rung.FORBID)
    assert rungs == [None, None, None, told, told, told, stopped, stopped]
    assert run.verdict.rung is Rung.LOOP


@pytest.mark.parametrize(
    "arguments",
    [
        lambda n: {"file": f"F-{n}", "text": f"some words, {SPIRAL[n % 7]}"},  # other things
        lambda n: {"file": "F-13", "amount": n},  # no free text: other values
        lambda n: {"file": "F-13", "line": n, "text": SPIRAL[n % 7]},  # another place each time
    ],
)
def test_many_writes_about_other_things_are_no_spiral(arguments: Any) -> None:
    run = LoopRun()

    for number in range(20):
        assert run.on("append", arguments(number)) is None
        run = run.writes("append", arguments(number))


def test_a_spiral_outlives_other_writes_and_ends_when_a_person_speaks() -> None:
    run = LoopRun()
    for words in SPIRAL[:4]:
        run = run.writes("append", {"file": "F-13", "text": words}).writes("send", {"to": f"{words} x"})

    sign = run.on("append", {"file": "F-13", "text": "the report: a draft"})
    assert sign is not None
    assert (sign.kind, sign.count) == (Kind.SPIRAL, 5)
    assert run.person().on("append", {"file": "F-13", "text": "the report: a draft"}) is None


def test_writes_that_failed_are_no_spiral() -> None:
    run = LoopRun()
    for number, words in enumerate(SPIRAL):
        run = run.writes("append", {"file": "F-13", "text": words}, status="failed" if number % 2 else "ok")

    sign = run.on("append", {"file": "F-13", "text": "the report: a draft"})
    assert sign is not None
    assert (sign.kind, sign.count) == (Kind.SPIRAL, 5)


def test_words_that_do_not_resemble_each_other_are_noticed_and_never_forbidden() -> None:
    run = LoopRun()
    words = ["called", "lost", "refunded", "replaced", "mailed", "closed", "opened", "asked", "paid", "sent"]
    for number, word in enumerate(words[:5]):
        assert run.on("append", {"file": "F-13", "text": f"customer {word}"}) is None, number
        run = run.writes("append", {"file": "F-13", "text": f"customer {word}"})

    for number, word in enumerate([*words[5:], "weighed", "quarrelled", "moved", "thanked"], start=6):
        sign = run.on("append", {"file": "F-13", "text": f"customer {word}"})
        assert sign is not None
        assert (sign.kind, sign.rung, sign.count) == (Kind.OTHER_WORDS, Rung.NOTICE, number)
        run = run.writes("append", {"file": "F-13", "text": f"customer {word}"})
    assert run.verdict.rung is Rung.NONE


def test_other_words_do_not_hand_over_a_tool_that_like_words_took_away() -> None:
    """A call that says something new weighs less than one that was made before."""
    run = LoopRun()
    for words in SPIRAL:
        arguments = {"file": "F-13", "text": words}
        sign = run.on("append", arguments)
        forbidden = sign is not None and sign.rung is Rung.FORBID
        run = run.refused("append", arguments, error="ToolForbidden") if forbidden else run.writes("append", arguments)
    assert run.verdict.rung is Rung.FORBID

    new = run.refused("append", {"file": "F-13", "text": "customer called"}, error="ToolForbidden")

    assert new.verdict.rung is Rung.FORBID
    assert run.refused("append", {"file": "F-13", "text": SPIRAL[0]}, error="ToolForbidden").verdict.rung is Rung.LOOP
