"""``ballast certify``: every planted lie is found, honest tools pass, and a certificate fits its code alone."""

import importlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.contracts import RunRequest
from ballast.playbook import ToolContext, load_playbook
from ballast.playbook.certificate import FILE, PLATFORM, why_tried_otherwise, why_uncertified
from ballast.playbook.context import tools_environ
from cli import main
from cli.certify import elsewhere as elsewhere_module
from cli.certify.elsewhere import Away, Play, elsewhere
from cli.certify.report import Finding, summed_up
from cli.certify.rig import Sample, rig_for
from cli.certify.run import certify
from cli.certify.scripts import script_finding
from cli.commands.new import write
from cli.scenario_runs import source_of, stack_of
from localcloud.cloud import PLAYBOOK, ROOT
from localcloud.scenarios import find, folder_of
from tests.functions.cloud import NOON
from tests.support.sampling import FULL, sampled

#: Each planted lie, and the rule that must find it.
LIES = {
    "charges_beside_its_key": "sight",
    "counts_in_a_database": "sight",
    "key_needs_its_process": "process",
    "obeys_a_variable": "process",
    "posts_a_letter": "sight",
    "precondition_by_hash": "process",
    "precondition_in_file": "sight",
    "read_by_folder": "process",
    "read_by_hash": "process",
    "read_by_locale": "process",
    "read_by_machine": "process",
    "read_by_zone": "process",
    "read_charges": "read",
    "read_in_set_order": "process",
    "read_kept": "process",
    "read_notes_at_exit": "sight",
    "read_notes_by_descriptor": "sight",
    "read_notes_in_file": "sight",
    "read_notes_in_open_file": "sight",
    "read_sets_a_variable": "process",
    "read_starts_a_program": "sight",
    "refuses_always": "sampled",
    "undo_remembers": "process",
    "verify_needs_its_process": "process",
    "arguments_changed": "arguments",
    "circuit_blind": "circuit",
    "doubt_as_failure": "failure",
    "error_swallowed": "failure",
    "fallback chance": "pure",
    "fallback default_clock": "pure",
    "fallback clock": "pure",
    "fallback memory": "pure",
    "fallback variable": "pure",
    "key_before_effect": "interrupted",
    "key_ignored": "key",
    "key_in_memory": "key",
    "key_not_sent": "key",
    "key_with_other_results": "key",
    "money_as_float": "money",
    "precondition_that_varies": "precondition",
    "precondition_that_writes": "precondition",
    "read_that_writes": "read",
    "result_of_process": "repeatable",
    "result_unfit": "result",
    "sent_otherwise": "sent",
    "timeout_ignored": "timeout",
    "verify_early": "verify",
    "verify_late": "verify",
    "verify_never": "verify",
    "verify_of_anybody": "verify",
    "verify_of_state_undone": "verify",
    "with_undo_nothing": "undo",
    "with_undo_too_much": "undo",
    "with_undo_twice": "undo",
}
#: The same of the scenario ``sequences``: each lies only over several calls.
LIES_OVER_CALLS = {
    "added_by_a_retry": "aws",
    "approval_by_its_run": "if_",
    "below_500_as_done": "errors",
    "booked_by_a_timer": "result",
    "booked_on_a_page": "pages",
    "closed_as_failure": "aws",
    "conflict_as_failure": "errors",
    "half_as_failure": "errors",
    "missing_after_a_step": "errors",
    "nonsense_as_failure": "errors",
    "order_of_any_amount": "keys",
    "verify_among_the_first": "pages",  # and keys, which alone finds it where no other payment is there
    "verify_of_nonsense": "errors",
    "with_undo_looked": "undo",
    "approval_by_a_default": "if_",
    "approval_by_the_clock": "if_",
    "batch_half_read": "aws",
    "batch_partly_read": "aws",
    "condition_of_its_own": "aws",
    "cost_of_a_process": "cost_microusd",
    "cut_outside": "errors",
    "denial_as_nothing": "aws",
    "failed_outside": "errors",
    "failure_as_nothing": "aws",
    "half_refused_outside": "errors",
    "kept_without_time": "timeout",
    "key_and_arguments": "keys",
    "key_by_arguments": "keys",
    "key_cut": "keys",
    "key_eventually": "stale",
    "key_expires": "later",
    "key_for_two_minutes": "later",
    "key_in_buckets": "keys",
    "key_in_many_buckets": "keys",
    "key_looked_up_outside": "errors",
    "key_looked_up_first": "overlap",
    "key_lowered": "keys",
    "key_of_a_bound_clock": "later",
    "key_of_a_clock_in_an_id": "later",
    "key_of_a_deletion": "overwrites",
    "key_of_a_library_clock": "later",
    "key_of_a_state": "overwrites",
    "key_of_an_answers_date": "later",
    "key_of_half_a_day": "later",
    "key_of_the_day_in_c": "later",
    "key_of_the_last": "between",
    "key_of_the_last_five": "keys",
    "key_of_the_last_twenty": "keys",
    "key_swallows": "errors",
    "key_without_its_run": "keys",
    "letter_keyed_in_an_attribute": "interrupted",
    "letter_with_undo_in_a_table": "undo",
    "letters_partly_sent": "aws",
    "moves_by_a_default": "moves",
    "moves_by_chance": "moves",
    "moves_key_of_the_hour": "moves_key",
    "precondition_behind": "precondition",
    "precondition_by_a_default": "precondition",
    "precondition_by_chance": "precondition",
    "precondition_by_strftime": "precondition",
    "precondition_of_the_clock": "precondition",
    "precondition_noted_on_error": "precondition",
    "precondition_of_an_answer": "precondition",
    "precondition_remembered": "precondition",
    "precondition_unread": "errors",
    "read_dearer_than_declared": "cost_microusd",
    "read_first_page": "pages",
    "read_kept_on_error": "sight",
    "read_noted_on_error": "read",
    "read_of_a_status": "errors",
    "read_remembered": "process",
    "read_part_of_two": "pages",
    "read_swallows": "errors",
    "refused_after_a_put": "errors",
    "strict_without_verify": "interrupted",
    "throttle_as_nothing": "aws",
    "time_after_error": "timeout",
    "time_of_a_client": "timeout",
    "time_of_a_look": "timeout",
    "time_of_an_event": "timeout",
    "undo_by_snapshot": "overlap",
    "undo_in_a_table": "keys",
    "undo_of_a_variable": "undo_arguments",
    "undo_of_memory": "process",
    "validated_by_the_clock": "validate",
    "verify_by_a_pool": "errors",
    "verify_by_index": "stale",
    "verify_eventually": "stale",
    "verify_first_page": "pages",
    "verify_for_a_minute": "later",
    "verify_of_a_status": "errors",
    "verify_of_the_last": "between",
    "verify_swallows": "errors",
    "verify_swallows_in_threads": "errors",
    "verify_told_on_error": "verify",
    "verify_where_reached": "errors",
    "verify_without_its_run": "keys",
    "whole_item_put_back": "overlap",
    "with_undo_by_snapshot": "overlap",
    "with_undo_early": "later",
    "with_undo_to_kept": "between",
    "with_undo_to_then": "between",
}
#: Those that each run of the suite plays: one of each way to lie. ``FULL=1`` plays all.
SOME_LIES = (
    "read_charges", "arguments_changed", "circuit_blind", "key_before_effect", "key_not_sent",
    "precondition_that_varies", "result_of_process", "verify_of_anybody", "honest_add",
)  # fmt: skip
#: The script that decides by what its process remembers.
SOME_SCRIPTS = ("memory",)
SOME_OVER_CALLS = (
    "key_and_arguments", "missing_after_a_step", "precondition_of_an_answer", "fair_batch",
)  # fmt: skip
#: What is wrong with an undo's own key is found by the rules of its key too.
ALSO = {"undo_twice", "key_ignored", "key_not_sent"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))


@pytest.fixture
def liars(tmp_path: Path) -> Iterator[Path]:
    project = tmp_path / "liars"
    shutil.copytree(Path(__file__).parent / "liars", project, ignore=shutil.ignore_patterns("__pycache__"))
    load_playbook(project)
    yield project
    importlib.import_module("liars.double").stop()


def play_only(liars: Path, scenario: str, *tools: str) -> None:
    """Let a scenario call these tools, and no other."""
    calls = [{"tool": name, "arguments": {"id": "a"}} for name in tools]
    turns = [{"call": calls[at : at + 6]} for at in range(0, len(calls), 6)]
    script = liars / "scenarios" / scenario / "script.yaml"
    script.write_text(json.dumps({"turns": [*turns, {"say": "Done."}]}))


def findings(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
    return found


def keep_some_calls(script: Path, names: tuple[str, ...]) -> None:
    """Leave the other calls of a scenario out, and the turns that have none then."""
    turns = yaml.safe_load(script.read_text())["turns"]
    some = [{"call": [one for one in turn["call"] if one["tool"] in names]} for turn in turns if "call" in turn]
    script.write_text(yaml.safe_dump({"turns": [*(turn for turn in some if turn["call"]), {"say": "Done."}]}))


def test_every_planted_lie_is_found_and_no_honest_tool_is_blamed(
    liars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("answered", "sequences", "doubts", "faults", "own_client"):
        shutil.rmtree(liars / "scenarios" / name)
    lies = LIES
    if not FULL:
        for script in (liars / "scenarios").glob("*/script.yaml"):
            if script.parent.name not in ("tools", "away", *SOME_SCRIPTS):
                shutil.rmtree(script.parent)
        for name in ("tools", "away"):
            keep_some_calls(liars / "scenarios" / name / "script.yaml", SOME_LIES)
        lies = {name: rule for name, rule in LIES.items() if name in (*SOME_LIES, "fallback memory")}
        assert len(lies) == 9

    code = main(["certify", str(liars), "--json"])

    broken: dict[str, set[str]] = {}
    for one in findings(capsys):
        if one["state"] == "broken" or (one["needed"] and one["rule"] == "sight"):
            broken.setdefault(one["of"], set()).add(one["rule"])
            assert one["seen"]
            assert one["remedy"]
    assert {name: rule for name, rule in lies.items() if rule not in broken.get(name, ())} == {}
    assert {name: rules for name, rules in broken.items() if name not in LIES and name not in ALSO} == {}
    assert {name for name, rules in broken.items() if len(rules) > 1} <= ALSO
    assert code == 1
    assert not (liars / "liars" / FILE).exists()


def test_a_fallback_that_decides_by_its_machine_or_its_process_is_found(liars: Path) -> None:
    playbook, scenario = load_playbook(liars), find("memory", folder_of(liars))
    every = [one for one in playbook.fallbacks if one.startswith(("by_", "honest_by_"))]
    intents = sampled(every, every[::4])
    found: dict[str, str] = {}
    with (
        stack_of(scenario, source_of(scenario), playbook=liars) as cloud,
        elsewhere(playbook) as away,
        rig_for(cloud, playbook, scenario.seed, away) as rig,
    ):
        environ = tools_environ(cloud.environ("ExecutorFunction"))
        tool = playbook.tools["honest_add"]
        for intent in intents:
            request = RunRequest(request_id=intent, text="new and old", intent=intent)
            context = ToolContext(f"run-{intent}", 1, 1, intent, request, NOON, environ, cloud.session.client)
            sample = Sample("machine", tool, tool.read({"id": "a"}), context)
            finding, _ = script_finding(rig, playbook, playbook.fallbacks[intent], sample)
            found[intent] = f"{finding.state}: {finding.seen}"
    assert {intent for intent, said in found.items() if not said.startswith("broken")} == {
        one for one in intents if one.startswith("honest_")
    }, found  # fmt: skip
    assert len(every) == 25


def test_every_lie_over_several_calls_is_found_and_no_honest_sibling_is_blamed(liars: Path) -> None:
    if not FULL:
        play_only(liars, "sequences", *SOME_OVER_CALLS)

    found = certified_by(liars, "sequences", *(["answered", "doubts", "faults"] if FULL else []))

    broken = {of: rule for (of, rule), one in found.items() if one.state == "broken" or (one.needed and rule == "undo")}
    called = {of for (of, rule), one in found.items() if (rule, one.state) == ("sampled", "held")}
    assert {name: rule for name, rule in broken.items() if name not in ("undo_early", "undo_looked")} == {
        name: rule for name, rule in LIES_OVER_CALLS.items() if name in called
    }
    assert len(called & set(LIES_OVER_CALLS)) >= 3
    fair = {of for (of, rule), one in found.items() if (rule, one.state) == ("pages", "held") and of.startswith("fair")}
    assert fair == {name for name in called if name.startswith("fair")}


def test_a_new_project_is_certified_and_a_change_of_its_code_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "certdesk"
    write("certdesk", project)
    assert main(["certify", str(project), "--check"]) == 1
    assert "has no certificate" in capsys.readouterr().out

    assert main(["certify", str(project), "--json"]) == 0

    found = findings(capsys)
    assert {one["state"] for one in found if one["needed"]} == set()
    assert {one["of"] for one in found} == {
        "fallback suspend", "look_up_account", "reinstate_account", "suspend_account",
    }  # fmt: skip
    certificate = json.loads((project / "certdesk" / FILE).read_text())
    assert (certificate["platform"], certificate["scenarios"]) == (PLATFORM, ["approved", "model-away", "suspended"])
    assert {"key", "verify", "undo", "interrupted", "failure"} <= set(certificate["held"]["suspend_account"])
    # What CI does, by docs/testing-your-playbook.md, leaves the certificate as good as it was.
    page = (ROOT / "docs" / "testing-your-playbook.md").read_text()
    [test_report, own_report] = re.findall(r"--junit(?:xml)? (\S+)", page.rpartition("## In CI")[2])
    (project / own_report).parent.mkdir()
    (project / own_report).write_text("<testsuites/>")
    assert main(["check", str(project), "--strict"]) == 0
    assert main(["test", str(project), "suspended", "--junit", str(project / test_report)]) == 0
    assert (project / test_report).is_file()
    assert main(["certify", str(project), "--check"]) == 0
    assert main(["test", str(project), "suspended", "--junit", str(project / "j.xml")]) == 2
    business = project / "business.yaml"
    business.write_text(business.read_text() + "\n# Another right.\n")
    assert why_uncertified(load_playbook(project)) is None  # of what is deployed
    assert "business.yaml" in (why_tried_otherwise(load_playbook(project), project) or "")
    assert main(["certify", str(project), "--check"]) == 1
    tool = project / "certdesk" / "tools" / "suspend_account.py"
    tool.write_text(tool.read_text() + "\n# Changed.\n")
    assert "its code has changed" in (why_uncertified(load_playbook(project)) or "")
    assert main(["certify", str(project), "--check", "--json"]) == 1


def test_a_tool_that_no_scenario_calls_keeps_the_certificate_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "idledesk"
    write("idledesk", project)
    for name in ("approved", "suspended"):
        shutil.rmtree(project / "scenarios" / name)
    script = project / "idledesk" / "fallbacks" / "suspend.py"
    script.write_text(script.read_text().replace("suspend_account.call(account_id=account_id, days=days)",
                                                 "look_up_account.call(account_id=account_id)"))  # fmt: skip
    (project / "scenarios" / "typo").mkdir()
    (project / "scenarios" / "typo" / "scenario.yaml").write_text("description: x\nrequests: {text: Hi}\n")
    (project / "idledesk" / FILE).write_text("{}")

    code = main(["certify", str(project), "--json"])

    back = {(one["of"], one["seen"]) for one in findings(capsys) if one["needed"]}
    assert ("suspend_account", "No scenario calls it.") in back
    said = dict(back)
    assert "It did not end as it expects: effects: expected suspend_account" in said["scenario model-away"]
    assert "requests: Extra inputs" in said["scenario typo"]
    assert code == 1
    assert not (project / "idledesk" / FILE).exists()  # it said otherwise


@pytest.mark.deep
def test_the_tools_of_the_example_desk_are_honest(tmp_path: Path) -> None:
    found = certify(
        load_playbook(PLAYBOOK),
        [find("happy-path")],
        folder=None,
        say=lambda _: None,
    ).findings

    assert [one for one in found if one.state == "broken"] == []
    writes = {"cancel_order", "cancel_refund", "refund_order", "reinstate_order"}
    assert {one.of for one in found if (one.rule, one.state) == ("interrupted", "held")} == writes


@pytest.fixture
def itdesk(tmp_path: Path) -> Path:
    project = tmp_path / "itdesk"
    shutil.copytree(ROOT / "examples" / "itdesk", project, ignore=shutil.ignore_patterns("__pycache__"))
    return project


def certified_by(project: Path, *scenarios: str) -> dict[tuple[str, str], Finding]:
    """Certify a project with some of its scenarios; return what was found, by tool and rule."""
    found = certify(
        load_playbook(project),
        [find(name, folder_of(project)) for name in scenarios],
        folder=project,
        say=lambda _: None,
    ).findings
    return {(one.of, one.rule): one for one in summed_up(found)}


@pytest.mark.deep
def test_the_it_desk_is_certified_whole_with_the_tools_of_its_server(itdesk: Path) -> None:
    found = certified_by(itdesk, "approved", "model-away", "password")

    assert {at: one.seen for at, one in found.items() if one.state == "broken" or one.needed} == {}
    of_reset = {rule for (of, rule), one in found.items() if of == "idp_resetPassword" and one.state == "held"}
    assert {"circuit", "failure", "interrupted", "key", "sent", "timeout", "verify"} <= of_reset
    assert found["idp_findResets", "read"].state == "held"  # nobody offers it: it is the verify's
    assert "its own word" in found["idp_resetPassword", "key"].seen


def test_a_server_that_makes_a_call_twice_under_one_key_is_found(itdesk: Path) -> None:
    stand_ins = itdesk / "scenarios" / "stand_ins.py"
    lie = stand_ins.read_text().replace('self.headers["Idempotency-Key"], body', 'f"{len(RESETS)}", body')
    stand_ins.write_text(lie)

    found = certified_by(itdesk, "password")

    assert found["idp_resetPassword", "key"].state == "broken"
    assert "key or idempotent" in found["idp_resetPassword", "key"].remedy  # its words are those of its YAML
    assert found["idp_resetPassword", "sent"].state == "held"  # the tool itself does its part


@pytest.mark.deep
def test_a_server_that_refuses_a_key_that_it_knows_is_judged_by_verify(itdesk: Path) -> None:
    stand_ins = itdesk / "scenarios" / "stand_ins.py"
    known = 'if key in RESETS:\n            return self._answer(409, {"error": "done"})\n        made = {"re'
    stand_ins.write_text(stand_ins.read_text().replace('made = {"re', known))

    found = certified_by(itdesk, "password")

    assert {at: one.seen for at, one in found.items() if one.state == "broken" and at[0].startswith("idp")} == {}
    assert "409" in found["idp_resetPassword", "key"].seen


@pytest.mark.deep
def test_a_remedy_names_what_the_author_can_do(liars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    play_only(liars, "doubts", "letter_keyed_in_an_attribute")

    found = certified_by(liars, "doubts", "own_client")

    assert "Leave honours_key out" in found["letter_keyed_in_an_attribute", "key"].remedy
    scenario = found["scenario own_client", "sampled"]
    assert scenario.needed
    hint = found["module tools/away.py", "import"]
    assert (hint.needed, "As it is imported, it reads the clock" in hint.seen) == (False, True)
    assert "key_of_its_own_client asks AWS itself. Use ctx.client" in scenario.remedy


@pytest.mark.deep
def test_what_is_sent_is_recorded_where_no_stand_in_tells_its_effects(itdesk: Path) -> None:
    stand_ins = itdesk / "scenarios" / "stand_ins.py"
    stand_ins.write_text(stand_ins.read_text().replace("def seen_outside", "def not_told"))

    found = certified_by(itdesk, "password")

    assert {rule: found["idp_resetPassword", rule].state for rule in ("key", "sent", "verify", "interrupted")} == {
        "key": "held", "sent": "held", "verify": "held", "interrupted": "held",
    }  # fmt: skip
    assert "its own word" in found["idp_resetPassword", "key"].seen
    assert "GET and HEAD" in found["idp_findResets", "read"].seen


@pytest.mark.deep
def test_what_the_scenario_left_at_a_stand_in_is_not_there_when_its_calls_are_tried(itdesk: Path) -> None:
    stand_ins = itdesk / "scenarios" / "stand_ins.py"
    text = stand_ins.read_text().replace("def seen_outside", "def not_told")
    counts = text.replace('self._answer(200, {"items"', 'self._answer(200, {"made": len(RESETS), "items"')
    assert counts != text
    stand_ins.write_text(counts)
    server, script = itdesk / "itdesk" / "servers" / "idp.yaml", itdesk / "scenarios" / "password" / "script.yaml"
    read_first = (
        server.read_text().replace("offered: false", "offered: true").replace("/key: grounded", "/key: free_text")
    )
    server.write_text(read_first)
    turn = "turns:\n  - call: [{tool: idp_findResets, arguments: {key: none}}]\n"
    script.write_text(script.read_text().replace("turns:\n", turn))

    found = certified_by(itdesk, "password")

    assert found["idp_findResets", "repeatable"].state == "held", found["idp_findResets", "repeatable"].seen


def test_a_required_certificate_that_is_missing_is_an_error_before_the_deployment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "bounddesk"
    write("bounddesk", project)
    assert main(["check", str(project), "--json"]) == 0
    capsys.readouterr()
    settings = project / "samconfig.toml"
    settings.write_text(settings.read_text().replace('"Stage=dev",', '"Stage=dev", "RequireCertificate=true",'))

    code = main(["check", str(project), "--json"])

    errors = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["level"] == "error"]
    assert code == 2
    assert [Path(one["file"]).name for one in errors] == [FILE]
    assert "every run would be refused" in errors[0]["problem"]


def test_what_is_not_shipped_is_not_there_where_the_playbook_is_tried(tmp_path: Path) -> None:
    project = tmp_path / "readdesk"
    write("readdesk", project)
    (project / "shared.py").write_text("LIMIT = 5\n")
    tool = project / "readdesk" / "tools" / "look_up_account.py"
    read = "import shared\nPINS = (Path(__file__).parents[2] / 'pyproject.toml').read_text()\n"
    tool.write_text("from pathlib import Path\n" + tool.read_text().replace("from ballast", f"{read}from ballast", 1))
    sys.path.insert(0, str(project))
    try:
        with elsewhere(load_playbook(project)) as away:
            with pytest.raises(Away):
                away.play(Play("attempt", tool="look_up_account"), None, None)  # type: ignore[arg-type]
            with pytest.raises(Away) as problem:
                away.play(Play("attempt", tool="look_up_account"), None, None)  # type: ignore[arg-type]
    finally:
        sys.path.remove(str(project))

    said = f"No such file or directory: '{project / 'pyproject.toml'}'"
    assert said in str(problem.value)  # and not of shared.py, which is shipped
    assert "put what they read into the playbook's folder" in problem.value.remedy


_WITH_A_LOOP = """
import asyncio
import threading
import time

from ballast.playbook import Read, ToolContext, tool

from ..accounts import AccountId, Closed

LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()


class Which(Closed):
    account_id: AccountId


async def _name(account_id: str) -> str:
    return account_id.lower()


@tool(effect=Read())
def by_a_loop(args: Which, ctx: ToolContext) -> str:
    \"\"\"Ask a loop.\"\"\"
    return asyncio.run_coroutine_threadsafe(_name(args.account_id), LOOP).result(timeout=20)


@tool(effect=Read())
def endless(args: Which, ctx: ToolContext) -> str:
    \"\"\"Wait for ever.\"\"\"
    while True:
        time.monotonic()
"""


@pytest.mark.deep
def test_a_thread_that_a_module_starts_is_there_in_the_other_process_and_a_play_without_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "loopdesk"
    write("loopdesk", project)
    (project / "loopdesk" / "tools" / "loop.py").write_text(_WITH_A_LOOP)
    playbook = load_playbook(project)
    request = RunRequest(request_id="run-1", text="x")
    context = ToolContext("run-1", 1, 1, "run-1.0001.1", request, NOON, {}, lambda *_, **__: None)
    given = {name: getattr(context, name) for name in ("run_id", "turn", "index", "idempotency_key", "request", "now")}

    def play(tool: str) -> Play:
        context = {**given, "timeout_s": None, "requester": None, "environ": {}}
        return Play("attempt", tool=tool, args={"account_id": "A-1001"}, context=context, keys=("k", "s", None))

    with elsewhere(playbook) as away:
        first = away.play(play("by_a_loop"), None, context)
        away._left_s = 0.0
        monkeypatch.setattr(elsewhere_module, "_SHORTEST_S", 5.0)
        with pytest.raises(Away, match="did not end within 5 s"):
            away.play(play("endless"), None, context)
        monkeypatch.undo()
        second = away.play(play("by_a_loop"), None, context)

    assert [(one.end.how, one.end.result) for one in (first, second)] == [("ok", "a-1001")] * 2
