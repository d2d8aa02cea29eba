"""The fields of a scenario of one's own: what is read, what is refused, and what is told where a run ends otherwise."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ballast.contracts import Planner
from ballast.contracts.timeline import Call, Money, Timeline, Turn, TurnEscalation
from ballast.errors import InvalidInput
from cli import main
from cli.commands.test import Result, junit
from cli.scenario_runs import _unreached
from localcloud.converse import ScriptModel
from localcloud.project import business_of, project_of
from localcloud.scenarios import Scenario, find, folder_of, names, unmet
from localcloud.scenarios.stored import Item, different

LEAST = "description: x\nrequest: {text: Hi}\nexpect: {status: answered}\n"


def written(folder: Path, text: str, name: str = "mine") -> Scenario:
    (folder / name).mkdir(parents=True)
    (folder / name / "scenario.yaml").write_text(text)
    return find(name, folder)


def expecting(folder: Path, expect: str) -> Scenario:
    return written(folder, f"description: x\nrequest: {{text: Hi}}\nexpect:\n  status: answered\n  {expect}\n")


def call(tool: str, index: int = 1, **fields: Any) -> Call:
    return Call(index=index, tool=tool, **{"outcome": "ok", "effect": "write", **fields})


def ended(*calls: Call, undoing: Call | None = None, asked: str = "", **fields: Any) -> Timeline:
    question = TurnEscalation(escalation_id="esc-1", kind="question", summary=asked) if asked else None
    turns = [Turn(turn=1, planner="agent", calls=calls, escalation=question)]
    turns += [Turn(turn=2, planner="rollback", calls=(undoing,))] if undoing else []
    return Timeline(run_id="run-x", status="answered", ending="", turns=tuple(turns), **fields)


def nothing(table: str, key: dict[str, str]) -> None:
    return None


def test_a_request_id_need_not_be_thought_of(tmp_path: Path) -> None:
    assert written(tmp_path, LEAST).request.request_id == "scenario-mine"
    assert written(tmp_path, LEAST.replace("{text", "{request_id: r, text"), "other").request.request_id == "r"


def test_the_script_lies_beside(tmp_path: Path) -> None:
    assert written(tmp_path, LEAST).script == tmp_path / "mine" / "script.yaml"


@pytest.mark.parametrize(
    ("expect", "field"),
    [
        ("costs_at_most: 0.05", "expect.costs_at_most"),
        ("moved: 12.5", "expect.moved"),
        ('moved: "-1"', "expect.moved"),
        ("effects: [{tool: x, argument: {}}]", "expect.effects.0.argument"),
        ("effects: [5]", "expect.effects.0"),
        ("effects: suspend", "expect.effects"),
        ("failed: [5]", "expect.failed.0"),
        ("store: [{table: T, key: {id: a}, attributes: {}}]", "expect.store.0.attributes"),
        ("store: [{table: T, key: {id: a}}]", "expect.store.0.attributes"),
        ("answer: text", "expect.answer"),
        ("folder: /tmp", "expect.folder"),
        ("answer_matches: ['(']", "expect.answer_matches.0"),
        ("answer_matches: text", "expect.answer_matches"),
        ("answer_schema: {type: text}", "expect.answer_schema"),
        ("answer_schema: {properties: {a: {format: date}}}", "expect.answer_schema"),
        ("answer_schema: []", "expect.answer_schema"),
        ("forbidden: ['']", "expect.forbidden.0"),
        ('forbidden: ["\\u200b"]', "expect.forbidden.0: must have a sign that one sees"),
        ("forbidden: text", "expect.forbidden"),
        ("grounded: 1", "expect.grounded"),
        ("unlike: {}", "expect.unlike"),
        ("unlike: {effects: [5]}", "expect.unlike.effects.0"),
        ("unlike: {reason: loop}", "expect.unlike.reason"),
        ("judged: {}", "expect.judged.rubric"),
        ("judged: {rubric: ''}", "expect.judged.rubric"),
        ("judged: {rubric: x, wrong: text}", "expect.judged.wrong"),
        ("judged: text", "expect.judged"),
    ],
)
def test_a_wrong_expectation_is_refused_by_its_field(expect: str, field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refused:
        expecting(tmp_path, expect)

    assert f"{tmp_path / 'mine' / 'scenario.yaml'} is not valid: {field}" in str(refused.value)


def test_a_decision_that_is_no_object_is_told_its_form(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"people\.0\.decision: .*must be an object: \{kind: answer, text: "):
        written(tmp_path, f"{LEAST}people: [{{by: rae, decision: answer}}]\n")


@pytest.mark.parametrize(
    ("expect", "run", "wrong"),
    [
        ("effects: []", ended(), []),
        ("effects: [a]", ended(call("a")), []),
        ("effects: [a]", ended(call("a"), call("b", 2, effect="read")), []),
        ("effects: [a]", ended(call("a"), call("a", 2, repeats=(1, 1))), []),
        ("effects: [a]", ended(call("a"), call("a", 2, outcome="refused")), ["refused calls: expected [], was ['']"]),
        ("effects: [{tool: a, arguments: {n: 1}}]", ended(call("a", arguments={"n": 1, "m": 2})), []),
        (
            "effects: [{tool: a, arguments: {n: 2}}]",
            ended(call("a", arguments={"n": 1})),
            ["effects: expected a(n=2); was a(n=1)"],
        ),
        ("effects: [a]", ended(), ["effects: expected a; was none"]),
        (
            "effects: [a]",
            ended(call("a", message="Its undo b could not be made: KeyError: 'id'")),
            ["a can never be undone. Its undo b could not be made: KeyError: 'id'"],
        ),
        ("effects: []", ended(call("a")), ["effects: expected none; was a()"]),
        ("effects: [a, b]", ended(call("b"), call("a", 2)), ["effects: expected a, b; was b(), a()"]),
        ("effects: [{tool: a, undone: true}]", ended(call("a"), undoing=call("u", undoes=(1, 1))), []),
        (
            "effects: [a]",
            ended(call("a"), undoing=call("u", undoes=(1, 1))),
            ["effects: expected a; was a() (undone)"],
        ),
        (
            "effects: [{tool: a, undone: true}]",
            ended(call("a"), undoing=call("u", undoes=(1, 1), outcome="unknown", message="?")),
            [
                "failed calls: expected [], was ['u']",
                "  u: ?",
                "effects: expected a (undone); was a()",
            ],
        ),
        ("failed: [a]", ended(call("a", outcome="failed", message="m")), []),
        ("failed: [a]", ended(), ["failed calls: expected ['a'], was []"]),
        ("answer: [seven]", ended(answer="It is seven."), []),
        ("answer: [eight]", ended(answer="It is seven."), ["answer: expected 'eight' in it, was 'It is seven.'"]),
        ("refused: null", ended(call("a", outcome="refused", error="RuleViolation")), []),
        ("failed: null", ended(call("a", outcome="failed", message="m")), []),
        ("reason: null", ended(reason="loop"), []),
        ("degraded: null", ended(degraded=True), []),
        ("answer_matches: ['^It is \\w+']", ended(answer="It is seven."), []),
        (
            "answer_matches: ['^seven']",
            ended(answer="It is seven."),
            ["answer: expected a match of '^seven', was 'It is seven.'"],
        ),
        ("forbidden: [we guarantee]", ended(answer="We cannot promise it."), []),
        (
            "forbidden: [we guarantee]",
            ended(answer="So WE\n  Guarantee it."),
            ["forbidden: 'we guarantee' is in the answer: 'So WE\\n  Guarantee it.'"],
        ),
        *(
            (
                "forbidden: [we guarantee]",
                ended(answer=text),
                [f"forbidden: 'we guarantee' is in the answer: {text!r}"],
            )
            for text in (
                "We **guarantee** it.",
                "`We` _guarantee_ it.",
                *(f"We guar{sign}antee it." for sign in "\u034f\u115f\u2800\u200b\u00ad\ufe0f\uffa0\u2060"),
            )
        ),
        ("forbidden: ['*']", ended(answer="It is so."), []),
        ("by: agent", ended(by=Planner.PERSON), ["by: expected 'agent', was 'human'"]),
        (
            "forbidden: [your password]",
            ended(asked="What is your  password?"),
            ["forbidden: 'your password' is in what was asked in turn 1: 'What is your  password?'"],
        ),
        ("answer_schema: {required: [n], properties: {n: {type: integer}}}", ended(answer='{"n": 1}'), []),
        (
            "answer_schema: {properties: {n: {type: integer}}}",
            ended(answer='{"n": "x"}'),
            ['answer_schema: n: must be integer; the answer was \'{"n": "x"}\''],
        ),
        (
            "answer_schema: {type: object}",
            ended(answer="No."),
            [
                "answer_schema: it must be one JSON object and nothing else: it is not JSON; the answer was 'No.'",
            ],
        ),
        ("answer_schema: {type: object}", ended(), ["answer_schema: there is no answer"]),
        ("grounded: true", ended(), []),
        (
            "grounded: true\n  refused: null",
            ended(call("a", outcome="refused", error="Ungrounded", message="x must occur")),
            ["grounded: turn 1, a: x must occur"],
        ),
        ("unlike: {effects: [a]}", ended(call("b")), []),
        ("unlike: {effects: [a], status: failed}", ended(call("a")), []),
        (
            "unlike: {effects: [a], status: answered}",
            ended(call("a")),
            ["unlike: it ended in the same way again (status, effects)"],
        ),
        (
            "unlike: {answer: It is seven.}",
            ended(answer="it is  seven."),
            ["unlike: it ended in the same way again (answer)"],
        ),
        ("unlike: {by: fallback, answer: x}", ended(answer="x"), []),
        ('costs_at_most: "0.000007"', ended(money=Money(charged_microusd=7)), []),
        (
            'costs_at_most: "0.000006"',
            ended(money=Money(charged_microusd=7)),
            ["cost: expected at most $0.000006, was $0.000007"],
        ),
        ("moved: 12", ended(), []),
        ('moved: "12.00"', ended(), []),
        ("moved: 13", ended(), ["moved: expected 13, was 12"]),
        ("store: [{table: T, key: {id: a}, attributes: null}]", ended(), []),
        ("store: [{table: T, key: {id: a}, attributes: {n: 1}}]", ended(), ["store: T a: is not there"]),
    ],
)
def test_each_expectation_is_compared(expect: str, run: Timeline, wrong: list[str], tmp_path: Path) -> None:
    assert unmet(expecting(tmp_path, expect), run, nothing, moved=lambda: Decimal(12)) == wrong


def test_an_item_that_must_not_be_there_is_told(tmp_path: Path) -> None:
    scenario = expecting(tmp_path, "store: [{table: T, key: {id: a}, attributes: null}]")

    assert unmet(scenario, ended(), lambda table, key: {"id": "a"}) == ["store: T a: expected no such item"]


ITEM = {
    "groups": ("vpn", "mail"),
    "levels": (3, Decimal("1.5")),
    "list": ["a", {"tags": ("x", "y")}],
    "price": Decimal("0.1"),
    "lit": True,
    "one": 1,
}


@pytest.mark.parametrize(
    ("attribute", "wrong"),
    [
        ("groups: [mail, vpn]", None),
        ("groups: [vpn, mail]", None),
        ("groups: [vpn]", "['vpn'], was ['mail', 'vpn']"),
        ("groups: [vpn, vpn]", "['vpn', 'vpn'], was ['mail', 'vpn']"),
        ("groups: vpn", "'vpn', was ['mail', 'vpn']"),
        ("levels: [1.5, 3]", None),
        ("levels: [1.5, 4]", "[1.5, 4], was [1.5, 3]"),
        ("list: [a, {tags: [y, x]}]", None),
        ("list: [{tags: [y, x]}, a]", "[{'tags': ['y', 'x']}, 'a'], was ['a', {'tags': ['x', 'y']}]"),
        ("price: 0.1", None),
        ("price: 0.2", "0.2, was 0.1"),
        ("lit: true", None),
        ("lit: 1", "1, was True"),
        ("one: 1", None),
        ("one: true", "True, was 1"),
        ("gone: null", None),
        ("gone: 0.5", "0.5, was None"),
    ],
)
def test_an_attribute_is_compared_as_its_type_is(attribute: str, wrong: str | None, tmp_path: Path) -> None:
    scenario = expecting(tmp_path, f"store: [{{table: T, key: {{id: a}}, attributes: {{{attribute}}}}}]")

    told = unmet(scenario, ended(), lambda table, key: ITEM)

    name = attribute.partition(":")[0]
    assert told == ([] if wrong is None else [f"store: T a: {name} expected {wrong}"])


# Where they are


def project(folder: Path, *scenarios: str) -> Path:
    (folder / "desk").mkdir()
    (folder / "desk" / "agent.yaml").write_text("")
    for place in scenarios:
        (folder / place).mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["scenarios"], "scenarios"),
        (["desk/scenarios"], "desk/scenarios"),
        (["scenarios", "desk/scenarios"], "scenarios"),
    ],
)
def test_scenarios_are_found_from_the_project_and_from_the_playbook(
    places: list[str], found: str, tmp_path: Path
) -> None:
    made = project(tmp_path, *places)

    assert folder_of(made) == folder_of(made / "desk") == made / found


def test_a_project_without_scenarios_is_told_what_to_make(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"scenarios/NAME/scenario\.yaml"):
        folder_of(project(tmp_path))


def test_a_project_is_the_folder_above_the_playbook(tmp_path: Path) -> None:
    made = project(tmp_path)
    assert project_of(made) == project_of(made / "desk") == made
    assert business_of(made) is None

    (made / "desk" / "business.yaml").write_text("")
    assert business_of(made) == made / "desk" / "business.yaml"
    (made / "business.yaml").write_text("")
    assert business_of(made / "desk") == made / "business.yaml"


def test_names_are_those_of_the_folder(tmp_path: Path) -> None:
    written(tmp_path, LEAST, "zebra")
    written(tmp_path, LEAST, "loop")

    assert names(tmp_path) == ["loop", "zebra"]


# JUnit


def test_a_report_is_xml_whatever_a_run_says() -> None:
    wrong = ("answer: expected 'x' in it, was '<\x00\x1b[31m\ud800 & ]]>'", "second")
    results = [
        Result("good", "answered by agent", (), "", "run-a", 5, 1.25),
        Result("bad", "answered by agent", wrong, "", "run-b", 5, 0.5),
        Result("ugly", "", (), "no <answer> left", "run-c", 0, 0.25),
    ]

    suite = ElementTree.fromstring(junit(results, suite="a <b>").encode())

    assert {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "time")} == {
        "name": "a <b>",
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "time": "2.000",
    }
    assert [case.get("name") for case in suite] == ["good", "bad", "ugly"]
    failure, error = suite.find("testcase/failure"), suite.find("testcase/error")
    assert failure is not None
    assert error is not None
    assert "second\nSee it: ballast trace run-b" in str(failure.text)
    assert error.get("message") == "no <answer> left"


def test_what_a_model_wrote_is_one_line_of_a_report() -> None:
    results = [Result("bad", "answered", ("answer: x\n::error::y",), "", "", 5, 0.5)]

    top = ElementTree.fromstring(junit(results, suite="s").encode())

    assert str(top.findtext("testcase/failure")) == "answer: x ::error::y"


@pytest.mark.parametrize("interrupt", [True, False])
def test_an_interrupted_test_leaves_a_report_that_is_not_green(
    tmp_path: Path, interrupt: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        written(tmp_path / "scenarios", LEAST, name)
    report = tmp_path / "r.xml"

    def played(scenario: Scenario, *_: Any) -> Result:
        before = ElementTree.parse(report).getroot()
        assert before.get("errors") == "1"  # whatever becomes of this process, nothing old stays
        if scenario.name == "b" and interrupt:
            raise KeyboardInterrupt
        return Result(scenario.name, "answered by agent", (), "", "run-a", 5, 1.0)

    monkeypatch.setattr("cli.commands.test.load_playbook", lambda *_, **__: None)
    monkeypatch.setattr("cli.commands.test._played", played)

    code = main(["test", str(tmp_path), "--junit", str(report), "--json"])

    top = ElementTree.parse(report).getroot()
    errors = {case.get("name"): error.get("message") for case in top for error in case.iter("error")}
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    begun = ["a (1 of 3) …", "b (2 of 3) …", "c (3 of 3) …"]
    assert printed.err.splitlines() == begun[: 2 if interrupt else 3]
    assert code == (130 if interrupt else 0)
    assert errors == (dict.fromkeys("bc", "not played: interrupted") if interrupt else {})
    assert [one["passed"] for one in told] == [True, not interrupt, not interrupt]


def test_a_report_that_cannot_be_written_is_said_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "scenarios", LEAST, "a")
    monkeypatch.setattr("cli.commands.test.load_playbook", lambda *_, **__: None)
    monkeypatch.setattr("cli.commands.test._played", lambda *_: pytest.fail("played"))

    assert main(["test", str(tmp_path), "--junit", str(tmp_path)]) == 2
    assert "--junit" in capsys.readouterr().err


def test_a_scenario_that_cannot_be_read_is_an_error_of_its_own_and_the_others_are_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        written(tmp_path / "scenarios", LEAST, name)
    (tmp_path / "scenarios" / "a" / "scenario.yaml").write_text(LEAST.replace("expect", "expekt"))
    (tmp_path / "scenarios" / "c" / "scenario.yaml").write_text("a: [")
    report = tmp_path / "r.xml"
    report.write_text("<testsuites/>")
    monkeypatch.setattr("cli.commands.test.load_playbook", lambda *_, **__: None)
    monkeypatch.setattr(
        "cli.commands.test._played",
        lambda scenario, *_: Result(scenario.name, "answered by agent", (), "", "run-a", 5, 1.0),
    )

    code = main(["test", str(tmp_path), "--junit", str(report), "--json"])

    told = {one["scenario"]: one["error"] for one in json.loads(capsys.readouterr().out)}
    errors = {case.get("name"): case.find("error") is not None for case in ElementTree.parse(report).getroot()}
    assert code == 1
    assert told["b"] is None
    assert "expekt: Extra inputs" in told["a"]
    assert "is not YAML" in told["c"]
    assert errors == {"a": True, "b": False, "c": True}

    assert main(["test", str(tmp_path), "--list"]) == 1
    assert "c                         cannot be read" in capsys.readouterr().out
    (tmp_path / "agent.yaml").write_text("")
    assert main(["eval", str(tmp_path)]) == 2  # a part of the cases proves nothing, and may cost money
    said = capsys.readouterr().err
    assert "expekt" in said
    assert "is not YAML" in said


def test_a_report_of_yesterday_is_red_when_the_playbook_cannot_be_loaded(tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text("<testsuites/>")

    assert main(["test", str(tmp_path / "none"), "--junit", str(report)]) == 2
    assert ElementTree.parse(report).getroot().get("errors") == "1"


def test_a_step_that_the_agent_did_not_reach_is_a_note_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "scenarios", LEAST, "a")
    note = "script.yaml: the agent had answered before turns.3: it was not used"
    result = Result("a", "answered by agent", (), "", "run-a", 5, 1.0, (note,))
    monkeypatch.setattr("cli.commands.test.load_playbook", lambda *_, **__: None)
    monkeypatch.setattr("cli.commands.test._played", lambda *_: result)

    assert main(["test", str(tmp_path)]) == 0

    assert f"      note: {note}" in capsys.readouterr().out


@pytest.mark.parametrize(("by", "noted"), [("agent", True), ("fallback", False), ("human", False)])
def test_what_is_left_of_a_script_is_told_where_the_agent_ended_the_run(by: str, noted: bool) -> None:
    script = ScriptModel.of([{"say": "one"}, {"say": "two"}])
    script.reply({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "m")

    notes = _unreached(script, Timeline(run_id="run-x", status="answered", ending="", by=by))

    assert notes == (["script.yaml: the agent had answered before turns.1: it was not used"] if noted else [])


@pytest.mark.parametrize(
    ("found", "wrong"), [({}, False), ({"ghost": None}, False), ({"ghost": 0}, True), ({"ghost": ""}, True)]
)
def test_null_of_an_attribute_is_that_it_is_not_there_or_null(found: dict[str, Any], wrong: bool) -> None:
    item = Item(table="T", key={"id": "a"}, attributes={"ghost": None})

    assert bool(different(item, {"id": "a", **found})) is wrong


@pytest.mark.parametrize(
    ("own", "deadline", "longest"), [(None, None, 120), (None, 60, 120), (None, 600, 660), (9, None, 9), (9, 600, 9)]
)
def test_a_run_may_take_as_long_as_its_scenario_says_and_a_model_its_deadline(
    own: int | None, deadline: int | None, longest: int
) -> None:
    assert find("approval").model_copy(update={"ends_within_s": own}).longest_s(deadline) == longest
