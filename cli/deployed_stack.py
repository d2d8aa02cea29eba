"""A deployed stack, and the commands with ``--stack NAME``, with the user's own AWS credentials."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ballast.contracts import RunRequest
from ballast.errors import InvalidInput
from ballast.run import Run
from ballast.runtime import Runtime, utc_now
from ballast.table import Table
from cli.screen import Screen
from localcloud.functions import FunctionError

if TYPE_CHECKING:
    import boto3

    from ballast.escalations import ShownEscalations
    from ballast.log.evidence import Verdict
    from ballast.log.run_log import RunLog

#: The commands that take ``--stack``; ``redrive`` has a ``--stack`` of its own.
_COMMANDS = (
    "run",
    "trace",
    "why",
    "cost",
    "answer",
    "escalations",
    "breaker",
    "budget",
    "verify",
    "replay",
    "eval",
    "feedback",
)
#: Seconds between two reads of a run. Each is a request to AWS, which bills it.
EVERY_S = 1.0
_LAST = ("run.ended", "run.refused")
#: The stack's outputs by the logical ids of the resources that they name.
_OUTPUTS = {
    "AgentStateMachine": "AgentStateMachineArn",
    "StartFunction": "StartFunctionName",
    "CommandFunction": "CommandFunctionName",
    "AnswerEscalationFunction": "AnswerEscalationFunctionName",
    "RunLogTable": "RunLogTableName",
    "PayloadBucket": "PayloadBucketName",
    "EscalationsTable": "EscalationsTableName",
    "BudgetsTable": "BudgetsTableName",
}


class DeployedCloud:
    """A deployed stack, with the methods of ``LocalCloud``. Raises ``InvalidInput`` if the stack cannot be read."""

    def __init__(self, session: boto3.Session, stack: str) -> None:
        self.session: Any = session
        self._stack = stack
        self._outputs: Mapping[str, str] = stack_outputs(session, stack)

    def physical_id(self, logical_id: str) -> str:
        """Return the name or ARN of a resource, from the stack's outputs."""
        return output(self._outputs, _OUTPUTS[logical_id])

    def table(self, logical_id: str) -> Table:
        """Return a table of the stack, with the user's rights."""
        name = self.physical_id(logical_id)
        return Table(self.session.client("dynamodb"), name, f"Table {name}")

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Any:
        """Invoke a function and return its result. Raises ``FunctionError`` if the handler raised."""
        from botocore.config import Config

        client = self.session.client("lambda", config=Config(read_timeout=60, retries={"total_max_attempts": 1}))
        sent = client.invoke(FunctionName=self.physical_id(function), Payload=json.dumps(payload).encode())
        result = json.loads(sent["Payload"].read())
        if "FunctionError" in sent:
            trace = result.get("stackTrace", [])
            raise FunctionError(result.get("errorType", "Error"), result.get("errorMessage", ""), trace)
        return result

    def start(self, request: RunRequest, requested_by: str | None = None) -> str:
        """Start a run through the front door and return its id. Who invokes a function is not recorded as requester."""
        run_id: str = self.invoke("StartFunction", request.model_dump(mode="json"))["run_id"]
        return run_id

    def wait(self, run_id: str, timeout_s: float) -> Any:
        """Wait until the log has the run's ending; return the ended execution."""
        from localcloud.stepfunctions.executions import Execution

        until = time.monotonic() + timeout_s
        while not any(event.name in _LAST for event in self.events(run_id)) and time.monotonic() < until:
            time.sleep(EVERY_S)

        machine = self.physical_id("AgentStateMachine").replace(":stateMachine:", ":execution:")
        found = self.session.client("stepfunctions").describe_execution(executionArn=f"{machine}:{run_id}")
        answer = json.loads(found["output"]) if "output" in found else None
        return Execution(run_id, found["status"], answer, found.get("error"), found.get("cause"))

    def events(self, run_id: str) -> Run:
        """Return the run's log."""
        return self._log().read(run_id)

    def read_all(self, run_id: str) -> tuple[Run, dict[str, str]]:
        """Return the readable part of the run's log, and what is wrong with each other entry, by its key."""
        return self._log().examine(run_id)

    def escalations(self) -> ShownEscalations:
        """Return the stack's escalations as people see them."""
        from ballast.escalations import ShownEscalations

        return ShownEscalations(self._log(), self.table("EscalationsTable"), utc_now)

    def verdict(self, run_id: str, now: datetime) -> Verdict | None:
        """Return whether somebody changed the run's log; None if it has none."""
        from localcloud.evidence import verdict_on

        return verdict_on(self._log(), self.table("BudgetsTable"), run_id, now)

    def executions_since(self, since: datetime) -> Iterator[str]:
        """Yield the ids of the runs whose executions were started since then, newest first. Reads no log."""
        states, query = self.session.client("stepfunctions"), {"stateMachineArn": self.physical_id("AgentStateMachine")}
        while True:
            page = states.list_executions(**query)
            for execution in page["executions"]:
                if execution["startDate"].astimezone(UTC) < since.astimezone(UTC):
                    return
                yield execution["name"]
            if "nextToken" not in page:
                return
            query["nextToken"] = page["nextToken"]

    def _log(self) -> RunLog:
        from ballast.log.run_log import RunLog

        names = {"RUN_LOG_TABLE": self.physical_id("RunLogTable"), "PAYLOAD_BUCKET": self.physical_id("PayloadBucket")}
        return RunLog.of(Runtime(names, session=self.session))

    def runs_since(self, tenant: str, since: datetime, most: int) -> list[str]:
        """Return the ids of the tenant's runs opened since then, newest first; at most ``most`` + 1."""
        from ballast.log.run_index import by_tenant

        return self._found(by_tenant(tenant), since, most)

    def runs_said_to_be(self, verdict: str, tenant: str, since: datetime, most: int) -> list[str]:
        """Return the ids of the tenant's runs of which people said so since then; some may have changed their mind."""
        from ballast.log.run_index import by_outcome

        return self._found(by_outcome(tenant, f"feedback.{verdict}"), since, most)

    def _found(self, attributes: dict[str, str], since: datetime, most: int) -> list[str]:
        from ballast.log.run_index import RunIndex

        index = RunIndex(self.table("RunLogTable"))
        found, _ = index.find(attributes, since=since.astimezone(UTC).isoformat(), limit=most + 1)
        return list(dict.fromkeys(one.run_id for one in found))


def on_stack(typed: Namespace, session: boto3.Session | None = None) -> int:
    """Run the typed command against the stack and return its exit code.

    ``session``: by default the user's, from ``--profile`` and ``--region``. Raises ``InvalidInput``.
    """
    import botocore.exceptions

    if typed.command not in _COMMANDS:
        raise InvalidInput(f"--stack goes with {', '.join(_COMMANDS)} redrive and mcp, not with {typed.command}.")
    command: Callable[[Namespace, DeployedCloud, Screen], int]
    command = getattr(import_module(f"cli.commands.{typed.command}"), f"{typed.command}_on_stack")
    try:
        return command(typed, DeployedCloud(session or users_session(typed), typed.stack), Screen())
    except botocore.exceptions.ClientError as problem:
        refusal = problem.response["Error"]
        raise InvalidInput(
            f"--stack {typed.stack}: {refusal.get('Code')}: {refusal.get('Message')} Do you have the IAM rights for "
            "this command? docs/http.md, Rights, lists them."
        ) from None
    except botocore.exceptions.BotoCoreError as problem:
        raise InvalidInput(
            f"--stack {typed.stack}: {problem} Check your credentials, the region and the network."
        ) from None


def users_session(typed: Namespace) -> boto3.Session:
    """Return a session with the user's credentials. Raises ``InvalidInput`` for an unknown profile."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session(profile_name=typed.profile, region_name=typed.region)
    except BotoCoreError as problem:
        raise InvalidInput(f"--profile {typed.profile}: {problem}") from None


def stack_outputs(session: boto3.Session, stack: str) -> Mapping[str, str]:
    """Return the stack's outputs. Raises ``InvalidInput`` if they cannot be read."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as problem:
        raise InvalidInput(
            f"--stack {stack}: {problem.response['Error']['Message']} (region {session.region_name}). "
            "Check the name, the region (--region, AWS_REGION), and your right to read the stack."
        ) from None
    except BotoCoreError as problem:  # no credentials, no region, no network
        raise InvalidInput(f"--stack {stack}: {problem} Sign in (`aws sso login`) or set AWS_PROFILE.") from None
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def output(outputs: Mapping[str, str], name: str) -> str:
    """Return one output. Raises ``InvalidInput`` if the stack lacks it."""
    if name not in outputs:
        raise InvalidInput(
            f"The stack has no output {name}. It is not a Ballast stack, or an older version: deploy it again."
        )
    return outputs[name]
