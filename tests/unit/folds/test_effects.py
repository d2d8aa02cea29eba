"""Four folds of effects (standing, repeated, to undo, final) against a simulated world."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import Effects, ExitReason, Planner
from ballast.folds.calls import identity_of, same
from ballast.log.event import Event, order
from ballast.log.events import CallIntended, CallSettled, PlanDecided
from ballast.run import Run


@dataclass
class Log:
    """A run's log, written call by call. ``set`` writes and ``unset`` undoes it."""

    written: list[Event] = field(default_factory=list)
    turn: int = 0

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(sorted(self.written, key=order))

    def _write(self, seq: str, body: dict[str, Any]) -> None:
        self.written.append(Event(run_id="run-x", seq=seq, at="2026-11-25T00:00:00+00:00", body=body))

    def call(
        self,
        tool: str,
        what: str,
        status: str = "ok",
        *,
        by: str = "agent",
        on_rollback: str | None = None,
        undoes: tuple[int, int] | None = None,
        repeat_of: tuple[int, int] | None = None,
    ) -> tuple[int, int]:
        """Record a call of a turn of its own and return its position."""
        self.turn += 1
        call = {"tool": tool, "arguments": {"what": what}, "call_id": ""}
        decision = {"kind": "call_tools", "calls": [call]}
        undo = {"tool": "unset", "arguments": {"what": what}} if tool == "set" else None
        made = {"planner": by, "decision": decision} | ({"undoes": list(undoes)} if undoes else {})
        self._write(PlanDecided.key(self.turn), made)
        if repeat_of is None:
            intended: dict[str, Any] = {"tool": tool, "effect": "write", "undo": undo}
            self._write(CallIntended.key(self.turn, 1), intended | {"on_rollback": on_rollback})
        if status != "intended":
            settled = {"tool": tool, "status": status, "result": {}, "undo": undo if status == "ok" else None}
            self._write(CallSettled.key(self.turn, 1), settled | ({"repeat_of": repeat_of} if repeat_of else {}))
        return self.turn, 1

    def hands_over(self, reason: ExitReason, *, by: str = "rollback", to: str = "human") -> None:
        """Record that a planner gave the run away."""
        self.turn += 1
        decision = {"kind": "hand_over", "to": to, "reason": reason}
        self._write(PlanDecided.key(self.turn), {"planner": by, "decision": decision})


def positions(states: Sequence[Any]) -> list[tuple[int, int]]:
    return [state.position for state in states]


# Standing


def test_an_effect_stands_until_it_is_undone_and_an_undo_until_the_effect_is_back() -> None:
    run = Log()
    first, undo = run.call("set", "a"), run.call("unset", "a", by="human")
    assert (positions(Run.of(run.events).standing.writes), positions(Run.of(run.events).standing.effects)) == (
        [undo],
        [],
    )

    again = run.call("set", "a")

    assert positions(Run.of(run.events).standing.writes) == positions(Run.of(run.events).standing.effects) == [again]
    assert first not in positions(Run.of(run.events).to_undo)


def test_one_undo_takes_back_one_effect() -> None:
    run = Log()
    first, _ = run.call("set", "a"), run.call("set", "a")

    run.call("unset", "a", by="human")

    assert positions(Run.of(run.events).standing.effects) == [first]


def test_the_rollback_takes_back_the_effect_that_it_names() -> None:
    run = Log()
    first, second = run.call("set", "a"), run.call("set", "a")

    run.call("unset", "a", by="rollback", undoes=first)

    assert positions(Run.of(run.events).standing.effects) == [second]


def test_a_repeat_that_got_a_recorded_result_is_no_effect() -> None:
    run = Log()
    first = run.call("set", "a")
    run.call("set", "a", repeat_of=first)

    assert positions(Run.of(run.events).standing.effects) == positions(Run.of(run.events).to_undo) == [first]


# Sameness


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 100}, {"a": 1e2}),
        ({"a": [1, {"b": 0}]}, {"a": [1.0, {"b": -0.0}]}),
    ],
)
def test_what_makes_no_difference_is_the_same(one: Any, other: Any) -> None:
    assert identity_of("set", one) == identity_of("set", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": "007"}, {"a": "7"}),
        ({"a": True}, {"a": 1}),
        ({"a": None}, {}),
        ({"a": "X"}, {"a": "x"}),
        ({"a": "x  y"}, {"a": "x y"}),
        ({"a": "if x:\n    y"}, {"a": "if x:\ny"}),
        ({"a": "x"}, {"a": "x\n"}),
        ({"a": "\u00e9"}, {"a": "e\u0301"}),
        ({"\u00e9": 1}, {"e\u0301": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": 0.1}, {"a": 0.10000000000000002}),
        ({"a": "None"}, {"a": None}),
        ({"a": 10**40}, {"a": 10**40 + 1}),
    ],
)
def test_what_makes_a_difference_is_not(one: Any, other: Any) -> None:
    assert identity_of("set", one) != identity_of("set", other)


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_sameness_is_settled_after_one_look(value: Any) -> None:
    assert identity_of("t", value) == identity_of("t", value)
    assert identity_of("t", value) != identity_of("u", value)
    assert same(value) is not None or value is None


# Repeats


@pytest.mark.parametrize(("status", "found"), [("ok", True), ("unknown", True), ("intended", True), ("failed", False)])
def test_what_happened_or_may_have_is_repeated(status: str, found: bool) -> None:
    run = Log()
    first = run.call("set", "a", status)
    at = run.call("set", "a", "intended")

    before = Run.of(run.events).earlier(at, Run.of(run.events).standing.writes[-1].call)

    assert (before is not None and before.position == first) is found


def test_an_unknown_one_comes_before_every_other() -> None:
    run = Log()
    unknown, _ = run.call("set", "a", "unknown"), run.call("set", "a")
    at = run.call("set", "a", "intended")

    before = Run.of(run.events).earlier(at, Run.of(run.events).standing.writes[-1].call)

    assert before is not None
    assert before.position == unknown


# The rollback


def test_newest_first_and_neither_what_is_kept_nor_what_a_person_did() -> None:
    run = Log()
    first = run.call("set", "a", on_rollback="undo")
    run.call("set", "b", on_rollback="keep")
    run.call("set", "c", on_rollback="undo", by="human")
    last = run.call("set", "d", on_rollback="undo")

    assert positions(Run.of(run.events).to_undo) == [last, first]
    assert Run.of(run.events).frozen == ()


@pytest.mark.parametrize(
    ("status", "on_rollback", "by", "is_frozen"),
    [
        ("ok", "freeze", "agent", True),
        ("ok", "freeze", "human", False),
        ("unknown", "undo", "agent", True),
        ("intended", "keep", "agent", True),
        ("unknown", "undo", "human", True),
        ("unknown", None, "rollback", True),
        ("failed", "freeze", "agent", False),
        ("ok", "keep", "agent", False),
        ("ok", None, "agent", False),
    ],
)
def test_what_stops_a_rollback(status: str, on_rollback: str | None, by: str, is_frozen: bool) -> None:
    run = Log()
    run.call("set", "a", status, on_rollback=on_rollback, by=by)

    assert bool(Run.of(run.events).frozen) is is_frozen
    if is_frozen:
        assert Run.of(run.events).must_roll_back


@pytest.mark.parametrize(
    ("starts_clean", "has_fallback", "to"),
    [(True, True, "rollback"), (False, True, "fallback"), (False, False, "rollback"), (True, False, "rollback")],
)
def test_a_fallback_that_goes_on_from_what_was_done_needs_no_rollback(
    starts_clean: bool, has_fallback: bool, to: str
) -> None:
    run = Log()
    run.call("set", "a")

    assert Run.of(run.events).successor(Planner.AGENT, has_fallback=has_fallback, starts_clean=starts_clean) == to


# How they end


@pytest.mark.parametrize(
    ("calls", "status", "ends"),
    [
        ([], "answered", "none"),
        ([("set", "failed")], "answered", "none"),
        ([("set", "ok")], "answered", "kept"),
        ([("set", "ok")], "aborted", "frozen"),
        ([("set", "ok")], "unanswered", "frozen"),
        ([("set", "ok"), ("unset", "ok")], "answered", "undone"),
        ([("set", "ok"), ("unset", "ok")], "failed", "undone"),
        ([("set", "ok"), ("unset", "unknown")], "answered", "frozen"),
        ([("set", "unknown")], "answered", "frozen"),
        ([("set", "intended")], "timed_out", "frozen"),
    ],
)
def test_how_effects_end(calls: list[tuple[str, str]], status: str, ends: str) -> None:
    run = Log()
    for tool, outcome in calls:
        run.call(tool, "a", outcome, by="agent" if tool == "set" else "rollback")

    assert Run.of(run.events).effects(status) == ends


@pytest.mark.parametrize("reason", [ExitReason.EFFECT_FROZEN, ExitReason.ROLLBACK_INCOMPLETE])
def test_what_the_rollback_left_to_a_person_is_frozen_and_not_kept(reason: ExitReason) -> None:
    run = Log()
    run.call("set", "a")
    run.hands_over(reason)

    assert Run.of(run.events).effects("answered") is Effects.FROZEN


# A small world

CALLS = st.lists(
    st.tuples(
        st.sampled_from(["agent", "agent", "fallback", "human", "rollback"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["ok", "ok", "ok", "failed", "unknown"]),
    ),
    max_size=12,
)


def play(moves: Sequence[tuple[str, str, str]]) -> tuple[Log, Counter[str]]:
    """Let planners call as the executor lets them, and return the log and what the world really holds."""
    run, world = Log(), Counter[str]()
    for by, what, status in moves:
        if by == "rollback":
            left = Run.of(run.events).to_undo
            if left and left[0].undo and not Run.of(run.events).frozen:
                undone = left[0]
                run.call("unset", undone.call.arguments["what"], status, by=by, undoes=undone.position)
                world[undone.call.arguments["what"]] -= status == "ok"
            continue
        probe = Log([*run.written], run.turn)
        at = probe.call("set", what, "intended", by=by)
        before = Run.of(probe.events).earlier(at, Run.of(probe.events).standing.writes[-1].call)
        if before is None:
            run.call("set", what, status, by=by, on_rollback="undo")
            world[what] += status == "ok"
        elif before.status == "ok":
            run.call("set", what, by=by, repeat_of=before.position)
    return run, world


@settings(max_examples=60)
@given(moves=CALLS)
def test_under_once_the_world_holds_each_thing_at_most_once_and_the_log_says_which(
    moves: list[tuple[str, str, str]],
) -> None:
    run, world = play(moves)

    stands = Counter(
        state.call.arguments["what"] for state in Run.of(run.events).standing.effects if state.status == "ok"
    )

    assert stands == +world
    assert all(number <= 1 for number in stands.values())


@settings(max_examples=60)
@given(moves=CALLS)
def test_a_rollback_ends_undone_or_frozen_in_as_many_steps_as_there_are_effects(
    moves: list[tuple[str, str, str]],
) -> None:
    run, world = play(moves)
    order_of_undoing = positions(Run.of(run.events).to_undo)

    steps = []
    while not Run.of(run.events).frozen and (left := Run.of(run.events).to_undo):
        steps.append(left[0].position)
        run.call("unset", left[0].call.arguments["what"], by="rollback", undoes=left[0].position)
        world[left[0].call.arguments["what"]] -= 1

    assert steps == (order_of_undoing if steps else []) == sorted(steps, reverse=True)
    kept_by_people = [state for state in Run.of(run.events).standing.effects if state.planner is Planner.PERSON]
    if Run.of(run.events).frozen:
        assert Run.of(run.events).effects("answered") is Effects.FROZEN
    elif not kept_by_people and not _tried_in_vain(run):
        assert +world == Counter()
        assert Run.of(run.events).effects("answered") in (Effects.NONE, Effects.UNDONE)


def _tried_in_vain(run: Log) -> bool:
    """Say whether an undo failed before: it is not tried again, and a person has been told."""
    return any(
        event.name == "call.settled" and event.body["tool"] == "unset" and event.body["status"] != "ok"
        for event in run.events
    )


@given(moves=CALLS, status=st.sampled_from(["answered", "aborted", "unanswered", "failed", "timed_out"]))
def test_every_run_ends_without_effects_or_with_kept_undone_or_frozen_ones(
    moves: list[tuple[str, str, str]], status: str
) -> None:
    run, world = play(moves)

    ends = Run.of(run.events).effects(status)

    if any(state.status == "unknown" for state in Run.of(run.events).standing.writes):
        assert ends is Effects.FROZEN
    elif +world:
        assert ends is (Effects.KEPT if status == "answered" else Effects.FROZEN)
    else:
        assert ends in (Effects.NONE, Effects.UNDONE)


@given(moves=CALLS)
def test_what_a_call_repeats_depends_on_nothing_that_came_later(moves: list[tuple[str, str, str]]) -> None:
    run, _ = play(moves)
    for state in Run.of(run.events).standing.writes:
        before = tuple(event for event in run.events if not event.name.startswith("call.") or event.turn < state.turn)

        assert Run.of(run.events).earlier(state.position, state.call) == Run.of(before).earlier(
            state.position, state.call
        )
