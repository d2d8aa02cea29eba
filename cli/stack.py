"""``ballast --stack NAME …``: the same commands against a deployed stack, with the user's AWS credentials."""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ballast.contracts import RunRequest
from ballast.errors import InvalidInput
from ballast.log.event import Event
from ballast.run import Run
from ballast.runtime import Runtime
from ballast.table import Table
from cli.commands import budget
from cli.commands.answer import confirmed, goes_on, user
from cli.commands.breaker import of_stack
from cli.commands.run import waits_for_people
from cli.deployed import output, stack_outputs
from cli.exits import Exit, exit_of
from cli.journal import Journal, state_folder
from cli.output import Screen
from cli.people import Nobody
from cli.reply import reply
from cli.request import request_of
from cli.watch import watch
from localcloud.functions import FunctionError

if TYPE_CHECKING:
    import boto3

    from ballast.log.evidence import Verdict
    from ballast.log.run_log import RunLog

#: Seconds between two looks at a run. Every look is a request to AWS, which counts them.
_EVERY_S = 1.0
_LAST = ("run.ended", "run.refused")
#: Outputs by the names that a local cloud has for what they name.
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
    """A deployed stack, asked as a local cloud is. Raises ``InvalidInput`` where the stack cannot be read."""

    def __init__(self, session: boto3.Session, stack: str) -> None:
        self.session: Any = session
        self._stack = stack
        self._outputs: Mapping[str, str] = stack_outputs(session, stack)

    def physical_id(self, logical_id: str) -> str:
        """Return the name or ARN that the stack's outputs have for a resource."""
        return output(self._outputs, _OUTPUTS[logical_id])

    def table(self, logical_id: str) -> Table:
        """Return a table of the stack, with the user's rights."""
        name = self.physical_id(logical_id)
        return Table(self.session.client("dynamodb"), name, f"Table {name}")

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Any:
        """Invoke a function and return its result. Raises ``FunctionError`` where the handler raised."""
        from botocore.config import Config

        client = self.session.client("lambda", config=Config(read_timeout=60, retries={"total_max_attempts": 1}))
        sent = client.invoke(FunctionName=self.physical_id(function), Payload=json.dumps(payload).encode())
        result = json.loads(sent["Payload"].read())
        if "FunctionError" in sent:
            trace = result.get("stackTrace", [])
            raise FunctionError(result.get("errorType", "Error"), result.get("errorMessage", ""), trace)
        return result

    def start(self, request: RunRequest) -> str:
        """Start a run through the front door and return its id."""
        run_id: str = self.invoke("StartFunction", request.model_dump(mode="json"))["run_id"]
        return run_id

    def wait(self, run_id: str, timeout_s: float) -> Any:
        """Return the run's execution, which has ended; before, wait until the log says so too."""
        from localcloud.executions import Execution

        until = time.monotonic() + timeout_s
        while not any(event.name in _LAST for event in self.events(run_id)) and time.monotonic() < until:
            time.sleep(_EVERY_S)

        machine = self.physical_id("AgentStateMachine").replace(":stateMachine:", ":execution:")
        found = self.session.client("stepfunctions").describe_execution(executionArn=f"{machine}:{run_id}")
        answer = json.loads(found["output"]) if "output" in found else None
        return Execution(run_id, found["status"], answer, found.get("error"), found.get("cause"))

    def events(self, run_id: str) -> Run:
        """Return the run's log."""
        return self._log().read(run_id)

    def read_all(self, run_id: str) -> tuple[Run, dict[str, str]]:
        """Return what of the run's log can be read, and by its key what is wrong with each other entry."""
        return self._log().examine(run_id)

    def entries(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Event]:
        """Return the entries of logs under those (run id, key); what is not there, or cannot be read, is left out."""
        return self._log().read_keys(keys, []) if keys else {}

    def verdict(self, run_id: str, now: datetime) -> Verdict | None:
        """Return whether the run's log is as it was written; None where there is none."""
        from localcloud.evidence import verdict_on

        return verdict_on(self._log(), self.table("BudgetsTable"), run_id, now)

    def executions_since(self, since: datetime) -> Iterator[str]:
        """Yield the ids of the runs whose executions were started since then, newest first."""
        from localcloud.evidence import executions_since

        return executions_since(self.session.client("stepfunctions"), self.physical_id("AgentStateMachine"), since)

    def _log(self) -> RunLog:
        from ballast.log.run_log import RunLog

        names = {"RUN_LOG_TABLE": self.physical_id("RunLogTable"), "PAYLOAD_BUCKET": self.physical_id("PayloadBucket")}
        return RunLog.of(Runtime(names, session=self.session))

    def runs_since(self, tenant: str, since: datetime, most: int) -> list[str]:
        """Return the ids of the tenant's runs that were opened since then, newest first; ``most`` and one at most."""
        from ballast.log.run_index import RunIndex, by_tenant

        index = RunIndex(self.table("RunLogTable"))
        found, _ = index.find(by_tenant(tenant), since=since.astimezone(UTC).isoformat(), limit=most + 1)
        return list(dict.fromkeys(one.run_id for one in found))


def on_stack(typed: Namespace, session: boto3.Session | None = None) -> int:
    """Do what was typed against the stack and return the exit code.

    ``session`` is the user's, by ``--profile`` and ``--region``, unless given. Raises ``InvalidInput``.
    """
    import botocore.exceptions

    commands = {"run": _run, "trace": _trace, "cost": _cost, "answer": _answer, "escalations": _escalations}
    commands |= {"breaker": of_stack, "budget": budget.of_stack, "verify": _verify}
    command = commands.get(typed.command)
    if command is None:
        raise InvalidInput(f"--stack goes with {', '.join(commands)} and redrive, not with {typed.command}.")
    try:
        return command(typed, DeployedCloud(session or users_session(typed), typed.stack), Screen())
    except botocore.exceptions.ClientError as problem:
        told = problem.response["Error"]
        words = f"--stack {typed.stack}: {told.get('Code')}: {told.get('Message')} May you use what the stack has? "
        words += "docs/http.md, Rights, has the IAM rights that each command takes."
        raise InvalidInput(words) from None
    except botocore.exceptions.BotoCoreError as problem:
        raise InvalidInput(f"--stack {typed.stack}: {problem} Sign in, and check region and network.") from None


def users_session(typed: Namespace) -> boto3.Session:
    """Return a session with the user's credentials. Raises ``InvalidInput`` where there is no such profile."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session(profile_name=typed.profile, region_name=typed.region)
    except BotoCoreError as problem:
        raise InvalidInput(f"--profile {typed.profile}: {problem}") from None


def _run(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    for option in ("model", "playbook", "seed", "parameter", "verbose"):
        if getattr(typed, option) not in (None, [], False):
            raise InvalidInput(f"--{option} is of a local run; a stack has its own. Leave it out with --stack.")
    request = request_of(typed)
    journal, title = Journal(state_folder(os.environ)), f"run on {typed.stack}"
    # People have the escalation queue; nothing is taken out of it here. The log says when a run waits.
    wait = waits_for_people(typed)
    made = watch(cloud, request, Nobody(), screen=screen, journal=journal, title=title, every_s=_EVERY_S, wait=wait)
    screen.line()
    screen.trace(made, full=typed.full)
    return exit_of(made.status)


def _trace(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    if typed.run is None:
        raise InvalidInput("RUN: name it. `ballast trace` without --stack lists the runs that were started from here.")
    events, corrupt = cloud.read_all(typed.run)
    if not events and not corrupt:
        raise InvalidInput(f"{typed.run}: the stack {typed.stack} has no log of it. A run's whole id is needed here.")
    made = events.timeline(corrupt, run_id=typed.run)
    if typed.json:
        print(made.to_json())
    else:
        screen.trace(made, full=typed.full)
    return Exit.OK


def _cost(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    from cli.commands.cost import cost_on_stack

    return cost_on_stack(typed, cloud, screen)


def _verify(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    from cli.commands.verify import verify_on_stack

    return verify_on_stack(typed, cloud, screen)


def _answer(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    from cli.commands.escalations import listed, show

    waiting = listed(cloud)
    if typed.escalation is None:
        show(waiting, screen)
        return Exit.OK
    found = [item for item in waiting if item["escalation_id"].startswith(typed.escalation)]
    if len(found) != 1:
        raise InvalidInput(
            f"{typed.escalation!r} fits {len(found)} open escalations. `ballast escalations` lists them."
        )
    message = found[0]
    if typed.approve and message["kind"] != "approval":
        message = dict(message) | {"proposed_decision": proposed(cloud, message)}
    payload = reply(typed, message, by=typed.by or user())
    try:
        taken = cloud.invoke("AnswerEscalationFunction", payload | {"escalation_id": message["escalation_id"]})
        result = {"ok": True, **taken}
    except FunctionError as problem:
        result = {"ok": False, "error": problem.name, "message": problem.message}
    run_id = confirmed(message["escalation_id"], result)
    screen.line(f"Accepted: {message['escalation_id']}. {goes_on(run_id, result, '; see `ballast trace`.')}")
    return Exit.OK


def proposed(cloud: DeployedCloud, message: Mapping[str, Any]) -> Any:
    """Return what the log says was proposed when the escalation was opened; None where nothing was."""
    for event in cloud.events(message["run_id"]):
        opened = event.name in ("escalation.opened", "call.approval_requested")
        if opened and event.body.get("escalation_id") == message["escalation_id"]:
            return event.body.get("proposed_decision")
    return None


def _escalations(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    from cli.commands.escalations import listed, watched

    return watched(lambda: listed(cloud), screen, watch=typed.watch)
