"""The digest in a run's ending fits an untouched log, and names the event of any single change."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ballast.contracts import Answer, Planner
from ballast.contracts.wire import canonical
from ballast.log.event import Event, is_a_persons, order
from ballast.log.events import RunCorrected
from ballast.log.evidence import EVIDENCE, Anchor, Verdict, check, evidence_sha256, vouching
from tests.support.random_runs import runs
from tests.support.runs import STARTED, Story, says, wants

EXPIRES = {"expires_at": str(int(STARTED.timestamp()) + 30 * 86_400)}
MAC = {"mac": "5e" * 32}
LATER = STARTED + timedelta(hours=3)


@dataclass
class Log:
    """A run's log with its endings. ``late``: what came after ``run.settled``."""

    events: tuple[Event, ...]
    late: set[str] = field(default_factory=set)

    @property
    def anchor(self) -> Anchor:
        """What the settled lease has."""
        return Anchor(True, evidence_sha256(self.at("9999.run.settled")))

    def at(self, seq: str) -> Event:
        """Return the event under that key."""
        return next(event for event in self.events if event.seq == seq)

    def but(self, *others: Event, without: str = "") -> "Log":
        """Return the log with these in place of what is under their keys."""
        by_seq = {event.seq: event for event in (*self.events, *others) if event.seq != without}
        return Log(tuple(sorted(by_seq.values(), key=order)), self.late)


def vouched(story: Story, *, after: int = 1) -> Log:
    """Return the run as Settle leaves it; ``after`` so many late events comes ``run.settled``."""
    written = [one.with_stored(EXPIRES | beside(one)) for one in story.written]
    seqs = [one.seq for one in written]
    end = seqs.index("9999.run.ended") if "9999.run.ended" in seqs else len(written)
    before, late = written[:end], written[end + 1 :]
    cut = {"status": "aborted", "by": None, "degraded": True, "spent_microusd": 0, "reserved_microusd": 0}
    body = written[end].body if end < len(written) else cut
    ended = closing(story, "ended", body, before, {"outcome": f"acme#{body['status']}"})
    settled = closing(story, "settled", {"charged_microusd": 7}, [*before, ended, *late[:after]])
    whole = tuple(sorted([*before, ended, *late, settled], key=order))
    return Log(whole, {one.seq for one in late[after:]})


def beside(event: Event) -> dict[str, str]:
    """Return what the log keeps beside an event, its expiry apart."""
    if event.name == "run.opened":
        return {"tenant": "acme"}
    return MAC if is_a_persons(event.name, event.body) else {}


def closing(story: Story, step: str, body: Any, covers: list[Event], index: dict[str, str] | None = None) -> Event:
    """Return an ending as the log writes it."""
    plain = Event(run_id=story.request.run_id, seq=f"9999.run.{step}", at=LATER.isoformat(), body=body)
    return vouching(plain.with_stored(EXPIRES | (index or {})), covers)


def story() -> Story:
    """Return a run of two turns: a refund, and an answer."""
    made = Story().opened()
    made.replies(made.asks(1), wants(("refund_order", {"order_id": "O-1"})))
    made.executes(1, 1, "ok", {"refunded": True})
    made.replies(made.asks(2), says("It is refunded."))
    return made.ends()


def judged(log: Log, *, anchored: bool = True, **more: Any) -> Verdict:
    """Return the verdict on the log."""
    return check(log.events, anchor=log.anchor if anchored else None, **more)


@settings(max_examples=40)
@given(story=runs(), after=st.integers(0, 2))
def test_a_log_that_nobody_touched_fits_however_the_run_went(story: Story, after: int) -> None:
    log = vouched(story, after=after)

    verdict = judged(log)

    assert (verdict.status, verdict.first) == ("fits", None)
    assert set(verdict.late) == log.late
    assert verdict.covered == len(log.events) - len(log.late)


def _body(event: Event) -> Event:
    return event.model_copy(update={"body": event.body | {"spent_microusd": 1, "planted": True}})


def _time(event: Event) -> Event:
    return event.model_copy(update={"at": (STARTED - timedelta(days=1)).isoformat()})


def _index(event: Event) -> Event:
    return event.with_stored(dict(event.stored) | {"tenant": "mallory"})


def _ciphertext(event: Event) -> Event:
    return event.with_stored(dict(event.stored) | {"$sealed": "another"})


def _expiry(event: Event) -> Event:
    return event.with_stored(dict(event.stored) | {"expires_at": "1"})


CHANGES: list[Callable[[Event], Event]] = [_body, _time, _index, _ciphertext, _expiry]


@settings(max_examples=60)
@given(story=runs(), change=st.sampled_from([*CHANGES, None]), data=st.data())
def test_any_single_change_is_named_by_its_event(story: Story, change: Any, data: st.DataObject) -> None:
    log = vouched(story)
    event = data.draw(st.sampled_from([one for one in log.events if one.seq not in log.late]))

    touched = log.but(without=event.seq) if change is None else log.but(change(event))
    verdict = check(touched.events, anchor=log.anchor)

    assert verdict.status == "unfit"
    assert verdict.first is not None
    assert verdict.first.seq == event.seq


@settings(max_examples=25)
@given(story=runs(), data=st.data())
def test_times_that_were_exchanged_are_named_by_the_first_of_the_two(story: Story, data: st.DataObject) -> None:
    log = vouched(story)
    covered = [one for one in log.events if one.seq not in log.late and EVIDENCE not in one.body]
    assume(len(covered) > 1)
    one, other = sorted(data.draw(st.lists(st.sampled_from(covered), min_size=2, max_size=2, unique_by=id)), key=order)
    assume(one.at != other.at)

    swapped = log.but(one.model_copy(update={"at": other.at}), other.model_copy(update={"at": one.at}))
    first = check(swapped.events, anchor=log.anchor).first

    assert first is not None
    assert first.seq == one.seq


KEYS = (
    "{turn:04d}.call.1.settled",
    "{turn:04d}.call.1.intended",
    "{turn:04d}.call.9.refused",
    "{turn:04d}.call.1.approval_answered",
    "{turn:04d}.escalation.answered",
    "{turn:04d}.plan.decided",
    "{turn:04d}.model.responded",
    "{turn:04d}.model.4.requested",
    "{turn:04d}.lease.extended",
    "0000.run.refused",
)


@settings(max_examples=40)
@given(story=runs(), key=st.sampled_from(KEYS), turn=st.integers(1, 9))
def test_an_event_that_was_added_is_named_or_is_work_that_was_under_way(story: Story, key: str, turn: int) -> None:
    log = vouched(story)
    seq = key.format(turn=turn)
    assume(seq not in {event.seq for event in log.events})
    planted = Event(run_id=log.events[0].run_id, seq=seq, at=LATER.isoformat(), body={"planted": True})

    verdict = judged(log.but(planted))

    if verdict.status == "fits":
        assert seq in verdict.late
    else:
        assert verdict.first is not None
        assert verdict.first.seq == seq


ADDED = {"9999.call.1.settled", "0002.escalation.announced"}
ADDED |= {key.format(turn=turn) for key in KEYS for turn in (1, 2, 3)}


@pytest.mark.parametrize("seq", sorted(ADDED - {event.seq for event in story().events}))
def test_nothing_can_be_added_to_a_run_that_was_answered(seq: str) -> None:
    log = vouched(story())

    first = judged(log.but(Event(run_id="r", seq=seq, at=LATER.isoformat(), body={}))).first

    assert first is not None
    assert first.seq == seq


def test_the_effect_of_a_call_that_nobody_waited_for_may_come_late() -> None:
    made = Story().opened()
    made.replies(made.asks(1), wants(("refund_order", {"order_id": "O-1"})))
    made.intends(1, 1, made_call(made))
    log = vouched(made)
    late = Event(run_id=log.events[0].run_id, seq="0001.call.1.settled", at=LATER.isoformat(), body={"status": "ok"})

    verdict = judged(log.but(late))

    assert (verdict.status, verdict.late) == ("fits", ("0001.call.1.settled",))


def test_a_call_that_was_begun_while_the_run_was_cut_may_come_late_whole() -> None:
    made = Story().opened()
    made.replies(made.asks(1), wants(("refund_order", {"order_id": "O-1"})))
    log = vouched(made)
    run_id = log.events[0].run_id
    late = [
        Event(run_id=run_id, seq=f"0001.call.1.{step}", at=LATER.isoformat(), body={"status": "ok"})
        for step in ("intended", "settled")
    ]

    verdict = judged(log.but(*late))

    assert (verdict.status, set(verdict.late)) == ("fits", {one.seq for one in late})


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"effect": "read"}, True),
        ({}, False),
        ({"effect": "write"}, False),
        ({"effect": "read", "cost_microusd": 1}, False),
    ],
)
@pytest.mark.parametrize("index", [1, 2])
def test_a_free_read_that_a_person_did_not_wait_for_may_come_late(body: dict[str, Any], fits: bool, index: int) -> None:
    """It has no intention. What shows that it was under way is its proposal."""
    made = Story().opened()
    made.replies(made.asks(1), wants(("look_up_order", {"order_id": "O-1"})))
    made.escalates(2)
    made.person(2, Answer(text="By hand."))
    log = vouched(made.ends())
    late = Event(
        run_id=log.events[0].run_id,
        seq=f"0001.call.{index}.settled",
        at=LATER.isoformat(),
        body={"status": "ok", **body},
    )

    assert (judged(log.but(late)).status == "fits") is (fits and index == 1)


@pytest.mark.parametrize(("turn", "fits"), [(1, True), (2, True), (4, True), (5, False)])
def test_a_planner_before_which_others_failed_without_a_word_may_decide_late(turn: int, fits: bool) -> None:
    made = Story().opened()
    log = vouched(made)
    decision = {"kind": "hand_over", "to": "fallback", "reason": "rolled_back"}
    body = {"planner": "rollback", "decision": decision}
    late = Event(run_id=log.events[0].run_id, seq=f"{turn:04d}.plan.decided", at=LATER.isoformat(), body=body)

    verdict = judged(log.but(late))

    assert (verdict.status == "fits") is fits


def made_call(made: Story) -> Any:
    """Return the call that was proposed in turn 1."""

    return made.run.proposals[1].calls[0]


def test_a_whole_log_that_was_written_anew_is_told_by_the_lease() -> None:
    log = vouched(story())
    forged = story()
    forged.written[0] = forged.written[0].model_copy(update={"at": (STARTED - timedelta(days=9)).isoformat()})
    anew = vouched(forged)

    alone, anchored = check(anew.events), check(anew.events, anchor=log.anchor)

    assert alone.status == "fits"  # what a digest without a key cannot tell
    assert (anchored.status, anchored.first.seq if anchored.first else "") == ("unfit", "9999.run.settled")


@pytest.mark.parametrize(
    ("gone", "first"),
    [
        (("9999.run.settled",), "9999.run.settled"),
        (("9999.run.ended", "9999.run.settled"), "9999.run.ended"),
    ],
)
def test_endings_that_were_deleted_are_told_by_the_lease(gone: tuple[str, ...], first: str) -> None:
    log = vouched(story())
    left = tuple(event for event in log.events if event.seq not in gone)

    verdict = check(left, anchor=log.anchor)

    assert verdict.first is not None
    assert verdict.first.seq == first


def test_without_the_lease_a_settlement_that_is_missing_is_missing_where_there_was_a_lease() -> None:
    made = Story().opened()
    made.written[0] = made.written[0].model_copy(update={"body": made.written[0].body | {"lease": {"microusd": 7}}})
    made.decides(1, Planner.FALLBACK, Answer(text="It is on its way."))
    made.ends()
    log = vouched(made)

    assert judged(log, anchored=False).status == "fits"
    verdict = check(log.but(without="9999.run.settled").events)
    assert verdict.first is not None
    assert verdict.first.seq == "9999.run.settled"
    assert check(log.but(without="9999.run.settled").events, settling=True).status == "fits"


def test_an_ending_of_an_older_version_is_not_covered_and_never_fine() -> None:
    verdict = check(story().events)

    assert (verdict.status, verdict.first, verdict.prompts) == ("not_covered", None, 2)


def test_a_run_that_goes_on_is_open_and_its_prompts_are_checked() -> None:
    made = Story().opened()
    made.replies(made.asks(1), wants(("refund_order", {"order_id": "O-1"})))
    assert check(made.events).status == "open"

    made.written[0] = _body(made.written[0])
    verdict = check(made.events)

    assert verdict.first is not None
    assert verdict.first.seq == "0001.model.requested"


def test_a_refused_run_is_called_refused() -> None:
    assert check(Story().refused().events).status == "refused"


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["sha256", "since", "keys", "marks"])
@pytest.mark.parametrize("seq", ["9999.run.ended", "9999.run.settled"])
@pytest.mark.parametrize("value", ["", "AAAA", None, 7, ["x"]])
def test_evidence_that_was_edited_is_named(seq: str, name: str, value: Any) -> None:
    log = vouched(story())
    carrier = log.at(seq)
    edited = carrier.model_copy(update={"body": carrier.body | {EVIDENCE: carrier.body[EVIDENCE] | {name: value}}})

    first = check(log.but(edited).events, anchor=log.anchor).first

    assert first is not None
    assert seq >= first.seq


@pytest.mark.parametrize("seq", ["9999.run.ended", "9999.run.settled"])
@pytest.mark.parametrize("value", [None, "x", 7, [], {}])
def test_evidence_that_is_no_evidence_is_named(seq: str, value: Any) -> None:
    log = vouched(story())
    carrier = log.at(seq)

    verdict = check(log.but(carrier.model_copy(update={"body": carrier.body | {EVIDENCE: value}})).events)

    assert verdict.status == "unfit"


@pytest.mark.parametrize("seq", ["9999.run.ended", "9999.run.settled"])
def test_evidence_that_was_taken_away_is_missed(seq: str) -> None:
    log = vouched(story())
    carrier = log.at(seq)
    bare = {name: value for name, value in carrier.body.items() if name != EVIDENCE}

    first = check(log.but(carrier.model_copy(update={"body": bare})).events).first

    assert first is not None
    assert first.seq == seq


def test_what_cannot_be_read_is_named_and_the_rest_is_checked() -> None:
    log = vouched(story())

    verdict = check(
        log.but(without="0001.call.1.settled").events,
        broken={"0001.call.1.settled": "its content is gone"},
        anchor=log.anchor,
    )

    assert verdict.first is not None
    assert (verdict.first.seq, verdict.first.why) == ("0001.call.1.settled", "its content is gone")


def test_a_key_that_is_none_comes_last() -> None:
    log = vouched(story())

    assert check(log.events, broken={"zzz": "cannot be decoded"}).first is not None
    first = check(log.but(without="0001.call.1.settled").events, broken={"zzz": "cannot be decoded"}).first
    assert first is not None
    assert first.seq == "0001.call.1.settled"


def test_what_ttl_removed_is_not_covered_and_what_was_deleted_before_is_missing() -> None:
    log = vouched(story())
    left = log.but(without="0000.run.opened").events
    expires = datetime.fromtimestamp(int(EXPIRES["expires_at"]), UTC)

    assert check(left, now=expires - timedelta(days=1)).status == "unfit"
    assert check(left, now=expires + timedelta(days=1)).status == "not_covered"
    touched = log.but(_body(log.at("0001.call.1.settled")), without="0000.run.opened").events
    assert check(touched, now=expires + timedelta(days=1)).status == "unfit"


@pytest.mark.parametrize("gone", ["0001.call.1.settled", "0000.run.opened", "9999.run.ended"])
@pytest.mark.parametrize("seqs", [["9999.run.settled"], ["9999.run.ended"], ["9999.run.ended", "9999.run.settled"]])
@pytest.mark.parametrize("anchored", [True, False])
def test_an_expiry_that_was_lowered_excuses_no_deletion(gone: str, seqs: list[str], anchored: bool) -> None:
    log = vouched(story())
    touched = log.but(*[_expiry(log.at(seq)) for seq in seqs if seq != gone], without=gone)

    found = check(touched.events, now=STARTED + timedelta(days=1), anchor=log.anchor if anchored else None)

    assert found.status == "unfit"


def test_an_expiry_that_was_lowered_excuses_it_not_even_where_all_else_is_gone() -> None:
    log = vouched(story())
    left = [_expiry(log.at("9999.run.settled"))]

    assert check(left, now=STARTED + timedelta(days=1), anchor=log.anchor).status == "unfit"
    late = datetime.fromtimestamp(int(EXPIRES["expires_at"]), UTC) + timedelta(days=1)
    assert check([log.at("9999.run.settled")], now=late, anchor=log.anchor).status == "not_covered"


def test_an_ending_of_an_older_version_is_checked_as_long_as_all_of_it_is_there() -> None:
    log = vouched(story())
    before = [one for one in log.events if one.turn < 9999]
    ended = log.at("9999.run.ended")
    own = ended.model_copy(update={"body": {k: v for k, v in ended.body.items() if k != EVIDENCE}})
    evidence = {k: v for k, v in ended.body[EVIDENCE].items() if k != "events"}
    marks = [evidence_of_a_mark(one) for one in before]
    evidence["sha256"] = sha256(b"".join([*marks, evidence_of_a_mark(own), canonical(evidence["since"]).encode()]))
    old = ended.model_copy(update={"body": own.body | {EVIDENCE: evidence}})

    # An older version of ``run.settled``, too, would vouch for this one; here it is about to be written.
    assert check([*before, old], settling=True).status == "fits"
    assert check([*before, _expiry(old)], settling=True).status == "unfit"
    assert check([*before[:-1], old], settling=True, now=STARTED + timedelta(days=400)).status == "unfit"


def evidence_of_a_mark(event: Event) -> bytes:
    return hashlib.sha256(canonical([event.seq, event.at, event.digest, event.stored]).encode("ascii")).digest()


def sha256(told: bytes) -> str:
    return hashlib.sha256(told).hexdigest()


def test_of_a_run_that_is_too_long_the_newest_prompt_is_checked_and_the_first_ones() -> None:
    made = Story().opened()
    for turn in range(1, 6):
        made.replies(made.asks(turn), wants(("look_up_order", {"order_id": f"O-{turn}"})))
        made.executes(turn, 1, "ok", {"turn": turn})
    broken = {"prompt_sha256": "0" * 64}

    def first(seq: str, **more: Any) -> str:
        events = [one.model_copy(update={"body": one.body | broken}) if one.seq == seq else one for one in made.events]
        found = check(events, **more).first
        return found.seq if found else ""

    assert first("0003.model.requested") == "0003.model.requested"
    # What was changed is told by the newest one all the same: it covers every earlier event.
    assert first("0003.model.requested", most_chars=10) == "0005.model.requested"
    assert first("0001.model.requested", most_chars=10_000) == "0001.model.requested"


# Corrections: the lease has the orders, the log copies of them

ORDER = {"was_microusd": 7, "charged_microusd": 5, "by": "ann", "reason": ""}
EARLIER = ORDER | {"was_microusd": 9, "charged_microusd": 7}
LOWER = ORDER | {"charged_microusd": 0, "by": "eve"}


@pytest.mark.parametrize(
    ("ordered", "last", "bodies", "wrong"),
    [
        (0, None, [], set()),
        (0, None, [LOWER], {1}),
        (1, ORDER, [ORDER], set()),
        (1, ORDER, [LOWER, ORDER], {1}),
        (1, ORDER, [ORDER, LOWER], {2}),
        (1, ORDER, [ORDER, LOWER, LOWER], {2, 3}),
        (2, ORDER, [EARLIER, ORDER], set()),
        (2, ORDER, [EARLIER, ORDER, LOWER], {3}),
        (1, ORDER, [], {1}),
        (1, ORDER, [LOWER], {1}),
        (1, None, [ORDER], set()),  # of an older version, which kept no order in the lease
        (None, None, [LOWER], set()),  # without the lease nobody knows
        (0, None, [{}], {1}),
        (None, None, [{}], {1}),  # no order of an operator reads so
        (None, None, [ORDER | {"charged_microusd": -1}], {1}),
    ],
)
def test_a_correction_that_no_operator_ordered_is_named(
    ordered: int | None, last: dict[str, Any] | None, bodies: list[dict[str, Any]], wrong: set[int]
) -> None:
    story = Story().opened()
    story.replies(story.asks(1), says("Done."))
    log = vouched(story.ends(), after=0)
    copies = [
        Event(run_id=log.events[0].run_id, seq=RunCorrected.key(number), at=STARTED.isoformat(), body=body)
        for number, body in enumerate(bodies, start=1)
    ]
    anchor = Anchor(True, log.anchor.sha256, ordered, last)

    verdict = check(log.but(*copies).events, anchor=anchor)

    assert (verdict.status == "fits") == (not wrong), verdict
    assert verdict.first is None or verdict.first.seq == RunCorrected.key(min(wrong))
