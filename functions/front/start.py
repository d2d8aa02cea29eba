"""Lambda: take a request and start its run. The same request twice is one run."""

import json
from dataclasses import dataclass
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import RunRequest
from ballast.contracts.request import WhenFull
from ballast.contracts.wire import MAX_WHOLE, beyond_doubles, canonical, parse
from ballast.edge import guarded
from ballast.errors import InvalidInput, RequestConflict, RetryLater
from ballast.runtime import Runtime, Settings, lambda_runtime


class IntakeSettings(Settings):
    """The intake's environment. state_machine_arn: the workflow that it starts."""

    state_machine_arn: str


@dataclass(frozen=True)
class Intake:
    """Starts executions, one a request."""

    stepfunctions: Any
    state_machine_arn: str

    @classmethod
    def of(cls, runtime: Runtime) -> "Intake":
        """Put it together; once per runtime."""
        return cls(runtime.client("stepfunctions"), IntakeSettings.of(runtime).state_machine_arn)

    def start(
        self,
        request: RunRequest,
        when_full: WhenFull = "refuse",
        requested_by: str | None = None,
        answer_within_s: int | None = None,
    ) -> dict[str, Any]:
        """Start the run of ``request``, or find it started. Raises ``RequestConflict``, ``RetryLater`` and
        ``InvalidInput``.

        The execution's name is the run id, so Step Functions itself refuses the second one. ``when_full`` is
        for a request that does not say it itself: it belongs to the way that it came, not to what was asked for.
        Neither does ``requested_by``: the same request by somebody else is the same run, and who sent it first
        counts. Nor ``answer_within_s``, for how long the caller waits: a repeat that waits longer is the same run.
        """
        if (where := beyond_doubles(request.context, "context")) is not None:
            # It goes through Step Functions, whose numbers are doubles.
            raise InvalidInput(f"{where}: is a number above {MAX_WHOLE}, whose digits are not kept. Send it as text.")
        # Without a name no field of it: an Admit that is not upgraded yet puts its own there.
        wanted = request.model_dump(mode="json", exclude=None if request.agent else {"agent"})
        sent: dict[str, Any] = {"request": wanted, "when_full": when_full}
        sent |= {"requested_by": requested_by} if requested_by else {}
        sent |= {} if answer_within_s is None else {"answer_within_s": answer_within_s}
        arn = f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{request.run_id}"
        with consequences(f"State machine {self.state_machine_arn} (STATE_MACHINE_ARN)"):
            try:
                self.stepfunctions.start_execution(
                    stateMachineArn=self.state_machine_arn,
                    name=request.run_id,
                    input=canonical(sent),
                )
            except self.stepfunctions.exceptions.ExecutionAlreadyExists:
                running = self._running(arn)
            else:
                return {"run_id": request.run_id, "execution_arn": arn, "started": True}
        if not _is_repeat(request, running["input"]):
            raise RequestConflict(
                f"request_id {request.request_id!r} came before with another body (run {request.run_id}). "
                "Send a new request_id for a new request."
            )
        return {"run_id": request.run_id, "execution_arn": arn, "started": False}

    def _running(self, arn: str) -> dict[str, Any]:
        """Return the execution that was started before. Raises ``RetryLater`` where it cannot be seen yet."""
        from botocore.exceptions import ClientError

        try:
            running: dict[str, Any] = self.stepfunctions.describe_execution(executionArn=arn)
        except ClientError as problem:
            if problem.response["Error"]["Code"] == "ExecutionDoesNotExist":  # describing is eventually consistent
                raise RetryLater(f"{arn} was started a moment ago and cannot be seen yet; try again.") from problem
            raise
        return running


def _is_repeat(request: RunRequest, running: str) -> bool:
    """Whether the execution with that input runs the same request."""
    try:
        return parse(RunRequest, json.loads(running).get("request"), what="request").digest == request.digest
    except (InvalidInput, ValueError, AttributeError):  # nothing that Ballast has started
        return False


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Start the run of ``event`` (a ``RunRequest``)."""
    request = parse(RunRequest, event, what="RunRequest")
    return (runtime or lambda_runtime()).get(Intake.of).start(request)
