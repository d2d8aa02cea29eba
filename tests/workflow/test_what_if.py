"""Predictions of a candidate lane, held against runs that were played anew under the same change, with real tools."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.contracts.why import Stop
from ballast.log import exported
from ballast.log.exported import ExportedRun
from ballast.why import explained, from_log
from cli import main
from cli.exits import Exit
from cli.saved_runs import SavedRuns
from localcloud.cloud import PLAYBOOK
from localcloud.converse import CallableModel, ConverseServer, Reply, ScriptModel
from localcloud.replay import what_if as what_if_module
from localcloud.replay.lane import Lane
from localcloud.replay.recorded import RecordedRun
from localcloud.replay.rules import Rules
from localcloud.replay.sooner import PlayedSooner
from localcloud.replay.what_if import Compared, Result, Told, compared
from tests.support.recorded_runs import recorded_runs
from tests.support.sampling import sampled

BASELINE = Lane.baseline(PLAYBOOK)
CHANGES: tuple[dict[str, Any], ...] = (
    {"limits.turns": 2, "limits.refused_calls": 0},
    {"limits.cost_microusd": 9_000, "ground_answers": False},
)
CARD = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def recorded() -> list[RecordedRun]:
    return recorded_runs()


def what_if(recorded: list[RecordedRun], **changed: Any) -> dict[str, Compared]:
    candidate = replace(BASELINE, name="candidate", goes_on=True, **changed)
    runs = (ExportedRun(one.run_id, one.events.events, one.source) for one in recorded)
    return {one.source: one for one in compared(BASELINE, candidate, runs, workers=1)}


def played_with(folder: Path, changes: Mapping[str, Any], names: Sequence[str]) -> dict[str, Told]:
    """Play the same requests under a playbook whose agent.yaml has these limits, and say what they did."""
    shutil.copytree(PLAYBOOK, folder / "playbook")
    file = folder / "playbook" / "agent.yaml"
    agent = yaml.safe_load(file.read_text(encoding="utf-8"))
    for path, value in changes.items():
        section, _, name = path.rpartition(".")
        (agent[section] if section else agent)[name] = value
        for intent in agent["intents"].values() if section == "limits" else ():
            if intent.get("limits", {}).get(name, 0) > value:
                intent["limits"][name] = value
    file.write_text(yaml.safe_dump(agent), encoding="utf-8")
    return {one.source: Told.of(one.events) for one in recorded_runs(folder / "playbook", only=names)}


#: Runs that the first change leaves as they are, stops, has refused and hands over.
FEW = ("happy-path", "approval", "loop", "bad-calls", "invents-an-order", "guided")


def named(recorded: list[RecordedRun], *names: str) -> list[RecordedRun]:
    """Return the runs of those names: to play one takes a while, and most tests look at few."""
    found = [one for one in recorded if one.source in names]
    assert len(found) == len(names)
    return found


@pytest.mark.parametrize("changes", sampled(CHANGES, CHANGES[:1]), ids=str)
def test_a_prediction_is_what_the_run_does_under_the_change(
    recorded: list[RecordedRun], changes: Mapping[str, Any], tmp_path: Path
) -> None:
    names = sampled([one.source for one in recorded], FEW)
    predicted = what_if(named(recorded, *names), changes=changes)
    real = played_with(tmp_path, changes, names)

    assert {one.result for one in predicted.values()} > {Result.SAME}
    assert not [name for name, one in predicted.items() if one.result is Result.NOT_CONCLUDED]
    for name, one in predicted.items():
        if one.result.is_exact and not one.waits:
            assert vars(one.candidate) == vars(real[name]), name
            assert one.low == one.high == real[name].cost_microusd, name
        elif not (one.waits and name == "guided"):  # a person hands it back: the bounds do not hold then
            assert one.low <= real[name].cost_microusd <= one.high, name
            assert real[name].writes[: len(one.candidate.writes)] == one.candidate.writes, name


def test_a_higher_limit_leaves_open_what_would_have_come(recorded: list[RecordedRun], tmp_path: Path) -> None:
    limited = recorded_runs(_limited(tmp_path), only=["loop"])
    baseline = replace(BASELINE, playbook=tmp_path / "playbook")
    candidate = replace(baseline, goes_on=True, changes={"limits.turns": 12, "intents.order_status.limits.turns": 6})
    runs = (ExportedRun(one.run_id, one.events.events, one.source) for one in limited)

    (found,) = compared(baseline, candidate, runs, workers=1)

    real = next(Told.of(one.events) for one in recorded if one.source == "loop")
    assert found.result is Result.CENSORED
    assert found.why == "the agent would have gone on"
    assert found.low < real.cost_microusd < found.high
    assert found.turns_saved == found.people_more == 0  # nothing is claimed of what is not known


def _limited(folder: Path) -> Path:
    shutil.copytree(PLAYBOOK, folder / "playbook")
    file = folder / "playbook" / "agent.yaml"
    text = file.read_text(encoding="utf-8").replace("turns: 12", "turns: 3").replace("turns: 6", "turns: 3")
    file.write_text(text.replace("turns: 8,", "turns: 3,"), encoding="utf-8")
    return folder / "playbook"


def test_another_price_changes_nothing_but_the_money(recorded: list[RecordedRun], tmp_path: Path) -> None:
    cards = tmp_path / "prices.yaml"
    price = {"version": "p", "valid_from": "2030-01-31", "input": 2_000_000, "output": 10_000_000}
    price |= {"cache_read": 200_000, "cache_write_5m": 2_500_000, "cache_write_1h": 4_000_000}
    cards.write_text(yaml.safe_dump({"models": {CARD: {"prices": [price]}}}), encoding="utf-8")

    found = what_if(named(recorded, "approval", "loop", "fallback", "cached"), cards=cards)

    for one in found.values():
        assert one.result in (Result.SAME, Result.DIFFERENT)
        before, after = dict(vars(one.recorded)), dict(vars(one.candidate))
        assert before.pop("cost_microusd") <= after.pop("cost_microusd")
        assert before == after
    approval = found["approval"].candidate.cost_microusd
    usage = next(one for one in recorded if one.source == "approval").events.usage
    assert approval >= (usage.input_tokens * 2 + usage.output_tokens * 10) > found["approval"].recorded.cost_microusd


def test_an_approval_that_nobody_asks_for_any_more(recorded: list[RecordedRun]) -> None:
    rules = Rules.model_validate({"tools": {"refund_order": {"approval": "never"}}})

    runs = named(recorded, "approval", "rejected", "loop")
    found = what_if(runs, rules=rules.model_dump(mode="json"))

    assert found["approval"].result is Result.DIFFERENT
    assert found["approval"].people_more == -1
    assert found["approval"].candidate.writes == found["approval"].recorded.writes
    assert found["rejected"].result is Result.OFF_THE_RECORD  # the refund was never made
    assert found["loop"].result is Result.SAME


def test_a_person_who_was_never_asked_says_nothing(recorded: list[RecordedRun]) -> None:
    rules = Rules.model_validate({"tools": {"refund_order": {"approval": {"over": "5.00"}}}})

    runs = named(recorded, "happy-path")
    found = what_if(runs, rules=rules.model_dump(mode="json"))["happy-path"]

    assert (found.result, found.waits, found.people_more) == (Result.STOPPED_EARLIER, True, 1)
    assert found.low < found.recorded.cost_microusd < found.high == 150_000
    assert [one.partition(" ")[0] for one in found.fewer] == ["refund_order"]


def test_a_call_that_a_rule_let_through_was_never_made(recorded: list[RecordedRun]) -> None:
    runs = named(recorded, "invents-an-order")
    found = what_if(runs, rules=Rules(grounding=False).model_dump(mode="json"))

    assert found["invents-an-order"].result is Result.OFF_THE_RECORD
    assert "look_up_order was never called" in found["invents-an-order"].why


def test_another_prompt_is_off_the_record(recorded: list[RecordedRun]) -> None:
    runs = named(recorded, "happy-path", "approval", "loop", "throttled", "escalation")
    found = what_if(runs, changes={"instructions": "Be brief."})

    asked = [one for one in found.values() if one.recorded.turns and one.recorded.cost_microusd]
    assert len(asked) == len(runs)
    assert {one.result for one in asked} == {Result.OFF_THE_RECORD}
    assert {one.low for one in asked} == {0}


def test_the_last_turn_writes_nothing_to_the_cache(recorded: list[RecordedRun]) -> None:
    cached = [one for one in recorded if one.source == "cached"]
    turn = cached[0].events.by_seq["0002.model.responded"].body

    (found,) = what_if(cached, changes={"limits.turns": 2}).values()

    assert turn["gen_ai.usage.cache_creation.input_tokens"] > 0  # else there is nothing to see
    until = cached[0].events.before(3).usage.charged_microusd
    assert found.low == found.high < until  # the same two turns, the second one cheaper
    assert found.result is Result.STOPPED_EARLIER


@pytest.mark.parametrize(
    ("tool", "arguments", "result"),
    [
        ("look_up_order", {"order_id": "O-1004"}, Result.STOPPED_EARLIER),  # the record has what it returned
        ("search_docs", {"query": "storms"}, Result.OFF_THE_RECORD),
    ],
)
def test_a_model_is_asked_where_the_record_has_no_reply(
    recorded: list[RecordedRun], tmp_path: Path, tool: str, arguments: Mapping[str, Any], result: Result
) -> None:
    script = tmp_path / "script.yaml"
    turns = [{"call": [{"tool": tool, "arguments": arguments}]}, {"say": "Done."}]
    script.write_text(yaml.safe_dump({"turns": turns}), encoding="utf-8")
    approval = [one for one in recorded if one.source == "approval"]

    (found,) = what_if(approval, changes={"instructions": "Be brief."}, asks=str(script)).values()

    assert found.result is result
    assert found.asked == (2 if result.is_exact else 1)
    assert found.candidate.answer == ("Done." if result.is_exact else "")
    if result.is_exact:
        assert found.low == found.high < found.recorded.cost_microusd
        assert "another prompt would be sent (system)" in found.why


def test_a_model_behind_http_is_asked_with_the_requests_of_the_candidate(
    recorded: list[RecordedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (approval,) = (one for one in recorded if one.source == "approval")
    file = tmp_path / "run.jsonl"
    file.write_text("\n".join(exported.write(approval.run_id, approval.events)), encoding="utf-8")
    order = {"tool": "look_up_order", "arguments": {"order_id": "O-1004"}}
    script, heard = ScriptModel.of([{"call": [order]}, {"say": "Done."}]), list[tuple[str, Any]]()

    def reply(request: Mapping[str, Any], model_id: str) -> Reply:
        heard.append((model_id, request.get("system")))
        return script.reply(request, model_id)

    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "x")
    for name in ("REGION", "DEFAULT_REGION", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    typed = ["what-if", str(file), "--set", "instructions=Be brief.", "--json", "--model", f"bedrock:eu.{CARD}"]
    with ConverseServer(CallableModel(reply)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
        assert main(typed) == 0

    (found,) = json.loads(capsys.readouterr().out)["runs"]
    assert (found["result"], found["asked"], found["candidate"]["answer"]) == ("stopped earlier", 2, "Done.")
    # The first one asks whether the model answers at all.
    assert [model for model, _ in heard] == [f"eu.{CARD}"] * 3
    assert all("Be brief." in str(system) for _, system in heard[1:])

    assert main(typed) == Exit.USAGE  # the server is gone
    assert "the model does not answer, so nothing was started" in " ".join(capsys.readouterr().err.split())


def test_a_tool_that_may_still_be_called_and_charged_leaves_the_cost_open(
    recorded: list[RecordedRun], tmp_path: Path
) -> None:
    shutil.copytree(PLAYBOOK, tmp_path / "playbook")
    file = tmp_path / "playbook" / "tools" / "reinstate_order.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("offered=False)", "offered=False, cost_microusd=20_000)"), encoding="utf-8")
    waits = [one for one in recorded if one.source == "waits"]

    (free,) = what_if(waits, changes={"limits.turns": 1}).values()
    (costly,) = what_if(waits, changes={"limits.turns": 1}, playbook=tmp_path / "playbook").values()

    assert (free.result, costly.result) == (Result.OFF_THE_RECORD, Result.OFF_THE_RECORD)
    assert free.low == free.high == costly.low  # the agent has handed over, and no tool costs money
    assert costly.high == costly.candidate.ceiling_microusd > costly.low + 20_000


def test_a_run_whose_baseline_differs_is_not_concluded(recorded: list[RecordedRun]) -> None:
    found = what_if([_forged(recorded[0])], changes={"limits.turns": 3})["forged"]

    assert found.result is Result.NOT_CONCLUDED
    assert "the prices" in found.why


def _without_an_ending(one: RecordedRun) -> RecordedRun:
    return RecordedRun.of([event for event in one.events if event.turn <= 2], "unended")


def _forged(one: RecordedRun) -> RecordedRun:
    event = one.events.by_seq["0001.model.responded"]
    forged = event.model_copy(update={"body": event.body | {"cost_microusd": 1}})
    return RecordedRun.of([forged if other.seq == event.seq else other for other in one.events], "forged")


def test_a_run_without_an_ending_is_not_concluded_unless_the_change_ends_it(recorded: list[RecordedRun]) -> None:
    (loop,) = (one for one in recorded if one.source == "loop")
    goes_on = _without_an_ending(loop)

    (found,) = what_if([goes_on], changes={"limits.turns": 9}).values()
    (ended,) = what_if([goes_on], changes={"limits.turns": 1}).values()

    assert (found.result, found.why) == (Result.NOT_CONCLUDED, "the run has no ending yet")
    assert ended.result is Result.OFF_THE_RECORD  # the fallback's look-up came later in the record, or never
    assert ended.low == ended.high < loop.events.usage.charged_microusd


#: Changed code, as a developer would change it: an approval's bound, a fallback's words, a fallback's calls.
_CODE = {
    "tools/refund_order.py": ('Decimal("100.00")', 'Decimal("1000.00")'),
    "fallbacks/order_status.py": ("    return in_words(order)\n\n", '    return f"{in_words(order)} Sorry!"\n\n'),
    "fallbacks/cancel_order.py": ("look_up_order.call(order_id=order_id)", 'look_up_order.call(order_id="O-1003")'),
}


def test_changed_code_of_tools_and_fallbacks_is_what_decides(recorded: list[RecordedRun], tmp_path: Path) -> None:
    new = tmp_path / "playbook"
    shutil.copytree(PLAYBOOK, new)
    for name, (before, after) in _CODE.items():
        text = (new / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, name
        (new / name).write_text(text.replace(before, after), encoding="utf-8")
    real = {one.source: Told.of(one.events) for one in recorded_runs(new, only=["loop", "approval", "gives-up"])}

    found = what_if([one for one in recorded if one.source in (*real, "throttled")], playbook=new)

    assert {name: one.result for name, one in found.items()} == {
        "loop": Result.DIFFERENT,
        "approval": Result.DIFFERENT,
        "gives-up": Result.STOPPED_EARLIER,
        "throttled": Result.SAME,
    }
    for name, told in real.items():
        unknown = {"status"} if found[name].waits else set()
        apart = {key for key, value in vars(told).items() if value != getattr(found[name].candidate, key)}
        assert apart == unknown, name
    assert found["loop"].candidate.answer.endswith("Sorry!")
    assert (found["approval"].recorded.people, found["approval"].candidate.people) == (1, 0)
    # The order that the fallback's code now names is not in the run: the call is refused, and people are asked.
    assert (found["gives-up"].candidate.refused, found["gives-up"].waits) == (1, True)
    assert len(found["gives-up"].fewer) == 2


def test_another_declared_cost_of_a_tool_is_charged_as_the_run_would_be(
    recorded: list[RecordedRun], tmp_path: Path
) -> None:
    new = tmp_path / "playbook"
    shutil.copytree(PLAYBOOK, new)
    file, before = new / "tools" / "look_up_order.py", "@tool(effect=Read())\ndef look_up_order"
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, before.replace("Read()", "Read(), cost_microusd=7_000")), encoding="utf-8")
    names = ["loop"]
    real = {one.source: Told.of(one.events) for one in recorded_runs(new, only=names)}

    found = what_if(named(recorded, *names), playbook=new)

    for name, one in found.items():
        assert one.low == one.high == real[name].cost_microusd >= one.recorded.cost_microusd + 7_000, name


@pytest.mark.deep
def test_two_processes_and_a_model_say_what_one_process_says(
    recorded: list[RecordedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {one.source: one for one in recorded}
    several = [runs["approval"], _forged(runs["loop"]), runs["fallback"]]
    for at, one in enumerate(several):
        lines = exported.write(one.run_id, one.events, title=one.source)
        (tmp_path / f"{at}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    script = tmp_path / "script.yaml"
    order = {"tool": "look_up_order", "arguments": {"order_id": "O-1004"}}
    script.write_text(yaml.safe_dump({"turns": [{"call": [order]}, {"say": "Done."}]}), encoding="utf-8")
    monkeypatch.setattr(what_if_module, "FEW", 1)
    monkeypatch.setattr(what_if_module, "_AT_ONCE", 2)
    files = [str(tmp_path / f"{at}.jsonl") for at in range(len(several))]
    typed = ["what-if", *files, "--set", "instructions=Be brief.", "--model", str(script), "--json"]

    said = []
    for workers in ("1", "2"):
        assert main([*typed, "--workers", workers]) == 0
        said.append(sorted(json.loads(capsys.readouterr().out)["runs"], key=lambda row: row["source"]))

    assert said[0] == said[1]
    by_source = {row["source"]: row for row in said[0]}
    assert by_source["approval"]["asked"] == 2
    assert by_source["approval"]["candidate"]["answer"] == "Done."
    assert by_source["forged"]["result"] == "not concluded"
    assert main(["what-if", files[1], *typed[4:6], "--json"]) == 7


# ballast why


def test_why_says_that_a_run_could_not_be_played_where_its_log_alone_has_no_answer(recorded: list[RecordedRun]) -> None:
    (one,) = (run for run in recorded if run.source == "rollback")
    forged = _forged(one).events

    why = explained(forged, forged.timeline(), sooner=PlayedSooner(BASELINE))

    assert why.sooner == ()
    assert why.sooner_note.startswith("From the log alone. The run cannot be played again here")
    assert explained(forged, forged.timeline()).sooner_note == ""  # nobody tried to


def stops_of(one: RecordedRun) -> tuple[dict[str, Stop], dict[str, Stop], str]:
    """Return what would have stopped a run sooner: by its log, and played, by the change; and the played ones' note."""
    made = one.events.timeline()
    told = from_log(one.events, made).found
    played = PlayedSooner(BASELINE)(one.events, made)
    return {stop.change: stop for stop in told}, {stop.change: stop for stop in played.found}, played.note


@pytest.mark.parametrize("name", sampled(("loop", "gives-up", "cached-circles"), ("gives-up", "cached-circles")))
def test_what_a_log_says_of_an_earlier_stop_comes_true_when_it_is_played(
    recorded: list[RecordedRun], name: str
) -> None:
    (one,) = (run for run in recorded if run.source == name)

    told, played, note = stops_of(one)

    limits = {change: stop for change, stop in told.items() if change.startswith("limits.")}
    assert len(limits) >= 2
    assert "played again" in note
    for change, stop in limits.items():
        if stop.exact:
            assert (played[change].turn, played[change].saved_microusd) == (stop.turn, stop.saved_microusd)
            continue
        path, _, value = change.partition("=")
        (bounded,) = what_if([one], changes={path: int(value)}).values()
        assert bounded.saved_microusd >= stop.saved_microusd
        assert int(bounded.parted[:4]) <= stop.turn
    assert {stop.exact for stop in limits.values()} == {True, False} or name == "cached-circles"
    assert limits["limits.turns=1" if name != "gives-up" else "limits.turns=2"].exact is (name != "cached-circles")
    costs = [stop for change, stop in played.items() if change.startswith("limits.cost_microusd=")]
    assert all(stop.turn > 1 for stop in costs)  # it still allows what brought something


def test_thresholds_and_approvals_are_played_for_a_run_that_went_wrong(recorded: list[RecordedRun]) -> None:
    runs = {one.source: one for one in recorded}

    _, loop, _ = stops_of(runs["loop"])
    _, rolled_back, _ = stops_of(runs["rollback"])

    threshold, asked = loop["loops.near_equal.forbid=2"], rolled_back["tools.cancel_order.approval=always"]
    for stop in (threshold, asked):
        assert stop.played
        assert not stop.exact
        assert stop.saved_microusd < (stop.saved_most_microusd or 0)
    assert "a person would have been asked in turn 2, before cancel_order acted" in asked.words
    assert stops_of(runs["approval"])[1] == {}  # it went well
    # The most that it could have cost is the run's ceiling, which is no figure.
    assert asked.words.endswith("acted; what the run would have cost then is not known")


def test_a_run_that_cannot_be_played_has_the_answers_of_its_log(
    recorded: list[RecordedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (loop,) = (one for one in recorded if one.source == "loop")
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    saved = SavedRuns(tmp_path)

    said = []
    for events, more in (
        (loop.events, []),
        (loop.events, ["--log-only"]),
        (_forged(loop).events, []),
    ):
        saved.save(loop.run_id, "loop", events)
        assert main(["why", loop.run_id, *more]) == 0
        said.append(" ".join(capsys.readouterr().out.split()))
    saved.save(loop.run_id, "loop", loop.events)

    assert "the run would have been answered by the fallback and cost" in said[0]
    assert ["what it did after that cost" in one for one in said[1:]] == [True, True]
    assert "From the log alone. Without --log-only the run is played again" in said[1]
    assert "The run cannot be played again here" in said[2]
    assert "0001.model.responded cost_microusd" in said[2]
    assert not any("marked so" in one for one in said[1:])
    assert ("(by the log alone)" in said[0]) is ("What the log alone proves is marked so." in said[0])
    for more in ([], ["--log-only"]):
        assert main(["why", loop.run_id, "--playbook", str(tmp_path), *more]) == 2
        assert f"--playbook {tmp_path}: there is no agent.yaml in it." in capsys.readouterr().err
