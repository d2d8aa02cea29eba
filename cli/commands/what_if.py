"""``ballast what-if``: what a change would have done to recorded runs, before it is deployed."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
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
from cli.commands.cost import moment
from cli.commands.replay import check_workers, region_of
from cli.exits import Exit
from cli.given_runs import Given
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen
from cli.trace.text import clean, cut_short
from cli.what_if.sums import Sums, Threshold, Verdict, as_json, by_result, groups, in_words, money, signed, verdicts
from localcloud.replay.lane import Lane
from localcloud.replay.rules import Rules
from localcloud.replay.what_if import Compared, Result, compared, unread

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

#: Runs between two lines of progress, and the runs that are named behind a number.
_EVERY, _NAMED = 50, 3


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


def lanes(typed: Namespace, region: str) -> tuple[Lane, Lane, dict[str, Any]]:
    """Return the baseline's lane, the candidate's, and the changes as they were typed. Raises ``InvalidInput``."""
    from localcloud.cloud import PLAYBOOK

    before = Path(typed.baseline) if typed.baseline else PLAYBOOK
    baseline = Lane.baseline(before, region=region)
    changes, rules = settings(typed.set), Rules()
    told: dict[str, Any] = dict(changes)
    if typed.rules:
        rules = Rules.read(Path(typed.rules))
        told |= {"rules": rules.model_dump(mode="json", exclude_unset=True)}
    cards = Path(typed.prices) if typed.prices else None
    if cards is not None:
        if not cards.is_file():
            raise InvalidInput(f"--prices {cards}: there is no such file.")
        told["prices"] = str(cards)
    if typed.playbook:
        told["playbook"] = str(typed.playbook)
    if typed.model:
        from localcloud.converse.choose import check_that_it_answers, model_source

        check_that_it_answers(model_source(typed.model), typed.model)
        told["asked for real"] = typed.model
    if not told:
        raise InvalidInput(
            "Say what would have been changed: --set limits.turns=8, --prices FILE, --rules FILE or --playbook NEW/."
        )
    candidate = replace(
        baseline,
        name="candidate",
        playbook=Path(typed.playbook) if typed.playbook else before,
        changes={**settings(f"{name}={json.dumps(value)}" for name, value in rules.agent.items()), **changes},
        goes_on=True,
        cards=cards,
        asks=typed.model,
        rules=rules.model_dump(mode="json"),
    )
    _check(candidate)
    return baseline, candidate, told


def _check(candidate: Lane) -> None:
    """Raise ``InvalidInput`` where the candidate's playbook cannot be loaded, or lacks what is changed."""
    from ballast.models.card_file import read_cards
    from ballast.playbook import load_playbook
    from ballast.playbook.load import playbook_in

    try:
        if candidate.cards is not None:
            read_cards(candidate.cards)
        playbook = candidate.changed(load_playbook(playbook_in(candidate.playbook)))
    except (PlaybookInvalid, SettingInvalid) as problem:
        raise InvalidInput(str(problem)) from None
    Rules.model_validate(candidate.rules, strict=False).changed(playbook)


def settings(typed: Any) -> dict[str, Any]:
    """Return what ``--set PATH=VALUE`` says, values as JSON or as text. Raises ``InvalidInput``."""
    found: dict[str, Any] = {}
    for one in typed:
        path, sign, text = one.partition("=")
        path = path.strip()
        if not sign or not path:
            raise InvalidInput(f"--set {one!r}: write PATH=VALUE, such as limits.turns=8.")
        if path.rpartition(".")[2] == "cost_usd":
            path, text = f"{path.removesuffix('cost_usd')}cost_microusd", _microusd(one, text)
        try:
            found[path] = json.loads(text)
        except ValueError:
            found[path] = text
    return found


def _microusd(typed: str, text: str) -> str:
    try:
        micro = Decimal(text.strip().strip('"')) * MICRO
        if micro.is_finite() and micro == micro.to_integral_value() and 0 <= micro <= 10**15:
            return str(int(micro))
    except (InvalidOperation, ValueError):
        pass
    raise InvalidInput(f"--set {typed!r}: the amount must be 0 or more dollars, with at most six decimals.")


def _compared(given: Given, runs: Iterator[ExportedRun], typed: Namespace, screen: Screen, region: str | None) -> int:
    check_workers(typed.workers)
    thresholds = [Threshold.read(one) for one in typed.fail_if]
    _check_output(typed.html)
    first = given.first(runs, "compare")
    baseline, candidate, told = lanes(typed, region or region_of(first))
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
    if typed.json:
        print(json.dumps(as_json(rows, told, judged) | ({"interrupted": True} if interrupted else {}), indent=2))
    else:
        _show(rows, told, screen, verbose=typed.verbose)
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


def _check_output(html: str | None) -> None:
    """Raise ``InvalidInput`` where the page could not be written: before the first run is played."""
    if html is None:
        return
    file = Path(html)
    if not file.parent.is_dir():
        raise InvalidInput(f"--html {html}: there is no folder {file.parent}. Make it first.")
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise InvalidInput(f"--html {html}: no file can be written there.")


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
    screen.line("What if: " + ", ".join(f"{name} = {_value(value)}" for name, value in told.items()), "bold")
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


def _value(value: Any) -> str:
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
            str(sums.runs),
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
