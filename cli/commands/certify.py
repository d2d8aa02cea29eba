"""``ballast certify``: try on a playbook's own tools what they declare, and write a certificate if all of it holds."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ballast.errors import InvalidInput
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.certificate import (
    FILE,
    PLATFORM,
    Certificate,
    deployed_templates,
    policy_sha256,
    uncovered,
    why_tried_otherwise,
    why_uncertified,
)
from ballast.playbook.file_digests import of_playbook, of_trials
from ballast.playbook.made_of import platform_code
from cli import output_files
from cli.certify.report import RULES, TO_A_PERSON, Finding, certified, summed_up
from cli.exits import Exit
from cli.own_stdout import print_document
from cli.scenario_runs import find_all
from cli.screen import Screen
from localcloud.project import project_of
from localcloud.scenarios import Scenario, folder_of, names

_STYLES = {"held": "green", "broken": "bold red", "not tried": "yellow"}


def certify(typed: Namespace) -> int:
    """Certify the playbook; return 0 if every rule held, else 1. Raises ``BallastError``."""
    folder = Path(typed.path)
    playbook = load_playbook(folder, on=datetime.now(UTC).date(), check_retired=True)
    if typed.check:
        return _check(playbook, typed)
    scenarios = folder_of(folder)
    chosen = find_all(names(scenarios), scenarios)
    if not chosen:
        raise InvalidInput(f"{scenarios}: holds no scenario. The calls of scenarios are what is tried: add one.")
    if why := [*uncovered(project_of(folder))]:
        raise InvalidInput("\n".join(why))
    file = Path(playbook.folder) / FILE
    output_files.check("The certificate", file)
    from cli.certify.run import certify as tried

    screen, began_s = Screen(), time.monotonic()
    found = tried(
        playbook,
        [one for one in chosen.values() if not isinstance(one, InvalidInput)],
        folder=folder,
        say=(lambda _: None) if typed.json else (lambda said: screen.line(f"  {said}", "dim")),
        enforce_iam=not typed.no_iam,
    )
    findings = summed_up([*found.findings, *_unread(chosen)])
    took_s = time.monotonic() - began_s
    made, unwritten = certified(findings), ""
    if made:
        try:
            _write(file, certificate(playbook, findings, list(chosen), at=datetime.now(UTC)))
        except InvalidInput as problem:  # what was found is shown all the same
            made, unwritten = False, str(problem)
    removed = not made and not unwritten and file.exists()
    if removed:  # it may fit, and it says what does not hold
        file.unlink()
    if typed.json:
        document = {"certified": made, "certificate": str(file) if made else None, "attempts": found.attempts}
        document |= {"problem": unwritten} if unwritten else {}
        print_document(json.dumps(document | {"findings": [asdict(one) for one in findings]}, indent=2))
    else:
        _show(findings, screen, all_of_them=typed.verbose)
        screen.line(f"{found.attempts} attempts in {took_s:.0f} s")
        screen.line(f"Tried with {', '.join(_parts(_of_trials(playbook)))}", "dim")
        if unwritten:
            screen.line(f"All of it held. {unwritten}", "bold red")
        gone = f" {file} was removed: it said otherwise." if removed else ""
        screen.line(f"Certified: {file}" if made else f"Not certified.{gone}", "green" if made else "bold red")
    return Exit.OK if made else Exit.UNEXPECTED


def _unread(scenarios: Mapping[str, Scenario | InvalidInput]) -> Iterator[Finding]:
    """Yield each scenario that cannot be read: its calls are tried by nobody."""
    for name, one in scenarios.items():
        if isinstance(one, InvalidInput):
            yield Finding(f"scenario {name}", "sampled", "not tried", name, str(one), "Correct it.", True)


def _check(playbook: Playbook, typed: Namespace) -> int:
    problem = why_uncertified(playbook) or why_tried_otherwise(playbook, project_of(Path(playbook.folder)))
    if typed.json:
        print_document(json.dumps({"certified": problem is None, "problem": problem}))
    else:
        said = problem or f"The certificate fits: {Path(playbook.folder) / FILE}"
        Screen().line(said, "bold red" if problem else "green")
    return Exit.UNEXPECTED if problem else Exit.OK


def certificate(playbook: Playbook, findings: Sequence[Finding], scenarios: Sequence[str], *, at: datetime) -> str:
    """Return the certificate as a file's text. ``at``: when it was made."""

    held: dict[str, tuple[str, ...]] = {}
    words: dict[str, dict[str, dict[str, str]]] = {"held": {}, "not tried": {}}
    for one in findings:
        if one.state == "held":
            held[one.of] = (*held.get(one.of, ()), one.rule)
        if one.seen or one.state == "not tried":
            words[one.state].setdefault(one.of, {})[one.rule] = one.seen

    made = Certificate(
        platform=PLATFORM,
        platform_code=platform_code(),
        playbook=of_playbook(Path(playbook.folder)),
        policy_sha256=policy_sha256(playbook),
        tried_with=_of_trials(playbook),
        certified_at=at.replace(microsecond=0),
        scenarios=tuple(scenarios),
        held=held,
        relies_on=words["held"],
        not_tried=words["not tried"],
    )
    return json.dumps(made.model_dump(mode="json"), indent=2) + "\n"


def _of_trials(playbook: Playbook) -> dict[str, str]:
    folder = Path(playbook.folder)
    project = project_of(folder)
    return of_trials(project, folder.name, [one.file for one in deployed_templates(project)])


def _parts(files: Iterable[str]) -> list[str]:
    """Return files and folders with which a playbook was tried: one name a scenario."""
    return list(dict.fromkeys("/".join(file.split("/")[:2]) for file in files))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise InvalidInput(f"{file}: cannot be written ({problem.strerror}).") from None


def counted(findings: Sequence[Finding]) -> str:
    """Return how many rules held, were broken and not tried; of the last, how many are needed for a certificate."""
    counts = ", ".join(f"{sum(one.state == state for one in findings)} {state}" for state in _STYLES)
    needed = sum(one.state == "not tried" and one.needed for one in findings)
    return f"{counts}, {needed} of them needed" if needed else f"{counts}, none of them needed"


def _show(findings: Sequence[Finding], screen: Screen, *, all_of_them: bool) -> None:
    for name in dict.fromkeys(one.of for one in findings):
        mine = [one for one in findings if one.of == name]
        held = [one.rule for one in mine if one.state == "held"]
        screen.line(f"{name}: {', '.join(held) or 'nothing'} held", "green" if held else "")
        unshown = []
        for one in mine:
            shown = (
                one.state == "broken"
                or one.needed
                or one.seen == TO_A_PERSON
                or one.rule == "import"
                or (all_of_them and one.seen)
            )
            if not shown:
                unshown += [one.rule] if one.state == "not tried" else []
                continue
            screen.line(f"  {one.state}  {one.rule}: {RULES[one.rule]}", _STYLES[one.state])
            screen.sentence(f"      {one.seen}{f' ({one.scenario})' if one.scenario else ''}")
            if one.remedy:
                screen.sentence(f"      {one.remedy}", "dim")
        if unshown:
            screen.line(f"  not tried, and not needed: {', '.join(unshown)}", "dim")
    screen.line(counted(findings))
