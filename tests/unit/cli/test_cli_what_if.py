"""The words, sums, thresholds and page of ``ballast what-if``; what is compared is in ``workflow/test_what_if.py``."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput
from ballast.log import exported
from ballast.log.event import Event
from ballast.playbook import load_playbook
from cli import main
from cli.commands import what_if
from cli.commands.what_if import _check
from cli.exits import Exit
from cli.what_if.page import page
from cli.what_if.sums import Sums, Threshold, Verdict, as_json, in_words, verdicts
from localcloud.cloud import PLAYBOOK, ROOT
from localcloud.replay.lane import Lane
from localcloud.replay.rules import Rules
from localcloud.replay.what_if import Compared, Result, Told

RUN = "run-" + "a" * 24
SCAFFOLD = ROOT / "scaffold"
HOSTILE = "</style></svg><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e\"'&"


def told(cost: int = 1_000, **changed: Any) -> Told:
    values: dict[str, Any] = {
        "status": "answered",
        "by": "agent",
        "cost_microusd": cost,
        "ceiling_microusd": 50_000,
        "turns": 4,
        "calls": 3,
        "refused": 0,
        "people": 0,
        "writes": (),
        "answer": "Done.",
    }
    return Told(**values | changed)


def row(result: Result = Result.SAME, low: int = 1_000, high: int | None = None, **changed: Any) -> Compared:
    values: dict[str, Any] = {
        "run_id": RUN,
        "source": "demo",
        "intent": "refund",
        "tenant": "default",
        "result": result,
        "recorded": told(),
        "candidate": told(low),
        "low": low,
        "high": low if high is None else high,
        "why": "the agent hands over in turn 3: turn_limit",
        "at": "0003.plan.decided",
    }
    return Compared(**values | changed)


STOPPED = row(Result.STOPPED_EARLIER, 400, candidate=told(400, turns=2, people=1), fewer=('refund {"id": 1}',))
CENSORED = row(Result.CENSORED, 900, 5_000, candidate=told(900, turns=9))
BROKEN = row(Result.NOT_CONCLUDED, 7)


def test_sums_are_exact_and_leave_out_what_is_not_concluded() -> None:
    sums = Sums.of([row(), STOPPED, CENSORED, BROKEN])

    assert (sums.runs, sums.concluded) == (4, 3)
    assert (sums.recorded_microusd, sums.low, sums.high) == (3_000, 2_300, 6_400)
    assert sums.more_permille == (-233, 1_133)
    assert (sums.turns_saved, sums.fewer, sums.people_more) == (2, 1, 1)
    assert "1 are not concluded" in in_words([row(), BROKEN])
    assert "between -23.3 % and +113.3 %" in in_words([row(), STOPPED, CENSORED, BROKEN])


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("cost>+5%", True),
        ("cost>113.3%", True),
        ("cost>113.4%", False),
        ("cost>0.0034", False),
        ("cost>=0.0034", True),
        # Below, the lower bound decides: 0.0007 saved at most.
        ("cost<-0.0006", True),
        ("cost<-0.0007", False),
        ("cost<=-0.0007", True),
        ("cost<-23.3%", True),
        ("cost<-23.4%", False),
        ("people>0", True),
        ("people>1", False),
        ("fewer_effects>=1", True),
        ("not_concluded>25%", False),
        ("not_concluded>=25%", True),
        ("same<1", False),
        ("censored > 0", True),
        ("answered<-0%", False),
    ],
)
def test_a_threshold_compares_exactly(text: str, met: bool) -> None:
    assert Threshold.read(text).is_met([row(), STOPPED, CENSORED, BROKEN]) is met


def test_a_threshold_says_how_many_runs_it_could_not_judge() -> None:
    said = verdicts([Threshold.read("fewer_effects>1"), Threshold.read("cost>9")], [row(), STOPPED, CENSORED, BROKEN])

    assert [(one.text, one.met, one.not_judged) for one in said] == [
        ("fewer_effects>1", False, 2),
        ("cost>9", False, 1),
        ("not_concluded>0", True, 0),
    ]


@pytest.mark.parametrize("text", ["", "cost", "cost=5", "money>5", "cost>five", "cost>1e3", "cost>5%%", "Cost>5"])
def test_a_threshold_that_is_none_names_the_numbers(text: str) -> None:
    with pytest.raises(InvalidInput, match="Numbers: cost, people"):
        Threshold.read(text)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("limits.turns=8", {"limits.turns": 8}),
        ("limits.cost_usd=0.05", {"limits.cost_microusd": 50_000}),
        ("intents.refund.limits.cost_usd=0.000001", {"intents.refund.limits.cost_microusd": 1}),
        ("model=eu.vendor.name", {"model": "eu.vendor.name"}),
        ("ground_answers=false", {"ground_answers": False}),
        ("instructions=a=b", {"instructions": "a=b"}),
        ("instructions=a: b: c", {"instructions": "a: b: c"}),
        ("cache=off", {"cache": False}),
        ("ask_requester=no", {"ask_requester": False}),
        ("intents.a.writes=[note]", {"intents.a.writes": ["note"]}),
        ("second_model=null", {"second_model": None}),
        ('inference={"temperature": 0.5}', {"inference": {"temperature": 0.5}}),
    ],
)
def test_a_setting_is_read_as_in_agent_yaml(typed: str, found: dict[str, Any]) -> None:
    assert what_if.settings([typed]) == found


@pytest.mark.parametrize(
    "typed",
    [
        "turns",
        "=8",
        "limits.turns=",
        "limits.cost_usd=-1",
        "limits.cost_usd=x",
        "limits.cost_usd=NaN",
        "limits.cost_usd=1e99",
    ],
)
def test_a_wrong_setting_is_told(typed: str) -> None:
    with pytest.raises(InvalidInput, match="--set"):
        what_if.settings([typed])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("tools: {x: {approval: maybe}}", "tools.x.approval"),
        ("tools: {x: {approval: {over: -1}}}", "over"),
        ("loops: {circles: {notice: 2}}", "loops"),
        ("loops: {cycle: {notice: 0}}", "notice"),
        ("models: {}", "models"),
        ("[1]", "--rules"),
        ("{", "--rules"),
    ],
)
def test_wrong_rules_are_told(text: str, field: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(InvalidInput) as told:
        Rules.read(tmp_path / "rules.yaml")
    assert field in str(told.value)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, list[Compared]]:
    """A file with a run, and what becomes of it."""
    event = Event(run_id=RUN, seq="0000.run.opened", at="2026-03-01T12:00:00+00:00", body={"model": "us.x"})
    file, rows = tmp_path / "run.jsonl", list[Compared]()
    file.write_text("\n".join(exported.write(RUN, [event])), encoding="utf-8")

    def compared(baseline: Any, candidate: Any, runs: Any, *, workers: int) -> Iterator[Compared]:
        assert [one.run_id for one in runs] == [RUN]
        assert (baseline.changes, candidate.changes) == ({}, {"limits.turns": 2})
        for one in rows:
            if one.source == "interrupts":
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(what_if, "compared", compared)
    return file, rows


@pytest.mark.parametrize(
    ("rows", "more", "code"),
    [
        ([row()], [], Exit.OK),
        ([STOPPED], ["--fail-if", "cost>0"], Exit.OK),
        ([STOPPED], ["--fail-if", "cost>0", "--fail-if", "fewer_effects>0"], Exit.UNFIT),
        ([BROKEN], [], Exit.NOT_COVERED),
        ([row(), BROKEN], [], Exit.OK),
        ([row(), BROKEN], ["--fail-if", "cost>5%"], Exit.UNFIT),
        ([row(), BROKEN], ["--fail-if", "cost>5%", "--fail-if", "not_concluded>1"], Exit.OK),
        ([row(), row(source="interrupts")], [], Exit.INTERRUPTED),
    ],
)
def test_the_exit_code_is_a_gate(
    played: tuple[Path, list[Compared]], rows: list[Compared], more: list[str], code: Exit
) -> None:
    played[1].extend(rows)

    assert main(["what-if", str(played[0]), "--set", "limits.turns=2", *more]) == code


def test_the_table_names_results_money_and_runs(
    played: tuple[Path, list[Compared]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    played[1].extend([row(), STOPPED, CENSORED])

    main(["what-if", str(played[0]), "--set", "limits.turns=2"])

    printed = capsys.readouterr().out
    assert re.search(r"stopped earlier +1 +0\.001 +0\.0004 +-2 +-1 \+0 +\+1 +run-a", printed)
    assert re.search(r"censored +1 +0\.001 +0\.0009 to 0\.005", printed)
    assert 'not done: refund {"id": 1}' in printed


def test_a_change_that_touches_no_run_is_named(
    played: tuple[Path, list[Compared]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["what-if", str(played[0]), "--set", "limits.turns=2"]

    played[1].append(row(agents=("billing",)))
    main(words)
    assert "limits.turns touches no run that was compared" in " ".join(capsys.readouterr().out.split())

    played[1].append(row(agents=("billing", "support")))
    main([*words, "--json"])
    assert json.loads(capsys.readouterr().out)["touch_no_run"] == []


def test_prices_and_rules_that_touch_no_run_are_named(
    played: tuple[Path, list[Compared]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    prices, rules, empty = tmp_path / "prices.yaml", tmp_path / "rules.yaml", tmp_path / "empty.yaml"
    prices.write_text("models: {amazon.nova-pro-v1:0: {}, amazon.nova-lite-v1:0: {}}", encoding="utf-8")
    rules.write_text("tools: {look_up_order: {approval: always}, refund_order: {approval: always}}", encoding="utf-8")
    empty.write_text("models: {}", encoding="utf-8")
    words = ["what-if", str(played[0]), "--set", "limits.turns=2", "--prices", str(prices), "--rules", str(rules)]
    nova = "amazon.nova-lite-v1:0"
    played[1].append(row(agents=("support",), models=(f"eu.{nova}",), tools=("look_up_order",)))

    assert main([*words, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["touch_no_run"] == ["prices.amazon.nova-pro-v1:0", "tools.refund_order"]
    main(words)
    printed = " ".join(capsys.readouterr().out.split())
    assert "prices.amazon.nova-pro-v1:0 touches no run that was compared: none asked that model" in printed
    assert "tools.refund_order touches no run that was compared: none called that tool" in printed

    assert main(["what-if", str(played[0]), "--prices", str(empty)]) == Exit.USAGE
    assert "has no card under `models:`" in capsys.readouterr().err


def test_a_tool_is_forbidden_after_the_model_was_told(
    played: tuple[Path, list[Compared]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("loops: {same_call: {notice: 5, forbid: 2}}", encoding="utf-8")

    assert main(["what-if", str(played[0]), "--rules", str(rules)]) == Exit.USAGE
    assert "forbid: 2 is below notice: 5" in capsys.readouterr().err


def test_a_playbook_that_its_own_template_does_not_serve_is_no_candidate(tmp_path: Path) -> None:
    new = tmp_path / "scaffold"
    shutil.copytree(SCAFFOLD, new, ignore=shutil.ignore_patterns("__pycache__"))
    tool = new / "newdesk" / "tools" / "look_up_account.py"
    tool.write_text(
        f"{tool.read_text()}\n\ndef _url(context):\n    return context.environ['EXTRA_URL']\n\n\nURLS = [_url]\n"
    )
    before = Lane.baseline(SCAFFOLD)

    _check(replace(before, playbook=SCAFFOLD, changes={"limits.turns": 5}), before)
    with pytest.raises(InvalidInput, match=r"cannot be deployed: EXTRA_URL: .* nothing gives it to the tools"):
        _check(replace(before, playbook=new), before)
    # What is wrong with the baseline as well is no matter of the change.
    _check(replace(before, playbook=new, changes={"limits.turns": 5}), replace(before, playbook=new))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limits.turns.x": 2}, "limits.turns.x: there is no such field: limits.turns is 12"),
        ({"limits.turns.x.y": 2}, "limits.turns.x.y: there is no such field"),
        ({"name": "other"}, "name: is no change of a run"),
        ({"limits.turns": "many"}, "limits.turns: Input should be a valid integer"),
        ({"limits": {"turns": 0}}, "limits.turns: Input should be greater"),
        ({"cache": 0}, "cache: must be off or on"),
        ({"limits": {"turns": 3}, "limits.turns": 4}, "limits.turns: and limits set the same field. Keep one of them."),
        ({"limits.turns": 3, "agents.support.limits.turns": 3}, "is set twice"),
        ({"limits.fallback_reserve_s": 500}, "fallback_reserve_s: must be less than limits.deadline_s"),
        ({"limits.turns": 4, "intents.order_status.limits.turns": 6}, "above the ceiling of 4"),
        ({"agents.billing.on_unanswered": "park"}, "holds for the whole stack, so every agent has it. Write on_un"),
    ],
)
def test_a_path_or_value_that_does_not_fit_is_named(changes: dict[str, Any], said: str) -> None:
    playbook = load_playbook(PLAYBOOK)
    other = playbook.agent.model_copy(update={"name": "billing"})

    with pytest.raises(InvalidInput) as raised:
        Lane("x", PLAYBOOK, changes).changed(replace(playbook, others={"billing": other}))

    assert said in str(raised.value)
    assert "Value error" not in str(raised.value)
    assert "limits.turns: limits.turns" not in str(raised.value)


def test_a_field_is_set_once_and_never_what_a_log_keeps(tmp_path: Path) -> None:
    for one, other in (("limits.turns=2", "limits.turns=3"), ("limits.cost_usd=0.5", "limits.cost_microusd=5000")):
        with pytest.raises(InvalidInput, match="is set twice"):
            what_if.settings([one, other])
    baseline = Lane.baseline(PLAYBOOK)
    with pytest.raises(InvalidInput, match="sensitive: says what the log keeps"):
        _check(replace(baseline, changes={"sensitive.policy": "mask"}), baseline)
    rules = tmp_path / "rules.yaml"
    rules.write_text("grounding: no\nagent: {cache: off}\n", encoding="utf-8")
    assert (Rules.read(rules).grounding, Rules.read(rules).agent) == (False, {"cache": False})


def test_a_key_of_the_whole_stack_is_every_agents() -> None:
    playbook = load_playbook(PLAYBOOK)
    others = {"billing": playbook.agent.model_copy(update={"name": "billing"})}

    made = Lane("x", PLAYBOOK, {"ground_answers": False, "limits.turns": 3}).changed(replace(playbook, others=others))

    assert [one.ground_answers for one in made.agents.values()] == [False, False]
    assert [one.limits.turns for one in made.agents.values()] == [3, 12]
    rows = [row(agents=("billing",))]
    assert what_if._touch_nothing({"ground_answers": False}, made, rows) == []
    assert what_if._touch_nothing({"limits.turns": 3}, made, rows) == ["limits.turns"]
    # What gives another result touches a run.
    assert what_if._touch_nothing({"limits.turns": 3}, made, [*rows, replace(STOPPED, agents=("billing",))]) == []


def test_another_agents_field_is_set_by_its_name() -> None:
    playbook = load_playbook(PLAYBOOK)
    other = playbook.agent.model_copy(update={"name": "billing"})

    made = Lane("x", PLAYBOOK, {"agents.billing.limits.turns": 2}).changed(replace(playbook, others={"billing": other}))

    assert (made.agent, made.others["billing"].limits.turns) == (playbook.agent, 2)


def test_as_json_has_the_runs_behind_each_number(
    played: tuple[Path, list[Compared]], capsys: pytest.CaptureFixture[str]
) -> None:
    played[1].extend([row(), STOPPED])

    main(["what-if", str(played[0]), "--set", "limits.turns=2", "--json", "--fail-if", "people>0"])

    made = json.loads(capsys.readouterr().out)
    assert made["by_result"]["stopped earlier"]["run_ids"] == [RUN]
    assert made["all"]["high"] == 1_400
    assert made["failed"] == ["people>0"]
    assert made["runs"][1]["result"] == "stopped earlier"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["x.jsonl", "--set", "limits.turns=8"],
        ["--since", "1d", "x", "--set", "limits.turns=8"],
        ["RUN"],
        ["RUN", "--set", "limits.trns=8"],
        ["RUN", "--set", "limits.turns=0"],
        ["RUN", "--set", "intents.nope.limits.turns=2"],
        ["RUN", "--set", "agents.nobody.limits.turns=2"],
        ["RUN", "--set", "model=nope"],
        ["RUN", "--set", "limits.input_tokens_per_turn=10"],
        ["RUN", "--rules", "no-such-file.yaml"],
        ["RUN", "--prices", "no-such-file.yaml"],
        ["RUN", "--playbook", "no-such-folder"],
        ["RUN", "--set", "limits.turns=8", "--fail-if", "luck>0"],
        ["RUN", "--set", "limits.turns=2", "--html", "no-such-folder/page.html"],
        ["RUN", "--set", "limits.turns=2", "--workers", "0"],
    ],
)
def test_a_wrong_word_is_a_usage_error(
    words: list[str], played: tuple[Path, list[Compared]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["what-if", *(str(played[0]) if word == "RUN" else word for word in words)]) == Exit.USAGE
    said = capsys.readouterr().err
    assert said.splitlines()[1].startswith("ballast what-if: ")  # after the line that says which playbook it takes
    assert not any(word in said for word in ("pydantic", "Errno"))


def test_a_run_counts_once_and_a_bad_one_is_a_row(
    played: tuple[Path, list[Compared]], capsys: pytest.CaptureFixture[str]
) -> None:
    file, rows = played
    rows.append(row())
    text = file.read_text(encoding="utf-8")
    header = json.dumps({"ballast": "run", "version": 1, "run_id": f"run-{'b' * 24}"})
    broken = f'{header}\n{{"seq": "?", "at": "", "body": {{}}}}\n'
    file.write_text(f"{text}\n{broken}{text}", encoding="utf-8")
    copy = file.with_name("copy.jsonl")
    copy.write_text(text, encoding="utf-8")

    words = ["what-if", str(file), str(copy), "--set", "limits.turns=2"]
    assert main([*words, "--json"]) == Exit.OK  # the fixture holds what is compared to one run

    printed = capsys.readouterr()
    made = json.loads(printed.out)
    assert [(one["run_id"], one["result"]) for one in made["runs"]] == [
        (RUN, "same"),
        (f"run-{'b' * 24}", "not concluded"),
    ]
    assert "event 1: seq:" in made["runs"][1]["why"]
    assert printed.err.count("is given twice; the copy in") == 2

    copy.write_text(text.replace("us.x", "us.y"), encoding="utf-8")
    assert main(words) == Exit.USAGE
    assert f"{RUN}: is given twice, in {file} and in {copy}, and the copies differ." in capsys.readouterr().err


def test_nothing_of_a_run_gets_out_of_its_text_on_the_page() -> None:
    hostile = row(
        Result.DIFFERENT,
        9_000,
        run_id=HOSTILE,
        source=HOSTILE,
        intent=HOSTILE,
        tenant=HOSTILE,
        why=HOSTILE,
        at=HOSTILE,
        more=(HOSTILE,),
    )

    made = page([hostile, row()], {"instructions": HOSTILE}, [Verdict(HOSTILE, met=True, not_judged=1)])

    assert "<script" not in made
    assert "<img" not in made
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", made)
    style = made.partition("<style>")[2].partition("</style>")[0]
    assert f"style-src &#x27;sha256-{b64encode(sha256(style.encode()).digest()).decode()}&#x27;" in made
    assert "default-src &#x27;none&#x27;" in made
    assert "style=" not in made


def test_the_result_as_json_is_plain() -> None:
    assert json.loads(json.dumps(as_json([CENSORED], {}, [])))["runs"][0]["high"] == 5_000
