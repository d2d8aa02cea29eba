"""``ballast verify``: check that nobody changed the log of a run, or of all runs since a time."""

from __future__ import annotations

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
from ballast.log.evidence import Verdict, check
from cli.commands.cost import may_be_of, moment, opened_at, wants_one
from cli.exits import Exit
from cli.own_stdout import print_document
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

#: A verdict; None if there is no log; or why the run could not be read.
Found: TypeAlias = Verdict | str | None
#: Runs between two lines of progress.
_EVERY = 50
_SAYS = {
    "fits": "unchanged",
    "unfit": "CHANGED",
    "unread": "COULD NOT BE READ",
    "not_covered": "not covered",
    "open": "not ended",
    "refused": "refused",
    "no_log": "no log",
}
_WHY = {
    "not_covered": "an older version ended it, or TTL has begun to remove it: no digest covers its events",
    "open": "it has not ended: its events and prompts were checked one by one; no digest covers the whole yet",
    "refused": "it was not admitted: its events were checked one by one; no digest covers the whole",
    "no_log": "its execution was started, but its log is empty",
}


def verify(typed: Namespace) -> int:
    """Check saved runs and return the exit code. Raises ``InvalidInput``."""
    saved_runs, now = SavedRuns(state_folder(os.environ)), datetime.now(UTC)
    unreadable: dict[str, str] = {}
    if wants_one(typed):
        saved = [saved_runs.find(typed.run)]
    else:
        since = moment(typed.since, now)
        saved = [one for one in saved_runs.recent(100_000, unreadable) if opened_at(one.events) >= since]
        saved = [one for one in saved if may_be_of(one.events, typed.tenant)]
    by_id = {one.run_id: one for one in saved}
    found = _each(by_id, lambda run_id: check(by_id[run_id].events, broken=by_id[run_id].corrupt, now=now))
    return _report(chain(found, unreadable.items()), typed, Screen())


def verify_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Check runs of a deployed stack and return the exit code. Raises ``InvalidInput``."""
    now = datetime.now(UTC)
    run_ids: Iterable[str]
    if wants_one(typed):
        one = list(_each([typed.run], lambda run_id: cloud.verdict(run_id, now)))
        if one == [(typed.run, None)]:
            raise InvalidInput(f"{typed.run}: the stack has no log of this run. Type the whole id.")
        return _report(iter(one), typed, screen)
    if typed.tenant:
        since = moment(typed.since, now)
        run_ids = (run for tenant in typed.tenant for run in cloud.runs_since(tenant, since, 100_000))
    else:
        run_ids = cloud.executions_since(moment(typed.since, now))
    return _report(_each(run_ids, lambda run_id: cloud.verdict(run_id, now)), typed, screen)


def _each(run_ids: Iterable[str], verdict_on: Callable[[str], Verdict | None]) -> Iterator[tuple[str, Found]]:
    """Yield the verdict on each run. A run that cannot be read does not stop the check of the others."""
    for run_id in run_ids:
        try:
            yield run_id, verdict_on(run_id)
        except (InvalidInput, SettingInvalid):  # wrong for every run: the command line or the stack
            raise
        except Exception as problem:
            yield run_id, f"{type(problem).__name__}: {problem}"


def _report(found: Iterator[tuple[str, Found]], typed: Namespace, screen: Screen) -> int:
    """Print each verdict as it comes, then the counts; return the exit code."""
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
        print_document(json.dumps({"runs": rows, "counts": dict(counts)}, indent=2))
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
        return "The file or the log that it was saved from was edited. Verify the run in its stack, or run it again."
    if forged:
        return (
            'Change nothing. See "An answer that is not signed" in docs/operating.md: find in CloudTrail who wrote it, '
            "and revoke that role's sessions. No call that needs a person's approval was made because of it."
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
        screen.line(f"  answers that are not signed: {', '.join(row['unsigned'])}")
    if row.get("late"):
        screen.line(f"  late, not covered by the digest: {', '.join(row['late'])}")
