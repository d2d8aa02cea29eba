"""The runs that ``replay`` and ``what-if`` are given: each run once, and what cannot be read beside them.

::

    given = Given()
    for run in given.of_words(saved_runs, ["run-abcd", "exported/"]): …    readable runs, each once
    given.unread                                                          the others, each with the reason
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ballast.contracts.wire import canonical
from ballast.errors import InvalidInput
from ballast.log.exported import ExportedRun, read
from cli.commands.cost import moment, opened_at
from cli.saved_runs import SavedRun, SavedRuns

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud


@dataclass(frozen=True)
class Unread:
    """A run, or a file, that cannot be read; ``name``: the run's id if it is known, else the file."""

    name: str
    source: str
    why: str


class Given:
    """Reads what was typed. ``unread`` grows while the runs are read."""

    def __init__(self) -> None:
        self.unread: list[Unread] = []
        self._seen: dict[str, tuple[str, str]] = {}

    def of_words(self, saved_runs: SavedRuns, words: Iterable[str]) -> Iterator[ExportedRun]:
        """Yield the runs of files and folders, and the saved runs whose ids begin so. Raises ``InvalidInput``."""
        return self._once(self._of_words(saved_runs, words))

    def since(self, saved_runs: SavedRuns, typed: Namespace) -> Iterator[ExportedRun]:
        """Yield the saved runs that were opened since ``--since``. Raises ``InvalidInput``."""
        since = moment(typed.since, datetime.now(UTC))
        recent = (one for one in saved_runs.recent(100_000) if opened_at(one.events) >= since)
        return self._once(run for one in recent for run in self._exported(one))

    def of_stack(self, cloud: DeployedCloud, run_ids: Iterable[str], typed: Namespace) -> Iterator[ExportedRun]:
        """Yield runs of a deployed stack. Raises ``InvalidInput`` for an unknown one."""
        return self._once(self._of_stack(cloud, run_ids, typed))

    def first(self, runs: Iterator[ExportedRun], what: str) -> ExportedRun:
        """Return the first run of ``runs``. Raises ``InvalidInput`` if there is none to read; ``what``: to do."""
        found = next(runs, None)
        if found is not None:
            return found
        if self.unread:
            more = f" So are {len(self.unread) - 1} more." if len(self.unread) > 1 else ""
            raise InvalidInput(f"{self.unread[0].why}{more}")
        raise InvalidInput(f"There is no run to {what}. `ballast demo` makes one.")

    def _of_words(self, saved_runs: SavedRuns, words: Iterable[str]) -> Iterator[ExportedRun]:
        for word in words:
            path = Path(word)
            if path.exists() or path.suffix:
                yield from read(path, bad=self._bad)
            else:
                yield from self._exported(saved_runs.find(word))

    def _bad(self, name: str, source: str, problem: InvalidInput) -> None:
        self.unread.append(Unread(name, source, str(problem)))

    def _exported(self, saved: SavedRun) -> Iterator[ExportedRun]:
        if not saved.corrupt:
            yield ExportedRun(saved.run_id, saved.events.events, saved.title)
            return
        self._corrupt(saved.run_id, saved.title, saved.corrupt)

    def _corrupt(self, run_id: str, source: str, corrupt: Mapping[str, str]) -> None:
        seq, why = next(iter(corrupt.items()))
        self.unread.append(Unread(run_id, source, f"{run_id}: {seq}: {why}. Only a whole log can be replayed."))

    def _of_stack(self, cloud: DeployedCloud, run_ids: Iterable[str], typed: Namespace) -> Iterator[ExportedRun]:
        for run_id in dict.fromkeys(run_ids):
            events, corrupt = cloud.read_all(run_id)
            if corrupt:
                self._corrupt(run_id, typed.stack, corrupt)
            elif events:
                yield ExportedRun(run_id, events.events, typed.stack)
            elif getattr(typed, "since", None) is None:
                raise InvalidInput(f"{run_id}: the stack has no log of this run. Type the whole id.")

    def _once(self, runs: Iterable[ExportedRun]) -> Iterator[ExportedRun]:
        """Yield each run once: a run that is given twice would count twice. Raises ``InvalidInput``."""
        for run in runs:
            digest, source = _digest(run), run.source or run.title or "the saved runs"
            if run.run_id not in self._seen:
                self._seen[run.run_id] = digest, source
                yield run
                continue
            before, where = self._seen[run.run_id]
            if before != digest:
                raise InvalidInput(
                    f"{run.run_id}: is given twice, in {where} and in {source}, and the copies differ. Give only one."
                )
            print(f"{run.run_id}: is given twice; the copy in {source} is left out.", file=sys.stderr)


def _digest(run: ExportedRun) -> str:
    """Return the digest of what everybody may see of a run."""
    seen = sha256()
    for event in run.events:
        seen.update(canonical({"seq": event.seq, "at": event.at, "body": event.shown}).encode())
    return seen.hexdigest()
