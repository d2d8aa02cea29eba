"""Lists of runs, through the indexes of the log."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from ballast.contracts import Event
from ballast.contracts.event import run_seq
from ballast.folds import requested
from ballast.http.paging import key_of, token
from ballast.http.problem import invalid
from ballast.log import Found, RunIndex, RunLog
from ballast.log.run_index import by_outcome, by_tenant
from ballast.runtime import Runtime
from functions.intake.contract import ENDED, RunPage, RunSummary, Status
from functions.intake.reading import about, ended_as, run_of

#: So many pages of the index are looked through for a page of runs; then the caller asks for the next.
_MAX_LOOKS = 4
_KEY = {
    "run_id": r"run-[a-z2-7]{24}",
    "seq": r"0000\.run\.(opened|refused)|9999\.run\.ended",
    "at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+00:00",
}


@dataclass(frozen=True)
class Wanted:
    """Which runs. ``since`` and ``until``: of the opening, or of the ending where ``status`` is an ending."""

    tenant: str
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_text(self) -> dict[str, str | None]:
        """Return it as what a page token is bound to."""
        return {"tenant": self.tenant, "status": self.status, "since": _utc(self.since), "until": _utc(self.until)}


@dataclass(frozen=True)
class Listing:
    """Finds runs by tenant, status and time."""

    index: RunIndex
    log: RunLog

    @classmethod
    def of(cls, runtime: Runtime) -> Listing:
        """Put it together; once per runtime."""
        return cls(runtime.get(RunIndex.of), runtime.get(RunLog.of))

    def page(self, wanted: Wanted, limit: int, next_token: str | None) -> RunPage:
        """Return one page, newest first.

        It may hold fewer runs than ``limit``, and still have a ``next``: running ones are found among all.
        Raises ``Problem`` for a token that does not belong here.
        """
        asked = wanted.as_text()
        since, until = asked["since"], asked["until"]
        if since and until and since > until:
            raise invalid("until", "must not be before since")
        after = Found(**key_of(next_token, asked, _KEY)) if next_token is not None else None
        if after and ((since and after.at < since) or (until and after.at > until)):
            raise invalid("next", "is no token of this API; send what the last page gave, or leave it out")
        runs: list[RunSummary] = []
        more = True
        for _ in range(_MAX_LOOKS):
            found, more = self._look(wanted, limit - len(runs), after)
            runs += [run for run in self._summaries(found) if wanted.status in (None, run.status)]
            after = found[-1] if found else after
            if not more or len(runs) >= limit:
                break
        return RunPage(runs=tuple(runs), next=token(asked, asdict(after)) if more and after else None)

    def _look(self, wanted: Wanted, limit: int, after: Found | None) -> tuple[tuple[Found, ...], bool]:
        by_ending = wanted.status in ENDED
        index = by_outcome(wanted.tenant, str(wanted.status)) if by_ending else by_tenant(wanted.tenant)
        return self.index.find(index, since=_utc(wanted.since), until=_utc(wanted.until), limit=limit, after=after)

    def _summaries(self, found: tuple[Found, ...]) -> list[RunSummary]:
        steps = ("opened", "refused", "ended")
        events = self.log.read_keys([(one.run_id, run_seq(step)) for one in found for step in steps])
        made = []
        for one in found:
            of_run = [events[key] for step in steps if (key := (one.run_id, run_seq(step))) in events]
            if of_run:
                made.append(self._summary(of_run))
        return made

    def _summary(self, of_run: list[Event]) -> RunSummary:
        first, last = of_run[0], of_run[-1]
        if last.name == "run.opened":
            # Whether it runs or waits, only the whole log says.
            run = run_of(self.log.read(first.run_id))
            return RunSummary.model_validate(run.model_dump(include=set(RunSummary.model_fields)))
        facts = about(requested(of_run)) | ended_as(last) | {"run_id": first.run_id}
        facts |= {"opened_at": first.at} if first.name == "run.opened" else {}
        return RunSummary.model_validate({name: facts[name] for name in facts if name in RunSummary.model_fields})


def _utc(time: datetime | None) -> str | None:
    try:
        return time.astimezone(UTC).isoformat() if time else None
    except OverflowError:
        raise invalid("since, until", "must lie between the years 1 and 9999 in UTC") from None
