"""``ballast what-if``: what a change would have done to recorded runs, before it is deployed."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ballast.errors import InvalidInput, PlaybookInvalid, SettingInvalid
from ballast.log.exported import ExportedRun
from ballast.money.amounts import MICRO, dollars
from ballast.yaml_files import NotJson, NotYaml, parse_text
from cli.commands.cost import moment
from cli.commands.replay import check_workers, region_of
from cli.exits import Exit
from cli.given_runs import Given
from cli.output_files import Kind, check_kind, check_place
from cli.own_stdout import print_document
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen
from cli.trace.text import clean, cut_short
from cli.what_if.sums import Sums, Threshold, Verdict, as_json, by_result, groups, in_words, money, signed, verdicts
from localcloud.replay.lane import Lane, agent_and_path, is_of_the_stack
from localcloud.replay.rules import Rules
from localcloud.replay.what_if import Compared, Result, compared, unread

if TYPE_CHECKING:
    from ballast.playbook import Playbook
    from cli.deployed_stack import DeployedCloud

#: Runs between two lines of progress, and the runs that are named behind a number.
_EVERY, _NAMED = 50, 3
#: Keys of an agent that name the models that it asks.
_MODELS = frozenset({"model", "model_for", "second_model", "cheaper_model"})


def what_if(typed: Namespace) -> int:
    """Compare saved runs and exported files with a candidate. Return the exit code. Raises ``InvalidInput``."""
    saved_runs = SavedRuns(state_folder(os.environ))
    if bool(typed.runs) == (typed.since is not None):
        raise InvalidInput("Name runs, files or folders, or all runs since a time with --since. Not both.")
    since = typed.since is not None
    given = Given()
    runs = given.since(saved_runs, typed) if since else given.of_words(saved_runs, typed.runs)
    return _compared(given, runs, typed, Screen(), typed.region)


def what_if_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Compare runs of a deployed stack with a candidate. Return the exit code. Raises ``InvalidInput``."""
    if bool(typed.runs) == (typed.since is not None):
        raise InvalidInput("Name runs by their whole ids, or all runs since a time with --since. Not both.")
    run_ids = typed.runs
    if typed.since is not None:
        run_ids = cloud.executions_since(moment(typed.since, datetime.now(UTC)))
    given = Given()
    return _compared(given, given.of_stack(cloud, run_ids, typed), typed, screen, cloud.session.region_name)


def lanes(typed: Namespace, region: str) -> tuple[Lane, Lane, Playbook, dict[str, Any]]:
    """Return the two lanes, the candidate's playbook, and the changes as they were typed. Raises ``InvalidInput``."""
    from ballast.models.card_file import read_cards
    from localcloud.cloud import PLAYBOOK

    before = Path(typed.baseline) if typed.baseline else PLAYBOOK
    baseline = Lane.baseline(before, region=region)
    changes, rules = settings(typed.set), Rules()
    told: dict[str, Any] = dict(changes)
    if typed.rules:
        rules = Rules.read(Path(typed.rules))
        for path, value in rules.agent.items():
            _add(changes, path, value, f"--rules {typed.rules}: agent")
        told |= {"rules": rules.model_dump(mode="json", exclude_unset=True)}
    cards = Path(typed.prices) if typed.prices else None
    if cards is not None:
        if not cards.is_file():
            raise InvalidInput(f"--prices {cards}: there is no such file.")
        if not read_cards(cards).models:
            raise InvalidInput(
                f"--prices {cards}: has no card under `models:`, so it changes nothing. Write one, as in models.yaml."
            )
        told["prices"] = str(cards)
    if typed.playbook:
        told["playbook"] = str(typed.playbook)
    if typed.model:
        from localcloud.converse.choose import check_that_it_answers, label_of, model_source

        check_that_it_answers(model_source(typed.model), typed.model)
        told["asked for real"] = label_of(typed.model)
    if not told:
        raise InvalidInput(
            "Say what would have been changed: --set limits.turns=8, --prices FILE, --rules FILE or --playbook NEW/."
        )
    candidate = replace(
        baseline,
        name="candidate",
        playbook=Path(typed.playbook) if typed.playbook else before,
        changes=changes,
        goes_on=True,
        cards=cards,
        asks=typed.model,
        rules=rules.model_dump(mode="json"),
    )
    return baseline, candidate, _check(candidate, baseline), told


def _check(candidate: Lane, baseline: Lane) -> Playbook:
    """Return the candidate's playbook. Raises ``InvalidInput`` where it cannot be loaded, or deployed as changed."""
    from ballast.models.catalog import Catalog
    from ballast.playbook import load_playbook
    from ballast.playbook.load import playbook_in
    from localcloud.replay.candidate_machine import with_cards

    try:
        playbook = candidate.changed(load_playbook(playbook_in(candidate.playbook)))
        if playbook.agent.sensitive != load_playbook(playbook_in(baseline.playbook)).agent.sensitive:
            raise InvalidInput(
                "sensitive: says what the log keeps of a run, and a mask hides it from the model too; a replay has "
                "only what the log kept. Leave it as it was while the runs were recorded."
            )
        if candidate.cards is not None:
            vars(playbook)["models"] = with_cards(candidate.cards, Catalog, playbook.folder)
        if why := _cannot_be_deployed(playbook, candidate, baseline):
            raise InvalidInput(f"The change cannot be deployed: {why}")
    except (PlaybookInvalid, SettingInvalid) as problem:
        raise InvalidInput(str(problem)) from None
    Rules.model_validate(candidate.rules, strict=False).changed(playbook)
    return playbook


def _cannot_be_deployed(playbook: Playbook, candidate: Lane, baseline: Lane) -> str | None:
    """Return the first thing that ``ballast check`` would refuse of the change; None if it would let it pass.

    What it refuses of the baseline as well is no matter of the change. The template is another one only in another
    folder: rules, prices and fields of agent.yaml touch no variable and no right.
    """
    from ballast.playbook import load_playbook
    from ballast.playbook.load import playbook_in

    is_elsewhere = candidate.playbook.resolve() != baseline.playbook.resolve()
    found = _errors(playbook, candidate.playbook if is_elsewhere else None)
    known = set()
    if found:
        before = load_playbook(playbook_in(baseline.playbook))
        known = set(_errors(before, baseline.playbook if is_elsewhere else None))
    return next((one for one in found if one not in known), None)


def _errors(playbook: Playbook, folder: Path | None) -> list[str]:
    """Return the errors of ``ballast check``; of the template and the certificate too if a ``folder`` is given."""
    from ballast.playbook.load import problems_of
    from cli.checks import of_playbook, of_the_deployment

    today = datetime.now(UTC).date()
    findings = [*of_playbook(playbook, today)]
    if folder is not None:
        findings += of_the_deployment(playbook, folder)
    told = [f"{found.field}: {found.problem} {found.remedy}" for found in findings if found.level == "error"]
    return [*map(str, problems_of(playbook, on=today)), *told]


def settings(typed: Iterable[str]) -> dict[str, Any]:
    """Return what ``--set PATH=VALUE`` says; a value is read as in ``agent.yaml``. Raises ``InvalidInput``."""
    found: dict[str, Any] = {}
    for one in typed:
        path, sign, text = one.partition("=")
        if not sign or not path.strip() or not text.strip():
            raise InvalidInput(f"--set {one!r}: write PATH=VALUE, such as limits.turns=8.")
        _add(found, path.strip(), _value(path.strip(), text), f"--set {one!r}")
    return found


def _add(found: dict[str, Any], path: str, value: Any, said: str) -> None:
    """Add a change, of an amount in dollars its micro-dollars. Raises ``InvalidInput`` if the field is there."""
    if path.rpartition(".")[2] == "cost_usd":
        path, value = f"{path.removesuffix('cost_usd')}cost_microusd", _microusd(value, said)
    if path in found:
        raise InvalidInput(f"{said}: {path} is set twice. Keep one of them.")
    found[path] = value


def _value(path: str, text: str) -> Any:
    """Return a value as ``agent.yaml`` would have it; an amount as it is typed, and what is no YAML as text."""
    if path.rpartition(".")[2] == "cost_usd":
        return text.strip().strip('"')
    try:
        return json.loads(parse_text(text, words=True))
    except (NotYaml, NotJson):
        return text


def _microusd(amount: Any, said: str) -> int:
    try:
        micro = Decimal(str(amount)) * MICRO
        if micro.is_finite() and micro == micro.to_integral_value() and 0 <= micro <= 10**15:
            return int(micro)
    except (InvalidOperation, ValueError):
        pass
    raise InvalidInput(f"{said}: the amount must be 0 or more dollars, with at most six decimals.")


def _compared(given: Given, runs: Iterator[ExportedRun], typed: Namespace, screen: Screen, region: str | None) -> int:
    check_workers(typed.workers)
    thresholds = [Threshold.read(one) for one in typed.fail_if]
    _check_output(typed.html)
    first = given.first(runs, "compare")
    baseline, candidate, playbook, told = lanes(typed, region or region_of(first))
    rows: list[Compared] = []
    interrupted = False
    try:
        for row in compared(baseline, candidate, _and(first, runs), workers=typed.workers):
            rows.append(row)
            if len(rows) % _EVERY == 0:
                print(f"{len(rows)} runs compared …", file=sys.stderr)
        rows += [unread(one.name, one.source, one.why) for one in given.unread]
    except KeyboardInterrupt:
        interrupted = True
    judged = verdicts(thresholds, rows)
    idle = [
        *_touch_nothing(candidate.changes, playbook, rows),
        *_price_nothing(candidate, baseline, playbook, rows),
        *_call_nothing(candidate.rules, rows),
    ]
    if typed.json:
        made = as_json(rows, told, judged) | {"touch_no_run": idle} | ({"interrupted": True} if interrupted else {})
        print_document(json.dumps(made, indent=2))
    else:
        _show(rows, told, screen, verbose=typed.verbose)
        for name in idle:
            screen.line(f"{name} touches no run that was compared: {_none_had(name)}.", "yellow")
        for one in judged:
            if one.met or one.not_judged:
                screen.line(str(one), "red" if one.met else "yellow")
        if interrupted:
            screen.line("Interrupted: the rest was not compared.", "yellow")
    if typed.html:
        _write(typed.html, rows, told, judged)
    if interrupted:
        return Exit.INTERRUPTED
    if any(one.met for one in judged):
        return Exit.UNFIT
    return Exit.OK if any(row.result is not Result.NOT_CONCLUDED for row in rows) else Exit.NOT_COVERED


def _touch_nothing(changes: Mapping[str, Any], playbook: Playbook, rows: Sequence[Compared]) -> list[str]:
    """Return the changes of an agent, or of its intent, that no compared run had."""
    had = {(agent, row.intent) for row in rows for agent in row.agents}
    if len(changes) == 1 and any(row.result not in (Result.SAME, Result.NOT_CONCLUDED) for row in rows):
        return []  # another agent's field is read for this one as well: to whom it may hand over
    found = []
    for path in changes if had else ():
        agent, inner = agent_and_path(path, playbook)
        intent = inner.split(".")[1] if inner.startswith("intents.") else None
        touches = any(one == agent and intent in (None, of) for one, of in had)
        if not touches and not is_of_the_stack(inner):
            found.append(path)
    return found


def _price_nothing(candidate: Lane, baseline: Lane, playbook: Playbook, rows: Sequence[Compared]) -> list[str]:
    """Return the cards of ``--prices`` under which no compared run was asked; another model may be asked instead."""
    from ballast.models.card_file import read_cards

    if candidate.cards is None or not any(row.models for row in rows):
        return []
    asked = {model for row in rows for model in row.models}
    names_others = candidate.playbook != baseline.playbook or any(
        path.rpartition(".")[2] in _MODELS for path in candidate.changes
    )
    if candidate.asks or names_others:
        asked |= {model for agent in playbook.agents.values() for model in agent.models.values()}
    known = {playbook.models.named(model)[0] for model in asked}
    cards = read_cards(candidate.cards)
    return [f"prices.{one}" for one in cards.models if not known & {one, *cards.also(one)}]


def _call_nothing(rules: Mapping[str, Any], rows: Sequence[Compared]) -> list[str]:
    """Return the tools of ``--rules`` that no compared run called."""
    called = {tool for row in rows for tool in row.tools}
    return [f"tools.{name}" for name in rules.get("tools", {}) if called and name not in called]


def _none_had(name: str) -> str:
    if name.startswith("prices."):
        return "none asked that model. Correct its id, as it stands in `ballast trace RUN`"
    return "none called that tool" if name.startswith("tools.") else "none had that agent and intent"


#: How ``page`` begins, also that of earlier versions.
PAGE = Kind("a page of `ballast what-if`", lambda text: text.startswith("<!DOCTYPE html>") and _TITLE in text)
_TITLE = "<title>Ballast: what if</title>"


def _check_output(html: str | None) -> None:
    """Raise ``InvalidInput`` where the page could not be written: before the first run is played."""
    if html is None:
        return
    file = Path(html)
    check_place("--html", file)
    if not file.parent.is_dir():
        raise InvalidInput(f"--html {html}: there is no folder {file.parent}. Make it first.")
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise InvalidInput(f"--html {html}: no file can be written there.")
    check_kind("--html", file, PAGE)


def _write(html: str, rows: Sequence[Compared], told: Mapping[str, Any], judged: Sequence[Verdict]) -> None:
    from cli.what_if.page import page

    try:
        Path(html).write_text(page(rows, told, judged), encoding="utf-8")
    except OSError as problem:
        raise InvalidInput(f"--html {html}: cannot be written ({problem.strerror}).") from None
    print(f"Written: {html}", file=sys.stderr)


def _and(first: ExportedRun, rest: Iterator[ExportedRun]) -> Iterator[ExportedRun]:
    yield first
    yield from rest


# The table


def _show(rows: Sequence[Compared], told: Mapping[str, Any], screen: Screen, *, verbose: bool) -> None:
    screen.line("What if: " + ", ".join(f"{name} = {_shown(value)}" for name, value in told.items()), "bold")
    _table("result", by_result(rows), screen)
    for title, by in (
        ("intent", groups(rows, lambda row: row.intent)),
        ("tenant", groups(rows, lambda row: row.tenant)),
    ):
        if len(by) > 1:
            _table(title, by, screen)
    screen.line(in_words(rows))
    for row in rows:
        if row.result is not Result.SAME and (verbose or len(rows) <= 10):
            _show_row(row, screen)


def _shown(value: Any) -> str:
    return _short(value if isinstance(value, str) else json.dumps(value), 120)


def _short(text: str, most: int) -> str:
    text = clean(text, lines=False)
    return text if len(text) <= most else cut_short(text, most)


def _table(title: str, named: Mapping[str, Sequence[Compared]], screen: Screen) -> None:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column(title)
    for name in ("runs", "recorded $", "what if $", "turns", "effects", "people"):
        table.add_column(name, justify="right")
    table.add_column("such as")
    rows = [*named.items(), *([("all", [row for some in named.values() for row in some])] if title == "result" else [])]
    for name, some in rows:
        sums = Sums.of(some)
        known = sums.concluded > 0
        table.add_row(
            Text(clean(name or "(none)", lines=False)),
            sums.counted,
            dollars(sums.recorded_microusd) if known else "",
            money(sums) if known else "",
            signed(-sums.turns_saved) if known else "",
            f"-{sums.fewer} +{sums.more}" if sums.fewer or sums.more else "",
            signed(sums.people_more) if sums.people_more else "",
            Text(" ".join(clean(row.run_id, lines=False)[:14] for row in some[:_NAMED]) if name != "all" else ""),
        )
    screen.show(table)
    screen.line()


def _show_row(row: Compared, screen: Screen) -> None:
    cost = dollars(row.low) if row.low == row.high else f"{dollars(row.low)} to {dollars(row.high)}"
    where = f" at {row.at}" if row.at else ""
    screen.line(f"{row.run_id}: {row.result}{where}, ${dollars(row.recorded.cost_microusd)} → ${cost}", "yellow")
    screen.line(f"  {clean(row.why, lines=False)}")
    for word, writes in (("not done", row.fewer), ("only now", row.more)):
        for one in writes:
            screen.line(f"  {word}: {_short(one, 100)}")
