"""``ballast verify``: whether the log of a run, or of all runs since a time, is as it was written."""

from __future__ import annotations

import argparse
import json
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from ballast.errors import InvalidInput, SettingInvalid
from cli.exits import Exit

if TYPE_CHECKING:
    from ballast.log.evidence import Verdict
    from cli.output import Screen
    from cli.stack import DeployedCloud

TEACHING = """\
Check that the log of a run, or of all runs since a time, is as it was written: every event against the
digest in the run's ending, every prompt against the one that was sent, with --stack also the ending against
the run's settled lease. The first event that does not fit is named, and every answer that claims to be a
person's and is not signed.

  ballast verify run-abcd                            a saved run, by the beginning of its id
  ballast verify --since 1d                          the saved runs of the last day (m, h, d)
  ballast --stack ballast-dev verify run-abcdefgh    in the stack's tables (the whole id)
  ballast --stack ballast-dev verify --since 6h      every run whose execution began since then
  ballast --stack ballast-dev verify --since 6h --json || page-someone

Ends with 0 where all fit, 6 where one does not or could not be read, 7 where none is known to be changed but one
that ended, or the one that was named, is covered by no digest: it goes on, was refused, or an older version ended it.
"""
#: A verdict; None where there is no log; or why the run could not be read.
Found: TypeAlias = "Verdict | str | None"
#: So many runs are checked between two lines of progress.
_EVERY = 50
_SAYS = {
    "fits": "fits",
    "unfit": "DOES NOT FIT",
    "unread": "COULD NOT BE READ",
    "not_covered": "not covered",
    "open": "goes on",
    "refused": "refused",
    "no_log": "no log",
}
_WHY = {
    "not_covered": "an older version ended it, or TTL has begun to remove it: nothing vouches for its events",
    "open": "it has not ended: single events and prompts were checked, and nothing vouches for the whole yet",
    "refused": "it was not admitted: its events were checked one by one, and nothing vouches for the whole",
    "no_log": "its execution was started, and nothing is in its log",
}


def arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may be typed."""
    sub.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or its beginning (with --stack: the whole id)")
    sub.add_argument("--since", metavar="TIME", help="all runs begun since then: 30m, 6h, 2d, or a moment in ISO 8601")
    sub.add_argument("--tenant", action="append", metavar="NAME", help="with --since: of these tenants only")
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def verify(typed: Namespace) -> int:
    """Check saved runs and return the exit code. Raises ``InvalidInput``."""
    from ballast.log.evidence import check
    from cli.commands.cost import may_be_of, moment, opened_at, wants_one
    from cli.journal import Journal, state_folder
    from cli.output import Screen

    journal, now = Journal(state_folder(os.environ)), datetime.now(UTC)
    unreadable: dict[str, str] = {}
    if wants_one(typed):
        saved = [journal.find(typed.run)]
    else:
        since = moment(typed.since, now)
        saved = [one for one in journal.recent(100_000, unreadable) if opened_at(one.events) >= since]
        saved = [one for one in saved if may_be_of(one.events, typed.tenant)]
    by_id = {one.run_id: one for one in saved}
    found = _each(by_id, lambda run_id: check(by_id[run_id].events, broken=by_id[run_id].corrupt, now=now))
    return _report(chain(found, unreadable.items()), typed, Screen())


def verify_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Check runs of a deployed stack and return the exit code. Raises ``InvalidInput``."""
    from cli.commands.cost import moment, wants_one

    now = datetime.now(UTC)
    run_ids: Iterable[str]
    if wants_one(typed):
        one = list(_each([typed.run], lambda run_id: cloud.verdict(run_id, now)))
        if one == [(typed.run, None)]:
            raise InvalidInput(f"{typed.run}: the stack has no log of it. A run's whole id is needed here.")
        return _report(iter(one), typed, screen)
    if typed.tenant:
        since = moment(typed.since, now)
        run_ids = (run for tenant in typed.tenant for run in cloud.runs_since(tenant, since, 100_000))
    else:
        run_ids = cloud.executions_since(moment(typed.since, now))
    return _report(_each(run_ids, lambda run_id: cloud.verdict(run_id, now)), typed, screen)


def _each(run_ids: Iterable[str], verdict_on: Callable[[str], Verdict | None]) -> Iterator[tuple[str, Found]]:
    """Yield what is found of each run. One that cannot be read, whatever the reason, does not end the others'."""
    for run_id in run_ids:
        try:
            yield run_id, verdict_on(run_id)
        except (InvalidInput, SettingInvalid):  # what was typed, or the stack: it is so of every run
            raise
        except Exception as problem:
            yield run_id, f"{type(problem).__name__}: {problem}"


def _report(found: Iterator[tuple[str, Found]], typed: Namespace, screen: Screen) -> int:
    """Print each verdict as it comes, and the sum; return the exit code."""
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for run_id, verdict in found:
        row = _row(run_id, verdict, typed.stack)
        counts[row["status"]] += 1
        if typed.json:
            rows.append(row)
        elif typed.run is not None or row["status"] in ("unfit", "unread", "not_covered"):
            _show(row, screen)
        if counts.total() % _EVERY == 0:
            print(f"{counts.total()} runs checked …", file=sys.stderr)
    if typed.json:
        print(json.dumps({"runs": rows, "counts": dict(counts)}, indent=2))
    elif typed.run is None:
        summed = ", ".join(f"{counts[status]} {says}" for status, says in _SAYS.items() if counts[status])
        screen.line(f"{counts.total()} runs: {summed}." if counts else f"No run since {typed.since}.")
    if counts["unfit"] or counts["unread"]:
        return Exit.UNFIT
    if counts["not_covered"] or (typed.run is not None and not counts["fits"]):
        return Exit.NOT_COVERED
    return Exit.OK


def _row(run_id: str, verdict: Found, stack: str | None) -> dict[str, Any]:
    if isinstance(verdict, str):
        return {"run_id": run_id, "status": "unread", "why": verdict}
    if verdict is None:
        return {"run_id": run_id, "status": "no_log", "why": _WHY["no_log"]}
    row: dict[str, Any] = {
        "run_id": run_id,
        "status": verdict.status,
        "covered": verdict.covered,
        "prompts": verdict.prompts,
        "late": list(verdict.late),
        "unsigned": list(verdict.unsigned),
    }
    if verdict.first is not None:
        forged = verdict.first.seq in verdict.unsigned
        row |= {"first": {"seq": verdict.first.seq, "why": verdict.first.why}, "do": _what_to_do(run_id, stack, forged)}
    elif verdict.status in _WHY:
        row["why"] = _WHY[verdict.status]
    return row


def _what_to_do(run_id: str, stack: str | None, forged: bool) -> str:
    if stack is None:
        return "The file was edited, or the run's log was. Verify the run in the stack that it is of, or run it again."
    if forged:
        return (
            'Change nothing. See "An answer that is not signed" in docs/operating.md: find in CloudTrail who wrote it, '
            "and take that role's sessions away. No call that needs a person was made by it."
        )
    return (
        'Change nothing. See "The log was touched" in docs/operating.md: restore the table to a time before it, '
        f"compare the events of {run_id}, and find in CloudTrail who wrote them."
    )


def _show(row: dict[str, Any], screen: Screen) -> None:
    status = row["status"]
    checked = f", {row['covered']} events and {row['prompts']} prompts checked" if status == "fits" else ""
    style = {"fits": "green", "unfit": "red", "unread": "red"}.get(status, "yellow")
    screen.line(f"{row['run_id']}: {_SAYS[status]}{checked}", style)
    if "first" in row:
        screen.line(f"  first: {row['first']['seq']} {row['first']['why']}")
        screen.line(f"  {row['do']}")
    if "why" in row:
        screen.line(f"  {row['why']}")
    if row.get("unsigned"):
        screen.line(f"  answers that no person signed: {', '.join(row['unsigned'])}")
    if row.get("late"):
        screen.line(f"  late, covered by no digest: {', '.join(row['late'])}")
