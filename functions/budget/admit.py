"""Lambda: admit a request. Checks it against the playbook and opens the run in the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.breaker import Breakers
from ballast.contracts import Event, Limits, RunRequest
from ballast.contracts.event import run_seq
from ballast.contracts.notice import RunRefused
from ballast.contracts.wire import parse
from ballast.errors import BreakerStopped, InvalidInput, NotAdmitted, RequestConflict
from ballast.folds import outcome
from ballast.log import RunLog
from ballast.log.run_index import by_outcome, by_tenant
from ballast.money.breaker import Mode
from ballast.outbox import Announcements, Replies
from ballast.playbook import Playbook, load_playbook
from ballast.runtime import Runtime, Settings, lambda_runtime


class AdmitSettings(Settings):
    """Admit's environment. playbook_dir: folder of the playbook."""

    playbook_dir: str


@dataclass(frozen=True)
class Admission:
    """The front gate of a run."""

    log: RunLog
    breakers: Breakers
    announcements: Announcements
    replies: Replies
    playbook: Playbook
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Admission":
        """Put it together; once per runtime."""
        return cls(
            runtime.get(RunLog.of),
            runtime.get(Breakers.of),
            runtime.get(Announcements.of),
            runtime.get(Replies.of),
            load_playbook(AdmitSettings.of(runtime).playbook_dir),
            runtime,
        )

    def admit(self, request: RunRequest) -> dict[str, Any]:
        """Open the run and return its coordinates for the workflow; admitting twice is once.

        Raises ``NotAdmitted`` (recorded) and ``RequestConflict``.
        """
        begun = self.log.read(request.run_id)
        try:
            self.replies.check(request.reply_to)
            limits = self._limits(request)
            self._check_breaker(request, begun)
        except (NotAdmitted, InvalidInput) as refusal:
            self._refuse(request, refusal)
            if isinstance(refusal, NotAdmitted):
                raise
            raise NotAdmitted(str(refusal)) from None
        now_ms = int(self.runtime.clock().timestamp() * 1000)
        opened = self.log.append(
            request.run_id,
            run_seq("opened"),
            {
                "request": request.model_dump(mode="json"),
                "request_sha256": request.digest,
                "limits": limits.model_dump(mode="json"),
                "agent": self.playbook.agent.name,
                "model": self.playbook.agent.model,
                "agent_until_ms": now_ms + (limits.deadline_s - limits.fallback_reserve_s) * 1000,
                "deadline_ms": now_ms + limits.deadline_s * 1000,
            },
            index=by_tenant(request.tenant),
        )
        if opened.body["request_sha256"] != request.digest:
            raise RequestConflict(
                f"request_id {request.request_id!r} came before with another body (run {request.run_id}). "
                "Send a new request_id for a new request."
            )
        return {
            "run_id": request.run_id,
            "agent_until_ms": opened.body["agent_until_ms"],
            "deadline_ms": opened.body["deadline_ms"],
            "escalation_timeout_s": self.playbook.agent.escalation_timeout_s,
            "approval_timeout_s": self.playbook.agent.approval_timeout_s,
            "requester_timeout_s": self.playbook.agent.requester_timeout_s,
        }

    def _check_breaker(self, request: RunRequest, begun: Sequence[Event]) -> None:
        """Raise ``BreakerStopped`` where no run may start. What was decided before, a retry does not decide anew."""
        if any(event.name == "run.opened" for event in begun):
            return
        refused = any(event.name == "run.refused" for event in begun)
        if refused or self.breakers.in_force(request.tenant, run_id=request.run_id).mode is Mode.STOPPED:
            raise BreakerStopped(
                "The spend breaker has stopped new runs; nothing was started and nothing was spent. "
                "Send it under a new request_id once `GET /breaker` says another mode."
            )

    def _refuse(self, request: RunRequest, refusal: Exception) -> None:
        """Record the refusal and tell of it; for another request under the same id there is nothing to tell."""
        self.log.append(
            request.run_id,
            run_seq("refused"),
            {
                "request": request.model_dump(mode="json"),
                "reason": type(refusal).__name__,
                "message": str(refusal),
            },
            index=by_tenant(request.tenant) | by_outcome(request.tenant, "refused"),
        )
        events = self.log.read(request.run_id)
        notice = outcome(events)
        if isinstance(notice, RunRefused):
            self.announcements.send(events, run_seq("announced"), notice)
            self.replies.send(events, request.reply_to, notice)

    def _limits(self, request: RunRequest) -> Limits:
        agent = self.playbook.agent
        if request.agent != agent.name:
            raise NotAdmitted(f"agent {request.agent!r} is not deployed here; this playbook's agent is {agent.name!r}.")
        if request.intent is not None and request.intent not in agent.intents:
            raise NotAdmitted(
                f"intent {request.intent!r} is not in the playbook. "
                f"Leave it out, or use one of: {', '.join(agent.intents)}."
            )
        limits = agent.limits_for(request.intent).tightened(request.limits, by="request")
        if limits.fallback_reserve_s >= limits.deadline_s:
            # A caller in a hurry: half of the time is the fallback's.
            limits = limits.model_copy(update={"fallback_reserve_s": limits.deadline_s // 2})
        return limits


def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Admit ``event["request"]`` (a ``RunRequest``)."""
    request = parse(RunRequest, event.get("request"), what="RunRequest")
    return (runtime or lambda_runtime()).get(Admission.of).admit(request)
