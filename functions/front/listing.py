"""Lists of runs and the activity of the last day, read through the indexes of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from ballast.contracts.task import LAST_TURN
from ballast.folds.feedback import Verdict, verdict_of
from ballast.http.paging import PAGE_BYTES, key_of, sent_bytes, token
from ballast.http.problem import invalid
from ballast.log.event import GARBLED, Event
from ballast.log.events import RunCorrected, RunEnded, RunFeedback, RunOpened, RunRefused
from ballast.log.run_index import Found, RunIndex, by_outcome, by_tenant
from ballast.log.run_log import RunLog, Unreadable
from ballast.run import Run
from ballast.runtime import Runtime
from ballast.values import dataclass
from functions.front.contract import ENDED, ActiveHour, Activity, RunPage, RunSummary, Status
from functions.front.runs import is_expired, line_of, run_of

#: Most pages of the index that are read for one page of runs; the caller then asks for the next.
_MAX_LOOKS = 4
#: ``Listing.activity``: hours shown, entries of an index counted at most, and entries per query.
_HOURS = 24
_COUNTED, _A_LOOK = 10_000, 2_500
#: Most answers an hour whose author is read.
_ANSWERS_AN_HOUR = 10
_KEY = {
    "run_id": r"run-[a-z2-7]{24}",
    "seq": r"0000\.run\.(opened|refused)|9999\.run\.(ended|([0-9]{1,4}\.)?feedback)",
    "at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+00:00",
}


@dataclass(frozen=True)
class RunFilter:
    """The runs to list.

    feedback      what people say of them afterwards; not with ``status``
    since, until  of the opening; of the ending if ``status`` is an ending, of the words if ``feedback`` is asked for
    """

    tenant: str
    status: Status | None = None
    feedback: Verdict | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_text(self) -> dict[str, str | None]:
        """Return the value that a page token is bound to."""
        told = {"tenant": self.tenant, "status": self.status, "since": _utc(self.since), "until": _utc(self.until)}
        return told | ({"feedback": self.feedback} if self.feedback else {})


@dataclass(frozen=True)
class Listing:
    """Finds runs by tenant, status and time."""

    index: RunIndex
    log: RunLog
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> Listing:
        """Return the lists of ``runtime``'s stack."""
        return cls(runtime.get(RunIndex.of), runtime.get(RunLog.of), runtime.clock)

    def page(self, wanted: RunFilter, limit: int, next_token: str | None) -> RunPage:
        """Return one page, newest first.

        It may hold fewer runs than ``limit``, and still have a ``next``: running ones are found among all.
        Raises ``Problem`` for a token of another list.
        """
        if wanted.feedback and wanted.status:
            raise invalid("feedback", "cannot be combined with status; leave one of them out")
        asked = wanted.as_text()
        since, until = asked["since"], asked["until"]
        if since and until and since > until:
            raise invalid("until", "must not be before since")
        after = Found(**key_of(next_token, asked, _KEY)) if next_token is not None else None
        if after and ((since and after.at < since) or (until and after.at > until)):
            raise invalid("next", "is not a token of this API; send the last page's `next`, or leave it out")
        runs: list[RunSummary] = []
        more, size = True, 0
        for _ in range(_MAX_LOOKS):
            found, more = self._look(wanted, limit - len(runs), after)
            for one, run in self._summaries(found, wanted.feedback):
                if run is not None and _wants(wanted, run):
                    size += sent_bytes(run.model_dump(mode="json"))
                    if runs and size > PAGE_BYTES:  # the page is full by its bytes: the next one begins here
                        return RunPage(runs=tuple(runs), next=token(asked, asdict(after)) if after else None)
                    runs.append(run)
                after = one
            if not more or len(runs) >= limit:
                break
        return RunPage(runs=tuple(runs), next=token(asked, asdict(after)) if more and after else None)

    def activity(self, tenant: str) -> Activity:
        """Return the tenant's last 24 hours.

        At most four queries an index and 240 endings read. Raises ``RetryLater``.
        """
        hour = self.clock().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hours = [hour - timedelta(hours=back) for back in reversed(range(_HOURS))]
        started, started_since = self._by_hour(by_tenant(tenant), hours[0])
        answered, answered_since = self._by_hour(by_outcome(tenant, "answered"), hours[0])
        looked_at = {since: found[:_ANSWERS_AN_HOUR] for since, found in answered.items()}
        by_others = self._by_others([one for found in looked_at.values() for one in found])
        shown = []
        for since in hours:
            if since < max(started_since, answered_since):
                continue
            known = [by_others[one.run_id] for one in looked_at.get(since, ()) if one.run_id in by_others]
            shown.append(
                ActiveHour(
                    since=since.isoformat(),
                    runs=len(started.get(since, ())),
                    answered=len(answered.get(since, ())),
                    looked_at=len(known),
                    by_others=sum(known),
                )
            )
        return Activity(tenant=tenant, hours=tuple(shown))

    def _by_hour(self, index: Mapping[str, str], since: datetime) -> tuple[dict[datetime, list[Found]], datetime]:
        """Return the entries of the index since then, by hour and newest first, and the first hour that is complete."""
        hours: dict[datetime, list[Found]] = {}
        after: Found | None = None
        for _ in range(_COUNTED // _A_LOOK):
            found, more = self.index.find(index, since=_utc(since), limit=_A_LOOK, after=after)
            for one in found:
                if (at := _hour(one.at)) is not None:
                    hours.setdefault(at, []).append(one)
            after = found[-1] if found else after
            if not more or after is None:
                return hours, since
        oldest = min(hours, default=self.clock().astimezone(UTC))
        return hours, oldest + timedelta(hours=1)

    def _by_others(self, answered: list[Found]) -> dict[str, bool]:
        """Return by run whether somebody else than the agent answered; what cannot be read is left out."""
        events = self.log.read_keys([(one.run_id, one.seq) for one in answered], [])
        told: dict[str, bool] = {}
        for (run_id, _), event in events.items():
            try:
                ended = event.fact
            except GARBLED:
                continue
            if isinstance(ended, RunEnded):
                told[run_id] = ended.degraded
        return told

    def _look(self, wanted: RunFilter, limit: int, after: Found | None) -> tuple[tuple[Found, ...], bool]:
        outcome = (
            f"feedback.{wanted.feedback}" if wanted.feedback else wanted.status if wanted.status in ENDED else None
        )
        index = by_tenant(wanted.tenant) if outcome is None else by_outcome(wanted.tenant, outcome)
        return self.index.find(index, since=_utc(wanted.since), until=_utc(wanted.until), limit=limit, after=after)

    def _summaries(
        self, found: tuple[Found, ...], feedback: Verdict | None = None
    ) -> list[tuple[Found, RunSummary | None]]:
        """Return each run's summary; None if its events are gone. One that cannot be read does not hide the others.

        feedback  None too for a run of which people say something else by now, and for all but its newest such entry
        """
        firsts, afterwards = (
            [RunOpened.key(), RunRefused.key(), RunEnded.key()],
            [RunCorrected.key(1), RunFeedback.key(1)],
        )
        seqs = firsts + afterwards
        unreadable: list[Unreadable] = []
        events = self.log.read_keys([(one.run_id, seq) for one in found for seq in seqs], unreadable)
        made: list[tuple[Found, RunSummary | None]] = []
        for one in found:
            of_run = [events[key] for seq in firsts if (key := (one.run_id, seq)) in events]
            mine = [other for other in unreadable if other.run_id == one.run_id]
            wrong = [other for other in mine if other.seq not in afterwards]
            if of_run and (len(wrong) < len(mine) or any((one.run_id, seq) in events for seq in afterwards)):
                of_run += self._afterwards(one.run_id)
            run = Run(of_run)
            there = bool(run or wrong) and not is_expired(run, self.clock())
            there = there and (feedback is None or one.seq == _newest_entry(run, feedback))
            made.append((one, self._summary(one.run_id, run, wrong) if there else None))
        return made

    def _afterwards(self, run_id: str) -> list[Event]:
        """Return all corrections and feedback. Lists read the first ones' keys before: most runs have none."""
        after_the_end, _ = self.log.read_turns(run_id, LAST_TURN, 1, [])
        return [event for event in after_the_end if event.name in (RunCorrected.NAME, RunFeedback.NAME)]

    def _summary(self, run_id: str, of_run: Run, wrong: list[Unreadable]) -> RunSummary | None:
        if wrong or of_run.has_ended:
            return line_of(of_run, wrong, run_id)
        # Only the whole log says whether it runs or waits.
        run, unreadable = self.log.read_all(run_id)
        if is_expired(run, self.clock()):
            return None
        shown = run_of(run, unreadable, run_id)
        return RunSummary.model_validate(shown.model_dump(include=set(RunSummary.model_fields)))


def _newest_entry(run: Run, wanted: Verdict) -> str | None:
    """Return the key of the newest entry by which the run has that verdict; None if people say something else."""
    given = run.feedback
    if verdict_of(given) != wanted:
        return None
    return RunFeedback.key(max(one.number for one in given if one.verdict == wanted))


def _wants(wanted: RunFilter, run: RunSummary) -> bool:
    """Whether the run belongs to the list; one that cannot be read always does."""
    return wanted.status in (None, run.status) or run.status == "corrupt"


def _hour(at: str) -> datetime | None:
    """Return the beginning of the hour; None if ``at`` is not a time."""
    try:
        return datetime.fromisoformat(at).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    except (ValueError, OverflowError):
        return None


def _utc(time: datetime | None) -> str | None:
    try:
        return time.astimezone(UTC).isoformat() if time else None
    except OverflowError:
        raise invalid("since, until", "must lie between the years 1 and 9999 in UTC") from None
