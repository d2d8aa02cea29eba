"""Each rule of ``ballast certify``, taken away: a liar that it finds is certified then, so the rule is not idle."""

import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ballast.playbook import load_playbook
from cli.certify import other_process, pure, rig, rules, run, scripts, surroundings, threads
from cli.certify.answers import Answers
from cli.certify.other_process import OtherProcess
from cli.certify.overlaps import Overlaps
from cli.certify.plays import Plays
from cli.certify.report import RULES
from cli.certify.rules import Trial
from cli.certify.run import certify
from cli.certify.sequences import Sequences
from localcloud.scenarios import find, folder_of
from tests.support.sampling import sampled

Patch = pytest.MonkeyPatch


def _held_by(owner: Any, method: str, rule: str) -> Callable[[Patch], None]:
    """Let a method that returns a finding say that its rule held."""
    return lambda patch: patch.setattr(owner, method, lambda self, *_: self._held(rule))


def _says(owner: Any, method: str, answer: Any) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(owner, method, lambda *_, **__: answer)


def _of_process(method: str, rule: str) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(OtherProcess, method, lambda self: self._finding(rule, "held"))


def _with_plays(also: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Let what is wrong in any play be overlooked, too."""
    return lambda patch: [WITHOUT["plays"](patch), also(patch)]  # type: ignore[func-returns-value]


@contextmanager
def _real_clock(_: Any) -> Iterator[Any]:
    yield SimpleNamespace(shift=lambda _: None)


def _connections_unseen(patch: Patch) -> None:
    """Let connections be seen as they are opened, and not as they are used."""
    patch.setattr(rig, "connections_counted", lambda: nullcontext(lambda: None))
    patch.setattr(rig, "waits_on", lambda _: None)


#: How each rule is taken away.
WITHOUT: dict[str, Callable[[Patch], None]] = {
    "sampled": _says(run, "_always_refused", []),
    "result": _held_by(Trial, "_unfit", "result"),
    "arguments": _says(Trial, "_arguments", ()),
    "repeatable": _held_by(Trial, "_repeatable", "repeatable"),
    "process": _of_process("_process", "process"),
    "sight": _of_process("_sight", "sight"),
    "money": _held_by(Trial, "_money", "money"),
    "timeout": _with_plays(_held_by(Trial, "_timeout", "timeout")),
    "circuit": _held_by(Trial, "_circuit", "circuit"),
    "read": _with_plays(_held_by(Trial, "_read", "read")),
    "failure": _held_by(Trial, "_failure", "failure"),
    "key": _held_by(Trial, "_key", "key"),
    "sent": _held_by(Trial, "_sent", "sent"),
    "verify": _held_by(Trial, "_verify", "verify"),
    "interrupted": _held_by(Trial, "_interrupted", "interrupted"),
    "undo": _held_by(Trial, "_undo", "undo"),
    "later": _says(Sequences, "_later", ""),
    "between": _says(Sequences, "_between", ""),
    "keys": _says(Sequences, "_keys", ""),
    "overwrites": _says(Sequences, "_overwrites", ""),
    "overlap": _says(Overlaps, "_twice_at_once", None),
    "stale": _says(Sequences, "_stale", ""),
    "aws": _says(Sequences, "_aws", ""),
    "errors": _says(Answers, "_errors", None),
    "pages": _says(Answers, "_pages", None),
    "precondition": _says(Trial, "_reads_store", ("", "")),
    "moves_key": _says(Trial, "_reads_store", ("", "")),
    **dict.fromkeys(
        ("if_", "validate", "moves", "cost_microusd", "undo_arguments"), _says(Trial, "_follows", ("", ""))
    ),
    "clock": lambda patch: patch.setattr(surroundings, "wall_clock_at", _real_clock),
    "kept": _connections_unseen,
    "threads": lambda patch: patch.setattr(threads, "_working", lambda work: work),
    "beside": _says(Overlaps, "_beside_another", None),
    "undone_after": _says(Overlaps, "_undone_after_another", None),
    "not_named": _says(Trial, "_not_named", ""),
    "cost": _says(Trial, "_cost", ()),
    "remembered": lambda patch: [patch.setattr(one, "remembered", lambda *_: "") for one in (rules, other_process)],
    "behind": _says(rules, "behind", ""),
    "plays": _says(Plays, "findings", ()),
    "requests": lambda patch: [patch.setattr(one, "other_requests", lambda *_: "") for one in (rules, other_process)],
    "errors_of_rules": _says(Answers, "_asked_in", None),
    "errors_outside": _says(Answers, "_acted_in", None),
    "telling": lambda patch: patch.setattr(pure, "telling", lambda _: nullcontext()),
}

#: For each rule, a liar that nothing else finds; or what else finds it, which is taken away as well.
LIARS: dict[str, tuple[str, *tuple[str, ...]]] = {
    "sampled": ("refuses_always",),
    "result": ("result_unfit",),
    "arguments": ("arguments_changed",),
    "repeatable": ("result_of_process", "process"),
    "process": ("read_by_hash",),
    "sight": ("read_notes_in_file", "plays"),
    "money": ("money_as_float",),
    "timeout": ("timeout_ignored",),
    "circuit": ("circuit_blind", "errors"),
    "read": ("read_that_writes",),
    "failure": ("error_swallowed", "aws"),
    "key": (
        "key_with_other_results",
        "process",
        "interrupted",
        "later",
        "between",
        "keys",
        "stale",
        "aws",
        "errors",
        "pages",
    ),
    "sent": ("sent_otherwise",),
    "verify": ("verify_of_state_undone",),
    "interrupted": ("key_before_effect", "process", "aws", "overlap"),
    "undo": ("with_undo_twice",),
    "later": ("key_expires",),
    "between": ("verify_of_the_last", "keys"),
    "keys": ("key_in_many_buckets",),
    "overwrites": ("key_of_a_state",),
    "overlap": ("key_looked_up_first",),
    "stale": ("verify_eventually",),
    "aws": ("batch_partly_read",),
    "errors": ("verify_of_a_status",),
    "pages": ("read_part_of_two",),
    "precondition": ("precondition_by_strftime",),
    "moves_key": ("moves_key_of_the_hour", "process"),
    "if_": ("approval_by_the_clock",),
    "validate": ("validated_by_the_clock",),
    "moves": ("moves_by_chance",),
    "cost_microusd": ("cost_of_a_process",),
    "undo_arguments": ("undo_of_a_variable",),
    "clock": ("key_of_the_day_in_c",),
    "kept": ("kept_without_time", "interrupted", "plays", "requests"),
    "threads": ("verify_by_a_pool",),
    "telling": ("approval_by_a_default",),
    "beside": ("whole_item_put_back",),
    "undone_after": ("with_undo_by_snapshot",),
    "not_named": ("letter_with_undo_in_a_table",),
    "cost": ("read_dearer_than_declared",),
    "remembered": ("precondition_remembered", "requests"),
    "plays": ("time_after_error",),
    "requests": ("precondition_of_an_answer",),
    "behind": ("precondition_behind",),
    "errors_of_rules": ("precondition_unread",),
    "errors_outside": ("cut_outside",),
}
#: What several rules rely on, or a part of one.
PARTS = {
    "clock", "telling", "kept", "threads", "beside", "undone_after", "not_named", "cost", "remembered", "behind",
    "errors_of_rules", "errors_outside", "plays", "requests",
}  # fmt: skip
#: Each run of the suite plays one; ``FULL=1`` all.
SAMPLE = ("pages",)


@pytest.fixture
def liars(tmp_path: Path, monkeypatch: Patch) -> Iterator[Path]:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    project = tmp_path / "liars"
    shutil.copytree(Path(__file__).parent / "liars", project, ignore=shutil.ignore_patterns("__pycache__"))
    yield project
    importlib.import_module("liars.double").stop()


def against(project: Path, scenario: str, name: str) -> set[str]:
    """Return the rules by which a tool or fallback is not certified."""
    found = certify(
        load_playbook(project), [find(scenario, folder_of(project))], folder=project, say=lambda _: None
    ).findings
    assert name in {one.of for one in found if one.state == "held"}
    return {one.rule for one in found if one.of == name and (one.state == "broken" or one.needed)}


@pytest.mark.parametrize("rule", sampled(list(LIARS), SAMPLE))
def test_without_a_rule_a_liar_is_certified(rule: str, liars: Path, monkeypatch: Patch) -> None:
    liar, *also = LIARS[rule]
    call = {"tool": liar, "arguments": {"notes": ["one"]} if rule == "arguments" else {"id": "a"}}
    script = liars / "scenarios" / "doubts" / "script.yaml"
    script.write_text(json.dumps({"turns": [{"call": [call]}, {"say": "Done."}]}))
    for one in also:
        WITHOUT[one](monkeypatch)
    with_it = against(liars, "doubts", liar) if also or rule in PARTS else {rule}
    WITHOUT[rule](monkeypatch)

    assert (bool(with_it), against(liars, "doubts", liar)) == (True, set())


@pytest.mark.deep
def test_without_the_profile_a_fallback_that_asks_its_machine_is_certified(liars: Path, monkeypatch: Patch) -> None:
    scenario = liars / "scenarios" / "memory" / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("intent: memory", "intent: by_id"))
    monkeypatch.setattr(scripts, "watched", lambda *_: nullcontext())

    assert against(liars, "memory", "fallback by_id") == set()


def test_each_rule_is_taken_away_once() -> None:
    hints = {"import"}
    assert set(WITHOUT) == set(LIARS)
    assert set(LIARS) == {*RULES, *PARTS} - {"pure"} - hints
