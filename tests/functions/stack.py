"""The functions for tests: the real handlers, the log, and faults at chosen moments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from ballast.errors import ProcessEnds
from ballast.log.events import CallIntended, CallSettled, EscalationAnswered, LeaseExtended, PlanDecided
from ballast.run import Run
from ballast.runtime import Runtime
from functions.agent import handler as planner
from functions.breaker import api as budget_api
from functions.breaker import command, trip
from functions.evidence import copy, touched
from functions.executor import handler as execute
from functions.fallback import fallback as fallback
from functions.front import api, consume, start
from functions.lifecycle import admit, extend, settle, sweep
from functions.people import answer, remind
from functions.people import api as people
from functions.people import open as escalation_open
from functions.rollback import rollback as rollback
from tests.functions.cloud import ENVIRONS, Cloud, client
from tests.support.log_items import encode

HANDLERS: dict[str, Any] = {
    "intake": start.lambda_handler,
    "consume": consume.lambda_handler,
    "admit": admit.lambda_handler,
    "extend": extend.lambda_handler,
    "settle": settle.lambda_handler,
    "sweep": sweep.lambda_handler,
    "planner": planner.lambda_handler,
    "fallback": fallback.lambda_handler,
    "rollback": rollback.lambda_handler,
    "executor": execute.lambda_handler,
    "open": escalation_open.lambda_handler,
    "answer": answer.lambda_handler,
    "api": api.lambda_handler,
    "trip": trip.lambda_handler,
    "command": command.lambda_handler,
    "budget-api": budget_api.lambda_handler,
    "people": people.lambda_handler,
    "remind": remind.lambda_handler,
    "touched": touched.lambda_handler,
    "copy": copy.lambda_handler,
}
_NUMBERS = count(1)


class LambdaDied(ProcessEnds):
    """The process is gone: no handler of ours catches it."""


class LambdaContext:
    """Lambda's second argument, as far as it is read."""

    def __init__(self, remaining_ms: int = 30_000) -> None:
        self.aws_request_id = f"invocation-{next(_NUMBERS)}"
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda would cut the invocation."""
        return self._remaining_ms


def client_error(code: str) -> ClientError:
    """Return what boto3 raises for ``code``."""
    return ClientError({"Error": {"Code": code, "Message": "injected"}}, "Operation")


class Stack:
    """All functions over one set of resources."""

    def __init__(self, cloud: Cloud) -> None:
        cloud.renew()
        self.cloud = cloud
        self._own: dict[str, Runtime] = {}
        self._faulty: set[str] = set()
        self.clock, self.stdout = cloud.clock, cloud.stdout
        self.environs = {name: cloud.environ(name) for name in ENVIRONS}
        self.log = cloud.log

    # Functions

    def runtime(self, function: str) -> Runtime:
        """Return the function's process: the warm one of that environment, or one of this test's own."""
        if function in self._own:
            return self._own[function]
        key = function, *sorted(self.environs[function].items())
        return self.cloud.warm.setdefault(key, self.cold(function))

    def forget(self, function: str) -> None:
        """Let the function's next invocation have a process of its own, without the faults of this one."""
        self._own.pop(function, None)
        self._faulty.discard(function)

    def alone(self, function: str) -> None:
        """Let the function have a process of this test's own, which remembers nothing."""
        self._own[function] = self.cold(function)

    def cold(self, function: str) -> Runtime:
        """Return another process of the function."""
        return self.cloud.usual_process(self.environs[function])

    def invoke(
        self, function: str, event: Any, *, context: LambdaContext | None = None, runtime: Runtime | None = None
    ) -> Any:
        """Call the real handler with what Lambda gives it. The result has been JSON on its way."""
        handler = HANDLERS[function]
        result = handler(event, context or LambdaContext(), runtime=runtime or self.runtime(function))
        return json.loads(json.dumps(result, allow_nan=False))

    def open(self, *, limited: Mapping[str, int] | None = None, **fields: Any) -> str:
        """Admit a request and return its run id.

        limited  limits as a playbook may set them, also where they leave no room for a single attempt; a request that
                 has such limits of its own is not admitted
        """
        request = {"request_id": f"r-{next(_NUMBERS)}", "agent": "tester", "text": "Tidy my notes."} | fields
        run_id = str(self.invoke("admit", {"request": request})["run_id"])
        if limited is not None:
            self._limit(run_id, limited)
        return run_id

    def _limit(self, run_id: str, limited: Mapping[str, int]) -> None:
        table = self.cloud.tables
        [opened] = self.events(run_id)
        found = table.get_item(TableName="run-log", Key={"run_id": {"S": run_id}, "seq": {"S": opened.seq}})["Item"]
        body = opened.body | {"limits": opened.body["limits"] | limited}
        changed = opened.model_copy(update={"body": body})
        kept = {name: value for name, value in found.items() if name not in ("body", "packed")}
        table.put_item(TableName="run-log", Item=kept | encode(changed, body)[0])

    def plan(self, run_id: str, turn: int = 1, *, by: str = "planner", **more: Any) -> dict[str, Any]:
        """Ask the planner ``by`` for the decision of that turn."""
        event = {"run_id": run_id, "turn": turn, "handed_over": more.pop("handed_over", None)}
        event |= {"history": more.pop("history")} if "history" in more else {}
        return dict(self.invoke(by, event, **more))

    def execute(self, run_id: str, turn: int = 1, index: int = 1, **more: Any) -> str:
        """Execute one call and return its status."""
        event: dict[str, Any] = {"run_id": run_id, "turn": turn, "index": index}
        event |= {name: more.pop(name) for name in ("asked", "unanswered", "given_up", "cause") if name in more}
        return str(self.invoke("executor", event, **more)["status"])

    # The log

    def events(self, run_id: str) -> Run:
        """Return the run's log."""
        return self.log.read(run_id)

    def body(self, run_id: str, seq: str) -> dict[str, Any]:
        """Return the body of one event. Raises ``KeyError`` where it is not there."""
        return {event.seq: event.body for event in self.events(run_id)}[seq]

    def seqs(self, run_id: str) -> list[str]:
        """Return the keys of the run's events."""
        return [event.seq for event in self.events(run_id)]

    def propose(self, run_id: str, *calls: Mapping[str, Any], turn: int = 1, by: str = "agent") -> None:
        """Record that a planner decided to make ``calls`` ({"tool", "arguments"})."""
        decision = {"kind": "call_tools", "calls": list(calls)}
        self.log.write(run_id, PlanDecided.key(turn), {"planner": by, "decision": decision})

    def wrote(self, run_id: str, turn: int, *, undo: Any, by: str = "agent") -> None:
        """Record a write that happened in that turn, with its undo ({"tool", "arguments"} or None)."""
        self.propose(run_id, {"tool": "write_note", "arguments": {}}, turn=turn, by=by)
        self.log.write(
            run_id,
            CallIntended.key(turn, 1),
            {"tool": "write_note", "effect": "write", "planner": by, "undo": undo},
        )
        self.settled(run_id, turn, {"status": "ok", "result": {}, "undo": undo})

    def settled(self, run_id: str, turn: int, outcome: Mapping[str, Any], *, index: int = 1) -> None:
        """Record the outcome of a call."""
        self.log.write(run_id, CallSettled.key(turn, index), {"tool": "?", "undo": None} | dict(outcome))

    def answered(self, run_id: str, turn: int, decision: Mapping[str, Any], *, more_s: int = 60) -> None:
        """Record that a person answered with ``decision`` in that turn."""
        until = int(self.clock().timestamp() * 1000) + more_s * 1000
        body = {"escalation_id": "esc-x", "by": "ann", "decision": dict(decision)}
        self.log.write(run_id, EscalationAnswered.key(turn), body | {"agent_until_ms": until, "deadline_ms": until})
        if added := decision.get("add_budget_microusd"):  # and that its lease was extended
            self.log.write(run_id, LeaseExtended.key(turn), {"microusd": added, "hour": "hour#", "day": "day#"})

    # What the functions left behind

    def notes(self) -> dict[str, dict[str, Any]]:
        """Return the business's table by note, without its markers."""
        items = client("dynamodb").scan(TableName="notes", ConsistentRead=True)["Items"]
        return {item["note_id"]["S"]: item for item in items if not item["note_id"]["S"].startswith("marker#")}

    def count(self, note_id: str, what: str = "writes") -> int:
        """Return how often the note was really written, or erased."""
        return int(self.notes().get(note_id, {}).get(what, {"N": "0"})["N"])

    def lines(self) -> list[dict[str, Any]]:
        """Return what the functions wrote to standard output, each line as JSON."""
        return [json.loads(line) for line in self.stdout.getvalue().splitlines()]

    # Faults

    def on(self, function: str, service: str, operation: str, do: Callable[[dict[str, Any]], None]) -> None:
        """Call ``do`` with the parameters before each such request of the function; what it raises is raised there."""
        requests = self._client(function, service).meta
        name = f"{requests.service_model.service_id.hyphenize()}.{operation}"
        requests.events.register(f"before-parameter-build.{name}", lambda params, **_: do(params))

    def after(self, function: str, service: str, operation: str, do: Callable[[dict[str, Any]], None]) -> None:
        """The same after the request was carried out, so that its answer is lost."""
        sent: list[dict[str, Any]] = []
        self.on(function, service, operation, sent.append)
        requests = self._client(function, service).meta
        name = f"{requests.service_model.service_id.hyphenize()}.{operation}"
        requests.events.register(f"after-call.{name}", lambda **_: do(sent[-1]))

    def _client(self, function: str, service: str) -> Any:
        if function not in self._faulty:  # only this process has the fault
            self._faulty.add(function)
            self._own[function] = self.cloud.process(self.environs[function])
        runtime = self._own[function]
        if function == "planner":
            runtime.get(planner.build)  # it makes the model's client, with its endpoint and without retries
        return runtime.client(service)


def once(problem: BaseException, *, seq: str = "") -> Callable[[dict[str, Any]], None]:
    """Return what raises ``problem`` at the first request, or at the first that writes ``seq`` to the log."""
    left = [problem]

    def do(params: dict[str, Any]) -> None:
        if left and (not seq or params.get("Item", {}).get("seq", {}).get("S") == seq):
            raise left.pop()

    return do
