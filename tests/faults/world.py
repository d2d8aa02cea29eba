"""The whole system in one process: the template's stack on moto, the real handlers, virtual time.

::

    scenario starts ─▶ executions (asl.Interpreter) ─▶ functions ─▶ Wire ─▶ moto
         ▲                     │ waits for a token          ▲
         └── queues, rules ────┴──▶ people ─────────────────┘

One world lasts for many cases: ``renew`` puts moto's stores back to what they were. A case is decided by its
scenario and its fault and by nothing else, so that it comes out the same each time.
"""

from __future__ import annotations

import importlib
import io
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.context import tools_environ
from ballast.run import Run
from ballast.runtime import Runtime
from localcloud.clock import NOON, virtual_time
from localcloud.cloud import PLAYBOOK, ROOT
from localcloud.converse.script import ScriptModel
from localcloud.converse.source import Reply
from localcloud.functions import Function
from localcloud.moto_seams.imports import import_moto
from localcloud.moto_seams.replaced import replaced
from localcloud.project import package_of
from localcloud.sessions import Gate, Keys, LocalSession, Models
from localcloud.stepfunctions.states import Execution, Interpreter, StateFailed
from tests.faults.clock import Clock, let_go_of_locks
from tests.faults.plan import Plan
from tests.faults.scenarios import REPLIES
from tests.faults.stores import Stores, is_waiting, items_of, rules_of
from tests.faults.wire import Invocation, LambdaDied, Wire

#: After so many seconds a caller, a queue or a rule tries again, and so often.
AGAIN_S, ATTEMPTS = 30, 6


class InvokeFailed(Exception):
    """A function did not return. ``error`` is the name that Step Functions gets."""

    def __init__(self, error: str, message: str = "") -> None:
        super().__init__(f"{error}: {message}")
        self.error, self.message = error, message


class Context:
    """Lambda's second argument, on the virtual clock."""

    memory_limit_in_mb, function_version = "512", "$LATEST"

    def __init__(self, function: Function, invocation: Invocation, request_id: str, clock: Clock) -> None:
        self.function_name, self.invoked_function_arn = function.name, function.arn
        self.log_group_name = self.log_stream_name = function.name
        self.aws_request_id = request_id
        self._clock, self._deadline = clock, invocation.deadline

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is cut."""
        return max(0, int((self._deadline - self._clock().timestamp()) * 1000))


class World:
    """Make one with ``world()``.

    invocations   of the case so far
    executions    likewise
    dead_letters  events and messages that no function took: (function, event)
    waiting_events  what rules have for functions
    people        called while the workflow waits; False where nobody does anything any more
    touched       changes and deletions in the log, of all cases
    at_state      called when the workflow enters a state
    """

    def __init__(
        self, clock: Clock, wire: Wire, admin: LocalSession, deployment: Any, sources: Any, playbook: Playbook
    ) -> None:
        self.clock, self.wire, self.deployment = clock, wire, deployment
        self._desk = self.playbook = playbook
        self.functions: Mapping[str, Function] = deployment.functions
        self.people: Callable[[], bool] = lambda: False
        self.at_state: Callable[[str], None] = lambda _: None
        self.stdout = io.StringIO()
        self.touched: list[str] = []
        self._admin, self._sources, self._rules = admin, sources, rules_of(admin)
        machine = admin.client("stepfunctions").describe_state_machine(
            stateMachineArn=self.physical_id("AgentStateMachine")
        )
        self.definition: Mapping[str, Any] = json.loads(machine["definition"])
        self._interpreter = Interpreter(self.definition, _Workflow(self), self._jitter)
        self.keep()
        self.renew(None)

    def written(self, table: str, how: str, keys: Any, *_: Any) -> None:
        """Remember what changes or deletes in the log, as its stream tells it."""
        if how != "INSERT":
            self.touched.append(f"{how} {table} {keys}")

    def physical_id(self, logical_id: str) -> str:
        """Return what the stack made of a resource."""
        return str(self.deployment.physical_ids[logical_id])

    def client(self, service: str) -> Any:
        """Return a client of the test's own: no fault touches it."""
        return self._admin.client(service)

    def declare(
        self, policies: Mapping[str, Mapping[str, Any]], agents: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Let tools declare these, and else what the desk's do; let the desk hand over to these agents."""
        tools = dict(self._desk.tools)
        for name, declared in policies.items():
            tools[name] = replace(tools[name], policy=replace(tools[name].policy, **declared))
        self.playbook = replace(self._desk, tools=tools) if policies else self._desk
        if agents:
            first = self._desk.agent
            others = {name: first.model_copy(update={"name": name, **given}) for name, given in agents.items()}
            desk = first.model_copy(update={"hand_over_to": dict.fromkeys(others, "When it is theirs.")})
            self.playbook = replace(self.playbook, agent=desk, others=others)

    def keep(self) -> None:
        """Let every case begin with what the tables hold now."""
        self._stores = Stores()

    def renew(self, model: ScriptModel | None, plan: Plan | None = None) -> None:
        """Begin another case."""
        self._stores.restore()
        self.clock.now = NOON
        random.seed(0)  # botocore draws how long it waits
        self.plan = plan or Plan()
        self.wire.renew(_Meddled(self, model) if model else None)
        self.wire.meddle = lambda *about: self.plan.requesting(self, *about)
        self.invocations: list[Invocation] = []
        self.executions: list[Execution] = []
        self.dead_letters: list[tuple[str, Any]] = []
        self.delivered = self._again = 0
        self.waiting_events: list[tuple[str, Mapping[str, Any]]] = []
        self.stdout.seek(0)
        self.stdout.truncate()

    # Functions

    def invoke(self, function: str, payload: Any, state: str) -> Any:
        """Invoke a function, as the case's plan has it. Raises ``InvokeFailed``."""
        found = next(one for one in self.functions.values() if function in (one.logical_id, one.arn, one.name))
        invocation = Invocation(len(self.invocations) + 1, found.logical_id, state, payload)
        self.invocations.append(invocation)
        return self.plan.invoking(self, invocation, lambda: self.run(invocation))

    def run(self, invocation: Invocation) -> Any:
        """Run the handler itself, once. Raises ``InvokeFailed``."""
        function = self.functions[invocation.function]
        module, _, name = function.handler.rpartition(".")
        handler = getattr(importlib.import_module(module), name)
        invocation.deadline = self.clock().timestamp() + function.timeout_s
        self._again += not invocation.number
        name = f"invocation-{invocation.number}" if invocation.number else f"again-{self._again}"
        context = Context(function, invocation, name, self.clock)
        # Each invocation in a process of its own, so that a case is the same wherever it begins.
        environ = {"AWS_REGION": "eu-west-1", **function.environ}
        process = Runtime(environ, session=self.wire.session, clock=self.clock, stdout=self.stdout)
        event = json.loads(json.dumps(invocation.payload))
        try:
            with self.wire.invoking(invocation):
                result = handler(event, context, runtime=process)
            return json.loads(json.dumps(result, allow_nan=False))
        except LambdaDied as died:
            raise InvokeFailed(died.error, "the process is gone") from None
        except Exception as problem:
            raise InvokeFailed(type(problem).__name__, str(problem)) from problem

    def _jitter(self) -> float:
        return self.plan.jitter()

    # What goes on by itself

    def settle_down(self) -> None:
        """Run executions, deliver queues and events, until nothing is left to do."""
        for _ in range(100):
            if not (self._run_executions() or self._pump() or self._deliver_events()):
                return
        raise AssertionError("It never comes to rest.")

    @property
    def left_behind(self) -> bool:
        """Whether anything is left for what runs on a schedule, or for an operator."""
        held = any("held" in item for item in self.items("BudgetsTable"))
        asked = any(item.get("status") == {"S": "open"} for item in self.items("EscalationsTable"))
        return held or asked or bool(self.dead_letters)

    def housekeeping(self) -> None:
        """Let an hour pass and invoke every function that the stack has on a schedule."""
        self.clock.advance(3600)
        for rule in self._rules:
            if rule.schedule is not None:
                event = {"id": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
                event |= {"resources": [rule.name], "time": self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")}
                self.waiting_events += [(arn, event) for arn in rule.functions]
        self.settle_down()

    def redrive(self) -> None:
        """Let an operator put the dead letters back, as the alarm's page says; what comes back stays."""
        letters, self.dead_letters = self.dead_letters, []
        for arn, event in letters:
            self._tried(arn, event, "redrive")
        self.settle_down()

    def event_for(self, function_arn: str, event: Mapping[str, Any]) -> None:
        """A rule has ``event`` for a function."""
        self.waiting_events.append((function_arn, event))

    def _run_executions(self) -> bool:
        started = [one for one in self.wire.states.executions.values() if one not in self.executions]
        for execution in started:
            self.executions.append(execution)
            self._interpreter.run(execution)
            detail = {"name": execution.name, "executionArn": execution.arn, "status": execution.status}
            detail["stateMachineArn"] = self.physical_id("AgentStateMachine")
            event = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}
            self.waiting_events += [
                (arn, event) for rule in self._rules if rule.matches(event) for arn in rule.functions
            ]
        return bool(started)

    def _deliver_events(self) -> bool:
        waiting, self.waiting_events = self.waiting_events, []
        for arn, event in waiting:
            self._delivering(str(event["detail-type"]), partial(self._tried, arn, event, "EventBridge"))
        return bool(waiting)

    def _pump(self) -> bool:
        """Deliver one message of the queues that feed functions; what fails comes again."""
        from localcloud.event_sources import _record

        for source in self._sources:
            for raw in self.taken(source.queue_url):
                event = {"Records": [_record(raw, source.queue_arn)]}
                self._delivering("SQS", partial(self._tried, source.function.arn, event, "SQS"))
                return True
        return False

    def _delivering(self, what: str, deliver: Callable[[], None]) -> None:
        self.delivered += 1
        self.plan.delivering(self, self.delivered, what, deliver)

    def _tried(self, arn: str, event: Mapping[str, Any], by: str) -> None:
        """Invoke until the function takes it, or it is a dead letter."""
        for _ in range(ATTEMPTS):
            try:
                result = self.invoke(arn, event, by)
                if not (isinstance(result, dict) and result.get("batchItemFailures")):
                    return
            except InvokeFailed:
                pass
            self.clock.advance(AGAIN_S)
        self.dead_letters.append((arn, event))

    def taken(self, queue_url: str) -> Iterator[Any]:
        """Take messages out of a queue, one by one."""
        sqs = self.client("sqs")
        while is_waiting(queue_url) and (
            found := sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=1, MessageAttributeNames=["All"], AttributeNames=["All"]
            ).get("Messages")
        ):
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=found[0]["ReceiptHandle"])
            yield found[0]

    # What there is to see

    def messages(self, queue: str) -> list[str]:
        """Take all out of a queue of the stack (by logical id) and return their bodies."""
        return [message["Body"] for message in self.taken(self.physical_id(queue))]

    def log(self, *, opens: bool) -> RunLog:
        """Return the log as one reads it who may open what is sealed, or may not."""
        names = {"RUN_LOG_TABLE": self.physical_id("RunLogTable"), "PAYLOAD_BUCKET": self.physical_id("PayloadBucket")}
        names["SENSITIVE_KEY_ARN"] = self.functions["ExecutorFunction"].environ["SENSITIVE_KEY_ARN"]
        runtime = Runtime(names, session=self._admin, clock=self.clock)
        return RunLog.of(runtime, Seal.of(runtime, self.playbook) if opens else None)

    def events(self, run_id: str, *, opens: bool = True) -> Run:
        """Return a run's log."""
        return self.log(opens=opens).read(run_id)

    def items(self, table: str) -> list[dict[str, Any]]:
        """Return all items of a table (by logical id), as DynamoDB has them."""
        return items_of(self.physical_id(table))


class _Workflow:
    """The world as ``asl.Tasks``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        return self._world.clock.now

    def pause(self, seconds: float) -> None:
        self._world.clock.advance(seconds)

    def side_by_side(self, work: Sequence[Callable[[], Any]], at_once: int) -> list[Any]:
        """One after the other: what runs side by side on AWS has to come out the same in any order."""
        return [one() for one in work]

    def invoke(self, function_arn: str, payload: Any, state: str, timeout_s: float) -> Any:
        try:
            return self._world.invoke(function_arn, payload, state)
        except InvokeFailed as failed:
            raise StateFailed(failed.error, failed.message) from failed

    def token(self, execution: Execution) -> str:
        execution.tokens += 1
        token = f"token-{execution.name}-{execution.tokens}"
        self._world.wire.states.waiting.add(token)
        return token

    def wait(self, token: str, timeout_s: float) -> Any:
        """Let people act until the token has its answer, or nobody does anything any more."""
        world, states = self._world, self._world.wire.states
        until = world.clock().timestamp() + timeout_s
        while token not in states.answers and world.clock().timestamp() < until and world.people():
            pass
        if (answer := self.answered(token)) is not None:
            return answer
        world.clock.advance(max(0.0, until - world.clock().timestamp()))
        raise StateFailed("States.Timeout")

    def answered(self, token: str) -> Any:
        states = self._world.wire.states
        states.over.add(token)
        return states.answers.get(token)

    def entered(self, state: str) -> None:
        self._world.plan.entered(self._world, state)
        self._world.at_state(state)


class _Meddled:
    """A script whose replies a plan may change. ``state``: what it has said already."""

    def __init__(self, world: World, model: ScriptModel) -> None:
        self._world, self._model = world, model

    @property
    def state(self) -> Any:
        return self._model.state

    @state.setter
    def state(self, said_so_far: Any) -> None:
        self._model.state = said_so_far

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        reply = self._model.reply(request, model_id)
        return self._world.plan.replying(self._world, self._model.position(request) + 1, reply)


@contextmanager
def world() -> Iterator[World]:
    """Deploy the template into moto and yield the world. One at a time in a process, since moto is."""
    import_moto()
    from moto import mock_aws

    from localcloud.deploy import deploy
    from localcloud.event_sources import event_sources
    from localcloud.functions import Functions
    from localcloud.moto_seams.deployment import stacks_run
    from localcloud.moto_seams.dynamodb import (
        attribute_values_as_they_are,
        items_may_be_forgotten,
        queries_look_at_one_key,
        stream_records_go_to,
        transactions_copy_what_they_touch,
    )
    from localcloud.moto_seams.events import functions_are_targets
    from localcloud.moto_seams.kms import keys_as_the_template_says, no_key_pairs_for_secret_keys
    from localcloud.moto_seams.requests import methods_looked_up_once

    clock, made = Clock(), list[World]()
    core = {"mock_credentials": False, "reset_boto3_session": True, "passthrough": {"urls": [], "services": []}}
    config: Any = {
        "stepfunctions": {"execute_state_machine": True},
        "lambda": {"use_docker": False},
        "core": core | {"service_whitelist": None},
    }
    with ExitStack() as stack:
        stack.enter_context(stacks_run())
        stack.enter_context(methods_looked_up_once())
        stack.enter_context(no_key_pairs_for_secret_keys())
        stack.enter_context(keys_as_the_template_says())
        stack.enter_context(attribute_values_as_they_are())
        stack.enter_context(items_may_be_forgotten())
        stack.enter_context(transactions_copy_what_they_touch())
        stack.enter_context(queries_look_at_one_key())
        stack.enter_context(stream_records_go_to(lambda *record: made[0].written(*record) if made else None))
        stack.enter_context(functions_are_targets(lambda arn, event: made[0].event_for(arn, event)))  # noqa: PLW0108
        stack.enter_context(mock_aws(config=config))
        admin = LocalSession(Keys(), Gate(allow_bedrock=False), models=Models())
        deployment = deploy(admin, ROOT / "template.yaml", {}, {"PLAYBOOK_DIR": str(PLAYBOOK)}, today=NOON.date())
        functions = Functions(deployment.functions, lambda _: None)  # type: ignore[arg-type, return-value]
        for function in deployment.functions.values():  # Powertools must be there before its clock is replaced
            importlib.import_module(function.handler.rpartition(".")[0])
        from aws_lambda_powertools.shared import user_agent

        # It adds to the client that it is given, and here all processes have the same.
        stack.enter_context(replaced(user_agent, "register_feature_to_client", lambda client, feature: None))
        stack.enter_context(virtual_time(clock))
        let_go_of_locks()
        names = {str(found).rsplit("/", 1)[-1]: name for name, found in deployment.physical_ids.items()}
        wire = Wire(clock, lambda physical: "+".join(names.get(part, part) for part in physical.split("+")))
        playbook = _asking(load_playbook(PLAYBOOK))
        # Under an alias, where a test before this one has loaded another playbook's folder of that name.
        store = importlib.import_module(f"{package_of(playbook)}.store")

        admin.client("sqs").create_queue(QueueName=REPLIES)
        environ = tools_environ(deployment.functions["ExecutorFunction"].environ)
        goods = store.generate(1, today=NOON.date(), customers=5, orders=10)
        store.put_store(admin.client("dynamodb"), environ, goods)
        for name, module in list(sys.modules.items()):
            if name.startswith("functions.") and "load_playbook" in vars(module):
                stack.enter_context(replaced(module, "load_playbook", lambda *_, **__: made[0].playbook))
        made.append(World(clock, wire, admin, deployment, event_sources(admin, functions), playbook))
        yield made[0]


def _asking(playbook: Playbook) -> Playbook:
    """The desk does not ask back; here it may, so that the workflow's state for that has its part."""
    return replace(playbook, agent=playbook.agent.model_copy(update={"ask_requester": True}))
