"""The evidence names an unsigned answer, also for a reader who cannot verify signatures."""

from typing import Any

import pytest

from ballast.log.event import Event, order
from ballast.log.evidence import EVIDENCE, Anchor, Verdict, check, evidence_sha256, vouching
from tests.support.runs import Story
from tests.unit.folds.test_evidence import EXPIRES, LATER, MAC, story

ANSWERS = ("0001.call.1.approval_answered", "0001.call.1.approval_given.1.1", "0002.escalation.answered")
FORGED: Any = {"approve": True, "by": "the-boss"}


def forged(seq: str, run: Story, **beside: str) -> Event:
    """Return an answer that somebody put into the log."""
    event = Event(run_id=run.request.run_id, seq=seq, at=LATER.isoformat(), body=FORGED)
    return event.with_stored(EXPIRES | beside)


def settled(run: Story, *unsigned: str, between: tuple[str, ...] = ()) -> tuple[Event, ...]:
    """Return the run as Settle leaves it, which did not believe ``unsigned``, nor what came ``between`` its endings."""
    before = [one.with_stored(EXPIRES) for one in run.written if one.name != "run.ended"]
    body = next(one.body for one in run.written if one.name == "run.ended")
    ended = vouching(ending(run, "ended", body), before, unsigned)
    last = vouching(ending(run, "settled", {"charged_microusd": 7}), [*before, ended], [*unsigned, *between])
    return (*before, ended, last)


def ending(run: Story, step: str, body: Any) -> Event:
    """Return an ending before it vouches for anything."""
    made = Event(run_id=run.request.run_id, seq=f"9999.run.{step}", at=LATER.isoformat(), body=body)
    return made.with_stored(EXPIRES)


def judged(*events: Event) -> Verdict:
    """Return the verdict on these, with the lease's word."""
    settled = next(event for event in events if event.name == "run.settled")
    return check(sorted(events, key=order), anchor=Anchor(True, evidence_sha256(settled)))


@pytest.mark.parametrize("seq", ANSWERS)
@pytest.mark.parametrize("beside", [{}, MAC], ids=["without a signature", "with another's"])
def test_what_settle_did_not_believe_is_named_first_whatever_stands_where_its_signature_would(
    seq: str, beside: dict[str, str]
) -> None:
    run = story()

    verdict = judged(*settled(run, seq), forged(seq, run, **beside))

    assert (verdict.status, verdict.unsigned, verdict.late) == ("unfit", (seq,), ())
    assert verdict.first is not None
    assert verdict.first.seq == seq
    assert "no person's function signed it" in verdict.first.why


def test_all_of_them_are_named() -> None:
    run = story()

    verdict = judged(*settled(run, *ANSWERS[:2], between=ANSWERS[2:]), *(forged(seq, run) for seq in ANSWERS))

    assert set(verdict.unsigned) == set(ANSWERS)


def test_what_came_between_the_endings_is_listed_once() -> None:
    run = story()

    *_, ended, last = settled(run, ANSWERS[0], between=(ANSWERS[2],))

    assert ended.body[EVIDENCE]["unsigned"] == ANSWERS[0]
    assert last.body[EVIDENCE]["unsigned"] == ANSWERS[2]


def test_one_that_was_deleted_since_is_named_and_said_to_be_gone() -> None:
    verdict = judged(*settled(story(), ANSWERS[0]))

    assert verdict.first is not None
    assert verdict.first.seq == ANSWERS[0]
    assert verdict.first.why.endswith("It has been deleted since")


@pytest.mark.parametrize("value", [None, "", "0009.call.1.approval_answered", 7, ["x"]])
@pytest.mark.parametrize("at", [-1, -2])
def test_the_list_cannot_be_edited(at: int, value: Any) -> None:
    run = story()
    events = list(settled(run, ANSWERS[0], between=(ANSWERS[2],)))
    evidence = events[at].body[EVIDENCE] | {"unsigned": value}
    if value is None:
        del evidence["unsigned"]
    events[at] = events[at].model_copy(update={"body": events[at].body | {EVIDENCE: evidence}})

    assert judged(*events, forged(ANSWERS[0], run, **MAC), forged(ANSWERS[2], run, **MAC)).status == "unfit"
    assert any(one.seq in (events[at].seq, *ANSWERS) for one in [judged(*events).first] if one is not None)


def test_a_run_that_goes_on_names_an_answer_that_has_no_signature() -> None:
    run = Story().opened()
    events = [one.with_stored(EXPIRES) for one in run.written]

    assert check([*events, forged(ANSWERS[0], run, **MAC)]).unsigned == ()
    for bare in (forged(ANSWERS[0], run), forged(ANSWERS[0], run).with_stored({})):
        verdict = check([*events, bare])
        assert (verdict.status, verdict.unsigned) == ("unfit", (ANSWERS[0],))


def test_an_answer_in_a_run_that_an_older_version_ended_was_never_signed() -> None:
    run = story()
    events = sorted([*(one.with_stored(EXPIRES) for one in run.written), forged(ANSWERS[0], run)], key=order)

    assert (check(events).status, check(events).unsigned) == ("not_covered", ())


def test_nobodys_answer_needs_no_signature() -> None:
    run = Story().opened()
    body: Any = {"escalation_id": "esc-x", "approve": None, "by": None, "comment": ""}
    nobodys = forged(ANSWERS[0], run).model_copy(update={"body": body}).with_stored(EXPIRES)

    assert check([*(one.with_stored(EXPIRES) for one in run.written), nobodys]).unsigned == ()


def test_endings_without_forged_answers_say_nothing_of_them() -> None:
    ended = settled(story())[-2]

    assert set(ended.body[EVIDENCE]) == {"sha256", "events", "since", "keys", "marks"}
