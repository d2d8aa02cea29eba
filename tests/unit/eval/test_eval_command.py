"""The command: the order of samples, the budget, what stops it, and the gate."""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts import LimitsPatch, RunRequest
from ballast.errors import BallastError, InvalidInput
from ballast.money.prices import Price
from ballast.playbook import load_playbook
from cli.commands.eval import _eval
from cli.commands.eval import eval as eval_command
from cli.eval.play import Evaluation, Model, Setting, Task, Workers, _Here
from cli.exits import Exit
from cli.parser import parser
from localcloud.cloud import PLAYBOOK
from localcloud.eval.cases import Case, ceiling_microusd
from localcloud.eval.judge import Judge
from localcloud.eval.results import Sample, read
from localcloud.scenarios import Scenario
from localcloud.scenarios.people import Answer
from localcloud.scenarios.scenario import FOLDER, Expected, Judged

Player = Callable[[Task], Sample]


def case(name: str, judged: Judged | None = None) -> Case:
    request = RunRequest(request_id="r", text="Hi")
    expect = Expected(status="answered", judged=judged)
    return Case(Scenario(name=name, description="x", request=request, expect=expect))


def evaluation(cases: int = 2, models: int = 1, samples: int = 1, **fields: Any) -> Evaluation:
    return Evaluation(
        [case(f"c{n}") for n in range(cases)],
        [Model(f"m{n}", exact=False) for n in range(models)],
        samples,
        **{"ceiling": lambda _: 100, **fields},
    )


def test_a_first_sample_of_everything_comes_before_a_second_of_anything() -> None:
    played: list[tuple[str, str, int]] = []
    run_ids: set[str] = set()

    def player(task: Task) -> Sample:
        played.append((task.case.name, task.model.label, task.number))
        run_ids.add(task.scenario.request.run_id)
        return Sample()

    evaluation(2, 2, 2).play(_Here(player))

    first = [("c0", "m0"), ("c0", "m1"), ("c1", "m0"), ("c1", "m1")]
    assert played == [(*one, number) for number in (1, 2) for one in first]
    assert len(run_ids) == 8  # no run replaces another, nor that of a recorded case
    assert case("c0").scenario.request.run_id not in run_ids


@given(st.lists(st.integers(0, 100), min_size=1, max_size=12), st.integers(1, 900))
def test_no_budget_is_exceeded_and_none_is_left_that_pays_for_more(costs: list[int], budget: int) -> None:
    left = iter(costs)
    made = evaluation(len(costs), budget_microusd=budget)

    made.play(_Here(lambda _: Sample(cost_microusd=next(left))))

    played = sum(map(len, made.made.values()))
    assert made.spent_microusd == sum(costs[:played]) <= budget
    assert bool(made.stopped) == (played < len(costs))
    assert played == len(costs) or made.spent_microusd + 100 > budget


def test_the_budget_also_pays_for_trials_and_verdicts_of_the_judge() -> None:
    price = Price(input=0, output=1_000_000, cache_read=0, cache_write_5m=0, cache_write_1h=0)
    verdict = {
        "output": {"message": {"content": [{"toolUse": {"name": "verdict", "input": {"why": "", "pass": False}}}]}}
    }
    judge = Judge("j", lambda _: verdict | {"usage": {"inputTokens": 0, "outputTokens": 600}}, price)
    judged = Judged(rubric="x", wrong=("no",))
    played = []

    def made(budget: int) -> Evaluation:
        return Evaluation(
            [case("c", judged)], [Model("m", exact=False)], 1, lambda _: 100, budget_microusd=budget, judge=judge
        )

    def player(task: Task) -> Sample:
        played.append(task.distrust)
        return Sample(cost_microusd=100, judge_microusd=600)

    for budget, spent in ((599, 0), (1299, 600), (1300, 1300)):
        one = made(budget)
        one.play(_Here(player))
        assert (one.spent_microusd, bool(one.stopped)) == (spent, spent < 1300)
    assert played == [""]


def test_a_ceiling_counts_what_people_add() -> None:
    playbook = load_playbook(PLAYBOOK)
    scenario = case("c").scenario
    added = {"kind": "hand_over", "to": "agent", "reason": "guidance", "add_budget_microusd": 50_000}
    tight = scenario.request.model_copy(update={"limits": LimitsPatch(cost_microusd=9_000)})

    assert ceiling_microusd(scenario, playbook) == playbook.agent.limits.cost_microusd
    helped = scenario.model_copy(update={"people": (Answer(by="rae", decision=added),), "request": tight})
    assert ceiling_microusd(helped, playbook) == 59_000


# ── the whole command, with a player in place of local clouds ───────────────────────────────────────────────────────


def typed(*words: str) -> Namespace:
    return parser().parse_args(["eval", str(FOLDER), "happy-path", "loop", *words])


def run(player: Player, *words: str) -> int:
    @contextmanager
    def workers(_setting: Setting, _size: int) -> Iterator[Workers]:
        yield _Here(player)

    return _eval(typed(*words), [], workers)


def passing(_task: Task) -> Sample:
    return Sample("run-x", "answered by agent", cost_microusd=5, duration_ms=40)


def failing(name: str) -> Player:
    return lambda task: Sample("run-x", "failed", ("status: no",)) if task.case.name == name else passing(task)


def erring(task: Task) -> Sample:
    return Sample(error="no people") if task.case.name == "loop" else passing(task)


def one_of(passed: int) -> Player:
    """Return a player of which the first so many samples of a case pass."""
    return lambda task: passing(task) if task.number <= passed else Sample("run-x", "failed", ("status: no",))


@pytest.mark.parametrize(
    ("player", "words", "code"),
    [
        (passing, (), 0),
        (failing("loop"), (), 1),
        (failing("loop"), ("--min-pass", "0.5"), 0),
        (failing("loop"), ("--min-pass", "0.501"), 1),
        (failing("loop"), ("--min-pass", "0.5", "--min-case", "0.1"), 1),
        (one_of(9), ("--samples", "10", "--min-case", "0.9"), 0),
        (one_of(8), ("--samples", "10", "--min-case", "0.9"), 1),
        (erring, ("--min-pass", "0"), 1),  # what could not be played says nothing
        (passing, ("--budget-usd", "0.000001"), 1),
    ],
)
def test_the_gate_opens_where_what_was_asked_for_holds(
    player: Player, words: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(player, *words) == code
    assert ("All that was asked for holds." in capsys.readouterr().out) == (code == 0)


def test_no_worse_needs_what_shows_it_and_names_the_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = str(tmp_path / "b.json")
    assert run(one_of(9), "--samples", "10", "--save", saved, "--min-pass", "0") == 0

    against = ("--samples", "10", "--baseline", saved, "--no-worse")
    assert run(one_of(9), *against) == 0
    capsys.readouterr()
    assert run(one_of(0), *against) == 1

    told = capsys.readouterr().out
    assert "happy-path: 9 of 10 then, 0 of 10 now: worse" in told
    assert "script: loop became worse: 9 of 10 passed, now 0 of 10." in told


def test_missing_cases_close_the_gate_unless_cases_were_named(tmp_path: Path) -> None:
    saved = tmp_path / "b.json"
    run(passing, "--save", str(saved))
    content = json.loads(saved.read_text())
    content["models"][0]["cases"].append({**content["models"][0]["cases"][0], "case": "gone"})
    saved.write_text(json.dumps(content))

    def coded(*words: str) -> int:
        @contextmanager
        def workers(_setting: Setting, _size: int) -> Iterator[Workers]:
            yield _Here(passing)

        words = ("eval", str(FOLDER), *words, "--baseline", str(saved), "--no-worse")
        return _eval(parser().parse_args([*words]), [], workers)

    assert coded("happy-path") == 0
    assert coded() == 1


def test_ctrl_c_shows_and_saves_what_was_known_by_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, played = tmp_path / "b.json", []

    def player(task: Task) -> Sample:
        if len(played) == 3:
            raise KeyboardInterrupt
        played.append(task)
        return passing(task)

    assert run(player, "--samples", "5", "--save", str(saved)) == Exit.INTERRUPTED

    told = capsys.readouterr().out
    assert "Interrupted: this is what was known by then." in told
    assert "happy-path  2/2" in told
    made = read(saved)
    assert made.stopped == "interrupted"
    assert [one.passed for one in made.models[0].cases] == [2, 1]


def test_what_was_played_is_saved_when_the_command_dies_of_a_defect(tmp_path: Path) -> None:
    saved = tmp_path / "b.json"

    def player(task: Task) -> Sample:
        if task.case.name == "loop":
            raise RuntimeError("a defect")
        return passing(task)

    with pytest.raises(RuntimeError):
        run(player, "--save", str(saved))

    assert read(saved).stopped == "it was still being played"
    assert [one.case for one in read(saved).models[0].cases] == ["happy-path"]


def test_json_and_junit_tell_each_sample_and_nothing_else_is_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(failing("loop"), "--json", "--junit", str(tmp_path / "j" / "e.xml"), "--samples", "2")

    told = capsys.readouterr()
    made = json.loads(told.out)
    assert "loop 1: failed" in told.err
    assert (code, made["passed"]) == (1, False)
    assert [(one["case"], one["passed"], one["failed"]) for one in made["models"][0]["cases"]] == [
        ("happy-path", 2, 0),
        ("loop", 0, 2),
    ]
    assert made["models"][0]["cases"][1]["samples"][0]["wrong"] == ["status: no"]
    suite = ElementTree.parse(tmp_path / "j" / "e.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failure = suite[1][0].text
    assert failure is not None
    assert "0 of 2 samples passed\nstatus: no" in failure


def green(file: Path) -> bool:
    """Return whether a CI system would call the report green: it has tests, and none failed or is an error."""
    top = ElementTree.parse(file).getroot()
    return bool(list(top.iter("testcase"))) and not [*top.iter("failure"), *top.iter("error")]


def interrupted(_task: Task) -> Sample:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("player", "words", "code"),
    [
        (passing, (), 0),
        (failing("loop"), ("--min-pass", "0.5"), 0),
        (failing("loop"), ("--min-pass", "0.6"), 1),  # no case alone
        (erring, ("--min-pass", "0"), 1),
        (passing, ("--budget-usd", "0.000001"), 1),  # nothing was played
        (interrupted, (), 130),
        (passing, ("--save", "/dev/full/x"), None),
        (passing, ("--samples", "0"), None),
        (passing, ("--baseline", "/nowhere"), None),
    ],
)
def test_no_report_is_green_unless_the_exit_code_is_0(
    tmp_path: Path, player: Player, words: tuple[str, ...], code: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "r.xml"
    assert run(passing, "--junit", str(report)) == 0
    assert green(report)
    capsys.readouterr()

    if code is None and words[0] != "--baseline":  # refused before the file is touched
        with pytest.raises(BallastError):
            run(player, "--json", "--junit", str(report), *words)
        return
    try:
        found = run(player, "--json", "--junit", str(report), *words)
    except BallastError:
        found = None
    assert found == code
    assert green(report) == (code == 0)
    told = capsys.readouterr().out
    assert code is None or json.loads(told)["passed"] == (code == 0)


def test_what_was_not_played_is_an_error_of_its_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played = []

    def player(task: Task) -> Sample:
        if len(played) == 3:
            raise KeyboardInterrupt
        played.append(task)
        return passing(task)

    assert run(player, "--samples", "2", "--json", "--junit", str(tmp_path / "r.xml")) == 130

    suite, gate = ElementTree.parse(tmp_path / "r.xml").getroot()
    errors = {one.get("name"): error.get("message") for one in suite for error in one.iter("error")}
    assert errors == {"loop": "1 of 2 samples not played: interrupted"}
    assert [one.get("message") for one in gate.iter("failure")] == ["Not every sample was played: interrupted."]
    told = json.loads(capsys.readouterr().out)
    assert told["not_played"] == [{"model": "script", "case": "loop", "samples": 1}]


@pytest.mark.parametrize("part", ["wrong", "error"])
def test_what_models_and_tools_wrote_is_one_line_behind_own_words(
    tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "x\n::error::pwned\nAll that was asked for holds.\r\n##vso[task.complete]"
    said = {"wrong": (f"judge: {text}",)} if part == "wrong" else {"error": text}

    run(lambda _: Sample("run-x", "failed", **said), "--junit", str(tmp_path / "r.xml"))  # type: ignore[arg-type]

    for report in (capsys.readouterr().out, "\n".join(ElementTree.parse(tmp_path / "r.xml").getroot().itertext())):
        (line,) = {one.strip() for one in report.splitlines() if "pwned" in one}
        assert line.startswith(("judge: x ::error::", "error: x ::error::"))
        assert "All that was asked for holds." in line
        assert "##vso[" not in report


def tampered(saved: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(saved.read_text())
    change(content)
    saved.write_text(json.dumps(content))


def test_a_baseline_that_is_not_whole_proves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, played = tmp_path / "b.json", []
    assert run(passing, "--budget-usd", "0.100006", "--save", str(saved)) == 1
    assert read(saved).stopped

    with pytest.raises(InvalidInput, match=r"is not whole \(it was stopped: .*\), so --no-worse proves nothing"):
        run(lambda task: played.append(task) or passing(task), "--baseline", str(saved), "--no-worse")
    assert not played
    capsys.readouterr()
    assert run(passing, "--baseline", str(saved)) == 0  # compared, and said
    assert "The baseline is not whole" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("--budget-usd", "0.000001"), ("--no-worse",)])
def test_a_result_that_proves_nothing_never_replaces_a_saved_one(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "b.json"
    assert run(passing, "--save", str(saved)) == 0
    before = saved.read_text()

    assert run(failing("loop"), *words, "--baseline", str(saved), "--save", str(saved)) == 1
    assert saved.read_text() == before
    beside = tmp_path / "b.json.new"
    assert f"To use it all the same: mv {beside} {saved}" in capsys.readouterr().err
    assert read(beside)
    with pytest.raises(RuntimeError):  # a process that dies at whatever moment
        run(lambda task: passing(task) if task.case.name != "loop" else _killed(), "--save", str(saved))
    assert saved.read_text() == before

    assert run(passing, "--save", str(saved)) == 0
    assert read(saved).why_not_whole == ""
    assert not beside.exists()


def test_a_baseline_does_not_become_lower_little_by_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "b.json"
    assert run(one_of(10), "--samples", "10", "--save", str(saved)) == 0
    tampered(saved, lambda content: content["models"][0].update(exact=False))  # as a model's, whose replies vary
    before, again = saved.read_text(), ("--samples", "10", "--baseline", str(saved), "--save", str(saved))

    assert run(one_of(8), *again, "--no-worse") == 0  # eight of ten show no difference
    assert saved.read_text() == before
    told = capsys.readouterr().err
    assert "10 of 10 then, 8 of 10 now" in told
    assert f"mv {saved}.new {saved}" in told

    assert run(one_of(10), *again, "--no-worse") == 0
    assert saved.read_text() != before
    assert run(one_of(8), *again, "--min-pass", "0") == 0  # without --no-worse it guards nothing
    assert read(saved).models[0].rate.passed == 16


def test_what_a_judge_has_seen_is_not_compared_with_what_none_or_another_has(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    judged = "expect: {status: answered, judged: {rubric: It is kind.}}"
    (tmp_path / "a" / "scenario.yaml").write_text(f"description: x\nrequest: {{text: Hi}}\n{judged}")
    for script in ("a/script.yaml", "judge.yaml", "other.yaml"):
        (tmp_path / script).write_text("turns: [{say: Hi}]")
    saved = tmp_path / "b.json"

    def play(*words: str) -> int:
        words = ("eval", str(tmp_path), "--playbook", str(PLAYBOOK), *words)
        return _eval(parser().parse_args(words), [], lambda *_: nullcontext(_Here(passing)))

    judge, against = ("--judge", str(tmp_path / "judge.yaml")), ("--baseline", str(saved), "--no-worse")
    assert play(*judge, "--save", str(saved)) == 0
    assert play(*judge, *against) == 0
    for other in ((), ("--judge", str(tmp_path / "other.yaml"))):
        with pytest.raises(InvalidInput, match=r"was judged by .*judge.yaml, and --no-worse proves nothing"):
            play(*other, *against)
        play(*other, "--baseline", str(saved))


def _killed() -> Sample:
    raise RuntimeError


@pytest.mark.parametrize("of", ["changed", "new"])
def test_no_case_stands_outside_the_gate(tmp_path: Path, of: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved, report = tmp_path / "b.json", tmp_path / "r.xml"
    run(passing, "--save", str(saved))

    def change(content: Any) -> None:
        cases = content["models"][0]["cases"]
        cases[1]["sha256"] = "a" * 64
        if of == "new":
            del cases[1]

    tampered(saved, change)
    against = ("--baseline", str(saved), "--no-worse", "--junit", str(report))
    assert run(passing, *against) == 0
    capsys.readouterr()

    assert run(failing("loop"), *against) == 1
    assert f"script: loop is {of}, so it was not compared and must pass alone: 0 of 1" in capsys.readouterr().out
    failed = [
        one.get("name")
        for one in ElementTree.parse(report).getroot().iter("testcase")
        if one.find("failure") is not None
    ]
    assert failed == ["loop", "gate"]

    def half(task: Task) -> Sample:
        return failing("loop")(task) if task.number == 2 else passing(task)

    assert run(half, *against, "--samples", "2") == 1
    assert run(half, *against, "--samples", "2", "--min-case", "0.5") == 0


def test_files_are_tried_before_the_first_sample_and_the_result_is_shown_whatever_becomes_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played: list[Task] = []
    (tmp_path / "file").write_text("")
    for words in (
        ("--junit", str(tmp_path / "file" / "r.xml")),
        ("--junit", str(tmp_path)),
        ("--save", str(tmp_path / "file" / "b.json")),
        ("--save", str(tmp_path / "b"), "--junit", str(tmp_path / "b")),
        ("--baseline", str(tmp_path / "b"), "--junit", str(tmp_path / "x" / ".." / "b")),
    ):
        with pytest.raises(InvalidInput, match=f"{words[-2]} "):
            run(lambda task: played.append(task) or passing(task), *words)
    assert not played

    def player(task: Task) -> Sample:
        for file in (tmp_path / "r.xml", tmp_path / "b.json"):
            if not file.is_dir():
                file.unlink(missing_ok=True)
                file.mkdir()
        return passing(task)

    assert run(player, "--junit", str(tmp_path / "r.xml"), "--save", str(tmp_path / "b.json")) == 1
    told = capsys.readouterr().out
    assert "all         2/2" in told
    assert f"--save {tmp_path / 'b.json'}: cannot be written" in told
    assert f"--junit {tmp_path / 'r.xml'}: cannot be written" in told


def test_cases_are_read_before_the_first_sample(tmp_path: Path) -> None:
    for name, script in (("a", "turns: [{say: Hi}]"), ("b", 'turns: [{say: "\\ud800"}]')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scenario.yaml").write_text(
            "description: x\nrequest: {text: Hi}\nexpect: {status: answered}"
        )
        (tmp_path / name / "script.yaml").write_text(script)
    played: list[Task] = []

    @contextmanager
    def workers(_setting: Setting, _size: int) -> Iterator[Workers]:
        yield _Here(lambda task: played.append(task) or passing(task))

    with pytest.raises(InvalidInput, match=r"b/script.yaml"):
        _eval(parser().parse_args(["eval", str(tmp_path), "--playbook", str(PLAYBOOK)]), [], workers)
    assert not played


def test_each_eval_has_runs_of_its_own() -> None:
    run_ids: set[str] = set()

    def player(task: Task) -> Sample:
        run_ids.add(task.scenario.request.run_id)
        return passing(task)

    run(player)
    run(player)

    assert len(run_ids) == 4


def test_a_model_is_saved_by_its_host_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.commands.eval.check_that_it_answers", lambda *_, **__: None)
    saved, asked = tmp_path / "b.json", set()

    def player(task: Task) -> Sample:
        asked.add(task.model.spec)
        return passing(task)

    spec = "http://localhost:1/secret/v1#qwen3"
    assert run(player, "--model", spec, "--judge", spec, "--save", str(saved)) == 0
    assert asked == {spec}
    assert (read(saved).models[0].model, read(saved).judge) == ("localhost:1#qwen3",) * 2
    assert "secret" not in saved.read_text()


def test_one_key_does_not_go_to_a_model_and_to_a_judge_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALLAST_MODEL_KEY", "sk-secret")
    asked = ("--model", "http://127.0.0.1:1/v1#m", "--judge", "http://127.0.0.1:2/v1#j")

    with pytest.raises(InvalidInput, match=r"127\.0\.0\.1:1 and 127\.0\.0\.1:2 would each") as caught:
        run(passing, *asked)

    assert "sk-secret" not in str(caught.value)


def test_several_models_are_columns_of_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = []
    for name in ("one", "two"):
        script = tmp_path / f"{name}.yaml"
        script.write_text("turns: [{say: Hi}]")
        models += ["--model", str(script)]

    def player(task: Task) -> Sample:
        return passing(task) if task.model.label.endswith("one.yaml") else failing("loop")(task)

    assert run(player, *models) == 1

    lines = capsys.readouterr().out.splitlines()
    assert f"B  {tmp_path / 'two.yaml'}" in lines
    row = next(line for line in lines if line.startswith("loop "))
    assert " ".join(row.split()) == "loop 1/1 21 to 100 % 0.000005 40 ms 0/1 0 to 79 % 0.00 -"


def test_what_models_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda _: Sample("run-x", "failed", ("answer: \x1b[2J\u202e",)))

    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\u202e" not in told


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--samples", "0"), "--samples 0: must be from 1 to 1000"),
        (("--workers", "17"), "--workers 17: must be from 1 to 16"),
        (("--min-pass", "90"), "--min-pass 90: must be a share from 0 to 1"),
        (("--min-pass", "0.9999"), "--min-pass 0.9999: must be a share"),
        (("--min-case", "NaN"), "--min-case NaN: must be a share"),
        (("--min-case", "-0.1"), "--min-case -0.1: must be a share"),
        (("--no-worse",), "--no-worse: worse than what?"),
        (("--judge-price", "1:2"), "--judge-price goes with --judge"),
        (("--judge", "http://judge.example/v1#m"), "what does it cost?"),
        (("--judge", "http://judge.example/v1#m", "--judge-price", "1"), "--judge-price 1: write INPUT:OUTPUT"),
        (("--judge", "http://judge.example/v1#m", "--judge-price", "a:1"), "--judge-price"),
        (("--judge", "bedrock:nobody.knows-v1:0"), "No model card for"),
        (("--judge", "none.yaml"), "no such file"),
        (("--budget-usd", "0"), "--budget-usd: must be more than 0"),
        (("--budget-usd", "much"), "--budget-usd"),
        (("--save", "/nowhere/b.json"), "--save /nowhere/b.json: must be a file in a folder that exists"),
        (("--baseline", "/nowhere/b.json"), "--baseline /nowhere/b.json: cannot be read"),
        (("--model", "script"), "--model script: leave --model out"),
        (("--model", "a.yaml", "--model", "a.yaml"), "one model is named twice"),
        (("--tenant", "acme"), "--tenant goes with --stack"),
        (("--playbook", "/nowhere"), "/nowhere"),
    ],
)
def test_what_was_mistyped_is_refused_by_its_option(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(BallastError) as refused:
        eval_command(typed(*words))

    assert complaint in str(refused.value)


def test_a_folder_without_a_playbook_is_refused_and_a_list_plays_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidInput, match="has no playbook"):
        eval_command(parser().parse_args(["eval", str(tmp_path)]))

    assert eval_command(typed("--list")) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["happy-path", "loop"]
