"""Invariants of the folds of every run, however it went and wherever it was cut off."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import Planner, ToolCall
from ballast.folds.conversation import prompt_digest, rebuild
from ballast.folds.loops import detect, detect_proposed
from ballast.folds.usage import Usage
from ballast.log.event import Event, order
from ballast.log.events import EscalationAnswered, ModelRequested, ModelResponded, PlanDecided
from ballast.run import Run
from tests.support.random_runs import AGENTS, runs
from tests.support.runs import Story
from tests.support.sampling import examples

FOLDS: dict[str, Callable[[Run], Any]] = {
    "prompt": lambda run: run.prompt,
    "agents": lambda run: (run.agent_changes, [run.agent_at(turn) for turn in run.turns]),
    "outcome": lambda run: run.outcome,
    "to_announce": lambda run: run.to_announce,
    "calls": lambda run: run.calls,
    "committed": lambda run: run.committed,
    "despair": detect,
    "progress": lambda run: run.progress,
    "proposals": lambda run: run.proposals,
    "proposed": lambda run: run.proposed,
    "successor": lambda run: run.successor(Planner.AGENT, has_fallback=True),
    "to_undo": lambda run: run.to_undo,
    "standing": lambda run: run.standing,
    "frozen": lambda run: run.frozen,
    "effects": lambda run: run.effects("answered"),
    "unseen": lambda run: run.unseen,
    "usage": lambda run: run.usage,
    "cost": lambda run: run.cost,
    "moves": lambda run: run.moves,
    "names": lambda run: run.names,
    "length": len,
    "is_unfinished": lambda run: run.is_unfinished,
    "newest": lambda run: run.newest(ModelResponded),
    "named": lambda run: run.named(PlanDecided, EscalationAnswered),
    "earlier": lambda run: [run.earlier(state.position, state.call) for state in run.calls],
}
FOLDS_OF_AN_OPENED_RUN: dict[str, Callable[[Run], Any]] = {
    "opening": lambda run: run.opening,
    "stopped_loops": lambda run: run.stopped_loops,
    "summary": lambda run: run.summary("deadline"),
}


#: Those that keep something for the run that goes on from this one.
REMEMBERING: dict[str, Callable[[Run], Any]] = {
    "loops": lambda run: detect(run, remember="loops"),
    "verdicts": lambda run: detect_proposed(run, 99, [ToolCall(tool="look", arguments={})], remember="loops"),
    "counts": lambda run: run.counts,
    "used_by": lambda run: [run.used_by(agent) for agent in AGENTS],
    "prompts": lambda run: [prompt_digest(run, rebuild(run, asked), asked.inference) for asked in asked_of(run)],
    "digest": lambda run: prompt_digest(run, run.prompt, {}),
}


def asked_of(events: Sequence[Event]) -> tuple[ModelRequested, ...]:
    return Run.of(events).facts(ModelRequested)


def written_before(story: Story, asked: ModelRequested) -> list[Event]:
    return story.written[: [event.seq for event in story.written].index(asked.seq)]


def digest_of(events: Sequence[Event], asked: ModelRequested) -> str:
    run = Run.of(events)
    return prompt_digest(run, rebuild(run, asked), asked.inference)


@settings(max_examples=examples(8, 25))
@given(story=runs())
def test_every_fold_resumes_from_every_moment_of_a_run(story: Story) -> None:
    for moment in range(len(story.written) + 1):
        written_so_far = tuple(sorted(story.written[:moment], key=order))

        for fold in (FOLDS | FOLDS_OF_AN_OPENED_RUN).values() if moment else FOLDS.values():
            fold(Run(written_so_far))


@settings(max_examples=examples(5, 15))
@given(story=runs())
def test_every_fold_takes_every_prefix_of_the_log_as_it_is_read(story: Story) -> None:
    events = story.events

    for length in range(1, len(events) + 1):
        for fold in (FOLDS | FOLDS_OF_AN_OPENED_RUN).values():
            fold(Run(events[:length]))


@settings(max_examples=examples(8, 25))
@given(story=runs(), data=st.data())
def test_a_run_that_grows_says_what_a_run_read_anew_says(story: Story, data: st.DataObject) -> None:
    grown, at = Run(), 0
    while at < len(story.written):
        step = data.draw(st.integers(1, 4))
        grown = grown.with_event(*story.written[at : at + step])
        at += step
        anew = Run(sorted(story.written[:at], key=order))

        assert grown == anew
        for name, fold in {**FOLDS, **(FOLDS_OF_AN_OPENED_RUN if anew.is_open else {}), **REMEMBERING}.items():
            assert fold(grown) == fold(anew), name


@settings(max_examples=examples(5, 15))
@given(story=runs(), data=st.data())
def test_a_run_stays_what_it_was_whatever_it_grows_into(story: Story, data: st.DataObject) -> None:
    folds = FOLDS | REMEMBERING
    grown, before = Run(), [Run()]
    for event in story.written:
        grown = grown.with_event(event)
        before.append(grown)
        folds[data.draw(st.sampled_from(sorted(folds)))](grown)

    for length in data.draw(st.permutations(range(len(before))))[:8]:
        anew = Run(sorted(story.written[:length], key=order))
        for name, fold in folds.items():
            assert fold(before[length]) == fold(anew), name


@settings(max_examples=examples(5, 15))
@given(story=runs(), data=st.data())
def test_two_runs_that_grew_from_one_know_nothing_of_each_other(story: Story, data: st.DataObject) -> None:
    folds = FOLDS | REMEMBERING
    at = data.draw(st.integers(0, len(story.written)))
    left = data.draw(st.integers(0, len(story.written)))
    shared = Run().with_event(*story.written[:at])
    # One of the two was written by others: it has not what the other one has in its place.
    rest = [event for number, event in enumerate(story.written[at:]) if number != left]
    one, other = shared, shared
    for number in range(max(len(story.written) - at, len(rest))):
        one = one.with_event(*story.written[at + number : at + number + 1])
        other = other.with_event(*rest[number : number + 1])
        for name in ("calls", "usage", "standing", "to_undo", "names", "loops", "counts"):
            folds[name](one)
            folds[name](other)

    for grown, written in ((one, story.written), (other, [*story.written[:at], *rest])):
        anew = Run(sorted(written, key=order))
        for name in ("calls", "usage", "standing", "to_undo", "names", "loops", "counts"):
            assert folds[name](grown) == folds[name](anew), name


@given(story=runs())
def test_the_agent_in_charge_of_a_turn_is_the_one_that_the_workflow_asked(story: Story) -> None:
    for run in (story.run, Run(story.written)):
        assert {turn: run.agent_at(turn) for turn in story.agents} == story.agents


@given(story=runs())
def test_what_the_agents_used_adds_up_to_what_the_run_used(story: Story) -> None:
    run = story.run

    used = [run.used_by(agent) for agent in AGENTS]

    assert sum(one.charged_microusd for one in used) == run.usage.charged_microusd
    assert sum(one.counts.turns for one in used) == run.counts.turns
    assert sum(one.counts.tool_calls for one in used) == run.counts.tool_calls


@given(story=runs(), seed=st.integers())
def test_the_order_in_which_events_are_stored_means_nothing(story: Story, seed: int) -> None:
    shuffled = list(story.written)
    random.Random(seed).shuffle(shuffled)

    read = tuple(sorted(shuffled, key=order))

    assert read == story.events
    assert len({order(event) for event in read}) == len(read)


@given(story=runs())
def test_what_a_crash_makes_the_planner_do_again_comes_out_the_same(story: Story) -> None:
    for asked in asked_of(story.written):
        before = Story(story.request, story.limits, written_before(story, asked))

        again = before.asks(asked.turn, reserved=asked.reserved_microusd)

        assert (again.seq, again.body) == (asked.seq, asked.body)


@given(story=runs())
def test_each_recorded_prompt_is_rebuilt_to_its_hash_whatever_came_later(story: Story) -> None:
    for asked in asked_of(story.events):
        assert digest_of(story.events, asked) == asked.prompt_sha256


@given(story=runs(), data=st.data())
def test_a_changed_event_changes_the_hash_of_every_prompt_that_covers_it(story: Story, data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from(asked_of(story.events) or (None,)))
    if asked is None:
        return
    covered = rebuild(story.run, asked).covers
    victim = data.draw(st.sampled_from(covered))

    touched = tuple(
        event.model_copy(update={"body": event.body | {"touched": True}}) if event.seq == victim else event
        for event in story.events
    )

    assert digest_of(touched, asked) != asked.prompt_sha256


@given(story=runs(), data=st.data())
def test_a_removed_event_leaves_no_prompt_that_covers_it_whole(story: Story, data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from(asked_of(story.events) or (None,)))
    if asked is None:
        return
    victim = data.draw(st.sampled_from(rebuild(story.run, asked).covers))

    left = tuple(event for event in story.events if event.seq != victim)

    with pytest.raises(LookupError):
        digest_of(left, asked)


@given(story=runs())
def test_a_prompt_covers_all_that_was_written_before_it(story: Story) -> None:
    for asked in asked_of(story.written):
        before = written_before(story, asked)

        covered = rebuild(story.run, asked).covers

        assert sorted(covered) == sorted(event.seq for event in before)


@given(story=runs())
def test_a_turn_and_the_opening_are_all_that_it_takes_to_execute_its_calls(story: Story) -> None:
    for turn in {event.turn for event in story.events}:
        part = tuple(event for event in story.events if event.turn == turn or event.name == "run.opened")

        assert Run.of(part).calls == tuple(state for state in story.run.calls if state.turn == turn)


@given(story=runs())
def test_every_prompt_is_legal_for_converse(story: Story) -> None:
    for asked in asked_of(story.events):
        messages = rebuild(story.run, asked).messages

        assert [message["role"] for message in messages] == (["user", "assistant"] * len(messages))[: len(messages)]
        assert messages[-1]["role"] == "user"
        assert all(message["content"] for message in messages)
        assert all(text.strip() for message in messages for text in texts_of(message))
        ids = [key for message in messages for key in calls_in(message)]
        assert len(set(ids)) == len(ids)
        for said, answer in pairwise(messages):
            assert calls_in(said) == results_in(answer)


@given(story=runs())
def test_the_agent_is_told_once_what_people_said(story: Story) -> None:
    for asked in asked_of(story.written):
        before = written_before(story, asked)
        said = [event.body["decision"].get("guidance") for event in before if event.name == "escalation.answered"]

        told = " ".join(text for message in asked_messages(story, asked) for text in texts_of(message))

        assert all(told.count(words) == 1 for words in said if words)


def asked_messages(story: Story, asked: ModelRequested) -> tuple[dict[str, Any], ...]:
    return rebuild(story.run, asked).messages


def texts_of(message: dict[str, Any]) -> list[str]:
    inner = [part for block in message["content"] for part in block.get("toolResult", {}).get("content", [])]
    return [block["text"] for block in [*message["content"], *inner] if "text" in block]


def calls_in(message: dict[str, Any]) -> list[str]:
    uses = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    return [use["toolUseId"] for use in uses if use.get("type") != "server_tool_use"]


def results_in(message: dict[str, Any]) -> list[str]:
    return [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]


@given(story=runs())
def test_what_is_charged_is_what_was_settled_and_the_reservations_that_were_not(story: Story) -> None:
    reserved = {(one.turn, one.body["attempt"]): one.body["reserved_microusd"] for one in asked_of(story.events)}
    outcomes = [event for event in story.events if event.name in ("model.responded", "model.failed")]
    open_ones = reserved.keys() - {(event.turn, event.body["attempt"]) for event in outcomes}

    used = story.run.usage

    assert used.spent_microusd == sum(event.body["cost_microusd"] for event in outcomes)
    assert used.reserved_microusd == sum(reserved[attempt] for attempt in open_ones)
    assert used.charged_microusd == used.spent_microusd + used.reserved_microusd
    assert used.charged_microusd <= sum(reserved.values())


@settings(max_examples=examples(8, 25))
@given(story=runs())
def test_what_is_charged_sinks_only_by_what_a_reservation_was_too_high(story: Story) -> None:
    before = Usage()
    reserved: dict[tuple[int, int], int] = {}
    for moment, event in enumerate(story.written, start=1):
        used = Run.of(tuple(sorted(story.written[:moment], key=order))).usage

        match event.name:
            case "model.requested":
                reserved[event.turn, event.index] = event.body["reserved_microusd"]
                expected = event.body["reserved_microusd"]
            case "model.responded" | "model.failed":
                expected = event.body["cost_microusd"] - reserved[event.turn, event.body["attempt"]]
            case _:
                expected = 0
        assert used.charged_microusd - before.charged_microusd == expected
        for counter in ("model_calls", "refused_calls", "input_tokens", "output_tokens", "spent_microusd"):
            assert getattr(used, counter) >= getattr(before, counter)
        if event.name != "escalation.answered":  # a person's grant starts these two anew
            assert used.turns >= before.turns
        before = used


@given(story=runs())
def test_progress_agrees_with_the_log(story: Story) -> None:
    names = {event.name for event in story.events}
    opened = sum(event.name == "escalation.opened" for event in story.events)
    answered = sum(event.name == "escalation.answered" for event in story.events)

    found = story.run.progress

    assert found.committed == story.run.committed
    if "run.ended" in names:
        assert (found.status, found.pending, found.escalation_id) == ("ended", (), None)
    elif story.events[-1].name in ("escalation.opened", "escalation.announced") and opened > answered:
        assert (found.status, found.planner in (Planner.PERSON, Planner.REQUESTER)) == ("waiting", True)
    else:
        assert found.status in ("running", "waiting")
        assert (found.escalation_id is None) == (found.status == "running")
