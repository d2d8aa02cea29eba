"""Lambda: admit a request. Checks it against the playbook, leases its money, opens the run in the log.

The lease comes first, so that no run is open without one::

    check ── lease (one transaction) ── 0000.run.opened ── the workflow goes on
          │                          │
          │                          └ dies here: the money is leased and no run is open. The retried task finds
          │                            its own lease and opens the run. Without a retry the sweeper settles the
          │                            lease after the execution's end and the grace time: nothing was spent.
          └ dies here, or in the transaction: it was written whole or not at all; the retry finds or writes it

The opening records the run's deadline, and the time until which its agent may work::

    opened ───────── the agent ─────────▶ agent_until ── the fallback ──▶ deadline
                                           the playbook's reserve, at most half of the time
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from ballast import errors
from ballast.attachments.files import WrongContent
from ballast.attachments.prompt import logged
from ballast.attachments.store import Attachments
from ballast.breaker_reader import Breakers
from ballast.budget_items import RunCountSettings, WindowSettings
from ballast.contracts import Limits, RunRequest, notice
from ballast.contracts.attachment import Kept
from ballast.contracts.request import WhenFull
from ballast.contracts.wire import Name, Wire, parse
from ballast.edge import guarded
from ballast.errors import (
    BreakerStopped,
    ExecutionMisnamed,
    InvalidInput,
    NotAdmitted,
    RequestConflict,
    WindowFull,
)
from ballast.log.events import RunAnnounced, RunOpened, RunRefused
from ballast.log.run_index import by_outcome, by_tenant
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.seal import Seal, SealSettings
from ballast.metrics import metric_line
from ballast.money.breaker import Mode
from ballast.money.lease import Lease
from ballast.on_behalf import RequesterTokens, TokensSettings
from ballast.outbox import Announcements, Replies, ReplySettings
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.admission import Admissible
from ballast.playbook.made_of import made_of
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass
from functions.lifecycle.budgets_table import BudgetsTable, LeaseTableSettings
from functions.lifecycle.leases import Leases

Coordinates = dict[str, Any]


#: Fewer seconds are too short for an agent and a fallback: such a caller gets the run's address instead.
LEAST_S = 4


class AdmitSettings(
    LogSettings, SealSettings, LeaseTableSettings, WindowSettings, RunCountSettings, ReplySettings, TokensSettings
):
    """Admit's environment.

    run_log_table, payload_bucket, retention_days  the log: see ``LogSettings``
    sensitive_key_arn   the KMS key that seals sensitive values
    budgets_table       leases, windows, limits and the spend breaker
    reply_queue_prefix  prefix of the queues that a caller may name in ``reply_to``
    requester_tokens_table  tokens that callers bring; those of a refused run are deleted
    playbook_dir        folder of the playbook
    model_id            overrides the playbook's model; "" does not
    admission_wait_s    seconds after which a request that waits for room is refused
    require_certificate whether runs of a playbook without a certificate that fits are refused

    Limits, unless an operator set others (``ballast budget``):

    tenant_hour_usd, tenant_day_usd    limits of each tenant in an hour and a day, in US dollars
    tenant_runs                        limit of each tenant's concurrent runs with a lease, including waiting ones
    account_hour_usd, account_day_usd, account_runs  the same for all tenants together
    """

    playbook_dir: str
    model_id: str = ""
    admission_wait_s: Annotated[int, Field(ge=0)]
    require_certificate: bool = False


class Admit(Wire):
    """The workflow's part of the event.

    when_full        what to do without room, unless the request says: requests by message wait
    entered_at       when the workflow first asked
    execution        name of the execution that asks; None where an older workflow started it
    requested_by     who sent the request, if the API knows
    answer_within_s  seconds for which the caller waits for the answer
    on_behalf        names of the tokens that the caller brought
    """

    when_full: WhenFull = "refuse"
    entered_at: AwareDatetime | None = None
    execution: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    requested_by: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    answer_within_s: Annotated[int, Field(ge=0)] | None = None
    on_behalf: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None


@dataclass(frozen=True)
class Admission:
    """Opens or refuses runs. ``made_of``: see the opening."""

    log: RunLog
    breakers: Breakers
    leases: Leases
    admission_wait: timedelta
    announcements: Announcements
    replies: Replies
    admissible: Admissible
    runtime: Runtime
    made_of: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, runtime: Runtime) -> "Admission":
        settings = AdmitSettings.of(runtime)
        account = settings.account_limits(settings.account_runs)
        each = settings.tenant_limits(settings.tenant_runs)
        playbook = load_playbook(settings.playbook_dir, on=runtime.clock().date()).in_region(runtime.region)
        return cls(
            RunLog.of(runtime, Seal.of(runtime, playbook, opens=False)),
            runtime.get(Breakers.of),
            Leases(runtime.get(BudgetsTable.of), runtime.clock, account, each),
            timedelta(seconds=settings.admission_wait_s),
            runtime.get(Announcements.of),
            runtime.get(Replies.of),
            Admissible(
                playbook,
                playbook.models.in_region(settings.model_id, runtime.region),
                settings.reply_queue_prefix,
                _why_uncertified(playbook) if settings.require_certificate else None,
            ),
            runtime,
            made_of(playbook),
        )

    @property
    def playbook(self) -> Playbook:
        """The deployed playbook."""
        return self.admissible.playbook

    def admit(self, request: RunRequest, how: Admit) -> Coordinates:
        """Open the run and return its coordinates for the workflow. Idempotent.

        Raises ``NotAdmitted`` (recorded), ``ExecutionMisnamed``, ``RequestConflict`` and, for a request that waits,
        ``AtCapacity``.
        """
        if how.execution not in (None, request.run_id):
            # Not recorded: the log under the run's id belongs to the execution of that name.
            raise ExecutionMisnamed(
                f"The execution's name must be the run's id, {request.run_id}: it is stopped, swept and settled by it. "
                "Start runs through StartFunction, the API or the queue; they name it so."
            )
        begun = self.log.read(request.run_id)
        if begun:
            return self._as_before(request, begun, how)
        try:
            limits, mode = self._limits(request), self._check_breaker(request)
            files = self._files(request, limits)
            self._check_affordable(request, limits, mode, files)
            lease = self.leases.lease(request, limits.cost_microusd, may_wait=self._may_wait(request, how))
            if lease.request_sha256 != request.digest:
                raise _conflict(request)
            if not lease.held:
                raise NotAdmitted(f"{request.run_id} was refused or has ended before. Send a new request_id.")
        except RequestConflict:
            raise  # nothing is recorded: the run is the other request's
        except (NotAdmitted, InvalidInput) as refusal:
            self._refuse(request, refusal, how)
            if isinstance(refusal, NotAdmitted):
                raise
            raise NotAdmitted(str(refusal)) from None
        # The playbook may have changed since an earlier attempt: the lease is the ceiling.
        ceiling = min(limits.cost_microusd, lease.parts[0].microusd)
        return self._open(request, limits.model_copy(update={"cost_microusd": ceiling}), how, lease, files)

    def _may_wait(self, request: RunRequest, how: Admit) -> bool:
        now = self.runtime.clock()
        waits = (request.when_full or how.when_full) == "wait"
        return waits and now - (how.entered_at or now) < self.admission_wait

    def _open(
        self, request: RunRequest, limits: Limits, how: Admit, lease: Lease, files: Sequence[Kept]
    ) -> Coordinates:
        now, agent = self.runtime.clock(), self.admissible.agent(request)
        until = deadline(
            limits,
            request,
            now=now,
            came=how.entered_at or now,
            answer_within_s=how.answer_within_s,
            has_fallback=request.intent in self.playbook.fallbacks,
        )
        opened = RunOpened(
            request=request.named(agent.name).model_dump(mode="json"),
            request_sha256=request.digest,
            limits=limits.model_dump(mode="json"),
            agent=agent.name,
            model=agent.model_at(request.intent, 1),
            agent_until_ms=until.agent_until_ms,
            deadline_ms=until.deadline_ms,
            lease=asdict(lease.parts[0]),
            made_of=dict(self.made_of),
        )
        if how.requested_by:
            opened = opened.model_copy(update={"requested_by": how.requested_by})
        if files:
            opened = opened.model_copy(update={"attachments": [logged(one) for one in files]})
        if how.on_behalf:
            opened = opened.model_copy(update={"on_behalf": list(how.on_behalf)})
        begun = Run([self.log.append(request.run_id, opened, index=by_tenant(request.tenant))])
        return self._as_before(request, begun, how)

    def _as_before(self, request: RunRequest, begun: Run, how: Admit) -> Coordinates:
        """Return the recorded run's coordinates, or raise its recorded refusal, without deciding again."""
        # Compare by the recorded digest: the recorded request may have its sensitive values masked.
        opened, refused, known = begun.fact(RunOpened), begun.fact(RunRefused), begun.request.digest
        recorded = (opened.request_sha256 if opened else None) or (refused.request_sha256 if refused else None)
        if (recorded or known) != request.digest:
            raise _conflict(request)
        if refused is not None:
            self._end_refused(request, how)
            raise _recorded(refused)
        assert opened is not None  # the log has a request, and no refusal
        return {
            "run_id": request.run_id,
            "agent_until_ms": opened.agent_until_ms,
            "deadline_ms": opened.deadline_ms,
            "escalation_timeout_s": self.playbook.agent.escalation_timeout_s,
            "approval_timeout_s": self.playbook.agent.approval_timeout_s,
            "park_timeout_s": self.playbook.agent.park_timeout_s,
            "requester_timeout_s": self.playbook.agent.requester_timeout_s,
        }

    def _files(self, request: RunRequest, limits: Limits) -> tuple[Kept, ...]:
        """Return the request's files, read and checked. Raises ``NotAdmitted``, which names the field."""
        self.admissible.check_files(request, limits)
        if not request.attachments:
            return ()
        store, found = self.runtime.get(Attachments.of), []
        for at, one in enumerate(request.attachments):
            try:
                found.append(store.checked(request.tenant, request.run_id, one))
            except WrongContent as wrong:
                raise NotAdmitted(f"attachments.{at}: {wrong}.") from None
        return tuple(found)

    def _check_affordable(self, request: RunRequest, limits: Limits, mode: Mode, files: Sequence[Kept]) -> None:
        today, cheaper = self.runtime.clock().date(), mode is Mode.CHEAPER
        self.admissible.check_affordable(request, limits, files, on=today, cheaper=cheaper)

    def _check_breaker(self, request: RunRequest) -> Mode:
        """Return the spend breaker's mode. Raises ``BreakerStopped`` if no run may start."""
        mode = self.breakers.current_mode(request.tenant, run_id=request.run_id).mode
        if mode is Mode.STOPPED:
            raise BreakerStopped(
                "The spend breaker has stopped new runs; nothing was started and nothing was spent. "
                "Send it under a new request_id once `GET /breaker` says another mode."
            )
        return mode

    def _refuse(self, request: RunRequest, refusal: NotAdmitted | InvalidInput, how: Admit) -> None:
        """Record the refusal, and announce it."""
        if isinstance(refusal, WindowFull):
            self.runtime.emit(metric_line({"WindowsFull": 1}, fields={"tenant": request.tenant}))
        opens_at = refusal.opens_at if isinstance(refusal, NotAdmitted) else None
        refused = RunRefused(
            request=request.named(self.playbook.agent.name).model_dump(mode="json"),
            request_sha256=request.digest,
            reason=type(refusal).__name__,
            message=str(refusal),
        )
        if opens_at:
            refused = refused.model_copy(update={"opens_at": opens_at})
        index = by_tenant(request.tenant) | by_outcome(request.tenant, "refused")
        self.log.append(request.run_id, refused, index=index)
        self._end_refused(request, how)

    def _end_refused(self, request: RunRequest, how: Admit) -> None:
        """Forget the refused run's tokens, and announce the refusal."""
        if how.on_behalf:
            self.runtime.get(RequesterTokens.to_forget).forget(request.run_id)
        run = self.log.read(request.run_id)
        told = run.outcome
        if isinstance(told, notice.RunRefused):
            self.announcements.send(run, RunAnnounced.key(), told)
            self.replies.send(run, request.reply_to, told)

    def _limits(self, request: RunRequest) -> Limits:
        return self.admissible.limits(request)


def _why_uncertified(playbook: Playbook) -> str | None:
    from ballast.playbook.certificate import why_uncertified  # a stack that requires none does not load it

    return why_uncertified(playbook)


def _conflict(request: RunRequest) -> RequestConflict:
    return RequestConflict(
        f"request_id {request.request_id!r} came before with another body (run {request.run_id}). "
        "Send a new request_id for a new request."
    )


def _recorded(refused: RunRefused) -> NotAdmitted:
    """Return the log's refusal as an error."""
    error = getattr(errors, refused.reason, NotAdmitted)
    kind = error if isinstance(error, type) and issubclass(error, NotAdmitted) else NotAdmitted
    return kind(refused.message, opens_at=refused.opens_at)


@dataclass(frozen=True)
class Deadline:
    """Epoch milliseconds."""

    agent_until_ms: int
    deadline_ms: int


def deadline(
    limits: Limits,
    request: RunRequest,
    *,
    now: datetime,
    came: datetime,
    answer_within_s: int | None,
    has_fallback: bool,
) -> Deadline:
    """Return the deadlines of a run that is opened ``now``.

    ``answer_within_s``: how long the caller waits, counted from when the request ``came``; None if no caller waits. A
    waiting caller gets an answer of the agent or the fallback in that time. This shortens the run only if its intent
    has a fallback (else only the agent could answer) and its request sets no deadline. It does not change the
    limits: a person's answer renews the time by the limits.
    """
    now_ms = _ms(now)
    ends_ms = now_ms + limits.deadline_s * 1000
    asked = request.limits is not None and request.limits.deadline_s is not None
    if answer_within_s is not None and has_fallback and not asked:
        answer_by_ms = _ms(came) + answer_within_s * 1000
        if answer_by_ms - now_ms >= LEAST_S * 1000:
            ends_ms = min(ends_ms, answer_by_ms)
    reserve_ms = min(limits.fallback_reserve_s * 1000, (ends_ms - now_ms) // 2 // 1000 * 1000)
    return Deadline(agent_until_ms=ends_ms - reserve_ms, deadline_ms=ends_ms)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@made_at_init(Admission.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Admit ``event["request"]`` (a ``RunRequest``) with the rest of ``event`` (an ``Admit``)."""
    request = parse(RunRequest, event.get("request"), what="RunRequest")
    how = parse(Admit, {name: event[name] for name in Admit.model_fields if name in event}, what="Admit")
    return (runtime or lambda_runtime()).get(Admission.of).admit(request, how)
