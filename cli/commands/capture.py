"""``ballast capture``: make a regression test of a recorded run, as short as it can be."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from unicodedata import category

import yaml

from ballast.contracts.timeline import Timeline
from ballast.errors import InvalidInput
from ballast.log.exported import ExportedRun
from ballast.playbook import Effect, Playbook, Tool, load_playbook
from ballast.secret_scan import secrets_in
from cli import output_files
from cli.commands.test import silent
from cli.exits import Exit
from cli.given_runs import Given
from cli.saved_runs import SavedRuns, state_folder
from cli.scenario_runs import play
from cli.screen import Screen
from cli.trace.text import clean, cut_short
from cli.trial_runs import Trial, Trials, trials
from localcloud.capture.case import Case, Hidden, case_of, doubles_of, why_not
from localcloud.capture.invariant import (
    Defect,
    answers_against,
    calls_lacking,
    can_be_met,
    check_mendable,
    defect_of_record,
    expected,
    is_an_answer_alone,
    judges_the_ending_alone,
    last_people,
    sealed_arguments,
)
from localcloud.capture.reduce import Reduction
from localcloud.capture.stand_ins import StandIns
from localcloud.capture.typed import check_same, with_stand_ins
from localcloud.project import project_of
from localcloud.replay.recorded import RecordedRun
from localcloud.scenarios import find

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

_MOST_DESCRIPTION = 100
#: Characters of a reason: two lists of writes with their arguments.
_MOST_REASON = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: Categories of characters that show nothing of their own.
_HIDDEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
_FILES = ("scenario.yaml", "script.yaml")
_CAPTURED = output_files.Kind("a captured test", lambda text: text.startswith("# Captured by `ballast capture`"))
_NOTE = "# Captured by `ballast capture` from {run_id}: it fails on the defect and passes on its fix.\n"

_ANSWER_ALONE = (
    "The test is one recorded answer without a call. Only a rule about answers (ground_answers, answer_schema, a "
    "check of the playbook) can make it pass: a script repeats what the model said."
)

_SCRIPT_NOTE = (
    "# What the model said. The last reply is for a run that goes on after the fix: the record ends before it.\n"
)


def capture(typed: Namespace) -> int:
    """Capture a saved run or an exported file, and return the exit code. Raises ``InvalidInput``."""
    given = Given()
    runs = given.of_words(SavedRuns(state_folder(os.environ)), [typed.run])
    found = [given.first(runs, "capture"), *runs]
    if len(found) != 1:
        raise InvalidInput(f"{typed.run}: has {len(found)} runs. Name one: a run's id, or a file with one run.")
    return _captured(found[0], typed, Screen())


def capture_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Capture a run of a deployed stack, and return the exit code. Raises ``InvalidInput``."""
    found = next(Given().of_stack(cloud, [typed.run], typed), None)
    if found is None:
        raise InvalidInput(f"{typed.run}: the log of this run cannot be read whole.")
    return _captured(found, typed, screen)


@dataclass(frozen=True)
class _Shown:
    """A case that shows the defect."""

    case: Case
    defect: Defect


def _captured(found: ExportedRun, typed: Namespace, screen: Screen) -> int:
    folder = Path(typed.playbook or ".")
    playbook = load_playbook(folder)
    recorded = RecordedRun.of(found.events, found.source)
    timeline = recorded.events.timeline()
    name = typed.name or f"captured-{recorded.run_id.removeprefix('run-')[:8]}"
    place = _place(folder, name, force=typed.force)
    if StandIns().of_typed(name)[1]:
        raise InvalidInput("--name: has what looks like a card number, an IBAN or a phone number. Give another one.")
    stand_ins = StandIns(_schemas(playbook))
    seed = 1 if typed.seed is None else typed.seed
    case = case_of(recorded, agent=playbook.agent.name, seed=seed, closing=typed.answer or "")
    # One reading of case, outcomes and ending, so that a value has one stand-in in all of them.
    recorded_parts = {"case": _parts(case), "timeline": timeline.model_dump(mode="json")}
    whole = stand_ins.of(recorded_parts)
    tools = {name: one.effect is Effect.WRITE for name, one in playbook.tools.items()}
    # The record is judged as it is, and what is typed gets the stand-ins of the record.
    as_typed = expected(typed.expect, typed.invariant, timeline, tools, stand_ins.hides)
    words = {"name": name, "description": typed.description or "", "expect": as_typed if typed.expect else {}}
    if refused := _refusal([words], screen):
        return refused
    wrong_as_recorded = defect_of_record(case.scenario(as_typed), timeline)
    said = with_stand_ins(typed.expect, stand_ins, recorded_parts, whole)
    timeline = Timeline.model_validate(whole["timeline"])
    case = _with_parts(case, whole["case"])
    expect = expected(said, typed.invariant, timeline, tools, stand_ins.hides)
    check_mendable(expect, typed.expect, case, timeline)
    case = replace(case, last=last_people(expect, timeline))
    defect = defect_of_record(case.scenario(expect), timeline, stand_ins.hidden)
    check_same(wrong_as_recorded, defect)
    if refused := _refusal([_parts(case), doubles_of(timeline, None), expect], screen):
        return refused
    for note in case.notes:
        screen.line(f"Left out: {note}.", "yellow")
    for tool in calls_lacking(expect, case):
        if not _may_call(playbook, str(case.request.get("intent") or ""), tool):
            screen.line(
                f"--expect names more calls of {tool} than the script has, and no fallback of the intent makes them: "
                "the test may never pass. A script repeats what the model said in the record.",
                "yellow",
            )
    if "effects" in expect.get("unlike", {}) and (sealed := sealed_arguments(timeline, stand_ins.hides)):
        screen.line(
            f"--invariant effects: {', '.join(sealed)}: sealed or personal, so the test does not compare it. If that "
            "value was wrong, say with --expect what is right.",
            "yellow",
        )
    begun = monotonic()
    with trials(folder, parameters=case.parameters, seed=seed) as player:
        player.check(expect)
        screen.line(f"Playing {recorded.run_id} again: {len(case.steps)} replies of the model …", "dim")
        shown = _reproduced(case, expect, defect, timeline, player, stand_ins.hidden, tools)
        if not isinstance(shown, _Shown):
            return _not_reproduced(shown, timeline, stand_ins.hidden, screen)
        reduced, tries, is_cut_short = shown.case, 0, False
        if not typed.no_shrink:
            reduction = Reduction(
                shown.case,
                _shows(shown, expect, player, stand_ins.hidden, playbook.tools),
                most=typed.tries,
                tell=_tell,
            )
            reduced = reduction.run()
            tries, is_cut_short = reduction.tries, reduction.is_cut_short
    description = one_line(stand_ins.of_typed(typed.description or _description(timeline))[0])
    for one in (reduced, shown.case):
        if refused := _refusal([one.document(expect, description), list(one.turns)], screen):
            return refused
        wrong = _written(one, expect, description, place, recorded.run_id, folder)
        if wrong:
            break
    else:
        screen.line("The test passes when `ballast test` plays it, so it shows no defect. Nothing was written.", "red")
        return Exit.NOT_COVERED
    _report(place, one, shown.case, wrong, stand_ins, screen)
    if is_an_answer_alone(one) and timeline.by == "agent":
        screen.line(_ANSWER_ALONE, "yellow")
    if against := answers_against(expect, one, wrong):
        screen.line(
            f"People of the record {' and '.join(against)}: if the fix still asks, the test may never pass. Then "
            "correct their answers under `people:`.",
            "yellow",
        )
    if is_cut_short:
        screen.line(f"Shrinking stopped after {tries} tries: --tries N allows more.", "yellow")
    screen.line(f"{tries} tries, {monotonic() - begun:.0f} s. After the fix: ballast test {folder} {name}", "dim")
    return Exit.OK


def _place(folder: Path, name: str, *, force: bool) -> Path:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"--name {name}: must be letters, digits, `.`, `_` and `-`, at most 100.")
    place = project_of(folder) / "scenarios" / name
    if place.exists() and not force:
        raise InvalidInput(f"{place}: exists. Give another --name, or --force to write a captured test anew.")
    if place.exists():
        _check_captured(place)
    nearest = next(one for one in place.absolute().parents if one.exists())
    output_files.check("The test", nearest / f".{name}.new")
    return place


def _check_captured(place: Path) -> None:
    """Raise ``InvalidInput`` for a folder that has more than a captured test: --force would lose it."""
    if place.is_dir() and not place.is_symlink():
        output_files.check_kind("--force", place / "scenario.yaml", _CAPTURED)
        if not (others := sorted(one.name for one in place.iterdir() if one.name not in _FILES)):
            return
        raise InvalidInput(f"--force: {place} has {', '.join(others[:3])} beside a captured test. Move it away first.")
    raise InvalidInput(f"--force: {place} is not the folder of a captured test. Give another --name.")


def _schemas(playbook: Playbook) -> Any:
    """Return how to find the schema of a tool's field, as ``StandIns`` asks for it."""

    def schema_of(tool: str, path: tuple[str, ...]) -> Mapping[str, Any] | None:
        declared = playbook.tools.get(tool)
        if declared is None:
            return None
        whole = declared.schema
        at: Any = whole
        for name in path:
            while isinstance(at, Mapping) and "$ref" in at:
                at = whole.get("$defs", {}).get(at["$ref"].rpartition("/")[2], {})
            at = at.get("properties", {}).get(name) if isinstance(at, Mapping) else None
            if at is None:
                return None
        options = at.get("anyOf", [at])
        found: Mapping[str, Any] = next((one for one in options if one.get("type") != "null"), at)
        return found

    return schema_of


def _may_call(playbook: Playbook, intent: str, tool: str) -> bool:
    """Whether somebody else than the model may call a tool: the rollback, or a fallback whose file names it."""
    if playbook.is_undo(tool):
        return True
    script = playbook.fallbacks.get(intent)
    if script is None:
        return False
    names = {tool, getattr(playbook.tools[tool].function, "__name__", tool)}
    try:
        source = Path(inspect.getfile(script.function)).read_text(encoding="utf-8")
    except (OSError, TypeError):
        return True
    return any(re.search(rf"\b{re.escape(name)}\b", source) for name in names)


def _parts(case: Case) -> dict[str, Any]:
    return {
        "request": dict(case.request),
        "steps": [dict(one) for one in case.steps],
        "people": [dict(one) for one in case.people],
        "by": case.by,
        "closing": case.closing,
    }


def _with_parts(case: Case, parts: Mapping[str, Any]) -> Case:
    steps, people = tuple(parts["steps"]), tuple(parts["people"])
    return replace(case, request=parts["request"], steps=steps, people=people, by=parts["by"], closing=parts["closing"])


def _refusal(parts: Any, screen: Screen) -> int | None:
    """Say what looks like a secret, and return the exit code; None if nothing does."""
    found = list(secrets_in(parts))
    for place, kind in found[:5]:
        screen.line(
            f"{clean(re.sub(r'^[0-9]+[.]', '', place), lines=False)}: looks like {clean(kind, lines=False)}.", "red"
        )
    if found:
        screen.line(
            "Nothing was written: a test is committed and read by many. Capture a run without it, or mark its field "
            "as sensitive (docs/playbook.md).",
            "red",
        )
    return Exit.UNEXPECTED if found else None


# Playing


def _reproduced(
    case: Case,
    expect: Mapping[str, Any],
    defect: Defect,
    recorded: Timeline,
    player: Trials,
    hidden: Hidden,
    writes: Mapping[str, bool],
) -> _Shown | list[tuple[str, Case, Trial]]:
    """Return the case with as few doubles as show the defect; else what was tried, in words, with its play."""
    tried: list[tuple[str, Case, Trial]] = []
    first = player.play(case, expect)
    ways: list[tuple[str, Case, Trial | None]] = [("with the tools' own code", case, first)]
    for words, doubles in (
        ("with doubles of the calls that ended otherwise", doubles_of(recorded, first.timeline, hidden)),
        ("with doubles of all calls", doubles_of(recorded, None)),
    ):
        # A double writes nothing, so no item of a table tells a defect then.
        kept = tuple(one for one in doubles if not (expect.get("store") and writes.get(one["tool"])))
        ways.append((words, replace(case, tools=kept), None))
    known: set[str] = set()
    for words, candidate, played in ways:
        if repr(candidate.tools) in known:
            continue
        known.add(repr(candidate.tools))
        trial = player.play(candidate, expect) if played is None else played
        found = _defect(candidate, trial, hidden)
        if found is not None and _is(found, defect):
            return _Shown(candidate, found)
        tried.append((words, candidate, trial))
    return tried


def _defect(case: Case, trial: Trial, hidden: Hidden) -> Defect | None:
    """Return the defect that a play shows; None if it has none, or went on where the record ends."""
    played = trial.timeline
    return None if played is None or case.is_left_by(played) else Defect.of(played, trial.wrong, hidden)


def _is(found: Defect, recorded: Defect) -> bool:
    """Whether a play shows the record's defect. Not everything of a record can be compared: ``defect_of_record``."""
    return found.ending == recorded.ending and recorded.kinds <= found.kinds and {*recorded.others} <= {*found.others}


def _shows(shown: _Shown, expect: Mapping[str, Any], player: Trials, hidden: Hidden, tools: Mapping[str, Tool]) -> Any:
    def shows(candidate: Case) -> bool:
        if not can_be_met(expect, candidate, shown.case, tools):
            return False
        if judges_the_ending_alone(expect) and is_an_answer_alone(candidate) and not is_an_answer_alone(shown.case):
            return False
        return _defect(candidate, player.play(candidate, expect), hidden) == shown.defect

    return shows


def _tell(number: int, best: Case) -> None:
    print(f"  try {number}: {len(best.steps)} replies, {_calls(best)} calls", file=sys.stderr)


def _calls(case: Case) -> int:
    return sum(len(step.get("call", ())) for step in case.steps)


def _not_reproduced(tried: list[tuple[str, Case, Trial]], recorded: Timeline, hidden: Hidden, screen: Screen) -> int:
    screen.line("The defect does not show when the run is played here, so no test was written.", "red")
    for words, case, trial in tried:
        screen.line(f"  {words}:")
        if trial.timeline is None:
            screen.line(f"    it could not be played: {clean(trial.problem, lines=False)}")
            continue
        reasons = why_not(case, recorded, trial.timeline, hidden) or ["it ended as recorded, and is as expected"]
        for reason in [*reasons, *(f"not as expected: {one}" for one in trial.wrong)][:5]:
            screen.line(f"    {_short(reason)}")
    if any(trial.timeline is not None for _, _, trial in tried):
        screen.line("Is the defect mended already, or is it in a stack's settings, its data or the time of the day?")
        screen.line("Is it in what a write left behind? Say with --expect store=… what must stand there.")
    return Exit.NOT_COVERED


def _short(sentence: str) -> str:
    shown = clean(sentence, lines=False)
    return shown if len(shown) <= _MOST_REASON else cut_short(shown, _MOST_REASON)


# Files


def _written(
    case: Case, expect: Mapping[str, Any], description: str, place: Path, run_id: str, playbook: Path
) -> list[str]:
    """Write the test if it fails as `ballast test` plays it; return how it fails, [] if it passes."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / place.name
        folder.mkdir()
        (folder / "scenario.yaml").write_text(
            _NOTE.format(run_id=run_id) + as_yaml(case.document(expect, description)), encoding="utf-8"
        )
        note = _SCRIPT_NOTE if case.closing else ""
        (folder / "script.yaml").write_text(note + as_yaml({"turns": list(case.turns)}), encoding="utf-8")
        scenario = find(place.name, Path(made))
        played = play(scenario, screen=silent(), saved_runs=SavedRuns(Path(made) / "state"), playbook=playbook)
        if played.wrong:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                shutil.rmtree(place)
            shutil.copytree(folder, place)
        return played.wrong


class _Plain(yaml.SafeDumper):
    """YAML without aliases; a text with characters that a reader does not see, or sees elsewhere, in escapes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        as_it_was, self.allow_unicode = self.allow_unicode, self.allow_unicode and not _hides(text)
        super().write_double_quoted(text, split)
        self.allow_unicode = as_it_was


def _hides(text: str) -> bool:
    """Whether a text has control or format characters, such as those that turn the order of what follows."""
    return any(one not in "\n\t" and category(one) in _HIDDEN for one in text)


def _of_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _hides(text) else None)


_Plain.add_representer(str, _of_text)


def as_yaml(value: Any) -> str:
    """Return ``value`` as YAML."""
    made: str = yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    return made


def _description(timeline: Timeline) -> str:
    how = f"{timeline.status} by {timeline.by}" if timeline.by else timeline.status
    return f"Captured from {timeline.run_id}, which was {how}{f': {timeline.why}' if timeline.why else ''}."


def one_line(text: str) -> str:
    """Return a description as a scenario may have it."""
    line = " ".join(clean(text, lines=False).split())
    return line if len(line) <= _MOST_DESCRIPTION else f"{line[: _MOST_DESCRIPTION - 1]}…"


def _report(place: Path, case: Case, whole: Case, wrong: list[str], stand_ins: StandIns, screen: Screen) -> None:
    screen.line(f"{place}: written. It fails now, as it should until the defect is mended:", "green")
    for sentence in wrong[:5]:
        screen.line(f"  {_short(sentence)}")
    turns = f"{len(whole.steps)} replies and {_calls(whole)} calls"
    screen.line(f"{turns} of the record became {len(case.steps)} and {_calls(case)}.")
    if case.tools:
        screen.line(f"{len(case.tools)} calls have a double (`tools:`): the local store gave another outcome.")
    if stand_ins.replaced:
        screen.line(f"{len(stand_ins.replaced)} sealed or personal values were replaced by stand-ins.")
