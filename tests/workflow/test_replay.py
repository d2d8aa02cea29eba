"""A recorded run replays with every digest; a mutation of a fold or rule is named by the first event that differs.

The recorded runs are made here, by the handlers of today. ``python -m bench.replay`` replays a thousand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

from ballast import run as run_module
from ballast.contracts import Effects, Planner, RunRequest
from ballast.log import vouching
from ballast.log.evidence import check
from ballast.log.exported import read_text
from ballast.playbook import OnRollback, Playbook
from ballast.run import Run
from ballast.values import dataclass
from functions.agent import agent, ask, decision, prompt
from functions.executor import approval, effect, executor
from functions.lifecycle import admit, settle
from functions.people import open as people_open
from localcloud.cloud import PLAYBOOK
from localcloud.moto_seams.replaced import replaced
from localcloud.replay.lane import Ending, Lane, Replayed
from localcloud.replay.machine import Machine
from localcloud.replay.many import summary
from localcloud.replay.recorded import RecordedRun
from tests.support.changed_records import changed_records
from tests.support.recorded_runs import recorded_runs


@pytest.fixture(scope="module")
def runs() -> dict[str, RecordedRun]:
    return {one.source: one for one in recorded_runs()}


@pytest.fixture(scope="module")
def machine(runs: dict[str, RecordedRun]) -> Iterator[Machine]:  # after the runs: it takes the place of the log
    with Machine(Lane.baseline(PLAYBOOK)) as opened:
        yield opened


@pytest.fixture(scope="module")
def replayed(machine: Machine, runs: dict[str, RecordedRun]) -> dict[str, tuple[Replayed, set[str], set[str]]]:
    """Play every run again; return what came of it, and the events that were put in, in time and late."""
    found = {}
    for name, run in runs.items():
        played = machine.play(run)
        found[name] = played, set(machine.playing.put_in), set(machine.playing.late)
    return found


def test_every_recorded_run_comes_out_the_same(
    runs: dict[str, RecordedRun], replayed: dict[str, tuple[Replayed, set[str], set[str]]]
) -> None:
    played = {name: one for name, (one, _, _) in replayed.items()}

    assert {name: (str(one.difference), one.notes) for name, one in played.items() if not one.is_same} == {}
    for name, one in played.items():
        assert one.checked + one.put_in == len(runs[name].events), name
        assert [event.digest for event in one.events] == [event.digest for event in runs[name].events]


def test_a_record_that_was_cut_is_not_blamed_on_the_machine(machine: Machine, runs: dict[str, RecordedRun]) -> None:
    whole = runs["loop"]
    cut = RecordedRun.of([one for one in whole.events if one.seq != "0002.call.1.settled"], "cut")

    played = machine.play(cut)

    assert (played.ending, played.difference) == (Ending.NOT_REPLAYED, None)
    assert "0002.call.1.settled is missing" in played.notes[0]


def test_a_record_that_stops_after_its_ending_is_the_same_as_far_as_it_goes(
    machine: Machine, runs: dict[str, RecordedRun]
) -> None:
    whole = [*runs["loop"].events]
    ended = next(at for at, one in enumerate(whole) if one.name == "run.ended")

    cut = [machine.play(RecordedRun.of(whole[:until], "cut")) for until in range(ended + 1, len(whole))]

    assert len(cut) == 2
    for one in cut:
        assert one.ending is Ending.SAME
        assert "was not settled yet" in one.notes[-1]


def test_a_run_that_the_playbook_would_not_admit_is_told_as_such_and_no_process_died(
    machine: Machine, runs: dict[str, RecordedRun]
) -> None:
    opened = runs["loop"].events.events[0]
    made_of = opened.body["made_of"] | {"playbook": "another"}
    request = opened.body["request"] | {"agent": "elsewhere"}
    sha256 = RunRequest.model_validate(request).digest
    elsewhere = opened.body | {"made_of": made_of, "request": request, "request_sha256": sha256}
    foreign = RecordedRun.of([opened.model_copy(update={"body": elsewhere})], "foreign")

    played = machine.play(foreign)

    assert played.difference is not None
    assert played.difference.seq == "0000.run.opened"
    assert "wrote 0000.run.refused instead (agent 'elsewhere' is not deployed here" in played.difference.why
    assert (played.notes, played.made_otherwise) == ((), ("playbook",))


def test_pages_of_the_api_are_compared_but_for_the_digests_over_attributes_that_they_lack(
    machine: Machine, runs: dict[str, RecordedRun]
) -> None:
    whole = runs["loop"]
    pages = {"run_id": whole.run_id, "events": [json.loads(one.model_dump_json()) for one in whole.events]}
    (read,) = read_text(json.dumps(pages), "pages")

    row = summary(run := RecordedRun.of(read.events), machine.play(run))
    assert (row.ending, row.unvouched, row.unchecked) == (Ending.SAME, True, 0)
    assert not summary(whole, machine.play(whole)).unvouched

    ended = read.events[-1]
    evidence = ended.body["evidence"] | {"since": "2026-03-01T00:00:00+00:00"}
    bent = ended.model_copy(update={"body": ended.body | {"evidence": evidence}})
    played = machine.play(RecordedRun.of([*read.events[:-1], bent]))
    assert (played.difference.seq, played.difference.field) == (ended.seq, "evidence.since")


def test_only_what_people_said_is_put_in(
    runs: dict[str, RecordedRun], replayed: dict[str, tuple[Replayed, set[str], set[str]]]
) -> None:
    for name, (_, every, late) in replayed.items():
        put_in = {runs[name].by_seq[seq].name for seq in every - late}
        assert put_in <= {"escalation.answered", "call.approval_answered", "call.approval_given"}, name
        assert (name == "found-out") is bool(late)


def test_what_a_process_wrote_after_the_ending_is_played_after_it(
    machine: Machine, runs: dict[str, RecordedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    played = machine.play(runs["late"])
    assert played.is_same
    assert played.put_in == 0
    assert machine.playing.checked[-2:] == ["0002.call.1.intended", "0002.call.1.settled"]

    monkeypatch.setattr(effect, "planned_undo", gives(None)(effect.planned_undo))
    difference = machine.play(runs["late"]).difference
    assert difference is not None
    assert (difference.seq, difference.field) == ("0002.call.1.intended", "undo")


def test_what_an_operator_found_out_is_put_in_when_it_was_and_reaches_no_prompt(
    machine: Machine, runs: dict[str, RecordedRun]
) -> None:
    run = runs["found-out"]
    ended = run.by_seq["9999.run.ended"]

    played = machine.play(run)

    assert played.is_same
    assert run.by_seq["9999.run.move_settled"].at < ended.at < run.by_seq["9999.run.2.move_settled"].at
    assert {"9999.run.move_settled"} <= set(vouching.vouched_keys(ended))
    covered = [seq for event in run.events if event.name == "model.requested" for seq in event.body["covers"]]
    assert [event.turn for event in run.events if event.name == "model.requested"][-1] > 2
    assert "9999.run.move_settled" not in covered
    assert check(run.events).first is None


# Records that were changed: each is named by the event that was changed, and not by what follows from it

#: Runs with people's answers, an undo, a failed provider, a fallback, a late process and money that moved.
CHANGED = ("loop", "approval", "escalation", "rollback", "throttled", "nobody-approves", "late", "moves")


#: A process wrote these after the run was settled, and no ending has their digests.
NOBODY_VOUCHES_FOR = ("0002.call.1.intended", "0002.call.1.settled")
#: What nothing computes: only a digest shows that it was changed.
TAKEN_FROM_THE_RECORD = ("at", "stored expires_at", "invocation = ", "latency_ms = ")


def wrongly_named(machine: Machine, seq: str, what: str, run: RecordedRun) -> str:
    """Return what is wrong with what a replay says of a run whose event ``seq`` was changed; "" if nothing is."""
    played: Replayed = machine.play(run)
    named = played.difference.seq if played.difference is not None else ""
    if played.ending is Ending.DIFFERENT and named == seq and not any("died" in one for one in played.notes):
        return ""
    if played.ending is Ending.NOT_REPLAYED and "evidence.keys" in what:
        return ""  # an ending that names a key which no event has: the record is not the whole run
    if played.is_same and seq in NOBODY_VOUCHES_FOR and what.startswith(TAKEN_FROM_THE_RECORD):
        return ""
    return f"{played.ending} at {named or 'nothing'}: {played.difference} {played.notes}"


@pytest.mark.deep
@pytest.mark.parametrize("name", CHANGED)
def test_each_changed_field_of_each_event_is_named(machine: Machine, runs: dict[str, RecordedRun], name: str) -> None:
    every = changed_records(runs[name])
    wrong = {f"{seq} {what}": wrongly_named(machine, seq, what, changed()) for seq, what, changed in every}

    assert len(wrong) > 100
    assert {what: said for what, said in wrong.items() if said} == {}


def test_a_changed_field_is_named_by_its_event(machine: Machine, runs: dict[str, RecordedRun]) -> None:
    every = [one for name in CHANGED for one in changed_records(runs[name])]
    some = Random(1).sample(every, 40)

    wrong = {f"{seq} {what}": wrongly_named(machine, seq, what, changed()) for seq, what, changed in some}

    assert {what: said for what, said in wrong.items() if said} == {}


# Mutations: each removes or bends one fold or rule


@dataclass(frozen=True)
class Mutation:
    """``name`` of ``owner`` is replaced by what ``make`` makes of it; ``run`` then differs at ``seq``, in ``field``."""

    what: str
    owner: Any
    name: str
    make: Callable[[Any], Any]
    run: str
    seq: str
    field: str = ""


def more(field: str) -> Callable[[Any], Any]:
    """Return what lets a function's result have one more in ``field``."""

    def make(before: Any) -> Any:
        def mutated(*args: Any, **named: Any) -> Any:
            made = before(*args, **named)
            if isinstance(made, BaseModel):
                return made.model_copy(update={field: getattr(made, field) + 1})
            return replace(made, **{field: getattr(made, field) + 1})

        return mutated

    return make


def gives(value: Any) -> Callable[[Any], Any]:
    """Return what lets a function give ``value``."""
    return lambda before: lambda *args, **named: value


def then(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what changes a function's result."""
    return lambda before: lambda *args, **named: change(before(*args, **named))


def without(name: str) -> Callable[[Any], Any]:
    """Return what takes a rule of that name out of the rules."""
    return lambda rules: tuple(one for one in rules if one.__name__ != name)


def prop(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what changes the value of a property that is computed once."""
    return lambda before: property(lambda self: change(before.__get__(self)))


def _late(limits: Any) -> Any:
    return limits.model_copy(update={"turns": limits.turns + 1})


MUTATIONS = (
    Mutation(
        "limits as admitted", admit.Admission, "_limits", then(_late), "happy-path", "0000.run.opened", "limits.turns"
    ),
    Mutation("deadline", admit, "deadline", more("agent_until_ms"), "happy-path", "0000.run.opened", "agent_until_ms"),
    Mutation(
        "new messages",
        prompt,
        "new_messages",
        then(lambda made: made * 2),
        "happy-path",
        "0001.model.requested",
        "messages",
    ),
    Mutation(
        "covered events", Run, "unseen", prop(lambda seen: seen[1:]), "happy-path", "0001.model.requested", "covers"
    ),
    Mutation(
        "reservation",
        prompt,
        "attempt_within",
        more("microusd"),
        "happy-path",
        "0001.model.requested",
        "reserved_microusd",
    ),
    Mutation(
        "bound of tokens",
        prompt,
        "_sent_bytes",
        then(lambda size: size + 1),
        "happy-path",
        "0001.model.requested",
        "sent_bytes",
    ),
    Mutation(
        "digest of prompts",
        prompt,
        "prompt_digest",
        gives("0" * 64),
        "happy-path",
        "0001.model.requested",
        "prompt_sha256",
    ),
    Mutation(
        "offered tools",
        prompt,
        "first_prompt",
        then(lambda made: replace(made, tools=None)),
        "happy-path",
        "0001.model.requested",
        "tools",
    ),
    Mutation(
        "charge", agent, "charge_of", more("cost_microusd"), "happy-path", "0001.model.responded", "cost_microusd"
    ),
    Mutation(
        "charge of a failure",
        agent,
        "charge_of_failure",
        more("cost_microusd"),
        "throttled",
        "0001.model.failed",
        "cost_microusd",
    ),
    Mutation("loop signals", agent, "loop_signals", gives(()), "loop", "0002.model.responded", "despair"),
    Mutation(
        "check of answers",
        decision,
        "check_answer",
        then(lambda read: replace(read, complaints=())),
        "invents-a-number",
        "0002.model.responded",
        "decision",
    ),
    Mutation("attempts at a turn", ask, "MAX_ATTEMPTS", lambda _: 1, "throttled", "0001.plan.decided"),
    Mutation("successor", Run, "successor", gives(Planner.PERSON), "fallback", "0001.plan.decided", "decision.to"),
    Mutation("grounding", executor, "RULES", without("grounded"), "invents-an-order", "0001.call.1.refused"),
    Mutation("approval", executor, "RULES", without("approved"), "approval", "0002.call.1.approval_needed"),
    Mutation("loops of calls", executor, "RULES", without("not_looping"), "loop", "0003.call.1.settled"),
    Mutation(
        "binding", approval, "arguments_sha256", gives("0" * 64), "approval", "0002.call.1.approval_needed", "binding"
    ),
    Mutation(
        "reasons to ask",
        approval,
        "why_a_person_must_approve",
        then(lambda why: [*why, "more"] if why else why),
        "approval",
        "0002.call.1.approval_needed",
        "why",
    ),
    Mutation(
        "sources of values", effect, "sources_of_values", gives({}), "happy-path", "0001.call.1.settled", "grounded"
    ),
    Mutation(
        "undo before the effect", effect, "planned_undo", gives(None), "happy-path", "0002.call.1.intended", "undo"
    ),
    Mutation(
        "undo of the effect",
        effect,
        "with_undo",
        lambda _: lambda attempt, outcome: replace(outcome, undo_made=True),
        "happy-path",
        "0002.call.1.settled",
        "undo",
    ),
    Mutation(
        "policy of a rollback",
        Playbook,
        "on_rollback",
        gives(OnRollback.KEEP),
        "happy-path",
        "0002.call.1.intended",
        "on_rollback",
    ),
    Mutation("order of undos", Run, "to_undo", prop(lambda left: left[::-1]), "gives-up", "0004.plan.decided"),
    Mutation(
        "effects of the ending", run_module, "effects", gives(Effects.UNDONE), "happy-path", "9999.run.ended", "effects"
    ),
    Mutation(
        "cost of the run",
        Run,
        "usage",
        prop(lambda used: replace(used, spent_microusd=used.spent_microusd + 1)),
        "happy-path",
        "9999.run.ended",
        "spent_microusd",
    ),
    Mutation(
        "marks of the evidence", vouching, "mark_of", gives(b"0" * 32), "happy-path", "9999.run.ended", "evidence"
    ),
    Mutation(
        "settled charge",
        settle,
        "charge",
        then(lambda owed: owed - 1),
        "happy-path",
        "9999.run.settled",
        "charged_microusd",
    ),
    Mutation("summary for people", Run, "summary", gives("?"), "escalation", "0005.escalation.opened", "summary"),
    Mutation(
        "id of an escalation",
        people_open,
        "escalation_id_of",
        gives("esc-1"),
        "escalation",
        "0005.escalation.opened",
        "escalation_id",
    ),
    Mutation(
        "renewed time",
        approval,
        "renewed",
        then(lambda until: until | {"agent_until_ms": 1}),
        "nobody-approves",
        "0002.call.1.approval_answered",
        "agent_until_ms",
    ),
)
#: Of the gate; the others are deep: FULL=1 plays them all.
GATE = ("covered events", "charge", "grounding", "order of undos", "marks of the evidence")


@pytest.mark.parametrize(
    "mutation",
    [pytest.param(one, id=one.what, marks=() if one.what in GATE else pytest.mark.deep) for one in MUTATIONS],
)
def test_a_mutation_is_named_by_the_first_event_that_differs(
    machine: Machine, runs: dict[str, RecordedRun], mutation: Mutation
) -> None:
    before = vars(mutation.owner)[mutation.name]
    with replaced(mutation.owner, mutation.name, mutation.make(before)):
        played = machine.play(runs[mutation.run])

    assert played.difference is not None
    assert played.difference.seq == mutation.seq, str(played.difference)
    assert played.difference.field.startswith(mutation.field), str(played.difference)
    assert machine.play(runs[mutation.run]).is_same


def test_there_are_at_least_twenty_mutations() -> None:
    assert len({(id(one.owner), one.name, one.what) for one in MUTATIONS}) >= 20
