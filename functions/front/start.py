"""Lambda: start the run of a request. The same request twice is one run."""

import json
from collections.abc import Mapping
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import RunRequest
from ballast.contracts.request import WhenFull
from ballast.contracts.wire import MAX_WHOLE, beyond_doubles, canonical, parse
from ballast.edge import guarded
from ballast.errors import InvalidInput, RequestConflict, RetryLater
from ballast.runtime import Runtime, Settings, lambda_runtime, made_at_init
from ballast.values import dataclass


class StartSettings(Settings):
    """The environment of StartFunction.

    state_machine_arn  the workflow that it starts
    """

    state_machine_arn: str


@dataclass(frozen=True)
class Executions:
    """The workflow's executions: one a run, named by the run id."""

    stepfunctions: Any
    state_machine_arn: str

    @classmethod
    def of(cls, runtime: Runtime) -> "Executions":
        """Return the executions of ``runtime``'s workflow."""
        return cls(runtime.client("stepfunctions"), StartSettings.of(runtime).state_machine_arn)

    def start(
        self,
        request: RunRequest,
        when_full: WhenFull = "refuse",
        requested_by: str | None = None,
        answer_within_s: int | None = None,
        on_behalf: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Start the run of ``request``, or find it started.

        Step Functions refuses a second execution of the same name. The run id and the request's digest ignore how a
        request arrived: the same request from somebody else, or with a longer wait, is the same run, and the first
        sender counts.

        when_full        what to do when there is no room, if the request does not say it
        requested_by     who sends it, by their identity
        answer_within_s  how long the caller waits, in seconds
        on_behalf        whom each token that the caller brings is about, by its name; never the token

        Raises ``RequestConflict``, ``RetryLater`` and ``InvalidInput``.
        """
        check(request)
        # An older Admit expects no field at all where the request names no agent.
        wanted = request.model_dump(mode="json", exclude=None if request.agent else {"agent"})
        sent: dict[str, Any] = {"request": wanted, "when_full": when_full}
        sent |= {"requested_by": requested_by} if requested_by else {}
        sent |= {} if answer_within_s is None else {"answer_within_s": answer_within_s}
        sent |= {"on_behalf": list(on_behalf), "on_behalf_subjects": dict(on_behalf)} if on_behalf else {}
        arn = self.arn_of(request.run_id)
        with self._consequences():
            try:
                self.stepfunctions.start_execution(
                    stateMachineArn=self.state_machine_arn,
                    name=request.run_id,
                    input=canonical(sent),
                )
            except self.stepfunctions.exceptions.ExecutionAlreadyExists:
                running = self._started_before(arn)
            else:
                return {"run_id": request.run_id, "execution_arn": arn, "started": True}
        if not is_repeat(request, running["input"]):
            raise RequestConflict(
                f"request_id {request.request_id!r} came before with another body (run {request.run_id}). "
                "Send a new request_id for a new request."
            )
        return {"run_id": request.run_id, "execution_arn": arn, "started": False}

    def describe(self, run_id: str) -> dict[str, Any] | None:
        """Return Step Functions' description of the run's execution; None if there is none."""
        with self._consequences():
            try:
                found: dict[str, Any] = self.stepfunctions.describe_execution(executionArn=self.arn_of(run_id))
            except self.stepfunctions.exceptions.ExecutionDoesNotExist:
                return None
        return found

    def stop(self, run_id: str, by: str) -> None:
        """Stop the run's execution; ``by`` goes into its history."""
        with self._consequences():
            self.stepfunctions.stop_execution(executionArn=self.arn_of(run_id), error="Cancelled", cause=f"by {by}")

    def arn_of(self, run_id: str) -> str:
        """Return the ARN of the run's execution."""
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{run_id}"

    def _started_before(self, arn: str) -> dict[str, Any]:
        """Return the execution that was started before. Raises ``RetryLater`` if it cannot be seen yet."""
        from botocore.exceptions import ClientError

        try:
            running: dict[str, Any] = self.stepfunctions.describe_execution(executionArn=arn)
        except ClientError as problem:
            if problem.response["Error"]["Code"] == "ExecutionDoesNotExist":  # describing is eventually consistent
                raise RetryLater(f"{arn} was started a moment ago and cannot be seen yet; try again.") from problem
            raise
        return running

    def _consequences(self) -> Any:
        return consequences(f"State machine {self.state_machine_arn} (STATE_MACHINE_ARN)")


def check(request: RunRequest) -> None:
    """Raise ``InvalidInput`` for a request that no execution can have as its input."""
    if (where := beyond_doubles(request.context, "context")) is not None:
        # Step Functions reads numbers as doubles.
        raise InvalidInput(f"{where}: is a number above {MAX_WHOLE}, whose digits are not kept. Send it as text.")


def is_repeat(request: RunRequest, running: str) -> bool:
    """Whether the execution with that input runs the same request."""
    try:
        return parse(RunRequest, json.loads(running).get("request"), what="request").digest == request.digest
    except (InvalidInput, ValueError, AttributeError):  # Ballast did not start it
        return False


@made_at_init(Executions.of)
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Start the run of ``event`` (a ``RunRequest``)."""
    request = parse(RunRequest, event, what="RunRequest")
    return (runtime or lambda_runtime()).get(Executions.of).start(request)
